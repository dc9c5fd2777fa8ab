//! Rule: DISTINCT is a grouping by all columns without aggregates, which shards can do before they send anything.

use arrow_schema::DataType;

use crate::expr::Expr;
use crate::plan::Plan;

pub(super) fn rule(plan: Plan) -> Plan {
    match plan.map_inputs(&mut rule) {
        Plan::Distinct { input } => {
            let schema = input.schema().clone();
            // Grouping by no key is one row, and a typeless null is no key.
            let groupable = |data_type: &DataType| !matches!(data_type, DataType::Null | DataType::Struct(_));
            if schema.fields().is_empty() || !schema.fields().iter().all(|field| groupable(field.data_type())) {
                return Plan::Distinct { input };
            }
            let group = (0..schema.fields().len()).map(Expr::Column).collect();
            Plan::Aggregate { input, group, calls: Vec::new(), schema }
        }
        other => other,
    }
}
