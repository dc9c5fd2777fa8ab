//! Bound scalar expressions: names are resolved to column positions, types are settled, functions are known.
//!
//! [`tree`] is the expression, over [`scalar`]s, [`operator`]s, [`pattern`]s and [`function`]s. [`constant`] decides what
//! has no column, [`cast`] converts constants, [`fold`] rewrites an expression by what is constant in it. A predicate is
//! also a list of conjuncts ([`conjunction`]) and, over time alone, an exact set of times ([`time_set`]).

pub(crate) mod cast;
pub(crate) mod conjunction;
pub(crate) mod constant;
pub(crate) mod fold;
mod function;
mod operator;
pub mod pattern;
mod scalar;
pub(crate) mod time_set;
mod tree;

pub use function::{AggregateCall, AggregateFunction, DATE_PARTS, ScalarFunction, window_type};
pub use operator::BinaryOp;
pub use scalar::Scalar;
pub use tree::Expr;
