//! Looking at a shard's files without changing them, also while a server works on them.
//!
//! Guarantee: nothing is written (but the new file that [`ShardFiles::copy_log`] makes), nothing is locked, and what
//! the files say is believed as little as by the server: names, lengths and checksums are checked first.
//!
//! How to look at files that may change: [`ShardFiles::open`] reads the manifest; what it names is immutable, and goes
//! away only after a newer manifest has taken its place; the log holds every record after the flushed one until then.
//! So after anything is missing, or seems damaged, and after the log was read, ask [`ShardFiles::is_newest`]: only if
//! it is, what was seen is what there is. Segments are opened with [`ShardFiles::open_segment`], described by
//! [`Segment::describe`](crate::segment::Segment::describe) and read through by
//! [`Segment::verify`](crate::segment::Segment::verify).

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::rc::Rc;

use rkyv::util::AlignedVec;

use crate::cache::Cache;
use crate::detached::name_before;
use crate::disk::whole::read_whole;
use crate::disk::{Disk, DiskFile, OpenMode};
use crate::error::{Error, Result};
use crate::manifest::{COPY, Image, MANIFEST, Manifest, Newest, SeriesFileEntry, newest};
use crate::schema::TableId;
use crate::segment::{Segment, SegmentMeta, read_meta};
use crate::series::SeriesIndex;
use crate::series::file::{self, copy_of};
use crate::wal::{CopiedLog, LogFrame, LogSummary, Lsn, bitmap_of, copy_log, read_log};

/// Blocks kept of a segment that is read through: some stretches of one field.
const CACHE_BYTES: u64 = 4 << 20;

/// Name of the folder of the log, in the shard's.
pub const WAL_FOLDER: &str = "wal";
/// Name of the folder of segments.
pub const SEGMENTS_FOLDER: &str = "segments";
/// Name of the folder of series files.
pub const SERIES_FOLDER: &str = "series";
/// Name of the folder of detached files.
pub const DETACHED_FOLDER: &str = "detached";

/// The files of one shard as its manifest names them.
pub struct ShardFiles<D: Disk> {
    disk: D,
    root: PathBuf,
    shard: u32,
    /// The manifest's bytes; empty where there is none.
    raw: Vec<u8>,
    manifest: Manifest,
    /// The number of its last edit.
    sequence: u64,
    cache: Rc<Cache>,
}

/// A table that has rows in the shard.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TableFacts {
    /// The table.
    pub table: TableId,
    /// Length of a partition, in the table's unit of time.
    pub partition_length: i64,
}

/// A segment that the manifest names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SegmentFacts {
    /// Its table.
    pub table: TableId,
    /// First time of its partition.
    pub partition_start: i64,
    /// Length of its partition.
    pub partition_length: i64,
    /// What else the manifest says of it.
    pub meta: SegmentMeta,
}

/// A series file that the manifest names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SeriesFacts {
    /// Its name.
    pub file: String,
    /// Bytes that count; the rest of the file is padding.
    pub bytes: u64,
}

/// A delete that has not been applied to every segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TombstoneFacts {
    /// The table.
    pub table: TableId,
    /// Its place in the log.
    pub lsn: Lsn,
    /// First time deleted.
    pub time_min: i64,
    /// Last time deleted.
    pub time_max: i64,
    /// How many series; `None` for all.
    pub series: Option<u64>,
}

/// A detached file: one that no manifest named, and that is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DetachedFacts {
    /// Its name in the folder of detached files.
    pub file: String,
    /// Its length.
    pub bytes: u64,
    /// What it says of itself, if it is a segment whose footer can be read.
    pub segment: Option<(TableId, SegmentMeta)>,
}

impl<D: Disk> ShardFiles<D> {
    /// Reads the manifest of `shard` in the folder `root`. A folder without one is a shard that has not flushed yet.
    pub async fn open(disk: &D, root: &Path, shard: u32) -> Result<Self> {
        let Newest { manifest, sequence, bytes: raw } = newest(disk, root, shard).await?;
        check(&root.join(MANIFEST), &manifest)?;
        let cache = Cache::new(CACHE_BYTES);
        Ok(Self { disk: disk.clone(), root: root.to_owned(), shard, raw, manifest, sequence, cache })
    }

    /// Checks the copy of the manifest; gives its bytes, and 0 where there is none, as in a backup and in a folder that
    /// a start has yet to give one. One that lacks the newest edit is whole: a crash, or a look between the two, sees
    /// it. Where the manifest lacks an edit that the copy has, the manifest is damaged.
    pub async fn check_manifest_copy(&self) -> Result<u64> {
        let path = self.root.join(COPY);
        let Some(bytes) = read_copy(&self.disk, &path).await? else { return Ok(0) };
        let copy = Image::read(&path, &bytes, self.shard)?;
        if copy.sequence > self.sequence {
            // A server may have gone on since.
            let now = newest(&self.disk, &self.root, self.shard).await?;
            if copy.sequence > now.sequence {
                let reason = format!("it ends with edit {}, and its copy with edit {}", now.sequence, copy.sequence);
                return Err(Error::corrupt(&self.manifest_path(), now.bytes.len() as u64, reason));
            }
        }
        Ok(bytes.len() as u64)
    }

