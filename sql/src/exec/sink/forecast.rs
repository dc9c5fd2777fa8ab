//! How series go on (`holt_winters`), column by column.
//!
//! 1. The values of a series are held until its last row has come.
//! 2. Then its columns are fitted one after the other, some thousand values a step, and what they give is put together
//!    by time.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use arrow_array::builder::Float64Builder;
use arrow_array::cast::AsArray;
use arrow_array::types::Float64Type;
use arrow_array::{Array, ArrayRef, RecordBatch, UInt32Array};
use arrow_schema::{DataType, SchemaRef, TimeUnit};
use arrow_select::take::take;

use super::finishing::{Left, Sink};
use crate::error::execution::{ExecError, Result};
use crate::exec::batch::BatchMaker;
use crate::exec::context::{QueryContext, Reservation};
use crate::exec::series::SeriesKeys;
use crate::function::forecast::Fit;
use crate::plan::series::Forecast;
use crate::types::array::{cast_to, time_array, time_parts};

/// Values that a step computes: some 20 ns each.
const STEP_WINDOWS: usize = 20_000;

/// Forecasts series.
pub(crate) struct Forecasts {
    forecast: Forecast,
    series: SeriesKeys,
    maker: BatchMaker,
    /// The series whose end has not come.
    open: Option<Waiting>,
    /// Whole series.
    whole: VecDeque<Waiting>,
    fitting: Option<Fitting>,
    memory: Reservation,
    held_values: usize,
}

/// A series: its keys, of one row each, and the values of each column.
struct Waiting {
    keys: Vec<ArrayRef>,
    columns: Vec<Vec<(i64, f64)>>,
}

/// A series in work.
struct Fitting {
    series: Waiting,
    /// Columns that have begun.
    begun: usize,
    fit: Option<Fit>,
    rows: BTreeMap<i64, Vec<Option<f64>>>,
}

impl Forecasts {
    /// Forecasts as `forecast` says; `schema` is of the keys, the time and the columns.
    pub(crate) fn new(forecast: Forecast, schema: SchemaRef, context: &QueryContext) -> Self {
        Self {
            series: SeriesKeys::new(forecast.keys),
            forecast,
            maker: BatchMaker::new(schema),
            open: None,
            whole: VecDeque::new(),
            fitting: None,
            memory: context.reservation(),
            held_values: 0,
        }
    }

    fn hold(&mut self, more_bytes: usize) -> Result<()> {
        self.memory.resize(self.held_values * size_of::<(i64, f64)>() + more_bytes)
    }

    /// The rows of a series that is worked off.
    fn rows(&mut self, done: Fitting) -> Result<RecordBatch> {
        let Fitting { series, rows, .. } = done;
        let first: UInt32Array = std::iter::repeat_n(0, rows.len()).collect();
        let keys = series.keys.iter().map(|key| Ok(take(key, &first, None)?));
        let mut columns = keys.collect::<Result<Vec<ArrayRef>>>()?;
        let times: Vec<i64> = rows.keys().copied().collect();
        columns.push(time_array(times.into(), None, TimeUnit::Nanosecond));
        for at in 0..series.columns.len() {
            let mut values = Float64Builder::with_capacity(rows.len());
            rows.values().for_each(|row| values.append_option(row[at]));
            columns.push(Arc::new(values.finish()));
        }
        self.maker.make(columns, rows.len())
    }
}

impl Sink for Forecasts {
    fn push(&mut self, batch: RecordBatch) -> Result<()> {
        if batch.num_rows() == 0 {
            return Ok(());
        }
        let (keys, width) = (self.forecast.keys, self.forecast.columns.len());
        let begins = self.series.begins(&batch)?;
        let time = cast_to(&batch.columns()[keys], &DataType::Timestamp(TimeUnit::Nanosecond, None))?;
        let (times, ..) = time_parts(&time)?;
        let values = batch.columns()[keys + 1..].iter().map(|column| cast_to(column, &DataType::Float64));
        let values = values.collect::<Result<Vec<ArrayRef>>>()?;
        self.held_values += batch.num_rows() * width;
        self.hold(0)?;
        for (row, &time) in times.iter().enumerate() {
            if begins.value(row) {
                self.whole.extend(self.open.take());
            }
            let begun = || Waiting {
                keys: batch.columns()[..keys].iter().map(|key| key.slice(row, 1)).collect(),
                columns: vec![Vec::new(); width],
            };
            let open = self.open.get_or_insert_with(begun);
            for (held, column) in open.columns.iter_mut().zip(&values) {
                if column.is_valid(row) {
                    held.push((time, column.as_primitive::<Float64Type>().value(row)));
                }
            }
        }
        Ok(())
    }

    fn end(&mut self) -> Result<()> {
        self.whole.extend(self.open.take());
        Ok(())
    }

    fn step(&mut self, out: &mut Vec<RecordBatch>) -> Result<Left> {
        let mut work = match self.fitting.take() {
            Some(work) => work,
            None => match self.whole.pop_front() {
                Some(series) => Fitting { series, begun: 0, fit: None, rows: BTreeMap::new() },
                None => return Ok(Left::Nothing),
            },
        };
        if let Some(mut fit) = work.fit.take() {
            let mut left = STEP_WINDOWS;
            while fit.step() {
                left = left.saturating_sub(fit.windows());
                if left == 0 {
                    work.fit = Some(fit);
                    self.fitting = Some(work);
                    return Ok(Left::Work);
                }
            }
            let (column, width) = (work.begun - 1, work.series.columns.len());
            for (time, value) in fit.forecast() {
                work.rows.entry(time).or_insert_with(|| vec![None; width])[column] = Some(value);
            }
        }
        let (Some(points), Some(asked)) = (work.series.columns.get(work.begun), self.forecast.columns.get(work.begun))
        else {
            let held: usize = work.series.columns.iter().map(Vec::len).sum();
            self.held_values = self.held_values.saturating_sub(held);
            self.hold(0)?;
            out.push(self.rows(work)?);
            return Ok(Left::Work);
        };
        work.fit = Fit::new(points, *asked).map_err(|error| ExecError::Execution(error.to_string()))?;
        self.hold(work.fit.as_ref().map_or(0, Fit::bytes))?;
        work.begun += 1;
        self.fitting = Some(work);
        Ok(Left::Work)
    }
}
