//! Rule: every expression is folded ([`crate::expr::fold`]). A filter that is always true goes, one that never is
//! leaves no rows.

use crate::expr::Scalar;
use crate::expr::constant::as_constant;
use crate::expr::fold::fold_constants;
use crate::plan::Plan;

/// Folds every expression of the plan.
pub(super) fn rule(plan: Plan) -> Plan {
    drop_decided_filters(plan.map_exprs(&mut fold_constants))
}

fn drop_decided_filters(plan: Plan) -> Plan {
    match plan.map_inputs(&mut drop_decided_filters) {
        Plan::Filter { input, predicate } => match as_constant(&predicate) {
            Some(Scalar::Bool(true)) => *input,
            Some(_) => Plan::Values { rows: Vec::new(), schema: input.schema().clone() },
            None => Plan::Filter { input, predicate },
        },
        other => other,
    }
}
