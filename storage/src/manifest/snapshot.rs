//! Bytes of a manifest file's first part: a header, and the manifest as an archive.
//!
//! ```text
//! magic, version, shard, length, crc32c of the archive, crc32c of these fields,
//! sequence, zeros, crc32c of all before it | rkyv archive | zeros up to 4 KiB
//! ```
//!
//! Version 4 is what is described here; edits follow it ([`frame`](super::frame)). Version 3 has the first line of the
//! header and the same archive, and nothing follows. Version 2 is the same with another archive ([`v2`](super::v2)).

use std::path::Path;

use rkyv::rancor::Error as RkyvError;
use rkyv::{Archive, Deserialize, Serialize};

use super::entry::{DroppedEntry, SegmentEntry, SeriesFileEntry, TableEntry, TombstoneEntry};
use super::v2;
use crate::error::{Error, Result};
use crate::fields::Fields;

/// Version of the header and of the archive.
const VERSION: u32 = 4;

/// The one before edits were appended.
const VERSION_WHOLE: u32 = 3;

const MAGIC: [u8; 8] = *b"TIDEMANI";

/// Bytes of the header that all versions have; its last field is their checksum.
const COMMON_BYTES: usize = 32;

/// Bytes of the header; a multiple of 16, so that the archive is aligned.
const HEADER_BYTES: usize = 48;

/// The manifest as versions 3 and 4 archive it. Frozen, together with the entries: what is said here is what lies on
/// disks.
#[derive(Debug, Default, PartialEq, Archive, Serialize, Deserialize)]
pub(super) struct Lists {
    pub(super) flushed_lsn: u64,
    pub(super) next_file: u64,
    pub(super) tables: Vec<TableEntry>,
    /// Within a partition the oldest first.
    pub(super) segments: Vec<SegmentEntry>,
    pub(super) series_files: Vec<SeriesFileEntry>,
    /// In the order of the log.
    pub(super) tombstones: Vec<TombstoneEntry>,
    pub(super) dropped: Vec<DroppedEntry>,
}

/// What a file begins with.
#[derive(Debug)]
pub(super) struct Snapshot {
    pub(super) lists: Lists,
    /// Edits are numbered; this is the number of the last one that it includes.
    pub(super) sequence: u64,
    /// Where its bytes end, without padding.
    pub(super) end: usize,
    /// Edits may follow.
    pub(super) takes_edits: bool,
}

/// The bytes, without padding.
pub(super) fn encode(lists: &Lists, sequence: u64, shard: u32) -> Result<Vec<u8>> {
    let archive = rkyv::to_bytes::<RkyvError>(lists)
        .map_err(|error| Error::Rejected(format!("cannot archive the manifest: {error}")))?;
    let mut bytes = common(VERSION, &archive, shard);
    bytes.extend_from_slice(&sequence.to_le_bytes());
    bytes.extend_from_slice(&[0; 4]);
    let crc = crc32c::crc32c(&bytes);
    bytes.extend_from_slice(&crc.to_le_bytes());
    bytes.extend_from_slice(&archive);
    Ok(bytes)
}

/// The part of the header that all versions have.
fn common(version: u32, archive: &[u8], shard: u32) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(HEADER_BYTES + archive.len());
    bytes.extend_from_slice(&MAGIC);
    bytes.extend_from_slice(&version.to_le_bytes());
    bytes.extend_from_slice(&shard.to_le_bytes());
    bytes.extend_from_slice(&(archive.len() as u64).to_le_bytes());
    bytes.extend_from_slice(&crc32c::crc32c(archive).to_le_bytes());
    let crc = crc32c::crc32c(&bytes);
    bytes.extend_from_slice(&crc.to_le_bytes());
    bytes
}

/// Reads the bytes of a file, which must lie at a multiple of 16.
pub(super) fn decode(path: &Path, bytes: &[u8], shard: u32) -> Result<Snapshot> {
    let damaged = |offset: usize, reason: &str| Error::corrupt(path, offset as u64, reason);
    let cut_short = || damaged(0, "the manifest is cut short");
    let header = bytes.get(..COMMON_BYTES).ok_or_else(cut_short)?;
    let mut fields = Fields(&header[MAGIC.len()..]);
    let (Some(version), Some(of_shard), Some(length), Some(archive_crc), Some(crc)) =
        (fields.u32(), fields.u32(), fields.u64(), fields.u32(), fields.u32())
    else {
        return Err(cut_short());
    };
    if !header.starts_with(&MAGIC) || crc != crc32c::crc32c(&header[..COMMON_BYTES - 4]) {
        return Err(damaged(0, "the manifest's header is damaged"));
    }
    if !(v2::VERSION..=VERSION).contains(&version) || of_shard != shard {
        let reason = format!(
            "manifest of shard {of_shard}, format {version}; wanted are shard {shard}, format {} to {VERSION}",
            v2::VERSION
        );
        return Err(Error::Incompatible { path: path.to_owned(), reason });
    }
    let takes_edits = version == VERSION;
    let (start, sequence) = match takes_edits {
        true => (HEADER_BYTES, sequence(bytes).ok_or_else(|| damaged(0, "the manifest's header is damaged"))?),
        false => (COMMON_BYTES, 0),
    };
    let archive = bytes.get(start..).and_then(|rest| rest.get(..usize::try_from(length).ok()?));
    let archive = archive.ok_or_else(|| damaged(start, "the manifest is cut short"))?;
    if crc32c::crc32c(archive) != archive_crc {
        return Err(damaged(start, "the manifest's checksum does not hold"));
    }
    let lists = match version {
        v2::VERSION => rkyv::from_bytes::<v2::Lists, RkyvError>(archive).map(Lists::from),
        VERSION_WHOLE..=VERSION => rkyv::from_bytes::<Lists, RkyvError>(archive),
        _ => unreachable!("BUG: the version was looked at"),
    };
    let lists = lists.map_err(|error| damaged(start, &format!("the manifest is no archive: {error}")))?;
    Ok(Snapshot { lists, sequence, end: start + archive.len(), takes_edits })
}

/// The number of the last edit that a snapshot includes; `None` where the header is damaged or of an earlier version.
pub(super) fn sequence(bytes: &[u8]) -> Option<u64> {
    let (covered, crc) = bytes.get(..HEADER_BYTES)?.split_last_chunk()?;
    (crc32c::crc32c(covered) == u32::from_le_bytes(*crc)).then_some(())?;
    Fields(&covered[COMMON_BYTES..]).u64()
}

impl From<v2::Lists> for Lists {
    fn from(old: v2::Lists) -> Self {
        let v2::Lists { flushed_lsn, next_file, tables, segments, series_files, tombstones, dropped } = old;
        let tables = tables.into_iter().map(|v2::TableEntry { table, partition_length, horizon }| TableEntry {
            table,
            partition_length,
            horizon,
            // Emptied series went on counting.
            hidden: Vec::new(),
        });
        Self { flushed_lsn, next_file, tables: tables.collect(), segments, series_files, tombstones, dropped }
    }
}

/// The bytes of a file as an earlier version wrote it.
#[cfg(test)]
pub(super) fn encode_as(version: u32, archive: &[u8], shard: u32) -> Vec<u8> {
    let mut bytes = common(version, archive, shard);
    bytes.extend_from_slice(archive);
    bytes
}
