//! Deletes: rows of some series and times that were written before the delete are gone.
//!
//! A tombstone takes its place in the order of the log ([`Lsn`]): rows logged before it are dead if it covers them,
//! rows logged after it live. Where it still matters follows from the LSN in
//! [`SegmentMeta`](crate::segment::SegmentMeta): a segment's rows are all as old as that, and every delete up to it has
//! been applied to them.

use std::rc::Rc;

use roaring::RoaringBitmap;

use crate::schema::SeriesId;
use crate::segment::SegmentMeta;
use crate::segment::index::IndexRun;
use crate::wal::Lsn;

/// A delete.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Tombstone {
    pub(crate) lsn: Lsn,
    /// First time deleted.
    pub(crate) time_min: i64,
    /// Last time deleted.
    pub(crate) time_max: i64,
    /// Series deleted; `None` for all.
    pub(crate) series: Option<RoaringBitmap>,
}

/// Deletes that have not been applied to the rows of one segment.
pub(crate) type Deletes = Rc<[Rc<Tombstone>]>;

impl Tombstone {
    /// Whether nothing that came before it is left of its series.
    pub(crate) fn empties(&self) -> bool {
        (self.time_min, self.time_max) == (i64::MIN, i64::MAX)
    }

    /// Memory taken, about.
    pub(crate) fn bytes(&self) -> u64 {
        64 + self.series.as_ref().map_or(0, |series| series.serialized_size() as u64)
    }

    /// Whether rows with such times and series may be deleted.
    pub(crate) fn overlaps(&self, time: (i64, i64), series: (u32, u32)) -> bool {
        self.time_min <= time.1
            && time.0 <= self.time_max
            && self.series.as_ref().is_none_or(|set| set.range_cardinality(series.0..=series.1) > 0)
    }

    /// Whether it has still to be applied to rows of a segment.
    pub(crate) fn touches(&self, meta: &SegmentMeta) -> bool {
        self.lsn.0 > meta.lsn && self.overlaps((meta.time_min, meta.time_max), (meta.series_min, meta.series_max))
    }

    /// Whether it covers every row that a segment can have, so that none of them is wanted.
    pub(crate) fn covers_all_of(&self, meta: &SegmentMeta) -> bool {
        self.lsn.0 > meta.lsn
            && self.time_min <= meta.time_min
            && meta.time_max <= self.time_max
            && self.series.as_ref().is_none_or(|set| set.contains_range(meta.series_min..=meta.series_max))
    }

    /// Whether it covers a row.
    pub(crate) fn covers(&self, series: u32, time: i64) -> bool {
        self.time_min <= time && time <= self.time_max && self.has_series(series)
    }

    /// The share of a segment's rows that it covers, were they spread evenly over times and series.
    pub(crate) fn share(&self, meta: &SegmentMeta) -> f64 {
        let length = |from: i64, to: i64| (i128::from(to) - i128::from(from) + 1).max(0) as f64;
        let time = length(meta.time_min.max(self.time_min), meta.time_max.min(self.time_max));
        let series = u64::from(meta.series_max - meta.series_min) + 1;
        let covered =
            self.series.as_ref().map_or(series, |set| set.range_cardinality(meta.series_min..=meta.series_max));
        time / length(meta.time_min, meta.time_max).max(1.0) * (covered as f64 / series as f64)
    }

    fn has_series(&self, series: u32) -> bool {
        self.series.as_ref().is_none_or(|set| set.contains(series))
    }
}

/// Whether [`remove_deleted`] needs the times of their rows.
pub(crate) fn needs_times(deletes: &[Rc<Tombstone>], runs: &[IndexRun]) -> bool {
    let partly = |run: &IndexRun, delete: &Tombstone| {
        delete.time_min <= run.time_max
            && run.time_min <= delete.time_max
            && (run.time_min < delete.time_min || delete.time_max < run.time_max)
            && delete.has_series(run.series.0)
    };
    runs.iter().filter(|run| !run.regular).any(|run| deletes.iter().any(|delete| partly(run, delete)))
}

