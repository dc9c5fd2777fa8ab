//! The order of rows by (series, time), the newest of equals winning.
//!
//! Series ids are dense, so rows are first dealt to their series by counting (linear, two passes, nothing compared);
//! within a series they mostly came in the order of time and need a look only. Where the series spread far wider than
//! there are rows, comparing is cheaper than counting. The work is cut into steps, so that a task that sorts a large
//! memtable can let others run between.

use std::ops::Range;

use crate::run::Run;
use crate::schema::SeriesId;

/// Rows of one [`Sorter::step`]: some hundred microseconds of work.
const STEP_ROWS: usize = 1 << 16;

/// Counting needs a counter for each series in the range that occurs; with more counters than this many times the
/// rows, comparing wins.
const COUNTERS_PER_ROW_MAX: usize = 4;

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

/// Puts rows in order, step by step.
#[derive(Debug)]
pub struct Sorter<'a> {
    /// Of all rows of the table.
    series: &'a [u32],
    time: &'a [i64],
    /// The rows to put in order, ascending.
    source: Vec<u32>,
    phase: Phase,
    /// Least series of the source.
    base: u32,
    /// By series from `base` on: first its rows, then where its next row goes.
    counters: Vec<u32>,
    /// The source dealt to series.
    dealt: Vec<u32>,
    /// Of `dealt`, one entry for each series.
    groups: Vec<Run>,
    /// Times and rows of the group in work.
    keys: Vec<(i64, u32)>,
    order: Order,
}

/// What the next step does, from which position on.
#[derive(Debug, Clone, Copy)]
enum Phase {
    Look,
    Count(usize),
    Deal(usize),
    /// Position in `groups`.
    Emit(usize),
}

impl<'a> Sorter<'a> {
    /// Orders the rows `source` (ascending) of a table with these columns.
    pub fn new(series: &'a [u32], time: &'a [i64], source: Vec<u32>) -> Self {
        Self {
            series,
            time,
            source,
            phase: Phase::Look,
            base: 0,
            counters: Vec::new(),
            dealt: Vec::new(),
            groups: Vec::new(),
            keys: Vec::new(),
            order: Order::default(),
        }
    }

    /// Works a while; the order when it is done, after which there is nothing left to do.
    pub fn step(&mut self) -> Option<Order> {
        match self.phase {
            Phase::Look => self.look(),
            Phase::Count(from) => self.count(from),
            Phase::Deal(from) => self.deal(from),
            Phase::Emit(from) => {
                if self.emit(from) {
                    return Some(std::mem::take(&mut self.order));
                }
            }
        }
        None
    }

    /// Memory taken, of the order too.
    pub(crate) fn memory_bytes(&self) -> usize {
        let Self { source, counters, dealt, groups, keys, order, .. } = self;
        vec_bytes(source)
            + vec_bytes(counters)
            + vec_bytes(dealt)
            + vec_bytes(groups)
            + vec_bytes(keys)
            + order.memory_bytes()
    }

    /// The order at once.
    pub fn finish(mut self) -> Order {
        loop {
            if let Some(order) = self.step() {
                return order;
            }
        }
    }

    /// Chooses the way: nothing to deal, counting, or comparing.
    fn look(&mut self) {
        let series = |row: &u32| self.series[*row as usize];
        let dealt_already = self.source.is_sorted_by_key(series);
        if dealt_already {
            self.dealt = std::mem::take(&mut self.source);
            self.group();
            return;
        }
        let (mut least, mut greatest) = (u32::MAX, 0);
        for row in &self.source {
            least = least.min(series(row));
            greatest = greatest.max(series(row));
        }
        let counters = (greatest - least) as usize + 1;
        if counters > self.source.len().saturating_mul(COUNTERS_PER_ROW_MAX) {
            let mut keys: Vec<u64> =
                self.source.iter().map(|row| u64::from(series(row)) << 32 | u64::from(*row)).collect();
            keys.sort_unstable();
            self.dealt = keys.into_iter().map(|key| key as u32).collect();
            self.group();
            return;
        }
        self.base = least;
        self.counters = vec![0; counters];
        self.phase = Phase::Count(0);
    }

    /// Finds the groups of `dealt`.
    fn group(&mut self) {
        for (position, row) in self.dealt.iter().enumerate() {
            let series = SeriesId(self.series[*row as usize]);
            match self.groups.last_mut().filter(|group| group.series == series) {
                Some(group) => group.len += 1,
                None => self.groups.push(Run { series, start: position as u32, len: 1 }),
            }
        }
        self.begin_emit();
    }

