//! The manifest: which files of a shard are live, and up to where the log is in them.
//!
//! It is replaced as a whole, atomically: a change ([`Edit`]) gives a new manifest, which is written beside the old
//! one, synced, and renamed over it. A file counts from the moment the manifest names it; files that no manifest names
//! are removed at the next start. An edit adds and removes in one step, which is all that a compaction will need.
//!
//! A copy lies beside it, written after the manifest and before anything is done that relies on it. Where the manifest
//! cannot be read, the copy takes its place: it is the same, or it lacks the one edit in which a crash came between the
//! two, and that one has not been acknowledged.
//!
//! ```text
//! MANIFEST, MANIFEST.copy = magic, version, shard, length, crc32c of the archive | rkyv archive | zeros up to 4 KiB
//! ```

mod v2;

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use rkyv::rancor::Error as RkyvError;
use rkyv::{Archive, Deserialize, Serialize};

use crate::disk::Disk;
use crate::disk::whole::{place_whole, prepare_whole, read_whole, write_whole};
use crate::error::{Error, Result};
use crate::schema::TableId;
use crate::segment::SegmentMeta;
use crate::series::SeriesIndex;
use crate::wal::{Lsn, bitmap_of};

/// Name of the manifest in the shard's folder.
pub(crate) const MANIFEST: &str = "MANIFEST";

/// Name of its copy.
pub(crate) const COPY: &str = "MANIFEST.copy";

/// Times that a manifest is read before it counts as damaged: the transfer may be to blame.
const READS_MAX: usize = 3;

/// Version of the header and of the archive; version 2 is read too ([`v2`]).
const VERSION: u32 = 3;

const MAGIC: [u8; 8] = *b"TIDEMANI";

/// Bytes before the archive; a multiple of 16, so that the archive is aligned.
const HEADER_BYTES: usize = 32;

/// What is live.
#[derive(Debug, Clone, Default, PartialEq, Archive, Serialize, Deserialize)]
pub(crate) struct Manifest {
    /// Records up to this one are in segments.
    pub(crate) flushed_lsn: u64,
    /// The number that the next file gets.
    pub(crate) next_file: u64,
    pub(crate) tables: Vec<TableEntry>,
    /// Within a partition the oldest first: values of a later one are newer.
    pub(crate) segments: Vec<SegmentEntry>,
    /// In the order of the series in them.
    pub(crate) series_files: Vec<SeriesFileEntry>,
    /// Deletes up to `flushed_lsn` that are not yet applied to every segment, in the order of the log.
    pub(crate) tombstones: Vec<TombstoneEntry>,
    /// Dropped tables that records after `flushed_lsn` may still be about.
    pub(crate) dropped: Vec<DroppedEntry>,
}

/// A table that has rows.
#[derive(Debug, Clone, PartialEq, Archive, Serialize, Deserialize)]
pub(crate) struct TableEntry {
    pub(crate) table: u32,
    /// Fixed when the shard first sees the table.
    pub(crate) partition_length: i64,
    /// A time before which rows did not exist, as versions before wrote it. Nothing follows from it any more: a time
    /// that was asked for by mistake must not take what is written later.
    pub(crate) horizon: i64,
    /// Series that were hidden after the record `flushed_lsn`, a bitmap as roaring writes it; empty for none.
    pub(crate) hidden: Vec<u8>,
}

/// A live segment.
#[derive(Debug, Clone, PartialEq, Archive, Serialize, Deserialize)]
pub(crate) struct SegmentEntry {
    pub(crate) table: u32,
    pub(crate) partition_start: i64,
    pub(crate) meta: SegmentMeta,
}

/// A delete.
#[derive(Debug, Clone, PartialEq, Archive, Serialize, Deserialize)]
pub(crate) struct TombstoneEntry {
    pub(crate) table: u32,
    pub(crate) lsn: u64,
    pub(crate) time_min: i64,
    pub(crate) time_max: i64,
    /// A bitmap as roaring writes it; `None` for all series.
    pub(crate) series: Option<Vec<u8>>,
}

/// A table that was dropped.
#[derive(Debug, Clone, PartialEq, Archive, Serialize, Deserialize)]
pub(crate) struct DroppedEntry {
    pub(crate) table: u32,
    /// Later records are not about it.
    pub(crate) lsn: u64,
}

