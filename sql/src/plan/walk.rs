//! A plan as a tree: every operator's inputs and expressions, without its kind.

use super::{JoinOn, Plan, WindowCall};
use crate::expr::Expr;
use tidewire_storage::schema::TableId;

impl Plan {
    /// What the operator reads, in order: nothing for a scan, one input for most, two for a join, any number for a
    /// union.
    pub fn inputs(&self) -> &[Plan] {
        match self {
            Self::Scan(_) | Self::External(_) | Self::Values { .. } => &[],
            Self::Filter { input, .. }
            | Self::Project { input, .. }
            | Self::Aggregate { input, .. }
            | Self::Sort { input, .. }
            | Self::Series { input, .. }
            | Self::Window { input, .. }
            | Self::Repeat { input, .. }
            | Self::Limit { input, .. }
            | Self::Distinct { input } => std::slice::from_ref(input),
            Self::Union { inputs, .. } => inputs,
            Self::Join { inputs, .. } => inputs.as_slice(),
        }
    }

    /// Whether rows of a table are read somewhere in it.
    pub fn reads(&self, table: TableId) -> bool {
        let mut open = vec![self];
        while let Some(plan) = open.pop() {
            if matches!(plan, Self::Scan(scan) if scan.table.id == table) {
                return true;
            }
            open.extend(plan.inputs());
        }
        false
    }

    /// The plan with `change` made to its inputs.
    pub(crate) fn map_inputs(self, change: &mut dyn FnMut(Plan) -> Plan) -> Plan {
        let mut boxed = |input: Box<Plan>| Box::new(change(*input));
        match self {
            Self::Scan(_) | Self::External(_) | Self::Values { .. } => self,
            Self::Filter { input, predicate } => Self::Filter { input: boxed(input), predicate },
            Self::Project { input, exprs, schema } => Self::Project { input: boxed(input), exprs, schema },
            Self::Aggregate { input, group, calls, schema } => {
                Self::Aggregate { input: boxed(input), group, calls, schema }
            }
            Self::Sort { input, keys, fetch } => Self::Sort { input: boxed(input), keys, fetch },
            Self::Limit { input, skip, fetch } => Self::Limit { input: boxed(input), skip, fetch },
            Self::Distinct { input } => Self::Distinct { input: boxed(input) },
            Self::Series { input, step, schema } => Self::Series { input: boxed(input), step, schema },
            Self::Repeat { input, schema } => Self::Repeat { input: boxed(input), schema },
            Self::Window { input, partition, order, calls, schema } => {
                Self::Window { input: boxed(input), partition, order, calls, schema }
            }
            Self::Union { inputs, schema } => Self::Union { inputs: inputs.into_iter().map(change).collect(), schema },
            Self::Join { inputs, kind, on, schema } => {
                Self::Join { inputs: Box::new((*inputs).map(change)), kind, on, schema }
            }
        }
    }

    /// The plan with `change` made to every expression in it.
    pub(crate) fn map_exprs(self, change: &mut dyn FnMut(Expr) -> Expr) -> Plan {
        let plan = self.map_inputs(&mut |input| input.map_exprs(change));
        match plan {
            Self::Scan(mut scan) => {
                scan.tag_filter = scan.tag_filter.map(&mut *change);
                scan.filter = scan.filter.map(&mut *change);
                Self::Scan(scan)
            }
            Self::Filter { input, predicate } => Self::Filter { input, predicate: change(predicate) },
            Self::Project { input, exprs, schema } => {
                Self::Project { input, exprs: exprs.into_iter().map(change).collect(), schema }
            }
            Self::Aggregate { input, group, mut calls, schema } => {
                let group = group.into_iter().map(&mut *change).collect();
                for call in &mut calls {
                    call.args = std::mem::take(&mut call.args).into_iter().map(&mut *change).collect();
                }
                Self::Aggregate { input, group, calls, schema }
            }
            Self::Sort { input, mut keys, fetch } => {
                for key in &mut keys {
                    key.expr = change(std::mem::replace(&mut key.expr, Expr::Column(0)));
                }
                Self::Sort { input, keys, fetch }
            }
            Self::Window { input, partition, mut order, calls, schema } => {
                let partition = partition.into_iter().map(&mut *change).collect();
                for key in &mut order {
                    key.expr = change(std::mem::replace(&mut key.expr, Expr::Column(0)));
                }
                let changed = |call: WindowCall| WindowCall { function: call.function.map_exprs(change), ..call };
                let calls = calls.into_iter().map(changed).collect();
                Self::Window { input, partition, order, calls, schema }
            }
            Self::Join { inputs, kind, on: JoinOn { keys, filter }, schema } => {
                let keys = keys.into_iter().map(|(left, right)| (change(left), change(right))).collect();
                Self::Join { inputs, kind, on: JoinOn { keys, filter: filter.map(change) }, schema }
            }
            other @ (Self::Limit { .. }
            | Self::Repeat { .. }
            | Self::Distinct { .. }
            | Self::Series { .. }
            | Self::Union { .. }
            | Self::External(_)
            | Self::Values { .. }) => other,
        }
    }
}
