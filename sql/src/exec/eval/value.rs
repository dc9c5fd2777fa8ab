//! What expressions are evaluated over and what they come to: columns, and constants that stand for columns.

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::{Float64Type, Int64Type, IntervalMonthDayNanoType, UInt64Type};
use arrow_array::{
    Array, ArrayRef, BooleanArray, Datum, Float64Array, Int64Array, IntervalMonthDayNanoArray, NullArray, RecordBatch,
    StringArray, UInt32Array, UInt64Array, new_null_array,
};
use arrow_buffer::IntervalMonthDayNano;
use arrow_schema::{DataType, IntervalUnit, Schema};
use arrow_select::take::take;

use super::room::{Room, text_bytes};
use crate::error::execution::Result;
use crate::expr::{Expr, Scalar};
use crate::types::array::{time_array, time_parts};

/// Columns to evaluate over.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Input<'a> {
    /// All of `rows` rows, except those that no expression reads, which may be of any length.
    pub(crate) columns: &'a [ArrayRef],
    /// Rows; counts where there is no column.
    pub(crate) rows: usize,
    /// What the columns are called, for errors.
    pub(crate) names: &'a dyn Names,
    /// For the text that is made.
    pub(crate) room: &'a Room,
}

impl<'a> Input<'a> {
    /// The rows of a batch.
    pub(crate) fn of(batch: &'a RecordBatch, room: &'a Room) -> Self {
        Self { columns: batch.columns(), rows: batch.num_rows(), names: batch.schema_ref().as_ref(), room }
    }

    /// Makes something of the first half of the rows, then of the rest.
    pub(crate) fn halves<T>(self, mut make: impl FnMut(Input<'_>) -> Result<T>) -> Result<[T; 2]> {
        let middle = self.rows / 2;
        let mut half = |start: usize, rows: usize| {
            let part = |column: &ArrayRef| match column.len() == self.rows {
                true => column.slice(start, rows),
                // One that no expression reads.
                false => Arc::clone(column),
            };
            let columns: Vec<ArrayRef> = self.columns.iter().map(part).collect();
            make(Input { columns: &columns, rows, names: self.names, room: self.room })
        };
        Ok([half(0, middle)?, half(middle, self.rows - middle)?])
    }
}

/// What columns are called.
pub(crate) trait Names: std::fmt::Debug {
    /// The name of the column at a position.
    fn name(&self, at: usize) -> Option<&str>;
}

impl Names for Schema {
    fn name(&self, at: usize) -> Option<&str> {
        self.fields().get(at).map(|field| field.name().as_str())
    }
}

/// Columns without names.
impl Names for () {
    fn name(&self, _: usize) -> Option<&str> {
        None
    }
}

/// A column, or one value that stands for a column.
#[derive(Debug, Clone)]
pub(crate) enum Value {
    /// One value a row.
    Array(ArrayRef),
    /// An array of length one that stands for every row.
    Constant(ArrayRef),
}

impl Datum for Value {
    fn get(&self) -> (&dyn Array, bool) {
        match self {
            Self::Array(array) => (array, false),
            Self::Constant(array) => (array, true),
        }
    }
}

impl Value {
    /// The values, whatever their number.
    pub(crate) fn array(&self) -> &ArrayRef {
        match self {
            Self::Array(array) | Self::Constant(array) => array,
        }
    }

    /// One value for each of `rows` rows.
    pub(crate) fn into_array(self, rows: usize, room: &Room) -> Result<ArrayRef> {
        match self {
            Self::Array(array) => Ok(array),
            Self::Constant(array) if rows == 1 => Ok(array),
            Self::Constant(array) if array.is_null(0) => Ok(new_null_array(array.data_type(), rows)),
            Self::Constant(array) => {
                room.take(text_bytes(&array).saturating_mul(rows), rows)?;
                Ok(take(&array, &UInt32Array::from_value(0, rows), None)?)
            }
        }
    }

    /// Applies a kernel that works value by value, keeping what is constant constant.
    pub(super) fn map(self, kernel: impl FnOnce(&ArrayRef) -> Result<ArrayRef>) -> Result<Self> {
        Ok(match self {
            Self::Array(array) => Self::Array(kernel(&array)?),
            Self::Constant(array) => Self::Constant(kernel(&array)?),
        })
    }

    /// The result of a kernel over `self` and `other`: constant when both are.
    pub(super) fn joined(&self, other: &Self, array: ArrayRef) -> Self {
        match (self, other) {
            (Self::Constant(_), Self::Constant(_)) => Self::Constant(array),
            _ => Self::Array(array),
        }
    }
}

/// A constant as an array of length one.
pub(crate) fn scalar_array(scalar: &Scalar) -> ArrayRef {
    match scalar {
        Scalar::Null => Arc::new(NullArray::new(1)),
        Scalar::Bool(value) => Arc::new(BooleanArray::from(vec![*value])),
        Scalar::Int(value) => Arc::new(Int64Array::from_value(*value, 1)),
        Scalar::UInt(value) => Arc::new(UInt64Array::from_value(*value, 1)),
        Scalar::Float(value) => Arc::new(Float64Array::from_value(*value, 1)),
        Scalar::Str(value) => Arc::new(StringArray::from(vec![&**value])),
        Scalar::Time(value, unit) => time_array(vec![*value].into(), None, *unit),
        Scalar::Interval { months, days, nanoseconds } => {
            Arc::new(IntervalMonthDayNanoArray::from_value(IntervalMonthDayNano::new(*months, *days, *nanoseconds), 1))
        }
    }
}

/// The value of a row as a constant; `None` where its type has no constants.
pub(crate) fn scalar_at(array: &ArrayRef, row: usize) -> Option<Scalar> {
    if array.is_null(row) || *array.data_type() == DataType::Null {
        return Some(Scalar::Null);
    }
    Some(match array.data_type() {
        DataType::Boolean => Scalar::Bool(array.as_boolean().value(row)),
        DataType::Int64 => Scalar::Int(array.as_primitive::<Int64Type>().value(row)),
        DataType::UInt64 => Scalar::UInt(array.as_primitive::<UInt64Type>().value(row)),
        DataType::Float64 => Scalar::Float(array.as_primitive::<Float64Type>().value(row)),
        DataType::Utf8 => Scalar::Str(array.as_string::<i32>().value(row).into()),
        DataType::Timestamp(unit, _) => Scalar::Time(time_parts(array).ok()?.0[row], *unit),
        DataType::Interval(IntervalUnit::MonthDayNano) => {
            let value = array.as_primitive::<IntervalMonthDayNanoType>().value(row);
            Scalar::Interval { months: value.months, days: value.days, nanoseconds: value.nanoseconds }
        }
        _ => return None,
    })
}

/// How an expression within another is evaluated: handed down, so that what decides which rows of it are wanted needs
/// to know no more of it.
pub(super) type Evaluate = fn(&Expr, Input<'_>) -> Result<Value>;
