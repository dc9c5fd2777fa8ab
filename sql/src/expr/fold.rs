//! Folding: what is constant is computed once, and logic with a constant operand is simplified.
//!
//! `x AND true → x`, `x AND false → false`, and their duals; NOT NOT x → x; NOT of a comparison is the opposite
//! comparison; a cast of a constant is the constant; a constant is compared from the right. None of these differs for
//! a null operand. A comparison with null is null.

use arrow_schema::DataType;

use super::constant::{as_constant, evaluate, null};
use super::operator::BinaryOp;
use super::scalar::Scalar;
use super::tree::Expr;

/// Folds one expression, operands first.
pub(crate) fn fold_constants(expr: Expr) -> Expr {
    let expr = expr.map_children(fold_constants);
    if let Some(value) = evaluate(&expr) {
        return value;
    }
    match expr {
        Expr::Binary { op: op @ (BinaryOp::And | BinaryOp::Or), left, right } => logic(op, *left, *right),
        Expr::Not(operand) => negate(*operand),
        Expr::Binary { op, left, right } if op.is_comparison() && (is_null(&left) || is_null(&right)) => {
            null(DataType::Boolean)
        }
        Expr::Binary { op, left, right } if op.is_comparison() && as_constant(&left).is_some() => {
            Expr::Binary { op: op.swapped(), left: right, right: left }
        }
        other => other,
    }
}

fn is_null(expr: &Expr) -> bool {
    as_constant(expr) == Some(&Scalar::Null)
}

fn is_bool(expr: &Expr, value: bool) -> bool {
    *expr == Expr::Literal(Scalar::Bool(value))
}

fn logic(op: BinaryOp, left: Expr, right: Expr) -> Expr {
    // The value that decides, and the one that changes nothing.
    let decisive = op == BinaryOp::Or;
    if is_bool(&left, decisive) || is_bool(&right, decisive) {
        return Expr::Literal(Scalar::Bool(decisive));
    }
    if is_bool(&left, !decisive) {
        return right;
    }
    if is_bool(&right, !decisive) || left == right {
        return left;
    }
    Expr::binary(left, op, right)
}

/// NOT, moved into what it negates where that has an opposite.
fn negate(operand: Expr) -> Expr {
    match operand {
        Expr::Not(inner) => *inner,
        Expr::IsNull(inner) => Expr::IsNotNull(inner),
        Expr::IsNotNull(inner) => Expr::IsNull(inner),
        Expr::Like { expr, pattern, negated, case_insensitive } => {
            Expr::Like { expr, pattern, negated: !negated, case_insensitive }
        }
        Expr::Matches { expr, pattern, negated } => Expr::Matches { expr, pattern, negated: !negated },
        Expr::InList { expr, list, negated } => Expr::InList { expr, list, negated: !negated },
        Expr::Binary { op, left, right } => match op.opposite() {
            Some(op) => Expr::Binary { op, left, right },
            // De Morgan holds with nulls too.
            None if matches!(op, BinaryOp::And | BinaryOp::Or) => {
                let dual = if op == BinaryOp::And { BinaryOp::Or } else { BinaryOp::And };
                Expr::binary(negate(*left), dual, negate(*right))
            }
            None => Expr::Not(Box::new(Expr::Binary { op, left, right })),
        },
        other => Expr::Not(Box::new(other)),
    }
}
