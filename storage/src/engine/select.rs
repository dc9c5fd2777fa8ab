//! Which rows of a memtable a scan wants, in steps, and in what order they are.
//!
//! 1. What came since an order was kept ([`KeptOrder`]), the tail, is put in order: all of it where that is worth it,
//!    and the order is kept; else those rows alone that the scan wants, for it alone. Orders that are to be united are.
//! 2. Of each order the runs of the wanted series are found, and in them the wanted times, by search: no row is looked
//!    at that is not wanted.
//! 3. A run that a delete may touch is gone through row by row; what lives of such runs is an order of its own.
//! 4. Runs are cut where partitions meet.
//!
//! The memtable is handed in at each step, since appends may go on between two: rows that were there stay as they are.

use std::collections::BTreeMap;
use std::ops::Range;
use std::rc::Rc;

use crate::error::Result;
use crate::memtable::{KeptOrder, Order, SeenDeletes, Sorter, TableRows, Unite};
use crate::partition::partition_of;
use crate::run::Run;
use crate::scan::{ScanRequest, Selected};
use crate::schema::SeriesId;
use crate::tombstone::Deletes;
use crate::work;

/// Rows of one step of the selection.
const STEP_ROWS: u32 = 1 << 13;

/// Runs, or rows that are held against deletes, of one step.
const STEP_RUNS: usize = 1 << 12;

/// Rows of a table in a memtable, as they were at one moment.
pub(super) struct SeenRows {
    /// The first rows, this many.
    pub(super) count: usize,
    /// Some may be deleted.
    pub(super) deletes: SeenDeletes,
    /// Some may be in order.
    kept: Vec<KeptOrder>,
}

impl SeenRows {
    /// As they are now. `later` deletes are newer than all rows.
    pub(super) fn new(rows: &TableRows, later: Deletes) -> Self {
        Self { count: rows.rows(), deletes: rows.deletes(later), kept: rows.kept_orders() }
    }
}

/// See the module.
pub(super) struct Selection<'a> {
    request: &'a ScanRequest,
    deletes: &'a SeenDeletes,
    /// Rows that the scan sees.
    count: u32,
    partition_length: i64,
    /// Rows from which on a tail may be put in order.
    rows_min: u32,
    phase: Phase,
    kept: Vec<KeptOrder>,
    orders: Vec<Source>,
    /// The order in hand.
    at: usize,
    /// Its next run.
    run: usize,
    /// What is left of the run before.
    left: Option<Left>,
    /// What lives of the runs that a delete may touch.
    live: Order,
    found: BTreeMap<i64, Vec<Selected>>,
    /// What a copy of a row takes, about.
    row_bytes: f64,
    /// Bytes taken so far.
    taken: u64,
}

/// An order to select from.
#[derive(Debug, Clone)]
struct Source {
    order: Rc<Order>,
    /// Where all rows of it are wanted, which were selected before; else the first row that it covers.
    first_row: Option<u32>,
}

/// Rows of a run.
#[derive(Debug)]
struct Left {
    series: SeriesId,
    at: Range<usize>,
    is_touched: bool,
}

enum Phase {
    Begin,
    /// Takes the tail's rows that are wanted, or all of them.
    Tail {
        at: u32,
        wanted: Option<Series>,
        rows: Vec<u32>,
    },
    Sort {
        sorter: Sorter,
        is_kept: bool,
    },
    Unite {
        unite: Unite,
        rows: Range<u32>,
    },
    Select,
}

impl<'a> Selection<'a> {
    /// Is to select what `request` asks for of the rows that `seen` sees, in partitions of `partition_length`. A tail
    /// of `rows_min` rows may be put in order.
    pub(super) fn new(request: &'a ScanRequest, seen: &'a SeenRows, partition_length: i64, rows_min: u32) -> Self {
        Self {
            request,
            deletes: &seen.deletes,
            count: seen.count as u32,
            partition_length,
            rows_min,
            phase: Phase::Begin,
            kept: seen.kept.clone(),
            orders: Vec::new(),
            at: 0,
            run: 0,
            left: None,
            live: Order::default(),
            found: BTreeMap::new(),
            row_bytes: 0.0,
            taken: 0,
        }
    }

    /// Works a while; what is selected by the start of its partition, the oldest rows first, when it is done. `take` is
    /// asked for what all of it takes before that is taken.
    pub(super) fn step(
        &mut self,
        rows: &TableRows,
        take: &mut dyn FnMut(u64) -> Result<()>,
    ) -> Result<Option<BTreeMap<i64, Vec<Selected>>>> {
        let mut taken = self.taken;
        let step = self.step_within(rows, &mut |bytes| {
            take(bytes)?;
            taken += bytes;
            Ok(())
        });
        self.taken = taken;
        step
    }

