//! Rule: an operator over a projection computes over the projection's input instead.
//!
//! The upper expressions take the lower ones in place of their columns, unless that would compute one twice that is
//! more than a column or a constant, or make an expression too deep. A projection that changes nothing goes.

use crate::expr::Expr;
use crate::expr::extent::Extent;
use crate::plan::Plan;

pub(super) fn rule(plan: Plan) -> Plan {
    match plan.map_inputs(&mut rule) {
        Plan::Project { input, exprs, schema } => match *input {
            Plan::Project { input: below, exprs: lower, .. } if may_merge(exprs.iter(), &lower) => {
                let exprs = exprs.into_iter().map(|expr| substitute(expr, &lower)).collect();
                without_identity(Plan::Project { input: below, exprs, schema })
            }
            input => without_identity(Plan::Project { input: Box::new(input), exprs, schema }),
        },
        Plan::Aggregate { input, group, mut calls, schema } => match *input {
            Plan::Project { input: below, exprs: lower, .. }
                if may_merge(group.iter().chain(calls.iter().flat_map(|call| &call.args)), &lower) =>
            {
                let group = group.into_iter().map(|expr| substitute(expr, &lower)).collect();
                for call in &mut calls {
                    let args = std::mem::take(&mut call.args);
                    call.args = args.into_iter().map(|expr| substitute(expr, &lower)).collect();
                }
                Plan::Aggregate { input: below, group, calls, schema }
            }
            input => Plan::Aggregate { input: Box::new(input), group, calls, schema },
        },
        other => other,
    }
}

/// `expr` with each column replaced by what the projection computes for it.
pub(super) fn substitute(expr: Expr, lower: &[Expr]) -> Expr {
    expr.map_columns(&mut |at| lower[at].clone())
}

fn may_merge<'a>(upper: impl Iterator<Item = &'a Expr>, lower: &[Expr]) -> bool {
    let mut uses = vec![0_usize; lower.len()];
    let extents: Vec<Extent> = lower.iter().map(Extent::of).collect();
    for expr in upper {
        expr.for_each_column(&mut |at| uses[at] += 1);
        if !Extent::with_columns(expr, &extents).is_shallow() {
            return false;
        }
    }
    let cheap = |expr: &Expr| matches!(expr, Expr::Column(_) | Expr::Literal(_));
    lower.iter().zip(uses).all(|(expr, uses)| uses <= 1 || cheap(expr))
}

fn without_identity(plan: Plan) -> Plan {
    match plan {
        Plan::Project { input, exprs, schema }
            if schema == *input.schema() && exprs.iter().enumerate().all(|(at, expr)| *expr == Expr::Column(at)) =>
        {
            *input
        }
        other => other,
    }
}
