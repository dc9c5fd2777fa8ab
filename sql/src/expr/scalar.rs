//! Constants.

use std::sync::Arc;

use arrow_schema::{DataType, IntervalUnit, TimeUnit};

use crate::types::interval::Interval;

/// A constant. Two are equal where one can stand for the other in an expression: a NaN is the NaN of the same bits, and
/// the zeros differ, by which one can divide.
#[derive(Debug, Clone)]
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

impl PartialEq for Scalar {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Null, Self::Null) => true,
            (Self::Bool(a), Self::Bool(b)) => a == b,
            (Self::Int(a), Self::Int(b)) => a == b,
            (Self::UInt(a), Self::UInt(b)) => a == b,
            (Self::Float(a), Self::Float(b)) => a.to_bits() == b.to_bits(),
            (Self::Str(a), Self::Str(b)) => a == b,
            (Self::Time(a, unit), Self::Time(b, other)) => a == b && unit == other,
            (Self::Interval { .. }, Self::Interval { .. }) => self.interval() == other.interval(),
            _ => false,
        }
    }
}

impl From<Interval> for Scalar {
    fn from(Interval { months, days, nanoseconds }: Interval) -> Self {
        Self::Interval { months, days, nanoseconds }
    }
}
