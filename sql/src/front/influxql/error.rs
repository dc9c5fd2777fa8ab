//! What can be wrong with a text of InfluxQL, in the words of InfluxDB, which its clients match.

use std::fmt;

use super::text::duration::{DurationError, duration_text};

/// Why a text is no InfluxQL that this server runs, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ParseError {
    /// What is wrong.
    pub kind: ParseErrorKind,
    /// Line, from 1; 0 where InfluxDB names no place.
    pub line: usize,
    /// Character in the line, from 1.
    pub character: usize,
}

/// What is wrong with a text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ParseErrorKind {
    /// A token that cannot stand there.
    Unexpected {
        /// The token.
        found: String,
        /// What could stand there.
        expected: &'static str,
    },
    /// An option that is given twice.
    DuplicateOption(String),
    /// A duration that is none.
    Duration(DurationError),
    /// INF where a shard's duration is wanted.
    InfiniteShardDuration,
    /// A number of copies out of range.
    Replication {
        /// As written.
        text: String,
        /// The most that is taken.
        copies_max: u32,
    },
    /// A number that cannot be read.
    Number {
        /// Whether it is written as a whole number.
        integer: bool,
    },
    /// Less than the least whole number; as written, without its sign.
    Underflow(String),
    /// No regular expression, and why.
    Pattern(String),
    /// A regular expression that does not end.
    BrokenRegex,
    /// More brackets inside of each other than the bound.
    TooDeep {
        /// The bound.
        brackets_max: usize,
    },
    /// A name of more parts than a measurement has; as written.
    TooManySegments(String),
    /// A retention policy where a measurement to delete from is named.
    PolicyInDelete,
    /// A database where a measurement to delete from is named.
    DatabaseInDelete,
    /// fill that is no call.
    FillCall,
    /// fill without the one argument that it takes.
    FillArgument,
    /// fill with an argument that is neither a number nor a known word.
    FillNumber,
    /// tz that is no call.
    ZoneCall,
    /// tz without the one argument that it takes.
    ZoneArgument,
    /// tz of what is no string.
    ZoneString,
    /// A time zone that is not known.
    ZoneUnknown(String),
    /// An order by anything else than the time.
    Order,
    /// An operator of conditions among what is selected.
    Operator {
        /// The operator.
        symbol: &'static str,
        /// Line of the field, from 1.
        line: usize,
        /// Character of the field in it, from 1.
        character: usize,
    },
    /// A parameter without a name.
    ParameterEmpty,
    /// A parameter that the request does not bind.
    ParameterMissing(String),
    /// A continuous query without windows of time.
    NoInterval,
    /// A continuous query that covers less than a window; both in nanoseconds.
    ForTooShort {
        /// The least.
        min_ns: i64,
        /// What is asked for.
        got_ns: i64,
    },
}

impl fmt::Display for ParseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.kind.fmt(f)?;
        match self.line {
            0 => Ok(()),
            line => write!(f, " at line {line}, char {}", self.character),
        }
    }
}

impl fmt::Display for ParseErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unexpected { found, expected } => write!(f, "found {found}, expected {expected}"),
            Self::DuplicateOption(option) => write!(f, "found duplicate {option} option"),
            Self::Duration(error) => error.fmt(f),
            Self::InfiniteShardDuration => f.write_str("invalid duration INF for shard duration"),
            Self::Replication { text, copies_max } => write!(f, "invalid value {text}: must be 1 <= n <= {copies_max}"),
            Self::Number { integer: true } => f.write_str("unable to parse integer"),
            Self::Number { integer: false } => f.write_str("unable to parse number"),
            Self::Underflow(text) => write!(f, "constant -{text} underflows int64"),
            Self::Pattern(reason) => write!(f, "error parsing regexp: {reason}"),
            Self::BrokenRegex => f.write_str("bad regex: "),
            Self::TooDeep { brackets_max } => write!(f, "more than {brackets_max} brackets inside of each other"),
            Self::TooManySegments(name) => write!(f, "too many segments in {name}"),
            Self::PolicyInDelete => f.write_str("retention policy not supported"),
            Self::DatabaseInDelete => f.write_str("database not supported"),
            Self::FillCall => f.write_str("fill must be a function call"),
            Self::FillArgument => f.write_str("fill requires an argument, e.g.: 0, null, none, previous, linear"),
            Self::FillNumber => f.write_str("expected number argument in fill()"),
            Self::ZoneCall => f.write_str("tz must be a function call"),
            Self::ZoneArgument => f.write_str("tz requires exactly one argument"),
            Self::ZoneString => f.write_str("expected string argument in tz()"),
            Self::ZoneUnknown(name) => write!(f, "unable to find time zone {name}"),
            Self::Order => f.write_str("only ORDER BY time supported at this time"),
            Self::Operator { symbol, line, character } => write!(
                f,
                "invalid operator {symbol} in SELECT clause at line {line}, char {character}; operator is intended \
                 for WHERE clause"
            ),
            Self::ParameterEmpty => f.write_str("empty bound parameter"),
            Self::ParameterMissing(name) => write!(f, "missing parameter: {name}"),
            Self::NoInterval => f.write_str("expected GROUP BY time(...)"),
            Self::ForTooShort { min_ns, got_ns } => write!(
                f,
                "FOR duration must be >= GROUP BY time duration: must be a minimum of {}, got {}",
                duration_text(*min_ns),
                duration_text(*got_ns)
            ),
        }
    }
}

impl std::error::Error for ParseError {}

impl From<DurationError> for ParseErrorKind {
    fn from(error: DurationError) -> Self {
        Self::Duration(error)
    }
}
