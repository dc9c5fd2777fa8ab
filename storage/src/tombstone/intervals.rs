//! Stretches of time that deletes cover, each with the mark of the newest delete over it.
//!
//! Stretches do not overlap, so that a time is looked up by one search, however many deletes there were. A delete is
//! added after all older ones: it takes the place of what they cover within its times.

use std::collections::BTreeMap;

/// See the module.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Intervals {
    /// By first time: last time and mark.
    stretches: BTreeMap<i64, (i64, u64)>,
}

impl Intervals {
    /// Adds a delete of the times `from..=to`, newer than all before.
    pub(super) fn add(&mut self, from: i64, to: i64, mark: u64) {
        if from > to {
            return;
        }
        if let Some((&start, &(end, older))) = self.stretches.range(..from).next_back()
            && end >= from
        {
            // Its first part stays, and its last where it reaches further.
            self.stretches.insert(start, (from - 1, older));
            if end > to {
                self.stretches.insert(to + 1, (end, older));
            }
        }
        while let Some((&start, &(end, older))) = self.stretches.range(from..=to).next() {
            self.stretches.remove(&start);
            if end > to {
                self.stretches.insert(to + 1, (end, older));
            }
        }
        self.stretches.insert(from, (to, mark));
    }

    /// The mark of the newest delete of a time.
    pub(super) fn newest(&self, time: i64) -> Option<u64> {
        let (_, &(end, mark)) = self.stretches.range(..=time).next_back()?;
        (time <= end).then_some(mark)
    }

    /// The stretches with a mark beyond `after` that have times within `from..=to`, ascending, not cut to those.
    pub(super) fn between(&self, from: i64, to: i64, after: u64) -> impl Iterator<Item = (i64, i64)> + '_ {
        let first = self.stretches.range(..=from).next_back().filter(|(_, (end, _))| *end >= from);
        let first = first.map_or(from, |(start, _)| *start);
        // With its times the wrong way round a range would be none.
        let within = self.stretches.range(first..=to.max(first));
        within.filter(move |(start, (_, mark))| **start <= to && *mark > after).map(|(start, (end, _))| (*start, *end))
    }

    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.stretches.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_time_has_the_newest_mark() {
        for seed in crate::testing::seeds() {
            let mut random = fastrand::Rng::with_seed(seed);
            for _ in 0..200 {
                let mut intervals = Intervals::default();
                let mut expected = [None; 64];
                for mark in 1..random.u64(2..30) {
                    let from = random.usize(0..64);
                    let to = random.usize(0..64);
                    intervals.add(from as i64, to as i64, mark);
                    expected.iter_mut().take(to + 1).skip(from).for_each(|newest| *newest = Some(mark));
                }
                let found: Vec<_> = (0..64).map(|time| intervals.newest(time)).collect();
                assert_eq!(found, expected, "seed {seed}");
                let (from, to, after) = (random.i64(0..64), random.i64(0..64), random.u64(0..9));
                let stretches: Vec<_> = intervals.between(from, to, after).collect();
                assert!(stretches.is_sorted() && stretches.windows(2).all(|pair| pair[0].1 < pair[1].0));
                for time in from..=to {
                    let covered = stretches.iter().any(|(from, to)| (*from..=*to).contains(&time));
                    let newest = expected[time as usize];
                    assert_eq!(covered, newest.is_some_and(|mark| mark > after), "seed {seed} time {time}");
                }
            }
        }
    }

    #[test]
    fn the_ends_of_time_are_times() {
        let mut intervals = Intervals::default();
        intervals.add(i64::MIN, i64::MAX, 1);
        intervals.add(i64::MIN, 0, 2);
        intervals.add(i64::MAX, i64::MAX, 3);
        let marks = [i64::MIN, 0, 1, i64::MAX - 1, i64::MAX].map(|time| intervals.newest(time).unwrap());
        assert_eq!(marks, [2, 2, 1, 1, 3]);
        intervals.add(i64::MIN, i64::MAX, 4);
        assert_eq!((intervals.len(), intervals.newest(7)), (1, Some(4)));
    }
}
