//! A row for every window of time, whether there is one in the input or not.
//!
//! 1. The rows of a series are held until its last has come: what lies on a line between two values needs the later.
//!    Series that begin and end in one batch stay one batch, so that many short ones cost what one long one does.
//! 2. Then its windows are walked in the order of its rows, some thousand a step. A window that no row begins with
//!    becomes one: the keys of the series, its time, and for each column what [`FillWith`] says. Series that lack no
//!    window and no value, as those of a dashboard mostly do, leave as they came.

use std::collections::VecDeque;
use std::ops::Range;
use std::sync::Arc;

use arrow_array::builder::{Float64Builder, Int64Builder};
use arrow_array::cast::AsArray;
use arrow_array::types::{Float64Type, Int64Type};
use arrow_array::{Array, ArrayRef, RecordBatch, UInt32Array};
use arrow_schema::{DataType, TimeUnit};
use arrow_select::concat::concat_batches;
use arrow_select::take::take;

use super::finishing::{Left, Sink};
use crate::error::execution::{ExecError, Result};
use crate::exec::batch::{OUTPUT_ROWS, OneForm, batch_bytes};
use crate::exec::context::{QueryContext, Reservation};
use crate::exec::series::SeriesKeys;
use crate::plan::series::{Fill, FillWith};
use crate::types::array::{cast_to, time_array, time_parts};

/// Fills windows.
pub(crate) struct FillWindows {
    fill: Fill,
    series: SeriesKeys,
    form: OneForm,
    /// Rows of the series whose end has not come.
    open: Vec<RecordBatch>,
    /// Whole series that wait, many short ones in one batch.
    whole: VecDeque<Whole>,
    /// The series whose windows are walked.
    walk: Option<Walk>,
    memory: Reservation,
    held_bytes: usize,
}

/// Whole series, one after the other.
struct Whole {
    rows: RecordBatch,
    /// The first row of each.
    starts: Vec<usize>,
}

/// Series on their way out.
struct Walk {
    whole: Whole,
    times: Vec<i64>,
    /// There is nothing to fill in any of the series.
    is_full: bool,
    /// The series at hand.
    series: usize,
    /// The next row of the input.
    row: usize,
    /// The next window.
    window: i64,
    /// By column behind the time: the last row out of the series at hand that has a value.
    last: Vec<Option<usize>>,
}

/// Rows that come next.
#[derive(Default)]
struct Next {
    times: Vec<i64>,
    /// The row of the input that each is; none where a window is filled.
    rows: Vec<Option<usize>>,
    /// The series of each.
    series: Vec<usize>,
}

impl FillWindows {
    /// Fills as `fill` says.
    pub(crate) fn new(fill: Fill, context: &QueryContext) -> Self {
        Self {
            series: SeriesKeys::new(fill.keys),
            fill,
            form: OneForm::default(),
            open: Vec::new(),
            whole: VecDeque::new(),
            walk: None,
            memory: context.reservation(),
            held_bytes: 0,
        }
    }

    /// The open series has come to its end.
    fn close(&mut self) -> Result<()> {
        if let Some(first) = self.open.first() {
            let rows = concat_batches(&first.schema(), &self.open)?;
            self.open.clear();
            self.whole.push_back(Whole { rows, starts: vec![0] });
        }
        Ok(())
    }
}

impl Walk {
    fn new(whole: Whole, fill: &Fill) -> Result<Self> {
        let time = cast_to(&whole.rows.columns()[fill.keys], &DataType::Timestamp(TimeUnit::Nanosecond, None))?;
        let (times, ..) = time_parts(&time)?;
        let columns = whole.rows.num_columns() - fill.keys - 1;
        let (times, last) = (times.to_vec(), vec![None; columns]);
        let mut walk = Self { times, whole, is_full: false, series: 0, row: 0, window: 0, last };
        walk.is_full = walk.lacks_nothing(fill);
        walk.begin(fill);
        Ok(walk)
    }

    /// Whether there is nothing to fill in any of the series.
    fn lacks_nothing(&self, fill: &Fill) -> bool {
        let columns = &self.whole.rows.columns()[fill.keys + 1..];
        let lacks_values = |(column, with): (&ArrayRef, &FillWith)| *with != FillWith::Null && column.null_count() > 0;
        !columns.iter().zip(&fill.with).any(lacks_values)
            && (0..self.whole.starts.len()).all(|series| has_all_windows(&self.times[self.range(series)], fill))
    }

    /// The rows of a series.
    fn range(&self, series: usize) -> Range<usize> {
        let starts = &self.whole.starts;
        starts[series]..starts.get(series + 1).copied().unwrap_or(self.times.len())
    }

