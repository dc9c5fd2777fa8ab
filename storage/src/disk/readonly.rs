//! Plain files of a folder that must not change: what is there is read, what is written is let go.
//!
//! For tools that look into a data folder or a backup of one. A shard that is opened on it recovers as ever: its log is
//! replayed into memory, and the files that a start would remove, rewrite or make stay as they are, or are not made.
//! Scans see everything. What a shard writes cannot be read back, so that such a shard must take no appends and
//! flush nothing.

use std::cell::Cell;
use std::path::Path;

use super::plain::{PlainDisk, PlainFile};
use super::{Disk, DiskFile, OpenMode};
use crate::error::Result;

/// The file systems the operating system mounts, for reading.
#[derive(Debug, Clone, Copy, Default)]
pub struct ReadOnlyDisk;

/// An open file.
#[derive(Debug)]
pub enum ReadOnlyFile {
    /// One that is there.
    Present(PlainFile),
    /// One that would have been made, of this length; it holds nothing.
    Pretended(Cell<u64>),
}

impl Disk for ReadOnlyDisk {
    type File = ReadOnlyFile;
    type Buffer = Vec<u8>;

    fn buffer(&self, length: usize) -> Vec<u8> {
        PlainDisk.buffer(length)
    }

    async fn open(&self, path: &Path, mode: OpenMode) -> Result<ReadOnlyFile> {
        match mode {
            OpenMode::Read | OpenMode::ReadWrite => {
                Ok(ReadOnlyFile::Present(PlainDisk.open(path, OpenMode::Read).await?))
            }
            OpenMode::Create => Ok(ReadOnlyFile::Pretended(Cell::new(0))),
        }
    }

    async fn list(&self, folder: &Path) -> Result<Vec<String>> {
        PlainDisk.list(folder).await
    }

    async fn create_dir(&self, _folder: &Path) -> Result<()> {
        Ok(())
    }

    async fn rename(&self, _from: &Path, _to: &Path) -> Result<()> {
        Ok(())
    }

    async fn remove(&self, _path: &Path) -> Result<()> {
        Ok(())
    }

    async fn sync_dir(&self, _folder: &Path) -> Result<()> {
        Ok(())
    }

    async fn yield_if_needed(&self) {
        PlainDisk.yield_if_needed().await;
    }
}

impl DiskFile for ReadOnlyFile {
    type Buffer = Vec<u8>;
    type ReadBuffer = Vec<u8>;

    async fn read(&self, offset: u64, length: usize) -> Result<Vec<u8>> {
        match self {
            Self::Present(file) => file.read(offset, length).await,
            Self::Pretended(_) => Ok(Vec::new()),
        }
    }

    async fn write(&self, offset: u64, buffer: Vec<u8>) -> Result<()> {
        if let Self::Pretended(length) = self {
            length.set(length.get().max(offset + buffer.len() as u64));
        }
        Ok(())
    }

    async fn sync(&self) -> Result<()> {
        Ok(())
    }

    async fn allocate(&self, wanted: u64) -> Result<()> {
        if let Self::Pretended(length) = self {
            length.set(length.get().max(wanted));
        }
        Ok(())
    }

    async fn length(&self) -> Result<u64> {
        match self {
            Self::Present(file) => file.length().await,
            Self::Pretended(length) => Ok(length.get()),
        }
    }

    async fn truncate(&self, wanted: u64) -> Result<()> {
        if let Self::Pretended(length) = self {
            length.set(wanted);
        }
        Ok(())
    }

    async fn close(self) -> Result<()> {
        match self {
            Self::Present(file) => file.close().await,
            Self::Pretended(_) => Ok(()),
        }
    }
}
