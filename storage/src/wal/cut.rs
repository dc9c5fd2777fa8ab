//! Ending a damaged log where the damage begins.
//!
//! Records are only worth something in their order: rows name series that earlier records made, and what was written
//! over or deleted must stay so. So what comes before the damage is kept, and what comes after it is set aside: files
//! are renamed, and of a file with a good beginning a copy is made before its end is filled with zeros. All of it ends
//! in `.damaged`, where nothing reads it; nothing is removed.
//!
//! The steps are in an order that leaves a log with the same beginning wherever a crash comes between, so that ending
//! it again does what is left: later files first, the copy before the zeros.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::Lsn;
use super::folder::{Found, list};
use super::frame::{FILE_HEADER_BYTES, FRAME_HEADER_BYTES, FrameHeader};
use super::reader::{Record, Window, good_frame, read_records};
use crate::disk::whole::{read_whole, write_whole};
use crate::disk::{DISK_ALIGN, Disk, DiskFile, IO_BYTES_MAX, OpenMode};
use crate::error::Result;
use crate::schema::TableId;

/// What ending a log means.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LogCut {
    /// Where the damage is, and what does not hold there.
    pub damage: (PathBuf, u64, String),
    /// The first record that is lost.
    pub first_lost: Lsn,
    /// The last one that is known of.
    pub last_known: Lsn,
    /// Lost records that can be read: they stay readable in the files that are set aside.
    pub readable: u64,
    /// Rows in them, by table.
    pub rows: BTreeMap<TableId, u64>,
    /// Deletes among them.
    pub deletes: u64,
    /// Stretches of a file where a commit is known to lie that cannot be read.
    pub unreadable: Vec<(PathBuf, u64)>,
    /// Files that are set aside as a whole, the newest first.
    pub files: Vec<PathBuf>,
    /// The file that keeps its beginning, and where its end begins.
    pub shortened: Option<(PathBuf, u64)>,
}

/// Finds out what ending the log at `damage` means. Changes nothing.
pub(crate) async fn find<D: Disk>(
    disk: &D,
    folder: &Path,
    shard: u32,
    flushed: Lsn,
    damage: (PathBuf, u64, String),
) -> Result<LogCut> {
    let (mut files, free, _) = list(disk, folder, shard, OpenMode::ReadWrite).await?;
    files.sort_by_key(|file| file.header.generation);
    let mut cut = LogCut { first_lost: flushed.next(), damage, ..LogCut::default() };
    let Some(at) = files.iter().position(|file| file.named.path == cut.damage.0) else {
        // A file without a header comes after all others.
        if let Some(last) = files.last() {
            cut.first_lost = cut.first_lost.max(good_beginning(last, last.length).await?.0);
        }
        for file in &free {
            if file.path != cut.damage.0 {
                continue;
            }
            let length = file.file.length().await?;
            look_at(&mut cut, &*file.file, &file.path, length, FILE_HEADER_BYTES as u64, None).await?;
            cut.files.push(file.path.clone());
        }
        return Ok(cut);
    };
    for file in files[at + 1..].iter().rev() {
        cut.files.push(file.named.path.clone());
    }
    let (next, end) = good_beginning(&files[at], cut.damage.1).await?;
    if end > FILE_HEADER_BYTES as u64 && next > flushed {
        cut.first_lost = cut.first_lost.max(next);
        cut.shortened = Some((files[at].named.path.clone(), end));
    } else {
        // None of its records that is wanted comes before the damage.
        cut.files.push(files[at].named.path.clone());
    }
    for (number, file) in files.iter().enumerate().skip(at) {
        let from = if number == at { end } else { FILE_HEADER_BYTES as u64 };
        let generation = Some(file.header.generation);
        look_at(&mut cut, &*file.named.file, &file.named.path, file.length, from, generation).await?;
    }
    Ok(cut)
}

/// The record after the last of the good frames that a file begins with, and where they end, `until` at the latest.
async fn good_beginning<D: Disk>(file: &Found<D>, until: u64) -> Result<(Lsn, u64)> {
    let mut window = Window::new(&*file.named.file, &file.named.path, file.length);
    let (mut next, mut offset) = (file.header.first_lsn, FILE_HEADER_BYTES as u64);
    while offset < until {
        let frame = good_frame(&mut window, offset, file.header.generation).await?;
        let Some(header) = frame.filter(|header| header.first_lsn == next) else { break };
        next = Lsn(next.0 + u64::from(header.count));
        offset += header.frame_bytes();
    }
    Ok((next, offset))
}

/// Counts what can be read of the lost records in a file.
async fn look_at<F: DiskFile>(
    cut: &mut LogCut,
    file: &F,
    path: &Path,
    length: u64,
    from: u64,
    generation: Option<u64>,
) -> Result<()> {
    let mut window = Window::new(file, path, length);
    let mut at = from;
    while at + FRAME_HEADER_BYTES as u64 <= length {
        let header = window.get(at, DISK_ALIGN as u64).await?.and_then(FrameHeader::read);
        let is_ours = |header: &FrameHeader| generation.is_none_or(|generation| generation == header.generation);
        let Some(header) = header.filter(|header| is_ours(header) && header.first_lsn >= cut.first_lost) else {
            at += DISK_ALIGN as u64;
            continue;
        };
        let end = Lsn(header.first_lsn.0 + u64::from(header.count));
        cut.last_known = cut.last_known.max(end.previous());
        if good_frame(&mut window, at, header.generation).await?.is_none() {
            cut.unreadable.push((path.to_owned(), at));
            at += DISK_ALIGN as u64;
            continue;
        }
        let frame = window.get(at, header.frame_bytes()).await?.unwrap_or_default();
        let payload = frame.get(FRAME_HEADER_BYTES..).and_then(|bytes| bytes.get(..header.payload_bytes as usize));
        let LogCut { readable, rows, deletes, .. } = &mut *cut;
        let read =
            read_records(payload.unwrap_or_default(), header.first_lsn, end, Lsn::default(), &mut |_, record| {
                *readable += 1;
                match record {
                    Record::Rows(found) => *rows.entry(found.table).or_default() += found.series.len() as u64,
                    Record::Delete(_) => *deletes += 1,
                }
                Ok(())
            });
        if read.is_err() {
            cut.unreadable.push((path.to_owned(), at));
        }
        at += header.frame_bytes();
    }
    Ok(())
}

/// Ends the log as `cut` says.
pub(crate) async fn apply<D: Disk>(disk: &D, folder: &Path, cut: &LogCut) -> Result<()> {
    for path in &cut.files {
        disk.rename(path, &aside(path, cut)).await?;
        disk.sync_dir(folder).await?;
    }
    let Some((path, end)) = &cut.shortened else { return Ok(()) };
    let copy = aside(path, cut);
    let name = copy.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    if !disk.list(folder).await?.contains(&name) {
        write_whole(disk, &copy, &read_whole(disk, path).await?).await?;
    }
    let file = disk.open(path, OpenMode::ReadWrite).await?;
    let (mut offset, length) = (*end, file.length().await?.next_multiple_of(DISK_ALIGN as u64));
    while offset < length {
        let piece = (length - offset).min(IO_BYTES_MAX as u64);
        file.write(offset, disk.buffer(piece as usize)).await?;
        offset += piece;
    }
    file.sync().await?;
    file.close().await
}

/// The name under which a file is set aside; it says which record was the first to be lost, so that a name is not taken
/// twice.
pub(crate) fn aside(path: &Path, cut: &LogCut) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(format!(".from-{}.damaged", cut.first_lost.0));
    PathBuf::from(name)
}
