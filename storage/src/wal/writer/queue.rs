//! Records that wait for their commit, joined to frames.

use std::collections::VecDeque;

use super::Wal;
use crate::disk::Disk;
use crate::error::{Error, Result};
use crate::wal::Lsn;
use crate::wal::delete::Delete;
use crate::wal::frame::{
    FILE_HEADER_BYTES, FRAME_HEADER_BYTES, RECORD_DELETE, RECORD_HEADER_BYTES, RECORD_ROWS, finish_record,
};
use crate::wal::record::{Encoder, RowsRef};

/// A frame takes no further record past this: a commit of 1 MiB takes well under a millisecond, and a longer one
/// would let its first writer wait for the last.
const FRAME_BYTES_SOFT: usize = 1 << 20;

/// Records not yet committed.
#[derive(Debug, Default)]
pub(super) struct Queue {
    pub(super) frames: VecDeque<Frame>,
    encoder: Encoder,
    /// Memory of the last committed frame, for the next.
    spare: Vec<u8>,
    /// Bytes of the frames above and of the one in flight.
    pub(super) bytes: usize,
}

/// A commit to be: room for the frame's header, then records.
#[derive(Debug)]
pub(super) struct Frame {
    pub(super) bytes: Vec<u8>,
    pub(super) first: Lsn,
    pub(super) count: u32,
}

impl<D: Disk> Wal<D> {
    /// Where the queue ends now, for [`Wal::rollback`].
    pub fn mark(&self) -> Mark {
        let queue = self.queue.borrow();
        let last = queue.frames.back().map_or((0, 0), |frame| (frame.bytes.len(), frame.count));
        Mark { appended: self.appended.get(), frames: queue.frames.len(), last, bytes: queue.bytes }
    }

    /// Takes back every record queued since `mark`: for one that is of several and cannot be queued. Nothing may have
    /// been awaited in between, so that none of them has gone to a file.
    pub fn rollback(&self, mark: &Mark) {
        let mut queue = self.queue.borrow_mut();
        debug_assert!(queue.frames.len() >= mark.frames, "BUG: a frame was committed behind a mark");
        queue.frames.truncate(mark.frames);
        if let Some(frame) = queue.frames.back_mut() {
            frame.bytes.truncate(mark.last.0);
            frame.count = mark.last.1;
        }
        queue.bytes = mark.bytes;
        self.appended.set(mark.appended);
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
            return Err(match encoded {
                Err(reason) => Error::Rejected(reason),
                Ok(()) => Error::RecordTooLarge { bytes: record_bytes as u64, bytes_max: self.config.file_bytes },
            });
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

    /// The frame is written: its bytes wait no more, and its memory serves the next one.
    pub(super) fn recycle(&self, mut frame: Frame) {
        let mut queue = self.queue.borrow_mut();
        queue.bytes -= (frame.bytes.len() - FRAME_HEADER_BYTES).min(queue.bytes);
        if frame.bytes.capacity() <= 2 * FRAME_BYTES_SOFT {
            frame.bytes.clear();
            queue.spare = frame.bytes;
        }
    }

    /// Longest frame that fits into an empty file.
    fn frame_bytes_max(&self) -> usize {
        (self.config.file_bytes as usize).saturating_sub(FILE_HEADER_BYTES)
    }
}

/// An end of the queue.
#[derive(Debug)]
pub struct Mark {
    appended: Lsn,
    frames: usize,
    /// Length and records of the last frame.
    last: (usize, u32),
    bytes: usize,
}

impl Frame {
    fn new(first: Lsn, mut bytes: Vec<u8>) -> Self {
        bytes.clear();
        bytes.resize(FRAME_HEADER_BYTES, 0);
        Self { bytes, first, count: 0 }
    }
}
