//! Which rows of a group can be among its first, where a sort by group and then by something else stands under a limit
//! of rows in each group: the others need neither be sent nor sorted.

use arrow_schema::{DataType, SchemaRef};

use crate::expr::Expr;
use crate::plan::series::SeriesLimit;
use crate::plan::{Plan, SeriesStep, SortKey};

/// Greatest number of rows of a group for which rows are left out: the best keys of each group are held.
const FETCH_MAX: usize = 1_024;

/// The first rows of each group by one or two keys. Of rows that are equal in them all are kept, since further keys may
/// decide.
#[derive(Debug, Clone)]
pub(crate) struct Leaders {
    /// Columns of the rows that make a group.
    pub(crate) group: Vec<usize>,
    /// What comes first in a group.
    pub(crate) order: OrderColumn,
    /// What comes first of what is equal in that.
    pub(crate) then: Option<OrderColumn>,
    /// Rows of each group that are wanted.
    pub(crate) fetch: usize,
}

/// A column of the rows by which they are ordered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct OrderColumn {
    pub(crate) column: usize,
    pub(crate) descending: bool,
    pub(crate) nulls_first: bool,
}

impl OrderColumn {
    fn of(key: &SortKey) -> Option<Self> {
        let Expr::Column(column) = key.expr else { return None };
        Some(Self { column, descending: key.descending, nulls_first: key.nulls_first })
    }

    /// The key that sorts by it.
    pub(crate) fn key(self) -> SortKey {
        SortKey { expr: Expr::Column(self.column), descending: self.descending, nulls_first: self.nulls_first }
    }
}

impl Leaders {
    /// What is wanted of the rows, of this schema, that a sort by `keys` takes in; `above` stands above that sort, the
    /// nearest last.
    pub(super) fn wanted(keys: &[SortKey], schema: &SchemaRef, above: &[&Plan]) -> Option<Self> {
        let (limit, group) = limit_above(above)?;
        let fetch = limit.fetch?.checked_add(limit.skip).filter(|fetch| *fetch <= FETCH_MAX)?;
        let of_group = |key: &SortKey| matches!(key.expr, Expr::Column(at) if group.contains(&at));
        let first = keys.iter().position(|key| !of_group(key))?;
        // Rows of a group stand together, and in it by the next key.
        let is_whole = |at: &usize| keys[..first].iter().any(|key| key.expr == Expr::Column(*at));
        let groupable = |at: &usize| {
            schema.fields().get(*at).is_some_and(|field| !matches!(field.data_type(), DataType::Struct(_)))
        };
        if group.is_empty() || !group.iter().all(|at| is_whole(at) && groupable(at)) {
            return None;
        }
        let order = OrderColumn::of(&keys[first])?;
        Some(Self { group, order, then: keys.get(first + 1).and_then(OrderColumn::of), fetch })
    }
}

/// A limit of rows in each group with nothing below but projections and fills that do not look ahead, and the columns
/// below those that make a group.
fn limit_above(above: &[&Plan]) -> Option<(SeriesLimit, Vec<usize>)> {
    let mut projections = Vec::new();
    for plan in above.iter().rev() {
        match plan {
            Plan::Project { exprs, .. } => projections.push(exprs),
            Plan::Series { step: SeriesStep::Fill(fill), .. } if !fill.looks_ahead() => {}
            Plan::Series { step: SeriesStep::Limit(limit), .. } => {
                let mut group: Vec<usize> = (0..limit.keys).collect();
                for exprs in projections.iter().rev() {
                    let through = |at: &usize| match exprs.get(*at) {
                        Some(Expr::Column(below)) => Some(*below),
                        _ => None,
                    };
                    group = group.iter().map(through).collect::<Option<_>>()?;
                }
                return Some((*limit, group));
            }
            _ => return None,
        }
    }
    None
}
