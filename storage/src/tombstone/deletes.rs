//! The deletes that have not been applied to the rows of one segment, and what they leave of it.

use std::rc::Rc;

use roaring::RoaringBitmap;

use super::cover::Cover;
use crate::schema::SeriesId;
use crate::segment::index::IndexRun;
use crate::work;

/// Deletes after one position of the log.
#[derive(Debug, Clone, Default)]
pub(crate) struct Deletes {
    cover: Rc<Cover>,
    after: u64,
}

impl Deletes {
    /// Those of `cover` with marks beyond `after`.
    pub(crate) fn after(cover: &Rc<Cover>, after: u64) -> Self {
        Self { cover: Rc::clone(cover), after }
    }

    /// Adds a delete, as new as those before or newer.
    pub(crate) fn add(&mut self, series: Option<&RoaringBitmap>, times: (i64, i64), mark: u64) {
        Rc::make_mut(&mut self.cover).add(series, times, mark);
    }

    /// Whether there is none.
    pub(crate) fn is_empty(&self) -> bool {
        self.cover.is_empty()
    }

    /// Whether a row is deleted.
    pub(crate) fn covers(&self, series: u32, time: i64) -> bool {
        self.cover.covers(series, time, self.after)
    }

    /// Whether rows between such times and series may be deleted.
    pub(crate) fn overlaps(&self, times: (i64, i64), series: (u32, u32)) -> bool {
        !self.is_empty() && self.cover.overlaps(times, series, self.after)
    }

    /// Whether nothing between such times is left of any series.
    pub(crate) fn cover_all_series(&self, times: (i64, i64)) -> bool {
        self.cover.covers_all_series(times, self.after)
    }

    /// Whether [`Deletes::remove_from`] needs the times of their rows.
    pub(crate) fn need_times(&self, runs: &[IndexRun]) -> bool {
        let mut times = Vec::new();
        runs.iter().filter(|run| !run.regular).any(|run| {
            let (first, last) = (run.time_min, run.time_max);
            self.cover.times_of(run.series.0, (first, last), self.after, &mut times);
            work::charge_each(times.len() + 1, work::LOOK);
            times.iter().any(|(from, to)| first < *from || *to < last)
        })
    }

    /// Leaves of `runs` what is not deleted: a run becomes none, one, or several pieces. `times` are those of the
    /// group, needed where [`Deletes::need_times`] says so.
    pub(crate) fn remove_from(&self, runs: &mut Vec<IndexRun>, times: Option<&[i64]>) {
        let (Some(first), Some(last)) = (runs.first(), runs.last()) else { return };
        let series = (first.series.0, last.series.0);
        let time_min = runs.iter().map(|run| run.time_min).min().unwrap_or(i64::MIN);
        let time_max = runs.iter().map(|run| run.time_max).max().unwrap_or(i64::MAX);
        if !self.overlaps((time_min, time_max), series) {
            return;
        }
        let (mut kept, mut deleted) = (Vec::with_capacity(runs.len()), Vec::new());
        for run in runs.iter() {
            self.cover.times_of(run.series.0, (run.time_min, run.time_max), self.after, &mut deleted);
            work::charge_each(deleted.len() + 1, work::LOOK);
            let mut from = 0;
            for &(time_min, time_max) in &deleted {
                let start = run.rows_before(time_min, times);
                let end = match time_max.checked_add(1) {
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
