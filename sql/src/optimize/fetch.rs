//! Rule: a Sort under a Limit is told how many rows are wanted, offset included, so that it keeps no more.

use crate::optimize::map_inputs;
use crate::plan::Plan;

pub(super) fn rule(plan: Plan) -> Plan {
    match map_inputs(plan, &mut rule) {
        Plan::Limit { input, skip, fetch: Some(fetch) } => {
            let input = Box::new(told(*input, skip.saturating_add(fetch)));
            Plan::Limit { input, skip, fetch: Some(fetch) }
        }
        other => other,
    }
}

/// `plan`, of which only the first `wanted` rows are read.
fn told(plan: Plan, wanted: usize) -> Plan {
    match plan {
        Plan::Sort { input, keys, fetch } => {
            Plan::Sort { input, keys, fetch: Some(fetch.map_or(wanted, |known| known.min(wanted))) }
        }
        Plan::Project { input, exprs, schema } => {
            Plan::Project { input: Box::new(told(*input, wanted)), exprs, schema }
        }
        other => other,
    }
}
