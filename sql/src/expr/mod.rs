//! Bound scalar expressions: names are resolved to column positions, types are settled, functions are known.

pub(crate) mod conjunction;
pub(crate) mod constant;
pub mod pattern;

use std::sync::Arc;

use arrow_schema::{DataType, Field, Fields, IntervalUnit, Schema, TimeUnit};

use crate::expr::pattern::Pattern;

/// A constant.
#[derive(Debug, Clone, PartialEq)]
pub enum Scalar {
    /// Typeless null.
    Null,
    /// BOOLEAN.
    Bool(bool),
    /// BIGINT.
    Int(i64),
    /// BIGINT UNSIGNED.
    UInt(u64),
    /// DOUBLE.
    Float(f64),
    /// STRING.
    Str(Arc<str>),
    /// TIMESTAMP without zone, in the given unit since the Unix epoch.
    Time(i64, TimeUnit),
    /// INTERVAL.
    Interval {
        /// Calendar months.
        months: i32,
        /// Calendar days.
        days: i32,
        /// Nanoseconds.
        nanoseconds: i64,
    },
}

impl Scalar {
    /// Its type; `Null` for the typeless null.
    pub fn data_type(&self) -> DataType {
        match self {
            Self::Null => DataType::Null,
            Self::Bool(_) => DataType::Boolean,
            Self::Int(_) => DataType::Int64,
            Self::UInt(_) => DataType::UInt64,
            Self::Float(_) => DataType::Float64,
            Self::Str(_) => DataType::Utf8,
            Self::Time(_, unit) => DataType::Timestamp(*unit, None),
            Self::Interval { .. } => DataType::Interval(IntervalUnit::MonthDayNano),
        }
    }
}

/// Operators of two operands. Comparison and arithmetic see operands of one type: the binder has put the casts in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum BinaryOp {
    /// `=`
    Eq,
    /// `<>`
    NotEq,
    /// `<`
    Lt,
    /// `<=`
    LtEq,
    /// `>`
    Gt,
    /// `>=`
    GtEq,
    /// Three-valued AND.
    And,
    /// Three-valued OR.
    Or,
    /// `+`; also time + interval.
    Plus,
    /// `-`; also time - interval, and time - time, an interval of whole days and the nanoseconds left over.
    Minus,
    /// `*`
    Multiply,
    /// `/`, truncating on integers.
    Divide,
    /// `%`
    Modulo,
    /// `||`
    Concat,
}

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

/// A bound expression over the columns of its input.
#[derive(Debug, Clone, PartialEq)]
pub enum Expr {
    /// Column of the input by position.
    Column(usize),
    /// Constant.
    Literal(Scalar),
    /// Two operands.
    Binary {
        /// Operator.
        op: BinaryOp,
        /// Left operand.
        left: Box<Expr>,
        /// Right operand.
        right: Box<Expr>,
    },
    /// Three-valued NOT.
    Not(Box<Expr>),
    /// Unary minus.
    Negative(Box<Expr>),
    /// `IS NULL`, never null.
    IsNull(Box<Expr>),
    /// `IS NOT NULL`, never null.
    IsNotNull(Box<Expr>),
    /// `[NOT] LIKE` / `ILIKE`
    Like {
        /// Text.
        expr: Box<Expr>,
        /// Pattern.
        pattern: Box<Expr>,
        /// NOT LIKE.
        negated: bool,
        /// ILIKE.
        case_insensitive: bool,
    },
    /// `~`, `!~`, `~*`, `!~*`
    Matches {
        /// Text.
        expr: Box<Expr>,
        /// Regular expression.
        pattern: Arc<Pattern>,
        /// `!~`, `!~*`.
        negated: bool,
    },
    /// `[NOT] IN (…)` over constants or expressions.
    InList {
        /// Looked for.
        expr: Box<Expr>,
        /// Looked in; every element has the type of `expr`.
        list: Vec<Expr>,
        /// NOT IN.
        negated: bool,
    },
    /// `CASE WHEN … THEN … ELSE … END`; a CASE with operand is bound to comparisons.
    Case {
        /// (condition, value) in order.
        branches: Vec<(Expr, Expr)>,
        /// ELSE; null without.
        otherwise: Option<Box<Expr>>,
    },
    /// Conversion; text that does not convert and a number that does not fit are errors of the query, a fraction is
    /// cut off. Number to time counts in the target's unit. Targets: the types of a [`Scalar`], and Decimal128(20, 0)
    /// where BIGINT is compared with BIGINT UNSIGNED.
    Cast {
        /// Operand.
        expr: Box<Expr>,
        /// Target.
        to: DataType,
    },
    /// Function call.
    Call {
        /// Which.
        function: ScalarFunction,
        /// Arguments.
        args: Vec<Expr>,
    },
}

/// Type of what [`ScalarFunction::Window`] yields over timestamps of type `time`.
pub fn window_type(time: &DataType) -> DataType {
    let member = |name: &str| Field::new(name, time.clone(), true);
    DataType::Struct(Fields::from(vec![member("start"), member("end")]))
}

impl Expr {
    /// A call of two operands.
    pub fn binary(left: Self, op: BinaryOp, right: Self) -> Self {
        Self::Binary { op, left: Box::new(left), right: Box::new(right) }
    }

