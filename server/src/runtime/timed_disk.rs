//! How long a shard's log waits for its disk: every durable write and sync of its files is timed, and shown as
//! `tidewire_wal_sync_duration_seconds`. A record too long for one write goes to the disk in several and is then
//! synced: with `wal.sync = "always"`, where somebody waits for all of that, the writes count as part of the sync that
//! follows. What other files wait for is not timed, and costs nothing.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::path::Path;
use std::rc::Rc;
use std::time::{Duration, Instant};

use tidewire_storage::Result;
use tidewire_storage::disk::throttle::ThrottledDisk;
use tidewire_storage::disk::{Disk, DiskFile, OpenMode};

use tidewire_base::config::WalSync;

use crate::metrics::registry::{Histogram, Registry, Unit};
use crate::ring::RingDisk;

/// A core's disk.
pub type CoreDisk = TimedDisk<ThrottledDisk<RingDisk>>;

/// A disk that times the logs of its shards.
#[derive(Clone)]
pub struct TimedDisk<D> {
    inner: D,
    logs: Rc<Logs>,
}

/// The histograms of a core's shards, by the name of the shard's folder.
struct Logs {
    registry: Rc<Registry>,
    /// Each commit is on the medium before its writers hear of it.
    is_sync_awaited: bool,
    shards: RefCell<BTreeMap<String, Rc<Histogram>>>,
}

impl Logs {
    /// The histogram of the log that the file `path` is of, if it is of one: `…/shard-003/wal/…`.
    fn of(&self, path: &Path) -> Option<Rc<Histogram>> {
        let folder = path.parent().filter(|folder| folder.file_name().is_some_and(|name| name == "wal"))?;
        let shard = folder.parent()?.file_name()?.to_str()?;
        let number: u32 = shard.strip_prefix("shard-")?.parse().ok()?;
        let mut shards = self.shards.borrow_mut();
        let made = || {
            let help =
                "Time until a part of the log was on the medium: a durable write, or a sync with its record's writes.";
            let labels = [("shard", &*number.to_string())];
            self.registry.histogram("tidewire_wal_sync_duration_seconds", help, &labels, Unit::Nanoseconds)
        };
        Some(shards.entry(shard.to_owned()).or_insert_with(made).clone())
    }
}

impl<D: Disk> TimedDisk<D> {
    /// Times the logs behind `inner` in `registry`.
    pub(crate) fn new(inner: D, registry: Rc<Registry>, sync: WalSync) -> Self {
        let is_sync_awaited = sync == WalSync::Always;
        Self { inner, logs: Rc::new(Logs { registry, is_sync_awaited, shards: RefCell::default() }) }
    }
}

/// A file of a [`TimedDisk`].
pub struct TimedFile<F> {
    inner: F,
    histogram: Option<Rc<Histogram>>,
    is_sync_awaited: bool,
    /// Time of writes that no sync has followed yet.
    unsynced: Cell<Duration>,
}

impl<F> TimedFile<F> {
    async fn timed<T>(&self, work: impl Future<Output = Result<T>>) -> Result<T> {
        let Some(histogram) = &self.histogram else { return work.await };
        let (before, started) = (self.unsynced.take(), Instant::now());
        let done = work.await;
        if done.is_ok() {
            histogram.record(u64::try_from((before + started.elapsed()).as_nanos()).unwrap_or(u64::MAX));
        }
        done
    }

    /// A write whose time is part of the next sync's.
    async fn timed_later<T>(&self, work: impl Future<Output = Result<T>>) -> Result<T> {
        if self.histogram.is_none() || !self.is_sync_awaited {
            return work.await;
        }
        let started = Instant::now();
        let done = work.await;
        self.unsynced.set(self.unsynced.get() + started.elapsed());
        done
    }
}

impl<D: Disk> Disk for TimedDisk<D> {
    type File = TimedFile<D::File>;
    type Buffer = D::Buffer;

    fn buffer(&self, length: usize) -> D::Buffer {
        self.inner.buffer(length)
    }

    async fn open(&self, path: &Path, mode: OpenMode) -> Result<Self::File> {
        let inner = self.inner.open(path, mode).await?;
        let (histogram, is_sync_awaited) = (self.logs.of(path), self.logs.is_sync_awaited);
        Ok(TimedFile { inner, histogram, is_sync_awaited, unsynced: Cell::default() })
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

impl<F: DiskFile> DiskFile for TimedFile<F> {
    type Buffer = F::Buffer;
    type ReadBuffer = F::ReadBuffer;

    async fn read(&self, offset: u64, length: usize) -> Result<F::ReadBuffer> {
        self.inner.read(offset, length).await
    }

    async fn write(&self, offset: u64, buffer: F::Buffer) -> Result<()> {
        self.timed_later(self.inner.write(offset, buffer)).await
    }

    async fn write_durable(&self, offset: u64, buffer: F::Buffer) -> Result<()> {
        self.timed(self.inner.write_durable(offset, buffer)).await
    }

    async fn sync(&self) -> Result<()> {
        self.timed(self.inner.sync()).await
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

impl<D> std::fmt::Debug for TimedDisk<D> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("TimedDisk")
    }
}

impl<F> std::fmt::Debug for TimedFile<F> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("TimedFile")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_of_a_shards_log_are_known_by_their_path() {
        let logs = Logs { registry: Registry::new(), is_sync_awaited: true, shards: RefCell::default() };
        for path in ["/d/shard-003/wal/1.log", "/d/shard-003/wal/2.log", "/d/shard-000/wal/1.log"] {
            assert!(logs.of(Path::new(path)).is_some(), "{path}");
        }
        for path in ["/d/shard-003/segments/1.seg", "/d/shard-003/MANIFEST", "/d/wal/1.log", "/d/meta/catalog-1.log"] {
            assert!(logs.of(Path::new(path)).is_none(), "{path}");
        }
        assert_eq!(logs.shards.borrow().keys().collect::<Vec<_>>(), ["shard-000", "shard-003"]);
    }
}
