//! How the rows of two inputs meet.

use std::fmt;
use std::sync::Arc;

use arrow_schema::{DataType, Field, Schema, SchemaRef};

use crate::expr::Expr;

/// Which rows a join puts out, and with which columns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum JoinKind {
    /// Pairs of rows that meet.
    Inner,
    /// Also left rows that meet none, with nulls for the right ones.
    Left,
    /// Also right rows that meet none.
    Right,
    /// Also rows of both sides that meet none.
    Full,
    /// Every left row once, with the one right row that it meets, or nulls. More than one is an error of the query: a
    /// subquery that stands for a value.
    Single,
    /// Every left row once, with a BOOLEAN behind its columns: whether it meets a right row.
    Mark {
        /// As IN has it: null where no key is equal and one of the keys compared is null. Takes one key and no filter.
        with_nulls: bool,
    },
    /// Every right row once, with a BOOLEAN behind its columns: whether it meets a left row. What becomes of a mark
    /// where the marked rows are the fewer (`optimize::join_order`), after all rules.
    MarkKept,
}

/// When two rows meet.
#[derive(Debug, Clone, PartialEq)]
pub struct JoinOn {
    /// Pairs of expressions of one type, over the left and over the right input, that must be equal; null equals
    /// nothing.
    pub keys: Vec<(Expr, Expr)>,
    /// What else must be true, over the columns of the left input and then those of the right.
    pub filter: Option<Expr>,
}

impl JoinKind {
    /// Whether left rows that meet none come out.
    pub fn keeps_left(self) -> bool {
        !matches!(self, Self::Inner | Self::Right | Self::MarkKept)
    }

    /// Whether right rows that meet none come out.
    pub fn keeps_right(self) -> bool {
        matches!(self, Self::Right | Self::Full | Self::MarkKept)
    }

    /// Names and types of the output over inputs of these.
    pub(crate) fn schema(self, left: &Schema, right: &Schema) -> SchemaRef {
        let marked = match self {
            Self::Mark { .. } => left,
            Self::MarkKept => right,
            _ => return pairs(left, right),
        };
        let mark = Arc::new(Field::new("mark", DataType::Boolean, true));
        Arc::new(Schema::new(marked.fields().iter().cloned().chain([mark]).collect::<Vec<_>>()))
    }
}

/// The columns of two inputs side by side.
pub(crate) fn pairs(left: &Schema, right: &Schema) -> SchemaRef {
    Arc::new(Schema::new(left.fields().iter().chain(right.fields()).cloned().collect::<Vec<_>>()))
}

impl fmt::Display for JoinKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Inner => "inner",
            Self::Left => "left",
            Self::Right => "right",
            Self::Full => "full",
            Self::Single => "single",
            Self::Mark { with_nulls: false } => "mark",
            Self::Mark { with_nulls: true } => "mark with nulls",
            Self::MarkKept => "mark kept rows",
        })
    }
}
