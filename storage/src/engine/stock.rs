//! Sums over all tables and segments. Where these are few, they are taken whenever somebody asks; where they are many,
//! a few at a time ([`Shard::take_stock`]), and who asks gets what was found the last time.

use std::collections::BTreeSet;
use std::ops::Bound;

use super::Shard;
use super::state::{State, TableState};
use crate::disk::Disk;
use crate::schema::TableId;
use crate::work;

/// Tables, and partitions of all of them, up to which sums are taken at once: some hundred microseconds.
const TABLES_AT_ONCE: usize = 1024;
const PARTITIONS_AT_ONCE: usize = 4096;

/// Tables that are summed up between two yields.
const STEP_TABLES: usize = 256;

/// Work for a segment of theirs, and for each of them.
const ENTRY_WORK: u64 = 10 * work::LOOK;

/// What all tables have together.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Stock {
    /// Memory of series and their tags.
    pub(super) index_bytes: u64,
    /// Memory of segments.
    pub(super) footer_bytes: u64,
    pub(super) segments: u64,
    pub(super) segment_bytes: u64,
    pub(super) segment_rows: u64,
    pub(super) series: u64,
    pub(super) series_hidden: u64,
    pub(super) quarantined: u64,
    pub(super) corrupt_blocks: u64,
}

impl Stock {
    fn add<D: Disk>(&mut self, table: &TableState<D>, set_aside: &BTreeSet<String>) {
        self.index_bytes += table.series.memory_bytes() as u64;
        self.series += table.series.live_len() as u64;
        self.series_hidden += table.series.hidden_len() as u64;
        let unreadable = table.unreadable.values().flatten().count() as u64;
        self.quarantined += unreadable;
        self.corrupt_blocks += unreadable;
        let mut entries = 1;
        for segment in table.segments() {
            let (meta, damage) = (segment.meta(), segment.damage().len() as u64);
            entries += 1;
            self.footer_bytes += segment.memory_bytes();
            self.segments += 1;
            self.segment_bytes += meta.bytes;
            self.segment_rows += meta.rows;
            self.corrupt_blocks += damage;
            self.quarantined += u64::from(damage > 0 || set_aside.contains(&meta.file));
        }
        work::charge_each(entries, ENTRY_WORK);
    }
}

/// Whether sums are taken at once.
fn has_few<D: Disk>(state: &State<D>) -> bool {
    let partitions = || state.tables.values().map(|table| table.partitions.len()).sum::<usize>();
    state.tables.len() <= TABLES_AT_ONCE && partitions() <= PARTITIONS_AT_ONCE
}

impl<D: Disk> Shard<D> {
    /// Sums up what all tables have, where they are many, and lets others run meanwhile. To be called now and then, or
    /// [`Shard::memory`] and [`Shard::stats`] walk over all of them each time.
    pub async fn take_stock(&self) {
        if has_few(&self.state.borrow()) {
            return self.stock.set(None);
        }
        let (mut stock, mut after) = (Stock::default(), Bound::Unbounded);
        loop {
            {
                let (state, set_aside) = (self.state.borrow(), self.quarantined.borrow());
                let mut last: Option<TableId> = None;
                for (id, table) in state.tables.range((after, Bound::Unbounded)).take(STEP_TABLES) {
                    stock.add(table, &set_aside);
                    last = Some(*id);
                }
                match last {
                    Some(last) => after = Bound::Excluded(last),
                    None => return self.stock.set(Some(stock)),
                }
            }
            self.disk.yield_if_needed().await;
        }
    }

    /// What all tables have, now or when stock was taken last.
    pub(super) fn stock(&self) -> Stock {
        let state = self.state.borrow();
        if let Some(stock) = self.stock.get().filter(|_| !has_few(&state)) {
            return stock;
        }
        let (mut stock, set_aside) = (Stock::default(), self.quarantined.borrow());
        state.tables.values().for_each(|table| stock.add(table, &set_aside));
        stock
    }
}
