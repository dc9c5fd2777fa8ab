//! Rows in the order of (series, time): numbers of rows, each (series, time) once.

use std::ops::Range;

use crate::run::Run;
use crate::schema::SeriesId;
use crate::work;

/// Rows in order.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Order {
    /// For each (series, time) the last row that has it.
    pub rows: Vec<u32>,
    /// Its time.
    pub time: Vec<i64>,
    /// Consecutive rows of one series.
    pub runs: Vec<Run>,
    /// The positions in `rows` that have older rows of the same (series, time), ascending.
    pub merges: Vec<Merge>,
    /// The older rows of all merges, of each the oldest first.
    pub older: Vec<u32>,
}

/// Rows that share one (series, time).
#[derive(Debug, Clone, PartialEq)]
pub struct Merge {
    /// Position in [`Order::rows`].
    pub at: u32,
    /// Range of [`Order::older`].
    pub older: Range<u32>,
}

impl Order {
    /// Memory taken.
    pub(crate) fn memory_bytes(&self) -> usize {
        let Self { rows, time, runs, merges, older } = self;
        vec_bytes(rows) + vec_bytes(time) + vec_bytes(runs) + vec_bytes(merges) + vec_bytes(older)
    }

    /// Appends a row that comes after all others.
    pub(crate) fn push(&mut self, series: u32, time: i64, row: u32, older: &[u32]) {
        let at = self.rows.len() as u32;
        match self.runs.last_mut().filter(|run| run.series.0 == series) {
            Some(run) => run.len += 1,
            None => self.runs.push(Run { series: SeriesId(series), start: at, len: 1 }),
        }
        if !older.is_empty() {
            let start = self.older.len() as u32;
            self.older.extend_from_slice(older);
            self.merges.push(Merge { at, older: start..self.older.len() as u32 });
        }
        self.rows.push(row);
        self.time.push(time);
    }

    /// Appends the positions `range` of one run of `from`, which come after all others.
    pub(crate) fn push_range(&mut self, from: &Self, series: SeriesId, range: Range<usize>) {
        let at = self.rows.len() as u32;
        match self.runs.last_mut().filter(|run| run.series == series) {
            Some(run) => run.len += range.len() as u32,
            None => self.runs.push(Run { series, start: at, len: range.len() as u32 }),
        }
        self.rows.extend_from_slice(&from.rows[range.clone()]);
        self.time.extend_from_slice(&from.time[range.clone()]);
        if from.merges.is_empty() {
            return;
        }
        for merge in from.merges_in(&range) {
            let start = self.older.len() as u32;
            work::charge_copy(size_of_val(from.older(merge)));
            self.older.extend_from_slice(from.older(merge));
            let older = start..self.older.len() as u32;
            self.merges.push(Merge { at: at + (merge.at - range.start as u32), older });
        }
    }

    /// The older rows of position `at`, the oldest first.
    pub(crate) fn older_at(&self, at: usize) -> &[u32] {
        match self.merges.binary_search_by_key(&(at as u32), |merge| merge.at) {
            Ok(found) => self.older(&self.merges[found]),
            Err(_) => &[],
        }
    }

    /// First and last time of rows of a run.
    pub(crate) fn ends_of(&self, run: Run) -> (i64, i64) {
        (self.time[run.start as usize], self.time[(run.start + run.len) as usize - 1])
    }

    /// The part of `run` with times within `time_min..=time_max`.
    pub(crate) fn between(&self, run: Run, time_min: i64, time_max: i64) -> Range<usize> {
        let (start, end) = (run.start as usize, (run.start + run.len) as usize);
        let time = &self.time[start..end];
        let before = |bound: &dyn Fn(i64) -> bool| start + time.partition_point(|time| bound(*time));
        let from = if time_min <= time[0] { start } else { before(&|time| time < time_min) };
        let to = if time[time.len() - 1] <= time_max { end } else { before(&|time| time <= time_max) };
        from..to.max(from)
    }

    /// The merges at positions within `range`.
    pub(crate) fn merges_in(&self, range: &Range<usize>) -> &[Merge] {
        let from = self.merges.partition_point(|merge| (merge.at as usize) < range.start);
        let to = self.merges.partition_point(|merge| (merge.at as usize) < range.end);
        &self.merges[from..to]
    }

    /// The older rows of a merge, the oldest first.
    pub fn older(&self, merge: &Merge) -> &[u32] {
        &self.older[merge.older.start as usize..merge.older.end as usize]
    }
}

pub(super) fn vec_bytes<T>(values: &Vec<T>) -> usize {
    values.capacity() * size_of::<T>()
}
