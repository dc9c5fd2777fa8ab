//! Bound scalar expressions: names are resolved to column positions, types are settled, functions are known.
//!
//! [`tree`] is the expression, over [`scalar`]s, [`operator`]s, [`pattern`]s and [`function`]s; [`aggregate`] is the
//! call of an aggregate, whose states an [`accumulator`] holds. While a statement is bound, an expression goes with its
//! type ([`typed`]) and operands are brought to one type ([`coerce`]). [`constant`] decides what has no column,
//! [`cast`] converts constants, [`fold`] rewrites an expression by what is constant in it. How deep and how large an
//! expression may become is said in [`extent`]. A predicate is also a list
//! of conjuncts ([`conjunction`]) and, over time alone, an exact set of times ([`time_set`]).

pub(crate) mod accumulator;
pub(crate) mod aggregate;
pub(crate) mod cast;
pub(crate) mod coerce;
pub(crate) mod conjunction;
pub(crate) mod constant;
pub(crate) mod constant_set;
pub(crate) mod extent;
pub(crate) mod fold;
pub(crate) mod function;
pub(crate) mod operator;
pub mod pattern;
mod scalar;
pub(crate) mod time_set;
pub(crate) mod tree;
mod typed;

pub use aggregate::{AggregateCall, AggregateFunction};
pub use constant_set::ConstantSet;
pub use function::ScalarFunction;
pub use operator::BinaryOp;
pub use scalar::Scalar;
pub use tree::Expr;
pub(crate) use typed::Typed;
