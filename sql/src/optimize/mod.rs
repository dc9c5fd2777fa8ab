//! Rules from plan to plan. Each is a pure function in its own file; none changes what a query answers.

#[cfg(test)]
mod agreement;
mod distinct;
mod fetch;
mod fold;
mod in_lists;
mod merge_projects;
mod prune_columns;
mod push_filters;
mod tag_filter;
mod time_range;

use crate::expr::Expr;
use crate::plan::Plan;
use crate::statement::PlanStep;

/// A rule by name.
type Rule = (&'static str, fn(Plan) -> Plan);

/// The rules in the order they run. Constants are folded before filters move, since NOT over AND hides conjuncts, and
/// once more after, since a filter that moved through a projection sees what its columns are made of. Projections meet
/// once the filters between them are gone.
const RULES: [Rule; 11] = [
    ("fold_constants", fold::rule),
    ("group_distinct", distinct::rule),
    ("merge_projects", merge_projects::rule),
    ("push_filters", push_filters::rule),
    ("merge_projects", merge_projects::rule),
    ("fold_constants", fold::rule),
    ("in_lists", in_lists::rule),
    ("time_range", time_range::rule),
    ("tag_filter", tag_filter::rule),
    ("prune_columns", prune_columns::rule),
    ("fetch", fetch::rule),
];

/// Runs all rules; `trace` is told the plan after each.
pub(crate) fn optimize(plan: Plan, mut trace: Option<&mut Vec<PlanStep>>) -> Plan {
    let mut plan = plan;
    for (name, rule) in RULES {
        plan = rule(plan);
        if let Some(steps) = trace.as_deref_mut() {
            steps.push(PlanStep { name: format!("logical_plan after {name}"), plan: plan.to_string() });
        }
    }
    plan
}

/// The plan with `change` made to its inputs.
pub(crate) fn map_inputs(plan: Plan, change: &mut dyn FnMut(Plan) -> Plan) -> Plan {
    let mut boxed = |input: Box<Plan>| Box::new(change(*input));
    match plan {
        Plan::Scan(_) | Plan::Values { .. } => plan,
        Plan::Filter { input, predicate } => Plan::Filter { input: boxed(input), predicate },
        Plan::Project { input, exprs, schema } => Plan::Project { input: boxed(input), exprs, schema },
        Plan::Aggregate { input, group, calls, schema } => {
            Plan::Aggregate { input: boxed(input), group, calls, schema }
        }
        Plan::Sort { input, keys, fetch } => Plan::Sort { input: boxed(input), keys, fetch },
        Plan::Limit { input, skip, fetch } => Plan::Limit { input: boxed(input), skip, fetch },
        Plan::Distinct { input } => Plan::Distinct { input: boxed(input) },
    }
}

/// The plan with `change` made to every expression in it.
fn map_exprs(plan: Plan, change: &mut dyn FnMut(Expr) -> Expr) -> Plan {
    let plan = map_inputs(plan, &mut |input| map_exprs(input, change));
    match plan {
        Plan::Scan(mut scan) => {
            scan.tag_filter = scan.tag_filter.map(&mut *change);
            scan.filter = scan.filter.map(&mut *change);
            Plan::Scan(scan)
        }
        Plan::Filter { input, predicate } => Plan::Filter { input, predicate: change(predicate) },
        Plan::Project { input, exprs, schema } => {
            Plan::Project { input, exprs: exprs.into_iter().map(change).collect(), schema }
        }
        Plan::Aggregate { input, group, mut calls, schema } => {
            let group = group.into_iter().map(&mut *change).collect();
            for call in &mut calls {
                call.args = std::mem::take(&mut call.args).into_iter().map(&mut *change).collect();
            }
            Plan::Aggregate { input, group, calls, schema }
        }
        Plan::Sort { input, mut keys, fetch } => {
            for key in &mut keys {
                key.expr = change(std::mem::replace(&mut key.expr, Expr::Column(0)));
            }
            Plan::Sort { input, keys, fetch }
        }
        other @ (Plan::Limit { .. } | Plan::Distinct { .. } | Plan::Values { .. }) => other,
    }
}