/// Leaves of `runs` what is not deleted: a run becomes none, one, or several pieces. `times` are those of the group,
/// needed where [`needs_times`] says so.
pub(crate) fn remove_deleted(deletes: &[Rc<Tombstone>], runs: &mut Vec<IndexRun>, times: Option<&[i64]>) {
    let (Some(first), Some(last)) = (runs.first(), runs.last()) else { return };
    let series = (first.series.0, last.series.0);
    let time_min = runs.iter().map(|run| run.time_min).min().unwrap_or(i64::MIN);
    let time_max = runs.iter().map(|run| run.time_max).max().unwrap_or(i64::MAX);
    let mut deletes: Vec<&Tombstone> =
        deletes.iter().map(Rc::as_ref).filter(|delete| delete.overlaps((time_min, time_max), series)).collect();
    if deletes.is_empty() {
        return;
    }
    deletes.sort_unstable_by_key(|delete| delete.time_min);
    let mut kept = Vec::with_capacity(runs.len());
    for run in runs.iter() {
        let mut from = 0;
        for delete in deletes.iter().filter(|delete| delete.has_series(run.series.0)) {
            let start = run.rows_before(delete.time_min, times);
            let end = match delete.time_max.checked_add(1) {
                Some(after) => run.rows_before(after, times),
                None => run.len,
            };
            if start < end {
                kept.extend(piece(run, from, start, times));
                from = from.max(end);
            }
        }
        kept.extend(piece(run, from, run.len, times));
    }
    *runs = kept;
}

/// Rows `from..to` of a run, if there are any.
fn piece(run: &IndexRun, from: u32, to: u32, times: Option<&[i64]>) -> Option<IndexRun> {
    if from >= to {
        return None;
    }
    let at = |row: u32| match (row, times) {
        (0, _) => run.time_min,
        (row, _) if run.regular || row + 1 == run.len => run.time_at(row),
        (row, times) => times.and_then(|times| times.get((run.start + row) as usize).copied()).unwrap_or(run.time_max),
    };
    let series = SeriesId(run.series.0);
    let (start, len) = (run.start + from, to - from);
    Some(IndexRun { series, start, len, time_min: at(from), time_max: at(to - 1), regular: run.regular })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_left_of_runs_is_what_no_delete_covers() {
        for seed in crate::testing::seeds() {
            let mut random = fastrand::Rng::with_seed(seed);
            for _ in 0..500 {
                let (mut runs, mut times) = (Vec::new(), Vec::new());
                for series in 0..random.u32(1..6) {
                    let start = times.len();
                    let (mut time, even) = (random.i64(0..50), random.bool());
                    for _ in 0..random.usize(1..30) {
                        times.push(time);
                        time += if even { 3 } else { random.i64(1..6) };
                    }
                    runs.push(IndexRun::of(SeriesId(series * 2), start, &times[start..]));
                }
                let deletes: Vec<Rc<Tombstone>> = (0..random.usize(0..5))
                    .map(|_| {
                        let time_min = if random.u8(0..5) == 0 { i64::MIN } else { random.i64(0..100) };
                        let time_max = if random.u8(0..5) == 0 { i64::MAX } else { random.i64(0..100) };
                        let series = random.bool().then(|| (0..3).map(|_| random.u32(0..12)).collect());
                        Rc::new(Tombstone { lsn: Lsn(1), time_min, time_max, series })
                    })
                    .collect();
                let expected: Vec<(u32, i64)> = runs
                    .iter()
                    .flat_map(|run| (run.start..run.start + run.len).map(|row| (row, run.series.0)))
                    .map(|(row, series)| (series, times[row as usize]))
                    .filter(|(series, time)| !deletes.iter().any(|delete| delete.covers(*series, *time)))
                    .collect();
                let known = (needs_times(&deletes, &runs) || random.bool()).then_some(times.as_slice());
                remove_deleted(&deletes, &mut runs, known);
                let mut found = Vec::new();
                for run in &runs {
                    let rows = &times[run.start as usize..(run.start + run.len) as usize];
                    assert_eq!((rows.first(), rows.last()), (Some(&run.time_min), Some(&run.time_max)), "seed {seed}");
                    found.extend(rows.iter().map(|time| (run.series.0, *time)));
                }
                assert_eq!(found, expected, "seed {seed} {deletes:?}");
            }
        }
    }
}
