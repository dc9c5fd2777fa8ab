//! Aggregates in two steps: states that every shard makes of its own rows, and the merge of them.
//!
//! A partial batch is: the group keys, then the states of the calls in order. A DISTINCT call has no state: its
//! argument is one more group key of the partial batch, and the merge takes its values from there.

use std::sync::Arc;

use arrow_schema::SchemaRef;

use super::fragment::{Present, Shape, TimeOrder, TopBuckets};
use super::graph::SinkSpec;
use super::{FusedKey, FusedKeys, fold, keys};
use crate::expr::aggregate::Needs;
use crate::expr::{AggregateCall, BinaryOp, Expr, Scalar};
use crate::plan::{Plan, ScanNode};
use crate::types::unit::arrow_unit;

/// How an aggregate is split: the same for all shards and for all inputs of a union.
pub(super) struct Split {
    /// Keys of the partial batch: those of the groups, then the values of distinct calls.
    keys: Vec<Expr>,
    /// How many of them make the groups.
    group: usize,
    /// The calls that have states.
    calls: Vec<AggregateCall>,
    merge: SinkSpec,
}

impl Split {
    /// Splits `calls` by `group`, over the rows that the aggregate reads; its answers have `schema`.
    pub(super) fn new(group: &[Expr], calls: &[AggregateCall], schema: &SchemaRef) -> Self {
        let mut keys = group.to_vec();
        let mut partial_calls = Vec::new();
        let mut distinct_columns = Vec::new();
        for call in calls {
            let Some(value) = call.args.first().filter(|_| call.distinct) else {
                distinct_columns.push(None);
                partial_calls.push(AggregateCall { distinct: false, ..call.clone() });
                continue;
            };
            // One column serves all calls over the same values.
            let known = keys.iter().skip(group.len()).position(|key| key == value).map(|at| at + group.len());
            distinct_columns.push(Some(known.unwrap_or(keys.len())));
            if known.is_none() {
                keys.push(value.clone());
            }
        }
        let merge = SinkSpec::Merge {
            keys: group.len(),
            calls: calls.to_vec(),
            distinct_columns,
            states: keys.len(),
            schema: Arc::clone(schema),
        };
        Self { keys, group: group.len(), calls: partial_calls, merge }
    }

    /// What a shard makes of rows whose columns are `exprs` over a scan. `above` stands on the aggregate, the nearest
    /// last. `None` when the expressions grow too large.
    pub(super) fn shape(&self, scan: &ScanNode, exprs: &[Expr], above: &[&Plan]) -> Option<Shape> {
        let under = |list: &[Expr]| list.iter().map(|expr| fold::substitute(expr, exprs)).collect::<Option<Vec<_>>>();
        let keys = under(&self.keys)?;
        let calls = self
            .calls
            .iter()
            .map(|call| Some(AggregateCall { args: under(&call.args)?, ..call.clone() }))
            .collect::<Option<_>>()?;
        let fused = keys::fuse(&keys, &scan.columns, arrow_unit(scan.table.time_unit));
        let width = self.group + self.merged_calls();
        // A distinct call has no place among the calls of a shard.
        let calls_alone: &[AggregateCall] = if self.keys.len() == self.group { &self.calls } else { &[] };
        let top = fused.as_ref().and_then(|fused| top_buckets(fused, self.group, width, calls_alone, above));
        Some(Shape::Aggregate { keys, calls, fused, top })
    }

    /// What joins the states.
    pub(super) fn merge(self) -> SinkSpec {
        self.merge
    }

    fn merged_calls(&self) -> usize {
        if let SinkSpec::Merge { calls, .. } = &self.merge { calls.len() } else { 0 }
    }
}

/// Whether only the first groups by time bucket are wanted: above the aggregate, which yields `width` columns, the last
/// of them those of `calls`, stand at most projections, a filter that asks whether calls are there, and a bounded sort
/// whose first key is the bucket.
fn top_buckets(
    fused: &FusedKeys,
    group: usize,
    width: usize,
    calls: &[AggregateCall],
    above: &[&Plan],
) -> Option<TopBuckets> {
    let mut exprs: Vec<Expr> = (0..width).map(Expr::Column).collect();
    let mut present = Vec::new();
    for plan in above.iter().rev() {
        match plan {
            Plan::Project { exprs: computed, .. } => {
                exprs = computed.iter().map(|e| fold::substitute(e, &exprs)).collect::<Option<_>>()?;
            }
            Plan::Filter { predicate, .. } if present.is_empty() => {
                presence(&fold::substitute(predicate, &exprs)?, group, calls, &mut present)?;
            }
            Plan::Sort { keys: order, fetch: Some(fetch), .. } => {
                let first = order.first()?;
                let Expr::Column(key) = fold::substitute(&first.expr, &exprs)? else { return None };
                let is_bucket = key < group && matches!(fused.keys.get(key), Some(FusedKey::Bucket(_)));
                let top = TopBuckets { order: TimeOrder::of(first), groups: *fetch, group_keys: group, present };
                return is_bucket.then_some(top);
            }
            _ => return None,
        }
    }
    None
}

/// The calls of which `predicate` asks whether one is there, if it asks nothing else, and of calls that are there in
/// all if and only if they are on some shard.
fn presence(predicate: &Expr, group: usize, calls: &[AggregateCall], found: &mut Vec<Present>) -> Option<()> {
    let call_at = |expr: &Expr| match expr {
        Expr::Column(at) => at.checked_sub(group).filter(|call| *call < calls.len()),
        _ => None,
    };
    match predicate {
        Expr::Binary { left, op: BinaryOp::Or, right } => {
            presence(left, group, calls, found)?;
            presence(right, group, calls, found)
        }
        Expr::IsNotNull(of) => {
            let call = call_at(of)?;
            found.push(Present { call, is_count: false });
            matches!(calls[call].function.needs, Needs::Numbers).then_some(())
        }
        Expr::Binary { left, op: BinaryOp::Gt, right } if **right == Expr::Literal(Scalar::Int(0)) => {
            let call = call_at(left)?;
            found.push(Present { call, is_count: true });
            matches!(calls[call].function.needs, Needs::ValueCount | Needs::RowCount).then_some(())
        }
        _ => None,
    }
}
