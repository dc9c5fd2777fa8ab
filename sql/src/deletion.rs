//! Rows to delete, as plain data that every shard carries out over its own series.
//!
//! A deletion is a product: some series, times of some ranges. SQL's DELETE and InfluxQL's DELETE and DROP SERIES both
//! bind to it; what is no such product is refused where it is bound, so that nothing is deleted that was not named.

use std::sync::Arc;

use regex::Regex;
use tidewire_storage::schema::{ColumnId, TableSchema};

use crate::expr::Expr;
use crate::expr::pattern::{COMPILED_BYTES_MAX, compiled};

/// Rows of one table to delete.
#[derive(Debug, Clone)]
pub struct Deletion {
    /// The table as it was when the statement was bound.
    pub table: Arc<TableSchema>,
    /// Their series.
    pub series: SeriesFilter,
    /// Their times in the table's unit: disjoint ranges, ascending, both ends included.
    pub times: Vec<(i64, i64)>,
}

/// All tags that a series has, each with its value.
pub type SeriesKey = Box<[(ColumnId, Box<str>)]>;

/// Which series of a table.
#[derive(Debug, Clone)]
pub enum SeriesFilter {
    /// All, those to come before the deletion included.
    All,
    /// Those for which a predicate of SQL is true. Its columns are positions in `columns`.
    Predicate {
        /// Over tags alone.
        filter: Expr,
        /// The tags that it reads.
        columns: Vec<ColumnId>,
    },
    /// Those with exactly these tags.
    Keys(Arc<[SeriesKey]>),
    /// Those for which a condition of InfluxQL holds.
    Tags(TagCondition),
}

/// A condition over the tags of one table.
#[derive(Debug, Clone)]
pub enum TagCondition {
    /// All hold.
    All(Vec<TagCondition>),
    /// One holds.
    Any(Vec<TagCondition>),
    /// The value of a tag matches, or does not.
    Tag {
        /// The tag; `None` for one that the table lacks.
        column: Option<ColumnId>,
        /// What the value is held against.
        matches: TagMatch,
        /// `!=` or `!~`.
        negated: bool,
    },
}

/// What the value of a tag, or the name of a measurement, is held against. Compiled once, and cheap to clone.
#[derive(Debug, Clone)]
pub enum TagMatch {
    /// This text.
    Text(String),
    /// A pattern that is found in it.
    Pattern(Regex),
}

impl PartialEq for TagMatch {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Text(one), Self::Text(other)) => one == other,
            (Self::Pattern(one), Self::Pattern(other)) => one.as_str() == other.as_str(),
            _ => false,
        }
    }
}

impl TagMatch {
    /// A pattern, and the memory that it takes; the error says why it is none.
    pub fn pattern(text: &str) -> Result<(Self, usize), String> {
        let (regex, bytes) = compiled(text, false, COMPILED_BYTES_MAX)?;
        Ok((Self::Pattern(regex), bytes))
    }

    /// Whether `value` matches.
    pub fn is_match(&self, value: &str) -> bool {
        match self {
            Self::Text(text) => text == value,
            Self::Pattern(pattern) => pattern.is_match(value),
        }
    }
}
