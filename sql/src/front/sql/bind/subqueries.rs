//! Queries inside of expressions that have been met while a SELECT is bound, and the joins that they become: see
//! [`super::subquery`].

use std::cell::{Cell, RefCell};

use super::scope::Scope;
use crate::error::{SqlError, SqlErrorKind};
use crate::expr::conjunction;
use crate::expr::{BinaryOp, Expr, Scalar};
use crate::plan::{JoinKind, JoinOn, Plan};

/// Where columns of the query around a query begin, while it is bound.
pub(super) const OUTER_AT: usize = 1 << 46;

/// Where queries stand for columns while a statement is bound.
pub(super) const SUBQUERIES_AT: usize = 1 << 47;

/// Queries inside of the expressions of one SELECT. Each is a join.
const QUERIES_MAX: usize = 64;

/// The query around a query.
#[derive(Clone, Copy)]
pub(super) struct Outer<'a> {
    pub(super) scope: &'a Scope,
    /// Whether only the number of rows is asked for.
    pub(super) exists: bool,
    /// Levels of expressions around the query.
    pub(super) depth: usize,
    /// What the query reads of the one around it; set while it is bound.
    pub(super) correlation: &'a RefCell<Correlation>,
    /// Whether it reads anything of it.
    pub(super) is_read: &'a Cell<bool>,
}

/// The conditions that tie a query to the one around it. Inner columns are those of the query's output.
#[derive(Debug, Default)]
pub(super) struct Correlation {
    /// Equalities: over the query around, over the query.
    pub(super) keys: Vec<(Expr, Expr)>,
    /// Others; columns of the query around it are from [`OUTER_AT`] on.
    pub(super) filters: Vec<Expr>,
    /// Of an aggregate without groups.
    pub(super) whole: Option<Whole>,
}

/// An aggregate without groups, which has a row even where no row is tied to the one around it. The join has none then.
#[derive(Debug)]
pub(super) struct Whole {
    /// What the query comes to of no rows: null, too, where HAVING refuses that row.
    pub(super) of_nothing: Scalar,
    /// Whether its value of some rows can be null.
    pub(super) is_nullable: bool,
    pub(super) has_having: bool,
}

/// What a query in an expression stands for.
#[derive(Debug)]
pub(super) struct Subquery {
    pub(super) plan: Plan,
    pub(super) kind: JoinKind,
    pub(super) keys: Vec<(Expr, Expr)>,
    pub(super) filters: Vec<Expr>,
    /// What stands for null.
    pub(super) of_nothing: Option<Scalar>,
}

/// Queries met so far.
#[derive(Debug, Default)]
pub(super) struct Subqueries {
    found: Vec<Subquery>,
}

impl Subqueries {
    pub(super) fn is_empty(&self) -> bool {
        self.found.is_empty()
    }

    /// One more; the column that stands for it.
    pub(super) fn add(&mut self, subquery: Subquery) -> Result<Expr, SqlError> {
        if self.found.len() >= QUERIES_MAX {
            return Err(SqlErrorKind::TooMany { what: "queries inside of expressions", max: QUERIES_MAX }.into());
        }
        self.found.push(subquery);
        Ok(Expr::Column(SUBQUERIES_AT + self.found.len() - 1))
    }

    /// Makes `change` to the expressions over the query around.
    pub(super) fn try_map<E>(&mut self, mut change: impl FnMut(&Expr) -> Result<Expr, E>) -> Result<(), E> {
        for subquery in &mut self.found {
            for (outer, _) in &mut subquery.keys {
                *outer = change(outer)?;
            }
            for filter in &mut subquery.filters {
                *filter = outer_changed(filter, &mut change)?;
            }
        }
        Ok(())
    }

