//! What one shard runs: a scan, a filter, and the one thing that is made of the rows ([`Shape`]).
//!
//! A fragment is refined when it is made: only the scan columns that are read remain, conditions on numeric fields
//! become value ranges for the scan, aggregates that need no rows let it send statistics instead, keys that are tags
//! and time buckets are marked for the fused aggregate, and an order by time with a bound is marked, so that the shard
//! reads the newest (or oldest) rows first and stops early.

use std::sync::Arc;

use arrow_schema::SchemaRef;
use tidewire_storage::scan::{PruneRange, ScanMode};
use tidewire_storage::schema::{ColumnId, TableSchema};

use super::{FusedKeys, Leaders, mode, prune};
use crate::expr::{AggregateCall, Expr, Scalar};
use crate::function::aggregate::{COUNT, COUNT_ROWS};
use crate::plan::{ScanColumn, ScanNode, SortKey};

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
        /// Only these are wanted.
        leaders: Option<Leaders>,
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
        top: Option<TopBuckets>,
    },
}

/// The first groups by time bucket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct TopBuckets {
    pub(crate) order: TimeOrder,
    /// How many groups of the answer are wanted.
    pub(crate) groups: usize,
    /// How many of the keys, from the first, make a group of the answer: the others are values of distinct calls, of
    /// which a group can have many.
    pub(crate) group_keys: usize,
    /// Only groups in which one of these is there are wanted; if none is named, all.
    pub(crate) present: Vec<Present>,
}

/// A call whose answer shows on each shard alone whether it is there in all.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Present {
    /// Place among the calls.
    pub(crate) call: usize,
    /// It is a count, there where it is not zero; others are there where they are not null.
    pub(crate) is_count: bool,
}

/// Which end of the time line comes first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TimeOrder {
    NewestFirst,
    OldestFirst,
}

impl TimeOrder {
    /// The order that a key by time asks for.
    pub(super) fn of(key: &SortKey) -> Self {
        if key.descending { Self::NewestFirst } else { Self::OldestFirst }
    }
}

/// The fragment that reads `scan`, keeps rows for which `filter` is true and makes `shape` of them. Drops the scan
/// columns that nothing reads and derives what the scan can use.
pub(super) fn refine(scan: &ScanNode, filter: Option<Expr>, mut shape: Shape) -> Fragment {
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
