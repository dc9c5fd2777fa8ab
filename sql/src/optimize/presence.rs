//! Rule: `x > 1 AND (x IS NOT NULL OR y IS NOT NULL)` is `x > 1`, since no comparison with null is true. InfluxQL asks
//! of every row that one of the fields wanted is there.

use std::collections::BTreeSet;

use crate::expr::conjunction::{join, operands, split};
use crate::expr::{BinaryOp, Expr};
use crate::plan::Plan;

pub(super) fn rule(plan: Plan) -> Plan {
    match plan.map_inputs(&mut rule) {
        Plan::Scan(mut scan) => {
            scan.filter = scan.filter.take().and_then(without_implied);
            Plan::Scan(scan)
        }
        Plan::Filter { input, predicate } => match without_implied(predicate) {
            Some(predicate) => Plan::Filter { input, predicate },
            None => *input,
        },
        other => other,
    }
}

/// A predicate without the conjuncts that others imply.
fn without_implied(predicate: Expr) -> Option<Expr> {
    let is_or = |conjunct: &Expr| matches!(conjunct, Expr::Binary { op: BinaryOp::Or, .. });
    let conjuncts = split(predicate);
    if !conjuncts.iter().any(is_or) {
        return join(conjuncts);
    }
    let mut needed = BTreeSet::new();
    conjuncts.iter().for_each(|conjunct| needs(conjunct, &mut needed));
    let is_implied = |conjunct: &Expr| {
        let is_there = |expr: &Expr| match expr {
            Expr::IsNotNull(of) => matches!(&**of, Expr::Column(at) if needed.contains(at)),
            _ => false,
        };
        is_or(conjunct) && operands(BinaryOp::Or, conjunct).any(is_there)
    };
    join(conjuncts.into_iter().filter(|conjunct| !is_implied(conjunct)).collect())
}

/// Adds columns whose nulls keep a conjunct from being true.
fn needs(conjunct: &Expr, columns: &mut BTreeSet<usize>) {
    use BinaryOp::{Eq, Gt, GtEq, Lt, LtEq, NotEq};
    match conjunct {
        Expr::Binary { op: Eq | NotEq | Lt | LtEq | Gt | GtEq, left, right } => {
            passes_null(left, columns);
            passes_null(right, columns);
        }
        Expr::IsNotNull(of) => passes_null(of, columns),
        _ => {}
    }
}

/// Adds columns whose nulls make an operand null.
fn passes_null(operand: &Expr, columns: &mut BTreeSet<usize>) {
    match operand {
        Expr::Column(at) => {
            columns.insert(*at);
        }
        Expr::Cast { expr, .. } | Expr::Negative(expr) => passes_null(expr, columns),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::expr::Scalar;

    fn there(at: usize) -> Expr {
        Expr::IsNotNull(Box::new(Expr::Column(at)))
    }

    fn above(at: usize) -> Expr {
        Expr::binary(Expr::Column(at), BinaryOp::Gt, Expr::Literal(Scalar::Int(1)))
    }

    #[test]
    fn only_what_a_comparison_implies_goes() {
        let either = |a: usize, b: usize| Expr::binary(there(a), BinaryOp::Or, there(b));
        let of = |conjuncts: &[Expr]| without_implied(join(conjuncts.to_vec()).unwrap()).map(split).unwrap();
        assert_eq!(of(&[above(1), either(0, 1)]), [above(1)]);
        assert_eq!(of(&[either(0, 1), there(0)]), [there(0)]);
        for stays in [vec![above(2), either(0, 1)], vec![either(0, 1)], vec![above(1), there(0)]] {
            assert_eq!(of(&stays), stays);
        }
        // What is not true of null may be true of a row without the column.
        let is_null = Expr::binary(Expr::IsNull(Box::new(Expr::Column(1))), BinaryOp::Eq, above(2));
        assert_eq!(of(&[is_null.clone(), either(0, 1)]), [is_null, either(0, 1)]);
    }
}