    /// `input` with what answers the queries behind its columns; and what each of them stands for.
    pub(super) fn below(self, mut input: Plan) -> (Plan, Vec<Expr>) {
        let mut answers = Vec::with_capacity(self.found.len());
        for Subquery { plan, kind, keys, filters, of_nothing } in self.found {
            let width = input.schema().fields().len();
            // Queries may stand in what other queries are compared with.
            let placed = |expr: Expr| with_answers(expr, &answers);
            let keys = keys.into_iter().map(|(outer, inner)| (placed(outer), inner)).collect();
            let over_both = |filter: Expr| {
                filter.map_columns(&mut |at| match at.checked_sub(OUTER_AT) {
                    Some(outer) if outer < SUBQUERIES_AT - OUTER_AT => Expr::Column(outer),
                    _ => Expr::Column(width + at),
                })
            };
            let filter = conjunction::join(filters.into_iter().map(over_both).collect());
            let schema = kind.schema(input.schema(), plan.schema());
            let inputs = Box::new([input, plan]);
            input = Plan::Join { inputs, kind, on: JoinOn { keys, filter }, schema };
            let answer = Expr::Column(width);
            answers.push(match of_nothing {
                Some(value) => Expr::Coalesce(vec![answer, Expr::Literal(value)]),
                None => answer,
            });
        }
        (input, answers)
    }
}

/// `filter` with its columns of the query around it changed.
fn outer_changed<E>(filter: &Expr, change: &mut impl FnMut(&Expr) -> Result<Expr, E>) -> Result<Expr, E> {
    let mut failed = None;
    let changed = filter.clone().map_columns(&mut |at| match at.checked_sub(OUTER_AT) {
        Some(outer) => match change(&Expr::Column(outer)) {
            Ok(changed) => changed.map_columns(&mut |at| Expr::Column(OUTER_AT + at)),
            Err(error) => {
                failed.get_or_insert(error);
                Expr::Column(at)
            }
        },
        None => Expr::Column(at),
    });
    failed.map_or(Ok(changed), Err)
}

/// `expr` with what queries stand for in their places.
pub(super) fn with_answers(expr: Expr, answers: &[Expr]) -> Expr {
    expr.map_columns(&mut |at| {
        let answer = at.checked_sub(SUBQUERIES_AT).and_then(|query| answers.get(query));
        answer.cloned().unwrap_or(Expr::Column(at))
    })
}

/// Whether an expression reads columns of the query around it.
pub(super) fn reads_outer(expr: &Expr) -> bool {
    let mut reads = false;
    expr.for_each_column(&mut |at| reads |= (OUTER_AT..SUBQUERIES_AT).contains(&at));
    reads
}

/// The conjuncts of a query's WHERE that read columns of the query around it, and the others.
pub(super) fn correlated(predicate: Expr) -> (Vec<Expr>, Option<Expr>) {
    let (correlated, own) = conjunction::split(predicate).into_iter().partition(reads_outer);
    (correlated, conjunction::join(own))
}

/// An equality of an expression over the query around with one over the query itself, in this order.
pub(super) fn equality(conjunct: &Expr) -> Option<(Expr, Expr)> {
    let Expr::Binary { op: BinaryOp::Eq, left, right } = conjunct else { return None };
    let is_outer = |expr: &Expr| {
        let mut outer = !expr.is_constant();
        expr.for_each_column(&mut |at| outer &= (OUTER_AT..SUBQUERIES_AT).contains(&at));
        outer
    };
    let is_inner = |expr: &Expr| !expr.is_constant() && !reads_outer(expr);
    let plain = |expr: &Expr| expr.clone().map_columns(&mut |at| Expr::Column(at - OUTER_AT));
    match (&**left, &**right) {
        (a, b) if is_outer(a) && is_inner(b) => Some((plain(a), b.clone())),
        (a, b) if is_inner(a) && is_outer(b) => Some((plain(b), a.clone())),
        _ => None,
    }
}

/// How columns are called that tie a query to the one around it. No statement can name a column so.
pub(super) const TIE: &str = "\u{0}tie ";
