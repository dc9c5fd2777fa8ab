//! Rule: a Sort under a Limit knows how many rows are wanted, offset included, so that it keeps no more.

use crate::plan::{Plan, SeriesStep};

pub(super) fn rule(plan: Plan) -> Plan {
    match plan.map_inputs(&mut rule) {
        Plan::Limit { input, skip, fetch: Some(fetch) } => {
            let input = Box::new(bounded(*input, skip.saturating_add(fetch)));
            Plan::Limit { input, skip, fetch: Some(fetch) }
        }
        other => other,
    }
}

/// `plan`, of which only the first `wanted` rows are read.
fn bounded(plan: Plan, wanted: usize) -> Plan {
    match plan {
        Plan::Sort { input, keys, fetch } => {
            Plan::Sort { input, keys, fetch: Some(fetch.map_or(wanted, |known| known.min(wanted))) }
        }
        Plan::Series { step: SeriesStep::Fill(ref fill), .. } if fill.keys == 0 && !fill.looks_ahead() => {
            plan.map_inputs(&mut |input| bounded(input, wanted))
        }
        // What is first of a union is not said, but no input is read further.
        Plan::Project { .. } | Plan::Union { .. } => plan.map_inputs(&mut |input| bounded(input, wanted)),
        other => other,
    }
}
