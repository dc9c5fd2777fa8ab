//! Files on glommio's direct I/O: [`GlommioDisk`] is the disk of a running shard.
//!
//! Writes and reads go past the page cache (O_DIRECT) where the file system can, else through it; what a folder got
//! is asked once per device with a probe file and told by [`GlommioDisk::report`]. Names (rename, remove, list, make a
//! folder, sync a folder) are blocking calls on the core's helper thread: rare, and io_uring would hand them to a
//! thread of its own too.
#![expect(unsafe_code, reason = "borrows the descriptor of an open glommio file to ask for its length")]

use std::cell::RefCell;
use std::fs;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use glommio::io::{BufferedFile, DmaBuffer, DmaFile, OpenOptions, ReadResult};
use tidewire_storage::disk::{DISK_ALIGN, Disk, DiskFile, IO_BYTES_MAX, OpenMode};
use tidewire_storage::{Error, Result};

/// How files of one device are reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// Past the page cache; transfers are aligned to this many bytes at least.
    Direct {
        /// Logical block size of the device.
        alignment_bytes: u64,
    },
    /// Through the page cache: the file system refuses O_DIRECT, or keeps files in memory.
    Buffered,
}

/// The disk of one core. Clones share what was learnt about devices; it must stay on the core that made it.
#[derive(Debug, Clone, Default)]
pub struct GlommioDisk {
    /// Device number and how its files are reached. A handful at most, so a list.
    devices: Rc<RefCell<Vec<(u64, Access)>>>,
}

impl GlommioDisk {
    /// A disk that has not looked at any device yet. To be made and used on a running executor.
    pub fn new() -> Self {
        Self::default()
    }

    /// How files in `folder`, which exists, are reached. Fails where no file can be written there.
    pub async fn report(&self, folder: &Path) -> Result<Access> {
        let device = fs::metadata(folder).map_err(|error| Error::io("look at", folder, error))?.dev();
        let known = self.devices.borrow().iter().find(|(number, _)| *number == device).map(|(_, access)| *access);
        if let Some(access) = known {
            return Ok(access);
        }
        let access = probe(folder).await?;
        self.devices.borrow_mut().push((device, access));
        Ok(access)
    }
}

/// Opens a file that is not empty, so that glommio learns the truth about polled reads (see `ring`, point 2).
async fn probe(folder: &Path) -> Result<Access> {
    let path = folder.join(format!(".tidewire-probe-{}-{}", std::process::id(), glommio::executor().id()));
    let written = (|| {
        fs::write(&path, [0_u8; DISK_ALIGN])?;
        fs::File::open(&path)?.sync_all()
    })();
    let access = match written {
        Ok(()) => probe_file(&path).await,
        Err(error) => Err(Error::io("write a probe file in", folder, error)),
    };
    match fs::remove_file(&path) {
        Err(error) if access.is_ok() => Err(Error::io("remove", &path, error)),
        _ => access,
    }
}

async fn probe_file(path: &Path) -> Result<Access> {
    let file = match OpenOptions::new().read(true).dma_open(path).await {
        Ok(file) => file,
        Err(error) if error.raw_os_error() == Some(rustix::io::Errno::INVAL.raw_os_error()) => {
            return Ok(Access::Buffered);
        }
        Err(error) => return Err(Error::io("open", path, system_error(error))),
    };
    // SAFETY: `file` owns the descriptor and outlives the borrow.
    let flags = rustix::fs::fcntl_getfl(unsafe { BorrowedFd::borrow_raw(file.as_raw_fd()) });
    let is_direct = flags.is_ok_and(|flags| flags.contains(rustix::fs::OFlags::DIRECT));
    let alignment_bytes = file.alignment();
    let read = file.read_at_aligned(0, DISK_ALIGN).await;
    file.close().await.map_err(|error| Error::io("close", path, system_error(error)))?;
    match read {
        Ok(bytes) if bytes.len() == DISK_ALIGN => {}
        Ok(bytes) => {
            let reason = format!("a direct read gave {} bytes of {DISK_ALIGN}", bytes.len());
            return Err(Error::io("probe", path, io::Error::other(reason)));
        }
        Err(error) => return Err(Error::io("probe", path, system_error(error))),
    }
    // glommio opens files on tmpfs without O_DIRECT by itself and handles them as it does others.
    Ok(if is_direct { Access::Direct { alignment_bytes } } else { Access::Buffered })
}

