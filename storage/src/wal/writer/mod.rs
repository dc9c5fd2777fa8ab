//! Writing the log: records are queued at once and committed by one task.
//!
//! 1. `append` encodes a record into the last queued frame, or opens a new one when that is full ([`queue`]).
//! 2. The commit loop takes the first queued frame, stamps its header, writes it at the end of the active file, syncs
//!    (`WalSync::Always`) and wakes the waiters; then the next ([`commit`]).
//! 3. A second loop beside it sees to it that the next file is ready when one is full ([`files`]).
//! 4. Without space the log stalls; after another failure it takes nothing until it is healed ([`failure`]).

mod commit;
mod failure;
mod files;
mod queue;

use std::cell::{Cell, RefCell};
use std::path::{Path, PathBuf};

use super::folder::Recovered;
use super::{Lsn, WalSync};
use crate::disk::{Disk, DiskFile};
use crate::error::Result;
use crate::signal::Signal;
use files::{Files, SPARES_MAX};
pub use queue::Mark;
use queue::Queue;

/// How a log is kept.
#[derive(Debug, Clone)]
pub struct WalConfig {
    /// Number of the shard.
    pub shard: u32,
    /// When a record counts as durable.
    pub sync: WalSync,
    /// Size of a file; a multiple of the block size, at least a header and a frame.
    pub file_bytes: u64,
}

/// Counts since the log was opened.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct WalStats {
    /// Bytes written in frames, padding included.
    pub bytes: u64,
    /// Frames written.
    pub commits: u64,
    /// Syncs of files.
    pub syncs: u64,
    /// Files there are, active, full and spare.
    pub files: u64,
}

/// The log of one shard, open for appends.
pub struct Wal<D: Disk> {
    disk: D,
    folder: PathBuf,
    config: WalConfig,
    queue: RefCell<Queue>,
    files: RefCell<Files<D>>,
    /// Bytes of files with records that were there at the start.
    found_bytes: u64,
    /// Last record appended.
    appended: Cell<Lsn>,
    /// Last record written to its file.
    written: Cell<Lsn>,
    /// Last record known to be durable.
    synced: Cell<Lsn>,
    /// Somebody waits for a sync up to here.
    sync_wanted: Cell<Lsn>,
    /// The first failure.
    failed: RefCell<Option<String>>,
    /// What there is no space for.
    stalled: RefCell<Option<String>>,
    /// Since then somebody has asked whether there is.
    retry: Cell<bool>,
    closing: Cell<bool>,
    running: Cell<bool>,
    making_spare: Cell<bool>,
    /// Making a spare failed; not tried again until one is needed.
    spare_failed: Cell<bool>,
    /// A frame has left the queue and is not wholly committed.
    in_flight: Cell<bool>,
    stats: Cell<WalStats>,
    /// There is something to do for the two loops.
    work: Signal,
    /// A mark above moved, or a loop ended.
    progress: Signal,
}

impl<D: Disk> Wal<D> {
    /// Goes on after a recovery, in a new file: what lies behind a torn tail is never written over while its
    /// generation could still be read.
    pub async fn open(disk: D, folder: &Path, config: WalConfig, recovered: Recovered<D>) -> Result<Self> {
        let last = recovered.next_lsn.previous();
        let mut full = recovered.live;
        full.sort_by_key(|file| file.last_lsn);
        let wal = Self {
            found_bytes: full.iter().map(|file| file.length).sum(),
            disk,
            folder: folder.to_owned(),
            config,
            queue: RefCell::default(),
            files: RefCell::new(Files {
                active: None,
                full: full.into(),
                spares: Vec::new(),
                next_generation: recovered.generation_max + 1,
                next_slot: recovered.slot_max + 1,
            }),
            appended: Cell::new(last),
            written: Cell::new(last),
            synced: Cell::new(last),
            sync_wanted: Cell::default(),
            failed: RefCell::default(),
            stalled: RefCell::default(),
            retry: Cell::default(),
            closing: Cell::default(),
            running: Cell::default(),
            making_spare: Cell::default(),
            spare_failed: Cell::default(),
            in_flight: Cell::default(),
            stats: Cell::default(),
            work: Signal::default(),
            progress: Signal::default(),
        };
        for free in recovered.free {
            // One for the active file, one to follow it; and none of another size than is wanted now.
            let keep =
                wal.files.borrow().spares.len() <= SPARES_MAX && free.file.length().await? == wal.config.file_bytes;
            if keep {
                wal.files.borrow_mut().spares.push(free);
            } else {
                drop(free.file);
                wal.disk.remove(&free.path).await?;
            }
        }
        // Filling a new file may take seconds on a busy disk: that is left to the second loop.
        if !wal.files.borrow().spares.is_empty() {
            match wal.activate().await {
                // Reads need no log; it goes on when there is space.
                Err(error) if error.is_no_space() => *wal.stalled.borrow_mut() = Some(error.to_string()),
                done => done?,
            }
        }
        Ok(wal)
    }

