//! Space kept back, so that a full disk stops writes and nothing else.
//!
//! 1. A file of `reserve_bytes` lies in the shard's folder and does nothing but take space.
//! 2. Where a flush, a small merge, a drop or an expiry finds no space, the file is removed and the work is tried once
//!    more. A flush gives log files back; the others give segments back.
//! 3. While the reserve is not there, appends and deletes are refused, so that they do not eat up what it was kept for.
//!    Each refused append, and each success of such work, lets [`Shard::run_wal`] try to make it again; then appends
//!    are taken.

use std::cell::Cell;

use super::Shard;
use super::folders::RESERVE;
use crate::disk::{DISK_ALIGN, Disk, DiskFile, IO_BYTES_MAX, OpenMode};
use crate::error::{Error, Result};

/// Whether the space is there.
#[derive(Debug, Default)]
pub(super) struct Reserve {
    spent: Cell<bool>,
    /// Since then somebody has asked for it.
    wanted: Cell<bool>,
}

impl<D: Disk> Shard<D> {
    /// Reserves the space at a start. Having none must not prevent reads.
    pub(super) async fn open_reserve(&self) -> Result<()> {
        match self.make_reserve().await {
            Err(error) if error.is_no_space() => {
                log::warn!("shard {} takes no writes: {error}", self.config.shard);
                self.reserve.spent.set(true);
                Ok(())
            }
            done => done,
        }
    }

    /// Whether the reserve is used up.
    pub(super) fn is_short(&self) -> bool {
        self.reserve.spent.get()
    }

    /// Why appends and deletes are refused now, if they are; nobody is asked for anything.
    pub fn refusal(&self) -> Option<Error> {
        let shard = self.config.shard;
        if let Some(reason) = self.wal.failure() {
            return Some(Error::LogFailed { shard, reason });
        }
        if let Some(reason) = self.wal.stalled() {
            return Some(Error::NoSpace { shard, reason });
        }
        self.is_short().then(|| self.no_reserve())
    }

    fn no_reserve(&self) -> Error {
        let reason = format!("the reserve of {} bytes is used up", self.config.reserve_bytes);
        Error::NoSpace { shard: self.config.shard, reason }
    }

    /// An error where appends would use what was kept for other work.
    pub(super) fn check_space(&self) -> Result<()> {
        if !self.is_short() {
            return Ok(());
        }
        self.ask_for_reserve();
        Err(self.no_reserve())
    }

    fn ask_for_reserve(&self) {
        if self.is_short() && !self.reserve.wanted.replace(true) {
            self.changed.notify();
        }
    }

    /// Does work that may use the reserve, if it needs no more than `bytes`.
    pub(super) async fn with_reserve<T>(&self, bytes: u64, work: impl AsyncFn() -> Result<T>) -> Result<T> {
        let done = work().await;
        let full = done.as_ref().err().is_some_and(Error::is_no_space);
        let done = match full && bytes <= self.config.reserve_bytes && self.spend_reserve().await {
            true => work().await,
            false => done,
        };
        if done.is_ok() {
            self.ask_for_reserve();
        }
        done
    }

    /// Gives the space up; false where that was done before.
    async fn spend_reserve(&self) -> bool {
        if self.config.reserve_bytes == 0 || self.reserve.spent.replace(true) {
            return false;
        }
        log::warn!("shard {} is short of space and takes no writes", self.config.shard);
        match self.disk.remove(&self.folders.root.join(RESERVE)).await {
            Ok(()) => true,
            Err(error) => {
                log::warn!("shard {}: {error}", self.config.shard);
                false
            }
        }
    }

    /// Makes the reserve again whenever somebody has asked for it, as long as the log's task runs.
    pub(super) async fn keep_reserve(&self) {
        let due = || match self.closing.get() || self.log_ended.get() {
            true => Some(false),
            false => (self.is_short() && self.reserve.wanted.get()).then_some(true),
        };
        while self.changed.until(due).await {
            self.reserve.wanted.set(false);
            if self.make_reserve().await.is_ok() {
                log::info!("shard {} has space again", self.config.shard);
                self.reserve.spent.set(false);
            }
        }
    }

    /// Takes the space where the file system cannot reserve any.
    async fn fill_reserve(&self, file: &D::File) -> Result<()> {
        let mut offset = 0;
        while offset < self.config.reserve_bytes {
            let length = (self.config.reserve_bytes - offset).min(IO_BYTES_MAX as u64);
            let blocks = (length as usize).next_multiple_of(DISK_ALIGN);
            file.write(offset, self.disk.buffer(blocks)).await?;
            offset += blocks as u64;
        }
        // Space may be taken when the bytes reach the disk, and not before.
        file.sync().await
    }

    async fn make_reserve(&self) -> Result<()> {
        let path = self.folders.root.join(RESERVE);
        // Of an earlier start, which may have wanted another size.
        let _ = self.disk.remove(&path).await;
        if self.config.reserve_bytes == 0 {
            return Ok(());
        }
        let file = self.disk.open(&path, OpenMode::Create).await?;
        let done = match file.allocate(self.config.reserve_bytes).await {
            Err(error) if error.is_unsupported() => self.fill_reserve(&file).await,
            done => done,
        };
        drop(file);
        if done.is_err() {
            // A part of it may have been reserved.
            let _ = self.disk.remove(&path).await;
        }
        done
    }
}
