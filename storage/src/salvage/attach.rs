//! Detached files that come back, or go for good, each by name.
//!
//! 1. A segment that the manifest names takes the place of the one that is damaged or missing.
//! 2. One that it does not name is added as the newest of its partition: its table must be there, and so must the
//!    series of its rows, which come with series files. The numbers by which it names them must stand for the same
//!    ones: a shard that went on without it has given them to others.
//! 3. A series file takes the place of those behind the last one that it follows on, if it has all their series under
//!    the same numbers.
//! 4. Whatever is attached is read first, and the shard must open with it: else all is as it was.
//!
//! What was deleted after a segment was written may come back with it: deletes that had been applied to every segment
//! are not kept.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::cache::Cache;
use crate::detached::{detach, name_before, number_of};
use crate::disk::Disk;
use crate::disk::whole::{read_whole, write_whole};
use crate::engine::folders::Folders;
use crate::error::{Error, Result};
use crate::manifest::{self, Edit, Manifest, ManifestLog, SegmentEntry, SeriesFileEntry, TableEntry};
use crate::partition::partition_of;
use crate::schema::{SeriesId, TableId};
use crate::segment::{Expected, Header, Origin, Segment, SegmentMeta, read_meta};
use crate::series::file::{self, content_bytes, copy_of};
use crate::series::{SeriesIndex, SeriesMark};

/// What was attached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Attached {
    /// A segment: its table, and its rows.
    Segment(TableId, u64),
    /// A series file.
    Series,
}

/// Attaches the detached file `name` of the shard in `folder`. `partition_length` says how long partitions of a table
/// are that the shard does not know; `None` for one that nobody knows.
pub async fn attach<D: Disk>(
    disk: &D,
    folder: &Path,
    shard: u32,
    name: &str,
    partition_length: &dyn Fn(TableId) -> Option<i64>,
) -> Result<Attached> {
    let folders = Folders::new(folder);
    let from = detached_path(disk, &folders, shard, name).await?;
    let manifest = manifest::load(disk, &folders.root, shard).await?.unwrap_or_default();
    let attaching = Attaching { disk, folders: &folders, shard, manifest, from, partition_length };
    match name_before(name) {
        original if original.ends_with(".copy.keys") => {
            Err(Error::Rejected(format!("{name} is the copy of a series file; attach that instead")))
        }
        original if original.ends_with(".keys") => attaching.series(original).await,
        original if original.ends_with(".seg") => attaching.segment(original).await,
        _ => Err(Error::Rejected(format!("{name} is neither a segment nor a series file"))),
    }
}

/// Removes the detached file `name` for good.
pub async fn remove_detached<D: Disk>(disk: &D, folder: &Path, shard: u32, name: &str) -> Result<()> {
    let folders = Folders::new(folder);
    disk.remove(&detached_path(disk, &folders, shard, name).await?).await?;
    disk.sync_dir(&folders.detached).await
}

async fn detached_path<D: Disk>(disk: &D, folders: &Folders, shard: u32, name: &str) -> Result<PathBuf> {
    match disk.list(&folders.detached).await?.iter().any(|there| there == name) {
        true => Ok(folders.detached.join(name)),
        false => Err(Error::Rejected(format!("shard {shard} has no detached file {name:?}"))),
    }
}

struct Attaching<'a, D: Disk> {
    disk: &'a D,
    folders: &'a Folders,
    shard: u32,
    manifest: Manifest,
    from: PathBuf,
    partition_length: &'a dyn Fn(TableId) -> Option<i64>,
}

