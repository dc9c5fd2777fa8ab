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
use crate::partition::partition_of;
use crate::schema::TableId;
use crate::segment::Segment;
use crate::tombstone::{Cover, Tombstone};
use crate::wal::{Delete, Lsn, bitmap_bytes};
use crate::work;

/// Memory of tombstones that were not yet applied by compaction; beyond, deletes are refused until some are. Each
/// manifest carries all of them.
const TOMBSTONE_BYTES_MAX: u64 = 16 << 20;

/// Tables that are forgotten between two yields.
const DROP_STEP: usize = 256;

/// Looks at segments and tombstones between two yields, when some may be forgotten.
const PRUNE_LOOKS: usize = 1 << 14;

/// Tombstones that are added to a cover between two yields.
const COVER_STEP: usize = 1 << 10;

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
            state.with_tombstones().map(|(_, table)| table.tombstones.bytes()).sum()
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
        let State { tables, deleted_from, hidden_in, active, frozen, .. } = &mut *state;
        let Some(known) = tables.get_mut(&table) else { return Ok(self.wal.appended()) };
        let delete = Delete { table, time_min, time_max, series };
        let lsn = self.wal.append_delete(&delete)?;
        let tombstone = Rc::new(Tombstone { lsn, time_min, time_max, series: delete.series });
        active.delete(table, &tombstone);
        if tombstone.empties() {
            known.series.hide(tombstone.series.as_ref());
            hidden_in.insert(table);
        }
        let flushing = frozen.as_ref().is_some_and(|frozen| frozen.memtable.table(table).is_some());
        if flushing || known.touched_by(&tombstone).0 {
            known.tombstones.push(tombstone);
            deleted_from.insert(table);
        }
        let due = self.is_flush_due(active);
        drop(state);
        if due {
            self.changed.notify();
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
        for some in tables.chunks(DROP_STEP) {
            self.forget(some);
            self.disk.yield_if_needed().await;
        }
        let (edit, files) = {
            let state = self.state.borrow();
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

    /// Forgets what is in memory of tables that are over.
    fn forget(&self, tables: &[TableId]) {
        let mut state = self.state.borrow_mut();
        for table in tables {
            state.active.remove(*table);
            self.agenda.borrow_mut().forget(*table);
            let segments = state.tables.remove(table).map(|known| known.partitions).unwrap_or_default();
            state.dropping.entry(*table).or_default().extend(segments.into_values().flatten());
            self.columns.borrow_mut().remove(table);
        }
        work::charge_each(tables.len(), 100 * work::LOOK);
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

    /// The tombstones of log records from after the manifest's up to `flushed`, for the manifest.
    pub(super) fn new_tombstones(&self, flushed: Lsn) -> Result<Vec<TombstoneEntry>> {
        let mut entries = Vec::new();
        for (table, known) in self.with_tombstones() {
            for tombstone in known.tombstones.between(Lsn(self.manifest.flushed_lsn), flushed) {
                let series = tombstone.series.as_ref().map(bitmap_bytes).transpose().map_err(Error::Rejected)?;
                let Tombstone { lsn, time_min, time_max, .. } = **tombstone;
                entries.push(TombstoneEntry { table: table.0, lsn: lsn.0, time_min, time_max, series });
            }
        }
        Ok(entries)
    }
}

impl<D: Disk> TableState<D> {
    /// Whether a segment may hold rows that a tombstone deletes, and at how many of them that took a look. One that
    /// cannot be opened counts: when a copy of its file is put in place, what was deleted must not come back.
    pub(crate) fn touched_by(&self, tombstone: &Tombstone) -> (bool, usize) {
        let (first, last) = tombstone.times();
        let first = partition_of(first, self.partition_length);
        let times = first..=last.max(first);
        let known = self.partitions.range(times.clone()).flat_map(|(_, segments)| segments);
        let unreadable = self.unreadable.range(times).flat_map(|(_, segments)| segments);
        let metas = known.map(|segment| segment.meta()).chain(unreadable.map(|segment| &segment.meta));
        let mut looks = 0;
        for meta in metas {
            looks += 1;
            if tombstone.touches(meta) {
                return (true, looks);
            }
        }
        (false, looks)
    }
}

impl<D: Disk> Shard<D> {
    /// Forgets tombstones of these tables that no rows are left for: after segments were replaced or removed. To be
    /// called with the right to change the manifest, so that nobody else forgets any.
    pub(super) async fn prune_tombstones(&self, tables: Vec<TableId>) {
        for table in tables {
            let (mut at, mut forgot) = (0, false);
            while let Some((next, less)) = self.prune_some(table, at) {
                (at, forgot) = (next, forgot | less);
                self.disk.yield_if_needed().await;
            }
            if forgot {
                self.renew_cover(table).await;
            }
        }
    }

    /// Some more of those of a table from the `at`-th on: where to go on, and whether any was forgotten; `None` at the
    /// end.
    fn prune_some(&self, id: TableId, at: usize) -> Option<(usize, bool)> {
        let mut state = self.state.borrow_mut();
        let State { tables, deleted_from, frozen, .. } = &mut *state;
        let flushing = frozen.as_ref().filter(|frozen| frozen.memtable.table(id).is_some()).map(|frozen| frozen.lsn());
        let table = tables.get_mut(&id);
        let count = table.as_ref().map_or(0, |table| table.tombstones.as_slice().len());
        if count == 0 {
            deleted_from.remove(&id);
        }
        let table = table.filter(|_| at < count)?;
        let mut tombstones = std::mem::take(&mut table.tombstones);
        let before = tombstones.as_slice().len();
        let next = tombstones.retain_some(at, PRUNE_LOOKS, |tombstone| {
            match flushing.is_some_and(|lsn| lsn < tombstone.lsn) {
                true => (true, 0),
                false => table.touched_by(tombstone),
            }
        });
        let forgot = tombstones.as_slice().len() < before;
        table.tombstones = tombstones;
        Some((next, forgot))
    }

    /// The deletes of a table up to a log record, which is not later than any that is appended.
    pub(super) async fn deletes_up_to(&self, id: TableId, lsn: Lsn) -> Cover {
        let (mut cover, mut after) = (Cover::default(), Lsn(0));
        loop {
            {
                let state = self.state.borrow();
                let Some(table) = state.tables.get(&id) else { return cover };
                // Some may be forgotten meanwhile, which cover nothing that is left.
                let list = table.tombstones.between(after, lsn);
                let some = &list[..list.len().min(COVER_STEP)];
                let Some(last) = some.last() else { return cover };
                for tombstone in some {
                    cover.add(tombstone.series.as_ref(), tombstone.times(), tombstone.lsn.0);
                }
                work::charge_each(some.len(), work::SORT);
                after = last.lsn;
            }
            self.disk.yield_if_needed().await;
        }
    }

    /// Makes the cover of a table's tombstones anew, without what was forgotten.
    async fn renew_cover(&self, id: TableId) {
        let (mut cover, mut done) = (Cover::default(), 0);
        loop {
            {
                let mut state = self.state.borrow_mut();
                let Some(table) = state.tables.get_mut(&id) else { return };
                let list = table.tombstones.as_slice();
                let to = list.len().min(done + COVER_STEP);
                for tombstone in &list[done..to] {
                    cover.add(tombstone.series.as_ref(), tombstone.times(), tombstone.lsn.0);
                }
                work::charge_each(to - done, work::SORT);
                done = to;
                if done == list.len() {
                    return table.tombstones.set_cover(cover, done);
                }
            }
            self.disk.yield_if_needed().await;
        }
    }
}
