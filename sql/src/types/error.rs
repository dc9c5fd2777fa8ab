//! What can be wrong with the text of a time, an interval or a duration, and with the conversion of a constant.

use arrow_schema::DataType;

/// A text that is no time.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is no time: {part} cannot be read")]
pub struct TimestampError {
    /// The text.
    pub text: String,
    /// The part of it that cannot be read.
    pub part: TimestampPart,
}

/// Parts of the text of a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TimestampPart {
    /// All: it is shorter than a date.
    #[error("a date")]
    Length,
    /// The date.
    #[error("the date")]
    Date,
    /// What stands between date and clock.
    #[error("what follows the date")]
    Separator,
    /// The clock.
    #[error("the clock")]
    Clock,
    /// The zone.
    #[error("the zone")]
    Zone,
}

/// A text that is no interval.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum IntervalError {
    /// No numbers with units.
    Invalid(String),
    /// More months, days or nanoseconds than can be counted.
    OutOfRange(String),
}

/// A text that is no duration, or one that cannot be counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DurationError;

/// A constant that does not convert.
#[derive(Debug, Clone, PartialEq)]
pub enum ConversionError {
    /// A number that the type does not hold.
    OutOfRange {
        /// The number.
        value: String,
        /// The type.
        to: DataType,
    },
    /// A text that is no value of the type.
    Text {
        /// The text.
        text: String,
        /// The type.
        to: DataType,
    },
    /// A text that is no time.
    Timestamp(TimestampError),
    /// A text that is a time which the unit cannot count.
    TimeOutOfRange {
        /// The text.
        text: String,
        /// Whether it is a literal, in nanoseconds.
        literal: bool,
    },
    /// A text that is no interval.
    Interval(IntervalError),
    /// Types between which nothing converts.
    Unsupported {
        /// From.
        from: DataType,
        /// To.
        to: DataType,
    },
}

impl From<TimestampError> for ConversionError {
    fn from(error: TimestampError) -> Self {
        Self::Timestamp(error)
    }
}

impl From<IntervalError> for ConversionError {
    fn from(error: IntervalError) -> Self {
        Self::Interval(error)
    }
}
