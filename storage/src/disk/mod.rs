//! The seam below which files live: every byte a shard stores passes through [`Disk`] and [`DiskFile`].
//!
//! The same shard runs on direct-I/O files of a ring (`server/src/ring`), on plain files (for tools and tests) and on
//! a simulated disk on which all goes wrong ([`sim`]). Contract of every implementation:
//!
//! 1. Buffers are owned: made by [`Disk::buffer`], given in to a write, made by a read. Offsets and lengths of
//!    transfers are multiples of [`DISK_ALIGN`]; one transfer is at most [`IO_BYTES_MAX`].
//! 2. A write is durable only when a later `sync` on the same file has returned `Ok`. A failed `sync` says nothing
//!    about any earlier write, and must not be repeated in the hope of an `Ok`.
//! 3. A created, renamed or removed name is durable only after `sync_dir` of its folder.
//! 4. A read past the end returns the bytes there are; a transfer may be short only at the end of the file.

pub mod owner;
pub mod plain;
pub mod readonly;
pub mod sim;
pub mod throttle;
pub(crate) mod whole;

use std::path::Path;

use crate::error::Result;

/// Alignment of offset, length and memory of every transfer: the largest logical block size in common use.
pub const DISK_ALIGN: usize = 4096;

/// Longest single transfer: bounds the memory that one holds, and how long it keeps a device from others.
pub const IO_BYTES_MAX: usize = 1 << 20;

/// How to open a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OpenMode {
    /// Existing file, reads only.
    Read,
    /// Existing file, reads and writes.
    ReadWrite,
    /// New file, reads and writes; fails if the name is taken.
    Create,
}

/// A place that holds files in folders.
pub trait Disk: Clone + 'static {
    /// An open file; closed when dropped or by [`DiskFile::close`].
    type File: DiskFile<Buffer = Self::Buffer>;
    /// Aligned memory for a write, zeroed when made.
    type Buffer: AsRef<[u8]> + AsMut<[u8]> + 'static;

    /// Zeroed memory of `length` bytes (a multiple of [`DISK_ALIGN`], at most [`IO_BYTES_MAX`]) to fill and write.
    fn buffer(&self, length: usize) -> Self::Buffer;
    /// Opens `path`.
    fn open(&self, path: &Path, mode: OpenMode) -> impl Future<Output = Result<Self::File>>;
    /// Names in `folder`, unsorted; the empty list if the folder does not exist.
    fn list(&self, folder: &Path) -> impl Future<Output = Result<Vec<String>>>;
    /// Makes `folder` and its parents.
    fn create_dir(&self, folder: &Path) -> impl Future<Output = Result<()>>;
    /// Renames a file, replacing the target.
    fn rename(&self, from: &Path, to: &Path) -> impl Future<Output = Result<()>>;
    /// Removes a file.
    fn remove(&self, path: &Path) -> impl Future<Output = Result<()>>;
    /// Makes names in `folder` durable.
    fn sync_dir(&self, folder: &Path) -> impl Future<Output = Result<()>>;
    /// Lets other tasks of the same core run, when the task has had the core for its time slice; else returns at once.
    fn yield_if_needed(&self) -> impl Future<Output = ()>;
}

/// An open file.
pub trait DiskFile: 'static {
    /// Memory for writes.
    type Buffer;
    /// Memory filled by reads.
    type ReadBuffer: AsRef<[u8]> + 'static;

    /// Reads up to `length` bytes at `offset`.
    fn read(&self, offset: u64, length: usize) -> impl Future<Output = Result<Self::ReadBuffer>>;
    /// Writes the whole buffer at `offset`.
    fn write(&self, offset: u64, buffer: Self::Buffer) -> impl Future<Output = Result<()>>;
    /// Writes the whole buffer at `offset` and makes it durable, by itself: what was written before may need a sync
    /// still. A device with forced unit access does this without flushing its cache. A disk around another one passes
    /// it on.
    fn write_durable(&self, offset: u64, buffer: Self::Buffer) -> impl Future<Output = Result<()>> {
        async move {
            self.write(offset, buffer).await?;
            self.sync().await
        }
    }
    /// Makes what was written durable (data and the length needed to read it).
    fn sync(&self) -> impl Future<Output = Result<()>>;
    /// Reserves `length` bytes of space so that later writes neither grow the file nor fail for space.
    fn allocate(&self, length: u64) -> impl Future<Output = Result<()>>;
    /// Length in bytes.
    fn length(&self) -> impl Future<Output = Result<u64>>;
    /// Cuts or extends with zeros.
    fn truncate(&self, length: u64) -> impl Future<Output = Result<()>>;
    /// Closes, reporting what dropping would swallow.
    fn close(self) -> impl Future<Output = Result<()>>;
}