    /// Goes to the first window of the series at hand.
    fn begin(&mut self, fill: &Fill) {
        let own = self.times.get(self.row).copied().unwrap_or_default();
        self.window = if fill.descending { fill.last } else { fill.first }.unwrap_or(own);
    }

    /// About [`OUTPUT_ROWS`] windows.
    fn windows(&mut self, fill: &Fill) -> Next {
        let mut next = Next::default();
        while next.times.len() < OUTPUT_ROWS && self.series < self.whole.starts.len() {
            if self.windows_of_series(fill, &mut next) {
                self.series += 1;
                if let Some(start) = self.whole.starts.get(self.series) {
                    self.row = *start;
                    self.begin(fill);
                }
            }
        }
        next
    }

    /// Windows of the series at hand until there are enough; whether it is at its end.
    fn windows_of_series(&mut self, fill: &Fill, next: &mut Next) -> bool {
        let last_row = self.range(self.series).end;
        while next.times.len() < OUTPUT_ROWS {
            let end = if fill.descending { fill.first } else { fill.last };
            let is_over = match end {
                Some(end) if fill.descending => self.window < end,
                Some(end) => self.window > end,
                None => false,
            };
            let next_row = self.times[..last_row].get(self.row).copied();
            // A row before the next window (there is none, if the range is that of the rows) comes as it is.
            let comes_now = next_row.is_some_and(|time| match fill.descending {
                true => time >= self.window,
                false => time <= self.window,
            });
            if comes_now {
                let time = next_row.unwrap_or(self.window);
                next.push(time, Some(self.row), self.series);
                self.row += 1;
                if time == self.window && !self.advance(fill) {
                    return true;
                }
                continue;
            }
            if is_over || (next_row.is_none() && end.is_none()) {
                return true;
            }
            next.push(self.window, None, self.series);
            if !self.advance(fill) {
                return true;
            }
        }
        false
    }

    /// Goes to the next window; false at the end of time, where there is none.
    fn advance(&mut self, fill: &Fill) -> bool {
        let next = following(self.window, fill);
        let moved = next != self.window;
        self.window = next;
        moved
    }

    /// The column `at` behind the time; `series` is that of the row that came out last.
    fn column(&mut self, at: usize, fill: &Fill, next: &Next, series: usize) -> Result<ArrayRef> {
        let column = &self.whole.rows.columns()[fill.keys + 1 + at];
        let as_index = |row: Option<usize>| row.map(|row| row as u32);
        let with = fill.with.get(at).copied().unwrap_or(FillWith::Null);
        if with == FillWith::Linear && matches!(column.data_type(), DataType::Int64 | DataType::Float64) {
            return self.on_lines(column, next);
        }
        let indices: UInt32Array = match with {
            FillWith::Previous => {
                let (last, mut before) = (&mut self.last[at], series);
                let filled = next.rows.iter().zip(&next.series).map(|(row, series)| {
                    if std::mem::replace(&mut before, *series) != *series {
                        *last = None;
                    }
                    *last = row.filter(|row| column.is_valid(*row)).or(*last);
                    as_index(*last)
                });
                filled.collect()
            }
            FillWith::Null | FillWith::Linear => next.rows.iter().map(|row| as_index(*row)).collect(),
        };
        Ok(take(column, &indices, None)?)
    }

    /// Numbers, and where there is none what lies between those around it.
    fn on_lines(&self, column: &ArrayRef, next: &Next) -> Result<ArrayRef> {
        let valid: Vec<usize> = (0..column.len()).filter(|row| column.is_valid(*row)).collect();
        let of = |row: usize| match column.data_type() {
            DataType::Int64 => column.as_primitive::<Int64Type>().value(row) as f64,
            _ => column.as_primitive::<Float64Type>().value(row),
        };
        let between = |time: i64, series: usize| {
            let range = self.range(series);
            let at = |row: usize| valid.partition_point(|valid| *valid < row);
            let (valid, times) = (&valid[at(range.start)..at(range.end)], &self.times[range]);
            let descending = times.first() > times.last();
            let after = valid.partition_point(|row| (self.times[*row] < time) != descending);
            let (before, after) = (*valid.get(after.checked_sub(1)?)?, *valid.get(after)?);
            let slope = (of(after) - of(before)) / (self.times[after] - self.times[before]) as f64;
            Some(slope * (time - self.times[before]) as f64 + of(before))
        };
        let Next { times, rows, series } = next;
        let values = times.iter().zip(rows).zip(series).map(|((time, row), series)| {
            match row.filter(|row| column.is_valid(*row)) {
                Some(row) => (Some(row), None),
                None => (None, between(*time, *series)),
            }
        });
        if *column.data_type() == DataType::Int64 {
            let ints = column.as_primitive::<Int64Type>();
            let mut filled = Int64Builder::with_capacity(times.len());
            values.for_each(|(row, line)| {
                filled.append_option(row.map(|row| ints.value(row)).or(line.map(|line| line as i64)));
            });
            return Ok(Arc::new(filled.finish()));
        }
        let floats = column.as_primitive::<Float64Type>();
        let mut filled = Float64Builder::with_capacity(times.len());
        values.for_each(|(row, line)| filled.append_option(row.map(|row| floats.value(row)).or(line)));
        Ok(Arc::new(filled.finish()))
    }

