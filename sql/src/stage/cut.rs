//! Cuts a plan once into what every shard runs ([`Fragment`]) and what joins the parts ([`FinalStage`]).
//!
//! A plan of this floor is a chain of operators over one scan (or over constant rows). From the scan upwards:
//!
//! 1. Filters and projections are folded into one condition and one list of expressions over the scan's columns, as
//!    long as the expressions stay small.
//! 2. The first operator that needs all rows ends the fragment. An aggregate leaves states on the shards and merges
//!    them in the final stage; DISTINCT is an aggregate without calls; a sort with a bound leaves the shard's best rows;
//!    a limit that many rows; a full sort nothing.
//! 3. Everything above runs in the final stage, by general operators over batches.
//!
//! Then the fragment is refined: only the scan columns that are read remain, conditions on numeric fields become value
//! ranges for the scan, aggregates that need no rows let it send statistics instead, keys that are tags and time buckets are marked for the fused aggregate, and an order by time
//! with a bound is marked, so that the shard reads the newest (or oldest) rows first and stops early.

use std::sync::Arc;

use arrow_schema::SchemaRef;
use tidewire_storage::scan::{PruneRange, ScanMode};
use tidewire_storage::schema::{ColumnId, TableSchema};

use super::{FusedKey, FusedKeys, fold, keys, mode, prune};
use crate::exec::ExecError;
use crate::expr::{AggregateCall, Expr, Scalar};
use crate::function::aggregate::{COUNT, COUNT_ROWS};
use crate::plan::{Plan, ScanColumn, ScanNode, SortKey};
use crate::types::unit::arrow_unit;

/// A plan in two parts.
#[derive(Debug, Clone)]
pub struct Distributed {
    /// What every shard runs; `None` when the answer needs no shard.
    pub fragment: Option<Arc<Fragment>>,
    /// What joins the parts.
    pub final_stage: FinalStage,
}

/// What every shard runs over its own scan. Immutable; crosses cores by `Arc`.
#[derive(Debug)]
pub struct Fragment {
    /// The table as it was when the statement was bound.
    pub table: Arc<TableSchema>,
    /// First time of use, inclusive, in the table's unit.
    pub time_min: i64,
    /// Last time of use, inclusive.
    pub time_max: i64,
    pub(crate) columns: Vec<ScanColumn>,
    pub(crate) tag_filter: Option<Expr>,
    pub(crate) tag_columns: Vec<ColumnId>,
    pub(crate) filter: Option<Expr>,
    pub(crate) prune: Vec<PruneRange>,
    /// What the scan may leave out.
    pub(crate) mode: ScanMode,
    pub(crate) shape: Shape,
}

/// What a fragment makes of the rows that pass its filters.
#[derive(Debug)]
pub(crate) enum Shape {
    /// The rows themselves.
    Rows {
        exprs: Vec<Expr>,
        schema: SchemaRef,
        /// Rows after which the shard may stop.
        limit: Option<usize>,
    },
    /// The best rows.
    TopRows {
        exprs: Vec<Expr>,
        schema: SchemaRef,
        /// Over the columns of `exprs`.
        keys: Vec<SortKey>,
        fetch: usize,
        /// The first key is the time: rows are read in this order.
        by_time: Option<TimeOrder>,
    },
    /// States of groups.
    Aggregate {
        keys: Vec<Expr>,
        calls: Vec<AggregateCall>,
        /// Set when all keys are tags and time buckets.
        fused: Option<FusedKeys>,
        /// Only the first groups by time bucket are wanted.
        top: Option<(TimeOrder, usize)>,
    },
}

/// Which end of the time line comes first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TimeOrder {
    NewestFirst,
    OldestFirst,
}

/// What joins the parts that shards send. A description: [`crate::exec::FinalRun`] carries it out.
#[derive(Debug, Clone)]
pub struct FinalStage {
    pub(crate) constant_rows: Option<(Vec<Vec<Scalar>>, SchemaRef)>,
    pub(crate) steps: Vec<Step>,
    pub(crate) schema: SchemaRef,
}

