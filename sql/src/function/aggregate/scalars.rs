//! Single values in and out of columns, for states that hold few of them.

use std::cmp::Ordering;
use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::new_null_array;
use arrow_array::types::{Float64Type, Int64Type, UInt64Type};
use arrow_array::{Array, ArrayRef, BooleanArray, Float64Array, Int64Array, ListArray, UInt64Array};
use arrow_buffer::OffsetBuffer;
use arrow_schema::{DataType, Field};

use crate::error::execution::{ExecError, Result};
use crate::expr::Scalar;
use crate::types::array::{cast_to, plain, texts};

/// A column whose values are read one at a time: times are numbers, text is plain.
pub(super) struct Values(ArrayRef);

impl Values {
    /// The values of a column.
    pub(super) fn of(column: &ArrayRef) -> Result<Self> {
        Ok(Self(match column.data_type() {
            DataType::Timestamp(..) => cast_to(column, &DataType::Int64)?,
            DataType::Dictionary(..) => plain(column)?,
            _ => Arc::clone(column),
        }))
    }

    /// Whether there is one in a row.
    pub(super) fn is_valid(&self, row: usize) -> bool {
        *self.0.data_type() != DataType::Null && self.0.is_valid(row)
    }

    /// That of a row.
    pub(super) fn get(&self, row: usize) -> Scalar {
        if !self.is_valid(row) {
            return Scalar::Null;
        }
        match self.0.data_type() {
            DataType::Int64 => Scalar::Int(self.0.as_primitive::<Int64Type>().value(row)),
            DataType::UInt64 => Scalar::UInt(self.0.as_primitive::<UInt64Type>().value(row)),
            DataType::Float64 => Scalar::Float(self.0.as_primitive::<Float64Type>().value(row)),
            DataType::Boolean => Scalar::Bool(self.0.as_boolean().value(row)),
            DataType::Utf8 => Scalar::Str(self.0.as_string::<i32>().value(row).into()),
            _ => Scalar::Null,
        }
    }
}

/// Order of two values of one type; NaN is the greatest.
pub(super) fn order(one: &Scalar, other: &Scalar) -> Ordering {
    match (one, other) {
        (Scalar::Int(one), Scalar::Int(other)) => one.cmp(other),
        (Scalar::UInt(one), Scalar::UInt(other)) => one.cmp(other),
        (Scalar::Float(one), Scalar::Float(other)) => {
            one.partial_cmp(other).unwrap_or_else(|| one.is_nan().cmp(&other.is_nan()))
        }
        (Scalar::Bool(one), Scalar::Bool(other)) => one.cmp(other),
        (Scalar::Str(one), Scalar::Str(other)) => one.cmp(other),
        _ => Ordering::Equal,
    }
}

/// A column of `data_type` of these values.
pub(super) fn column<'a>(values: impl Iterator<Item = &'a Scalar> + Clone, data_type: &DataType) -> Result<ArrayRef> {
    let array: ArrayRef = match data_type {
        DataType::Null => return Ok(new_null_array(data_type, values.count())),
        DataType::Int64 | DataType::Timestamp(..) => Arc::new(
            values
                .map(|value| if let Scalar::Int(value) = value { Some(*value) } else { None })
                .collect::<Int64Array>(),
        ),
        DataType::UInt64 => Arc::new(
            values
                .map(|value| if let Scalar::UInt(value) = value { Some(*value) } else { None })
                .collect::<UInt64Array>(),
        ),
        DataType::Float64 => Arc::new(
            values
                .map(|value| if let Scalar::Float(value) = value { Some(*value) } else { None })
                .collect::<Float64Array>(),
        ),
        DataType::Boolean => Arc::new(
            values
                .map(|value| if let Scalar::Bool(value) = value { Some(*value) } else { None })
                .collect::<BooleanArray>(),
        ),
        DataType::Utf8 => {
            texts(values.map(|value| if let Scalar::Str(value) = value { Some(&**value) } else { None }))?
        }
        other => return Err(ExecError::Internal(format!("states of {other}"))),
    };
    cast_to(&array, data_type)
}

/// The type that a value is held as.
pub(super) fn held_type(value: &Scalar) -> DataType {
    value.data_type()
}

/// A column of lists: `items` one after the other, `lengths` of each list.
pub(super) fn lists(items: ArrayRef, lengths: impl Iterator<Item = usize>) -> Result<ArrayRef> {
    let field = Arc::new(Field::new("item", items.data_type().clone(), true));
    Ok(Arc::new(ListArray::try_new(field, OffsetBuffer::from_lengths(lengths), items, None)?))
}

/// The items of a column of lists, and where the list of a row begins and ends in them.
pub(super) fn items(column: &ArrayRef) -> Result<(&ArrayRef, &OffsetBuffer<i32>)> {
    let lists = column.as_list_opt::<i32>().ok_or_else(|| ExecError::Internal("a state is no list".into()))?;
    Ok((lists.values(), lists.offsets()))
}
