//! The loop that commits: frame after frame to the end of the active file, synced as the mode wants it.

use super::Wal;
use super::queue::Frame;
use crate::disk::{Disk, DiskFile, IO_BYTES_MAX};
use crate::error::Result;
use crate::wal::frame::{FRAME_HEADER_BYTES, FrameHeader, aligned};
use crate::wal::{Lsn, WalSync};

/// What the commit loop does next.
enum Work {
    Commit(Frame),
    Sync,
    End,
}

impl<D: Disk> Wal<D> {
    pub(super) async fn commit_loop(&self) -> Result<()> {
        loop {
            let work = self.work.until(|| self.next_work()).await;
            let done = match work {
                Work::Commit(frame) => {
                    self.in_flight.set(true);
                    let done = self.commit(frame).await;
                    self.in_flight.set(false);
                    done
                }
                Work::Sync => self.sync_active().await,
                Work::End => return Ok(()),
            };
            if let Err(error) = done {
                self.fail(error.to_string());
                return Err(error);
            }
            self.progress.notify();
            // The spare loop looks at the file's fill.
            self.work.notify();
        }
    }

    fn next_work(&self) -> Option<Work> {
        if self.failed.borrow().is_some() {
            return Some(Work::End);
        }
        if let Some(frame) = self.queue.borrow_mut().frames.pop_front() {
            return Some(Work::Commit(frame));
        }
        let unsynced = self.written.get() > self.synced.get();
        if unsynced && (self.closing.get() || self.sync_wanted.get() > self.synced.get()) {
            return Some(Work::Sync);
        }
        self.closing.get().then_some(Work::End)
    }

    /// Writes one frame and, as the mode wants it, syncs it.
    async fn commit(&self, mut frame: Frame) -> Result<()> {
        let length = aligned(frame.bytes.len() as u64);
        let (named, generation, start) = loop {
            if let Some(room) = self.take_room(length) {
                break room;
            }
            self.leave_active().await?;
            match self.activate().await {
                Err(error) if error.is_no_space() => self.stall(error).await?,
                done => done?,
            }
        };
        let payload = &frame.bytes[FRAME_HEADER_BYTES..];
        let header = FrameHeader {
            generation,
            first_lsn: frame.first,
            synced_lsn: self.synced.get(),
            count: frame.count,
            payload_crc: crc32c::crc32c(payload),
            payload_bytes: payload.len() as u32,
        };
        header.write(&mut frame.bytes);

        let is_synced = self.config.sync == WalSync::Always;
        let is_whole = frame.bytes.len() <= IO_BYTES_MAX;
        let mut offset = start;
        for piece in frame.bytes.chunks(IO_BYTES_MAX) {
            loop {
                let mut buffer = self.disk.buffer(aligned(piece.len() as u64) as usize);
                buffer.as_mut()[..piece.len()].copy_from_slice(piece);
                let written = match is_synced && is_whole {
                    true => named.file.write_durable(offset, buffer).await,
                    false => named.file.write(offset, buffer).await,
                };
                match written {
                    // Where reserved space is no promise. The same bytes may go to the same place later: they are
                    // written again then, not only synced again.
                    Err(error) if error.is_no_space() => self.stall(error).await?,
                    done => break done?,
                }
            }
            offset += piece.len() as u64;
        }
        if is_synced && !is_whole {
            named.file.sync().await?;
        }
        let last = Lsn(frame.first.0 + u64::from(frame.count) - 1);
        self.written.set(last);
        if is_synced {
            self.synced.set(last);
        }
        self.count(|stats| {
            stats.commits += 1;
            stats.bytes += length;
            stats.syncs += u64::from(is_synced);
        });
        self.recycle(frame);
        Ok(())
    }

    /// Makes durable what is written: all of it is in the active file, since a full one is synced when it is left.
    pub(super) async fn sync_active(&self) -> Result<()> {
        let written = self.written.get();
        let file = self.files.borrow().active.as_ref().map(|active| active.named.file.clone());
        if let Some(file) = file {
            file.sync().await?;
            self.count(|stats| stats.syncs += 1);
        }
        self.synced.set(written);
        Ok(())
    }
}