/// The operating system's error, without glommio's story around it (our own error tells path and operation).
fn system_error<T>(error: glommio::GlommioError<T>) -> io::Error {
    match error.raw_os_error() {
        Some(code) => io::Error::from_raw_os_error(code),
        None => error.into(),
    }
}

/// Runs a blocking call on the core's helper thread.
pub async fn blocking<T: Send + 'static>(call: impl FnOnce() -> io::Result<T> + Send + 'static) -> io::Result<T> {
    glommio::executor().spawn_blocking(call).await
}

impl Disk for GlommioDisk {
    type File = GlommioFile;
    type Buffer = DmaBuffer;

    fn buffer(&self, length: usize) -> DmaBuffer {
        assert!(
            length > 0 && length <= IO_BYTES_MAX && length.is_multiple_of(DISK_ALIGN),
            "invariant: a transfer is aligned and at most {IO_BYTES_MAX} bytes, not {length}"
        );
        let mut buffer = glommio::allocate_dma_buffer(length);
        buffer.as_bytes_mut().fill(0);
        buffer
    }

    async fn open(&self, path: &Path, mode: OpenMode) -> Result<GlommioFile> {
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let access = self.report_for(folder, path, mode).await?;
        let mut options = OpenOptions::new();
        options.read(true).write(mode != OpenMode::Read).create_new(mode == OpenMode::Create);
        let opened = match access {
            Access::Direct { .. } => options.dma_open(path).await.map(Handle::Direct),
            Access::Buffered => options.buffered_open(path).await.map(Handle::Buffered),
        };
        match opened {
            Ok(handle) => Ok(GlommioFile { handle, path: path.to_owned() }),
            Err(error) => Err(Error::io(operation_of(mode), path, system_error(error))),
        }
    }

    async fn list(&self, folder: &Path) -> Result<Vec<String>> {
        let owned = folder.to_owned();
        let listed = blocking(move || {
            let entries = match fs::read_dir(&owned) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
                entries => entries?,
            };
            entries.map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned())).collect()
        });
        listed.await.map_err(|error| Error::io("list", folder, error))
    }

    async fn create_dir(&self, folder: &Path) -> Result<()> {
        let owned = folder.to_owned();
        blocking(move || fs::create_dir_all(owned)).await.map_err(|error| Error::io("make folder", folder, error))
    }

    async fn rename(&self, from: &Path, to: &Path) -> Result<()> {
        let (old, new) = (from.to_owned(), to.to_owned());
        let renamed = blocking(move || fs::rename(old, new)).await;
        renamed.map_err(|error| Error::io(format!("rename to {} the file", to.display()), from, error))
    }

    async fn remove(&self, path: &Path) -> Result<()> {
        let owned = path.to_owned();
        blocking(move || fs::remove_file(owned)).await.map_err(|error| Error::io("remove", path, error))
    }

    async fn sync_dir(&self, folder: &Path) -> Result<()> {
        let owned = folder.to_owned();
        let synced = blocking(move || fs::File::open(owned)?.sync_all()).await;
        synced.map_err(|error| Error::io("sync folder", folder, error))
    }

    async fn yield_if_needed(&self) {
        glommio::yield_if_needed().await;
    }
}

impl GlommioDisk {
    /// [`Self::report`] for an open: a missing folder is told as the open of `path` that it spoils.
    async fn report_for(&self, folder: &Path, path: &Path, mode: OpenMode) -> Result<Access> {
        match fs::metadata(folder) {
            Ok(_) => self.report(folder).await,
            Err(error) => Err(Error::io(operation_of(mode), path, error)),
        }
    }
}

fn operation_of(mode: OpenMode) -> &'static str {
    match mode {
        OpenMode::Read | OpenMode::ReadWrite => "open",
        OpenMode::Create => "create",
    }
}

/// An open file of [`GlommioDisk`].
#[derive(Debug)]
pub struct GlommioFile {
    handle: Handle,
    path: PathBuf,
}

#[derive(Debug)]
enum Handle {
    Direct(DmaFile),
    Buffered(BufferedFile),
}

/// Bytes read from a file.
#[derive(Debug, Clone)]
pub struct ReadBytes(ReadResult);

