//! The shards of one core, and what is counted of them.
//!
//! What a shard's memtables and its index hold is counted where it grows, with the admission counters and the core's
//! memory; both are set right at each tick of the upkeep.
//!
//! A shard in which a panic was met goes offline ([`Shards::take_offline`]): nothing more is done with it, and what it
//! had acknowledged is in its files for the next start.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;
use std::sync::Arc;

use tidewire_storage::Error;
use tidewire_storage::engine::{SeriesSelection, Shard, TableTotals};
use tidewire_storage::schema::{SeriesId, TableId, TableSchema};
use tidewire_storage::wal::Lsn;

use super::late::{LateNotes, LateWatch, Spans};
use super::message::{DeleteWatched, SetWatch, ShardTrouble, TableBatch};
use super::offline::OfflineShards;
use super::watch::{Watch, Watches};
use crate::admission::Admission;
use crate::memory::{CoreMemory, Part};
use crate::metrics::registry::Registry;
use crate::metrics::shard::{ShardMetrics, ShownOffline, show_offline};
use crate::ring::caught;
use crate::runtime::timed_disk::CoreDisk;

/// Memory of a new series in the index until it is counted: a key of 150 bytes, and its tags' values and codes.
const SERIES_BYTES: u64 = 512;

/// The ids of the new series of each batch.
type NewIds = Vec<Vec<SeriesId>>;

/// A shard of this core.
pub type CoreShard = Shard<CoreDisk>;

/// The shards of one core.
pub struct Shards {
    open: BTreeMap<u32, Rc<CoreShard>>,
    offline: Arc<OfflineShards>,
    admission: Arc<Admission>,
    memory: Rc<CoreMemory>,
    metrics: Vec<ShardMetrics>,
    /// As the open shards.
    shown_offline: Vec<ShownOffline>,
    watches: RefCell<Watches>,
    late: RefCell<LateNotes>,
}

impl Shards {
    /// The shards `open`; those in `offline` are of all cores.
    pub fn new(
        open: BTreeMap<u32, Rc<CoreShard>>,
        offline: Arc<OfflineShards>,
        admission: Arc<Admission>,
        memory: Rc<CoreMemory>,
        registry: &Registry,
    ) -> Self {
        let metrics = open.keys().map(|shard| ShardMetrics::new(*shard, registry)).collect();
        let shown_offline = open.keys().map(|shard| show_offline(*shard, false, registry)).collect();
        let (watches, late) = (RefCell::default(), RefCell::default());
        Self { open, offline, admission, memory, metrics, shown_offline, watches, late }
    }

    /// The open shards by number, without those that are offline.
    pub fn iter(&self) -> impl Iterator<Item = (u32, &Rc<CoreShard>)> {
        self.all().filter(|(_, shard)| shard.check_sound().is_ok())
    }

    /// All shards that were opened, by number.
    pub fn all(&self) -> impl Iterator<Item = (u32, &Rc<CoreShard>)> {
        self.open.iter().map(|(number, shard)| (*number, shard))
    }

    /// Takes a shard of this core offline, for all cores: a panic was met in it.
    pub(super) fn take_offline(&self, shard: u32, reason: &str) {
        let Some(open) = self.open.get(&shard) else { return };
        open.abandon(reason);
        // Where none is left that is well, the server still says why.
        let _ = self.offline.add(shard, reason.to_owned());
        if let Some(shown) =
            self.open.keys().position(|number| *number == shard).and_then(|at| self.shown_offline.get(at))
            && shown.show()
        {
            log::error!(
                "shard {shard} is offline until the server is started again: {reason}; its rows are neither taken nor \
                 given, those that were acknowledged are in its files"
            );
        }
    }

    /// Takes those shards offline that a panic has left half changed, wherever it was caught.
    pub(super) fn look_for_unsound(&self) {
        for (number, shard) in self.all() {
            if let Err(Error::ShardOffline { reason, .. }) = shard.check_sound() {
                self.take_offline(number, &reason);
            }
        }
    }

    /// A shard of this core; an error when it is offline. Every core places shards alike, so a question never goes to
    /// the wrong one.
    pub(super) fn get(&self, shard: u32) -> Result<&Rc<CoreShard>, Error> {
        self.offline.check(shard)?;
        match self.open.get(&shard) {
            Some(open) => open.check_sound().map(|()| open),
            None => unreachable!("invariant: shard {shard} lives on another core"),
        }
    }

    /// Notes late rows for these watches from now on; returns what was noted.
    pub(super) fn collect_late(&self, watches: &[LateWatch]) -> Vec<(u64, Spans)> {
        self.late.borrow_mut().collect(watches)
    }

