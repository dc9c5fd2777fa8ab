//! What a request says of its documents, and the times that one has.

use crate::row::{Apart, TimeScale};

/// How documents become rows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DocumentRule {
    /// Which field is the time; by default `time`, or else `@timestamp`.
    pub time_column: Option<String>,
    /// Which fields are tags.
    pub tag_columns: Vec<String>,
    /// What numbers become.
    pub numbers: Numbers,
    /// What numbers in the place of the time count.
    pub scale: TimeScale,
    /// The time of the first document without one, in nanoseconds. The next has the nanosecond behind it, and so on:
    /// rows of one series and one time would be one row.
    pub now_ns: i64,
    /// Keeps documents apart that name one time.
    pub apart: Apart,
}

/// What numbers become.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Numbers {
    /// All are floats.
    Floats,
    /// Those without point and exponent are integers.
    Typed,
}

/// The times that a document has.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Times {
    pub(super) time: Option<i64>,
    /// The time that counts where no other is there.
    pub(super) timestamp: Option<i64>,
}