impl AsRef<[u8]> for ReadBytes {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

impl GlommioFile {
    fn check(offset: u64, length: usize) {
        assert!(
            offset.is_multiple_of(DISK_ALIGN as u64) && length.is_multiple_of(DISK_ALIGN) && length <= IO_BYTES_MAX,
            "invariant: a transfer is aligned and at most {IO_BYTES_MAX} bytes, not {length} at {offset}"
        );
    }

    fn error(&self, operation: &str, error: io::Error) -> Error {
        Error::io(operation, &self.path, error)
    }

    async fn write_once(&self, offset: u64, buffer: Rc<DmaBuffer>) -> io::Result<usize> {
        let written = match &self.handle {
            Handle::Direct(file) => file.write_rc_at(buffer, offset).await,
            Handle::Buffered(file) => file.write_at(buffer.as_bytes().to_vec(), offset).await,
        };
        written.map_err(system_error)
    }
}

impl DiskFile for GlommioFile {
    type Buffer = DmaBuffer;
    type ReadBuffer = ReadBytes;

    async fn read(&self, offset: u64, length: usize) -> Result<ReadBytes> {
        Self::check(offset, length);
        let read = match &self.handle {
            Handle::Direct(file) => file.read_at_aligned(offset, length).await,
            Handle::Buffered(file) => file.read_at(offset, length).await,
        };
        read.map(ReadBytes)
            .map_err(|error| self.error(&format!("read {length} bytes at offset {offset} of"), system_error(error)))
    }

    async fn write(&self, offset: u64, buffer: DmaBuffer) -> Result<()> {
        let length = buffer.len();
        Self::check(offset, length);
        let failed = |error| self.error(&format!("write {length} bytes at offset {offset} of"), error);
        let mut buffer = Rc::new(buffer);
        let mut offset_now = offset;
        loop {
            let written = self.write_once(offset_now, Rc::clone(&buffer)).await.map_err(failed)?;
            if written >= buffer.len() {
                return Ok(());
            }
            // A short write: what is left goes again from the last whole block; no progress is an error.
            let whole = written - written % DISK_ALIGN;
            if whole == 0 {
                return Err(failed(io::ErrorKind::WriteZero.into()));
            }
            let mut rest = glommio::allocate_dma_buffer(buffer.len() - whole);
            rest.as_bytes_mut().copy_from_slice(&buffer.as_bytes()[whole..]);
            buffer = Rc::new(rest);
            offset_now += whole as u64;
        }
    }

    async fn sync(&self) -> Result<()> {
        let synced = match &self.handle {
            Handle::Direct(file) => file.fdatasync().await,
            Handle::Buffered(file) => file.fdatasync().await,
        };
        synced.map_err(|error| self.error("sync", system_error(error)))
    }

    async fn allocate(&self, length: u64) -> Result<()> {
        let allocated = match &self.handle {
            Handle::Direct(file) => file.pre_allocate(length, false).await,
            Handle::Buffered(file) => file.pre_allocate(length, false).await,
        };
        allocated.map_err(|error| self.error(&format!("allocate {length} bytes for"), system_error(error)))
    }

    async fn length(&self) -> Result<u64> {
        let descriptor = match &self.handle {
            Handle::Direct(file) => file.as_raw_fd(),
            Handle::Buffered(file) => file.as_raw_fd(),
        };
        // SAFETY: `self` owns the descriptor and outlives the borrow.
        let stat = rustix::fs::fstat(unsafe { BorrowedFd::borrow_raw(descriptor) });
        let stat = stat.map_err(|error| self.error("look at", error.into()))?;
        Ok(u64::try_from(stat.st_size).unwrap_or(0))
    }

    async fn truncate(&self, length: u64) -> Result<()> {
        let truncated = match &self.handle {
            Handle::Direct(file) => file.truncate(length).await,
            Handle::Buffered(file) => file.truncate(length).await,
        };
        truncated.map_err(|error| self.error(&format!("set to {length} bytes the length of"), system_error(error)))
    }

    async fn close(self) -> Result<()> {
        let closed = match self.handle {
            Handle::Direct(file) => file.close().await,
            Handle::Buffered(file) => file.close().await,
        };
        closed.map_err(|error| Error::io("close", &self.path, system_error(error)))
    }
}
