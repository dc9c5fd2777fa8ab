//! Opening a shard: manifest, then series, then segments, then the log.
//!
//! The manifest, the series files and the log must be whole, else the shard does not open. A segment that is damaged or
//! missing is quarantined ([`quarantine`](crate::engine::Shard::quarantined)). What the manifest does not name is
//! removed or [detached](crate::detached) when all the rest has turned out to be whole. Without a manifest nothing was
//! flushed, and the log begins with its first record; else the manifest is missing. Log records of tables that are not
//! live any more are passed over.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::rc::Rc;

use rkyv::util::AlignedVec;

use crate::cache::Cache;
use crate::detached::{self, Known, number_of};
use crate::disk::Disk;
use crate::disk::whole::{TEMPORARY_SUFFIX, read_whole, write_whole};
use crate::engine::folders::{Folders, RESERVE};
use crate::engine::state::{TableState, Unreadable};
use crate::error::{Error, Result};
use crate::manifest::{COPY, Edit, MANIFEST, Manifest, ManifestLog, TombstoneEntry};
use crate::memtable::{Memtable, NewRows};
use crate::schema::TableId;
use crate::segment::{Segment, SegmentMeta};
use crate::series::file::{self, SeriesCounts, copy_of};
use crate::together::together;
use crate::tombstone::Tombstone;
use crate::wal::{Delete, Lsn, Record, Recovered, Rows, bitmap_of, recover};

/// Segments that are opened, and series files that are read, at a time. An open waits for a few short reads, and a disk
/// answers as many at once. Series files are kept until they have been taken in, and are small beside the index that
/// they become.
const OPENING_MAX: usize = 16;

/// What opening a shard has found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Recovery {
    /// Log records replayed.
    pub records: u64,
    /// Rows in them, those of dropped tables not counted.
    pub rows: u64,
    /// Bytes of the log that were read.
    pub log_bytes: u64,
    /// The file and offset of a commit that the crash cut short; it was not acknowledged, and is gone. Only without
    /// sync may it have been.
    pub torn: Option<(PathBuf, u64)>,
    /// Live segments.
    pub segments: u64,
    /// Segments that cannot be opened. Scans that may need their rows fail.
    pub unreadable_segments: u64,
    /// Series of all tables, those not counted that are hidden.
    pub series: u64,
    /// Files that a crash had left behind, removed.
    pub removed_files: u64,
    /// Files that no manifest names, and whose rows are not proved to be elsewhere: kept in the folder `detached`.
    pub detached_files: u64,
}

/// All that a shard needs to go on.
pub(crate) struct Loaded<D: Disk> {
    pub(crate) tables: BTreeMap<TableId, TableState<D>>,
    pub(crate) active: Memtable,
    pub(crate) manifest: Manifest,
    pub(crate) manifest_log: ManifestLog<D>,
    /// What is in each of the manifest's series files.
    pub(crate) series_files: Vec<SeriesCounts>,
    /// The number that the next file gets: none that any file in the folder has, named or not.
    pub(crate) next_file: u64,
    /// Files in the folder of detached ones.
    pub(crate) detached_files: u64,
    pub(crate) wal: Recovered<D>,
    pub(crate) recovery: Recovery,
}

