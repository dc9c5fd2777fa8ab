//! Deleting rows, and tables.
//!
//! A delete is a record in the log like a batch: what was appended before it and is covered by it is gone from the
//! moment that [`Shard::delete`] returns, what is appended later lives. Where its effect is kept:
//!
//! * rows of the active memtable that it covers are left out by scans and by the flush, by their position;
//! * for segments, and rows on their way into them, it is kept as a tombstone: scans and merges leave out what it
//!   covers in segments that are older ([`SegmentMeta::lsn`](crate::segment::SegmentMeta::lsn));
//! * the flush that takes its log record over puts it into the manifest, if there is a segment that it touches;
//! * when merges have rewritten the last of those, it is forgotten.
//!
//! One over all times hides its series as well: see [`live`](crate::series::SeriesIndex::live).

use std::path::PathBuf;
use std::rc::Rc;

use roaring::RoaringBitmap;

use super::Shard;
use super::state::{State, TableState};
use crate::disk::Disk;
use crate::error::{Error, Result};
use crate::manifest::{Edit, Manifest, TombstoneEntry};
use crate::schema::TableId;
use crate::segment::Segment;
use crate::tombstone::{Deletes, Tombstone};
use crate::wal::{Delete, Lsn, bitmap_bytes};

/// Memory of tombstones that were not yet applied by compaction; beyond, deletes are refused until some are. Each
/// manifest carries all of them.
const TOMBSTONE_BYTES_MAX: u64 = 16 << 20;

/// Which series to delete from.
#[derive(Debug, Clone, PartialEq)]
pub enum SeriesSelection {
    /// All, also those that a predicate would have to name.
    All,
    /// These.
    Of(RoaringBitmap),
}

impl<D: Disk> Shard<D> {
    /// Deletes the rows of a table with times from `time_min` to `time_max`, both included, that were appended before.
    /// Scans made from now on do not see them; once [`Shard::durable`] returns for the LSN, they never come back.
    /// Series stay in the index; over all times, from `i64::MIN` to `i64::MAX`, those that it names are hidden until
    /// they are written again.
    pub fn delete(&self, table: TableId, series: &SeriesSelection, time_min: i64, time_max: i64) -> Result<Lsn> {
        self.check_sound()?;
        self.wal.check_open()?;
        // A record takes space like one of rows, and gives none back before a merge has applied it.
        self.check_space()?;
        let series = match series {
            SeriesSelection::All => None,
            SeriesSelection::Of(series) => Some(series.clone()),
        };
        let nothing = time_min > time_max || series.as_ref().is_some_and(RoaringBitmap::is_empty);
        let held_bytes = {
            let state = self.state.borrow();
            if nothing || !state.tables.contains_key(&table) {
                return Ok(self.wal.appended());
            }
            state.tables.values().flat_map(|table| &table.tombstones).map(|t| t.bytes()).sum()
        };
        if held_bytes > TOMBSTONE_BYTES_MAX {
            let (shard, limit_bytes) = (self.config.shard, TOMBSTONE_BYTES_MAX);
            return Err(Error::Overloaded { shard, held_bytes, limit_bytes });
        }
        let lsn = self.delete_logged(table, series, time_min, time_max)?;
        self.count(|counts| counts.deletes += 1);
        Ok(lsn)
    }

    /// Logs a delete, and makes it.
    pub(super) fn delete_logged(
        &self,
        table: TableId,
        series: Option<RoaringBitmap>,
        time_min: i64,
        time_max: i64,
    ) -> Result<Lsn> {
        let mut state = self.state.borrow_mut();
        let State { tables, active, frozen, .. } = &mut *state;
        let Some(known) = tables.get_mut(&table) else { return Ok(self.wal.appended()) };
        let delete = Delete { table, time_min, time_max, series };
        let lsn = self.wal.append_delete(&delete)?;
        let tombstone = Rc::new(Tombstone { lsn, time_min, time_max, series: delete.series });
        active.delete(table, &tombstone);
        if tombstone.empties() {
            known.series.hide(tombstone.series.as_ref());
        }
        let flushing = frozen.as_ref().is_some_and(|frozen| frozen.memtable.table(table).is_some());
        if flushing || known.touched_by(&tombstone) {
            known.tombstones.push(tombstone);
        }
        Ok(lsn)
    }

    /// Forgets a table: see [`Shard::drop_tables`].
    pub async fn drop_table(&self, table: TableId) -> Result<()> {
        self.drop_tables(&[table]).await
    }

