//! The files of the log: one takes frames, full ones wait for a flush, a spare stands by.
//!
//! 1. When a frame does not fit, the active file is full: it is synced, and a spare becomes active under a new
//!    generation.
//! 2. The second loop of the log prepares a spare once the active file is half full: zeros up to its whole length,
//!    synced. After a start that found no file to use again it prepares the first one while the shard serves reads
//!    already.
//! 3. `release` hands back files whose records are all in segments; one is kept as a spare, others are removed.

use std::collections::VecDeque;
use std::path::Path;
use std::rc::Rc;

use super::{Wal, on_drop};
use crate::disk::{Disk, DiskFile, IO_BYTES_MAX, OpenMode};
use crate::error::Result;
use crate::wal::Lsn;
use crate::wal::folder::{Full, Named, file_name};
use crate::wal::frame::{FILE_HEADER_BYTES, FileHeader, WAL_VERSION};

/// Spares kept; more than one would be disk space for nothing, since one is prepared while one is filled.
pub(super) const SPARES_MAX: usize = 1;

/// Where the log lies.
pub(super) struct Files<D: Disk> {
    pub(super) active: Option<Active<D>>,
    pub(super) full: VecDeque<Full<D>>,
    pub(super) spares: Vec<Named<D>>,
    pub(super) next_generation: u64,
    pub(super) next_slot: u64,
}

/// The file that takes frames.
pub(super) struct Active<D: Disk> {
    pub(super) named: Named<D>,
    pub(super) generation: u64,
    /// Where the next frame goes.
    pub(super) end: u64,
}

impl<D: Disk> Wal<D> {
    /// Takes `length` bytes at the end of the active file: the file, its generation and the offset.
    pub(super) fn take_room(&self, length: u64) -> Option<(Named<D>, u64, u64)> {
        let mut files = self.files.borrow_mut();
        let active = files.active.as_mut()?;
        let start = active.end;
        if start + length > self.config.file_bytes {
            return None;
        }
        active.end += length;
        Some((active.named.clone(), active.generation, start))
    }

    /// Leaves the active file, if there is one: it is full.
    pub(super) async fn leave_active(&self) -> Result<()> {
        if self.files.borrow().active.is_some() && self.written.get() > self.synced.get() {
            // Later files' headers say that all before them is there.
            self.sync_active().await?;
        }
        let mut files = self.files.borrow_mut();
        if let Some(active) = files.active.take() {
            let (last_lsn, length) = (self.written.get(), self.config.file_bytes);
            files.full.push_back(Full { named: active.named, last_lsn, length });
        }
        Ok(())
    }

    /// Makes a spare active. The file left before is durable.
    pub(super) async fn activate(&self) -> Result<()> {
        self.progress.until(|| (!self.making_spare.get()).then_some(())).await;
        let named = loop {
            let spare = self.files.borrow_mut().spares.pop();
            if let Some(named) = spare {
                break named;
            }
            self.make_spare().await?;
        };
        let generation = self.files.borrow().next_generation;
        self.files.borrow_mut().next_generation += 1;
        let header = FileHeader {
            version: WAL_VERSION,
            shard: self.config.shard,
            generation,
            first_lsn: self.written.get().next(),
        };
        let mut block = self.disk.buffer(FILE_HEADER_BYTES);
        header.write(block.as_mut());
        let begun = async {
            named.file.write(0, block).await?;
            named.file.sync().await
        };
        if let Err(error) = begun.await {
            // No frame is in it, and none will be. What cannot be removed is found free at the next start.
            let Named { file, path } = named;
            drop(file);
            let _ = self.disk.remove(&path).await;
            return Err(error);
        }
        self.count(|stats| stats.syncs += 1);
        self.spare_failed.set(false);
        self.files.borrow_mut().active = Some(Active { named, generation, end: FILE_HEADER_BYTES as u64 });
        Ok(())
    }

