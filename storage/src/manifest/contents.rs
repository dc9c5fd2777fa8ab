//! The manifest in memory: what is live, by table and partition, and what an edit makes of it.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::ops::Bound;

use super::entry::{DroppedEntry, Edit, RemovedSegment, SegmentEntry, SeriesFileEntry, TableEntry, TombstoneEntry};
use super::snapshot::Lists;
use crate::partition::partition_of;
use crate::schema::TableId;

/// What is live.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Manifest {
    /// Records up to this one are in segments.
    pub(crate) flushed_lsn: u64,
    /// The number that the next file gets.
    pub(crate) next_file: u64,
    tables: BTreeMap<u32, TableEntry>,
    segments: BTreeMap<u32, Partitions>,
    /// In the order of the series in them.
    pub(crate) series_files: Vec<SeriesFileEntry>,
    /// Deletes up to `flushed_lsn` that are not yet applied to every segment, by table in the order of the log.
    tombstones: BTreeMap<u32, Vec<TombstoneEntry>>,
    /// Dropped tables that records after `flushed_lsn` may still be about, with the last one that is.
    dropped: BTreeMap<u32, u64>,
}

/// Segments of a table by the first time of their partition, the oldest first: values of a later one are newer.
type Partitions = BTreeMap<i64, Vec<SegmentEntry>>;

impl Manifest {
    /// Tables, by their ids.
    pub(crate) fn tables(&self) -> impl Iterator<Item = &TableEntry> {
        self.tables.values()
    }

    /// A table, if it has rows.
    pub(crate) fn table(&self, table: TableId) -> Option<&TableEntry> {
        self.tables.get(&table.0)
    }

    /// Segments of all tables, within a partition the oldest first.
    pub(crate) fn segments(&self) -> impl Iterator<Item = &SegmentEntry> {
        self.segments.values().flat_map(BTreeMap::values).flatten()
    }

    /// The same of one table.
    pub(crate) fn segments_of(&self, table: TableId) -> impl Iterator<Item = &SegmentEntry> {
        self.segments.get(&table.0).into_iter().flat_map(BTreeMap::values).flatten()
    }

    /// Segments of a table in partitions that begin before a time.
    pub(crate) fn segments_before(&self, table: TableId, start: i64) -> impl Iterator<Item = &SegmentEntry> {
        self.segments.get(&table.0).into_iter().flat_map(move |known| known.range(..start)).flat_map(|(_, old)| old)
    }

    /// Deletes that are not yet applied to every segment, by table in the order of the log.
    pub(crate) fn tombstones(&self) -> impl Iterator<Item = &TombstoneEntry> {
        self.tombstones.values().flatten()
    }

    /// Dropped tables that the log may still be about, with the last record that is.
    pub(crate) fn dropped(&self) -> impl Iterator<Item = DroppedEntry> {
        self.dropped.iter().map(|(&table, &lsn)| DroppedEntry { table, lsn })
    }

    /// Whether a table is one of those.
    pub(crate) fn is_dropped(&self, table: TableId) -> bool {
        self.dropped.contains_key(&table.0)
    }

    /// Tables, segments and deletes, as far as `count_max` of them are counted.
    pub(super) fn count_entries(&self, count_max: usize) -> usize {
        let (segments, tombstones) =
            (self.segments().take(count_max).count(), self.tombstones().take(count_max).count());
        self.tables.len() + segments + tombstones
    }

    /// The same without tables, segments and deletes.
    pub(super) fn without_lists(&self) -> Self {
        let Self { flushed_lsn, next_file, .. } = *self;
        let (series_files, dropped) = (self.series_files.clone(), self.dropped.clone());
        Self { flushed_lsn, next_file, series_files, dropped, ..Self::default() }
    }

    /// Tables from one on.
    pub(super) fn tables_from(&self, from: Bound<u32>) -> impl Iterator<Item = &TableEntry> {
        self.tables.range((from, Bound::Unbounded)).map(|(_, entry)| entry)
    }

    /// The segments of each partition from one on.
    pub(super) fn partitions_from(&self, from: Bound<(u32, i64)>) -> impl Iterator<Item = &Vec<SegmentEntry>> {
        let (table, start) = match from {
            Bound::Excluded((table, start)) => (table, Bound::Excluded(start)),
            Bound::Included((table, start)) => (table, Bound::Included(start)),
            Bound::Unbounded => (0, Bound::Unbounded),
        };
        self.segments.range(table..).flat_map(move |(known, partitions)| {
            let from = if *known == table { start } else { Bound::Unbounded };
            partitions.range((from, Bound::Unbounded)).map(|(_, segments)| segments)
        })
    }

    /// The deletes of each table from one on.
    pub(super) fn tombstones_from(&self, from: Bound<u32>) -> impl Iterator<Item = (u32, &[TombstoneEntry])> {
        self.tombstones.range((from, Bound::Unbounded)).map(|(table, all)| (*table, all.as_slice()))
    }