/// Loads what is in `folders`.
pub(crate) async fn load<D: Disk>(
    disk: &D,
    folders: &Folders,
    shard: u32,
    cache: &Rc<Cache>,
    is_live: &dyn Fn(TableId) -> bool,
) -> Result<Loaded<D>> {
    for folder in [&folders.root, &folders.wal, &folders.segments, &folders.series] {
        disk.create_dir(folder).await?;
    }
    // Names that a process made before it was killed may be seen and yet be lost with the power: everything done from
    // here on relies on the manifest that is seen, and on the log files. The parent's own name is its maker's to keep.
    for folder in folders.root.parent().into_iter().chain([folders.root.as_path(), &folders.wal]) {
        disk.sync_dir(folder).await?;
    }
    let (manifest_log, found) = load_manifest(disk, folders, shard, is_live).await?;
    let is_first = found.is_none();
    let manifest = found.unwrap_or_default();
    let is_live = &|table: TableId| is_live(table) && !manifest.is_dropped(table);
    let mut recovery = Recovery::default();
    let (mut tables, series_files) = load_series(disk, folders, shard, &manifest, is_live).await?;
    let opening = manifest.segments().map(|entry| {
        let path = folders.segments.join(&entry.meta.file);
        async { (open_segment(disk, &path, &entry.meta, cache).await, path) }
    });
    let opened = together(opening, OPENING_MAX).await;
    for (entry, (opened, path)) in manifest.segments().zip(opened) {
        let known = tables.get_mut(&TableId(entry.table)).ok_or_else(|| {
            Error::corrupt(
                &folders.root.join(MANIFEST),
                0,
                format!("a segment of table {}, which it lacks", entry.table),
            )
        })?;
        match opened {
            Ok(segment) => {
                known.partitions.entry(entry.partition_start).or_default().push(segment);
                recovery.segments += 1;
            }
            Err(error) => {
                log::error!("shard {shard} opens without a segment: {error}");
                let segment = Unreadable::of(path, entry.meta.clone(), error)?;
                known.unreadable.entry(entry.partition_start).or_default().push(segment);
                recovery.unreadable_segments += 1;
            }
        }
    }

    load_tombstones(folders, &manifest, &mut tables)?;

    let replay = RefCell::new(Replay { tables, active: Memtable::default(), rows: 0 });
    let take = |lsn: Lsn, record: Record| {
        let mut replay = replay.borrow_mut();
        match record {
            Record::Rows(rows) if is_live(rows.table) => replay.take(&rows),
            Record::Delete(delete) if is_live(delete.table) => {
                replay.delete(lsn, delete);
                Ok(())
            }
            Record::Rows(_) | Record::Delete(_) => Ok(()),
        }
    };
    let wal = recover(disk, &folders.wal, shard, Lsn(manifest.flushed_lsn), take).await?;
    let strays = strays(disk, folders, &manifest).await?;
    let is_data = |path: &PathBuf| path.parent() != Some(&folders.root);
    if is_first && wal.generation_max == 0 && strays.iter().any(is_data) {
        // A log that begins with the first record has all there ever was, and the files are those of a first flush.
        let reason = "the manifest is missing, and there is no log either that has what is in the shard's other files";
        return Err(Error::corrupt(&folders.root.join(MANIFEST), 0, reason));
    }
    // Last, when all else is known to be well: until then nothing is done that damage could make wrong.
    let Replay { mut tables, active, rows } = replay.into_inner();
    let unreadable = tables.iter().filter(|(_, table)| !table.unreadable.is_empty()).map(|(id, _)| *id).collect();
    let known = Known { is_live, unreadable, last_lsn: wal.next_lsn.previous() };
    let settled = detached::settle(disk, folders, shard, &strays, &known).await?;
    recovery.removed_files = settled.removed;
    recovery.detached_files = settled.detached;
    let names = disk.list(&folders.detached).await?;
    let detached_files = names.len() as u64;
    let numbers = strays.iter().map(|path| name_of(path)).chain(names).filter_map(|name| number_of(&name));
    let next_file = numbers.fold(manifest.next_file, |next, number| next.max(number.saturating_add(1)));
    if is_first {
        // From now on a missing manifest is damage. On a full disk the first flush makes it.
        match manifest_log.store(&|look| look(&manifest), &Edit::default()).await {
            Err(not_stored) if not_stored.error.is_no_space() => {}
            done => done?,
        }
    }
    tables.values_mut().for_each(|table| table.series.shrink());
    recovery.rows = rows;
    recovery.records = wal.records;
    recovery.log_bytes = wal.bytes;
    recovery.torn = wal.torn.clone();
    recovery.series = tables.values().map(|table| table.series.live_len() as u64).sum();
    Ok(Loaded { tables, active, manifest, manifest_log, series_files, next_file, detached_files, wal, recovery })
}

