//! The order of rows by (series, time), the newest of equals winning.
//!
//! Series ids are dense, so rows are first dealt to their series by counting (linear, two passes, nothing compared);
//! within a series they mostly came in the order of time and need a look only. Where the series spread far wider than
//! there are rows, comparing is cheaper than counting. All of it is cut into steps of a bounded number of rows, so that
//! a task that sorts a large memtable can let others run between.

use std::ops::Range;

use super::order::{Order, vec_bytes};
use crate::run::Run;
use crate::schema::SeriesId;
use crate::step_sort::StepSort;
use crate::work;

/// Rows of one [`Sorter::step`]: some hundred microseconds of work.
const STEP_ROWS: usize = 1 << 16;

/// Counting needs a counter for each series in the range that occurs; with more counters than this many times the
/// rows, comparing wins.
const COUNTERS_PER_ROW_MAX: usize = 4;

/// Puts rows in order, step by step.
#[derive(Debug)]
pub struct Sorter {
    /// The rows to put in order, ascending.
    source: Vec<u32>,
    phase: Phase,
    /// Least and greatest series of the source.
    series: (u32, u32),
    /// By series from the least on: first its rows, then where its next row goes.
    counters: Vec<u32>,
    /// The source dealt to series.
    dealt: Vec<u32>,
    /// Of `dealt`, one entry for each series.
    groups: Vec<Run>,
    /// Times and rows of the group in work.
    keys: Vec<(i64, u32)>,
    /// Where that group begins in the order.
    start: usize,
    order: Order,
}

/// What the next step does, from which position on.
#[derive(Debug)]
enum Phase {
    /// Whether the series ascend so far.
    Look(usize, bool),
    Compare(StepSort<u64>),
    Count(usize),
    Place(usize),
    Deal(usize),
    Group(usize),
    /// Position in `groups`.
    Emit(usize),
    /// The position of a large group and one in that group; whether its times ascend so far.
    Times(usize, usize, bool),
    Keys(usize, usize),
    Sort(usize, StepSort<(i64, u32)>),
    Push(usize, usize),
}

impl Sorter {
    /// Orders the rows `source` (ascending) of a table.
    pub fn new(source: Vec<u32>) -> Self {
        Self {
            source,
            phase: Phase::Look(0, true),
            series: (u32::MAX, 0),
            counters: Vec::new(),
            dealt: Vec::new(),
            groups: Vec::new(),
            keys: Vec::new(),
            start: 0,
            order: Order::default(),
        }
    }

    /// Works a while; the order when it is done, after which there is nothing left to do. `series` and `time` are those
    /// of all rows of the table, at least of those that are being put in order.
    pub fn step(&mut self, series: &[u32], time: &[i64]) -> Option<Order> {
        match std::mem::replace(&mut self.phase, Phase::Emit(0)) {
            Phase::Look(from, ascending) => self.look(series, from, ascending),
            Phase::Compare(mut sort) => match sort.step() {
                false => self.phase = Phase::Compare(sort),
                true => {
                    self.dealt = sort.into_keys().into_iter().map(|key| key as u32).collect();
                    self.phase = Phase::Group(0);
                }
            },
            Phase::Count(from) => self.count(series, from),
            Phase::Place(from) => self.place(from),
            Phase::Deal(from) => self.deal(series, from),
            Phase::Group(from) => self.group(series, from),
            Phase::Emit(from) => {
                if self.emit(time, from) {
                    return Some(std::mem::take(&mut self.order));
                }
            }
            Phase::Times(group, from, ascending) => self.take_times(time, group, from, ascending),
            Phase::Keys(group, from) => self.take_keys(group, from),
            Phase::Sort(group, mut sort) => match sort.step() {
                false => self.phase = Phase::Sort(group, sort),
                true => {
                    self.keys = sort.into_keys();
                    self.phase = Phase::Push(group, 0);
                }
            },
            Phase::Push(group, from) => self.push_some(group, from),
        }
        None
    }

    /// Memory taken, of the order too.
    pub(crate) fn memory_bytes(&self) -> usize {
        let Self { source, phase, counters, dealt, groups, keys, order, .. } = self;
        let sorting = match phase {
            Phase::Compare(sort) => sort.memory_bytes(),
            Phase::Sort(_, sort) => sort.memory_bytes(),
            _ => 0,
        };
        vec_bytes(source)
            + sorting
            + vec_bytes(counters)
            + vec_bytes(dealt)
            + vec_bytes(groups)
            + vec_bytes(keys)
            + order.memory_bytes()
    }

    /// The order at once.
    pub fn finish(mut self, series: &[u32], time: &[i64]) -> Order {
        loop {
            if let Some(order) = self.step(series, time) {
                return order;
            }
        }
    }