impl FinalStage {
    /// Names and types of the answer.
    pub fn schema(&self) -> &SchemaRef {
        &self.schema
    }
}

/// One operator of the final stage.
#[derive(Debug, Clone)]
pub(crate) enum Step {
    Filter(Expr),
    Project {
        exprs: Vec<Expr>,
        schema: SchemaRef,
    },
    /// Joins the states of a fragment's aggregate.
    Merge {
        keys: usize,
        calls: Vec<AggregateCall>,
        /// For each distinct call, the partial key column that holds its values.
        distinct_columns: Vec<Option<usize>>,
        /// First column of states.
        states: usize,
        schema: SchemaRef,
    },
    Aggregate {
        keys: Vec<Expr>,
        calls: Vec<AggregateCall>,
        schema: SchemaRef,
    },
    Sort {
        keys: Vec<SortKey>,
        fetch: Option<usize>,
    },
    Limit {
        skip: usize,
        fetch: Option<usize>,
    },
    Distinct {
        schema: SchemaRef,
    },
}

/// Cuts a plan.
pub fn cut(plan: &Plan) -> Result<Distributed, ExecError> {
    let schema = Arc::clone(plan.schema());
    let (bottom, operators) = flatten(plan);
    match bottom {
        Plan::Scan(scan) => Ok(cut_scan(scan, &operators, schema)),
        Plan::Values { rows, schema: columns } => {
            let steps = operators.iter().filter_map(|plan| step_of(plan)).collect();
            let constant_rows = Some((rows.clone(), Arc::clone(columns)));
            Ok(Distributed { fragment: None, final_stage: FinalStage { constant_rows, steps, schema } })
        }
        _ => Err(ExecError::Internal("a plan without a source".into())),
    }
}

/// The source of a chain, and its operators from the source upwards.
fn flatten(plan: &Plan) -> (&Plan, Vec<&Plan>) {
    let mut operators = Vec::new();
    let mut at = plan;
    loop {
        match at {
            Plan::Scan(_) | Plan::Values { .. } => break,
            Plan::Filter { input, .. }
            | Plan::Project { input, .. }
            | Plan::Aggregate { input, .. }
            | Plan::Sort { input, .. }
            | Plan::Limit { input, .. }
            | Plan::Distinct { input } => {
                operators.push(at);
                at = input;
            }
        }
    }
    operators.reverse();
    (at, operators)
}

/// An operator as a step of the final stage; `None` for sources.
fn step_of(plan: &Plan) -> Option<Step> {
    Some(match plan {
        Plan::Scan(_) | Plan::Values { .. } => return None,
        Plan::Filter { predicate, .. } => Step::Filter(predicate.clone()),
        Plan::Project { exprs, schema, .. } => Step::Project { exprs: exprs.clone(), schema: Arc::clone(schema) },
        Plan::Aggregate { group, calls, schema, .. } => {
            Step::Aggregate { keys: group.clone(), calls: calls.clone(), schema: Arc::clone(schema) }
        }
        Plan::Sort { keys, fetch, .. } => Step::Sort { keys: keys.clone(), fetch: *fetch },
        Plan::Limit { skip, fetch, .. } => Step::Limit { skip: *skip, fetch: *fetch },
        Plan::Distinct { input } => Step::Distinct { schema: Arc::clone(input.schema()) },
    })
}

