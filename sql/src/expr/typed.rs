//! An expression with its type, while a statement is bound.

use arrow_schema::DataType;

use super::constant::as_constant;
use super::fold::fold_constants;
use super::scalar::Scalar;
use super::tree::Expr;

/// An expression with its type; with `window_ns`, the start of a window of that width, which stands for a struct.
#[derive(Debug, Clone)]
pub(crate) struct Typed {
    pub(crate) expr: Expr,
    pub(crate) data_type: DataType,
    pub(crate) window_ns: Option<i64>,
}

impl Typed {
    /// An expression that is no window.
    pub(crate) fn new(expr: Expr, data_type: DataType) -> Self {
        Self { expr, data_type, window_ns: None }
    }

    /// A constant.
    pub(crate) fn literal(value: Scalar) -> Self {
        let data_type = value.data_type();
        Self::new(Expr::Literal(value), data_type)
    }

    /// The constant that it comes to, if it is one.
    pub(crate) fn constant(&self) -> Option<Scalar> {
        as_constant(&fold_constants(self.expr.clone())).cloned()
    }
}