    fn step_within(
        &mut self,
        rows: &TableRows,
        take: &mut dyn FnMut(u64) -> Result<()>,
    ) -> Result<Option<BTreeMap<i64, Vec<Selected>>>> {
        match std::mem::replace(&mut self.phase, Phase::Select) {
            Phase::Begin => {
                let (min, max) = rows.time_bounds();
                if max < self.request.time_min || self.request.time_max < min {
                    return Ok(Some(BTreeMap::new()));
                }
                self.begin(rows, take)?;
            }
            Phase::Tail { at, wanted, rows: taken } => self.take_tail(rows, at, wanted, taken, take)?,
            Phase::Sort { mut sorter, is_kept } => match sorter.step(rows.series(), rows.time()) {
                None => self.phase = Phase::Sort { sorter, is_kept },
                Some(order) => self.take_order(rows, order, is_kept, take),
            },
            Phase::Unite { mut unite, rows: united } => match unite.step() {
                None => self.phase = Phase::Unite { unite, rows: united },
                Some(order) => {
                    rows.unite_orders(KeptOrder { order: Rc::new(order), rows: united });
                    self.look_for_orders(rows);
                    self.unite_or_select(rows, take);
                }
            },
            Phase::Select => {
                if self.select(rows, take)? {
                    return self.finish(take).map(Some);
                }
            }
        }
        Ok(None)
    }

    /// Bytes of a copy of that many rows.
    fn copied(&self, rows: usize) -> u64 {
        (rows as f64 * self.row_bytes) as u64
    }

    /// Rows that are in order.
    fn kept_end(&self) -> u32 {
        self.kept.last().map_or(0, |kept| kept.rows.end)
    }

    /// Takes over orders that others have made since the snapshot was taken, unless they are of newer rows too.
    fn look_for_orders(&mut self, rows: &TableRows) {
        if (self.kept_end()..=self.count).contains(&rows.kept_end()) {
            self.kept = rows.kept_orders();
        }
    }

    fn begin(&mut self, rows: &TableRows, take: &mut dyn FnMut(u64) -> Result<()>) -> Result<()> {
        self.look_for_orders(rows);
        self.row_bytes = rows.copy_bytes(&self.request.columns) as f64 / rows.rows().max(1) as f64;
        let (from, (min, max)) = (self.kept_end(), rows.time_bounds());
        let tail = self.count.saturating_sub(from);
        if tail == 0 {
            self.begin_select();
            return Ok(());
        }
        let wants_all = self.request.series.is_none() && self.request.time_min <= min && max <= self.request.time_max;
        let is_long = tail >= self.rows_min && rows.kept_end() == from;
        let is_kept = is_long && rows.is_order_worth_it(tail, wants_all);
        // Where there is no memory for all of it, there may be for a part.
        let is_kept = is_kept && take(TableRows::order_bytes(tail as usize)).is_ok();
        let wanted = if is_kept { None } else { Some(Series::of(self.request)) };
        self.phase = Phase::Tail { at: from, wanted, rows: Vec::new() };
        Ok(())
    }

    fn take_tail(
        &mut self,
        rows: &TableRows,
        from: u32,
        wanted: Option<Series>,
        mut taken: Vec<u32>,
        take: &mut dyn FnMut(u64) -> Result<()>,
    ) -> Result<()> {
        let to = self.count.min(from + STEP_ROWS);
        match &wanted {
            Some(series) => series.select(rows, from..to, self.request, self.deletes, &mut taken),
            None => {
                taken.extend(from..to);
                work::charge_each((to - from) as usize, 1);
            }
        }
        if to < self.count {
            self.phase = Phase::Tail { at: to, wanted, rows: taken };
            return Ok(());
        }
        if wanted.is_some() {
            // Before it is made, not after: many queries at once would copy as many memtables.
            take(TableRows::order_bytes(taken.len()) + self.copied(taken.len()))?;
        }
        self.phase = Phase::Sort { sorter: Sorter::new(taken), is_kept: wanted.is_none() };
        Ok(())
    }

    /// Takes in the order of the tail.
    fn take_order(&mut self, rows: &TableRows, order: Order, is_kept: bool, take: &mut dyn FnMut(u64) -> Result<()>) {
        let order = Rc::new(order);
        if !is_kept {
            self.begin_select();
            self.orders.push(Source { order, first_row: None });
            return;
        }
        let kept = KeptOrder { order, rows: self.kept_end()..self.count };
        let is_new = rows.keep_order(&kept);
        self.kept.push(kept);
        match is_new {
            true => self.unite_or_select(rows, take),
            false => self.begin_select(),
        }
    }

