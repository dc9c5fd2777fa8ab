//! Files on the ring: [`RingDisk`] is the disk of a running shard.
//!
//! Writes and reads go past the page cache (O_DIRECT) where the file system can, else through it; what a folder got is
//! asked once per device with a probe file and reported by [`RingDisk::report`]. Names (open, rename, remove, list,
//! make a folder, sync a folder) and lengths are blocking calls on the core's helper thread: rare, and io_uring would
//! hand them to a thread of its own too.
#![expect(unsafe_code, reason = "hands buffers and descriptors to the kernel")]

use std::cell::RefCell;
use std::fs::{self, File};
use std::io;
use std::os::fd::{AsRawFd, IntoRawFd};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::rc::Rc;

use io_uring::opcode;
use io_uring::squeue::Entry;
use io_uring::types::{Fd, FsyncFlags};
use rustix::fs::{AtFlags, OFlags, StatxFlags, statx};
use rustix::io::Errno;
use tidewire_storage::disk::owner::{create_folders, follow_folder};
use tidewire_storage::disk::{DISK_ALIGN, Disk, DiskFile, IO_BYTES_MAX, OpenMode};
use tidewire_storage::{Error, Result};

use super::arena::RingBuffer;
use super::blocking::blocking;
use super::current::current;
use super::executor::yield_if_needed;
use super::reactor::Op;

/// What `statfs` says of tmpfs (linux/magic.h).
const TMPFS_MAGIC: rustix::fs::FsWord = 0x0102_1994;

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
pub struct RingDisk {
    /// Device number and how its files are reached. A handful at most, so a list.
    devices: Rc<RefCell<Vec<(u64, Access)>>>,
}

impl RingDisk {
    /// A disk that has not looked at any device yet. To be made and used on a running executor.
    pub fn new() -> Self {
        Self::default()
    }

    /// How files in `folder`, which exists, are reached. Fails where no file can be written there.
    pub async fn report(&self, folder: &Path) -> Result<Access> {
        let device = fs::metadata(folder).map_err(|error| Error::io("look at", folder, error))?.dev();
        self.report_of(device, folder).await
    }

    /// The same for a folder on a known device.
    async fn report_of(&self, device: u64, folder: &Path) -> Result<Access> {
        let known = self.devices.borrow().iter().find(|(number, _)| *number == device).map(|(_, access)| *access);
        if let Some(access) = known {
            return Ok(access);
        }
        let access = probe(folder).await?;
        self.devices.borrow_mut().push((device, access));
        Ok(access)
    }
}

/// Whether a file in `folder` can be opened for direct I/O, and how it must be aligned.
async fn probe(folder: &Path) -> Result<Access> {
    let path = folder.join(format!(".tidewire-probe-{}-{}", std::process::id(), rustix::thread::gettid()));
    let probed = {
        let path = path.clone();
        blocking(move || probe_file(&path)).await
    };
    let removed = fs::remove_file(&path);
    let access = probed.map_err(|error| Error::io("write a probe file in", folder, error))?;
    removed.map_err(|error| Error::io("remove", &path, error))?;
    Ok(access)
}

fn probe_file(path: &Path) -> io::Result<Access> {
    let direct = i32::try_from(OFlags::DIRECT.bits()).unwrap_or(0);
    match fs::write(path, [0_u8; DISK_ALIGN]) {
        Ok(()) => {}
        // A full disk can be read: the name is there, and that is enough to ask.
        Err(error) if error.kind() == io::ErrorKind::StorageFull && path.exists() => {}
        Err(error) => return Err(error),
    }
    let file = match File::options().read(true).custom_flags(direct).open(path) {
        Ok(file) => file,
        Err(error) if error.raw_os_error() == Some(Errno::INVAL.raw_os_error()) => return Ok(Access::Buffered),
        Err(error) => return Err(error),
    };
    // A file system in memory takes the flag and has no blocks to align to.
    if rustix::fs::fstatfs(&file)?.f_type == TMPFS_MAGIC {
        return Ok(Access::Buffered);
    }
    // Kernels before 6.1 do not say; what we align to anyway is true of every device.
    let found = statx(&file, "", AtFlags::EMPTY_PATH, StatxFlags::DIOALIGN)?;
    let is_known = StatxFlags::from_bits_retain(found.stx_mask).contains(StatxFlags::DIOALIGN);
    Ok(match (is_known, found.stx_dio_offset_align) {
        (true, 0) => Access::Buffered,
        (true, alignment) => Access::Direct { alignment_bytes: u64::from(alignment) },
        (false, _) => Access::Direct { alignment_bytes: DISK_ALIGN as u64 },
    })
}