impl<D: Disk> Attaching<'_, D> {
    async fn segment(&self, original: &str) -> Result<Attached> {
        let (header, meta) = read_meta(self.disk, &self.from).await?;
        self.verify(header, &meta).await?;
        let named = self.manifest.segments().find(|entry| entry.meta.file == original);
        match named {
            Some(entry) => self.replace(entry, &meta).await?,
            None => self.add(original, header, meta.clone()).await?,
        }
        Ok(Attached::Segment(TableId(header.table), meta.rows))
    }

    /// As it was when the shard first saw the table, else as it is for new tables.
    fn length_of(&self, table: TableId) -> Option<i64> {
        self.manifest.table(table).map(|known| known.partition_length).or_else(|| (self.partition_length)(table))
    }

    /// Reads all of it.
    async fn verify(&self, header: Header, meta: &SegmentMeta) -> Result<()> {
        let Some(partition_length) = self.length_of(TableId(header.table)) else {
            return self.refuse(format!("neither the shard nor the catalog has table {}", header.table));
        };
        let mut indexes = BTreeMap::new();
        self.load_series(&self.manifest.series_files, &mut indexes).await?;
        let index = indexes.remove(&TableId(header.table)).unwrap_or_default();
        let Some(Origin { series, .. }) = header.origin else {
            return self.refuse("an earlier version wrote it, and it does not say which series its rows are of");
        };
        if meta.series_max >= series.count || series.count as usize > index.len() {
            return self.refuse(format!(
                "its rows are of the first {} series of its table, and the shard's series files have {}: attach the \
                 series file that belongs to it first",
                series.count,
                index.len()
            ));
        }
        if SeriesMark::of(&index, series.count) != series {
            return self.refuse("the numbers of its series stand for other series by now");
        }
        if partition_of(meta.time_min, partition_length) != header.partition_start {
            return self.refuse("the table has other partitions");
        }
        let expected = Expected {
            table: TableId(header.table),
            partition_start: header.partition_start,
            partition_length,
            series: Some(u64::from(series.count)),
        };
        let opened = Segment::open(self.disk, &self.from, meta, Cache::new(0)).await?;
        let mut first = Ok(());
        let mut note = |error| {
            if first.is_ok() {
                first = Err(error);
            }
        };
        opened.verify(self.disk, &expected, &mut note, &mut |_| {}).await?;
        first
    }

    /// Puts it in the place of a segment of the same name.
    async fn replace(&self, entry: &SegmentEntry, meta: &SegmentMeta) -> Result<()> {
        let path = self.folders.segments.join(&entry.meta.file);
        if Segment::open(self.disk, &path, &entry.meta, Cache::new(0)).await.is_ok() {
            return self.refuse(format!("{} is in its place, and can be opened", path.display()));
        }
        let same =
            SegmentMeta { lsn: entry.meta.lsn, hard: entry.meta.hard, file: entry.meta.file.clone(), ..meta.clone() };
        if same != entry.meta {
            return self.refuse("it is not the segment of that name that the manifest has");
        }
        match detach(self.disk, self.folders, &path).await {
            Err(error) if error.is_not_found() => {}
            done => drop(done?),
        }
        self.disk.rename(&self.from, &path).await?;
        self.disk.sync_dir(&self.folders.segments).await?;
        self.disk.sync_dir(&self.folders.detached).await
    }

    /// Adds it to its partition.
    async fn add(&self, original: &str, header: Header, meta: SegmentMeta) -> Result<()> {
        let file = self.free_name(&self.folders.segments, original, "seg").await?;
        let path = self.folders.segments.join(&file);
        // Deletes after the flushed record are about its rows too.
        let lsn = meta.lsn.min(self.manifest.flushed_lsn);
        let meta = SegmentMeta { file, lsn, ..meta };
        let next_file = number_of(&meta.file).map_or(0, |number| number + 1);
        let entry = SegmentEntry { table: header.table, partition_start: header.partition_start, meta };
        let undo = Edit { remove_segments: vec![entry.removed()], ..Edit::default() };
        let table = TableId(header.table);
        let length = self.length_of(table).filter(|_| self.manifest.table(table).is_none());
        let add_tables = length.map(|length| TableEntry::new(table, length)).into_iter().collect();
        let edit = Edit { next_file, add_tables, add_segments: vec![entry], ..Edit::default() };
        self.place(&path, edit, undo).await
    }

    async fn series(&self, original: &str) -> Result<Attached> {
        let bytes = read_whole(self.disk, &self.from).await?;
        let length = content_bytes(&bytes);
        file::check(&self.from, &bytes, length, self.shard)?;
        let mut now = BTreeMap::new();
        self.load_series(&self.manifest.series_files, &mut now).await?;
        for kept in (0..=self.manifest.series_files.len()).rev() {
            let mut indexes = BTreeMap::new();
            self.load_series(&self.manifest.series_files[..kept], &mut indexes).await?;
            if file::load(&self.from, &bytes, length, self.shard, &|_| true, &mut indexes).is_err()
                || !now.iter().all(|(table, index)| indexes.get(table).is_some_and(|all| goes_on(index, all)))
            {
                continue;
            }
            let file = self.free_name(&self.folders.series, original, "keys").await?;
            let path = self.folders.series.join(&file);
            let replaced = self.manifest.series_files[kept..].to_vec();
            let names = replaced.iter().map(|entry| entry.file.clone()).collect();
            let undo = Edit { remove_series_files: vec![file.clone()], add_series_files: replaced, ..Edit::default() };
            let edit = Edit {
                next_file: number_of(&file).map_or(0, |number| number + 1),
                remove_series_files: names,
                add_series_files: vec![SeriesFileEntry { file, bytes: length }],
                ..Edit::default()
            };
            write_whole(self.disk, &copy_of(&path), bytes.get(..length as usize).unwrap_or_default()).await?;
            self.place(&path, edit, undo).await?;
            return Ok(Attached::Series);
        }
        self.refuse("its series do not go on from those that the shard has")
    }

    /// Moves the file to `path` and makes an edit; undoes both, by the edit `undo`, where the shard does not open.
    async fn place(&self, path: &Path, edit: Edit, undo: Edit) -> Result<()> {
        self.disk.rename(&self.from, path).await?;
        if let Some(folder) = path.parent() {
            self.disk.sync_dir(folder).await?;
        }
        self.disk.sync_dir(&self.folders.detached).await?;
        self.edit(&edit).await?;
        let opened = crate::recovery::load(self.disk, self.folders, self.shard, &Cache::new(0), &|_| true).await;
        let Err(error) = opened.map(drop) else { return Ok(()) };
        self.edit(&undo).await?;
        self.disk.rename(path, &self.from).await?;
        self.disk.sync_dir(&self.folders.detached).await?;
        self.refuse(format!("the shard does not open with it: {error}"))
    }

    async fn edit(&self, edit: &Edit) -> Result<()> {
        let (log, manifest) = ManifestLog::open(self.disk, &self.folders.root, self.shard).await?;
        let manifest = manifest.unwrap_or_default();
        Ok(log.store(&|look| look(&manifest), edit).await?)
    }

    /// The name that the file had, or a new one where that is taken.
    async fn free_name(&self, folder: &Path, original: &str, extension: &str) -> Result<String> {
        let names = self.disk.list(folder).await?;
        if !names.iter().any(|name| name == original) {
            return Ok(original.to_owned());
        }
        let next = names
            .iter()
            .filter_map(|name| number_of(name))
            .fold(self.manifest.next_file, |next, number| next.max(number.saturating_add(1)));
        Ok(format!("{next:08}.{extension}"))
    }

    async fn load_series(&self, files: &[SeriesFileEntry], indexes: &mut BTreeMap<TableId, SeriesIndex>) -> Result<()> {
        for entry in files {
            let path = self.folders.series.join(&entry.file);
            let bytes = read_whole(self.disk, &path).await?;
            file::load(&path, &bytes, entry.bytes, self.shard, &|_| true, indexes)?;
        }
        Ok(())
    }

    fn refuse<T>(&self, reason: impl std::fmt::Display) -> Result<T> {
        Err(Error::Rejected(format!("{} cannot be attached: {reason}", self.from.display())))
    }
}

/// Whether `all` has the series of `index` under the same numbers.
fn goes_on(index: &SeriesIndex, all: &SeriesIndex) -> bool {
    index.len() <= all.len()
        && (0..index.len() as u32).map(SeriesId).all(|series| index.key(series).eq(all.key(series)))
}
