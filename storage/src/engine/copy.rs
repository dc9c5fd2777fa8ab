//! Rows of a memtable copied for a scan, in steps: selected, put in order, cut into partitions, and copied column by
//! column.
//!
//! The memtable is handed in at each step, since appends may go on between two: rows that were there stay as they are.

use std::collections::BTreeMap;
use std::ops::Range;

use crate::error::Result;
use crate::memtable::{Copier, Order, SeenDeletes, Sorter, Splitter, TableRows};
use crate::scan::{ScanChunk, ScanRequest};
use crate::work;

/// Rows of one step of the selection.
const STEP_ROWS: u32 = 1 << 13;

/// See the module.
pub(super) struct MemoryCopy<'a> {
    request: &'a ScanRequest,
    deletes: &'a SeenDeletes,
    /// Rows that the scan sees.
    count: u32,
    partition_length: i64,
    phase: Phase,
    chunks: BTreeMap<i64, ScanChunk>,
}

enum Phase {
    Begin,
    Select { at: u32, series: Series, rows: Vec<u32> },
    Sort(Sorter),
    Split(Splitter),
    Copy { current: Option<(i64, Copier)>, left: BTreeMap<i64, Order> },
}

impl<'a> MemoryCopy<'a> {
    /// Is to copy those of the first `count` rows that `request` asks for and that none of `deletes` covers.
    pub(super) fn new(request: &'a ScanRequest, deletes: &'a SeenDeletes, count: usize, partition_length: i64) -> Self {
        let count = count as u32;
        Self { request, deletes, count, partition_length, phase: Phase::Begin, chunks: BTreeMap::new() }
    }

    /// Works a while; the copies by the start of their partition when it is done. `take` is asked for what they take
    /// before they are made.
    pub(super) fn step(
        &mut self,
        rows: &TableRows,
        take: &mut dyn FnMut(u64) -> Result<()>,
    ) -> Result<Option<BTreeMap<i64, ScanChunk>>> {
        match &mut self.phase {
            Phase::Begin => {
                let (min, max) = rows.time_bounds();
                if max < self.request.time_min || self.request.time_max < min {
                    return Ok(Some(BTreeMap::new()));
                }
                self.phase = Phase::Select { at: 0, series: Series::of(self.request), rows: Vec::new() };
            }
            Phase::Select { at, series, rows: selected } => {
                let to = self.count.min(*at + STEP_ROWS);
                series.select(rows, *at..to, self.request, self.deletes, selected);
                *at = to;
                if to < self.count {
                    return Ok(None);
                }
                // Before the copy, not after: many queries at once would copy as many memtables.
                take(rows.copy_bytes(selected.len(), &self.request.columns))?;
                self.phase = Phase::Sort(Sorter::new(std::mem::take(selected)));
            }
            Phase::Sort(sorter) => {
                if let Some(order) = sorter.step(rows.series(), rows.time()) {
                    self.phase = Phase::Split(Splitter::new(order, self.partition_length));
                }
            }
            Phase::Split(splitter) => {
                if let Some(parts) = splitter.step() {
                    self.phase = Phase::Copy { current: None, left: parts };
                }
            }
            Phase::Copy { current, left } => {
                let next = || left.pop_first().map(|(start, order)| (start, Copier::new(order)));
                let Some((start, mut copier)) = current.take().or_else(next) else {
                    return Ok(Some(std::mem::take(&mut self.chunks)));
                };
                if copier.step(rows, &self.request.columns)? {
                    self.chunks.insert(start, copier.finish());
                } else {
                    *current = Some((start, copier));
                }
            }
        }
        Ok(None)
    }
}

/// The series that a request asks for, as rows are held against them.
enum Series {
    All,
    One(u32),
    /// A byte a series instead of a search in the bitmap for each row.
    Some(Vec<bool>),
}

impl Series {
    fn of(request: &ScanRequest) -> Self {
        let Some(wanted) = request.series.as_ref() else { return Self::All };
        match (wanted.len(), wanted.max()) {
            (1, Some(one)) => Self::One(one),
            (_, None) => Self::Some(Vec::new()),
            (_, Some(last)) => {
                let mut table = vec![false; last as usize + 1];
                wanted.iter().for_each(|series| table[series as usize] = true);
                Self::Some(table)
            }
        }
    }

    /// Those of the rows `range` that are asked for and live, ascending.
    fn select(
        &self,
        rows: &TableRows,
        range: Range<u32>,
        request: &ScanRequest,
        deletes: &SeenDeletes,
        out: &mut Vec<u32>,
    ) {
        work::charge_each(range.len(), work::LOOK);
        let (series, time) = (rows.series(), rows.time());
        let (min, max) = rows.time_bounds();
        let whole_time = request.time_min <= min && max <= request.time_max;
        let all_live = deletes.is_empty();
        let is_wanted = |row: &u32| {
            let time = time[*row as usize];
            (whole_time || request.time_min <= time && time <= request.time_max)
                && (all_live || rows.is_live(*row, deletes))
        };
        match self {
            Self::All => out.extend(range.filter(is_wanted)),
            Self::One(one) => {
                let series = &series[range.start as usize..range.end as usize];
                out.extend(positions_of(series, *one).map(|row| row + range.start).filter(is_wanted));
            }
            Self::Some(table) => {
                let has = |row: &u32| table.get(series[*row as usize] as usize).is_some_and(|wanted| *wanted);
                out.extend(range.filter(has).filter(is_wanted));
            }
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
