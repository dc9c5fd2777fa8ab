//! Bound scalar expressions: names are resolved to column positions, types are settled, functions are known.

use std::sync::Arc;

use arrow_schema::{DataType, TimeUnit};

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
    /// `-`; also time - interval and time - time.
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

/// Scalar functions of this floor; an unknown name is an error of the binder.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ScalarFunction {
    /// `date_bin(interval, time[, origin])`
    DateBin,
    /// `date_trunc(part, time)`
    DateTrunc,
    /// `time_window(time, width[, slide[, start]])` restricted to tumbling windows: its start.
    TimeWindowStart,
    /// The end of the tumbling window that [`Self::TimeWindowStart`] begins.
    TimeWindowEnd,
    /// `abs`
    Abs,
    /// `ceil`
    Ceil,
    /// `floor`
    Floor,
    /// `round(x[, digits])`
    Round,
    /// `sqrt`
    Sqrt,
    /// `power(x, y)`
    Power,
    /// `lower`
    Lower,
    /// `upper`
    Upper,
    /// `length`, in characters
    Length,
    /// `coalesce(…)`
    Coalesce,
    /// `date_part(part, time)`, also `EXTRACT`
    DatePart,
    /// `to_timestamp(x)`, nanoseconds
    ToTimestamp,
}

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
    /// Conversion; text that does not convert is an error of the query.
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