    fn begin_emit(&mut self) {
        self.order.rows.reserve_exact(self.dealt.len());
        self.order.time.reserve_exact(self.dealt.len());
        self.phase = Phase::Emit(0);
    }

    fn count(&mut self, from: usize) {
        let to = (from + STEP_ROWS).min(self.source.len());
        for row in &self.source[from..to] {
            self.counters[(self.series[*row as usize] - self.base) as usize] += 1;
        }
        self.phase = Phase::Count(to);
        if to < self.source.len() {
            return;
        }
        let mut start = 0;
        for (series, counter) in self.counters.iter_mut().enumerate() {
            let len = std::mem::replace(counter, start);
            if len > 0 {
                self.groups.push(Run { series: SeriesId(self.base + series as u32), start, len });
                start += len;
            }
        }
        self.dealt = vec![0; self.source.len()];
        self.phase = Phase::Deal(0);
    }

    fn deal(&mut self, from: usize) {
        let to = (from + STEP_ROWS).min(self.source.len());
        for row in &self.source[from..to] {
            let counter = &mut self.counters[(self.series[*row as usize] - self.base) as usize];
            self.dealt[*counter as usize] = *row;
            *counter += 1;
        }
        self.phase = Phase::Deal(to);
        if to == self.source.len() {
            self.source = Vec::new();
            self.counters = Vec::new();
            self.begin_emit();
        }
    }

    /// Orders series by series within themselves; whether all are done.
    fn emit(&mut self, mut from: usize) -> bool {
        let mut left = STEP_ROWS;
        while let Some(&group) = self.groups.get(from) {
            if left == 0 {
                self.phase = Phase::Emit(from);
                return false;
            }
            left = left.saturating_sub(group.len as usize);
            from += 1;
            self.emit_group(group);
        }
        self.phase = Phase::Emit(from);
        true
    }

    fn emit_group(&mut self, group: Run) {
        let rows = &self.dealt[group.start as usize..(group.start + group.len) as usize];
        let start = self.order.rows.len();
        self.order.time.extend(rows.iter().map(|row| self.time[*row as usize]));
        let ascending = self.order.time[start..].windows(2).all(|pair| pair[0] < pair[1]);
        if ascending {
            self.order.rows.extend_from_slice(rows);
            self.order.runs.push(Run { series: group.series, start: start as u32, len: group.len });
            return;
        }
        // Rows of one time stay in the order they came in, because their numbers ascend.
        self.keys.clear();
        self.keys.extend(self.order.time.drain(start..).zip(rows.iter().copied()));
        self.keys.sort_unstable();
        let mut older = Vec::new();
        for (position, &(time, row)) in self.keys.iter().enumerate() {
            if self.keys.get(position + 1).is_some_and(|next| next.0 == time) {
                older.push(row);
            } else {
                self.order.push(group.series.0, time, row, &older);
                older.clear();
            }
        }
    }
}

fn vec_bytes<T>(values: &Vec<T>) -> usize {
    values.capacity() * size_of::<T>()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    #[test]
    fn the_order_is_that_of_a_map() {
        for seed in 0..300 {
            let mut random = fastrand::Rng::with_seed(seed);
            let count = random.usize(0..400);
            let (width, span) = (random.u32(1..2000), random.i64(1..200));
            let mut series: Vec<u32> = (0..count).map(|_| 1000 + random.u32(0..width)).collect();
            let time: Vec<i64> = match random.bool() {
                true => (0..count).map(|_| random.i64(0..span)).collect(),
                false => (0..count as i64).collect(),
            };
            if random.u8(0..4) == 0 {
                series.sort_unstable();
            }
            let source: Vec<u32> = (0..count as u32).filter(|_| random.u8(0..5) > 0).collect();

            let mut map: BTreeMap<(u32, i64), Vec<u32>> = BTreeMap::new();
            for &row in &source {
                map.entry((series[row as usize], time[row as usize])).or_default().push(row);
            }
            let mut expected = Order::default();
            for ((series, time), rows) in map {
                let (last, older) = rows.split_last().unwrap();
                expected.push(series, time, *last, older);
            }
            assert_eq!(Sorter::new(&series, &time, source).finish(), expected, "seed {seed}");
        }
    }
}