/// Opens a segment; one that seems damaged is looked at again, since the transfer may be to blame.
async fn open_segment<D: Disk>(disk: &D, path: &Path, meta: &SegmentMeta, cache: &Rc<Cache>) -> Result<Rc<Segment<D>>> {
    const TRIES: usize = 3;
    let mut last = Segment::open(disk, path, meta, cache.clone()).await;
    for _ in 1..TRIES {
        if !matches!(last, Err(Error::Corrupt { .. })) {
            break;
        }
        last = Segment::open(disk, path, meta, cache.clone()).await;
    }
    last
}

/// The manifest, if there is one, without tables that are not live.
async fn load_manifest<D: Disk>(
    disk: &D,
    folders: &Folders,
    shard: u32,
    is_live: &dyn Fn(TableId) -> bool,
) -> Result<(ManifestLog<D>, Option<Manifest>)> {
    let (log, found) = ManifestLog::open(disk, &folders.root, shard).await?;
    let Some(mut manifest) = found else { return Ok((log, None)) };
    let dead = manifest.tables().map(|entry| entry.table).filter(|table| !is_live(TableId(*table)));
    let edit = Edit { drop_tables: dead.collect(), ..Edit::default() };
    if edit.drop_tables.is_empty() {
        return Ok((log, Some(manifest)));
    }
    // Stored before anything of them is removed: a manifest must not name what is not there.
    match log.store(&|look| look(&manifest), &edit).await {
        Err(not_stored) if not_stored.error.is_no_space() => {
            // That is what the reserve is for. The shard makes it again when there is space.
            let _ = disk.remove(&folders.root.join(RESERVE)).await;
            log.store(&|look| look(&manifest), &edit).await?;
        }
        done => done?,
    }
    manifest.apply(edit);
    Ok((log, Some(manifest)))
}

/// Files that the manifest does not name. Names that none of our files have are left alone.
async fn strays<D: Disk>(disk: &D, folders: &Folders, manifest: &Manifest) -> Result<Vec<PathBuf>> {
    let segments = manifest.segments().map(|entry| entry.meta.file.as_str()).collect();
    let copies: Vec<String> =
        manifest.series_files.iter().map(|entry| name_of(&copy_of(Path::new(&entry.file)))).collect();
    let files = manifest.series_files.iter().map(|entry| &entry.file);
    let series = files.chain(&copies).map(String::as_str).collect();
    let none = BTreeSet::new();
    let mut strays = Vec::new();
    let kinds = [
        (&folders.segments, ".seg", &segments),
        (&folders.series, ".keys", &series),
        (&folders.root, MANIFEST, &none),
        (&folders.root, COPY, &none),
    ];
    for (folder, suffix, live) in kinds {
        for name in disk.list(folder).await? {
            let stem = name.strip_suffix(TEMPORARY_SUFFIX);
            let ours = stem.unwrap_or(&name).ends_with(suffix);
            // The manifests themselves are none of the strays, only what they would have been replaced by.
            if ours && !live.contains(name.as_str()) && (folder != &folders.root || stem.is_some()) {
                strays.push(folder.join(&name));
            }
        }
    }
    Ok(strays)
}

fn name_of(path: &Path) -> String {
    path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()
}