/// A live series file.
#[derive(Debug, Clone, PartialEq, Archive, Serialize, Deserialize)]
pub(crate) struct SeriesFileEntry {
    pub(crate) file: String,
    /// Length without padding.
    pub(crate) bytes: u64,
}

/// A change, made as one.
#[derive(Debug, Default)]
pub(crate) struct Edit {
    /// The hidden series of added tables count with this alone: they are those after this record.
    pub(crate) flushed: Option<Lsn>,
    pub(crate) next_file: u64,
    pub(crate) add_tables: Vec<TableEntry>,
    /// With all that belongs to them but their series. Log records about them up to `dropped_lsn` are void.
    pub(crate) drop_tables: Vec<TableId>,
    pub(crate) dropped_lsn: Lsn,
    /// Files of segments that the added ones replace.
    pub(crate) remove_segments: Vec<String>,
    pub(crate) add_segments: Vec<SegmentEntry>,
    /// Series files whose series, but those of dropped tables, the added ones hold.
    pub(crate) remove_series_files: Vec<String>,
    pub(crate) add_series_files: Vec<SeriesFileEntry>,
    /// Deletes that were flushed.
    pub(crate) add_tombstones: Vec<TombstoneEntry>,
}

/// A manifest that lies beside the one in its folder, durable and under another name.
#[derive(Debug)]
#[must_use]
pub(crate) struct Prepared {
    folder: PathBuf,
    /// As they lie there, for the copy.
    bytes: Vec<u8>,
}

impl TableEntry {
    /// A table without hidden series.
    pub(crate) fn new(table: TableId, partition_length: i64) -> Self {
        Self { table: table.0, partition_length, horizon: i64::MIN, hidden: Vec::new() }
    }

    /// Hides in the table's index, which has all series of the series files, what is hidden. The manifest came from
    /// `path`, which the error names where that cannot be.
    pub(crate) fn restore_hidden(&self, index: &mut SeriesIndex, path: &Path) -> Result<()> {
        if self.hidden.is_empty() {
            return Ok(());
        }
        let restored = bitmap_of(&self.hidden).and_then(|hidden| index.restore_hidden(&hidden));
        restored.map_err(|reason| Error::corrupt(path, 0, format!("table {}: {reason}", self.table)))
    }
}

impl TombstoneEntry {
    /// Whether a segment may hold rows that it deletes.
    fn touches(&self, entry: &SegmentEntry) -> bool {
        let meta = &entry.meta;
        entry.table == self.table
            && meta.lsn < self.lsn
            && meta.time_min <= self.time_max
            && self.time_min <= meta.time_max
    }
}

impl Manifest {
    /// The manifest after a change.
    pub(crate) fn apply(&self, edit: Edit) -> Self {
        let mut next = self.clone();
        if let Some(flushed) = edit.flushed {
            next.flushed_lsn = next.flushed_lsn.max(flushed.0);
        }
        next.next_file = next.next_file.max(edit.next_file);
        for table in edit.add_tables {
            match next.tables.iter_mut().find(|known| known.table == table.table) {
                Some(known) if edit.flushed.is_some() => known.hidden = table.hidden,
                Some(_) => {}
                None if edit.flushed.is_some() => next.tables.push(table),
                // Up to the flushed record there is no series of it.
                None => next.tables.push(TableEntry { hidden: Vec::new(), ..table }),
            }
        }
        let drop_tables: HashSet<u32> = edit.drop_tables.iter().map(|table| table.0).collect();
        let dropped = |table: u32| drop_tables.contains(&table);
        next.tables.retain(|entry| !dropped(entry.table));
        next.segments.retain(|entry| !dropped(entry.table));
        for added in edit.add_segments {
            // What replaces segments is as old as they were.
            let replaced = |entry: &SegmentEntry| {
                entry.table == added.table
                    && entry.partition_start == added.partition_start
                    && edit.remove_segments.contains(&entry.meta.file)
            };
            match next.segments.iter().position(replaced) {
                Some(position) => next.segments.insert(position, added),
                None => next.segments.push(added),
            }
        }
        next.segments.retain(|entry| !edit.remove_segments.contains(&entry.meta.file));
        next.series_files.retain(|entry| !edit.remove_series_files.contains(&entry.file));
        next.series_files.extend(edit.add_series_files);
        next.dropped
            .extend(edit.drop_tables.iter().map(|table| DroppedEntry { table: table.0, lsn: edit.dropped_lsn.0 }));
        next.dropped.retain(|entry| entry.lsn > next.flushed_lsn);
        next.tombstones.extend(edit.add_tombstones);
        next.tombstones.retain(|tombstone| next.segments.iter().any(|entry| tombstone.touches(entry)));
        next
    }