    /// Waits until the record `lsn` is as safe as the log's mode promises.
    pub async fn durable(&self, lsn: Lsn) -> Result<()> {
        match self.config.sync {
            WalSync::Always => {
                // Nobody runs between the two, so that nobody sees what is written and not synced.
                debug_assert_eq!(self.written.get(), self.synced.get(), "BUG: a commit has moved one mark alone");
                self.reached(&self.synced, lsn).await
            }
            WalSync::Interval => self.reached(&self.written, lsn).await,
            WalSync::Off => self.check_failed(),
        }
    }

    /// Makes everything appended so far durable, whatever the mode.
    pub async fn sync(&self) -> Result<()> {
        let target = self.appended.get();
        self.sync_wanted.set(self.sync_wanted.get().max(target));
        self.work.notify();
        self.reached(&self.synced, target).await
    }

    async fn reached(&self, mark: &Cell<Lsn>, lsn: Lsn) -> Result<()> {
        self.progress
            .until(|| match mark.get() >= lsn {
                true => Some(Ok(())),
                false => self.check_failed().and_then(|()| self.check_stalled()).err().map(Err),
            })
            .await
    }

    /// Commits what is appended, until the log is closed or fails.
    pub async fn run(&self) -> Result<()> {
        if self.closing.get() {
            // It comes too late: `close` commits what there is.
            return self.check_failed();
        }
        assert!(!self.running.replace(true), "BUG: two tasks run the log of shard {}", self.config.shard);
        // A dropped task must not leave a log that looks as if somebody worked for it, nor one with a hole.
        let _running = on_drop(|| {
            self.running.set(false);
            if self.in_flight.get() {
                self.fail("its task was dropped in the middle of a commit".to_owned());
            }
            self.progress.notify();
        });
        let ((), ()) = futures_lite::future::try_zip(self.commit_loop(), self.spare_loop()).await?;
        Ok(())
    }

    /// Takes no more records, commits what is appended, and syncs it.
    pub async fn close(&self) -> Result<()> {
        self.closing.set(true);
        self.work.notify();
        self.progress.notify();
        self.progress.until(|| (!self.running.get()).then_some(())).await;
        // Where no task ran, or it was dropped halfway, the rest is done here.
        if self.written.get() > self.synced.get() || self.appended.get() > self.written.get() {
            self.check_failed()?;
            self.commit_loop().await?;
        }
        self.check_failed()
    }

    /// The last record appended.
    pub fn appended(&self) -> Lsn {
        self.appended.get()
    }

    /// Memory of records that are not yet in a file.
    pub fn pending_bytes(&self) -> usize {
        self.queue.borrow().bytes
    }

    /// Bytes of frames that were there when the log was opened, and were written since.
    pub fn live_bytes(&self) -> u64 {
        self.found_bytes + self.stats.get().bytes
    }

    /// Counts since the log was opened.
    pub fn stats(&self) -> WalStats {
        let files = self.files.borrow();
        let count = files.full.len() + files.spares.len() + usize::from(files.active.is_some());
        WalStats { files: count as u64, ..self.stats.get() }
    }

    fn count(&self, change: impl FnOnce(&mut WalStats)) {
        let mut stats = self.stats.get();
        change(&mut stats);
        self.stats.set(stats);
    }
}

/// Runs `end` when dropped.
fn on_drop<F: FnMut()>(end: F) -> impl Drop {
    struct Guard<F: FnMut()>(F);
    impl<F: FnMut()> Drop for Guard<F> {
        fn drop(&mut self) {
            (self.0)();
        }
    }
    Guard(end)
}
