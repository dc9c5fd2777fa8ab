//! The tree of a bound expression.

use std::sync::Arc;

use arrow_schema::{DataType, Schema, TimeUnit};

use super::constant_set::ConstantSet;
use super::function::{Kernel, ScalarFunction};
use super::operator::BinaryOp;
use super::pattern::Pattern;
use super::scalar::Scalar;
use crate::types::tiling::Tiling;

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
    /// `[NOT] IN (…)` over many constants, once the rules are done with the list.
    InSet {
        /// Looked for.
        expr: Box<Expr>,
        /// Looked in; of the type of `expr`.
        set: Arc<ConstantSet>,
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
    /// dropped. Number to time counts in the target's unit. Targets: the types of a [`Scalar`], and Decimal128(20, 0)
    /// where BIGINT is compared with BIGINT UNSIGNED.
    Cast {
        /// Operand.
        expr: Box<Expr>,
        /// Target.
        to: DataType,
    },
    /// The first of these that is not null; all of one type, at least one. An operand is computed for the rows that
    /// reach it.
    Coalesce(Vec<Expr>),
    /// Function call.
    Call {
        /// Which.
        function: &'static ScalarFunction,
        /// Arguments.
        args: Vec<Expr>,
    },
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
            | Self::InList { .. }
            | Self::InSet { .. } => DataType::Boolean,
            Self::Negative(operand) => operand.data_type(input),
            Self::Case { branches, otherwise } => {
                first_type(branches.iter().map(|(_, value)| value).chain(otherwise.as_deref()), input)
            }
            Self::Cast { to, .. } => to.clone(),
            Self::Coalesce(operands) => first_type(operands.iter(), input),
            Self::Call { function, args } => {
                function.data_type(|at| args.get(at).map_or(DataType::Null, |arg| arg.data_type(input)))
            }
        }
    }

    /// The operands, left to right.
    pub fn children(&self) -> Vec<&Self> {
        let mut children = Vec::new();
        self.put_children(&mut children);
        children
    }

    /// The same, at the end of `out`.
    pub(crate) fn put_children<'e>(&'e self, out: &mut Vec<&'e Self>) {
        match self {
            Self::Column(_) | Self::Literal(_) => {}
            Self::Binary { left, right, .. } => out.extend([&**left, right]),
            Self::Not(e) | Self::Negative(e) | Self::IsNull(e) | Self::IsNotNull(e) | Self::Cast { expr: e, .. } => {
                out.push(e);
            }
            Self::Like { expr, pattern, .. } => out.extend([&**expr, pattern]),
            Self::Matches { expr, .. } | Self::InSet { expr, .. } => out.push(expr),
            Self::InList { expr, list, .. } => {
                out.push(expr);
                out.extend(list);
            }
            Self::Case { branches, otherwise } => {
                out.extend(branches.iter().flat_map(|(when, then)| [when, then]));
                out.extend(otherwise.as_deref());
            }
            Self::Coalesce(operands) => out.extend(operands),
            Self::Call { args, .. } => out.extend(args),
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
            Self::InSet { expr, set, negated } => Self::InSet { expr: boxed(expr), set, negated },
            Self::InList { expr, list, negated } => {
                let expr = boxed(expr);
                Self::InList { expr, list: list.into_iter().map(change).collect(), negated }
            }
            Self::Case { branches, otherwise } => {
                let branches = branches.into_iter().map(|(when, then)| (change(when), change(then))).collect();
                Self::Case { branches, otherwise: otherwise.map(|e| Box::new(change(*e))) }
            }
            Self::Coalesce(operands) => Self::Coalesce(operands.into_iter().map(change).collect()),
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

    /// Whether two evaluations of it may differ: it cannot be written twice, nor moved to where rows are others.
    pub fn is_volatile(&self) -> bool {
        matches!(self, Self::Call { function, .. } if function.is_volatile())
            || self.children().into_iter().any(Self::is_volatile)
    }

    /// The tiling of time whose bucket begins this expression gives, for times in `unit`, and the time; `None` for
    /// other expressions, and for parameters that make no tiling of that unit.
    pub(crate) fn tiling(&self, unit: TimeUnit) -> Option<(Tiling, &Self)> {
        let Self::Call { function, args } = self else { return None };
        let (tiling, Kernel::Parameters(column, _)) = (function.tiling?, function.kernel) else { return None };
        Some((tiling(&parameters(args, column)?, unit)?, args.get(column)?))
    }
}

/// Type of values of which some may be typeless nulls.
fn first_type<'a>(values: impl Iterator<Item = &'a Expr>, input: &Schema) -> DataType {
    values.map(|value| value.data_type(input)).find(|t| *t != DataType::Null).unwrap_or(DataType::Null)
}

/// The arguments other than that at `column`, which are literals.
pub(crate) fn parameters(args: &[Expr], column: usize) -> Option<Vec<&Scalar>> {
    let others = args.iter().enumerate().filter(|(at, _)| *at != column);
    others.map(|(_, arg)| if let Expr::Literal(value) = arg { Some(value) } else { None }).collect()
}