    /// Puts this manifest in the place of the one in `folder`. After an error it is open which one a crash would leave.
    pub(crate) async fn store<D: Disk>(&self, disk: &D, folder: &Path, shard: u32) -> Result<()> {
        self.prepare(disk, folder, shard).await?.place(disk).await
    }

    /// The first half of [`Manifest::store`]: after an error, the manifest in `folder` is what it was.
    pub(crate) async fn prepare<D: Disk>(&self, disk: &D, folder: &Path, shard: u32) -> Result<Prepared> {
        let prepared = Prepared { folder: folder.to_owned(), bytes: self.bytes(shard)? };
        prepare_whole(disk, &folder.join(MANIFEST), &prepared.bytes).await?;
        Ok(prepared)
    }

    fn bytes(&self, shard: u32) -> Result<Vec<u8>> {
        let archive = rkyv::to_bytes::<RkyvError>(self)
            .map_err(|error| Error::Rejected(format!("cannot archive the manifest: {error}")))?;
        Ok(encode(&archive, shard))
    }

    /// The manifest in `folder`; `None` where there is none yet. Afterwards it and its copy are the same.
    pub(crate) async fn load<D: Disk>(disk: &D, folder: &Path, shard: u32) -> Result<Option<Self>> {
        let names = disk.list(folder).await?;
        let is_there = |wanted: &str| names.iter().any(|name| name == wanted);
        let (path, copy) = (folder.join(MANIFEST), folder.join(COPY));
        let found = match is_there(MANIFEST) {
            true => read(disk, &path, shard).await,
            false => Err(Error::corrupt(&path, 0, "the manifest is missing")),
        };
        match found {
            Ok(manifest) => {
                let same = is_there(COPY) && read(disk, &copy, shard).await.is_ok_and(|copy| copy == manifest);
                if !same {
                    // Before anything relies on the edit that it lacks.
                    match write_whole(disk, &copy, &manifest.bytes(shard)?).await {
                        Err(error) if error.is_no_space() && is_there(COPY) => {
                            disk.remove(&copy).await?;
                            disk.sync_dir(folder).await?;
                        }
                        Err(error) if error.is_no_space() => {}
                        done => done?,
                    }
                }
                Ok(Some(manifest))
            }
            Err(error) if error.is_damage() && is_there(COPY) => {
                // Where it is no better, the manifest's own damage is the one to report.
                let Ok(manifest) = read(disk, &copy, shard).await else { return Err(error) };
                log::error!("shard {shard}: {error}; its copy takes its place");
                write_whole(disk, &path, &manifest.bytes(shard)?).await?;
                Ok(Some(manifest))
            }
            Err(_) if !is_there(MANIFEST) => Ok(None),
            Err(error) => Err(error),
        }
    }
}

impl Prepared {
    /// The second half of [`Manifest::store`]: what was prepared counts, and its copy with it.
    pub(crate) async fn place<D: Disk>(self, disk: &D) -> Result<()> {
        place_whole(disk, &self.folder.join(MANIFEST)).await?;
        write_whole(disk, &self.folder.join(COPY), &self.bytes).await
    }
}

/// The manifest in a file.
async fn read<D: Disk>(disk: &D, path: &Path, shard: u32) -> Result<Manifest> {
    let mut last = decode(path, &read_whole(disk, path).await?, shard);
    for _ in 1..READS_MAX {
        if !matches!(last, Err(Error::Corrupt { .. })) {
            break;
        }
        last = decode(path, &read_whole(disk, path).await?, shard);
    }
    last
}

fn encode(archive: &[u8], shard: u32) -> Vec<u8> {
    encode_as(VERSION, archive, shard)
}

fn encode_as(version: u32, archive: &[u8], shard: u32) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(HEADER_BYTES + archive.len());
    bytes.extend_from_slice(&MAGIC);
    bytes.extend_from_slice(&version.to_le_bytes());
    bytes.extend_from_slice(&shard.to_le_bytes());
    bytes.extend_from_slice(&(archive.len() as u64).to_le_bytes());
    bytes.extend_from_slice(&crc32c::crc32c(archive).to_le_bytes());
    let crc = crc32c::crc32c(&bytes);
    bytes.extend_from_slice(&crc.to_le_bytes());
    bytes.extend_from_slice(archive);
    bytes
}

