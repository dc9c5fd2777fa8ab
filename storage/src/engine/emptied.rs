//! Series that a delete of some times has left without rows.
//!
//! A delete over all times hides its series by itself; after one of some times [`Shard::hide_emptied`] looks for those
//! that have no rows left, and hides them. It looks while writes go on:
//!
//! 1. What rows there are is taken note of, as for a snapshot. Series with a live row in a memtable are found row by
//!    row, others by their last row in segments, which footers mostly tell.
//! 2. Without waiting, series are left out that got rows since. Where a memtable with such rows is gone by then, it
//!    begins anew, a few times.
//! 3. The others are deleted over all times, by a record of the log that says so to a replay too. It covers no rows,
//!    and hides them.

use roaring::RoaringBitmap;

use super::Shard;
use super::delete::SeriesSelection;
use super::snapshot::Seen;
use crate::disk::Disk;
use crate::error::Result;
use crate::memtable::TableRows;
use crate::scan::{Scan, ScanItem, ScanMode, ScanRequest};
use crate::schema::TableId;
use crate::wal::Lsn;

/// Times that it is begun anew. Then the series still count, until the next delete.
const TRIES_MAX: usize = 3;

/// Rows in memory between two yields: some 100 µs.
const ROWS_STEP: usize = 8_192;

/// Of indexes and blocks of segments, at one time.
const SCAN_BYTES_MAX: u64 = 64 << 20;

/// Where rows that are new begin.
#[derive(Clone, Copy)]
struct Since {
    generation: u64,
    rows: usize,
}

impl<D: Disk> Shard<D> {
    /// Hides those of `series` that have no rows. Gives the LSN to wait for, if there were any.
    pub async fn hide_emptied(&self, table: TableId, series: &SeriesSelection) -> Result<Option<Lsn>> {
        for _ in 0..TRIES_MAX {
            let mut left = self.live_of(table, series);
            let since = {
                let state = self.state.borrow();
                let rows = state.active.table(table).map_or(0, TableRows::rows);
                Since { generation: state.generation, rows }
            };
            let Some(seen) = self.see(table, i64::MIN, i64::MAX) else { return Ok(None) };
            if !self.leave_empty(&seen, &mut left).await? {
                continue;
            }
            drop(seen);
            if !self.leave_unwritten(table, since, &mut left) {
                continue;
            }
            if left.is_empty() {
                return Ok(None);
            }
            return self.delete(table, &SeriesSelection::Of(left), i64::MIN, i64::MAX).map(Some);
        }
        Ok(None)
    }

    fn live_of(&self, table: TableId, series: &SeriesSelection) -> RoaringBitmap {
        let state = self.state.borrow();
        let Some(known) = state.tables.get(&table) else { return RoaringBitmap::new() };
        let live = known.series.live().map(|id| id.0);
        match series {
            SeriesSelection::All => live.collect(),
            SeriesSelection::Of(of) => live.filter(|id| of.contains(*id)).collect(),
        }
    }

    /// Leaves of `left` the series without rows; false where rows could not be looked at.
    async fn leave_empty(&self, seen: &Seen<D>, left: &mut RoaringBitmap) -> Result<bool> {
        for memory in &seen.memory {
            let mut from = 0;
            while from < memory.rows.count {
                let until = (from + ROWS_STEP).min(memory.rows.count);
                {
                    let state = self.state.borrow();
                    let rows = state.memtable_of(memory.generation).and_then(|memtable| memtable.table(seen.table));
                    let Some(rows) = rows else { return Ok(false) };
                    for (row, series) in (from as u32..).zip(&rows.series()[from..until]) {
                        if left.contains(*series) && rows.is_live(row, &memory.rows.deletes) {
                            left.remove(*series);
                        }
                    }
                }
                from = until;
                self.disk.yield_if_needed().await;
            }
        }
        if left.is_empty() {
            return Ok(true);
        }
        let request = ScanRequest {
            table: seen.table,
            time_min: i64::MIN,
            time_max: i64::MAX,
            series: Some(left.clone()),
            columns: Vec::new(),
            prune: Vec::new(),
        };
        let sources = self.scan_segments(Some(seen), &request)?.into_values().collect();
        let mut scan = Scan::new(self.disk.clone(), request, sources, SCAN_BYTES_MAX);
        scan.set_mode(ScanMode::LastRow);
        while let Some(item) = scan.next_item().await? {
            if let ScanItem::Rows(chunk) = item {
                chunk.runs.iter().for_each(|run| {
                    left.remove(run.series.0);
                });
            }
            self.disk.yield_if_needed().await;
        }
        Ok(true)
    }

    /// Leaves of `left` the series that no row came for; false where that is not known.
    fn leave_unwritten(&self, table: TableId, since: Since, left: &mut RoaringBitmap) -> bool {
        let state = self.state.borrow();
        for generation in since.generation..=state.generation {
            let Some(memtable) = state.memtable_of(generation) else { return false };
            let from = if generation == since.generation { since.rows } else { 0 };
            let rows = memtable.table(table).map_or(&[][..], |rows| rows.series());
            rows.iter().skip(from).for_each(|series| {
                left.remove(*series);
            });
        }
        true
    }
}