    /// Unites orders as long as there are two to be united.
    fn unite_or_select(&mut self, rows: &TableRows, take: &mut dyn FnMut(u64) -> Result<()>) {
        match rows.orders_to_unite().filter(|(_, newer)| newer.rows.end <= self.count) {
            Some((older, newer)) if take(Unite::bytes_for(&older.order, &newer.order)).is_ok() => {
                let rows = older.rows.start..newer.rows.end;
                self.phase = Phase::Unite { unite: Unite::new(older.order, newer.order), rows };
            }
            _ => self.begin_select(),
        }
    }

    fn begin_select(&mut self) {
        let source = |kept: &KeptOrder| Source { order: Rc::clone(&kept.order), first_row: Some(kept.rows.start) };
        self.orders = self.kept.iter().map(source).collect();
        self.phase = Phase::Select;
    }

    /// Selects some more; whether that is all.
    fn select(&mut self, rows: &TableRows, take: &mut dyn FnMut(u64) -> Result<()>) -> Result<bool> {
        let Some(source) = self.orders.get(self.at).cloned() else { return Ok(true) };
        let mut looks = STEP_RUNS;
        // A run each, in vectors that double.
        take((looks.min(source.order.runs.len() - self.run) * 2 * size_of::<Run>()) as u64)?;
        while looks > 0 {
            looks -= 1;
            if let Some(left) = self.left.take() {
                looks = looks.saturating_sub(self.take_left(rows, &source, left, looks));
                continue;
            }
            let Some(run) = self.next_run(&source) else {
                self.end_of_order();
                break;
            };
            let whole = run.start as usize..(run.start + run.len) as usize;
            let Some(first_row) = source.first_row else {
                self.left = Some(Left { series: run.series, at: whole, is_touched: false });
                continue;
            };
            let at = source.order.between(run, self.request.time_min, self.request.time_max);
            if at.is_empty() {
                continue;
            }
            let times = (source.order.time[at.start], source.order.time[at.end - 1]);
            let is_touched = !self.deletes.is_empty() && self.deletes.touch(run.series.0, times, first_row);
            if is_touched {
                take(TableRows::order_bytes(at.len()) + self.copied(at.len()))?;
            }
            self.left = Some(Left { series: run.series, at, is_touched });
        }
        work::charge_each(STEP_RUNS - looks, 8 * work::LOOK);
        Ok(false)
    }

    /// The next run of a wanted series.
    fn next_run(&mut self, source: &Source) -> Option<Run> {
        let runs = &source.order.runs;
        let mut run = *runs.get(self.run)?;
        if let Some(series) = self.request.series.as_ref().filter(|_| source.first_row.is_some()) {
            // Whichever of the two stands behind goes on to where the other is.
            loop {
                let wanted = series.range(run.series.0..).next()?;
                if wanted == run.series.0 {
                    break;
                }
                work::charge(8 * work::LOOK);
                self.run += runs[self.run..].partition_point(|run| run.series.0 < wanted);
                run = *runs.get(self.run)?;
            }
        }
        self.run += 1;
        Some(run)
    }

    /// Takes what there is of a run in one partition, or looks at `rows_max` rows of it. Gives how many it looked at.
    fn take_left(&mut self, rows: &TableRows, source: &Source, mut left: Left, rows_max: usize) -> usize {
        let order = &source.order;
        if left.is_touched {
            let to = left.at.end.min(left.at.start + rows_max.max(1));
            for at in left.at.start..to {
                let row = order.rows[at];
                // What covers the newest covers the older ones too.
                if rows.is_live(row, self.deletes) {
                    let is_live = |row: &&u32| rows.is_live(**row, self.deletes);
                    let older: Vec<u32> = order.older_at(at).iter().filter(is_live).copied().collect();
                    self.live.push(left.series.0, order.time[at], row, &older);
                }
            }
            let looked = to - left.at.start;
            left.at.start = to;
            self.left = (!left.at.is_empty()).then_some(left);
            return looked;
        }
        let time = &order.time[left.at.clone()];
        let partition = partition_of(time[0], self.partition_length);
        let last = partition.saturating_add(self.partition_length - 1);
        let len = if time[time.len() - 1] <= last { time.len() } else { time.partition_point(|time| *time <= last) };
        let run = Run { series: left.series, start: left.at.start as u32, len: len as u32 };
        let parts = self.found.entry(partition).or_default();
        let times = (time[0], time[len - 1]);
        match parts.last_mut().filter(|part| Rc::ptr_eq(&part.order, order)) {
            Some(part) => {
                part.runs.push(run);
                part.times = (part.times.0.min(times.0), part.times.1.max(times.1));
            }
            None => parts.push(Selected { order: Rc::clone(order), runs: vec![run], times, bytes: 0 }),
        }
        left.at.start += len;
        self.left = (!left.at.is_empty()).then_some(left);
        0
    }