/// `bytes` must lie at a multiple of 16.
pub(crate) fn decode(path: &Path, bytes: &[u8], shard: u32) -> Result<Manifest> {
    let damaged = |offset: usize, reason: &str| Error::corrupt(path, offset as u64, reason);
    let field = |at: usize| Some(u32::from_le_bytes(*bytes.get(at..)?.first_chunk()?));
    let (Some(version), Some(of_shard), Some(length), Some(archive_crc), Some(crc)) =
        (field(8), field(12), field(16), field(24), field(28))
    else {
        return Err(damaged(0, "the manifest is cut short"));
    };
    if !bytes.starts_with(&MAGIC) || crc != crc32c::crc32c(&bytes[..28]) {
        return Err(damaged(0, "the manifest's header is damaged"));
    }
    if !matches!(version, v2::VERSION | VERSION) || of_shard != shard {
        let reason = format!(
            "manifest of shard {of_shard}, format {version}; wanted are shard {shard}, format {} or {VERSION}",
            v2::VERSION
        );
        return Err(Error::Incompatible { path: path.to_owned(), reason });
    }
    let archive = bytes.get(HEADER_BYTES..).and_then(|archive| archive.get(..length as usize));
    let archive = archive.ok_or_else(|| damaged(HEADER_BYTES, "the manifest is cut short"))?;
    if crc32c::crc32c(archive) != archive_crc {
        return Err(damaged(HEADER_BYTES, "the manifest's checksum does not hold"));
    }
    let manifest = match version {
        v2::VERSION => rkyv::from_bytes::<v2::Manifest, RkyvError>(archive).map(Manifest::from),
        _ => rkyv::from_bytes::<Manifest, RkyvError>(archive),
    };
    manifest.map_err(|error| damaged(HEADER_BYTES, &format!("the manifest is no archive: {error}")))
}

#[cfg(test)]
mod tests {
    use rkyv::util::AlignedVec;

    use super::*;

    fn segment(table: u32, partition_start: i64, file: &str) -> SegmentEntry {
        let meta = SegmentMeta {
            file: file.to_owned(),
            rows: 1,
            bytes: 4096,
            time_min: 0,
            time_max: 1,
            series_min: 0,
            series_max: 9,
            version: 1,
            lsn: 0,
            hard: false,
        };
        SegmentEntry { table, partition_start, meta }
    }

    fn files(manifest: &Manifest) -> Vec<&str> {
        manifest.segments.iter().map(|entry| entry.meta.file.as_str()).collect()
    }

    #[test]
    fn edits_keep_the_age_of_what_they_replace() {
        let start = Manifest::default().apply(Edit {
            flushed: Some(Lsn(5)),
            next_file: 4,
            add_tables: vec![TableEntry::new(TableId(1), 10)],
            add_segments: vec![segment(1, 0, "a"), segment(1, 0, "b"), segment(1, 10, "c"), segment(1, 0, "d")],
            add_series_files: vec![SeriesFileEntry { file: "s".to_owned(), bytes: 10 }],
            ..Edit::default()
        });
        assert_eq!((start.flushed_lsn, start.next_file), (5, 4));
        let merged = start.apply(Edit {
            remove_segments: vec!["a".to_owned(), "b".to_owned()],
            add_segments: vec![segment(1, 0, "ab")],
            ..Edit::default()
        });
        assert_eq!(files(&merged), ["ab", "c", "d"]);
        assert_eq!(merged.flushed_lsn, 5);
        let dropped = merged.apply(Edit {
            drop_tables: vec![TableId(1)],
            remove_series_files: vec!["s".to_owned()],
            add_series_files: vec![SeriesFileEntry { file: "all".to_owned(), bytes: 20 }],
            ..Edit::default()
        });
        assert!(dropped.segments.is_empty() && dropped.tables.is_empty());
        assert_eq!(dropped.series_files.iter().map(|f| f.file.as_str()).collect::<Vec<_>>(), ["all"]);
    }

