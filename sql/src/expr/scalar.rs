//! Constants.

use std::sync::Arc;

use arrow_schema::{DataType, IntervalUnit, TimeUnit};

use crate::types::interval::Interval;

/// A constant.
#[derive(Debug, Clone, PartialEq)]
pub enum Scalar {
    /// Typeless null.
    Null,
    /// BOOLEAN.
    Bool(bool),
    /// BIGINT.
    Int(i64),
    /// BIGINT UNSIGNED.
    UInt(u64),
    /// DOUBLE.
    Float(f64),
    /// STRING.
    Str(Arc<str>),
    /// TIMESTAMP without zone, in the given unit since the Unix epoch.
    Time(i64, TimeUnit),
    /// INTERVAL.
    Interval {
        /// Calendar months.
        months: i32,
        /// Calendar days.
        days: i32,
        /// Nanoseconds.
        nanoseconds: i64,
    },
}

impl Scalar {
    /// Its type; `Null` for the typeless null.
    pub fn data_type(&self) -> DataType {
        match self {
            Self::Null => DataType::Null,
            Self::Bool(_) => DataType::Boolean,
            Self::Int(_) => DataType::Int64,
            Self::UInt(_) => DataType::UInt64,
            Self::Float(_) => DataType::Float64,
            Self::Str(_) => DataType::Utf8,
            Self::Time(_, unit) => DataType::Timestamp(*unit, None),
            Self::Interval { .. } => DataType::Interval(IntervalUnit::MonthDayNano),
        }
    }

    /// The interval that it is.
    pub(crate) fn interval(&self) -> Option<Interval> {
        match *self {
            Self::Interval { months, days, nanoseconds } => Some(Interval { months, days, nanoseconds }),
            _ => None,
        }
    }
}

impl From<Interval> for Scalar {
    fn from(Interval { months, days, nanoseconds }: Interval) -> Self {
        Self::Interval { months, days, nanoseconds }
    }
}
