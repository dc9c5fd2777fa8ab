//! Files of the operating system through `std`: for tools, tests and hosts without io_uring.
//!
//! Every operation blocks the thread it is polled on, and goes through the page cache; `sync` is `fdatasync`. Buffers
//! are plain vectors, since buffered files need no aligned memory, but offsets and lengths are held to the contract of
//! [`Disk`] all the same, so that a test on plain files catches a transfer that direct I/O would refuse.

use std::fs::{self, File};
use std::io::ErrorKind;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use rustix::fs::{FallocateFlags, fallocate};

use super::owner::{create_folders, follow_folder};
use super::{DISK_ALIGN, Disk, DiskFile, IO_BYTES_MAX, OpenMode};
use crate::error::{Error, Result};

/// The file systems the operating system mounts.
#[derive(Debug, Clone, Copy, Default)]
pub struct PlainDisk;

/// An open file.
#[derive(Debug)]
pub struct PlainFile {
    file: File,
    path: PathBuf,
}

impl Disk for PlainDisk {
    type File = PlainFile;
    type Buffer = Vec<u8>;

    fn buffer(&self, length: usize) -> Vec<u8> {
        check_transfer(0, length);
        vec![0; length]
    }

    async fn open(&self, path: &Path, mode: OpenMode) -> Result<PlainFile> {
        let mut options = File::options();
        options.read(true);
        match mode {
            OpenMode::Read => {}
            OpenMode::ReadWrite => {
                options.write(true);
            }
            OpenMode::Create => {
                options.write(true).create_new(true);
            }
        }
        let operation = if mode == OpenMode::Create { "create" } else { "open" };
        let file = options.open(path).map_err(|e| Error::io(operation, path, e))?;
        if mode == OpenMode::Create {
            follow_folder(path).map_err(|e| Error::io("give away", path, e))?;
        }
        Ok(PlainFile { file, path: path.to_owned() })
    }

    async fn list(&self, folder: &Path) -> Result<Vec<String>> {
        let entries = match fs::read_dir(folder) {
            Ok(entries) => entries,
            Err(e) if e.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
            Err(e) => return Err(Error::io("list", folder, e)),
        };
        entries
            .map(|entry| {
                let entry = entry.map_err(|e| Error::io("list", folder, e))?;
                // A name that is not UTF-8 is none of ours; shown lossily it matches no name we look for.
                Ok(entry.file_name().to_string_lossy().into_owned())
            })
            .collect()
    }

    async fn create_dir(&self, folder: &Path) -> Result<()> {
        create_folders(folder).map_err(|e| Error::io("create folder", folder, e))
    }

    async fn rename(&self, from: &Path, to: &Path) -> Result<()> {
        fs::rename(from, to).map_err(|e| Error::io(format!("rename to {}", to.display()), from, e))
    }

    async fn remove(&self, path: &Path) -> Result<()> {
        fs::remove_file(path).map_err(|e| Error::io("remove", path, e))
    }

    async fn sync_dir(&self, folder: &Path) -> Result<()> {
        File::open(folder).and_then(|folder| folder.sync_all()).map_err(|e| Error::io("sync folder", folder, e))
    }

    /// Yields every time: this disk does not know how long the task has had the core.
    async fn yield_if_needed(&self) {
        futures_lite::future::yield_now().await;
    }
}

impl DiskFile for PlainFile {
    type Buffer = Vec<u8>;
    type ReadBuffer = Vec<u8>;

    async fn read(&self, offset: u64, length: usize) -> Result<Vec<u8>> {
        check_transfer(offset, length);
        let mut buffer = vec![0; length];
        let mut filled = 0;
        while filled < length {
            match self.file.read_at(&mut buffer[filled..], offset + filled as u64) {
                Ok(0) => break,
                Ok(count) => filled += count,
                Err(e) if e.kind() == ErrorKind::Interrupted => {}
                Err(e) => {
                    return Err(Error::io(format!("read {length} bytes at offset {offset} of"), &self.path, e));
                }
            }
        }
        buffer.truncate(filled);
        Ok(buffer)
    }

    async fn write(&self, offset: u64, buffer: Vec<u8>) -> Result<()> {
        check_transfer(offset, buffer.len());
        self.file
            .write_all_at(&buffer, offset)
            .map_err(|e| Error::io(format!("write {} bytes at offset {offset} of", buffer.len()), &self.path, e))
    }

