//! Reading the log back after a stop of any kind.
//!
//! 1. Files are put in order by the generation in their headers. Reading starts in the last one that begins at or
//!    before the first record wanted; older ones are free, and so are files without a header.
//! 2. In each file, frames are read as long as they are whole, of the file's generation, and in sequence. A file that
//!    is not the last must reach up to where the next one begins (generations may have gaps: a file that never got a
//!    frame is used again under a later one).
//! 3. In the last file, what follows the last good frame is a commit that the crash cut short, unless a later frame
//!    testifies that it had been synced before: then it is damage. Only without sync can there be frames behind a hole
//!    that do not testify so; they are cut off with it.
//!
//! Records that are in segments already are not wanted: where they cannot be read, reading goes on at the first good
//! frame behind them that testifies that they were durable, unless one that is wanted may be missing between.
//!
//! What the reader cannot tell from a torn commit is damage to the very last one.
//!
//! 4. What is read may be in a cache only and never leave it: after a failed sync the system may call pages clean that
//!    never reached the disk, and a later sync does not report them. So the frames of the last file that no
//!    later frame testifies to be durable are written again as they are, and synced, before anything builds on them.

use std::collections::VecDeque;
use std::path::{Path, PathBuf};

use rkyv::util::AlignedVec;

use super::Lsn;
use super::delete::Delete;
use super::folder::{Found, Full, Named, Recovered, check_read, list, read_block};
use super::frame::{
    FILE_HEADER_BYTES, FRAME_HEADER_BYTES, FileHeader, FrameHeader, RECORD_ALIGN, RECORD_DELETE, RECORD_ROWS, aligned,
    split_record,
};
use super::record::Rows;
use crate::disk::{DISK_ALIGN, Disk, DiskFile, IO_BYTES_MAX, OpenMode};
use crate::error::{Error, Result};

/// Times that a frame is read before it counts as none: a wrong bit in a transfer is seldom, three in a row are no
/// accident, and the last frame of a log costs this many reads at each start.
const READS_MAX: usize = 3;
/// What one record says.
#[derive(Debug)]
pub enum Record {
    /// Rows came.
    Rows(Rows),
    /// Rows went.
    Delete(Delete),
}

/// Reads the log of `shard` in `folder`, which must exist, and hands every record after `flushed` to `take`, in order.
pub async fn recover<D: Disk>(
    disk: &D,
    folder: &Path,
    shard: u32,
    flushed: Lsn,
    mut take: impl FnMut(Lsn, Record) -> Result<(), String>,
) -> Result<Recovered<D>> {
    let (mut files, free, slot_max) = list(disk, folder, shard, OpenMode::ReadWrite).await?;
    files.sort_by_key(|file| file.header.generation);
    let generation_max = files.last().map_or(0, |file| file.header.generation);
    check_headerless(&free, generation_max).await?;

    let first = files.iter().rposition(|file| file.header.first_lsn <= flushed.next()).unwrap_or(0);
    let wanted = files.split_off(first);
    let mut recovered = Recovered {
        live: Vec::new(),
        free,
        next_lsn: flushed.next(),
        generation_max,
        slot_max,
        records: 0,
        bytes: 0,
        torn: None,
    };
    recovered.free.extend(files.into_iter().map(|file| file.named));
    if let Some(first) = wanted.first().filter(|first| first.header.first_lsn > flushed.next()) {
        let reason =
            format!("the log begins with record {}, but {} is missing", first.header.first_lsn.0, flushed.next().0);
        return Err(Error::corrupt(&first.named.path, 0, reason));
    }

    let mut wanted = wanted.into_iter().peekable();
    while let Some(file) = wanted.next() {
        let until = wanted.peek().map(|next| next.header.first_lsn);
        let (next, unproven) = read_file(&file, until, flushed, &mut take, &mut recovered).await?;
        recovered.next_lsn = recovered.next_lsn.max(next);
        if next > file.header.first_lsn.max(flushed.next()) {
            if wanted.peek().is_none() {
                rewrite(disk, &file, &unproven).await?;
            }
            let Found { named, length, .. } = file;
            recovered.live.push(Full { named, length, last_lsn: next.previous() });
        } else {
            recovered.free.push(file.named);
        }
    }
    Ok(recovered)
}

/// Writes the frames that begin at `offsets` again as they are, and makes them durable.
async fn rewrite<D: Disk>(disk: &D, file: &Found<D>, offsets: &[u64]) -> Result<()> {
    let mut window = Window::new(&*file.named.file, &file.named.path, file.length);
    for &start in offsets {
        // Read and checked anew: what a bad transfer gives must not become what the file holds.
        let Some(header) = good_frame(&mut window, start, file.header.generation).await? else {
            return Err(Error::corrupt(&file.named.path, start, "a log frame reads well once, and then does not"));
        };
        let frame = window.get(start, header.frame_bytes()).await?.unwrap_or_default();
        let mut offset = start;
        for piece in frame.chunks(IO_BYTES_MAX) {
            let mut buffer = disk.buffer(piece.len());
            buffer.as_mut().copy_from_slice(piece);
            file.named.file.write(offset, buffer).await?;
            offset += piece.len() as u64;
        }
    }
    file.named.file.sync().await
}

