//! Ordered rows cut into time partitions, in steps: rows of one memtable may lie in thousands of them.

use std::collections::BTreeMap;

use super::Order;
use crate::partition::partition_of;
use crate::work;

/// Rows of one [`Splitter::step`].
const STEP_ROWS: usize = 1 << 15;

/// See the module.
pub(crate) struct Splitter {
    order: Order,
    length: i64,
    phase: Phase,
    parts: BTreeMap<i64, Order>,
}

#[derive(Clone, Copy)]
enum Phase {
    /// Least and greatest time of the rows before a position.
    Bounds { at: usize, min: i64, max: i64 },
    /// The next row, its run, and the next of the merges.
    Split { at: usize, run: usize, merge: usize },
}

impl Splitter {
    /// Is to cut `order` into partitions of `length`.
    pub(crate) fn new(order: Order, length: i64) -> Self {
        let phase = Phase::Bounds { at: 0, min: i64::MAX, max: i64::MIN };
        Self { order, length, phase, parts: BTreeMap::new() }
    }

    /// Works a while; the parts by first time when it is done.
    pub(crate) fn step(&mut self) -> Option<BTreeMap<i64, Order>> {
        let count = self.order.rows.len();
        match self.phase {
            Phase::Bounds { at, min, max } => {
                let to = (at + STEP_ROWS).min(count);
                let times = self.order.time[at..to].iter();
                let (min, max) = times.fold((min, max), |(min, max), &time| (min.min(time), max.max(time)));
                work::charge_each(to - at, work::LOOK);
                self.phase = Phase::Bounds { at: to, min, max };
                if to < count {
                    return None;
                }
                if count == 0 {
                    return Some(BTreeMap::new());
                }
                let first = partition_of(min, self.length);
                if first == partition_of(max, self.length) {
                    return Some(BTreeMap::from([(first, std::mem::take(&mut self.order))]));
                }
                self.phase = Phase::Split { at: 0, run: 0, merge: 0 };
                None
            }
            Phase::Split { at, run, merge } => self.split(at, run, merge),
        }
    }

    /// The parts at once.
    #[cfg(test)]
    pub(crate) fn finish(mut self) -> BTreeMap<i64, Order> {
        loop {
            if let Some(parts) = self.step() {
                return parts;
            }
        }
    }

    fn split(&mut self, from: usize, mut run: usize, mut merge: usize) -> Option<BTreeMap<i64, Order>> {
        let order = &self.order;
        let to = (from + STEP_ROWS).min(order.rows.len());
        for at in from..to {
            while order.runs.get(run).is_some_and(|known| (known.start + known.len) as usize <= at) {
                run += 1;
            }
            let series = order.runs.get(run).map_or(0, |run| run.series.0);
            let older = match order.merges.get(merge).filter(|merge| merge.at as usize == at) {
                Some(found) => {
                    merge += 1;
                    order.older(found)
                }
                None => &[],
            };
            let (row, time) = (order.rows[at], order.time[at]);
            self.parts.entry(partition_of(time, self.length)).or_default().push(series, time, row, older);
        }
        work::charge_each(to - from, work::SORT);
        if to < order.rows.len() {
            self.phase = Phase::Split { at: to, run, merge };
            return None;
        }
        Some(std::mem::take(&mut self.parts))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_row_goes_to_its_partition_with_its_older_ones() {
        for seed in crate::testing::seeds() {
            let mut random = fastrand::Rng::with_seed(seed);
            for (rows, length) in [(0, 7), (100, 1000), (500, 7), (2 * STEP_ROWS + 9, 1 << 14)] {
                let (mut order, mut expected) = (Order::default(), BTreeMap::<i64, Order>::new());
                let (mut series, mut time) = (0, -50);
                for row in 0..rows as u32 {
                    if random.u8(0..90) == 0 {
                        (series, time) = (series + 1, -random.i64(0..100));
                    }
                    time += random.i64(1..3);
                    let older: Vec<u32> = (0..random.u32(0..9) / 7).map(|older| row * 10 + older).collect();
                    order.push(series, time, row, &older);
                    expected.entry(partition_of(time, length)).or_default().push(series, time, row, &older);
                }
                assert_eq!(Splitter::new(order, length).finish(), expected, "seed {seed}");
            }
        }
    }
}