    /// Appends rows to a shard, all or none, and counts what that takes. They are durable when [`Shard::durable`] says
    /// so for the LSN. Those of a table that is over are passed over: they were written before the DROP, which has
    /// taken them already (`ingest::commit` says why that is so).
    pub(super) fn append(
        &self,
        shard: u32,
        rows: &[TableBatch],
        by: Option<&Arc<Watch>>,
    ) -> Result<(&Rc<CoreShard>, Lsn, NewIds), Error> {
        let open = self.get(shard)?;
        let before = open.memtable_bytes();
        let is_live = |part: &&TableBatch| !open.has_ended(part.table.id);
        let live: Vec<_> = rows.iter().filter(is_live).map(|part| (&part.batch, &*part.table)).collect();
        let appended = caught(|| open.append_all(&live)).unwrap_or_else(|panicked| {
            self.take_offline(shard, &format!("rows were not taken by {panicked}"));
            Err(open.check_sound().err().unwrap_or(Error::Closed))
        });
        let (lsn, ids) = appended?;
        let after = open.memtable_bytes();
        self.admission.set_memtable(shard, after);
        self.memory.change(Part::Memtables, before.min(after), after);
        // About right until the series are counted at the next tick.
        let new_series: usize = ids.iter().map(Vec::len).sum();
        self.memory.change(Part::Series, 0, new_series as u64 * SERIES_BYTES);
        let mut ids = ids.into_iter();
        let of_part = |part: &TableBatch| if is_live(&part) { ids.next().unwrap_or_default() } else { Vec::new() };
        let ids: NewIds = rows.iter().map(of_part).collect();
        let mut late = self.late.borrow_mut();
        if !late.is_empty() {
            rows.iter().for_each(|part| late.note(&part.table, &part.batch.time));
        }
        let mut watches = self.watches.borrow_mut();
        if !watches.is_empty() {
            rows.iter().zip(&ids).for_each(|(part, ids)| watches.note(shard, by, &part.batch, ids));
        }
        Ok((open, lsn, ids))
    }

    /// Sets a watch on a table of a shard.
    pub(super) fn watch(&self, SetWatch { shard, table, watch, round }: &SetWatch) {
        self.watches.borrow_mut().set(watch, *round, *shard, *table);
    }

    /// Whether others have written such rows since the watch was set.
    pub(super) fn is_written(&self, question: &DeleteWatched, series: &SeriesSelection) -> bool {
        let DeleteWatched { shard, deletion, watch, round } = question;
        self.watches.borrow().is_written(watch, *round, *shard, series, &deletion.times)
    }

    /// Reports the memtables to the admission counters.
    pub(super) fn report_memtables(&self) {
        for (number, shard) in self.iter() {
            self.admission.set_memtable(number, shard.memtable_bytes());
        }
    }

    /// Gives the shards the columns of tables.
    pub(super) fn set_columns<'t>(&self, tables: impl IntoIterator<Item = &'t Arc<TableSchema>>) {
        for table in tables {
            self.iter().for_each(|(_, shard)| shard.set_columns(table));
        }
    }

    /// Takes no more rows for tables that the catalog no longer names.
    pub(super) fn end_tables(&self, tables: &[TableId]) {
        self.iter().for_each(|(_, shard)| shard.end_tables(tables));
    }

    /// Drops the data of tables that the catalog no longer names.
    pub(super) async fn drop_tables(&self, tables: &[TableId]) {
        for (number, shard) in self.iter() {
            if let Err(error) = shard.drop_tables(tables).await {
                // The catalog no longer names them, so at the next start their files are removed.
                log::error!("shard {number}: cannot drop the data of {} tables: {error}", tables.len());
            }
        }
        self.report_memtables();
    }

    /// Brings all rows into segments, and merges those of some tables until nothing of them is left to merge.
    pub(super) async fn compact(&self, tables: &BTreeSet<TableId>) -> Result<(), Error> {
        for (_, shard) in self.iter() {
            shard.flush().await?;
            shard.compact_tables(tables).await?;
        }
        self.report_memtables();
        Ok(())
    }

    /// What the shards hold of each table.
    pub(super) fn table_totals(&self) -> BTreeMap<TableId, TableTotals> {
        let mut totals: BTreeMap<TableId, TableTotals> = BTreeMap::new();
        for (table, held) in self.iter().flat_map(|(_, shard)| shard.table_totals()) {
            let total = totals.entry(table).or_default();
            total.rows += held.rows;
            total.bytes += held.bytes;
            total.series += held.series;
        }
        totals
    }

    /// How many rows the shards hold of each of `tables`.
    pub(super) fn rows(&self, tables: &[TableId]) -> Vec<u64> {
        let of_table = |table: &TableId| self.iter().map(|(_, shard)| shard.rows(*table)).sum();
        tables.iter().map(of_table).collect()
    }

    /// What keeps open shards from taking writes.
    pub(super) fn troubles(&self) -> Vec<ShardTrouble> {
        let trouble =
            |(shard, open): (u32, &Rc<CoreShard>)| Some(ShardTrouble { shard, reason: open.refusal()?.to_string() });
        self.iter().filter_map(trouble).collect()
    }

    /// Fills in the values of this moment.
    pub(super) fn update_metrics(&self) {
        let sound = |((_, shard), _): &((u32, &Rc<CoreShard>), &ShardMetrics)| shard.check_sound().is_ok();
        for ((number, shard), metrics) in self.all().zip(&self.metrics).filter(sound) {
            metrics.update(number, &shard.stats(), &self.admission);
        }
    }
}