    /// Makes a change.
    pub(crate) fn apply(&mut self, edit: Edit) {
        let is_flush = edit.flushed.is_some();
        self.flushed_lsn = self.flushed_lsn.max(edit.flushed.unwrap_or(0));
        self.next_file = self.next_file.max(edit.next_file);
        self.add_tables(edit.add_tables, is_flush);
        for table in &edit.drop_tables {
            self.tables.remove(table);
            self.segments.remove(table);
            self.tombstones.remove(table);
            self.dropped.insert(*table, edit.dropped_lsn);
        }
        if is_flush || !edit.drop_tables.is_empty() {
            let flushed = self.flushed_lsn;
            self.dropped.retain(|_, lsn| *lsn > flushed);
        }
        let removed = edit.remove_segments.iter().map(|segment| segment.table);
        let added = edit.add_segments.iter().map(|entry| entry.table);
        let with_tombstones = edit.add_tombstones.iter().map(|tombstone| tombstone.table);
        let touched: BTreeSet<u32> = removed.chain(added).chain(with_tombstones).collect();
        self.replace_segments(&edit.remove_segments, edit.add_segments);
        if !edit.remove_series_files.is_empty() {
            self.series_files.retain(|entry| !edit.remove_series_files.contains(&entry.file));
        }
        self.series_files.extend(edit.add_series_files);
        for tombstone in edit.add_tombstones {
            self.tombstones.entry(tombstone.table).or_default().push(tombstone);
        }
        touched.into_iter().for_each(|table| self.prune_tombstones(table));
    }

    fn add_tables(&mut self, tables: Vec<TableEntry>, is_flush: bool) {
        for table in tables {
            match self.tables.get_mut(&table.table) {
                Some(known) if is_flush => known.hidden = table.hidden,
                Some(_) => {}
                // Up to the flushed record there is no series of it, unless this is about that record.
                None => {
                    let hidden = if is_flush { table.hidden } else { Vec::new() };
                    self.tables.insert(table.table, TableEntry { hidden, ..table });
                }
            }
        }
    }

    /// What replaces segments is as old as they were; what replaces none is the newest of its partition.
    fn replace_segments(&mut self, removed: &[RemovedSegment], added: Vec<SegmentEntry>) {
        let files: HashSet<&str> = removed.iter().map(|segment| segment.file.as_str()).collect();
        let is_removed = |entry: &SegmentEntry| files.contains(entry.meta.file.as_str());
        for entry in added {
            let partition = self.segments.entry(entry.table).or_default().entry(entry.partition_start).or_default();
            match partition.iter().position(is_removed).filter(|_| !files.is_empty()) {
                Some(position) => partition.insert(position, entry),
                None => partition.push(entry),
            }
        }
        let places: BTreeSet<(u32, i64)> = removed.iter().map(|gone| (gone.table, gone.partition_start)).collect();
        for (table, start) in places {
            let Some(partitions) = self.segments.get_mut(&table) else { continue };
            let Some(partition) = partitions.get_mut(&start) else { continue };
            partition.retain(|entry| !is_removed(entry));
            if partition.is_empty() {
                partitions.remove(&start);
            }
            if partitions.is_empty() {
                self.segments.remove(&table);
            }
        }
    }

    /// Forgets deletes of a table that no segment is left for.
    fn prune_tombstones(&mut self, table: u32) {
        let Some(tombstones) = self.tombstones.get_mut(&table) else { return };
        let segments = self.segments.get(&table);
        let length = self.tables.get(&table).map(|known| known.partition_length.max(1));
        let touches = |tombstone: &TombstoneEntry| {
            let from = length.map_or(i64::MIN, |length| partition_of(tombstone.time_min, length));
            let within = segments.into_iter().flat_map(|known| known.range(from..=tombstone.time_max.max(from)));
            within.flat_map(|(_, segments)| segments).any(|entry| tombstone.touches(&entry.meta))
        };
        tombstones.retain(touches);
        if tombstones.is_empty() {
            self.tombstones.remove(&table);
        }
    }
}

impl From<Lists> for Manifest {
    fn from(lists: Lists) -> Self {
        let Lists { flushed_lsn, next_file, tables, segments, series_files, tombstones, dropped } = lists;
        let mut manifest = Self { flushed_lsn, next_file, series_files, ..Self::default() };
        manifest.tables = tables.into_iter().map(|entry| (entry.table, entry)).collect();
        manifest.replace_segments(&[], segments);
        for tombstone in tombstones {
            manifest.tombstones.entry(tombstone.table).or_default().push(tombstone);
        }
        for DroppedEntry { table, lsn } in dropped {
            let last = manifest.dropped.entry(table).or_default();
            *last = lsn.max(*last);
        }
        manifest
    }
}

impl From<&Manifest> for Lists {
    fn from(manifest: &Manifest) -> Self {
        Self {
            flushed_lsn: manifest.flushed_lsn,
            next_file: manifest.next_file,
            tables: manifest.tables().cloned().collect(),
            segments: manifest.segments().cloned().collect(),
            series_files: manifest.series_files.clone(),
            tombstones: manifest.tombstones().cloned().collect(),
            dropped: manifest.dropped().collect(),
        }
    }
}