    /// Makes a spare whenever the next change of files is near.
    pub(super) async fn spare_loop(&self) -> Result<()> {
        while self.work.until(|| self.spare_wanted()).await {
            if self.stalled.borrow().is_some() {
                self.retry.set(false);
                let has_spare = !self.files.borrow().spares.is_empty();
                if has_spare || self.make_spare().await.is_ok() {
                    self.go_on();
                }
                continue;
            }
            if let Err(error) = self.make_spare().await {
                if error.is_no_space() && self.files.borrow().active.is_none() {
                    // The first commit would wait for it. Reads need no log; it goes on when there is space.
                    *self.stalled.borrow_mut() = Some(error.to_string());
                    self.progress.notify();
                    continue;
                }
                // No harm yet: it is tried again when the file is needed, and fails the log only then.
                log::warn!("shard {}: cannot prepare a log file: {error}", self.config.shard);
                self.spare_failed.set(true);
            }
        }
        Ok(())
    }

    /// `Some(true)` when a spare is to be made, `Some(false)` when none ever will be again.
    fn spare_wanted(&self) -> Option<bool> {
        if self.closing.get() || self.failed.borrow().is_some() {
            return Some(false);
        }
        if self.stalled.borrow().is_some() {
            return self.retry.get().then_some(true);
        }
        let files = self.files.borrow();
        let near = files.active.as_ref().is_none_or(|active| active.end * 2 > self.config.file_bytes);
        let can_be = !self.spare_failed.get() && !self.making_spare.get();
        (near && files.spares.is_empty() && can_be).then_some(true)
    }

    pub(super) async fn make_spare(&self) -> Result<()> {
        let path = {
            let mut files = self.files.borrow_mut();
            files.next_slot += 1;
            self.folder.join(file_name(files.next_slot - 1))
        };
        self.making_spare.set(true);
        let _making = on_drop(|| {
            self.making_spare.set(false);
            self.progress.notify();
        });
        match self.fill(&path).await {
            Ok(file) => {
                self.files.borrow_mut().spares.push(Named { file: Rc::new(file), path });
                Ok(())
            }
            Err(error) => {
                // Best effort: what is left is found at the next open, and is no log file by its size.
                let _ = self.disk.remove(&path).await;
                Err(error)
            }
        }
    }

    async fn fill(&self, path: &Path) -> Result<D::File> {
        let file = self.disk.open(path, OpenMode::Create).await?;
        match file.allocate(self.config.file_bytes).await {
            // The zeros take the space as well, only not so soon.
            Err(error) if error.is_unsupported() => {}
            done => done?,
        }
        let mut offset = 0;
        while offset < self.config.file_bytes {
            let length = (self.config.file_bytes - offset).min(IO_BYTES_MAX as u64);
            file.write(offset, self.disk.buffer(length as usize)).await?;
            offset += length;
        }
        file.sync().await?;
        self.disk.sync_dir(&self.folder).await?;
        Ok(file)
    }

    /// Everything up to `flushed` is elsewhere: its files may be used again.
    pub async fn release(&self, flushed: Lsn) -> Result<()> {
        let removed = {
            let mut files = self.files.borrow_mut();
            let mut removed = Vec::new();
            while files.full.front().is_some_and(|full| full.last_lsn <= flushed) {
                let Some(full) = files.full.pop_front() else { break };
                if files.spares.len() < SPARES_MAX && !self.making_spare.get() && full.length == self.config.file_bytes
                {
                    files.spares.push(full.named);
                } else {
                    removed.push(full.named);
                }
            }
            removed
        };
        for Named { file, path } in removed {
            drop(file);
            if let Err(error) = self.disk.remove(&path).await {
                // It is found free at the next start.
                log::warn!("shard {}: {error}", self.config.shard);
            }
        }
        // A file has come back, or at least some space.
        self.ask_for_space();
        Ok(())
    }
}