    /// Looks at the series, and chooses the way: nothing to deal, counting, or comparing.
    fn look(&mut self, series: &[u32], from: usize, mut ascending: bool) {
        let to = (from + STEP_ROWS).min(self.source.len());
        work::charge_each(to - from, work::LOOK);
        let mut last = if from == 0 { 0 } else { series[self.source[from - 1] as usize] };
        let (mut least, mut greatest) = self.series;
        for row in &self.source[from..to] {
            let one = series[*row as usize];
            ascending &= last <= one;
            last = one;
            least = least.min(one);
            greatest = greatest.max(one);
        }
        self.series = (least, greatest);
        if to < self.source.len() {
            self.phase = Phase::Look(to, ascending);
            return;
        }
        if ascending {
            self.dealt = std::mem::take(&mut self.source);
            self.phase = Phase::Group(0);
            return;
        }
        let counters = (greatest - least) as usize + 1;
        if counters > self.source.len().saturating_mul(COUNTERS_PER_ROW_MAX) {
            let key = |row: &u32| u64::from(series[*row as usize]) << 32 | u64::from(*row);
            let keys = self.source.iter().map(key).collect();
            self.phase = Phase::Compare(StepSort::new(keys));
            return;
        }
        self.counters = vec![0; counters];
        self.phase = Phase::Count(0);
    }

    fn count(&mut self, series: &[u32], from: usize) {
        let to = (from + STEP_ROWS).min(self.source.len());
        work::charge_each(to - from, work::LOOK);
        for row in &self.source[from..to] {
            self.counters[(series[*row as usize] - self.series.0) as usize] += 1;
        }
        self.phase = if to < self.source.len() { Phase::Count(to) } else { Phase::Place(0) };
    }

    /// Gives each series its place among the dealt.
    fn place(&mut self, from: usize) {
        let to = (from + STEP_ROWS).min(self.counters.len());
        work::charge_each(to - from, work::LOOK);
        let mut start = self.groups.last().map_or(0, |group| group.start + group.len);
        for (series, counter) in (self.series.0 + from as u32..).zip(&mut self.counters[from..to]) {
            let len = std::mem::replace(counter, start);
            if len > 0 {
                self.groups.push(Run { series: SeriesId(series), start, len });
                start += len;
            }
        }
        self.phase = Phase::Place(to);
        if to == self.counters.len() {
            self.dealt = vec![0; self.source.len()];
            self.phase = Phase::Deal(0);
        }
    }

