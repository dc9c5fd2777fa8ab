//! The last change of a plan, after all rules: long lists of constants become sets. Rules look at lists, and what
//! `EXPLAIN` shows stays the same, so it is none of them.

use std::sync::Arc;

use crate::expr::Expr;
use crate::expr::constant_set::ConstantSet;
use crate::plan::Plan;

/// The plan with sets in place of long lists.
pub(crate) fn with_sets(plan: Plan) -> Plan {
    plan.map_exprs(&mut change)
}

fn change(expr: Expr) -> Expr {
    match expr {
        Expr::InList { expr, list, negated } => match ConstantSet::new(list) {
            Ok(set) => Expr::InSet { expr: Box::new(change(*expr)), set: Arc::new(set), negated },
            Err(list) => {
                Expr::InList { expr: Box::new(change(*expr)), list: list.into_iter().map(change).collect(), negated }
            }
        },
        other => other.map_children(change),
    }
}