/// A header is synced before the first frame is written, so a file with a frame of the next generation has lost its
/// header to damage.
pub(super) async fn check_headerless<D: Disk>(free: &[Named<D>], generation_max: u64) -> Result<()> {
    for named in free {
        let length = named.file.length().await?;
        if length <= FILE_HEADER_BYTES as u64 {
            continue;
        }
        let block = read_block(&*named.file, &named.path, length, FILE_HEADER_BYTES as u64).await?;
        if FrameHeader::read(block.as_ref()).is_some_and(|frame| frame.generation > generation_max) {
            return Err(Error::corrupt(&named.path, 0, "the log file's header is damaged, and records follow it"));
        }
    }
    Ok(())
}

/// Reads the frames of one file; gives the LSN after its last record, and the offsets of the frames that none of its
/// own testifies to be durable. `until`: where the next file begins.
async fn read_file<D: Disk>(
    file: &Found<D>,
    until: Option<Lsn>,
    flushed: Lsn,
    take: &mut impl FnMut(Lsn, Record) -> Result<(), String>,
    recovered: &mut Recovered<D>,
) -> Result<(Lsn, Vec<u64>)> {
    let path = &file.named.path;
    let mut window = Window::new(&*file.named.file, &file.named.path, file.length);
    let mut offset = FILE_HEADER_BYTES as u64;
    let mut next = file.header.first_lsn;
    let mut unproven: VecDeque<(Lsn, u64)> = VecDeque::new();
    while until.is_none_or(|until| next < until) {
        let frame = sure_frame(&mut window, offset, file.header.generation).await?;
        let header = match frame.filter(|header| header.first_lsn == next) {
            Some(header) => header,
            // What is in segments already is not wanted, whatever has become of it here.
            None if next <= flushed => match later_frame(&mut window, offset, &file.header, next, flushed).await? {
                Some((at, header)) => {
                    (offset, next) = (at, header.first_lsn);
                    header
                }
                None => break,
            },
            None => break,
        };
        let frame = window.get(offset, header.frame_bytes()).await?.unwrap_or_default();
        let payload = frame.get(FRAME_HEADER_BYTES..).and_then(|p| p.get(..header.payload_bytes as usize));
        let end = Lsn(next.0 + u64::from(header.count));
        let records = read_records(payload.unwrap_or_default(), next, end, flushed, take);
        recovered.records += records.map_err(|reason| Error::corrupt(path, offset, reason))?;
        while unproven.pop_front_if(|(last, _)| *last <= header.synced_lsn).is_some() {}
        unproven.push_back((end.previous(), offset));
        recovered.bytes += header.frame_bytes();
        offset += header.frame_bytes();
        next = end;
    }
    if let Some(until) = until
        && next < until
    {
        // The next file's header says that these records were synced.
        let reason = format!("log record {} cannot be read, but later ones can", next.0);
        return Err(Error::corrupt(path, offset, reason));
    }
    if until.is_none() {
        recovered.torn = check_tail(&mut window, path, offset, file.header.generation, next).await?;
    }
    Ok((next, unproven.into_iter().map(|(_, offset)| offset).collect()))
}

/// Hands out the records of a payload that are wanted, and counts them.
pub(super) fn read_records(
    mut payload: &[u8],
    first: Lsn,
    end: Lsn,
    flushed: Lsn,
    take: &mut impl FnMut(Lsn, Record) -> Result<(), String>,
) -> Result<u64, String> {
    let (mut expected, mut taken) = (first, 0);
    while expected < end {
        let (lsn, kind, archive, rest) = split_record(payload).ok_or("a log frame is not made of whole records")?;
        if lsn != expected || ![RECORD_ROWS, RECORD_DELETE].contains(&kind) {
            return Err(format!("log record {} of kind {kind} where {} is expected", lsn.0, expected.0));
        }
        if lsn > flushed {
            let record = match kind {
                RECORD_DELETE => Record::Delete(Delete::decode(archive)?),
                _ => Record::Rows(Rows::decode(archive)?),
            };
            take(lsn, record)?;
            taken += 1;
        }
        expected = expected.next();
        payload = rest;
    }
    Ok(taken)
}

