//! What the deletes of a table cover: of each series and time, the newest of them.
//!
//! Deletes name all series, a few, or many. The times of those of all series are kept once; those of few series by
//! series; those of many by the set of series, since deletes by one predicate name one set again and again. To look a
//! row up is a search in each of the three, so that it takes hardly longer with thousands of deletes than with one.

use std::collections::BTreeMap;

use roaring::RoaringBitmap;

use super::intervals::Intervals;
use crate::work;

/// Sets up to this size are kept by series: more would take more memory than the set.
const FEW_SERIES_MAX: u64 = 8;

/// See the module. Deletes are added in the order of their marks.
#[derive(Debug, Clone)]
pub(crate) struct Cover {
    /// Least and greatest time that a delete covers: most rows lie outside.
    times: (i64, i64),
    of_all: Intervals,
    of_one: BTreeMap<u32, Intervals>,
    of_many: Vec<(RoaringBitmap, Intervals)>,
}

impl Default for Cover {
    fn default() -> Self {
        let times = (i64::MAX, i64::MIN);
        Self { times, of_all: Intervals::default(), of_one: BTreeMap::new(), of_many: Vec::new() }
    }
}

impl Cover {
    /// Adds a delete, as new as those before or newer.
    pub(crate) fn add(&mut self, series: Option<&RoaringBitmap>, (from, to): (i64, i64), mark: u64) {
        self.times = (self.times.0.min(from), self.times.1.max(to));
        let Some(set) = series else { return self.of_all.add(from, to, mark) };
        if set.len() <= FEW_SERIES_MAX {
            for one in set {
                self.of_one.entry(one).or_default().add(from, to, mark);
            }
            return;
        }
        match self.of_many.iter_mut().find(|(known, _)| known == set) {
            Some((_, intervals)) => intervals.add(from, to, mark),
            None => {
                let mut intervals = Intervals::default();
                intervals.add(from, to, mark);
                self.of_many.push((set.clone(), intervals));
            }
        }
    }

    /// Whether there is no delete.
    pub(crate) fn is_empty(&self) -> bool {
        self.of_all.len() == 0 && self.of_one.is_empty() && self.of_many.is_empty()
    }

    /// Whether a delete beyond `after` covers a row.
    pub(crate) fn covers(&self, series: u32, time: i64, after: u64) -> bool {
        work::charge(work::LOOK);
        if time < self.times.0 || self.times.1 < time {
            return false;
        }
        work::charge(work::LOOK * (2 + self.of_many.len() as u64));
        let is_after = |intervals: &Intervals| intervals.newest(time).is_some_and(|mark| mark > after);
        is_after(&self.of_all)
            || self.of_one.get(&series).is_some_and(is_after)
            || self.of_many.iter().any(|(set, intervals)| set.contains(series) && is_after(intervals))
    }

    /// Whether a delete beyond `after` may cover rows between such times and series.
    pub(crate) fn overlaps(&self, (from, to): (i64, i64), (first, last): (u32, u32), after: u64) -> bool {
        if to < self.times.0 || self.times.1 < from {
            return false;
        }
        work::charge(work::LOOK * (2 + self.of_many.len() as u64));
        let is_hit = |intervals: &Intervals| intervals.between(from, to, after).next().is_some();
        is_hit(&self.of_all)
            || self.of_one.range(first..=last.max(first)).any(|(_, intervals)| is_hit(intervals))
            || self
                .of_many
                .iter()
                .any(|(set, intervals)| set.range_cardinality(first..=last.max(first)) > 0 && is_hit(intervals))
    }

    /// Whether one delete beyond `after` of all series covers all of these times.
    pub(crate) fn covers_all_series(&self, (from, to): (i64, i64), after: u64) -> bool {
        self.of_all.between(from, from, after).any(|stretch| stretch.1 >= to)
    }

    /// Puts the times between `from` and `to` that deletes beyond `after` cover of a series into `out`, by first time.
    pub(super) fn times_of(&self, series: u32, (from, to): (i64, i64), after: u64, out: &mut Vec<(i64, i64)>) {
        out.clear();
        out.extend(self.of_all.between(from, to, after));
        let of_all = out.len();
        if let Some(intervals) = self.of_one.get(&series) {
            out.extend(intervals.between(from, to, after));
        }
        for (_, intervals) in self.of_many.iter().filter(|(set, _)| set.contains(series)) {
            out.extend(intervals.between(from, to, after));
        }
        if out.len() > of_all {
            out.sort_unstable();
        }
    }
}
