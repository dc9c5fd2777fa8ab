//! Writing the log: records are queued at once and committed by one task.
//!
//! 1. `append` encodes a record into the last queued frame, or opens a new one when that is full.
//! 2. The commit loop takes the first queued frame, stamps its header, writes it at the end of the active file, syncs
//!    (`WalSync::Always`) and wakes the waiters; then the next.
//! 3. When a frame does not fit, the file is full: it is synced, and a spare becomes active under a new generation.
//!    A second loop beside the first prepares a spare once the active file is half full. After a start that found no
//!    file to use again, it prepares the first one while the shard serves reads already; the first commit waits for it.
//! 4. Where there is no space for a spare, the log stalls: appends and waiters are told so, what is queued waits. Each
//!    refused append lets the second loop try anew, and so does a `release`; then the log goes on where it was.
//! 5. After a failure the log takes nothing until [`Wal::heal`] has shown on a new file that writes last.
//! 6. `release` hands back files whose records are all in segments; one is kept as a spare, others are removed.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use super::delete::Delete;
use super::frame::{
    FILE_HEADER_BYTES, FRAME_HEADER_BYTES, FileHeader, FrameHeader, RECORD_DELETE, RECORD_HEADER_BYTES, RECORD_ROWS,
    WAL_VERSION, aligned, finish_record,
};
use super::reader::Recovered;
use super::record::{Encoder, RowsRef};
use super::{Lsn, WalSync};
use crate::disk::{Disk, DiskFile, IO_BYTES_MAX, OpenMode};
use crate::error::{Error, Result};
use crate::signal::Signal;

/// A frame takes no further record past this: a commit of 1 MiB takes well under a millisecond, and a longer one
/// would let its first writer wait for the last.
const FRAME_BYTES_SOFT: usize = 1 << 20;

/// Spares kept; more than one would be disk space for nothing, since one is prepared while one is filled.
const SPARES_MAX: usize = 1;

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

/// Records not yet committed.
#[derive(Debug, Default)]
struct Queue {
    frames: VecDeque<Frame>,
    encoder: Encoder,
    /// Memory of the last committed frame, for the next.
    spare: Vec<u8>,
    /// Bytes of the frames above and of the one in flight.
    bytes: usize,
}

/// A commit to be: room for the frame's header, then records.
#[derive(Debug)]
struct Frame {
    bytes: Vec<u8>,
    first: Lsn,
    count: u32,
}

struct Files<D: Disk> {
    active: Option<Active<D>>,
    full: VecDeque<Full<D>>,
    spares: Vec<Named<D>>,
    next_generation: u64,
    next_slot: u64,
}

/// An open file and its name.
pub struct Named<D: Disk> {
    /// The file.
    pub file: Rc<D::File>,
    /// Its name.
    pub path: PathBuf,
}

struct Active<D: Disk> {
    named: Named<D>,
    generation: u64,
    /// Where the next frame goes.
    end: u64,
}

/// A file that takes no more frames.
pub struct Full<D: Disk> {
    /// The file.
    pub named: Named<D>,
    /// Its length.
    pub length: u64,
    /// Its last record.
    pub last_lsn: Lsn,
}

impl<D: Disk> Clone for Named<D> {
    fn clone(&self) -> Self {
        Self { file: self.file.clone(), path: self.path.clone() }
    }
}

/// What the commit loop does next.
enum Work {
    Commit(Frame),
    Sync,
    End,
}

