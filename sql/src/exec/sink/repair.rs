//! Repairs one series of times and values, as a whole: its rows are held until the last has come.

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::Float64Type;
use arrow_array::{Array, Float64Array, RecordBatch};
use arrow_schema::{DataType, SchemaRef, TimeUnit};

use super::finishing::{Left, Sink};
use crate::error::execution::{ExecError, Result};
use crate::exec::batch::{BatchMaker, slices};
use crate::exec::context::{QueryContext, Reservation};
use crate::function::repair::{ROWS_MAX, repaired};
use crate::plan::repair::Repair;
use crate::types::array::{cast_to, time_array, time_parts};

/// What a repair may hold: rows in and out, and the cells of its band.
const REPAIR_BYTES: usize = 24 << 20;

/// Repairs a series.
pub(crate) struct Repairs {
    repair: Repair,
    maker: BatchMaker,
    times: Vec<i64>,
    values: Vec<f64>,
    unit: TimeUnit,
    has_ended: bool,
    memory: Reservation,
}

impl Repairs {
    /// Repairs as `repair` says; `schema` is of the time and the value, as the input is, whose times ascend.
    pub(crate) fn new(repair: Repair, schema: SchemaRef, context: &QueryContext) -> Self {
        let memory = context.reservation();
        let (maker, unit) = (BatchMaker::new(schema), TimeUnit::Nanosecond);
        Self { repair, maker, times: Vec::new(), values: Vec::new(), unit, has_ended: false, memory }
    }
}

impl Sink for Repairs {
    fn push(&mut self, batch: RecordBatch) -> Result<()> {
        let [time, value] = batch.columns() else {
            return Err(ExecError::Internal("a repair of other than a time and a value".into()));
        };
        let (times, nulls, unit) = time_parts(time)?;
        let values = cast_to(value, &DataType::Float64)?;
        let values = values.as_primitive::<Float64Type>();
        for row in 0..batch.num_rows() {
            // A row without a time has no place in a series.
            if nulls.as_ref().is_none_or(|nulls| nulls.is_valid(row)) {
                self.times.push(times[row]);
                self.values.push(if values.is_null(row) { f64::NAN } else { values.value(row) });
            }
        }
        self.unit = unit;
        if self.times.len() > ROWS_MAX {
            return Err(ExecError::Execution(format!("a repair of more than {ROWS_MAX} rows")));
        }
        self.memory.resize(self.times.capacity() * 2 * size_of::<i64>())
    }

    fn end(&mut self) -> Result<()> {
        self.has_ended = true;
        Ok(())
    }

    fn step(&mut self, out: &mut Vec<RecordBatch>) -> Result<Left> {
        if !self.has_ended || self.times.is_empty() {
            return Ok(Left::Nothing);
        }
        self.memory.resize(REPAIR_BYTES)?;
        let (times, values) = (std::mem::take(&mut self.times), std::mem::take(&mut self.values));
        let (times, values) =
            repaired(&times, &values, self.repair).map_err(|error| ExecError::Execution(error.to_string()))?;
        let rows = times.len();
        let columns = vec![time_array(times.into(), None, self.unit), Arc::new(Float64Array::from(values))];
        out.extend(slices(self.maker.make(columns, rows)?));
        self.memory.resize(0)?;
        Ok(Left::Nothing)
    }
}
