//! How a row of a request is named.

use std::fmt;

/// Which row of a request is meant, counted from 1 in what the door reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Position {
    /// A line of the body; a newline inside a string starts no line.
    Line(u64),
    /// An item of a list: an action, a data point, a sample, an entry.
    Item(u64),
    /// A span of a trace.
    Span(u64),
}

impl Position {
    /// The number alone.
    pub fn number(self) -> u64 {
        match self {
            Self::Line(number) | Self::Item(number) | Self::Span(number) => number,
        }
    }
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Line(number) => write!(f, "line {number}"),
            Self::Item(number) => write!(f, "item {number}"),
            Self::Span(number) => write!(f, "span {number}"),
        }
    }
}
