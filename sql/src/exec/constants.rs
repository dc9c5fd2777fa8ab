//! Constant rows as a batch.

use arrow_array::{ArrayRef, RecordBatch, new_empty_array};
use arrow_schema::SchemaRef;
use arrow_select::concat::concat;

use super::batch::BatchMaker;
use super::eval::scalar_array;
use crate::error::execution::{ExecError, Result};
use crate::expr::Scalar;
use crate::types::array::cast_to;

/// Rows of constants as a batch.
pub(crate) fn constant_batch(rows: &[Vec<Scalar>], schema: SchemaRef) -> Result<RecordBatch> {
    let mut columns: Vec<ArrayRef> = Vec::with_capacity(schema.fields().len());
    for (at, field) in schema.fields().iter().enumerate() {
        let values = rows
            .iter()
            .map(|row| {
                let scalar =
                    row.get(at).ok_or_else(|| ExecError::Internal("a row of constants is too short".into()))?;
                cast_to(&scalar_array(scalar), field.data_type())
            })
            .collect::<Result<Vec<_>>>()?;
        let values: Vec<&dyn arrow_array::Array> = values.iter().map(|v| v as &dyn arrow_array::Array).collect();
        columns.push(if values.is_empty() { new_empty_array(field.data_type()) } else { concat(&values)? });
    }
    BatchMaker::new(schema).make(columns, rows.len())
}