    #[test]
    fn tombstones_stay_as_long_as_they_touch_an_older_segment() {
        let tombstone = |lsn: u64, time_min: i64| TombstoneEntry { table: 1, lsn, time_min, time_max: 5, series: None };
        let written = |lsn: u64, file: &str| {
            let mut entry = segment(1, 0, file);
            entry.meta.lsn = lsn;
            entry
        };
        let start = Manifest::default().apply(Edit {
            flushed: Some(Lsn(9)),
            add_segments: vec![written(3, "a"), written(9, "b")],
            add_tombstones: vec![tombstone(2, 0), tombstone(5, 2), tombstone(6, 1), tombstone(8, 0)],
            ..Edit::default()
        });
        let lsns = |manifest: &Manifest| manifest.tombstones.iter().map(|entry| entry.lsn).collect::<Vec<_>>();
        assert_eq!(lsns(&start), [6, 8], "2 is older than all, 5 is about other times");
        let replace = |file: &str, by: Vec<SegmentEntry>| Edit {
            remove_segments: vec![file.to_owned()],
            add_segments: by,
            ..Edit::default()
        };
        let merged = start.apply(replace("a", vec![written(7, "c")]));
        assert_eq!((files(&merged), lsns(&merged)), (vec!["c", "b"], vec![8]));
        assert!(lsns(&merged.apply(replace("c", Vec::new()))).is_empty());
    }

    #[test]
    fn dropped_tables_are_remembered_until_the_log_is_past_them() {
        let add = Edit { add_tables: vec![TableEntry::new(TableId(1), 10)], ..Edit::default() };
        let start = Manifest::default().apply(add);
        assert_eq!(start.tables.len(), 1);
        let drop = Edit { drop_tables: vec![TableId(1)], dropped_lsn: Lsn(4), ..Edit::default() };
        let dropped = start.apply(drop);
        assert_eq!((dropped.tables.len(), dropped.dropped.as_slice()), (0, &[DroppedEntry { table: 1, lsn: 4 }][..]));
        let flushed = |lsn: u64| Edit { flushed: Some(Lsn(lsn)), ..Edit::default() };
        assert_eq!(dropped.apply(flushed(3)).dropped.len(), 1);
        assert!(dropped.apply(flushed(4)).dropped.is_empty());
    }

    #[test]
    fn hidden_series_are_those_of_the_newest_flush() {
        let entry = |table: u32, hidden: u8| TableEntry { hidden: vec![hidden], ..TableEntry::new(TableId(table), 10) };
        let flush = |lsn: u64, tables| Edit { flushed: Some(Lsn(lsn)), add_tables: tables, ..Edit::default() };
        let hidden = |manifest: &Manifest| manifest.tables.iter().map(|table| table.hidden.clone()).collect::<Vec<_>>();
        let start = Manifest::default().apply(flush(3, vec![entry(1, 1)]));
        assert_eq!(hidden(&start), [[1]]);
        // Who does not flush knows what is hidden now, and rows after the flush are in the log.
        let expired = start.apply(Edit { add_tables: vec![entry(1, 2), entry(2, 2)], ..Edit::default() });
        assert_eq!(hidden(&expired), [vec![1], vec![]]);
        let merged = expired.apply(Edit { remove_segments: vec!["a".to_owned()], ..Edit::default() });
        assert_eq!(hidden(&merged), hidden(&expired));
        let flushed = merged.apply(flush(9, vec![entry(1, 3), entry(2, 4), entry(3, 5)]));
        assert_eq!(hidden(&flushed), [[3], [4], [5]]);
    }

    #[test]
    fn any_flipped_bit_is_told() {
        let manifest = Manifest { segments: vec![segment(1, 0, "a")], next_file: 9, ..Manifest::default() };
        let archive = rkyv::to_bytes::<RkyvError>(&manifest).unwrap();
        let mut bytes = AlignedVec::<16>::new();
        bytes.extend_from_slice(&encode(&archive, 3));
        let path = Path::new("MANIFEST");
        assert_eq!(decode(path, &bytes, 3).unwrap(), manifest);
        assert!(matches!(decode(path, &bytes, 4), Err(Error::Incompatible { .. })));
        for bit in 0..bytes.len() * 8 {
            let mut damaged = bytes.clone();
            damaged[bit / 8] ^= 1 << (bit % 8);
            assert!(decode(path, &damaged, 3).is_err(), "bit {bit}");
        }
        for length in 0..bytes.len() {
            assert!(decode(path, &bytes[..length], 3).is_err(), "length {length}");
        }
    }
}
