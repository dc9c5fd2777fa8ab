//! Time partitions: which one a time lies in, and which ones some rows lie in.

use std::collections::BTreeSet;

/// First time of the partition that `time` lies in.
pub(crate) fn partition_of(time: i64, length: i64) -> i64 {
    time.saturating_sub(time.rem_euclid(length))
}

/// The partitions of rows that come a batch at a time.
#[derive(Debug, Clone, Default)]
pub(crate) struct Partitions {
    starts: BTreeSet<i64>,
    /// The one of the last batch that lay in one alone: most do, and in the same as the batch before.
    last: Option<i64>,
}

impl Partitions {
    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.starts.len()
    }

    /// First times of them.
    pub(crate) fn starts(&self) -> impl Iterator<Item = i64> {
        self.starts.iter().copied()
    }

    /// Adds those of rows at `times`, which lie between `bounds`, and says how many are new.
    pub(crate) fn add(&mut self, times: &[i64], bounds: (i64, i64), length: i64) -> usize {
        if times.is_empty() {
            return 0;
        }
        let before = self.starts.len();
        let (first, last) = (partition_of(bounds.0, length), partition_of(bounds.1, length));
        if first == last {
            if self.last != Some(first) {
                self.last = Some(first);
                self.starts.insert(first);
            }
            return self.starts.len() - before;
        }
        let mut current: Option<i64> = None;
        for &time in times {
            // Neighbours mostly share one, and a division takes longer than a comparison.
            if current.is_none_or(|start| time < start || time.wrapping_sub(start) as u64 >= length as u64) {
                let start = partition_of(time, length);
                self.starts.insert(start);
                current = Some(start);
            }
        }
        self.starts.len() - before
    }
}

/// Least and greatest of `times`; the greatest before the least where there are none.
pub(crate) fn bounds_of(times: &[i64]) -> (i64, i64) {
    times.iter().fold((i64::MAX, i64::MIN), |(min, max), &time| (min.min(time), max.max(time)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_partitions_are_those_of_the_rows_one_by_one() {
        for seed in crate::testing::seeds() {
            let mut random = fastrand::Rng::with_seed(seed);
            let length = [1, 7, 1000, 1 << 62][random.usize(0..4)];
            let (mut partitions, mut expected) = (Partitions::default(), BTreeSet::new());
            for _ in 0..50 {
                let around = if random.u8(0..9) == 0 { random.i64(..) } else { random.i64(-9000..9000) };
                let spread = [1, 10, 5000][random.usize(0..3)];
                let times: Vec<i64> =
                    (0..random.usize(0..40)).map(|_| around.saturating_add(random.i64(0..spread))).collect();
                let before = expected.len();
                expected.extend(times.iter().map(|time| partition_of(*time, length)));
                let added = partitions.add(&times, bounds_of(&times), length);
                assert_eq!((added, partitions.len()), (expected.len() - before, expected.len()), "seed {seed}");
            }
            assert_eq!(partitions.starts, expected, "seed {seed}");
        }
    }
}
