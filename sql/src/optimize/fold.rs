//! Rule: what is constant is computed once, and logic with a constant operand is simplified.
//!
//! `x AND true → x`, `x AND false → false`, and their duals; NOT NOT x → x; NOT of a comparison is the opposite
//! comparison; a cast of a constant is the constant. Null stays what it is: none of these differ for a null operand.

use crate::expr::{BinaryOp, Expr, Scalar};
use crate::optimize::constant::evaluate;
use crate::optimize::map_exprs;
use crate::plan::Plan;

/// Folds every expression of the plan.
pub(super) fn rule(plan: Plan) -> Plan {
    map_exprs(plan, &mut fold_constants)
}

/// Folds one expression, operands first.
pub(crate) fn fold_constants(expr: Expr) -> Expr {
    let expr = expr.map_children(fold_constants);
    if let Some(value) = evaluate(&expr) {
        return value;
    }
    match expr {
        Expr::Binary { op: op @ (BinaryOp::And | BinaryOp::Or), left, right } => logic(op, *left, *right),
        Expr::Not(operand) => negate(*operand),
        other => other,
    }
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
        Expr::InList { expr, list, negated } => Expr::InList { expr, list, negated: !negated },
        Expr::Binary { op, left, right } => match opposite(op) {
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

/// The comparison that is true where `op` is false. Floats are totally ordered by the kernels, so that holds for NaN.
fn opposite(op: BinaryOp) -> Option<BinaryOp> {
    Some(match op {
        BinaryOp::Eq => BinaryOp::NotEq,
        BinaryOp::NotEq => BinaryOp::Eq,
        BinaryOp::Lt => BinaryOp::GtEq,
        BinaryOp::LtEq => BinaryOp::Gt,
        BinaryOp::Gt => BinaryOp::LtEq,
        BinaryOp::GtEq => BinaryOp::Lt,
        _ => return None,
    })
}
