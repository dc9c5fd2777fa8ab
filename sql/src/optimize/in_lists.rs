//! Rule: `x = 1 OR x = 2 OR x IN (3, 4)` is `x IN (1, 2, 3, 4)`, and `x IN (1)` is `x = 1`: one lookup instead of a
//! tree of comparisons.

use crate::expr::conjunction::{balanced, split_by};
use crate::expr::{BinaryOp, Expr, Scalar};
use crate::plan::Plan;

pub(super) fn rule(plan: Plan) -> Plan {
    plan.map_exprs(&mut gather)
}

fn gather(expr: Expr) -> Expr {
    match expr {
        Expr::Binary { op: BinaryOp::Or, .. } => gather_or(expr),
        Expr::InList { expr, mut list, negated } if list.len() == 1 => {
            let op = if negated { BinaryOp::NotEq } else { BinaryOp::Eq };
            let item = list.swap_remove(0);
            Expr::binary(gather(*expr), op, item)
        }
        other => other.map_children(gather),
    }
}

fn gather_or(expr: Expr) -> Expr {
    let mut rest = Vec::new();
    let mut lists: Vec<(Expr, Vec<Expr>)> = Vec::new();
    for operand in split_by(BinaryOp::Or, expr) {
        match values_of(operand) {
            Ok((of, mut values)) => match lists.iter_mut().find(|(known, _)| *known == of) {
                Some((_, list)) => list.append(&mut values),
                None => lists.push((of, values)),
            },
            Err(other) => rest.push(other.map_children(gather)),
        }
    }
    let lists = lists.into_iter().map(|(expr, mut list)| {
        if list.len() == 1 {
            Expr::binary(expr, BinaryOp::Eq, list.swap_remove(0))
        } else {
            Expr::InList { expr: Box::new(expr), list, negated: false }
        }
    });
    let operands = lists.chain(rest).collect();
    balanced(BinaryOp::Or, operands).unwrap_or(Expr::Literal(Scalar::Bool(false)))
}

/// A column and the constants that it may equal; any other expression comes back.
fn values_of(expr: Expr) -> Result<(Expr, Vec<Expr>), Expr> {
    match expr {
        Expr::Binary { op: BinaryOp::Eq, left, right }
            if matches!((&*left, &*right), (Expr::Column(_), Expr::Literal(_))) =>
        {
            Ok((*left, vec![*right]))
        }
        Expr::InList { expr, list, negated: false }
            if matches!(*expr, Expr::Column(_)) && list.iter().all(|item| matches!(item, Expr::Literal(_))) =>
        {
            Ok((*expr, list))
        }
        other => Err(other),
    }
}
