//! Reading the log without changing it, also while a server writes it.
//!
//! 1. Files are listed and ordered as at a start. A file that goes away meanwhile held nothing that is wanted, or the
//!    manifest has moved on, which is for the caller to see: it reads the manifest before and after.
//! 2. Frames are read as long as they are whole, of their file's generation, and in sequence. The end is where no whole
//!    frame follows: a frame that is being written has not been acknowledged yet.
//! 3. Where a later frame says that the missing one was durable, that one came while the end was looked for, and is
//!    read now; if it still cannot be, it is damaged.
//!
//! So what is read is a beginning of the log that holds every record that was durable before the reading began. A file
//! that came into use between the first and the last look at the folder can leave a gap, which is reported as damage:
//! on a live server only what is reported again and again is damage.

use std::path::{Path, PathBuf};

use super::Lsn;
use super::folder::{Found, list};
use super::frame::{FILE_HEADER_BYTES, FRAME_HEADER_BYTES, FileHeader, FrameHeader, WAL_VERSION};
use super::reader::{Record, Window, check_headerless, check_tail, read_records, sure_frame};
use crate::disk::{DISK_ALIGN, Disk, DiskFile, IO_BYTES_MAX, OpenMode};
use crate::error::{Error, Result};

/// A log file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogFile {
    /// Its path.
    pub path: PathBuf,
    /// Its length.
    pub bytes: u64,
    /// Generation and first LSN, where it has a header.
    pub header: Option<(u64, Lsn)>,
    /// Where its last whole frame ends; 0 where none of its records is wanted.
    pub end: u64,
}

/// What a log holds.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LogSummary {
    /// All files, in the order of the log, those without a header first.
    pub files: Vec<LogFile>,
    /// The last record, or the flushed one.
    pub last_lsn: Lsn,
    /// Frames with records after the flushed one.
    pub frames: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Where a commit was cut short, or is being written.
    pub torn: Option<(PathBuf, u64)>,
}

/// A whole frame that has a record after the flushed one.
#[derive(Debug, Clone, Copy)]
pub struct LogFrame<'a> {
    path: &'a Path,
    offset: u64,
    header: FrameHeader,
    bytes: &'a [u8],
}

/// A log that was written by [`copy_log`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CopiedLog {
    /// Length of the file.
    pub bytes: u64,
    /// Checksum of the file.
    pub crc32c: u32,
    /// The log as it was read.
    pub log: LogSummary,
}

impl LogFrame<'_> {
    /// Hands out the records after `flushed`.
    pub fn records(&self, flushed: Lsn, mut take: impl FnMut(Lsn, Record) -> Result<(), String>) -> Result<()> {
        let first = self.header.first_lsn;
        let payload = self.bytes.get(FRAME_HEADER_BYTES..).and_then(|p| p.get(..self.header.payload_bytes as usize));
        let read = read_records(payload.unwrap_or_default(), first, self.end(), flushed, &mut take);
        read.map(|_| ()).map_err(|reason| Error::corrupt(self.path, self.offset, reason))
    }

    /// The LSN after its last record.
    fn end(&self) -> Lsn {
        Lsn(self.header.first_lsn.0.saturating_add(u64::from(self.header.count)))
    }
}