    /// The next rows; `None` after the last.
    fn next(&mut self, fill: &Fill) -> Result<Option<RecordBatch>> {
        if self.is_full {
            let from = self.row;
            self.row = self.times.len().min(from + OUTPUT_ROWS);
            return Ok((from < self.row).then(|| self.whole.rows.slice(from, self.row - from)));
        }
        let series = self.series;
        let next = self.windows(fill);
        if next.times.is_empty() {
            return Ok(None);
        }
        let own: UInt32Array = next.series.iter().map(|series| Some(self.whole.starts[*series] as u32)).collect();
        let keys = &self.whole.rows.columns()[..fill.keys];
        let mut columns = keys.iter().map(|key| Ok(take(key, &own, None)?)).collect::<Result<Vec<ArrayRef>>>()?;
        let time = time_array(next.times.clone().into(), None, TimeUnit::Nanosecond);
        columns.push(cast_to(&time, self.whole.rows.columns()[fill.keys].data_type())?);
        for at in 0..self.last.len() {
            columns.push(self.column(at, fill, &next, series)?);
        }
        Ok(Some(RecordBatch::try_new(self.whole.rows.schema(), columns)?))
    }
}

/// The window that comes after one in the order of the rows.
fn following(window: i64, fill: &Fill) -> i64 {
    if fill.descending { fill.windows.previous(window) } else { fill.windows.next(window) }
}

/// Whether a series with rows at these times has one for each window, and no others.
fn has_all_windows(times: &[i64], fill: &Fill) -> bool {
    let (begin, end) = if fill.descending { (fill.last, fill.first) } else { (fill.first, fill.last) };
    begin.is_none_or(|begin| times.first() == Some(&begin))
        && end.is_none_or(|end| times.last() == Some(&end))
        && times.windows(2).all(|pair| pair[0] != pair[1] && following(pair[0], fill) == pair[1])
}

impl Next {
    fn push(&mut self, time: i64, row: Option<usize>, series: usize) {
        self.times.push(time);
        self.rows.push(row);
        self.series.push(series);
    }
}

impl Sink for FillWindows {
    fn push(&mut self, batch: RecordBatch) -> Result<()> {
        if batch.num_rows() == 0 {
            return Ok(());
        }
        let batch = self.form.of(batch)?;
        if u32::try_from(batch.num_rows()).is_err() {
            return Err(ExecError::Internal("a batch of more rows than have numbers".into()));
        }
        self.held_bytes += batch_bytes(&batch);
        self.memory.resize(self.held_bytes)?;
        let begins = self.series.begins(&batch)?;
        let starts: Vec<usize> = begins.set_indices().collect();
        let (Some(first), Some(last)) = (starts.first().copied(), starts.last().copied()) else {
            self.open.push(batch);
            return Ok(());
        };
        if first > 0 {
            self.open.push(batch.slice(0, first));
        }
        self.close()?;
        if first < last {
            let starts = starts[..starts.len() - 1].iter().map(|start| start - first).collect();
            self.whole.push_back(Whole { rows: batch.slice(first, last - first), starts });
        }
        self.open.push(batch.slice(last, batch.num_rows() - last));
        Ok(())
    }

    fn end(&mut self) -> Result<()> {
        self.close()
    }

    fn step(&mut self, out: &mut Vec<RecordBatch>) -> Result<Left> {
        let mut walk = match self.walk.take() {
            Some(walk) => walk,
            None => match self.whole.pop_front() {
                Some(whole) => Walk::new(whole, &self.fill)?,
                None => return Ok(Left::Nothing),
            },
        };
        match walk.next(&self.fill)? {
            Some(rows) => {
                out.push(rows);
                self.walk = Some(walk);
            }
            None => {
                self.held_bytes = self.held_bytes.saturating_sub(batch_bytes(&walk.whole.rows));
                self.memory.resize(self.held_bytes)?;
            }
        }
        Ok(Left::Work)
    }
}
