//! Reading: what a scan looks at is fixed when it is made.
//!
//! Segments are immutable and held by reference; rows in memory are selected, put in order and copied at once.

use std::collections::BTreeMap;
use std::rc::Rc;

use roaring::RoaringBitmap;

use super::Shard;
use crate::disk::Disk;
use crate::error::{Error, Result};
use crate::memtable::{Sorter, TableRows, chunk, split_partitions};
use crate::partition::partition_of;
use crate::scan::{PartitionSources, Scan, ScanRequest, SegmentSource};
use crate::segment::{Segment, SegmentMeta};
use crate::wal::Lsn;

impl<D: Disk> Shard<D> {
    /// A scan of what was appended before. `memory_bytes_max` bounds what it holds. It is refused where it may need
    /// rows of a segment that cannot be read at all.
    pub fn scan(&self, request: ScanRequest, memory_bytes_max: u64) -> Result<Scan<D>> {
        let state = self.state.borrow();
        let mut partitions: BTreeMap<i64, PartitionSources<D>> = BTreeMap::new();
        if let Some(table) = state.tables.get(&request.table) {
            let from = partition_of(request.time_min, table.partition_length);
            table.check_readable(from, &request)?;
            for (start, segments) in table.partitions.range(from..=request.time_max.max(from)) {
                let source = |segment: &Rc<Segment<D>>| SegmentSource {
                    segment: segment.clone(),
                    deletes: table.deletes_of(segment, Lsn(u64::MAX)),
                };
                let wanted: Vec<_> = segments.iter().filter(|s| is_wanted(s.meta(), &request)).map(source).collect();
                if !wanted.is_empty() {
                    partitions.insert(*start, PartitionSources { segments: wanted, memory: Vec::new() });
                }
            }
            let flushing = state.frozen.iter().map(|frozen| (&frozen.memtable, table.deletes_after(frozen.lsn())));
            let memtables = flushing.chain([(&state.active, &[][..])]);
            let mut copied = 0;
            let rows = memtables.filter_map(|(memtable, later)| Some((memtable.table(request.table)?, later)));
            for (rows, later) in rows {
                let mut selected = select(rows, &request);
                rows.retain_live(&mut selected, later);
                if selected.is_empty() {
                    continue;
                }
                // Before the copy, not after: many queries at once would copy as many memtables.
                copied += rows.copy_bytes(selected.len(), &request.columns);
                if copied > memory_bytes_max {
                    return Err(Error::ScanMemory { limit_bytes: memory_bytes_max });
                }
                let order = Sorter::new(rows.series(), rows.time(), selected).finish();
                for (start, order) in split_partitions(order, table.partition_length) {
                    let chunk = chunk(rows, order, &request.columns)?;
                    let empty = || PartitionSources { segments: Vec::new(), memory: Vec::new() };
                    partitions.entry(start).or_insert_with(empty).memory.push(chunk);
                }
            }
        }
        drop(state);
        Ok(Scan::new(self.disk.clone(), request, partitions.into_values().collect(), memory_bytes_max))
    }
}

/// Whether a segment may hold rows that are asked for.
pub(super) fn is_wanted(meta: &SegmentMeta, request: &ScanRequest) -> bool {
    let in_time = meta.time_max >= request.time_min && meta.time_min <= request.time_max;
    let has_series = |series: &RoaringBitmap| series.range_cardinality(meta.series_min..=meta.series_max) > 0;
    in_time && request.series.as_ref().is_none_or(has_series)
}

/// The rows that are asked for, ascending.
fn select(rows: &TableRows, request: &ScanRequest) -> Vec<u32> {
    let (series, time) = (rows.series(), rows.time());
    let (min, max) = rows.time_bounds();
    let whole_time = request.time_min <= min && max <= request.time_max;
    if max < request.time_min || request.time_max < min {
        return Vec::new();
    }
    let in_time = |row: u32| {
        let time = time[row as usize];
        whole_time || (request.time_min <= time && time <= request.time_max)
    };
    let all = 0..rows.rows() as u32;
    let Some(wanted) = request.series.as_ref() else {
        return all.filter(|row| in_time(*row)).collect();
    };
    match wanted.len() {
        0 => Vec::new(),
        1 => {
            let one = wanted.min().unwrap_or_default();
            positions_of(series, one).filter(|row| in_time(*row)).collect()
        }
        _ => {
            // A byte a series instead of a search in the bitmap for each row.
            let mut table = vec![false; wanted.max().unwrap_or_default() as usize + 1];
            wanted.iter().for_each(|series| table[series as usize] = true);
            let has = |row: &u32| table.get(series[*row as usize] as usize).is_some_and(|wanted| *wanted);
            all.filter(|row| has(row) && in_time(*row)).collect()
        }
    }
}

/// Rows of one series. Looks at a stretch of rows at once, since most have none.
fn positions_of(series: &[u32], one: u32) -> impl Iterator<Item = u32> {
    const STRETCH: usize = 64;
    series.chunks(STRETCH).enumerate().flat_map(move |(at, stretch)| {
        let hit = stretch.iter().fold(false, |hit, &series| hit | (series == one));
        let rows = if hit { stretch } else { &[] };
        rows.iter().enumerate().filter(move |(_, series)| **series == one).map(move |(i, _)| (at * STRETCH + i) as u32)
    })
}