/// Reads the log of `shard` in `folder`, and hands every frame that has a record after `flushed` to `take`, in order.
pub async fn read_log<D: Disk>(
    disk: &D,
    folder: &Path,
    shard: u32,
    flushed: Lsn,
    mut take: impl AsyncFnMut(LogFrame<'_>) -> Result<()>,
) -> Result<LogSummary> {
    let (mut files, free, _) = list(disk, folder, shard, OpenMode::Read).await?;
    files.sort_by_key(|file| file.header.generation);
    check_headerless(&free, files.last().map_or(0, |file| file.header.generation)).await?;

    let mut log = LogSummary { last_lsn: flushed, ..LogSummary::default() };
    for named in free {
        let bytes = named.file.length().await?;
        log.files.push(LogFile { path: named.path, bytes, header: None, end: 0 });
    }
    let first = files.iter().rposition(|file| file.header.first_lsn <= flushed.next()).unwrap_or(0);
    if let Some(found) = files.get(first).filter(|found| found.header.first_lsn > flushed.next()) {
        let reason =
            format!("the log begins with record {}, but {} is missing", found.header.first_lsn.0, flushed.next().0);
        return Err(Error::corrupt(&found.named.path, 0, reason));
    }
    for (number, file) in files.iter().enumerate() {
        let mut entry = LogFile {
            path: file.named.path.clone(),
            bytes: file.length,
            header: Some((file.header.generation, file.header.first_lsn)),
            end: 0,
        };
        if number >= first {
            let until = files.get(number + 1).map(|next| next.header.first_lsn);
            entry.end = read_file(file, until, flushed, &mut log, &mut take).await?;
        }
        log.files.push(entry);
    }
    Ok(log)
}

/// Reads the wanted frames of one file, up to where the next one begins, and gives the offset after the last.
async fn read_file<D: Disk>(
    file: &Found<D>,
    until: Option<Lsn>,
    flushed: Lsn,
    log: &mut LogSummary,
    take: &mut impl AsyncFnMut(LogFrame<'_>) -> Result<()>,
) -> Result<u64> {
    let (path, generation) = (&file.named.path, file.header.generation);
    let mut window = Window::new(&*file.named.file, &file.named.path, file.length);
    let mut offset = FILE_HEADER_BYTES as u64;
    let mut next = file.header.first_lsn;
    loop {
        while until.is_none_or(|until| next < until) {
            let header = sure_frame(&mut window, offset, generation).await?;
            let Some(header) = header.filter(|header| header.first_lsn == next) else { break };
            let Some(bytes) = window.get(offset, header.frame_bytes()).await? else { break };
            let frame = LogFrame { path, offset, header, bytes };
            next = frame.end();
            if next > flushed.next() {
                log.frames += 1;
                log.bytes += header.frame_bytes();
                take(frame).await?;
            }
            offset += header.frame_bytes();
        }
        log.last_lsn = log.last_lsn.max(next.previous());
        match until {
            Some(until) if next < until => {
                let reason = format!("log record {} cannot be read, but later ones can", next.0);
                return Err(Error::corrupt(path, offset, reason));
            }
            Some(_) => return Ok(offset),
            None => {}
        }
        match check_tail(&mut window, path, offset, generation, next).await {
            Ok(torn) => {
                log.torn = torn;
                return Ok(offset);
            }
            Err(damage) => {
                window.forget();
                let header = sure_frame(&mut window, offset, generation).await?;
                if header.is_none_or(|header| header.first_lsn != next) {
                    return Err(damage);
                }
            }
        }
    }
}

/// Writes the records after `flushed`, as [`read_log`] finds them, into `target`: a new log file that a shard whose
/// manifest says `flushed` goes on from. It is durable afterwards, but for its name.
pub async fn copy_log<D: Disk>(disk: &D, folder: &Path, shard: u32, flushed: Lsn, target: &Path) -> Result<CopiedLog> {
    let mut out = Out { file: disk.open(target, OpenMode::Create).await?, disk, pending: Vec::new(), bytes: 0, crc: 0 };
    let begin = |first_lsn: Lsn| {
        let mut block = vec![0; FILE_HEADER_BYTES];
        FileHeader { version: WAL_VERSION, shard, generation: GENERATION, first_lsn }.write(&mut block);
        block
    };
    let mut is_begun = false;
    let log = read_log(disk, folder, shard, flushed, async |frame: LogFrame<'_>| {
        if !std::mem::replace(&mut is_begun, true) {
            out.push(&begin(frame.header.first_lsn)).await?;
        }
        let mut bytes = frame.bytes.to_vec();
        // All of the copy is durable before it is used, so that a frame that is missing in it is damage, and none was
        // cut short by a crash.
        let synced_lsn = frame.header.first_lsn.previous();
        FrameHeader { generation: GENERATION, synced_lsn, ..frame.header }.write(&mut bytes);
        out.push(&bytes).await
    })
    .await?;
    if !is_begun {
        out.push(&begin(flushed.next())).await?;
    }
    let (bytes, crc32c) = out.finish().await?;
    Ok(CopiedLog { bytes, crc32c, log })
}

/// Generation of a copied file: the first.
const GENERATION: u64 = 1;

/// A file written from its front to its end.
struct Out<'d, D: Disk> {
    file: D::File,
    disk: &'d D,
    /// Whole blocks, less than one transfer.
    pending: Vec<u8>,
    bytes: u64,
    crc: u32,
}

impl<D: Disk> Out<'_, D> {
    async fn push(&mut self, bytes: &[u8]) -> Result<()> {
        for piece in bytes.chunks(IO_BYTES_MAX) {
            if self.pending.len() + piece.len() > IO_BYTES_MAX {
                self.write().await?;
            }
            self.pending.extend_from_slice(piece);
        }
        Ok(())
    }

    async fn write(&mut self) -> Result<()> {
        debug_assert!(self.pending.len().is_multiple_of(DISK_ALIGN), "headers and frames are whole blocks");
        let mut buffer = self.disk.buffer(self.pending.len());
        buffer.as_mut().copy_from_slice(&self.pending);
        self.file.write(self.bytes, buffer).await?;
        self.crc = crc32c::crc32c_append(self.crc, &self.pending);
        self.bytes += self.pending.len() as u64;
        self.pending.clear();
        Ok(())
    }

    /// Makes the file durable; gives its length and checksum.
    async fn finish(mut self) -> Result<(u64, u32)> {
        if !self.pending.is_empty() {
            self.write().await?;
        }
        self.file.sync().await?;
        self.file.close().await?;
        Ok((self.bytes, self.crc))
    }
}
