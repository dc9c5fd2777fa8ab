//! Columns that are computed from a value and those before it in its series. A null, and a row at a time that a
//! transformation does not count, gives null.

use std::sync::Arc;

use arrow_array::builder::{Float64Builder, Int64Builder};
use arrow_array::cast::AsArray;
use arrow_array::types::{Float64Type, Int64Type};
use arrow_array::{Array, ArrayRef, RecordBatch};
use arrow_buffer::BooleanBuffer;
use arrow_schema::{DataType, SchemaRef, TimeUnit};

use super::streaming::Operator;
use crate::error::execution::Result;
use crate::exec::batch::BatchMaker;
use crate::exec::series::SeriesKeys;
use crate::function::transform::{Number, Step};
use crate::plan::series::TransformCall;
use crate::types::array::{cast_to, time_parts};

/// Computes columns.
pub(crate) struct Transform {
    calls: Vec<(TransformCall, Box<dyn Step>)>,
    series: SeriesKeys,
    maker: BatchMaker,
}

impl Transform {
    /// Adds a column a call; `schema` is of the input's columns and these.
    pub(crate) fn new(calls: &[TransformCall], schema: SchemaRef) -> Self {
        let keys = calls.first().map_or(0, |call| call.keys);
        let begun = |call: &TransformCall| (call.clone(), (call.transformation.begin)(&call.parameters));
        Self { calls: calls.iter().map(begun).collect(), series: SeriesKeys::new(keys), maker: BatchMaker::new(schema) }
    }
}

impl Operator for Transform {
    fn push(&mut self, batch: RecordBatch) -> Result<Option<RecordBatch>> {
        if batch.num_rows() == 0 {
            return Ok(None);
        }
        let begins = self.series.begins(&batch)?;
        let mut columns = batch.columns().to_vec();
        for (call, step) in &mut self.calls {
            let time = cast_to(&columns[call.keys], &DataType::Timestamp(TimeUnit::Nanosecond, None))?;
            let (times, ..) = time_parts(&time)?;
            let column = computed(call, step, &begins, &times, &columns[call.column])?;
            columns.push(column);
        }
        self.maker.make(columns, batch.num_rows()).map(Some)
    }
}

/// The numbers of a column; of what is no number only where there is a value.
enum Numbers<'a> {
    Int(&'a [i64]),
    Float(&'a [f64]),
    Other,
}

fn computed(
    call: &TransformCall,
    step: &mut Box<dyn Step>,
    begins: &BooleanBuffer,
    times: &[i64],
    column: &ArrayRef,
) -> Result<ArrayRef> {
    let column = match column.data_type() {
        DataType::UInt64 => cast_to(column, &DataType::Int64)?,
        _ => Arc::clone(column),
    };
    let numbers = match column.data_type() {
        DataType::Int64 => Numbers::Int(column.as_primitive::<Int64Type>().values()),
        DataType::Float64 => Numbers::Float(column.as_primitive::<Float64Type>().values()),
        _ => Numbers::Other,
    };
    let mut results = Vec::with_capacity(times.len());
    let nulls = column.logical_nulls();
    for (row, &time) in times.iter().enumerate() {
        if begins.value(row) {
            *step = (call.transformation.begin)(&call.parameters);
        }
        results.push(match nulls.as_ref().is_some_and(|nulls| nulls.is_null(row)) {
            true => None,
            false => step.next(
                time,
                match &numbers {
                    Numbers::Int(values) => Number::Int(values[row]),
                    Numbers::Float(values) => Number::Float(values[row]),
                    Numbers::Other => Number::Int(0),
                },
            ),
        });
    }
    if call.data_type == DataType::Int64 {
        let mut ints = Int64Builder::with_capacity(results.len());
        results.iter().for_each(|result| ints.append_option(result.map(Number::int)));
        return Ok(Arc::new(ints.finish()));
    }
    let mut floats = Float64Builder::with_capacity(results.len());
    results.iter().for_each(|result| floats.append_option(result.map(Number::float)));
    Ok(Arc::new(floats.finish()))
}
