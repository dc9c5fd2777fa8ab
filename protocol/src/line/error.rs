//! What is wrong with a line, and where.

use std::fmt;

/// A line that is no row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LineError<'a> {
    /// Number of the line in the whole body, from 1.
    pub line: u64,
    /// Where `text` begins in the whole body.
    pub offset: u64,
    /// The line without leading blanks and without its end.
    pub text: &'a [u8],
    /// Byte of `text`, from 1, where the fault shows; one past the end when something is missing there.
    pub column: usize,
    /// What is wrong.
    pub reason: LineReason,
}

/// What is wrong with a line: first what breaks a rule of both dialects, then of InfluxDB's, then of CnosDB's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LineReason {
    /// Longer than [`super::LINE_BYTES_MAX`].
    LineTooLong,
    /// Not UTF-8. (InfluxDB keeps such bytes; tables here hold text.)
    InvalidUtf8,

    /// Nothing before the first comma.
    MissingMeasurement,
    /// A comma without a key behind it.
    MissingTagKey,
    /// A key without `=`, or nothing behind it.
    MissingTagValue,
    /// A tag, given here, that comes twice with different values.
    TagTwice(String),
    /// A field, given here, that comes twice with different values.
    FieldTwice(String),
    /// An unescaped `=` in a tag value.
    InvalidTagFormat,
    /// One key twice.
    DuplicateTags,
    /// The line ends before its fields.
    MissingFields,
    /// A field without `=`, or something else between fields or behind the last quote of a string.
    InvalidFieldFormat,
    /// `=` without a key before it.
    MissingFieldKey,
    /// `=` without a value behind it.
    MissingFieldValue,
    /// Not a number, or one with a wrong ending.
    InvalidNumber,
    /// A number that no float64 can be.
    InvalidFloat,
    /// An integer, given here without its `i`, that is no int64.
    IntegerRange(String),
    /// An integer, given here without its `u`, that is no uint64.
    UnsignedRange(String),
    /// A value that is neither number nor string nor a spelling of true or false.
    InvalidBoolean,
    /// A string without its end.
    UnbalancedQuotes,
    /// A timestamp that is no integer.
    BadTimestamp,
    /// A timestamp that is no int64.
    TimestampRange(String),
    /// A timestamp that is only a sign.
    TimestampSign,
    /// A timestamp that overflows when scaled, or is one of the reserved values.
    TimeOutsideRange,
    /// Text behind the timestamp.
    InvalidPoint,
    /// Measurement and tags, or these and a field key, are too long.
    KeyTooLong {
        /// How long.
        bytes: usize,
        /// How long they may be.
        bytes_max: usize,
    },

    /// A byte that may not stand here; offset in `text`.
    UnexpectedToken {
        /// The byte.
        token: char,
        /// Its place.
        at: usize,
    },
    /// The line ends inside something; offset in `text` where that begins.
    UnexpectedEnd {
        /// Where the unfinished part begins.
        at: usize,
    },
    /// An unescaped `=` in a tag value with escapes.
    InvalidSyntax,
    /// A field value that is none.
    InvalidValue(String),
    /// `=` with nothing behind it: the row would lack the field.
    EmptyValue,
    /// A timestamp that is no int64.
    InvalidTimestamp {
        /// The offset CnosDB names: of the byte behind the timestamp where there is one, else of its first.
        at: usize,
    },
    /// A timestamp that overflows when scaled.
    TimestampOverflow,
}

impl LineReason {
    /// The part of the line that it quotes, if it quotes one.
    pub fn quoted_mut(&mut self) -> Option<&mut String> {
        match self {
            Self::IntegerRange(text)
            | Self::UnsignedRange(text)
            | Self::TimestampRange(text)
            | Self::TagTwice(text)
            | Self::FieldTwice(text)
            | Self::InvalidValue(text) => Some(text),
            _ => None,
        }
    }
}

impl fmt::Display for LineError<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}, column {}: {:?}", self.line, self.column, self.reason)
    }
}

impl std::error::Error for LineError<'_> {}

/// A fault inside one line, before the line's place in the body is known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Fault {
    /// Offset in the line.
    pub(super) at: usize,
    pub(super) reason: LineReason,
}

impl Fault {
    pub(super) fn new(at: usize, reason: LineReason) -> Self {
        Self { at, reason }
    }

    /// The same as the fault of line `number` of a body, `text`, which begins at `offset`.
    pub(super) fn in_body(self, number: u64, offset: u64, text: &[u8]) -> LineError<'_> {
        LineError { line: number, offset, text, column: self.at + 1, reason: self.reason }
    }
}