/// Looks behind the last good frame, which ends at `offset`: gives the place of a torn commit if it left a trace, and
/// an error where something that had been durable cannot be read.
pub(super) async fn check_tail<F: DiskFile>(
    window: &mut Window<'_, F>,
    path: &Path,
    offset: u64,
    generation: u64,
    next: Lsn,
) -> Result<Option<(PathBuf, u64)>> {
    let mut torn = None;
    let mut at = offset;
    while at + FRAME_HEADER_BYTES as u64 <= window.length {
        let header = window.get(at, DISK_ALIGN as u64).await?.and_then(FrameHeader::read);
        let Some(header) = header.filter(|header| header.generation == generation && header.first_lsn >= next) else {
            at += DISK_ALIGN as u64;
            continue;
        };
        if header.synced_lsn >= next {
            let reason = format!(
                "log record {} cannot be read, but was durable when {} was written",
                next.0, header.first_lsn.0
            );
            return Err(Error::corrupt(path, offset, reason));
        }
        torn = Some((path.to_owned(), offset));
        at += DISK_ALIGN as u64;
    }
    Ok(torn)
}

/// The first good frame behind `offset` whose records follow `next`, and none that is wanted comes before it. It must
/// testify that `next` was durable: else it may be what is left of a commit that was cut off at an earlier start, after
/// which other records got its numbers, and went into segments without ever reaching the log.
async fn later_frame<F: DiskFile>(
    window: &mut Window<'_, F>,
    offset: u64,
    file: &FileHeader,
    next: Lsn,
    flushed: Lsn,
) -> Result<Option<(u64, FrameHeader)>> {
    let mut at = offset + DISK_ALIGN as u64;
    while at + FRAME_HEADER_BYTES as u64 <= window.length {
        if let Some(header) = good_frame(window, at, file.generation).await?
            && header.first_lsn >= next
        {
            let is_wanted = header.first_lsn <= flushed.next() && header.synced_lsn >= next;
            return Ok(is_wanted.then_some((at, header)));
        }
        at += DISK_ALIGN as u64;
    }
    Ok(None)
}

/// As [`good_frame`]; what is no good frame is read again, since a bad transfer must not pass for the log's end.
pub(super) async fn sure_frame<F: DiskFile>(
    window: &mut Window<'_, F>,
    offset: u64,
    generation: u64,
) -> Result<Option<FrameHeader>> {
    for _ in 0..READS_MAX - 1 {
        if let Some(header) = good_frame(window, offset, generation).await? {
            return Ok(Some(header));
        }
        window.forget();
    }
    good_frame(window, offset, generation).await
}

/// The header at `offset`, if it is of this generation and its payload is whole.
pub(super) async fn good_frame<F: DiskFile>(
    window: &mut Window<'_, F>,
    offset: u64,
    generation: u64,
) -> Result<Option<FrameHeader>> {
    let header = window.get(offset, DISK_ALIGN as u64).await?.and_then(FrameHeader::read);
    let Some(header) = header.filter(|header| header.generation == generation && header.count > 0) else {
        return Ok(None);
    };
    let Some(frame) = window.get(offset, header.frame_bytes()).await? else { return Ok(None) };
    let payload = &frame[FRAME_HEADER_BYTES..FRAME_HEADER_BYTES + header.payload_bytes as usize];
    Ok((crc32c::crc32c(payload) == header.payload_crc).then_some(header))
}

/// Bytes of a file, read ahead.
pub(super) struct Window<'a, F: DiskFile> {
    file: &'a F,
    path: &'a Path,
    /// Offset in the file of the bytes held.
    start: u64,
    bytes: AlignedVec<RECORD_ALIGN>,
    /// Of the file.
    length: u64,
}

impl<'a, F: DiskFile> Window<'a, F> {
    pub(super) fn new(file: &'a F, path: &'a Path, length: u64) -> Self {
        Self { file, path, start: 0, bytes: AlignedVec::new(), length }
    }

    /// The next bytes come from the file.
    pub(super) fn forget(&mut self) {
        self.bytes.clear();
    }

    /// `length` bytes at `offset`, both multiples of the block size; `None` past the end of the file.
    pub(super) async fn get(&mut self, offset: u64, length: u64) -> Result<Option<&[u8]>> {
        if offset.checked_add(length).is_none_or(|end| end > self.length) {
            return Ok(None);
        }
        let held = self.start + self.bytes.len() as u64;
        if offset < self.start || offset + length > held {
            self.bytes.clear();
            self.start = offset;
            let wanted = length.max(IO_BYTES_MAX as u64).min(aligned(self.length - offset));
            while (self.bytes.len() as u64) < wanted {
                let at = offset + self.bytes.len() as u64;
                let piece =
                    self.file.read(at, (wanted - self.bytes.len() as u64).min(IO_BYTES_MAX as u64) as usize).await?;
                self.bytes.extend_from_slice(piece.as_ref());
                if !piece.as_ref().len().is_multiple_of(DISK_ALIGN) || piece.as_ref().is_empty() {
                    break;
                }
            }
            let there = wanted.min(self.length - offset);
            if let Err(error) = check_read(self.path, offset, self.bytes.len(), there) {
                self.bytes.clear();
                return Err(error);
            }
        }
        let from = (offset - self.start) as usize;
        Ok(self.bytes.get(from..).and_then(|bytes| bytes.get(..length as usize)))
    }
}
