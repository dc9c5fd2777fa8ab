//! A log that cannot go on, and how it goes on again.
//!
//! 1. Where there is no space for a file, the log stalls: appends and waiters get an error, what is queued waits. Each
//!    refused append lets the second loop try anew, and so does a `release`; then the log goes on where it was.
//! 2. After any other failure the log takes nothing until [`Wal::heal`] has shown on a new file that writes last.

use super::Wal;
use super::files::Files;
use crate::disk::{Disk, DiskFile, IO_BYTES_MAX};
use crate::error::{Error, Result};
use crate::wal::Lsn;
use crate::wal::folder::Named;
use crate::wal::frame::{FRAME_HEADER_BYTES, FileHeader};

impl<D: Disk> Wal<D> {
    /// Nothing more is committed or acknowledged.
    pub(super) fn fail(&self, reason: String) {
        log::error!("shard {} takes no writes any more: {reason}", self.config.shard);
        *self.failed.borrow_mut() = Some(reason);
        let mut queue = self.queue.borrow_mut();
        queue.frames.clear();
        queue.bytes = 0;
        drop(queue);
        self.progress.notify();
        self.work.notify();
    }

    /// The log is given up by its shard: it fails, and nobody heals it.
    pub(crate) fn abandon(&self, reason: String) {
        self.fail(reason);
    }

    /// Fails waiters for want of space, and waits until there may be some. The error comes back when the log is
    /// closed instead.
    pub(super) async fn stall(&self, error: Error) -> Result<()> {
        log::warn!("shard {} takes no writes for want of space: {error}", self.config.shard);
        *self.stalled.borrow_mut() = Some(error.to_string());
        self.progress.notify();
        let over = || match self.stalled.borrow().is_none() {
            true => Some(true),
            false => self.closing.get().then_some(false),
        };
        if self.progress.until(over).await { Ok(()) } else { Err(error) }
    }

    /// There is space.
    pub(super) fn go_on(&self) {
        if self.stalled.borrow_mut().take().is_some() {
            log::info!("shard {} takes writes again", self.config.shard);
        }
        self.progress.notify();
    }

    /// Somebody wants to know whether there is space again.
    pub(super) fn ask_for_space(&self) {
        if self.stalled.borrow().is_some() && !self.retry.replace(true) {
            self.work.notify();
        }
    }

    /// Takes records again after a failure, when [`Wal::run`] has ended and everything appended is in segments, as
    /// `flushed` says. The files that failed are given up: nothing in them is wanted, and no sync of theirs is tried
    /// again. A new file must take zeros and a header, and give them back. After an error the log is as failed as
    /// before.
    pub async fn heal(&self, flushed: Lsn) -> Result<()> {
        if self.closing.get() {
            return Err(Error::Closed);
        }
        if self.running.get() || flushed < self.appended.get() {
            return Err(Error::Rejected(
                "a log is healed when its task has ended and its records are flushed".to_owned(),
            ));
        }
        let old: Vec<Named<D>> = {
            let mut files = self.files.borrow_mut();
            let Files { active, full, spares, .. } = &mut *files;
            let full = full.drain(..).map(|full| full.named);
            full.chain(active.take().map(|active| active.named)).chain(spares.drain(..)).collect()
        };
        let done = self.begin_anew().await;
        if let Err(error) = done {
            // They are still to be given up when it succeeds.
            self.files.borrow_mut().spares.extend(old);
            return Err(error);
        }
        for Named { file, path } in old {
            drop(file);
            if let Err(error) = self.disk.remove(&path).await {
                log::warn!("shard {}: {error}", self.config.shard);
            }
        }
        *self.stalled.borrow_mut() = None;
        *self.failed.borrow_mut() = None;
        log::info!("shard {} takes writes again", self.config.shard);
        self.progress.notify();
        self.work.notify();
        Ok(())
    }

    /// Makes a new file active, and looks at what was written to it: a header, which is shorter than that of a frame,
    /// and zeros.
    async fn begin_anew(&self) -> Result<()> {
        self.make_spare().await?;
        for mark in [&self.written, &self.synced] {
            mark.set(self.appended.get());
        }
        self.activate().await?;
        let Some(Named { file, path }) = self.files.borrow().active.as_ref().map(|active| active.named.clone()) else {
            return Ok(());
        };
        let mut offset = 0;
        while offset < self.config.file_bytes {
            let length = (self.config.file_bytes - offset).min(IO_BYTES_MAX as u64) as usize;
            let bytes = file.read(offset, length).await?;
            let zeros = if offset == 0 { FRAME_HEADER_BYTES } else { 0 };
            let header_is_good = offset > 0 || is_header(bytes.as_ref());
            let rest_is_good = bytes.as_ref().get(zeros..).is_some_and(|rest| rest.iter().all(|byte| *byte == 0));
            if bytes.as_ref().len() != length || !header_is_good || !rest_is_good {
                return Err(Error::corrupt(&path, offset, "a new log file does not give back what was written to it"));
            }
            offset += length as u64;
        }
        Ok(())
    }

    /// Why the log failed, if it did.
    pub fn failure(&self) -> Option<String> {
        self.failed.borrow().clone()
    }

    /// An error when appends are refused.
    pub fn check_open(&self) -> Result<()> {
        self.check_failed()?;
        if self.closing.get() {
            return Err(Error::Closed);
        }
        self.check_stalled().inspect_err(|_| self.ask_for_space())
    }

    /// Whether there is no space for records now.
    pub fn is_stalled(&self) -> bool {
        self.stalled.borrow().is_some()
    }

    /// What there is no space for now, if there is none.
    pub fn stalled(&self) -> Option<String> {
        self.stalled.borrow().clone()
    }

    pub(super) fn check_stalled(&self) -> Result<()> {
        match self.stalled.borrow().as_ref() {
            Some(reason) => Err(Error::NoSpace { shard: self.config.shard, reason: reason.clone() }),
            None => Ok(()),
        }
    }

    pub(super) fn check_failed(&self) -> Result<()> {
        match self.failed.borrow().as_ref() {
            Some(reason) => Err(Error::LogFailed { shard: self.config.shard, reason: reason.clone() }),
            None => Ok(()),
        }
    }
}

/// Whether a file begins with a header and the zeros behind it.
fn is_header(bytes: &[u8]) -> bool {
    let mut wanted = [0; FRAME_HEADER_BYTES];
    FileHeader::read(bytes).is_some_and(|header| {
        header.write(&mut wanted);
        bytes.starts_with(&wanted)
    })
}
