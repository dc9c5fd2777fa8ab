//! How large and how deep a plan is, measured without recursion.

use super::Plan;
use crate::expr::Expr;
use crate::expr::extent::{Extent, LEVELS_MAX};

/// Operators above each other. Every pass over a plan recurses. The front ends nest no more queries than make some
/// hundred.
pub(crate) const OPERATORS_MAX: usize = 512;

/// What a plan is made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct PlanExtent {
    /// Of all its expressions.
    pub(crate) exprs: Extent,
    /// Columns of all operators.
    pub(crate) columns: usize,
    /// Operators on the longest way to a leaf.
    pub(crate) operators: usize,
    /// All operators.
    pub(crate) all_operators: usize,
}

impl PlanExtent {
    /// Of `plan`.
    pub(crate) fn of(plan: &Plan) -> Self {
        let mut whole = Self::default();
        let mut open = vec![(plan, 1_usize)];
        while let Some((plan, operators)) = open.pop() {
            whole.exprs = whole.exprs.beside(Extent::of_all(plan.exprs()));
            whole.columns = whole.columns.saturating_add(own_columns(plan));
            whole.all_operators += 1;
            whole.operators = whole.operators.max(operators);
            open.extend(plan.inputs().iter().map(|input| (input, operators + 1)));
        }
        whole
    }

    /// The bound that is not kept, if there is one.
    pub(crate) fn levels_exceeded(self) -> Option<usize> {
        match self {
            _ if !self.exprs.is_shallow() => Some(LEVELS_MAX),
            _ if self.operators > OPERATORS_MAX => Some(OPERATORS_MAX),
            _ => None,
        }
    }
}

impl Plan {
    /// The operator's own expressions.
    pub(crate) fn exprs(&self) -> Vec<&Expr> {
        match self {
            Plan::Scan(scan) => scan.tag_filter.iter().chain(&scan.filter).collect(),
            Plan::Filter { predicate, .. } => vec![predicate],
            Plan::Project { exprs, .. } => exprs.iter().collect(),
            Plan::Aggregate { group, calls, .. } => {
                group.iter().chain(calls.iter().flat_map(|call| &call.args)).collect()
            }
            Plan::Sort { keys, .. } => keys.iter().map(|key| &key.expr).collect(),
            Plan::Join { on, .. } => {
                on.keys.iter().flat_map(|(left, right)| [left, right]).chain(on.filter.as_ref()).collect()
            }
            Plan::Window { partition, order, calls, .. } => {
                let of_calls = calls.iter().flat_map(|call| call.function.exprs());
                partition.iter().chain(order.iter().map(|key| &key.expr)).chain(of_calls).collect()
            }
            Plan::Limit { .. }
            | Plan::Distinct { .. }
            | Plan::Repeat { .. }
            | Plan::Series { .. }
            | Plan::Union { .. }
            | Plan::External(_)
            | Plan::Values { .. } => Vec::new(),
        }
    }
}

/// The columns that an operator has a schema of its own for.
fn own_columns(plan: &Plan) -> usize {
    match plan {
        Plan::Filter { .. } | Plan::Sort { .. } | Plan::Limit { .. } | Plan::Distinct { .. } => 0,
        Plan::Values { rows, schema } => schema.fields().len().saturating_mul(rows.len().max(1)),
        other => other.schema().fields().len(),
    }
}