impl Disk for RingDisk {
    type File = RingFile;
    type Buffer = RingBuffer;

    fn buffer(&self, length: usize) -> RingBuffer {
        assert!(
            length > 0 && length <= IO_BYTES_MAX && length.is_multiple_of(DISK_ALIGN),
            "invariant: a transfer is aligned and at most {IO_BYTES_MAX} bytes, not {length}"
        );
        RingBuffer::for_write(&current().arena, length)
    }

    async fn open(&self, path: &Path, mode: OpenMode) -> Result<RingFile> {
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let access = self.report_for(folder, path, mode).await?;
        let flags = match access {
            Access::Direct { .. } => OFlags::DIRECT,
            Access::Buffered => OFlags::empty(),
        };
        let owned = path.to_owned();
        let open = move || {
            let mut options = File::options();
            options.read(true).write(mode != OpenMode::Read).create_new(mode == OpenMode::Create);
            let file = options.custom_flags(i32::try_from(flags.bits()).unwrap_or(0)).open(&owned)?;
            if mode == OpenMode::Create {
                follow_folder(&owned)?;
            }
            Ok(file)
        };
        let file = blocking(open).await.map_err(|error| Error::io(operation_of(mode), path, error))?;
        let is_direct = matches!(access, Access::Direct { .. });
        Ok(RingFile { file: Rc::new(file), is_direct, path: path.to_owned() })
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
        blocking(move || create_folders(&owned)).await.map_err(|error| Error::io("make folder", folder, error))
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
        let synced = blocking(move || File::open(owned)?.sync_all()).await;
        synced.map_err(|error| Error::io("sync folder", folder, error))
    }

    async fn yield_if_needed(&self) {
        yield_if_needed().await;
    }
}

