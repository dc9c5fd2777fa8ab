//! A row for every window of time, whether there is one in the input or not.
//!
//! 1. The rows of a series are held until its last has come: what lies on a line between two values needs the later.
//! 2. Then its windows are walked in the order of its rows, some thousand a step. A window that no row begins with
//!    becomes one: the keys of the series, its time, and for each column what [`FillWith`] says.

use std::collections::VecDeque;
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
    /// Whole series that wait.
    whole: VecDeque<RecordBatch>,
    /// The series whose windows are walked.
    walk: Option<Walk>,
    memory: Reservation,
    held_bytes: usize,
}

/// A series on its way out.
struct Walk {
    rows: RecordBatch,
    times: Vec<i64>,
    /// The next row of the input.
    row: usize,
    /// The next window.
    window: i64,
    /// By column behind the time: the last row out that has a value.
    last: Vec<Option<usize>>,
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
            self.whole.push_back(rows);
        }
        Ok(())
    }

    fn begin(&self, rows: RecordBatch) -> Result<Walk> {
        let time = cast_to(&rows.columns()[self.fill.keys], &DataType::Timestamp(TimeUnit::Nanosecond, None))?;
        let (times, ..) = time_parts(&time)?;
        let own = times.first().copied().unwrap_or_default();
        let window = if self.fill.descending { self.fill.last } else { self.fill.first }.unwrap_or(own);
        let columns = rows.num_columns() - self.fill.keys - 1;
        Ok(Walk { times: times.to_vec(), rows, row: 0, window, last: vec![None; columns] })
    }
}

impl Walk {
    /// Up to [`OUTPUT_ROWS`] windows: their times, and the rows that begin with them.
    fn windows(&mut self, fill: &Fill) -> (Vec<i64>, Vec<Option<usize>>) {
        let (mut times, mut rows) = (Vec::new(), Vec::new());
        while times.len() < OUTPUT_ROWS {
            let end = if fill.descending { fill.first } else { fill.last };
            let is_over = match end {
                Some(end) if fill.descending => self.window < end,
                Some(end) => self.window > end,
                None => false,
            };
            let next_row = self.times.get(self.row).copied();
            // A row before the next window (there is none, if the range is that of the rows) comes as it is.
            let comes_now = next_row.is_some_and(|time| match fill.descending {
                true => time >= self.window,
                false => time <= self.window,
            });
            if comes_now {
                let time = next_row.unwrap_or(self.window);
                times.push(time);
                rows.push(Some(self.row));
                self.row += 1;
                if time == self.window && !self.advance(fill) {
                    break;
                }
                continue;
            }
            if is_over || (next_row.is_none() && end.is_none()) {
                break;
            }
            times.push(self.window);
            rows.push(None);
            if !self.advance(fill) {
                break;
            }
        }
        (times, rows)
    }

    /// Goes to the next window; false at the end of time, where there is none.
    fn advance(&mut self, fill: &Fill) -> bool {
        let next = match fill.descending {
            true => fill.windows.previous(self.window),
            false => fill.windows.next(self.window),
        };
        let moved = next != self.window;
        self.window = next;
        moved
    }

    fn column(&mut self, at: usize, fill: &Fill, times: &[i64], rows: &[Option<usize>]) -> Result<ArrayRef> {
        let column = &self.rows.columns()[fill.keys + 1 + at];
        let is_value = |row: usize| column.is_valid(row);
        let as_index = |row: Option<usize>| row.map(|row| row as u32);
        let with = fill.with.get(at).copied().unwrap_or(FillWith::Null);
        if with == FillWith::Linear && matches!(column.data_type(), DataType::Int64 | DataType::Float64) {
            return self.on_lines(column, times, rows);
        }
        let indices: UInt32Array = match with {
            FillWith::Previous => {
                let last = &mut self.last[at];
                let filled = rows.iter().map(|row| {
                    *last = row.filter(|row| is_value(*row)).or(*last);
                    as_index(*last)
                });
                filled.collect()
            }
            FillWith::Null | FillWith::Linear => rows.iter().map(|row| as_index(*row)).collect(),
        };
        Ok(take(column, &indices, None)?)
    }

    /// Numbers, and where there is none what lies between those around it.
    fn on_lines(&self, column: &ArrayRef, times: &[i64], rows: &[Option<usize>]) -> Result<ArrayRef> {
        let valid: Vec<usize> = (0..column.len()).filter(|row| column.is_valid(*row)).collect();
        let of = |row: usize| match column.data_type() {
            DataType::Int64 => column.as_primitive::<Int64Type>().value(row) as f64,
            _ => column.as_primitive::<Float64Type>().value(row),
        };
        let descending = self.times.first() > self.times.last();
        let between = |time: i64| {
            let is_before = |row: &usize| (self.times[*row] < time) != descending;
            let after = valid.partition_point(is_before);
            let (before, after) = (*valid.get(after.checked_sub(1)?)?, *valid.get(after)?);
            let slope = (of(after) - of(before)) / (self.times[after] - self.times[before]) as f64;
            Some(slope * (time - self.times[before]) as f64 + of(before))
        };
        let values = times.iter().zip(rows).map(|(&time, row)| match row.filter(|row| column.is_valid(*row)) {
            Some(row) => (Some(row), None),
            None => (None, between(time)),
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
        let (times, rows) = self.windows(fill);
        if times.is_empty() {
            return Ok(None);
        }
        let own: UInt32Array = std::iter::repeat_n(Some(0), times.len()).collect();
        let keys = &self.rows.columns()[..fill.keys];
        let mut columns = keys.iter().map(|key| Ok(take(key, &own, None)?)).collect::<Result<Vec<ArrayRef>>>()?;
        let time = time_array(times.clone().into(), None, TimeUnit::Nanosecond);
        columns.push(cast_to(&time, self.rows.columns()[fill.keys].data_type())?);
        for at in 0..self.last.len() {
            columns.push(self.column(at, fill, &times, &rows)?);
        }
        Ok(Some(RecordBatch::try_new(self.rows.schema(), columns)?))
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
        let mut from = 0;
        for at in begins.set_indices() {
            if at > from {
                self.open.push(batch.slice(from, at - from));
            }
            self.close()?;
            from = at;
        }
        self.open.push(batch.slice(from, batch.num_rows() - from));
        Ok(())
    }

    fn end(&mut self) -> Result<()> {
        self.close()
    }

    fn step(&mut self, out: &mut Vec<RecordBatch>) -> Result<Left> {
        let mut walk = match self.walk.take() {
            Some(walk) => walk,
            None => match self.whole.pop_front() {
                Some(rows) => self.begin(rows)?,
                None => return Ok(Left::Nothing),
            },
        };
        match walk.next(&self.fill)? {
            Some(rows) => {
                out.push(rows);
                self.walk = Some(walk);
            }
            None => {
                self.held_bytes = self.held_bytes.saturating_sub(batch_bytes(&walk.rows));
                self.memory.resize(self.held_bytes)?;
            }
        }
        Ok(Left::Work)
    }
}
