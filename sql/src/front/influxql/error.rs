//! What can be wrong with a text of InfluxQL, and with a condition once the tables are known. Clients read the words of
//! the API that they speak; `Display` is for logs and tools.

use std::fmt;

/// Why a text is no InfluxQL that this server runs, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ParseError {
    /// What is wrong.
    pub kind: ParseErrorKind,
    /// Line, from 1.
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
    /// A statement that InfluxQL has and this server does not, yet.
    Unsupported {
        /// How the statement begins.
        statement: String,
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
    /// No regular expression, and why.
    Pattern(String),
    /// More brackets inside of each other than the bound.
    TooDeep {
        /// The bound.
        brackets_max: usize,
    },
    /// A condition without a comparison.
    NoComparison,
    /// A regular expression at another operator than its two, or the other way round.
    PatternOperator,
    /// A function that a condition cannot call.
    FunctionInCondition(String),
    /// A retention policy where a measurement to delete from is named.
    PolicyInDelete,
    /// A database where a measurement to delete from is named.
    DatabaseInDelete,
}

/// Why a text is no duration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DurationError {
    /// No numbers with units.
    Invalid,
    /// More nanoseconds than can be counted; the text.
    Overflow(String),
}

/// Why a statement that deletes cannot be carried out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DeleteError {
    /// DROP SERIES with a condition on time.
    TimeInDropSeries,
    /// A comparison that is of neither a tag nor the time.
    FieldInCondition,
    /// The time is compared with what is no time.
    NoTime(OperandKind),
    /// A text that begins like a date and is none.
    InvalidTimestamp,
    /// A time after the last; in nanoseconds.
    TimeOverflow(i128),
    /// A time before the first; in nanoseconds.
    TimeUnderflow(i128),
    /// An operator that does not compare times.
    TimeOperator(&'static str),
}

/// Kinds of operands that are no time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OperandKind {
    /// A string.
    Text,
    /// A name.
    Name,
    /// A regular expression.
    Pattern,
    /// TRUE or FALSE.
    Bool,
}

impl fmt::Display for ParseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}, character {}: ", self.line, self.character)?;
        match &self.kind {
            ParseErrorKind::Unexpected { found, expected } => write!(f, "expected {expected}, found {found}"),
            ParseErrorKind::Unsupported { statement } => write!(f, "{statement} is not supported yet"),
            ParseErrorKind::DuplicateOption(option) => write!(f, "{option} is given twice"),
            ParseErrorKind::Duration(DurationError::Invalid) => f.write_str("no duration"),
            ParseErrorKind::Duration(DurationError::Overflow(text)) => write!(f, "the duration {text} is too long"),
            ParseErrorKind::InfiniteShardDuration => f.write_str("the duration of a shard is finite"),
            ParseErrorKind::Replication { text, copies_max } => write!(f, "{text} is not between 1 and {copies_max}"),
            ParseErrorKind::Number { .. } => f.write_str("a number that cannot be read"),
            ParseErrorKind::Pattern(reason) => write!(f, "no regular expression: {reason}"),
            ParseErrorKind::TooDeep { brackets_max } => write!(f, "more than {brackets_max} nested brackets"),
            ParseErrorKind::NoComparison => f.write_str("a comparison is wanted"),
            ParseErrorKind::PatternOperator => {
                f.write_str("=~ and !~ compare with a regular expression, and only they")
            }
            ParseErrorKind::FunctionInCondition(name) => write!(f, "a condition cannot call {name}"),
            ParseErrorKind::PolicyInDelete => f.write_str("a retention policy is named"),
            ParseErrorKind::DatabaseInDelete => f.write_str("a database is named"),
        }
    }
}

impl std::error::Error for ParseError {}

impl From<DurationError> for ParseErrorKind {
    fn from(error: DurationError) -> Self {
        Self::Duration(error)
    }
}
