//! Rule: every expression is folded ([`crate::expr::fold`]). A filter that is always true goes, one that never is
//! leaves no rows.

use crate::expr::Scalar;
use crate::expr::constant::as_constant;
use crate::expr::fold::fold_constants;
use crate::optimize::{map_exprs, map_inputs};
use crate::plan::Plan;

/// Folds every expression of the plan.
pub(super) fn rule(plan: Plan) -> Plan {
    drop_decided_filters(map_exprs(plan, &mut fold_constants))
}

fn drop_decided_filters(plan: Plan) -> Plan {
    match map_inputs(plan, &mut drop_decided_filters) {
        Plan::Filter { input, predicate } => match as_constant(&predicate) {
            Some(Scalar::Bool(true)) => *input,
            Some(_) => Plan::Values { rows: Vec::new(), schema: input.schema().clone() },
            None => Plan::Filter { input, predicate },
        },
        other => other,
    }
}
