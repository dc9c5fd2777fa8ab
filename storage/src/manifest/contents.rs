//! The manifest in memory: what is live, by table and partition, and what an edit makes of it.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use super::entry::{DroppedEntry, Edit, RemovedSegment, SegmentEntry, SeriesFileEntry, TableEntry, TombstoneEntry};
use super::snapshot::Lists;
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
        let metas = || segments.into_iter().flat_map(BTreeMap::values).flatten().map(|entry| &entry.meta);
        tombstones.retain(|tombstone| metas().any(|meta| tombstone.touches(meta)));
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
