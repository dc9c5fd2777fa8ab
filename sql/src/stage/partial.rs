//! Aggregates in two steps: states that every shard makes of its own rows, and the merge of them.
//!
//! A partial batch is: the group keys, then the states of the calls in order. A DISTINCT call has no state: its
//! argument is one more group key of the partial batch, and the merge takes its values from there.

use std::sync::Arc;

use arrow_schema::SchemaRef;

use super::fragment::{Shape, TimeOrder, TopBuckets};
use super::graph::SinkSpec;
use super::{FusedKey, FusedKeys, fold, keys};
use crate::expr::{AggregateCall, Expr};
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
        let top = fused.as_ref().and_then(|fused| top_buckets(fused, self.group, width, above));
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

/// Whether only the first groups by time bucket are wanted: above the aggregate, which yields `width` columns, stand at
/// most projections and a bounded sort whose first key is the bucket.
fn top_buckets(fused: &FusedKeys, group: usize, width: usize, above: &[&Plan]) -> Option<TopBuckets> {
    let mut exprs: Vec<Expr> = (0..width).map(Expr::Column).collect();
    for plan in above.iter().rev() {
        match plan {
            Plan::Project { exprs: computed, .. } => {
                exprs = computed.iter().map(|e| fold::substitute(e, &exprs)).collect::<Option<_>>()?;
            }
            Plan::Sort { keys: order, fetch: Some(fetch), .. } => {
                let first = order.first()?;
                let Expr::Column(key) = fold::substitute(&first.expr, &exprs)? else { return None };
                let is_bucket = key < group && matches!(fused.keys.get(key), Some(FusedKey::Bucket(_)));
                let top = TopBuckets { order: TimeOrder::of(first), groups: *fetch, group_keys: group };
                return is_bucket.then_some(top);
            }
            _ => return None,
        }
    }
    None
}