    /// Checks the copy of a series file; gives its bytes, and 0 where there is none.
    pub async fn check_series_copy(&self, file: &SeriesFacts) -> Result<u64> {
        let path = copy_of(&self.series_path(file));
        let Some(bytes) = read_copy(&self.disk, &path).await? else { return Ok(0) };
        file::check(&path, &bytes, file.bytes, self.shard)?;
        Ok(file.bytes)
    }

    /// Whether the manifest on the disk is still the one that was read.
    pub async fn is_newest(&self) -> Result<bool> {
        Ok(newest(&self.disk, &self.root, self.shard).await?.bytes == self.raw)
    }

    /// Whether the log has still to hold every record after [`ShardFiles::flushed_lsn`]: no later manifest, of which
    /// there may be some from merges, says that more is flushed.
    pub async fn needs_log(&self) -> Result<bool> {
        Ok(Self::open(&self.disk, &self.root, self.shard).await?.flushed_lsn() == self.flushed_lsn())
    }

    /// The manifest as it lies on the disk, without an edit that is not whole; empty where there is none.
    pub fn manifest_bytes(&self) -> &[u8] {
        &self.raw
    }

    /// Where the manifest lies, or would.
    pub fn manifest_path(&self) -> PathBuf {
        self.root.join(MANIFEST)
    }

    /// Records up to this one are in segments.
    pub fn flushed_lsn(&self) -> Lsn {
        Lsn(self.manifest.flushed_lsn)
    }

    /// Tables that have rows.
    pub fn tables(&self) -> impl Iterator<Item = TableFacts> {
        self.manifest
            .tables()
            .map(|entry| TableFacts { table: TableId(entry.table), partition_length: entry.partition_length })
    }

    /// Live segments; within a partition the oldest first.
    pub fn segments(&self) -> impl Iterator<Item = SegmentFacts> {
        let lengths: BTreeMap<u32, i64> =
            self.manifest.tables().map(|entry| (entry.table, entry.partition_length)).collect();
        self.manifest.segments().map(move |entry| SegmentFacts {
            table: TableId(entry.table),
            partition_start: entry.partition_start,
            partition_length: lengths.get(&entry.table).copied().unwrap_or(i64::MAX),
            meta: entry.meta.clone(),
        })
    }

    /// Live series files, in the order of the series in them.
    pub fn series_files(&self) -> impl Iterator<Item = SeriesFacts> {
        let facts = |entry: &SeriesFileEntry| SeriesFacts { file: entry.file.clone(), bytes: entry.bytes };
        self.manifest.series_files.iter().map(facts)
    }

    /// Deletes that merges have yet to apply, or the error where one is damaged.
    pub fn tombstones(&self) -> impl Iterator<Item = Result<TombstoneFacts>> {
        self.manifest.tombstones().map(|entry| {
            let series = entry.series.as_deref().map(bitmap_of).transpose();
            let series = series.map_err(|reason| Error::corrupt(&self.manifest_path(), 0, reason))?;
            Ok(TombstoneFacts {
                table: TableId(entry.table),
                lsn: Lsn(entry.lsn),
                time_min: entry.time_min,
                time_max: entry.time_max,
                series: series.map(|set| set.len()),
            })
        })
    }

    /// Dropped tables that the log may still be about, with the last record that is.
    pub fn dropped(&self) -> impl Iterator<Item = (TableId, Lsn)> {
        self.manifest.dropped().map(|entry| (TableId(entry.table), Lsn(entry.lsn)))
    }

    /// Where a segment lies.
    pub fn segment_path(&self, segment: &SegmentFacts) -> PathBuf {
        self.root.join(SEGMENTS_FOLDER).join(&segment.meta.file)
    }

    /// Where a series file lies.
    pub fn series_path(&self, file: &SeriesFacts) -> PathBuf {
        self.root.join(SERIES_FOLDER).join(&file.file)
    }

    /// Opens a segment: its trailer and footer are checked.
    pub async fn open_segment(&self, segment: &SegmentFacts) -> Result<Rc<Segment<D>>> {
        Segment::open(&self.disk, &self.segment_path(segment), &segment.meta, self.cache.clone()).await
    }

    /// Adds the series of a file to `indexes`, checking everything; files come in the order of
    /// [`ShardFiles::series_files`]. After an error those that follow it cannot be read on either.
    pub async fn load_series(&self, file: &SeriesFacts, indexes: &mut BTreeMap<TableId, SeriesIndex>) -> Result<()> {
        let path = self.series_path(file);
        let bytes = read_whole(&self.disk, &path).await?;
        let is_live = |table: TableId| self.manifest.table(table).is_some();
        file::load(&path, &bytes, file.bytes, self.shard, &is_live, indexes).map(drop)
    }

