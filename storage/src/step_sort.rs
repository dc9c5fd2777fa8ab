//! A sort in steps, so that a task that sorts millions of keys can let others run between.
//!
//! Runs of a few thousand keys are sorted one a step, then merged in pairs, a bounded number of keys a step, until one
//! run is left. Keys should differ: equal ones stay in no promised order.

use crate::work;

/// Keys of a run: sorted in some hundred microseconds.
const RUN_KEYS: usize = 1 << 13;

/// Keys that one step merges.
const STEP_KEYS: usize = 1 << 16;

/// See the module.
#[derive(Debug)]
pub(crate) struct StepSort<K> {
    keys: Vec<K>,
    merged: Vec<K>,
    phase: Phase,
}

#[derive(Debug, Clone, Copy)]
enum Phase {
    /// Sorts the run that begins there.
    Runs(usize),
    /// Merges pairs of runs.
    Merge(Pair),
    Done,
}

/// Two runs on their way into one, and how far they are.
#[derive(Debug, Clone, Copy)]
struct Pair {
    /// Length of each run of this pass but the last.
    width: usize,
    start: usize,
    left: usize,
    right: usize,
}

impl Pair {
    fn at(start: usize, width: usize, count: usize) -> Self {
        Self { width, start, left: start, right: (start + width).min(count) }
    }
}

impl<K: Ord + Copy> StepSort<K> {
    /// Is to sort `keys`.
    pub(crate) fn new(keys: Vec<K>) -> Self {
        Self { keys, merged: Vec::new(), phase: Phase::Runs(0) }
    }

    /// Works a while; whether the keys are sorted.
    pub(crate) fn step(&mut self) -> bool {
        match self.phase {
            Phase::Runs(from) => self.sort_run(from),
            Phase::Merge(pair) => self.merge_some(pair),
            Phase::Done => {}
        }
        matches!(self.phase, Phase::Done)
    }

    /// The keys, sorted once a step has said so.
    pub(crate) fn into_keys(self) -> Vec<K> {
        self.keys
    }

    /// Memory taken.
    pub(crate) fn memory_bytes(&self) -> usize {
        (self.keys.capacity() + self.merged.capacity()) * size_of::<K>()
    }

    fn sort_run(&mut self, from: usize) {
        let count = self.keys.len();
        let to = (from + RUN_KEYS).min(count);
        self.keys[from..to].sort_unstable();
        work::charge_each(to - from, work::SORT);
        self.phase = match to < count {
            true => Phase::Runs(to),
            false if count <= RUN_KEYS => Phase::Done,
            false => Phase::Merge(Pair::at(0, RUN_KEYS, count)),
        };
        if matches!(self.phase, Phase::Merge(_)) {
            self.merged.reserve_exact(count);
        }
    }

    fn merge_some(&mut self, mut pair: Pair) {
        let (count, until) = (self.keys.len(), (self.merged.len() + STEP_KEYS).min(self.keys.len()));
        work::charge_each(until - self.merged.len(), work::LOOK);
        while self.merged.len() < until {
            let middle = (pair.start + pair.width).min(count);
            let end = (pair.start + 2 * pair.width).min(count);
            while self.merged.len() < until && (pair.left < middle || pair.right < end) {
                let is_left = pair.right == end || pair.left < middle && self.keys[pair.left] <= self.keys[pair.right];
                let from = if is_left { &mut pair.left } else { &mut pair.right };
                self.merged.push(self.keys[*from]);
                *from += 1;
            }
            if pair.left == middle && pair.right == end {
                pair = Pair::at(end, pair.width, count);
            }
        }
        self.phase = Phase::Merge(pair);
        if self.merged.len() == count {
            std::mem::swap(&mut self.keys, &mut self.merged);
            self.merged.clear();
            let width = pair.width * 2;
            self.phase = if width >= count { Phase::Done } else { Phase::Merge(Pair::at(0, width, count)) };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_sorted_and_no_step_is_long() {
        for seed in crate::testing::seeds() {
            let mut random = fastrand::Rng::with_seed(seed);
            for count in [0, 1, RUN_KEYS, RUN_KEYS + 1, 3 * RUN_KEYS, 100_000, 300_000] {
                let range = [10, u64::MAX][random.usize(0..2)];
                let keys: Vec<(u64, u32)> = (0..count as u32).map(|row| (random.u64(0..range), row)).collect();
                let mut expected = keys.clone();
                expected.sort_unstable();
                let mut sort = StepSort::new(keys);
                work::take();
                while !sort.step() {
                    assert!(work::take() <= work::UNITS_MAX / 10, "seed {seed}");
                }
                assert_eq!(sort.into_keys(), expected, "seed {seed} {count} keys");
            }
        }
    }
}
