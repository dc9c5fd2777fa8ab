//! Areas under the lines between values, series by series and window by window.
//!
//! Rows come in the order of their series and times. Between two values of different windows the line is cut where the
//! window of the first ends: what is before belongs to that window, the rest to that of the second, as InfluxDB has it.
//! Of values of one time the last counts for what follows.

use std::sync::Arc;

use arrow_array::builder::{Float64Builder, UInt32Builder};
use arrow_array::cast::AsArray;
use arrow_array::types::Float64Type;
use arrow_array::{Array, ArrayRef, RecordBatch};
use arrow_schema::{DataType, SchemaRef, TimeUnit};
use arrow_select::take::take;

use super::finishing::{Left, Sink};
use crate::error::execution::Result;
use crate::exec::batch::BatchMaker;
use crate::exec::series::SeriesKeys;
use crate::plan::series::Integral;
use crate::types::array::{cast_to, time_array, time_parts};

/// Computes areas.
pub(crate) struct Integrals {
    integral: Integral,
    series: SeriesKeys,
    maker: BatchMaker,
    /// The series at hand: its keys, of one row each, and where it is.
    open: Option<(Vec<ArrayRef>, Area)>,
    out: Vec<RecordBatch>,
}

/// The area of one window.
#[derive(Debug, Clone, Copy)]
struct Area {
    time: i64,
    value: f64,
    /// First time of the window, and of the next; all time without windows.
    start: i64,
    end: i64,
    sum: f64,
}

impl Integrals {
    /// Areas as `integral` says; `schema` is of the keys, the time and the area.
    pub(crate) fn new(integral: Integral, schema: SchemaRef) -> Self {
        let series = SeriesKeys::new(integral.keys);
        Self { integral, series, maker: BatchMaker::new(schema), open: None, out: Vec::new() }
    }

    fn begin(&self, time: i64, value: f64) -> Area {
        let (start, end) = match &self.integral.windows {
            Some(windows) => windows.window(time),
            None => (i64::MIN, i64::MAX),
        };
        Area { time, value, start, end, sum: 0.0 }
    }

    /// The next value; the area of the window before where one ends.
    fn next(&self, area: &mut Area, time: i64, value: f64) -> Option<(i64, f64)> {
        let mut ended = None;
        if time != area.time && (time >= area.end || time < area.start) {
            let backwards = time < area.start;
            let border = if backwards { area.start } else { area.end };
            if area.time != border {
                let slope = (value - area.value) / (time - area.time) as f64;
                let at_border = slope * (border - area.time) as f64 + area.value;
                area.sum += self.trapezium(area.time, area.value, border, at_border);
                (area.time, area.value) = (border, at_border);
            }
            ended = Some((area.start, area.sum));
            area.sum = 0.0;
            if let Some(windows) = &self.integral.windows {
                (area.start, area.end) = windows.window(time);
            }
        }
        if time != area.time {
            area.sum += self.trapezium(area.time, area.value, time, value);
        }
        (area.time, area.value) = (time, value);
        ended
    }

    fn trapezium(&self, time: i64, value: f64, next: i64, next_value: f64) -> f64 {
        0.5 * (value + next_value) * (next.abs_diff(time) as f64 / self.integral.unit_ns)
    }

    /// What the series at hand ends with.
    fn last(&self, area: &Area) -> Option<(i64, f64)> {
        let is_empty = self.integral.windows.is_some() && area.time == area.start;
        (!is_empty).then_some((area.start, area.sum))
    }

    /// Rows of areas whose keys are rows `keys_at` of `keys`.
    fn rows(&mut self, keys: &[ArrayRef], keys_at: &ArrayRef, areas: &[(i64, f64)]) -> Result<()> {
        if areas.is_empty() {
            return Ok(());
        }
        let mut columns = keys.iter().map(|key| Ok(take(key, keys_at, None)?)).collect::<Result<Vec<ArrayRef>>>()?;
        let times: Vec<i64> = areas.iter().map(|(start, _)| *start).collect();
        columns.push(time_array(times.into(), None, TimeUnit::Nanosecond));
        let mut sums = Float64Builder::with_capacity(areas.len());
        areas.iter().for_each(|(_, sum)| sums.append_value(*sum));
        columns.push(Arc::new(sums.finish()));
        let batch = self.maker.make(columns, areas.len())?;
        self.out.push(batch);
        Ok(())
    }

    fn close(&mut self) -> Result<()> {
        let Some((keys, area)) = self.open.take() else { return Ok(()) };
        let last: Vec<(i64, f64)> = self.last(&area).into_iter().collect();
        let mut first = UInt32Builder::with_capacity(1);
        last.iter().for_each(|_| first.append_value(0));
        let first: ArrayRef = Arc::new(first.finish());
        self.rows(&keys, &first, &last)
    }
}

impl Sink for Integrals {
    fn push(&mut self, batch: RecordBatch) -> Result<()> {
        if batch.num_rows() == 0 {
            return Ok(());
        }
        let keys = self.integral.keys;
        let begins = self.series.begins(&batch)?;
        let time = cast_to(&batch.columns()[keys], &DataType::Timestamp(TimeUnit::Nanosecond, None))?;
        let (times, ..) = time_parts(&time)?;
        let values = cast_to(&batch.columns()[keys + 1], &DataType::Float64)?;
        let values = values.as_primitive::<Float64Type>();
        let of_keys = &batch.columns()[..keys];
        if begins.value(0) {
            self.close()?;
        }
        let (mut areas, mut keys_at) = (Vec::new(), UInt32Builder::new());
        for (row, &time) in times.iter().enumerate() {
            if begins.value(row)
                && let Some((_, area)) = self.open.take()
                && let Some(last) = self.last(&area)
            {
                // Its last row is the one before: it began in this batch, or goes on in it.
                areas.push(last);
                keys_at.append_value(row as u32 - 1);
            }
            if values.is_null(row) {
                continue;
            }
            let value = values.value(row);
            match self.open.take() {
                None => self.open = Some((Vec::new(), self.begin(time, value))),
                Some((known, mut area)) => {
                    if let Some(ended) = self.next(&mut area, time, value) {
                        areas.push(ended);
                        keys_at.append_value(row as u32);
                    }
                    self.open = Some((known, area));
                }
            }
        }
        if let Some((known, _)) = &mut self.open {
            *known = of_keys.iter().map(|key| key.slice(batch.num_rows() - 1, 1)).collect();
        }
        let keys_at: ArrayRef = Arc::new(keys_at.finish());
        self.rows(of_keys, &keys_at, &areas)
    }

    fn end(&mut self) -> Result<()> {
        self.close()
    }

    fn step(&mut self, out: &mut Vec<RecordBatch>) -> Result<Left> {
        out.append(&mut self.out);
        Ok(Left::Nothing)
    }
}
