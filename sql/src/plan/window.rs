//! What a window function computes for each row: over which rows of its partition, and what.

use std::fmt;

use arrow_schema::{DataType, Schema};

use super::display::show;
use crate::expr::{AggregateCall, Expr, Scalar};

/// A call of a window function.
#[derive(Debug, Clone, PartialEq)]
pub struct WindowCall {
    /// Which.
    pub function: WindowFunction,
    /// The rows that it is about, where they matter to it.
    pub frame: Frame,
    /// Whether rows without a value do not count, where a value of another row is wanted.
    pub ignore_nulls: bool,
    /// Type of the result.
    pub data_type: DataType,
}

/// A window function with its arguments, which are over the input.
#[derive(Debug, Clone, PartialEq)]
pub enum WindowFunction {
    /// Number of the row in its partition, from 1.
    RowNumber,
    /// Number of the first row of its equals.
    Rank,
    /// Number of its equals among the partition's.
    DenseRank,
    /// `rank - 1` by `rows - 1`.
    PercentRank,
    /// Share of rows that do not come after its equals.
    CumeDist,
    /// Number of its bucket, of N of about one size.
    Ntile(u64),
    /// Value of the row that comes N rows later, or before if negative, or else the default.
    Shift {
        /// The value and, where it is not null, the default: what it is of a row without such a row, of the same type.
        args: Vec<Expr>,
        /// How many rows.
        by: i64,
    },
    /// Value of the first row of the frame.
    First(Expr),
    /// Value of its last.
    Last(Expr),
    /// Value of its row of this number, from 1.
    Nth(Expr, u64),
    /// An aggregate over the frame.
    Aggregate(AggregateCall),
}

/// What a frame's borders count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FrameUnits {
    /// Rows.
    Rows,
    /// The value of the one sort key.
    Range,
    /// Rows that are equal in order, together.
    Groups,
}

/// One border of a frame.
#[derive(Debug, Clone, PartialEq)]
pub enum FrameBound {
    /// The first row of the partition.
    UnboundedPreceding,
    /// So far before the row. A count, or a distance of the sort key.
    Preceding(Scalar),
    /// The row, with its equals unless rows are counted.
    CurrentRow,
    /// So far behind it.
    Following(Scalar),
    /// The last row of the partition.
    UnboundedFollowing,
}

/// The rows of a partition that a row's answer is about.
#[derive(Debug, Clone, PartialEq)]
pub struct Frame {
    /// What borders count.
    pub units: FrameUnits,
    /// The first row.
    pub start: FrameBound,
    /// The last row.
    pub end: FrameBound,
}

impl WindowFunction {
    /// The expressions over the input.
    pub(crate) fn exprs(&self) -> &[Expr] {
        match self {
            Self::Shift { args, .. } => args,
            Self::First(value) | Self::Last(value) | Self::Nth(value, _) => std::slice::from_ref(value),
            Self::Aggregate(call) => &call.args,
            _ => &[],
        }
    }

    /// The same with `change` made to its expressions.
    pub(crate) fn map_exprs(self, change: &mut dyn FnMut(Expr) -> Expr) -> Self {
        match self {
            Self::Shift { args, by } => Self::Shift { args: args.into_iter().map(change).collect(), by },
            Self::First(value) => Self::First(change(value)),
            Self::Last(value) => Self::Last(change(value)),
            Self::Nth(value, at) => Self::Nth(change(value), at),
            Self::Aggregate(mut call) => {
                call.args = call.args.into_iter().map(change).collect();
                Self::Aggregate(call)
            }
            other => other,
        }
    }

    /// Name in plans.
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::RowNumber => "row_number",
            Self::Rank => "rank",
            Self::DenseRank => "dense_rank",
            Self::PercentRank => "percent_rank",
            Self::CumeDist => "cume_dist",
            Self::Ntile(_) => "ntile",
            Self::Shift { by, .. } if *by < 0 => "lag",
            Self::Shift { .. } => "lead",
            Self::First(_) => "first_value",
            Self::Last(_) => "last_value",
            Self::Nth(..) => "nth_value",
            Self::Aggregate(call) => call.function.name,
        }
    }
}

impl WindowCall {
    /// The expressions over the input that it reads.
    pub fn exprs(&self) -> &[Expr] {
        self.function.exprs()
    }

    /// In words, over an input of schema `input`.
    pub(crate) fn text(&self, input: &Schema) -> String {
        let args: Vec<_> = self.function.exprs().iter().map(|arg| show(arg, input).to_string()).collect();
        let nulls = if self.ignore_nulls { " IGNORE NULLS" } else { "" };
        format!("{}({}){nulls} {}", self.function.name(), args.join(", "), self.frame)
    }
}

impl Frame {
    /// All rows of the partition.
    pub(crate) const WHOLE: Self =
        Self { units: FrameUnits::Rows, start: FrameBound::UnboundedPreceding, end: FrameBound::UnboundedFollowing };

    /// From the first row to the row's last equal: the frame of a window that has an order and names none.
    pub(crate) const SO_FAR: Self =
        Self { units: FrameUnits::Range, start: FrameBound::UnboundedPreceding, end: FrameBound::CurrentRow };
}

impl fmt::Display for Frame {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let units = match self.units {
            FrameUnits::Rows => "ROWS",
            FrameUnits::Range => "RANGE",
            FrameUnits::Groups => "GROUPS",
        };
        write!(f, "{units} BETWEEN {} AND {}", self.start, self.end)
    }
}

impl fmt::Display for FrameBound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::UnboundedPreceding => f.write_str("UNBOUNDED PRECEDING"),
            Self::Preceding(by) => write!(f, "{by} PRECEDING"),
            Self::CurrentRow => f.write_str("CURRENT ROW"),
            Self::Following(by) => write!(f, "{by} FOLLOWING"),
            Self::UnboundedFollowing => f.write_str("UNBOUNDED FOLLOWING"),
        }
    }
}