    /// Type over an input of schema `input`. The binder put casts wherever operands differ, so one operand tells.
    pub fn data_type(&self, input: &Schema) -> DataType {
        match self {
            Self::Column(index) => input.fields().get(*index).map_or(DataType::Null, |f| f.data_type().clone()),
            Self::Literal(value) => value.data_type(),
            Self::Binary { op, left, right } => op.data_type(&left.data_type(input), &right.data_type(input)),
            Self::Not(_)
            | Self::IsNull(_)
            | Self::IsNotNull(_)
            | Self::Like { .. }
            | Self::Matches { .. }
            | Self::InList { .. } => DataType::Boolean,
            Self::Negative(operand) => operand.data_type(input),
            Self::Case { branches, otherwise } => branches
                .iter()
                .map(|(_, value)| value)
                .chain(otherwise.as_deref())
                .map(|value| value.data_type(input))
                .find(|t| *t != DataType::Null)
                .unwrap_or(DataType::Null),
            Self::Cast { to, .. } => to.clone(),
            Self::Call { function, args } => function.data_type(args, input),
        }
    }

    /// The operands, left to right.
    pub fn children(&self) -> Vec<&Self> {
        match self {
            Self::Column(_) | Self::Literal(_) => Vec::new(),
            Self::Binary { left, right, .. } => vec![left, right],
            Self::Not(e) | Self::Negative(e) | Self::IsNull(e) | Self::IsNotNull(e) | Self::Cast { expr: e, .. } => {
                vec![e]
            }
            Self::Like { expr, pattern, .. } => vec![expr, pattern],
            Self::Matches { expr, .. } => vec![expr],
            Self::InList { expr, list, .. } => std::iter::once(expr.as_ref()).chain(list).collect(),
            Self::Case { branches, otherwise } => {
                branches.iter().flat_map(|(when, then)| [when, then]).chain(otherwise.as_deref()).collect()
            }
            Self::Call { args, .. } => args.iter().collect(),
        }
    }

    /// The same operator over `change` of each operand.
    pub fn map_children(self, mut change: impl FnMut(Self) -> Self) -> Self {
        let mut boxed = |e: Box<Self>| Box::new(change(*e));
        match self {
            Self::Column(_) | Self::Literal(_) => self,
            Self::Binary { op, left, right } => {
                let left = boxed(left);
                Self::Binary { op, left, right: boxed(right) }
            }
            Self::Not(e) => Self::Not(boxed(e)),
            Self::Negative(e) => Self::Negative(boxed(e)),
            Self::IsNull(e) => Self::IsNull(boxed(e)),
            Self::IsNotNull(e) => Self::IsNotNull(boxed(e)),
            Self::Cast { expr, to } => Self::Cast { expr: boxed(expr), to },
            Self::Like { expr, pattern, negated, case_insensitive } => {
                let expr = boxed(expr);
                Self::Like { expr, pattern: boxed(pattern), negated, case_insensitive }
            }
            Self::Matches { expr, pattern, negated } => Self::Matches { expr: boxed(expr), pattern, negated },
            Self::InList { expr, list, negated } => {
                let expr = boxed(expr);
                Self::InList { expr, list: list.into_iter().map(change).collect(), negated }
            }
            Self::Case { branches, otherwise } => {
                let branches = branches.into_iter().map(|(when, then)| (change(when), change(then))).collect();
                Self::Case { branches, otherwise: otherwise.map(|e| Box::new(change(*e))) }
            }
            Self::Call { function, args } => Self::Call { function, args: args.into_iter().map(change).collect() },
        }
    }

    /// The same expression with each column replaced by `replace` of its position.
    pub fn map_columns(self, replace: &mut dyn FnMut(usize) -> Self) -> Self {
        match self {
            Self::Column(index) => replace(index),
            other => other.map_children(|child| child.map_columns(replace)),
        }
    }

    /// Calls `visit` with the position of every column that the expression reads.
    pub fn for_each_column(&self, visit: &mut dyn FnMut(usize)) {
        if let Self::Column(index) = self {
            visit(*index);
        }
        for child in self.children() {
            child.for_each_column(visit);
        }
    }

    /// Whether it reads no column.
    pub fn is_constant(&self) -> bool {
        let mut constant = true;
        self.for_each_column(&mut |_| constant = false);
        constant
    }
}

impl BinaryOp {
    /// Type of the result for operands of these types.
    pub fn data_type(self, left: &DataType, right: &DataType) -> DataType {
        match self {
            Self::Plus | Self::Minus | Self::Multiply | Self::Divide | Self::Modulo => match (left, right) {
                (DataType::Timestamp(..), DataType::Timestamp(..)) => DataType::Interval(IntervalUnit::MonthDayNano),
                (DataType::Interval(_), time @ DataType::Timestamp(..)) => time.clone(),
                (DataType::Null, other) => other.clone(),
                _ => left.clone(),
            },
            Self::Concat => DataType::Utf8,
            _ => DataType::Boolean,
        }
    }
}

impl ScalarFunction {
    fn data_type(self, args: &[Expr], input: &Schema) -> DataType {
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
