//! Why a line is refused, with its place, worded as each of the two systems words it.

use std::borrow::Cow;
use std::fmt;

/// A refused line.
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

/// What is wrong with a line. The first group is worded by InfluxDB, the second by CnosDB; `Display` gives the words
/// of the system the reason comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LineReason {
    /// Nothing before the first comma.
    MissingMeasurement,
    /// A comma without a key behind it.
    MissingTagKey,
    /// A key without `=`, or nothing behind it.
    MissingTagValue,
    /// An unescaped `=` in a tag value.
    InvalidTagFormat,
    /// One key twice.
    DuplicateTags,
    /// The line ends before its fields.
    MissingFields,
    /// A field without `=`, or something else between fields.
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
    KeyTooLong(usize),
    /// Longer than [`super::LINE_BYTES_MAX`].
    LineTooLong,
    /// Not UTF-8. (InfluxDB keeps such bytes; tables here hold text.)
    InvalidUtf8,

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

    /// The sink refused it.
    Refused(String),
}

/// Longest measurement with tags, and longest of these with a field key, that InfluxDB takes.
pub(super) const KEY_BYTES_MAX: usize = 65_535;

impl fmt::Display for LineReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::MissingMeasurement => f.write_str("missing measurement"),
            Self::MissingTagKey => f.write_str("missing tag key"),
            Self::MissingTagValue => f.write_str("missing tag value"),
            Self::InvalidTagFormat => f.write_str("invalid tag format"),
            Self::DuplicateTags => f.write_str("duplicate tags"),
            Self::MissingFields => f.write_str("missing fields"),
            Self::InvalidFieldFormat => f.write_str("invalid field format"),
            Self::MissingFieldKey => f.write_str("missing field key"),
            Self::MissingFieldValue => f.write_str("missing field value"),
            Self::InvalidNumber => f.write_str("invalid number"),
            Self::InvalidFloat => f.write_str("invalid float"),
            Self::IntegerRange(text) => {
                write!(f, "unable to parse integer {text}: strconv.ParseInt: parsing \"{text}\": value out of range")
            }
            Self::UnsignedRange(text) => {
                write!(f, "unable to parse unsigned {text}: strconv.ParseUint: parsing \"{text}\": value out of range")
            }
            Self::InvalidBoolean => f.write_str("invalid boolean"),
            Self::UnbalancedQuotes => f.write_str("unbalanced quotes"),
            Self::BadTimestamp => f.write_str("bad timestamp"),
            Self::TimestampRange(text) => write!(f, "strconv.ParseInt: parsing \"{text}\": value out of range"),
            Self::TimestampSign => f.write_str("strconv.ParseInt: parsing \"-\": invalid syntax"),
            Self::TimeOutsideRange => f.write_str("time outside range -9223372036854775806 - 9223372036854775806"),
            Self::InvalidPoint => f.write_str("point is invalid"),
            Self::KeyTooLong(bytes) => write!(f, "max key length exceeded: {bytes} > {KEY_BYTES_MAX}"),
            Self::LineTooLong => write!(f, "line longer than {} bytes", super::LINE_BYTES_MAX),
            Self::InvalidUtf8 => f.write_str("invalid utf-8 sequence"),
            Self::UnexpectedToken { token, at } => write!(f, "unexpect token '{token}' at {at}"),
            Self::UnexpectedEnd { at } => write!(f, "unexpect end line start at '{at}'"),
            Self::InvalidSyntax => f.write_str("invalid line protocol syntax"),
            Self::InvalidValue(text) => write!(f, "invalid field value: '{text}'"),
            Self::EmptyValue => f.write_str("Field column not found in flatbuffer columns"),
            Self::InvalidTimestamp { at } => write!(f, "fail to parse timestamp at {at}"),
            Self::TimestampOverflow => f.write_str("timestamp overflow"),
            Self::Refused(text) => f.write_str(text),
        }
    }
}

impl LineError<'_> {
    /// The line as text, for a message.
    pub fn text_lossy(&self) -> Cow<'_, str> {
        String::from_utf8_lossy(self.text)
    }

    /// As InfluxDB 1.x says it: `unable to parse '<line>': <reason>`. What the sink refused stands alone, since there
    /// the storage speaks.
    pub fn influx(&self) -> String {
        match &self.reason {
            LineReason::Refused(text) => text.clone(),
            reason => format!("unable to parse '{}': {reason}", self.text_lossy()),
        }
    }

    /// As CnosDB says it: the `error_code` and the `error_message`. Positions count from the start of the body.
    pub fn cnos(&self) -> (&'static str, String) {
        let body = |at: usize| self.offset.saturating_add(at as u64) as usize;
        let reason = match &self.reason {
            LineReason::InvalidUtf8 => return ("040015", format!("Invalid utf-8 sequence: {}", self.reason)),
            LineReason::EmptyValue => return ("050014", format!("Apply engine failed: {}", self.reason)),
            LineReason::TimestampOverflow => return ("050014", self.reason.to_string()),
            LineReason::Refused(text) => return ("050014", text.clone()),
            LineReason::UnexpectedToken { token, at } => LineReason::UnexpectedToken { token: *token, at: body(*at) },
            LineReason::UnexpectedEnd { at } => LineReason::UnexpectedEnd { at: body(*at) },
            LineReason::InvalidTimestamp { at } => LineReason::InvalidTimestamp { at: body(*at) },
            reason => reason.clone(),
        };
        ("040004", format!("Error parsing message: {reason}"))
    }
}

impl fmt::Display for LineError<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}, column {}: {}", self.line, self.column, self.reason)
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
}
