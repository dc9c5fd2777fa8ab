//! A disk whose writes or syncs fail from a moment on.

use std::cell::Cell;
use std::io;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use tidewire_storage::disk::plain::{PlainDisk, PlainFile};
use tidewire_storage::disk::{Disk, DiskFile, OpenMode};
use tidewire_storage::{Error, Result};

/// What fails, in files whose names end so.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    Write(&'static str),
    Sync(&'static str),
}

#[derive(Debug, Clone, Default)]
pub(crate) struct FailingDisk {
    fault: Rc<Cell<Option<Fault>>>,
    /// Syncs that were tried, failed ones too.
    syncs: Rc<Cell<u64>>,
}

#[derive(Debug)]
pub(crate) struct FailingFile {
    inner: PlainFile,
    path: PathBuf,
    disk: FailingDisk,
}

impl FailingDisk {
    pub(crate) fn set(&self, fault: Option<Fault>) {
        self.fault.set(fault);
    }

    pub(crate) fn syncs(&self) -> u64 {
        self.syncs.get()
    }

    fn check(&self, path: &Path, fault: impl Fn(&'static str) -> Fault, operation: &str) -> Result<()> {
        match self.fault.get() {
            Some(Fault::Write(part) | Fault::Sync(part))
                if self.fault.get() == Some(fault(part)) && path.to_string_lossy().contains(part) =>
            {
                Err(Error::io(operation, path, io::Error::other("injected")))
            }
            _ => Ok(()),
        }
    }
}

impl Disk for FailingDisk {
    type File = FailingFile;
    type Buffer = Vec<u8>;

    fn buffer(&self, length: usize) -> Vec<u8> {
        PlainDisk.buffer(length)
    }

    async fn open(&self, path: &Path, mode: OpenMode) -> Result<FailingFile> {
        let inner = PlainDisk.open(path, mode).await?;
        Ok(FailingFile { inner, path: path.to_owned(), disk: self.clone() })
    }

    async fn list(&self, folder: &Path) -> Result<Vec<String>> {
        PlainDisk.list(folder).await
    }

    async fn create_dir(&self, folder: &Path) -> Result<()> {
        PlainDisk.create_dir(folder).await
    }

    async fn rename(&self, from: &Path, to: &Path) -> Result<()> {
        PlainDisk.rename(from, to).await
    }

    async fn remove(&self, path: &Path) -> Result<()> {
        PlainDisk.remove(path).await
    }

    async fn sync_dir(&self, folder: &Path) -> Result<()> {
        PlainDisk.sync_dir(folder).await
    }

    async fn yield_if_needed(&self) {
        PlainDisk.yield_if_needed().await;
    }
}

impl DiskFile for FailingFile {
    type Buffer = Vec<u8>;
    type ReadBuffer = Vec<u8>;

    async fn read(&self, offset: u64, length: usize) -> Result<Vec<u8>> {
        self.inner.read(offset, length).await
    }

    async fn write(&self, offset: u64, buffer: Vec<u8>) -> Result<()> {
        self.disk.check(&self.path, Fault::Write, "write")?;
        self.inner.write(offset, buffer).await
    }

    async fn sync(&self) -> Result<()> {
        self.disk.syncs.set(self.disk.syncs.get() + 1);
        self.disk.check(&self.path, Fault::Sync, "sync")?;
        self.inner.sync().await
    }

    async fn allocate(&self, length: u64) -> Result<()> {
        self.inner.allocate(length).await
    }

    async fn length(&self) -> Result<u64> {
        self.inner.length().await
    }

    async fn truncate(&self, length: u64) -> Result<()> {
        self.inner.truncate(length).await
    }

    async fn close(self) -> Result<()> {
        self.inner.close().await
    }
}
