//! Rule: filters move down to the scan.
//!
//! Conjuncts are carried down one by one: through a projection with its expressions in place of columns, through order
//! and DISTINCT as they are, through a grouping where they read keys alone. LIMIT stops them, since it chooses rows.

use crate::expr::Expr;
use crate::optimize::conjunction::{join, split};
use crate::optimize::merge_projects::substitute;
use crate::plan::Plan;

pub(super) fn rule(plan: Plan) -> Plan {
    push(plan, Vec::new())
}

/// `plan` filtered by `conjuncts`, which are over its output.
fn push(plan: Plan, mut conjuncts: Vec<Expr>) -> Plan {
    match plan {
        Plan::Filter { input, predicate } => {
            // The lower filter's conjuncts come first: what they exclude may not bear what the upper one computes.
            let mut all = split(predicate);
            all.append(&mut conjuncts);
            push(*input, all)
        }
        Plan::Project { input, exprs, schema } => {
            let below = conjuncts.into_iter().map(|expr| substitute(expr, &exprs)).collect();
            Plan::Project { input: Box::new(push(*input, below)), exprs, schema }
        }
        Plan::Sort { input, keys, fetch: None } => {
            Plan::Sort { input: Box::new(push(*input, conjuncts)), keys, fetch: None }
        }
        Plan::Distinct { input } => Plan::Distinct { input: Box::new(push(*input, conjuncts)) },
        Plan::Aggregate { input, group, calls, schema } => {
            // A constant conjunct stays above: without rows, a grouping without keys still has one.
            let (below, above): (Vec<_>, Vec<_>) = conjuncts.into_iter().partition(|expr| {
                let mut keys_alone = true;
                expr.for_each_column(&mut |at| keys_alone &= at < group.len());
                keys_alone && !expr.is_constant()
            });
            let below = below.into_iter().map(|expr| substitute(expr, &group)).collect();
            let input = Box::new(push(*input, below));
            filtered(Plan::Aggregate { input, group, calls, schema }, above)
        }
        Plan::Scan(mut scan) => {
            let mut all = scan.filter.take().map(split).unwrap_or_default();
            all.append(&mut conjuncts);
            scan.filter = join(all);
            Plan::Scan(scan)
        }
        Plan::Limit { input, skip, fetch } => {
            let input = Box::new(push(*input, Vec::new()));
            filtered(Plan::Limit { input, skip, fetch }, conjuncts)
        }
        Plan::Sort { input, keys, fetch } => {
            let input = Box::new(push(*input, Vec::new()));
            filtered(Plan::Sort { input, keys, fetch }, conjuncts)
        }
        values @ Plan::Values { .. } => filtered(values, conjuncts),
    }
}

fn filtered(input: Plan, conjuncts: Vec<Expr>) -> Plan {
    match join(conjuncts) {
        Some(predicate) => Plan::Filter { input: Box::new(input), predicate },
        None => input,
    }
}
