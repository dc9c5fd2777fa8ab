//! Rule: what is constant is computed once, and logic with a constant operand is simplified.
//!
//! `x AND true → x`, `x AND false → false`, and their duals; NOT NOT x → x; NOT of a comparison is the opposite
//! comparison; a cast of a constant is the constant; a constant is compared from the right. None of these differs for
//! a null operand. A comparison with null is null. A filter that is always true goes, one that never is leaves no rows.

use arrow_schema::DataType;

use crate::expr::constant::{as_constant, evaluate, null};
use crate::expr::{BinaryOp, Expr, Scalar};
use crate::plan::Plan;

/// Folds every expression of the plan.
pub(super) fn rule(plan: Plan) -> Plan {
    drop_decided_filters(plan.map_exprs(&mut fold_constants))
}

fn drop_decided_filters(plan: Plan) -> Plan {
    match plan.map_inputs(&mut drop_decided_filters) {
        Plan::Filter { input, predicate } => match as_constant(&predicate) {
            Some(Scalar::Bool(true)) => *input,
            Some(_) => Plan::Values { rows: Vec::new(), schema: input.schema().clone() },
            None => Plan::Filter { input, predicate },
        },
        other => other,
    }
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
        Expr::Binary { op, left, right } if is_comparison(op) && (is_null(&left) || is_null(&right)) => {
            null(DataType::Boolean)
        }
        Expr::Binary { op, left, right } if is_comparison(op) && as_constant(&left).is_some() => {
            Expr::Binary { op: swapped(op), left: right, right: left }
        }
        other => other,
    }
}

fn is_null(expr: &Expr) -> bool {
    as_constant(expr) == Some(&Scalar::Null)
}

fn is_comparison(op: BinaryOp) -> bool {
    opposite(op).is_some()
}

/// The operator for exchanged operands.
pub(crate) fn swapped(op: BinaryOp) -> BinaryOp {
    match op {
        BinaryOp::Lt => BinaryOp::Gt,
        BinaryOp::LtEq => BinaryOp::GtEq,
        BinaryOp::Gt => BinaryOp::Lt,
        BinaryOp::GtEq => BinaryOp::LtEq,
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
        Expr::Matches { expr, pattern, negated } => Expr::Matches { expr, pattern, negated: !negated },
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