fn cut_scan(scan: &ScanNode, operators: &[&Plan], schema: SchemaRef) -> Distributed {
    let mut exprs: Vec<Expr> = (0..scan.columns.len()).map(Expr::Column).collect();
    let mut exprs_schema = Arc::clone(&scan.schema);
    let mut filter = scan.filter.clone();
    let mut taken = 0;
    // Step 1: fold what streams.
    for plan in operators {
        match plan {
            Plan::Filter { predicate, .. } => {
                let Some(folded) = fold::substitute(predicate, &exprs) else { break };
                filter = Some(fold::and(filter, folded));
            }
            Plan::Project { exprs: computed, schema, .. } => {
                let folded: Option<Vec<Expr>> = computed.iter().map(|e| fold::substitute(e, &exprs)).collect();
                let Some(folded) = folded else { break };
                exprs = folded;
                exprs_schema = Arc::clone(schema);
            }
            _ => break,
        }
        taken += 1;
    }
    // Step 2: the first operator that needs all rows.
    let above = &operators[taken..];
    let mut steps = Vec::new();
    let shape = match above.first() {
        Some(Plan::Aggregate { group, calls, schema, .. }) => {
            aggregate_shape(scan, &exprs, group, calls, schema, above, &mut steps)
        }
        Some(Plan::Distinct { input }) => {
            let group: Vec<Expr> = (0..exprs.len()).map(Expr::Column).collect();
            aggregate_shape(scan, &exprs, &group, &[], input.schema(), above, &mut steps)
        }
        Some(Plan::Sort { keys, fetch: Some(fetch), .. }) => {
            Some(top_shape(scan, exprs.clone(), Arc::clone(&exprs_schema), keys, *fetch))
        }
        Some(Plan::Limit { skip, fetch: Some(fetch), .. }) => Some(Shape::Rows {
            exprs: exprs.clone(),
            schema: Arc::clone(&exprs_schema),
            limit: Some(skip.saturating_add(*fetch)),
        }),
        _ => None,
    };
    let shape = shape.unwrap_or(Shape::Rows { exprs, schema: exprs_schema, limit: None });
    // Step 3: the rest. A merge stands for the operator it completes.
    let rest = if steps.is_empty() { above } else { &above[1..] };
    steps.extend(rest.iter().filter_map(|plan| step_of(plan)));
    let fragment = refine(scan, filter, shape);
    Distributed { fragment: Some(Arc::new(fragment)), final_stage: FinalStage { constant_rows: None, steps, schema } }
}

/// The partial aggregate of a shard; its merge goes into `steps`. `None` when the expressions grow too large.
fn aggregate_shape(
    scan: &ScanNode,
    exprs: &[Expr],
    group: &[Expr],
    calls: &[AggregateCall],
    schema: &SchemaRef,
    above: &[&Plan],
    steps: &mut Vec<Step>,
) -> Option<Shape> {
    let mut keys: Vec<Expr> = group.iter().map(|e| fold::substitute(e, exprs)).collect::<Option<_>>()?;
    let mut partial_calls = Vec::new();
    let mut distinct_columns = Vec::new();
    for call in calls {
        let args: Vec<Expr> = call.args.iter().map(|e| fold::substitute(e, exprs)).collect::<Option<_>>()?;
        if let (true, Some(value)) = (call.distinct, args.first()) {
            // The values travel as a group key; one column serves all calls over the same values.
            let known = keys.iter().skip(group.len()).position(|key| key == value).map(|at| at + group.len());
            distinct_columns.push(Some(known.unwrap_or(keys.len())));
            if known.is_none() {
                keys.push(value.clone());
            }
        } else {
            distinct_columns.push(None);
            partial_calls.push(AggregateCall { args, distinct: false, ..call.clone() });
        }
    }
    let fused = keys::fuse(&keys, &scan.columns, arrow_unit(scan.table.time_unit));
    let top = fused.as_ref().and_then(|fused| top_buckets(fused, group.len(), above));
    steps.push(Step::Merge {
        keys: group.len(),
        calls: calls.to_vec(),
        distinct_columns,
        states: keys.len(),
        schema: Arc::clone(schema),
    });
    Some(Shape::Aggregate { keys, calls: partial_calls, fused, top })
}

/// Whether only the first groups by time bucket are wanted: above the aggregate stand at most projections and a bounded
/// sort whose first key is the bucket.
fn top_buckets(fused: &FusedKeys, keys: usize, above: &[&Plan]) -> Option<(TimeOrder, usize)> {
    let width = above.first()?.schema().fields().len();
    let mut exprs: Vec<Expr> = (0..width).map(Expr::Column).collect();
    for plan in &above[1..] {
        match plan {
            Plan::Project { exprs: computed, .. } => {
                exprs = computed.iter().map(|e| fold::substitute(e, &exprs)).collect::<Option<_>>()?;
            }
            Plan::Sort { keys: order, fetch: Some(fetch), .. } => {
                let first = order.first()?;
                let Expr::Column(key) = fold::substitute(&first.expr, &exprs)? else { return None };
                let is_bucket = key < keys && matches!(fused.keys.get(key), Some(FusedKey::Bucket(_)));
                return is_bucket.then_some((time_order(first), *fetch));
            }
            _ => return None,
        }
    }
    None
}