/// Tables as the manifest knows them, with their series, and what is in each series file.
async fn load_series<D: Disk>(
    disk: &D,
    folders: &Folders,
    shard: u32,
    manifest: &Manifest,
    is_live: &dyn Fn(TableId) -> bool,
) -> Result<(BTreeMap<TableId, TableState<D>>, Vec<SeriesCounts>)> {
    let (mut indexes, mut counts) = (BTreeMap::new(), Vec::new());
    let names = disk.list(&folders.series).await?;
    let reading = manifest.series_files.iter().map(|entry| {
        let path = folders.series.join(&entry.file);
        async move { (read_series(disk, &path, entry.bytes, shard).await, path) }
    });
    let read = together(reading, OPENING_MAX).await;
    for (entry, (bytes, path)) in manifest.series_files.iter().zip(read) {
        let bytes = bytes?;
        counts.push(file::load(&path, &bytes, entry.bytes, shard, is_live, &mut indexes)?);
        // Folders that were restored from a backup, or made before there were copies, have none.
        let copy = copy_of(&path);
        if !names.contains(&name_of(&copy))
            && let Err(error) = write_whole(disk, &copy, content(&bytes, entry.bytes)).await
        {
            log::warn!("shard {shard}: a series file stays without its copy: {error}");
        }
    }
    let mut tables = BTreeMap::new();
    for entry in manifest.tables() {
        let mut table = TableState::new(entry.partition_length);
        table.series = indexes.remove(&TableId(entry.table)).unwrap_or_default();
        entry.restore_hidden(&mut table.series, &folders.root.join(MANIFEST))?;
        table.series_stored = table.series.len() as u32;
        table.series_logged = table.series_stored;
        tables.insert(TableId(entry.table), table);
    }
    Ok((tables, counts))
}

/// The bytes of a series file, or those of its copy where it is damaged; then the copy takes its place.
async fn read_series<D: Disk>(disk: &D, path: &Path, length: u64, shard: u32) -> Result<AlignedVec<16>> {
    const TRIES: usize = 3;
    let read = async |path: &Path| {
        let bytes = read_whole(disk, path).await?;
        file::check(path, &bytes, length, shard).map(|()| bytes)
    };
    let mut last = read(path).await;
    for _ in 1..TRIES {
        if !matches!(last, Err(Error::Corrupt { .. })) {
            break;
        }
        // The transfer may be to blame.
        last = read(path).await;
    }
    let error = match last {
        // No checksum covers the header that names version and shard.
        Err(error) if error.is_damage() || matches!(error, Error::Incompatible { .. }) => error,
        done => return done,
    };
    // Where it is no better, the file's own damage is the one to report.
    let Ok(bytes) = read(&copy_of(path)).await else { return Err(error) };
    log::error!("shard {shard}: {error}; its copy takes its place");
    if let Err(error) = write_whole(disk, path, content(&bytes, length)).await {
        log::warn!("shard {shard}: the copy serves, but cannot take the place of the damaged file: {error}");
    }
    Ok(bytes)
}

/// The bytes of a series file without its padding.
fn content(bytes: &[u8], length: u64) -> &[u8] {
    usize::try_from(length).ok().and_then(|length| bytes.get(..length)).unwrap_or_default()
}

/// Deletes that were flushed and not yet applied to every segment.
fn load_tombstones<D: Disk>(
    folders: &Folders,
    manifest: &Manifest,
    tables: &mut BTreeMap<TableId, TableState<D>>,
) -> Result<()> {
    let mut found: BTreeMap<TableId, Vec<Rc<Tombstone>>> = BTreeMap::new();
    for entry in manifest.tombstones() {
        let Some(table) = tables.get(&TableId(entry.table)) else { continue };
        let series = entry.series.as_deref().map(bitmap_of).transpose();
        let series = series.map_err(|reason| Error::corrupt(&folders.root.join(MANIFEST), 0, reason))?;
        let TombstoneEntry { lsn, time_min, time_max, .. } = *entry;
        let tombstone = Tombstone { lsn: Lsn(lsn), time_min, time_max, series };
        if table.touched_by(&tombstone).0 {
            found.entry(TableId(entry.table)).or_default().push(Rc::new(tombstone));
        }
    }
    for (id, mut found) in found {
        found.sort_by_key(|tombstone| tombstone.lsn);
        if let Some(table) = tables.get_mut(&id) {
            found.into_iter().for_each(|tombstone| table.tombstones.push(tombstone));
        }
    }
    Ok(())
}

/// Rows coming back from the log.
struct Replay<D: Disk> {
    tables: BTreeMap<TableId, TableState<D>>,
    active: Memtable,
    rows: u64,
}