    /// Forgets tables: their rows, their series, their files. Their ids are never used again. It is one edit of the
    /// manifest, however many they are. After an error it may be tried again; the tables are gone from memory all the
    /// same.
    pub async fn drop_tables(&self, tables: &[TableId]) -> Result<()> {
        self.end_tables(tables);
        let _edit = self.edit().await;
        let (edit, files) = {
            let mut state = self.state.borrow_mut();
            for table in tables {
                state.active.remove(*table);
                let segments = state.tables.remove(table).map(|known| known.partitions).unwrap_or_default();
                state.dropping.entry(*table).or_default().extend(segments.into_values().flatten());
                self.columns.borrow_mut().remove(table);
            }
            // As the manifest has them: an earlier try may have failed after the tables were forgotten.
            let files: Vec<PathBuf> = self.segments_named(&state.manifest, tables).collect();
            let drop_tables = tables.iter().map(|table| table.0).collect();
            (Edit { drop_tables, dropped_lsn: self.wal.appended().0, ..Edit::default() }, files)
        };
        self.with_reserve(0, async || self.store(&edit).await.map_err(Error::from)).await?;
        let gone = {
            let mut state = self.state.borrow_mut();
            state.manifest.apply(edit);
            state.take_dropped()
        };
        self.sweep().await;
        self.remove_segments(gone, 0, files.into_iter()).await;
        Ok(())
    }

    /// Where the segments lie that a manifest names of `tables`.
    pub(super) fn segments_named<'a>(
        &'a self,
        manifest: &'a Manifest,
        tables: &'a [TableId],
    ) -> impl Iterator<Item = PathBuf> + use<'a, D> {
        let named = tables.iter().flat_map(|table| manifest.segments_of(*table));
        named.map(|entry| self.folders.segments.join(&entry.meta.file))
    }
}

impl<D: Disk> State<D> {
    /// The segments of dropped tables that the manifest does not name any more.
    pub(super) fn take_dropped(&mut self) -> Vec<Rc<Segment<D>>> {
        let Self { dropping, manifest, .. } = self;
        let gone = dropping.extract_if(.., |table, _| manifest.table(*table).is_none());
        gone.flat_map(|(_, segments)| segments).collect()
    }

    /// Forgets tombstones that no rows are left for: after segments were replaced or removed.
    pub(super) fn prune_tombstones(&mut self) {
        let frozen = self.frozen.as_ref();
        for (id, table) in self.tables.iter_mut().filter(|(_, table)| !table.tombstones.is_empty()) {
            let mut tombstones = std::mem::take(&mut table.tombstones);
            let flushing = frozen.filter(|frozen| frozen.memtable.table(*id).is_some()).map(|frozen| frozen.lsn());
            tombstones
                .retain(|tombstone| flushing.is_some_and(|lsn| lsn < tombstone.lsn) || table.touched_by(tombstone));
            table.tombstones = tombstones;
        }
    }

    /// The tombstones of log records from after the manifest's up to `flushed`, for the manifest.
    pub(super) fn new_tombstones(&self, flushed: Lsn) -> Result<Vec<TombstoneEntry>> {
        let mut entries = Vec::new();
        for (table, known) in &self.tables {
            for tombstone in &known.tombstones {
                if (self.manifest.flushed_lsn + 1..=flushed.0).contains(&tombstone.lsn.0) {
                    let series = tombstone.series.as_ref().map(bitmap_bytes).transpose().map_err(Error::Rejected)?;
                    let Tombstone { lsn, time_min, time_max, .. } = **tombstone;
                    entries.push(TombstoneEntry { table: table.0, lsn: lsn.0, time_min, time_max, series });
                }
            }
        }
        Ok(entries)
    }
}

impl<D: Disk> TableState<D> {
    /// Whether a segment may hold rows that a tombstone deletes. One that cannot be opened counts: when a copy of its
    /// file is put in place, what was deleted must not come back.
    pub(crate) fn touched_by(&self, tombstone: &Tombstone) -> bool {
        self.metas().any(|meta| tombstone.touches(meta))
    }

    /// The deletes of log records after `lsn`.
    pub(super) fn deletes_after(&self, lsn: Lsn) -> &[Rc<Tombstone>] {
        let from = self.tombstones.partition_point(|tombstone| tombstone.lsn <= lsn);
        &self.tombstones[from..]
    }

    /// The deletes up to `lsn` that have to be applied to the rows of a segment.
    pub(super) fn deletes_of(&self, segment: &Segment<D>, lsn: Lsn) -> Deletes {
        let touching = |tombstone: &&Rc<Tombstone>| tombstone.lsn <= lsn && tombstone.touches(segment.meta());
        self.tombstones.iter().filter(touching).cloned().collect()
    }
}