    /// Goes on to the next order: of what lives where deletes touch this one, if there is anything.
    fn end_of_order(&mut self) {
        self.at += 1;
        self.run = 0;
        let live = std::mem::take(&mut self.live);
        if !live.rows.is_empty() {
            self.orders.insert(self.at, Source { order: Rc::new(live), first_row: None });
        }
    }

    /// Takes what is selected, with the memory that it may need beyond what was taken.
    fn finish(&mut self, take: &mut dyn FnMut(u64) -> Result<()>) -> Result<BTreeMap<i64, Vec<Selected>>> {
        // Orders that the scan alone has: the first that is selected of one counts it.
        let own = self.orders.iter().filter(|source| source.first_row.is_none());
        let mut own: Vec<(&Rc<Order>, u64)> =
            own.map(|source| (&source.order, source.order.memory_bytes() as u64)).collect();
        let mut held: u64 = 0;
        let mut found = std::mem::take(&mut self.found);
        for part in found.values_mut().flatten() {
            let len: usize = part.runs.iter().map(|run| run.len as usize).sum();
            work::charge_each(part.runs.len(), 1);
            let of_order = own.iter_mut().find(|(order, _)| Rc::ptr_eq(order, &part.order));
            part.bytes = of_order.map_or(0, |(_, bytes)| std::mem::take(bytes))
                + (len as f64 * self.row_bytes) as u64
                + (part.runs.capacity() * size_of::<Run>()) as u64;
            held += part.bytes;
        }
        take(held.saturating_sub(self.taken))?;
        Ok(found)
    }
}

/// The series that a request asks for, as rows are held against them.
enum Series {
    All,
    One(u32),
    /// A byte a series instead of a search in the bitmap for each row.
    Some(Vec<bool>),
}

impl Series {
    fn of(request: &ScanRequest) -> Self {
        let Some(wanted) = request.series.as_ref() else { return Self::All };
        match (wanted.len(), wanted.max()) {
            (1, Some(one)) => Self::One(one),
            (_, None) => Self::Some(Vec::new()),
            (_, Some(last)) => {
                let mut table = vec![false; last as usize + 1];
                wanted.iter().for_each(|series| table[series as usize] = true);
                Self::Some(table)
            }
        }
    }

    /// Those of the rows `range` that are asked for and live, ascending.
    fn select(
        &self,
        rows: &TableRows,
        range: Range<u32>,
        request: &ScanRequest,
        deletes: &SeenDeletes,
        out: &mut Vec<u32>,
    ) {
        work::charge_each(range.len(), work::LOOK);
        let (series, time) = (rows.series(), rows.time());
        let (min, max) = rows.time_bounds();
        let whole_time = request.time_min <= min && max <= request.time_max;
        let all_live = deletes.is_empty();
        let is_wanted = |row: &u32| {
            let time = time[*row as usize];
            (whole_time || request.time_min <= time && time <= request.time_max)
                && (all_live || rows.is_live(*row, deletes))
        };
        match self {
            Self::All => out.extend(range.filter(is_wanted)),
            Self::One(one) => {
                let series = &series[range.start as usize..range.end as usize];
                out.extend(positions_of(series, *one).map(|row| row + range.start).filter(is_wanted));
            }
            Self::Some(table) => {
                let has = |row: &u32| table.get(series[*row as usize] as usize).is_some_and(|wanted| *wanted);
                out.extend(range.filter(has).filter(is_wanted));
            }
        }
    }
}

/// Rows of one series. Looks at a stretch of rows at once, since most have none.
fn positions_of(series: &[u32], one: u32) -> impl Iterator<Item = u32> {
    const STRETCH: usize = 64;
    series.chunks(STRETCH).enumerate().flat_map(move |(at, stretch)| {
        let hit = stretch.iter().fold(false, |hit, &series| hit | (series == one));
        let rows = if hit { stretch } else { &[] };
        rows.iter().enumerate().filter(move |(_, series)| **series == one).map(move |(i, _)| (at * STRETCH + i) as u32)
    })
}

#[cfg(test)]
mod tests;
