//! What an expression knows of an aggregate function that it calls, and the call.
//!
//! The functions themselves, with their names and arguments in SQL, are those of [`crate::function`].

use std::fmt;

use arrow_schema::DataType;

use super::accumulator::Accumulator;
use super::tree::Expr;
use crate::error::execution::Result;

/// An aggregate function as it runs. There is one of each, so that two are equal if they are the same.
pub struct AggregateFunction {
    /// Name in plans.
    pub name: &'static str,
    /// Makes the states of a call, whose value argument and result have this type where the type matters.
    pub(crate) accumulator: fn(&DataType) -> Result<Box<dyn Accumulator>>,
    /// Columns of states that a shard sends.
    pub(crate) state_columns: usize,
    pub(crate) needs: Needs,
    pub(crate) end: Option<SeriesEnd>,
}

/// What of a block of rows a function needs. All but the first is known without reading them, and taken in by
/// [`Accumulator::summary`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Needs {
    /// The rows.
    Rows,
    /// How many rows there are.
    RowCount,
    /// How many values of a field there are.
    ValueCount,
    /// Count, sum and extremes of a numeric field.
    Numbers,
}

/// The row of a series, which is ordered by time, that alone answers the function: for `[time]` by its time, for
/// `[time, value]` by a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SeriesEnd {
    /// The oldest.
    First,
    /// The newest.
    Last,
}

impl PartialEq for AggregateFunction {
    fn eq(&self, other: &Self) -> bool {
        std::ptr::eq(self, other)
    }
}

impl fmt::Debug for AggregateFunction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}

/// One aggregate of an Aggregate node.
#[derive(Debug, Clone, PartialEq)]
pub struct AggregateCall {
    /// Which.
    pub function: &'static AggregateFunction,
    /// Arguments over the node's input; none of `count(*)`.
    pub args: Vec<Expr>,
    /// Each value counts once: `count(DISTINCT x)` and the like, where that changes the answer.
    pub distinct: bool,
    /// Type of the result.
    pub data_type: DataType,
}
