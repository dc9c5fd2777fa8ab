//! Two orders of a table's rows made one, in steps.
//!
//! All rows of the one are older than those of the other. Series are walked side by side; within a series whole
//! stretches of time are copied as long as the other has no row among them, which is how rows mostly come. Of rows with
//! one (series, time) the newer order's is the newest, and all others are its older ones.

use std::rc::Rc;

use super::Order;
use crate::run::Run;
use crate::schema::SeriesId;
use crate::work;

/// Rows of one [`Unite::step`], and stretches of them.
const STEP_ROWS: usize = 1 << 16;
const STEP_STRETCHES: usize = 1 << 13;

/// See the module.
#[derive(Debug)]
pub(crate) struct Unite {
    older: Side,
    newer: Side,
    out: Order,
}

/// How far one of the two is.
#[derive(Debug)]
struct Side {
    order: Rc<Order>,
    /// The next row's run.
    run: usize,
    /// The next row.
    at: usize,
}

impl Side {
    fn new(order: Rc<Order>) -> Self {
        Self { order, run: 0, at: 0 }
    }

    /// The run that the next row is of.
    fn run(&self) -> Option<&Run> {
        self.order.runs.get(self.run)
    }

    fn series(&self) -> Option<SeriesId> {
        self.run().map(|run| run.series)
    }

    fn time(&self) -> i64 {
        self.order.time[self.at]
    }

    /// Where the rows of the run end whose times are below `time`; of all where that is `None`. Looks at no more than
    /// `rows_max`.
    fn end_before(&self, time: Option<i64>, rows_max: usize) -> usize {
        let end = self.run().map_or(self.at, |run| (run.start + run.len) as usize).min(self.at + rows_max);
        match time {
            None => end,
            Some(time) if self.order.time[end - 1] < time => end,
            Some(time) => self.at + self.order.time[self.at..end].partition_point(|own| *own < time),
        }
    }

    /// Goes on to row `at` of the same run, or of the next where that is its end.
    fn pass(&mut self, at: usize) {
        self.at = at;
        if self.run().is_some_and(|run| (run.start + run.len) as usize == at) {
            self.run += 1;
        }
    }
}

impl Unite {
    /// Is to unite `older` with `newer`, whose rows all came after those.
    pub(crate) fn new(older: Rc<Order>, newer: Rc<Order>) -> Self {
        let mut out = Order::default();
        let rows = older.rows.len() + newer.rows.len();
        out.rows.reserve_exact(rows);
        out.time.reserve_exact(rows);
        Self { older: Side::new(older), newer: Side::new(newer), out }
    }

    /// What uniting two orders takes.
    pub(crate) fn bytes_for(older: &Order, newer: &Order) -> u64 {
        (older.memory_bytes() + newer.memory_bytes()) as u64
    }

    /// Memory taken, but for that of the two.
    pub(crate) fn memory_bytes(&self) -> usize {
        self.out.memory_bytes()
    }

    /// Works a while; the united order when it is done.
    pub(crate) fn step(&mut self) -> Option<Order> {
        let (mut left, mut stretches) = (STEP_ROWS, STEP_STRETCHES);
        let is_done = loop {
            let series = match (self.older.series(), self.newer.series()) {
                (None, None) => break true,
                (one, other) => one.into_iter().chain(other).min(),
            };
            let (Some(series), true) = (series, left > 0 && stretches > 0) else { break false };
            stretches -= 1;
            left -= self.next_stretch(series, left);
        };
        work::charge_each(STEP_STRETCHES - stretches, 4 * work::LOOK);
        work::charge_each(STEP_ROWS - left, work::LOOK);
        is_done.then(|| std::mem::take(&mut self.out))
    }

    /// Takes the next rows of `series`, which is the least that is left, and says how many.
    fn next_stretch(&mut self, series: SeriesId, rows_max: usize) -> usize {
        let Self { older, newer, out } = self;
        let (has_older, has_newer) = (older.series() == Some(series), newer.series() == Some(series));
        if has_older && has_newer && older.time() == newer.time() {
            let mut rows = older.order.older_at(older.at).to_vec();
            rows.push(older.order.rows[older.at]);
            rows.extend_from_slice(newer.order.older_at(newer.at));
            out.push(series.0, newer.time(), newer.order.rows[newer.at], &rows);
            work::charge_copy(size_of_val(&*rows));
            older.pass(older.at + 1);
            newer.pass(newer.at + 1);
            return 1;
        }
        let is_older = has_older && (!has_newer || older.time() < newer.time());
        let (side, other) = if is_older { (older, newer) } else { (newer, older) };
        let bound = (has_older && has_newer).then(|| other.time());
        let (from, to) = (side.at, side.end_before(bound, rows_max));
        out.push_range(&side.order, series, from..to);
        side.pass(to);
        to - from
    }

    /// The united order at once.
    #[cfg(test)]
    pub(crate) fn finish(mut self) -> Order {
        loop {
            if let Some(order) = self.step() {
                return order;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::memtable::Sorter;

    #[test]
    fn two_orders_united_are_the_order_of_all_rows() {
        for seed in crate::testing::seeds() {
            let mut random = fastrand::Rng::with_seed(seed);
            for _ in 0..40 {
                let count = random.usize(0..400);
                let (ids, span) = (random.u32(1..50), random.i64(1..200));
                let ascending = random.bool();
                let series: Vec<u32> = (0..count).map(|_| random.u32(0..ids)).collect();
                let time: Vec<i64> =
                    (0..count as i64).map(|row| if ascending { row / 3 } else { random.i64(0..span) }).collect();
                let border = random.u32(0..=count as u32);
                let order = |rows: std::ops::Range<u32>| Rc::new(Sorter::new(rows.collect()).finish(&series, &time));
                let all = order(0..count as u32);
                let united = Unite::new(order(0..border), order(border..count as u32)).finish();
                assert_eq!(united, *all, "seed {seed}");
            }
        }
    }

    #[test]
    fn no_step_is_long_whatever_the_rows_are() {
        for (ids, len) in [(1, 400_000_u32), (200_000, 2), (2_000, 200)] {
            for shift in [0, 1, i64::from(len)] {
                let order = |first: u32, shift: i64| {
                    let mut order = Order::default();
                    for series in 0..ids {
                        for at in 0..len {
                            order.push(series, 2 * i64::from(at) + shift, first + series * len + at, &[]);
                        }
                    }
                    Rc::new(order)
                };
                let mut unite = Unite::new(order(0, 0), order(ids * len, shift));
                work::take();
                let united = loop {
                    let done = unite.step();
                    assert!(work::take() <= work::UNITS_MAX / 2, "{ids} series of {len} rows, {shift}");
                    if let Some(order) = done {
                        break order;
                    }
                };
                let common = if shift % 2 == 0 { (i64::from(len) - shift / 2).max(0) as usize } else { 0 };
                let rows = ids as usize * (2 * len as usize - common);
                assert_eq!((united.rows.len(), united.merges.len()), (rows, ids as usize * common));
            }
        }
    }
}
