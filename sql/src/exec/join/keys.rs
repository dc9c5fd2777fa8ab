//! The keys of a join's rows as columns in the one form in which both sides number them.

use arrow_array::{Array, ArrayRef, RecordBatch};
use arrow_buffer::NullBuffer;
use arrow_schema::DataType;

use crate::error::execution::Result;
use crate::exec::context::{QueryContext, Reservation};
use crate::exec::eval::{Input, Room, evaluate_array, text_bytes};
use crate::expr::Expr;
use crate::stage::JoinKeys;
use crate::types::array::cast_to;

/// What one value takes while it is numbered, beside its text.
const VALUE_BYTES: usize = 48;

/// Computes keys.
pub(super) struct KeyColumns {
    exprs: Vec<Expr>,
    types: Vec<DataType>,
    room: Room,
    memory: Reservation,
}

/// The keys of a batch.
#[derive(Debug)]
pub(super) struct BatchKeys {
    pub(super) columns: Vec<ArrayRef>,
    /// Rows none of whose keys is null, where there are others.
    pub(super) valid: Option<NullBuffer>,
}

impl KeyColumns {
    pub(super) fn new(keys: &JoinKeys, context: &QueryContext) -> Self {
        let (room, memory) = (Room::new(context), context.reservation());
        Self { exprs: keys.exprs.clone(), types: keys.types.clone(), room, memory }
    }

    /// The keys of `batch`, for which room is held until the next are made. After
    /// [`ExecError::TextTooLong`](crate::exec::ExecError::TextTooLong) half of the batch may be tried.
    pub(super) fn of(&mut self, batch: &RecordBatch) -> Result<BatchKeys> {
        self.memory.resize(0)?;
        self.room.clear()?;
        let input = Input::of(batch, &self.room);
        let columns = self.exprs.iter().map(|key| evaluate_array(key, input)).collect::<Result<Vec<_>>>()?;
        let texts: usize = columns.iter().map(text_bytes).fold(0, usize::saturating_add);
        // The text itself, and what becomes of it where its like is kept.
        let bytes = texts.saturating_mul(3).saturating_add(batch.num_rows() * columns.len() * VALUE_BYTES);
        self.memory.resize(bytes)?;
        let columns =
            columns.iter().zip(&self.types).map(|(column, to)| of_type(column, to)).collect::<Result<Vec<_>>>()?;
        let valid = columns.iter().fold(None, |valid, column| {
            NullBuffer::union(valid.as_ref(), column.logical_nulls().filter(|nulls| nulls.null_count() > 0).as_ref())
        });
        Ok(BatchKeys { columns, valid })
    }
}

/// A key column of type `to`; a dictionary of text stays one.
fn of_type(column: &ArrayRef, to: &DataType) -> Result<ArrayRef> {
    match column.data_type() {
        DataType::Dictionary(_, value) if **value == *to && *to == DataType::Utf8 => Ok(ArrayRef::clone(column)),
        _ => cast_to(column, to),
    }
}
