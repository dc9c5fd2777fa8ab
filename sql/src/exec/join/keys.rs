//! The keys of a join's rows as bytes: equal where the keys are.

use arrow_array::cast::AsArray;
use arrow_array::types::Float64Type;
use arrow_array::{Array, ArrayRef, Float64Array, RecordBatch};
use arrow_buffer::NullBuffer;
use arrow_row::{RowConverter, Rows, SortField};
use arrow_schema::DataType;
use std::sync::Arc;

use crate::error::execution::Result;
use crate::exec::context::{QueryContext, Reservation};
use crate::exec::eval::{Input, Room, evaluate_array, text_bytes};
use crate::expr::Expr;
use crate::stage::JoinKeys;
use crate::types::array::cast_to;
use crate::types::float;

/// What the bytes of one value take beside those of a text.
const VALUE_BYTES: usize = 48;

/// Makes bytes of keys.
pub(super) struct KeyBytes {
    exprs: Vec<Expr>,
    types: Vec<DataType>,
    converter: Option<RowConverter>,
    room: Room,
    memory: Reservation,
}

/// The keys of a batch.
#[derive(Debug, Default)]
pub(super) struct BatchKeys {
    /// `None` without keys: all rows are equal.
    rows: Option<Rows>,
    /// Rows none of whose keys is null.
    valid: Option<NullBuffer>,
}

impl KeyBytes {
    pub(super) fn new(keys: &JoinKeys, context: &QueryContext) -> Result<Self> {
        let fields: Vec<SortField> = keys.types.iter().cloned().map(SortField::new).collect();
        let converter = if fields.is_empty() { None } else { Some(RowConverter::new(fields)?) };
        let (room, memory) = (Room::new(context), context.reservation());
        Ok(Self { exprs: keys.exprs.clone(), types: keys.types.clone(), converter, room, memory })
    }

    /// The keys of `batch`, for which room is held until the next are made. After
    /// [`ExecError::TextTooLong`](crate::exec::ExecError::TextTooLong) half of the batch may be tried.
    pub(super) fn of(&mut self, batch: &RecordBatch) -> Result<BatchKeys> {
        self.memory.resize(0)?;
        let Some(converter) = &self.converter else { return Ok(BatchKeys::default()) };
        self.room.clear()?;
        let input = Input::of(batch, &self.room);
        let columns = self.exprs.iter().map(|key| evaluate_array(key, input)).collect::<Result<Vec<_>>>()?;
        let texts: usize = columns.iter().map(text_bytes).fold(0, usize::saturating_add);
        // The plain text, and the bytes made of it.
        let bytes = texts.saturating_mul(3).saturating_add(batch.num_rows() * columns.len() * VALUE_BYTES);
        self.memory.resize(bytes)?;
        let columns =
            columns.iter().zip(&self.types).map(|(column, to)| comparable(column, to)).collect::<Result<Vec<_>>>()?;
        let valid = columns.iter().fold(None, |valid, column| {
            NullBuffer::union(valid.as_ref(), column.logical_nulls().filter(|nulls| nulls.null_count() > 0).as_ref())
        });
        Ok(BatchKeys { rows: Some(converter.convert_columns(&columns)?), valid })
    }
}

/// A key column in the one form whose bytes are compared.
fn comparable(column: &ArrayRef, to: &DataType) -> Result<ArrayRef> {
    let column = cast_to(column, to)?;
    Ok(match to {
        DataType::Float64 => {
            let floats: Float64Array = column.as_primitive::<Float64Type>().unary(float::canonical);
            Arc::new(floats)
        }
        _ => column,
    })
}

impl BatchKeys {
    /// The key of a row; `None` where a part of it is null.
    pub(super) fn get(&self, row: usize) -> Option<&[u8]> {
        if self.valid.as_ref().is_some_and(|valid| valid.is_null(row)) {
            return None;
        }
        Some(self.rows.as_ref().map_or(&[], |rows| rows.row(row).data()))
    }

    /// Whether a row has a null among its keys.
    pub(super) fn has_null(&self) -> bool {
        self.valid.is_some()
    }

    /// Memory held.
    pub(super) fn bytes(&self) -> usize {
        self.rows.as_ref().map_or(0, Rows::size)
    }
}