impl RingDisk {
    /// [`Self::report`] for an open: a missing folder is reported as the failed open of `path`.
    async fn report_for(&self, folder: &Path, path: &Path, mode: OpenMode) -> Result<Access> {
        match fs::metadata(folder) {
            Ok(found) => self.report_of(found.dev(), folder).await,
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

/// An open file of [`RingDisk`].
#[derive(Debug)]
pub struct RingFile {
    file: Rc<File>,
    is_direct: bool,
    path: PathBuf,
}

impl RingFile {
    fn check(offset: u64, length: usize) {
        assert!(
            offset.is_multiple_of(DISK_ALIGN as u64) && length.is_multiple_of(DISK_ALIGN) && length <= IO_BYTES_MAX,
            "invariant: a transfer is aligned and at most {IO_BYTES_MAX} bytes, not {length} at {offset}"
        );
    }

    fn error(&self, operation: &str, error: io::Error) -> Error {
        Error::io(operation, &self.path, error)
    }

    /// Queues an operation that uses no memory but this file's descriptor.
    fn on_file(&self, entry: impl FnOnce(Fd) -> Entry) -> Op<Rc<File>> {
        let entry = entry(Fd(self.file.as_raw_fd()));
        // SAFETY: the descriptor is kept open by the file that is handed over.
        unsafe { current().reactor.submit(entry, Rc::clone(&self.file)) }
    }

    /// Queues a transfer of `length` bytes between the file at `offset` and the buffer from `start` on.
    fn transfer(
        &self,
        buffer: RingBuffer,
        start: usize,
        entry: impl FnOnce(Fd, *mut u8, bool) -> Entry,
    ) -> Op<(Rc<File>, RingBuffer)> {
        let entry = entry(Fd(self.file.as_raw_fd()), buffer.address().wrapping_add(start), buffer.is_registered());
        // SAFETY: the buffer's memory stays where it is when the buffer is moved, nobody else has the buffer while
        // the operation lasts, and the file keeps the descriptor open.
        unsafe { current().reactor.submit(entry, (Rc::clone(&self.file), buffer)) }
    }

    async fn on_helper(&self, call: impl FnOnce(&File) -> io::Result<()> + Send + 'static) -> io::Result<()> {
        let file = self.file.try_clone()?;
        blocking(move || call(&file)).await
    }

    /// Writes the whole buffer, `flags` as in pwritev2.
    async fn write_all(&self, offset: u64, buffer: RingBuffer, flags: i32) -> Result<()> {
        let length = buffer.as_ref().len();
        Self::check(offset, length);
        let failed = |error| self.error(&format!("write {length} bytes at offset {offset} of"), error);
        let (mut buffer, mut done) = (buffer, 0);
        while done < length {
            let (at, left) = (offset + done as u64, ring_length(length - done));
            let write = self.transfer(buffer, done, |file, memory, is_registered| {
                match is_registered {
                    // The registered memory has index 0.
                    true => opcode::WriteFixed::new(file, memory, left, 0).offset(at).rw_flags(flags).build(),
                    false => opcode::Write::new(file, memory, left).offset(at).rw_flags(flags).build(),
                }
            });
            let (result, (_, back)) = write.await;
            buffer = back;
            let count = match result {
                Ok(count) => count as usize,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(failed(error)),
            };
            // After a short write what is left goes again from the last whole block; no progress is an error.
            let whole = if count == length - done { count } else { count - count % DISK_ALIGN };
            if whole == 0 {
                return Err(failed(io::ErrorKind::WriteZero.into()));
            }
            done += whole;
        }
        Ok(())
    }
}

/// Length of a transfer as the ring takes it; transfers are bounded by [`IO_BYTES_MAX`].
#[expect(clippy::cast_possible_truncation, reason = "at most IO_BYTES_MAX")]
fn ring_length(length: usize) -> u32 {
    length as u32
}

impl DiskFile for RingFile {
    type Buffer = RingBuffer;
    type ReadBuffer = RingBuffer;

    async fn read(&self, offset: u64, length: usize) -> Result<RingBuffer> {
        Self::check(offset, length);
        let mut buffer = RingBuffer::for_read(length);
        let mut filled = 0;
        while filled < length {
            let (at, left) = (offset + filled as u64, ring_length(length - filled));
            let read = self
                .transfer(buffer, filled, |file, memory, _| opcode::Read::new(file, memory, left).offset(at).build());
            let (result, (_, back)) = read.await;
            buffer = back;
            match result {
                Ok(0) => break,
                Ok(count) => filled += count as usize,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => {
                    return Err(self.error(&format!("read {length} bytes at offset {offset} of"), error));
                }
            }
            if self.is_direct && !filled.is_multiple_of(DISK_ALIGN) {
                // Short within a block: the end of the file, and a direct read could not go on from here.
                break;
            }
        }
        // SAFETY: the kernel has written this many bytes, and was asked for no more than the buffer holds.
        unsafe { buffer.set_filled(filled) };
        Ok(buffer)
    }

    async fn write(&self, offset: u64, buffer: RingBuffer) -> Result<()> {
        self.write_all(offset, buffer, 0).await
    }

    async fn write_durable(&self, offset: u64, buffer: RingBuffer) -> Result<()> {
        self.write_all(offset, buffer, libc::RWF_DSYNC).await
    }

    async fn sync(&self) -> Result<()> {
        let sync = self.on_file(|file| opcode::Fsync::new(file).flags(FsyncFlags::DATASYNC).build());
        let (synced, _) = sync.await;
        synced.map(drop).map_err(|error| self.error("sync", error))
    }

    async fn allocate(&self, length: u64) -> Result<()> {
        let (allocated, _) = self.on_file(|file| opcode::Fallocate::new(file, length).build()).await;
        allocated.map(drop).map_err(|error| self.error(&format!("allocate {length} bytes for"), error))
    }

    async fn length(&self) -> Result<u64> {
        self.file.metadata().map(|metadata| metadata.len()).map_err(|error| self.error("look at", error))
    }

    async fn truncate(&self, length: u64) -> Result<()> {
        let truncated = self.on_helper(move |file| file.set_len(length)).await;
        truncated.map_err(|error| self.error(&format!("set to {length} bytes the length of"), error))
    }

    async fn close(self) -> Result<()> {
        // Where a transfer that nobody waits for holds the file, it is closed with that.
        let Ok(file) = Rc::try_unwrap(self.file) else { return Ok(()) };
        let entry = opcode::Close::new(Fd(file.into_raw_fd())).build();
        // SAFETY: the descriptor was taken out of its owner, so this closes it once and nobody uses it after.
        let (closed, ()) = unsafe { current().reactor.submit(entry, ()) }.await;
        closed.map(drop).map_err(|error| Error::io("close", &self.path, error))
    }
}