impl<D: Disk> Replay<D> {
    fn delete(&mut self, lsn: Lsn, delete: Delete) {
        let Delete { table, time_min, time_max, series } = delete;
        let tombstone = Rc::new(Tombstone { lsn, time_min, time_max, series });
        self.active.delete(table, &tombstone);
        let Some(known) = self.tables.get_mut(&table) else { return };
        if tombstone.empties() {
            known.series.hide(tombstone.series.as_ref());
        }
        if known.touched_by(&tombstone).0 {
            known.tombstones.push(tombstone);
        }
    }

    fn take(&mut self, rows: &Rows) -> Result<(), String> {
        let table = self.tables.entry(rows.table).or_insert_with(|| TableState::new(rows.partition_length));
        if rows.first_series as usize > table.series.len() {
            return Err(format!("series {} comes where {} is expected", rows.first_series, table.series.len()));
        }
        for ordinal in 0..rows.keys.len() {
            crate::series::check_key(rows.keys.key(ordinal)).map_err(|reason| format!("a series key: {reason}"))?;
        }
        let ids = table.series.insert_all(&rows.keys);
        let odd = ids.iter().zip(rows.first_series..).find(|(series, expected)| series.0 != *expected);
        if let Some((series, _)) = odd {
            return Err(format!("a series key has the id {} already", series.0));
        }
        table.series_logged = table.series.len() as u32;
        if rows.series.iter().any(|series| *series as usize >= table.series.len()) {
            return Err("a row names a series that does not exist".to_owned());
        }
        let new = NewRows {
            series: &rows.series,
            time: &rows.time,
            columns: &rows.columns,
            rows: 0..rows.series.len(),
            series_count: table.series.len() as u32,
        };
        self.active.check(rows.table, &new).map_err(|error| error.to_string())?;
        self.active.append(rows.table, table.partition_length, &new);
        match rows.series.is_empty() {
            true => table.series.hide_new(rows.first_series),
            false => table.series.show(&rows.series),
        }
        self.rows += rows.series.len() as u64;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use futures_lite::future::block_on;

    use super::*;
    use crate::disk::sim::SimDisk;
    use crate::engine::{Shard, ShardConfig};
    use crate::inspect::ShardFiles;
    use crate::manifest::TableEntry;
    use crate::wal::bitmap_bytes;

    /// A manifest whose checksums hold may still say what cannot be.
    #[test]
    fn hidden_series_that_cannot_be_are_damage_of_the_manifest() {
        let beyond = bitmap_bytes(&[0, 5].into()).unwrap();
        for (hidden, expected) in [
            (b"no bitmap".to_vec(), "table 7: a set of series is none"),
            (beyond[..beyond.len() - 1].to_vec(), "table 7: a set of series is none"),
            (beyond, "table 7: series 5 of 0 is hidden"),
        ] {
            let (disk, root) = (SimDisk::new(1), Path::new("/shard"));
            block_on(disk.create_dir(root)).unwrap();
            let add_tables = vec![TableEntry { hidden, ..TableEntry::new(TableId(7), 10) }];
            let edit = Edit { flushed: Some(0), add_tables, ..Edit::default() };
            let (log, _) = block_on(ManifestLog::open(&disk, root, 0)).unwrap();
            block_on(log.store(&|look| look(&Manifest::default()), &edit)).unwrap();
            let opened = block_on(Shard::open(disk.clone(), root, ShardConfig::new(0), &|_| true)).map(drop);
            let files = block_on(ShardFiles::open(&disk, root, 0)).unwrap();
            for error in [opened.unwrap_err(), files.restore_hidden(&mut BTreeMap::new()).unwrap_err()] {
                let Error::Corrupt { path, reason, .. } = error else { panic!("{error}") };
                assert_eq!(path, root.join(MANIFEST));
                assert!(reason.starts_with(expected), "{reason}");
            }
        }
    }
}