    /// Hides in `indexes`, into which every series file was loaded, what the manifest says is hidden; every table of
    /// the manifest has an index then. An error where that names series that there are none of.
    pub fn restore_hidden(&self, indexes: &mut BTreeMap<TableId, SeriesIndex>) -> Result<()> {
        for entry in self.manifest.tables() {
            let index = indexes.entry(TableId(entry.table)).or_default();
            entry.restore_hidden(index, &self.manifest_path())?;
        }
        Ok(())
    }

    /// Checks the checksums of a series file, without looking at the series.
    pub async fn check_series(&self, file: &SeriesFacts) -> Result<()> {
        let path = self.series_path(file);
        let bytes = read_whole(&self.disk, &path).await?;
        file::check(&path, &bytes, file.bytes, self.shard)
    }

    /// Reads the log after [`ShardFiles::flushed_lsn`]; see [`read_log`].
    pub async fn read_log(&self, take: impl AsyncFnMut(LogFrame<'_>) -> Result<()>) -> Result<LogSummary> {
        read_log(&self.disk, &self.root.join(WAL_FOLDER), self.shard, self.flushed_lsn(), take).await
    }

    /// Writes that part of the log into a new file; see [`copy_log`].
    pub async fn copy_log(&self, target: &Path) -> Result<CopiedLog> {
        copy_log(&self.disk, &self.root.join(WAL_FOLDER), self.shard, self.flushed_lsn(), target).await
    }

    /// The shard's detached files, by name.
    pub async fn detached(&self) -> Result<Vec<DetachedFacts>> {
        let folder = self.root.join(DETACHED_FOLDER);
        let mut names = self.disk.list(&folder).await?;
        names.sort();
        let mut files = Vec::new();
        for file in names {
            let path = folder.join(&file);
            let open = match self.disk.open(&path, OpenMode::Read).await {
                Err(error) if error.is_not_found() => continue,
                open => open?,
            };
            let bytes = open.length().await?;
            open.close().await?;
            let segment = match name_before(&file).ends_with(".seg") {
                true => read_meta(&self.disk, &path).await.ok(),
                false => None,
            };
            let segment = segment.map(|(header, meta)| (TableId(header.table), meta));
            files.push(DetachedFacts { file, bytes, segment });
        }
        Ok(files)
    }

    /// Files of the shard's folders that the manifest does not name: a flush or a merge under way, or one that a crash
    /// cut short.
    pub async fn strays(&self) -> Result<Vec<PathBuf>> {
        let segments = self.manifest.segments().map(|entry| entry.meta.file.as_str());
        let series: Vec<_> = self.manifest.series_files.iter().map(|entry| PathBuf::from(&entry.file)).collect();
        let copies: Vec<_> = series.iter().map(|file| copy_of(file)).collect();
        let series = series.iter().chain(&copies).filter_map(|file| file.to_str());
        let live: [(&str, BTreeSet<&str>); 2] =
            [(SEGMENTS_FOLDER, segments.collect()), (SERIES_FOLDER, series.collect())];
        let mut strays = Vec::new();
        for (folder, live) in live {
            let folder = self.root.join(folder);
            let names = self.disk.list(&folder).await?;
            strays.extend(names.iter().filter(|name| !live.contains(name.as_str())).map(|name| folder.join(name)));
        }
        strays.sort();
        Ok(strays)
    }
}

/// The bytes of a copy; `None` where there is no file.
async fn read_copy<D: Disk>(disk: &D, path: &Path) -> Result<Option<AlignedVec<16>>> {
    match read_whole(disk, path).await {
        Err(error) if error.is_not_found() => Ok(None),
        read => read.map(Some),
    }
}

/// What opening a shard finds out otherwise, or takes for granted: names are names of files in their folder, and
/// segments are of tables that the manifest has.
fn check(path: &Path, manifest: &Manifest) -> Result<()> {
    let damaged = |reason: String| Err(Error::corrupt(path, 0, reason));
    let segments = manifest.segments().map(|entry| &entry.meta.file);
    for name in segments.chain(manifest.series_files.iter().map(|entry| &entry.file)) {
        let plain = !name.is_empty() && !name.starts_with('.') && !name.contains(['/', '\0']);
        if !plain {
            return damaged(format!("it names a file {name:?}"));
        }
    }
    if let Some(entry) = manifest.segments().find(|entry| manifest.table(TableId(entry.table)).is_none()) {
        return damaged(format!("a segment of table {}, which it lacks", entry.table));
    }
    if manifest.flushed_lsn == u64::MAX {
        return damaged("it says that there will be no more records".to_owned());
    }
    Ok(())
}