impl<D: Disk> Wal<D> {
    /// Goes on after a recovery, in a new file: what lies behind a torn tail is never written over while its
    /// generation could still be read.
    pub async fn open(disk: D, folder: &Path, config: WalConfig, recovered: Recovered<D>) -> Result<Self> {
        let last = recovered.next_lsn.previous();
        let mut full = recovered.live;
        full.sort_by_key(|file| file.last_lsn);
        let wal = Self {
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

    /// Queues a record of rows and gives its LSN. Nothing is queued on an error.
    pub fn append(&self, rows: &RowsRef<'_>) -> Result<Lsn> {
        self.queue(RECORD_ROWS, |encoder, out| encoder.encode(rows, out))
    }

    /// Queues a delete and gives its LSN. Nothing is queued on an error.
    pub fn append_delete(&self, delete: &Delete) -> Result<Lsn> {
        self.queue(RECORD_DELETE, |_, out| delete.encode(out))
    }

    fn queue(
        &self,
        kind: u32,
        encode: impl FnOnce(&mut Encoder, &mut Vec<u8>) -> std::result::Result<(), String>,
    ) -> Result<Lsn> {
        self.check_open()?;
        let mut queue = self.queue.borrow_mut();
        let Queue { frames, encoder, spare, bytes } = &mut *queue;
        let lsn = self.appended.get().next();
        let mut frame = match frames.pop_back_if(|frame| frame.bytes.len() < FRAME_BYTES_SOFT) {
            Some(frame) => frame,
            None => Frame::new(lsn, std::mem::take(spare)),
        };

        let start = frame.bytes.len();
        frame.bytes.resize(start + RECORD_HEADER_BYTES, 0);
        let encoded = encode(encoder, &mut frame.bytes);
        let record_bytes = frame.bytes.len() - start;
        if encoded.is_err() || FRAME_HEADER_BYTES + record_bytes > self.frame_bytes_max() {
            frame.bytes.truncate(start);
            if frame.count > 0 {
                frames.push_back(frame);
            }
            return Err(Error::Rejected(encoded.err().unwrap_or_else(|| {
                format!(
                    "{record_bytes} bytes of a record do not fit into a log file of {} bytes",
                    self.config.file_bytes
                )
            })));
        }
        finish_record(&mut frame.bytes, start, kind, lsn);
        if frame.bytes.len() > self.frame_bytes_max() {
            // The record fits into a file, but not behind its elders in one frame.
            let mut own = Frame::new(lsn, Vec::new());
            own.bytes.extend_from_slice(&frame.bytes[start..]);
            frame.bytes.truncate(start);
            frames.push_back(frame);
            frame = own;
        }
        frame.count += 1;
        frames.push_back(frame);
        *bytes += record_bytes;
        drop(queue);
        self.appended.set(lsn);
        self.work.notify();
        Ok(lsn)
    }

    /// Waits until the record `lsn` is as safe as the log's mode promises.
    pub async fn durable(&self, lsn: Lsn) -> Result<()> {
        match self.config.sync {
            WalSync::Always => self.reached(&self.synced, lsn).await,
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

    async fn commit_loop(&self) -> Result<()> {
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

    /// Nothing more is committed, and nobody is told that something is durable.
    fn fail(&self, reason: String) {
        log::error!("shard {} takes no writes any more: {reason}", self.config.shard);
        *self.failed.borrow_mut() = Some(reason);
        let mut queue = self.queue.borrow_mut();
        queue.frames.clear();
        queue.bytes = 0;
        drop(queue);
        self.progress.notify();
        self.work.notify();
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

    /// The frame is written: its bytes wait no more, and its memory serves the next one.
    fn recycle(&self, mut frame: Frame) {
        let mut queue = self.queue.borrow_mut();
        queue.bytes -= (frame.bytes.len() - FRAME_HEADER_BYTES).min(queue.bytes);
        if frame.bytes.capacity() <= 2 * FRAME_BYTES_SOFT {
            frame.bytes.clear();
            queue.spare = frame.bytes;
        }
    }

    /// Takes `length` bytes at the end of the active file: the file, its generation and the offset.
    fn take_room(&self, length: u64) -> Option<(Named<D>, u64, u64)> {
        let mut files = self.files.borrow_mut();
        let active = files.active.as_mut()?;
        let start = active.end;
        if start + length > self.config.file_bytes {
            return None;
        }
        active.end += length;
        Some((active.named.clone(), active.generation, start))
    }

    /// Makes durable what is written: all of it is in the active file, since a full one is synced when it is left.
    async fn sync_active(&self) -> Result<()> {
        let written = self.written.get();
        let file = self.files.borrow().active.as_ref().map(|active| active.named.file.clone());
        if let Some(file) = file {
            file.sync().await?;
            self.count(|stats| stats.syncs += 1);
        }
        self.synced.set(written);
        Ok(())
    }

    /// Leaves the active file, if there is one: it is full.
    async fn leave_active(&self) -> Result<()> {
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
    async fn activate(&self) -> Result<()> {
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

    /// Tells everybody that there is no space, and waits until there may be some. The error comes back when the log is
    /// closed instead.
    async fn stall(&self, error: Error) -> Result<()> {
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
    fn go_on(&self) {
        if self.stalled.borrow_mut().take().is_some() {
            log::info!("shard {} takes writes again", self.config.shard);
        }
        self.progress.notify();
    }

    /// Somebody wants to know whether there is space again.
    fn ask_for_space(&self) {
        if self.stalled.borrow().is_some() && !self.retry.replace(true) {
            self.work.notify();
        }
    }

    /// Makes a spare whenever the next change of files is near.
    async fn spare_loop(&self) -> Result<()> {
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

    async fn make_spare(&self) -> Result<()> {
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
        file.allocate(self.config.file_bytes).await?;
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

    /// Takes records again after a failure, when [`Wal::run`] has ended and everything appended is in segments, as
    /// `flushed` says. The files that failed are given up: nothing in them is wanted, and no sync of theirs is tried
    /// again. A new file must take zeros and a header, and give them back. After an error the log is as failed as before.
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

    /// Makes a new file active, and looks at what was written to it: a header, which is shorter than that of a frame, and
    /// zeros.
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
            let header_is_good = offset > 0 || FileHeader::read(bytes.as_ref()).is_some();
            let rest_is_good = bytes.as_ref().get(zeros..).is_some_and(|rest| rest.iter().all(|byte| *byte == 0));
            if bytes.as_ref().len() != length || !header_is_good || !rest_is_good {
                return Err(Error::corrupt(&path, offset, "a new log file does not give back what was written to it"));
            }
            offset += length as u64;
        }
        Ok(())
    }

    /// The last record appended.
    pub fn appended(&self) -> Lsn {
        self.appended.get()
    }

    /// Memory of records that are not yet in a file.
    pub fn pending_bytes(&self) -> usize {
        self.queue.borrow().bytes
    }

    /// Counts since the log was opened.
    pub fn stats(&self) -> WalStats {
        let files = self.files.borrow();
        let count = files.full.len() + files.spares.len() + usize::from(files.active.is_some());
        WalStats { files: count as u64, ..self.stats.get() }
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

    fn check_stalled(&self) -> Result<()> {
        match self.stalled.borrow().as_ref() {
            Some(reason) => Err(Error::NoSpace { shard: self.config.shard, reason: reason.clone() }),
            None => Ok(()),
        }
    }

    fn check_failed(&self) -> Result<()> {
        match self.failed.borrow().as_ref() {
            Some(reason) => Err(Error::LogFailed { shard: self.config.shard, reason: reason.clone() }),
            None => Ok(()),
        }
    }

    /// Longest frame that fits into an empty file.
    fn frame_bytes_max(&self) -> usize {
        (self.config.file_bytes as usize).saturating_sub(FILE_HEADER_BYTES)
    }

    fn count(&self, change: impl FnOnce(&mut WalStats)) {
        let mut stats = self.stats.get();
        change(&mut stats);
        self.stats.set(stats);
    }
}

impl Frame {
    fn new(first: Lsn, mut bytes: Vec<u8>) -> Self {
        bytes.clear();
        bytes.resize(FRAME_HEADER_BYTES, 0);
        Self { bytes, first, count: 0 }
    }
}

/// Name of the file in slot `slot`. Slots are never used again, so that a removed file's name stands for nothing else.
pub(super) fn file_name(slot: u64) -> String {
    format!("{slot:08}.wal")
}

/// The slot of a file name that [`file_name`] made.
pub(super) fn file_slot(name: &str) -> Option<u64> {
    let slot = name.strip_suffix(".wal")?.parse().ok()?;
    (file_name(slot) == name).then_some(slot)
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