    async fn sync(&self) -> Result<()> {
        self.file.sync_data().map_err(|e| Error::io("sync", &self.path, e))
    }

    async fn allocate(&self, length: u64) -> Result<()> {
        if length == 0 {
            return Ok(());
        }
        fallocate(&self.file, FallocateFlags::empty(), 0, length)
            .map_err(|e| Error::io(format!("allocate {length} bytes for"), &self.path, e.into()))
    }

    async fn length(&self) -> Result<u64> {
        Ok(self.file.metadata().map_err(|e| Error::io("read the length of", &self.path, e))?.len())
    }

    async fn truncate(&self, length: u64) -> Result<()> {
        self.file.set_len(length).map_err(|e| Error::io(format!("truncate to {length} bytes"), &self.path, e))
    }

    async fn close(self) -> Result<()> {
        // `std` closes on drop and swallows what close(2) says; a buffered file reports nothing there that `sync` had
        // not reported before.
        drop(self);
        Ok(())
    }
}

/// Invariant 1 of [`Disk`]: a transfer that breaks it is a bug of the caller, which direct I/O would turn into EINVAL
/// or a hang.
fn check_transfer(offset: u64, length: usize) {
    assert!(
        offset.is_multiple_of(DISK_ALIGN as u64) && length.is_multiple_of(DISK_ALIGN) && length <= IO_BYTES_MAX,
        "BUG: transfer of {length} bytes at offset {offset} breaks the alignment or the bound of a transfer"
    );
}

#[cfg(test)]
mod tests {
    use futures_lite::future::block_on;

    use super::*;

    fn folder(name: &str) -> PathBuf {
        let folder = std::env::temp_dir().join(format!("tidewire-plain-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&folder);
        folder
    }

    #[test]
    fn what_is_written_is_read_and_a_read_past_the_end_is_short() -> Result<()> {
        let folder = folder("write");
        let disk = PlainDisk;
        block_on(async {
            assert!(disk.list(&folder).await?.is_empty());
            disk.create_dir(&folder.join("a/b")).await?;
            let path = folder.join("a/b/file");
            let file = disk.open(&path, OpenMode::Create).await?;
            file.allocate(3 * DISK_ALIGN as u64).await?;
            assert_eq!(file.length().await?, 3 * DISK_ALIGN as u64);
            let mut buffer = disk.buffer(DISK_ALIGN);
            buffer.fill(7);
            file.write(DISK_ALIGN as u64, buffer).await?;
            file.sync().await?;
            let back = file.read(0, 4 * DISK_ALIGN).await?;
            assert_eq!(back.len(), 3 * DISK_ALIGN);
            assert!(back[..DISK_ALIGN].iter().all(|&b| b == 0));
            assert!(back[DISK_ALIGN..2 * DISK_ALIGN].iter().all(|&b| b == 7));
            file.truncate(DISK_ALIGN as u64).await?;
            assert_eq!(file.read(DISK_ALIGN as u64, DISK_ALIGN).await?.len(), 0);
            file.close().await?;

            let renamed = folder.join("a/b/other");
            disk.rename(&path, &renamed).await?;
            disk.sync_dir(&folder.join("a/b")).await?;
            assert_eq!(disk.list(&folder.join("a/b")).await?, ["other"]);
            disk.remove(&renamed).await?;
            assert!(disk.list(&folder.join("a/b")).await?.is_empty());
            Ok::<_, Error>(())
        })?;
        let _ = fs::remove_dir_all(&folder);
        Ok(())
    }

    #[test]
    fn errors_name_the_operation_and_the_path() {
        let path = folder("missing").join("x");
        let error = block_on(PlainDisk.open(&path, OpenMode::Read)).map(|_| ()).unwrap_err();
        let text = error.to_string();
        assert!(
            text.starts_with("cannot open ") && text.contains("missing") && text.contains("No such file"),
            "{text}"
        );
    }

    #[test]
    #[should_panic(expected = "BUG: transfer of 100 bytes")]
    fn an_unaligned_transfer_is_a_bug() {
        let _ = PlainDisk.buffer(100);
    }
}
