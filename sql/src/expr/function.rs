//! The functions that an expression can call.

use arrow_schema::{DataType, Field, Fields, Schema};

use super::tree::Expr;

/// Scalar functions of this floor; an unknown name is an error of the binder. The binder has cast the arguments to the
/// types named here and folded what is constant, so a kernel sees no other form.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ScalarFunction {
    /// Start of the time bucket: `[Literal Interval { months: 0, days: 0, nanoseconds > 0 }, time, Literal Time(origin,
    /// unit of time)]`, in the unit of `time`. Every bucket of fixed width arrives in this form: `date_bin`,
    /// `time_window` (its start) and `date_trunc` down to weeks. The width is a whole number of the unit of `time`.
    DateBin,
    /// Start of the calendar bucket: `[Literal Str("month" | "quarter" | "year"), time]`, in the unit of `time`.
    DateTrunc,
    /// `[start, end]`, two timestamps, as the struct `{start, end}` that `time_window` prints.
    Window,
    /// `[x]`, DOUBLE.
    Abs,
    /// `[x]`, DOUBLE.
    Ceil,
    /// `[x]`, DOUBLE.
    Floor,
    /// `[x, digits]`, DOUBLE and BIGINT; half away from zero.
    Round,
    /// `[x]`, DOUBLE; NaN below zero.
    Sqrt,
    /// `[x, y]`, both DOUBLE, or both BIGINT with a BIGINT result (overflow and a negative `y` are errors).
    Power,
    /// `[text]`
    Lower,
    /// `[text]`
    Upper,
    /// `[text]`, in characters, BIGINT.
    Length,
    /// First argument that is not null; all of one type, at least one.
    Coalesce,
    /// `[Literal Str(part), time]`, DOUBLE; parts: see [`DATE_PARTS`].
    DatePart,
}

/// Parts of a time that [`ScalarFunction::DatePart`] knows, as the binder spells them. `dow` counts from Sunday = 0,
/// `second`, `millisecond`, `microsecond` and `nanosecond` are the seconds of the minute with their fraction in that
/// unit, `epoch` is seconds with fraction since 1970.
pub const DATE_PARTS: [&str; 14] = [
    "year",
    "quarter",
    "month",
    "week",
    "day",
    "doy",
    "dow",
    "hour",
    "minute",
    "second",
    "millisecond",
    "microsecond",
    "nanosecond",
    "epoch",
];

/// Type of what [`ScalarFunction::Window`] yields over timestamps of type `time`.
pub fn window_type(time: &DataType) -> DataType {
    let member = |name: &str| Field::new(name, time.clone(), true);
    DataType::Struct(Fields::from(vec![member("start"), member("end")]))
}

impl ScalarFunction {
    pub(super) fn data_type(self, args: &[Expr], input: &Schema) -> DataType {
        let of = |index: usize| args.get(index).map_or(DataType::Null, |e| e.data_type(input));
        match self {
            Self::DateBin | Self::DateTrunc => of(1),
            Self::Window => window_type(&of(0)),
            Self::Abs | Self::Ceil | Self::Floor | Self::Round | Self::Sqrt | Self::DatePart => DataType::Float64,
            Self::Power => of(0),
            Self::Lower | Self::Upper => DataType::Utf8,
            Self::Length => DataType::Int64,
            Self::Coalesce => {
                args.iter().map(|e| e.data_type(input)).find(|t| *t != DataType::Null).unwrap_or(DataType::Null)
            }
        }
    }
}

/// Aggregate functions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum AggregateFunction {
    /// `count(*)`: rows. No argument.
    CountRows,
    /// `count(x)`: rows where x is not null.
    Count,
    /// `sum(x)`, type of x.
    Sum,
    /// `min(x)`
    Min,
    /// `max(x)`
    Max,
    /// `avg(x)`, `mean(x)`: DOUBLE.
    Avg,
    /// `first(time, x)`: x at the least time where x is not null. Arguments: time, x.
    First,
    /// `last(time, x)`: x at the greatest time where x is not null. Arguments: time, x.
    Last,
}

/// One aggregate of an Aggregate node.
#[derive(Debug, Clone, PartialEq)]
pub struct AggregateCall {
    /// Which.
    pub function: AggregateFunction,
    /// Arguments over the node's input.
    pub args: Vec<Expr>,
    /// `count(DISTINCT x)` and the like.
    pub distinct: bool,
    /// Type of the result.
    pub data_type: DataType,
}
