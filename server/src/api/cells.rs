//! Columns of a query's rows, read cell by cell.

use arrow_array::cast::AsArray;
use arrow_array::types::{
    Float64Type, Int64Type, TimestampMicrosecondType, TimestampMillisecondType, TimestampNanosecondType, UInt32Type,
    UInt64Type,
};
use arrow_array::{Array, ArrayRef, BooleanArray, StringArray};
use arrow_buffer::NullBuffer;
use arrow_schema::{DataType, TimeUnit};
use tidewire_protocol::encode::influx::Value;
use tidewire_sql::types::zone::Zone;

/// A column of which single cells are read.
pub(in crate::api) struct Cells<'a> {
    values: Values<'a>,
    nulls: Option<&'a NullBuffer>,
}

/// Its values.
enum Values<'a> {
    Null,
    Int(&'a [i64]),
    UInt(&'a [u64]),
    Float(&'a [f64]),
    /// And how many nanoseconds each unit is.
    Time(&'a [i64], i64),
    Bool(&'a BooleanArray),
    Text(&'a StringArray),
    Tag(&'a [u32], &'a StringArray),
}

impl<'a> Cells<'a> {
    /// The cells of a column.
    pub(in crate::api) fn of(column: &'a ArrayRef) -> Self {
        let values = match column.data_type() {
            DataType::Int64 => Values::Int(column.as_primitive::<Int64Type>().values()),
            DataType::UInt64 => Values::UInt(column.as_primitive::<UInt64Type>().values()),
            DataType::Float64 => Values::Float(column.as_primitive::<Float64Type>().values()),
            DataType::Boolean => Values::Bool(column.as_boolean()),
            DataType::Utf8 => Values::Text(column.as_string()),
            DataType::Timestamp(TimeUnit::Nanosecond, _) => {
                Values::Time(column.as_primitive::<TimestampNanosecondType>().values(), 1)
            }
            DataType::Timestamp(TimeUnit::Microsecond, _) => {
                Values::Time(column.as_primitive::<TimestampMicrosecondType>().values(), 1_000)
            }
            DataType::Timestamp(TimeUnit::Millisecond, _) => {
                Values::Time(column.as_primitive::<TimestampMillisecondType>().values(), 1_000_000)
            }
            DataType::Dictionary(..) => match column.as_dictionary_opt::<UInt32Type>() {
                Some(tags) => Values::Tag(tags.keys().values(), tags.values().as_string()),
                None => Values::Null,
            },
            _ => Values::Null,
        };
        Self { values, nulls: column.nulls() }
    }

    /// The text of a row, if that is what it is.
    pub(in crate::api) fn text(&self, row: usize) -> Option<&'a str> {
        match self.value(row, None) {
            Value::Text(text) => Some(text),
            _ => None,
        }
    }

    /// The cell of a row; a time by the clocks of `zone`.
    pub(in crate::api) fn value(&self, row: usize, zone: Option<&Zone>) -> Value<'a> {
        if self.nulls.is_some_and(|nulls| nulls.is_null(row)) {
            return Value::Null;
        }
        match &self.values {
            Values::Null => Value::Null,
            Values::Int(values) => Value::Int(values[row]),
            Values::UInt(values) => Value::UInt(values[row]),
            Values::Float(values) => Value::Float(values[row]),
            Values::Bool(values) => Value::Bool(values.value(row)),
            Values::Text(values) => Value::Text(values.value(row)),
            Values::Tag(keys, values) => Value::Text(values.value(keys[row] as usize)),
            Values::Time(values, unit) => {
                let time = values[row].saturating_mul(*unit);
                match zone {
                    Some(zone) => Value::LocalTime(time, zone.offset_s(time)),
                    None => Value::Time(time),
                }
            }
        }
    }
}