    fn deal(&mut self, series: &[u32], from: usize) {
        let to = (from + STEP_ROWS).min(self.source.len());
        work::charge_each(to - from, work::LOOK);
        for row in &self.source[from..to] {
            let counter = &mut self.counters[(series[*row as usize] - self.series.0) as usize];
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

    /// Finds the groups of `dealt`.
    fn group(&mut self, series: &[u32], from: usize) {
        let to = (from + STEP_ROWS).min(self.dealt.len());
        work::charge_each(to - from, work::LOOK);
        for (position, row) in self.dealt.iter().enumerate().take(to).skip(from) {
            let series = SeriesId(series[*row as usize]);
            match self.groups.last_mut().filter(|group| group.series == series) {
                Some(group) => group.len += 1,
                None => self.groups.push(Run { series, start: position as u32, len: 1 }),
            }
        }
        self.phase = Phase::Group(to);
        if to == self.dealt.len() {
            self.begin_emit();
        }
    }

    fn begin_emit(&mut self) {
        self.order.rows.reserve_exact(self.dealt.len());
        self.order.time.reserve_exact(self.dealt.len());
        self.phase = Phase::Emit(0);
    }

    /// Orders series by series within themselves; whether all are done.
    fn emit(&mut self, time: &[i64], mut from: usize) -> bool {
        let mut left = STEP_ROWS;
        while let Some(&group) = self.groups.get(from) {
            if left == 0 {
                self.phase = Phase::Emit(from);
                return false;
            }
            if group.len as usize > STEP_ROWS {
                self.start = self.order.rows.len();
                self.phase = Phase::Times(from, 0, true);
                return false;
            }
            left = left.saturating_sub(group.len as usize);
            from += 1;
            self.emit_group(time, group);
        }
        self.phase = Phase::Emit(from);
        true
    }

    fn emit_group(&mut self, time: &[i64], group: Run) {
        let rows = &self.dealt[group.start as usize..(group.start + group.len) as usize];
        let start = self.order.rows.len();
        work::charge_each(rows.len(), work::LOOK);
        self.order.time.extend(rows.iter().map(|row| time[*row as usize]));
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
        work::charge_each(self.keys.len(), work::SORT);
        push(&mut self.order, &self.keys, 0..self.keys.len(), group.series);
    }

    /// Rows of the `number`-th group.
    fn rows_of(&self, number: usize) -> &[u32] {
        let group = self.groups[number];
        &self.dealt[group.start as usize..(group.start + group.len) as usize]
    }

    fn take_times(&mut self, time: &[i64], group: usize, from: usize, ascending: bool) {
        let Run { start, len, series } = self.groups[group];
        let to = (from + STEP_ROWS).min(len as usize);
        work::charge_each(to - from, work::LOOK);
        let rows = &self.dealt[start as usize..(start + len) as usize];
        let before = self.order.time.len() - usize::from(from > 0);
        self.order.time.extend(rows[from..to].iter().map(|row| time[*row as usize]));
        let ascending = ascending && self.order.time[before..].windows(2).all(|pair| pair[0] < pair[1]);
        self.phase = match to < len as usize {
            true => Phase::Times(group, to, ascending),
            false if ascending => {
                self.order.rows.extend_from_slice(rows);
                self.order.runs.push(Run { series, start: self.start as u32, len });
                Phase::Emit(group + 1)
            }
            false => Phase::Keys(group, 0),
        };
    }

    fn take_keys(&mut self, group: usize, from: usize) {
        if from == 0 {
            self.keys.clear();
        }
        let mut keys = std::mem::take(&mut self.keys);
        let rows = self.rows_of(group);
        let to = (from + STEP_ROWS).min(rows.len());
        work::charge_each(to - from, work::LOOK);
        let times = &self.order.time[self.start + from..self.start + to];
        keys.extend(times.iter().copied().zip(rows[from..to].iter().copied()));
        self.phase = if to < rows.len() { Phase::Keys(group, to) } else { Phase::Emit(group) };
        if keys.len() < self.groups[group].len as usize {
            self.keys = keys;
            return;
        }
        self.order.time.truncate(self.start);
        self.phase = Phase::Sort(group, StepSort::new(keys));
    }

    fn push_some(&mut self, group: usize, from: usize) {
        let mut to = (from + STEP_ROWS).min(self.keys.len());
        // Rows of one time go together.
        while to < self.keys.len() && self.keys[to].0 == self.keys[to - 1].0 {
            to += 1;
        }
        work::charge_each(to - from, work::LOOK);
        push(&mut self.order, &self.keys, from..to, self.groups[group].series);
        self.phase = if to < self.keys.len() { Phase::Push(group, to) } else { Phase::Emit(group + 1) };
    }
}

/// Appends sorted rows of a series to an order: the newest of each time, the others as its older ones.
fn push(order: &mut Order, keys: &[(i64, u32)], range: Range<usize>, series: SeriesId) {
    let mut older = Vec::new();
    for (position, &(time, row)) in keys.iter().enumerate().take(range.end).skip(range.start) {
        if keys.get(position + 1).is_some_and(|next| next.0 == time) {
            older.push(row);
        } else {
            order.push(series.0, time, row, &older);
            older.clear();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    /// The order as a map makes it.
    fn expected(series: &[u32], time: &[i64], source: &[u32]) -> Order {
        let mut map: BTreeMap<(u32, i64), Vec<u32>> = BTreeMap::new();
        for &row in source {
            map.entry((series[row as usize], time[row as usize])).or_default().push(row);
        }
        let mut order = Order::default();
        for ((series, time), rows) in map {
            let (last, older) = rows.split_last().unwrap();
            order.push(series, time, *last, older);
        }
        order
    }

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
            let expected = expected(&series, &time, &source);
            assert_eq!(Sorter::new(source).finish(&series, &time), expected, "seed {seed}");
        }
    }

    #[test]
    fn no_step_is_long_however_many_rows_a_series_has() {
        for seed in crate::testing::seeds() {
            let mut random = fastrand::Rng::with_seed(seed);
            let count = 3 * STEP_ROWS + 1000;
            // One series, two, or as many as there are ids.
            let ids = [1, 2, u32::MAX][random.usize(0..3)];
            let series: Vec<u32> = (0..count).map(|_| random.u32(0..ids)).collect();
            let span = [count as i64 / 2, i64::MAX][random.usize(0..2)];
            let ascending = random.u8(0..3) == 0;
            let time: Vec<i64> =
                (0..count as i64).map(|row| if ascending { row } else { random.i64(0..span) }).collect();
            let source: Vec<u32> = (0..count as u32).collect();
            let expected = expected(&series, &time, &source);
            let mut sorter = Sorter::new(source);
            work::take();
            let order = loop {
                let done = sorter.step(&series, &time);
                assert!(work::take() <= work::UNITS_MAX / 2, "seed {seed}: a step of {:?}", sorter.phase);
                if let Some(order) = done {
                    break order;
                }
            };
            assert_eq!(order, expected, "seed {seed}");
        }
    }
}
