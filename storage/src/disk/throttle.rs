//! A disk that is as slow as a test wants: writes spend a budget of bytes, and wait when it is spent.
//!
//! There is no clock in here. The holder of the [`Throttle`] grants bytes, at a pace of its own (a timer of the
//! server's executor, or step by step in a test), and can park syncs until it lets them go. Reads, and whatever changes
//! names only, pass.

use std::cell::Cell;
use std::path::Path;
use std::rc::Rc;

use super::{Disk, DiskFile, OpenMode};
use crate::error::Result;
use crate::signal::Signal;

/// The hand on the tap of a [`ThrottledDisk`].
#[derive(Debug, Default)]
pub struct Throttle {
    budget_bytes: Cell<u64>,
    written_bytes: Cell<u64>,
    syncs_parked: Cell<bool>,
    waiting: Cell<usize>,
    changed: Signal,
}

impl Throttle {
    /// A throttle that lets `bytes` be written before anything waits; `u64::MAX` for no bound.
    pub fn new(bytes: u64) -> Rc<Self> {
        let throttle = Self::default();
        throttle.budget_bytes.set(bytes);
        Rc::new(throttle)
    }

    /// Lets `bytes` more be written. What is not used is kept.
    pub fn grant(&self, bytes: u64) {
        self.budget_bytes.set(self.budget_bytes.get().saturating_add(bytes));
        self.changed.notify();
    }

    /// Takes back what was granted and not used.
    pub fn shut(&self) {
        self.budget_bytes.set(0);
    }

    /// Makes syncs wait, or lets them go.
    pub fn park_syncs(&self, parked: bool) {
        self.syncs_parked.set(parked);
        self.changed.notify();
    }

    /// Writes and syncs that wait now.
    pub fn waiting(&self) -> usize {
        self.waiting.get()
    }

    /// Bytes that were let through.
    pub fn written_bytes(&self) -> u64 {
        self.written_bytes.get()
    }

    async fn write(&self, bytes: u64) {
        self.wait(|| {
            let left = self.budget_bytes.get().checked_sub(bytes)?;
            self.budget_bytes.set(left);
            Some(())
        })
        .await;
        self.written_bytes.set(self.written_bytes.get() + bytes);
    }

    async fn sync(&self) {
        self.wait(|| (!self.syncs_parked.get()).then_some(())).await;
    }

    async fn wait(&self, mut look: impl FnMut() -> Option<()> + Unpin) {
        if look().is_some() {
            return;
        }
        let _waiting = Waiting::new(&self.waiting);
        self.changed.until(look).await;
    }
}

/// Counts one that waits, for as long as it lives.
struct Waiting<'a>(&'a Cell<usize>);

impl<'a> Waiting<'a> {
    fn new(count: &'a Cell<usize>) -> Self {
        count.set(count.get() + 1);
        Self(count)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.set(self.0.get() - 1);
    }
}

/// A disk behind a throttle.
#[derive(Debug, Clone)]
pub struct ThrottledDisk<D> {
    inner: D,
    throttle: Rc<Throttle>,
}

impl<D: Disk> ThrottledDisk<D> {
    /// Puts `inner` behind `throttle`, which several disks may share.
    pub fn new(inner: D, throttle: Rc<Throttle>) -> Self {
        Self { inner, throttle }
    }
}

/// A file of a [`ThrottledDisk`].
#[derive(Debug)]
pub struct ThrottledFile<F> {
    inner: F,
    throttle: Rc<Throttle>,
}

impl<D: Disk> Disk for ThrottledDisk<D> {
    type File = ThrottledFile<D::File>;
    type Buffer = D::Buffer;

    fn buffer(&self, length: usize) -> D::Buffer {
        self.inner.buffer(length)
    }

    async fn open(&self, path: &Path, mode: OpenMode) -> Result<Self::File> {
        let inner = self.inner.open(path, mode).await?;
        Ok(ThrottledFile { inner, throttle: self.throttle.clone() })
    }

    async fn list(&self, folder: &Path) -> Result<Vec<String>> {
        self.inner.list(folder).await
    }

    async fn create_dir(&self, folder: &Path) -> Result<()> {
        self.inner.create_dir(folder).await
    }

    async fn rename(&self, from: &Path, to: &Path) -> Result<()> {
        self.inner.rename(from, to).await
    }

    async fn remove(&self, path: &Path) -> Result<()> {
        self.inner.remove(path).await
    }

    async fn sync_dir(&self, folder: &Path) -> Result<()> {
        self.inner.sync_dir(folder).await
    }

    async fn yield_if_needed(&self) {
        self.inner.yield_if_needed().await;
    }
}

impl<F: DiskFile> DiskFile for ThrottledFile<F>
where
    F::Buffer: AsRef<[u8]>,
{
    type Buffer = F::Buffer;
    type ReadBuffer = F::ReadBuffer;

    async fn read(&self, offset: u64, length: usize) -> Result<F::ReadBuffer> {
        self.inner.read(offset, length).await
    }

    async fn write(&self, offset: u64, buffer: F::Buffer) -> Result<()> {
        self.throttle.write(buffer.as_ref().len() as u64).await;
        self.inner.write(offset, buffer).await
    }

    async fn write_durable(&self, offset: u64, buffer: F::Buffer) -> Result<()> {
        self.throttle.write(buffer.as_ref().len() as u64).await;
        self.throttle.sync().await;
        self.inner.write_durable(offset, buffer).await
    }

    async fn sync(&self) -> Result<()> {
        self.throttle.sync().await;
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
