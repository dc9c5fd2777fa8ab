//! The values of a column while they are collected from text or JSON.

use std::sync::Arc;

use arrow_array::builder::{BooleanBuilder, Float64Builder, Int64Builder, StringBuilder, UInt64Builder};
use arrow_array::{ArrayRef, TimestampMicrosecondArray, TimestampMillisecondArray, TimestampNanosecondArray};
use serde_json::Value;
use tidewire_sql::types::timestamp::parse_timestamp;
use tidewire_storage::schema::{ExternalType, TimeUnit};

/// The values of one column.
pub(crate) enum Values {
    Int(Int64Builder),
    UInt(UInt64Builder),
    Float(Float64Builder),
    Bool(BooleanBuilder),
    Text(StringBuilder),
    Time(Vec<Option<i64>>, TimeUnit),
}

impl Values {
    /// None yet.
    pub(crate) fn new(kind: ExternalType) -> Self {
        match kind {
            ExternalType::Int => Self::Int(Int64Builder::new()),
            ExternalType::UInt => Self::UInt(UInt64Builder::new()),
            ExternalType::Float | ExternalType::Decimal(..) => Self::Float(Float64Builder::new()),
            ExternalType::Bool => Self::Bool(BooleanBuilder::new()),
            ExternalType::String => Self::Text(StringBuilder::new()),
            ExternalType::Date => Self::Time(Vec::new(), TimeUnit::Nanosecond),
            ExternalType::Time(unit) => Self::Time(Vec::new(), unit),
        }
    }

    pub(crate) fn push_null(&mut self) {
        match self {
            Self::Int(values) => values.append_null(),
            Self::UInt(values) => values.append_null(),
            Self::Float(values) => values.append_null(),
            Self::Bool(values) => values.append_null(),
            Self::Text(values) => values.append_null(),
            Self::Time(values, _) => values.push(None),
        }
    }

    /// Takes a value that is written as text; false where it is none of the type.
    #[must_use]
    pub(crate) fn push_text(&mut self, text: &str) -> bool {
        let taken = match self {
            Self::Int(values) => text.trim().parse().ok().map(|value| values.append_value(value)),
            Self::UInt(values) => text.trim().parse().ok().map(|value| values.append_value(value)),
            Self::Float(values) => text.trim().parse().ok().map(|value| values.append_value(value)),
            Self::Bool(values) => bool_of(text).map(|value| values.append_value(value)),
            Self::Text(values) => {
                values.append_value(text);
                Some(())
            }
            Self::Time(values, unit) => time_of(text, *unit).map(|time| values.push(Some(time))),
        };
        taken.is_some()
    }

    /// Takes a value of JSON; false where it is none of the type.
    #[must_use]
    pub(crate) fn push_json(&mut self, value: &Value) -> bool {
        let taken = match (self, value) {
            (values, Value::Null) => {
                values.push_null();
                Some(())
            }
            (values, Value::String(text)) => return values.push_text(text),
            (Self::Int(values), Value::Number(number)) => number.as_i64().map(|value| values.append_value(value)),
            (Self::UInt(values), Value::Number(number)) => number.as_u64().map(|value| values.append_value(value)),
            (Self::Float(values), Value::Number(number)) => number.as_f64().map(|value| values.append_value(value)),
            (Self::Time(values, _), Value::Number(number)) => number.as_i64().map(|time| values.push(Some(time))),
            (Self::Bool(values), Value::Bool(value)) => {
                values.append_value(*value);
                Some(())
            }
            // As text, what is no text is as it is written.
            (Self::Text(values), other) => {
                values.append_value(other.to_string());
                Some(())
            }
            _ => None,
        };
        taken.is_some()
    }

    pub(crate) fn finish(self) -> ArrayRef {
        match self {
            Self::Int(mut values) => Arc::new(values.finish()),
            Self::UInt(mut values) => Arc::new(values.finish()),
            Self::Float(mut values) => Arc::new(values.finish()),
            Self::Bool(mut values) => Arc::new(values.finish()),
            Self::Text(mut values) => Arc::new(values.finish()),
            Self::Time(times, TimeUnit::Nanosecond) => Arc::new(TimestampNanosecondArray::from(times)),
            Self::Time(times, TimeUnit::Microsecond) => Arc::new(TimestampMicrosecondArray::from(times)),
            Self::Time(times, TimeUnit::Millisecond) => Arc::new(TimestampMillisecondArray::from(times)),
        }
    }
}

/// A truth as it is written in files.
pub(crate) fn bool_of(text: &str) -> Option<bool> {
    match text.trim() {
        text if text.eq_ignore_ascii_case("true") => Some(true),
        text if text.eq_ignore_ascii_case("false") => Some(false),
        _ => None,
    }
}

/// A time as text, or as a whole number of the unit.
fn time_of(text: &str, unit: TimeUnit) -> Option<i64> {
    if let Ok(time) = text.trim().parse::<i64>() {
        return Some(time);
    }
    let ns = parse_timestamp(text).ok()?;
    i64::try_from(ns.div_euclid(i128::from(unit.nanoseconds()))).ok()
}
