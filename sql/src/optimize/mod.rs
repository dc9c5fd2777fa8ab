//! Rules from plan to plan. Each is a pure function in its own file; none changes what a query answers, makes an
//! expression too deep (`expr::extent`), or copies more than it may.

#[cfg(test)]
mod agreement;
pub(crate) mod constant_sets;
mod distinct;
mod fetch;
mod fold;
mod in_lists;
pub(crate) mod join_order;
mod merge_projects;
mod merge_unions;
mod presence;
mod prune_columns;
mod push_filters;
mod push_marks;
mod shared_sums;
mod tag_filter;
pub(crate) mod time_range;

#[cfg(test)]
use std::convert::Infallible;

use crate::budget::Budget;
use crate::error::SqlError;
use crate::plan::Plan;
use crate::plan::extent::PlanExtent;
use crate::statement::PlanStep;

/// A rule by name.
type Rule = (&'static str, fn(Plan) -> Plan);

/// The one rule that copies expressions.
const PUSH_FILTERS: &str = "push_filters";

/// The rules in the order they run. Constants are folded before filters move, since NOT over AND hides conjuncts, and
/// once more after, since a filter that moved through a projection sees what its columns are made of. Projections meet
/// once the filters between them are gone, and so do unions. Marks move once filters stand right above the joins that
/// give them. Sums are shared among the calls that something reads.
const RULES: [Rule; 15] = [
    ("fold_constants", fold::rule),
    ("group_distinct", distinct::rule),
    ("merge_projects", merge_projects::rule),
    (PUSH_FILTERS, push_filters::rule),
    ("push_marks", push_marks::rule),
    ("merge_projects", merge_projects::rule),
    ("fold_constants", fold::rule),
    ("merge_unions", merge_unions::rule),
    ("in_lists", in_lists::rule),
    ("presence", presence::rule),
    ("time_range", time_range::rule),
    ("tag_filter", tag_filter::rule),
    ("prune_columns", prune_columns::rule),
    ("shared_sums", shared_sums::rule),
    ("fetch", fetch::rule),
];

/// Runs all rules; `trace` gets the plan after each.
#[cfg(test)]
pub(crate) fn optimize(plan: Plan, trace: Option<&mut Vec<PlanStep>>) -> Plan {
    let Ok(plan) = run(plan, trace, |_| Ok::<_, Infallible>(()), |_| Ok(()));
    plan
}

/// The same within what a statement may take; what filters that were pushed have made of the plan is looked at.
pub(crate) fn optimize_within(
    plan: Plan,
    trace: Option<&mut Vec<PlanStep>>,
    budget: &Budget,
) -> Result<Plan, SqlError> {
    let before = push_filters::may_copy(&plan).then(|| PlanExtent::of(&plan).exprs.nodes);
    let pushed = |plan: &Plan| match before {
        Some(before) => budget.take_nodes(PlanExtent::of(plan).exprs.nodes.saturating_sub(before)),
        None => Ok(()),
    };
    run(plan, trace, pushed, |step| budget.take(step.plan.len()))
}

fn run<E>(
    plan: Plan,
    mut trace: Option<&mut Vec<PlanStep>>,
    pushed: impl Fn(&Plan) -> Result<(), E>,
    traced: impl Fn(&PlanStep) -> Result<(), E>,
) -> Result<Plan, E> {
    let mut plan = plan;
    for (name, rule) in RULES {
        plan = rule(plan);
        if name == PUSH_FILTERS {
            pushed(&plan)?;
        }
        if let Some(steps) = trace.as_deref_mut() {
            let step = PlanStep { name: format!("logical_plan after {name}"), plan: plan.to_string() };
            traced(&step)?;
            steps.push(step);
        }
    }
    Ok(plan)
}
