//! Rule: a union within a union is one union, and an input without rows goes.

use crate::plan::Plan;

pub(super) fn rule(plan: Plan) -> Plan {
    match plan.map_inputs(&mut rule) {
        Plan::Union { inputs, schema } => {
            let mut merged = Vec::with_capacity(inputs.len());
            for input in inputs {
                match input {
                    Plan::Union { inputs, .. } => merged.extend(inputs),
                    input if has_no_rows(&input) => {}
                    input => merged.push(input),
                }
            }
            if merged.is_empty() {
                return Plan::Values { rows: Vec::new(), schema };
            }
            Plan::Union { inputs: merged, schema }
        }
        other => other,
    }
}

/// Whether a plan yields nothing whatever the data.
fn has_no_rows(plan: &Plan) -> bool {
    match plan {
        Plan::Values { rows, .. } => rows.is_empty(),
        Plan::Project { input, .. } | Plan::Filter { input, .. } => has_no_rows(input),
        _ => false,
    }
}
