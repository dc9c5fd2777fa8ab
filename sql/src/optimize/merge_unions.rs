//! Rule: a union within a union is one union, and an input without rows goes.

use crate::plan::Plan;

pub(super) fn rule(plan: Plan) -> Plan {
    match plan.map_inputs(&mut rule) {
        Plan::Union { inputs, schema } => {
            let mut merged = Vec::with_capacity(inputs.len());
            for input in inputs {
                match input {
                    Plan::Union { inputs, .. } => merged.extend(inputs),
                    Plan::Values { rows, .. } if rows.is_empty() => {}
                    other => merged.push(other),
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