fn time_order(key: &SortKey) -> TimeOrder {
    if key.descending { TimeOrder::NewestFirst } else { TimeOrder::OldestFirst }
}

fn top_shape(scan: &ScanNode, exprs: Vec<Expr>, schema: SchemaRef, keys: &[SortKey], fetch: usize) -> Shape {
    let by_time = keys.first().and_then(|first| match fold::substitute(&first.expr, &exprs) {
        Some(Expr::Column(at)) if scan.columns.get(at) == Some(&ScanColumn::Time) => Some(time_order(first)),
        _ => None,
    });
    Shape::TopRows { exprs, schema, keys: keys.to_vec(), fetch, by_time }
}

/// Drops the scan columns that nothing reads and derives what the scan can use.
fn refine(scan: &ScanNode, filter: Option<Expr>, mut shape: Shape) -> Fragment {
    let mut used = vec![false; scan.columns.len()];
    {
        let mut mark = |expr: &Expr| expr.for_each_column(&mut |at| used[at] = true);
        filter.iter().for_each(&mut mark);
        shape.exprs().for_each(&mut mark);
    }
    let mut position = vec![0; used.len()];
    let mut columns = Vec::new();
    for (at, column) in scan.columns.iter().enumerate() {
        position[at] = columns.len();
        if used[at] {
            columns.push(*column);
        }
    }
    let renumber = |expr: &mut Expr| {
        let old = std::mem::replace(expr, Expr::Literal(Scalar::Null));
        *expr = old.map_columns(&mut |at| Expr::Column(position[at]));
    };
    let mut filter = filter;
    filter.iter_mut().for_each(renumber);
    shape.exprs_mut().for_each(renumber);
    if let Shape::Aggregate { calls, .. } = &mut shape {
        for call in calls {
            // A constant that is not null is there in every row.
            let counts_rows = call.function == &COUNT
                && matches!(call.args.first(), Some(Expr::Literal(scalar)) if *scalar != Scalar::Null);
            if counts_rows {
                call.function = &COUNT_ROWS;
                call.args.clear();
            }
        }
    }
    Fragment {
        table: Arc::clone(&scan.table),
        time_min: scan.time_min,
        time_max: scan.time_max,
        tag_filter: scan.tag_filter.clone(),
        tag_columns: scan.tag_columns.clone(),
        mode: if filter.is_none() { mode::of(&shape, &columns) } else { ScanMode::Rows },
        prune: filter.as_ref().map(|filter| prune::ranges(filter, &columns)).unwrap_or_default(),
        columns,
        filter,
        shape,
    }
}

impl Shape {
    /// Every expression over the scan's columns.
    fn exprs(&self) -> impl Iterator<Item = &Expr> {
        let (exprs, calls): (&[Expr], &[AggregateCall]) = match self {
            Self::Rows { exprs, .. } | Self::TopRows { exprs, .. } => (exprs, &[]),
            Self::Aggregate { keys, calls, .. } => (keys, calls),
        };
        exprs.iter().chain(calls.iter().flat_map(|call| &call.args))
    }

    fn exprs_mut(&mut self) -> impl Iterator<Item = &mut Expr> {
        let (exprs, calls): (&mut [Expr], &mut [AggregateCall]) = match self {
            Self::Rows { exprs, .. } | Self::TopRows { exprs, .. } => (exprs, &mut []),
            Self::Aggregate { keys, calls, .. } => (keys, calls),
        };
        exprs.iter_mut().chain(calls.iter_mut().flat_map(|call| &mut call.args))
    }
}
