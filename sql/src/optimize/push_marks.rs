//! Rule: conditions of IN and EXISTS are decided before other joins and not behind them.
//!
//! What a filter asks of the mark that a subquery gives to rows moves, with the join that gives it, through inner joins
//! down to the one input that the compared expressions read: the rows that it refuses then meet nothing. It stays where
//! rows of several inputs are compared, where the subquery has conditions beside equalities (which cost the more the
//! more rows ask), and where anything may fail, since other rows than those it is written for may make it fail.
//!
//! A filter that wants the mark to be true takes null for false, so that the join need not tell them apart.

use std::sync::Arc;

use arrow_schema::Schema;

use crate::expr::Expr;
use crate::expr::conjunction::{join, split};
use crate::optimize::push_filters::can_fail;
use crate::plan::join::pairs;
use crate::plan::{JoinKind, JoinOn, Plan};

pub(super) fn rule(plan: Plan) -> Plan {
    match plan.map_inputs(&mut rule) {
        Plan::Filter { input, predicate } => match *input {
            Plan::Join { inputs, kind: JoinKind::Mark { with_nulls }, on, .. } => {
                filtered(*inputs, with_nulls, on, predicate)
            }
            input => Plan::Filter { input: Box::new(input), predicate },
        },
        other => other,
    }
}

/// The mark in conjuncts, wherever it will stand.
const MARK: usize = usize::MAX;

/// A join that marks rows, and what is asked of the mark.
struct Marking {
    subquery: Plan,
    with_nulls: bool,
    on: JoinOn,
    /// Over the rows, and [`MARK`].
    conjuncts: Vec<Expr>,
}

impl Marking {
    /// The same over other columns.
    fn over(mut self, mut column: impl FnMut(usize) -> usize) -> Self {
        let mut moved =
            |expr: Expr| expr.map_columns(&mut |at| Expr::Column(if at == MARK { MARK } else { column(at) }));
        self.on.keys = self.on.keys.into_iter().map(|(row, inner)| (moved(row), inner)).collect();
        self.conjuncts = self.conjuncts.into_iter().map(moved).collect();
        self
    }

    /// Whether it reads columns before `width`, and others.
    fn reads(&self, width: usize) -> (bool, bool) {
        let (mut left, mut right) = (false, false);
        let exprs = self.on.keys.iter().map(|(row, _)| row).chain(&self.conjuncts);
        exprs.for_each(|expr| {
            expr.for_each_column(&mut |at| {
                left |= at < width;
                right |= at >= width && at != MARK;
            });
        });
        (left, right)
    }

    fn may_move(&self, rows: &Schema, marked: &Schema) -> bool {
        let is_plain = |expr: &Expr, schema: &Schema| !can_fail(expr, schema) && !expr.is_volatile();
        self.on.filter.is_none()
            && self.on.keys.iter().all(|(row, _)| is_plain(row, rows))
            && self.conjuncts.iter().all(|conjunct| is_plain(&at_end(conjunct.clone(), rows), marked))
    }
}

/// `conjunct` where the mark stands behind the columns of `rows`.
fn at_end(conjunct: Expr, rows: &Schema) -> Expr {
    conjunct.map_columns(&mut |at| Expr::Column(if at == MARK { rows.fields().len() } else { at }))
}

/// The rows that are marked by a subquery for which `predicate` is true, with their mark.
fn filtered([rows, subquery]: [Plan; 2], with_nulls: bool, on: JoinOn, predicate: Expr) -> Plan {
    let width = rows.schema().fields().len();
    let of_mark = |at: usize| Expr::Column(if at == width { MARK } else { at });
    let conjuncts: Vec<Expr> =
        split(predicate).into_iter().map(|expr| expr.map_columns(&mut |at| of_mark(at))).collect();
    let with_nulls = with_nulls && !conjuncts.contains(&Expr::Column(MARK));
    let marking = Marking { subquery, with_nulls, on, conjuncts };
    let marked = JoinKind::Mark { with_nulls }.schema(rows.schema(), marking.subquery.schema());
    let may_move = marking.may_move(rows.schema(), &marked);
    let (plan, place) = if may_move { moved(rows, marking) } else { stays(rows, marking) };
    if place == width {
        return plan;
    }
    let column = |at: usize| Expr::Column(if at == width { place } else { at + usize::from(at >= place) });
    Plan::Project { input: Box::new(plan), exprs: (0..=width).map(column).collect(), schema: marked }
}

/// The rows that are left, and the column in which their mark stands among the others.
fn moved(rows: Plan, marking: Marking) -> (Plan, usize) {
    match rows {
        Plan::Join { inputs, kind: JoinKind::Inner, on, schema } => {
            let [left, right] = *inputs;
            let width = left.schema().fields().len();
            let (left, right, place) = match marking.reads(width) {
                (true, false) => {
                    let (left, place) = moved(left, marking);
                    (left, right, place)
                }
                (false, true) => {
                    let (right, place) = moved(right, marking.over(|at| at - width));
                    (left, right, width + place)
                }
                _ => {
                    let inputs = Box::new([left, right]);
                    return stays(Plan::Join { inputs, kind: JoinKind::Inner, on, schema }, marking);
                }
            };
            let shifted = |expr: Expr, before: usize| {
                expr.map_columns(&mut |at| Expr::Column(at + usize::from(at + before >= place)))
            };
            let is_left = place < left.schema().fields().len();
            let keys = on.keys.into_iter().map(|(a, b)| match is_left {
                true => (shifted(a, 0), b),
                false => (a, shifted(b, width)),
            });
            let on = JoinOn { keys: keys.collect(), filter: on.filter.map(|filter| shifted(filter, 0)) };
            let schema = pairs(left.schema(), right.schema());
            (Plan::Join { inputs: Box::new([left, right]), kind: JoinKind::Inner, on, schema }, place)
        }
        Plan::Project { input, mut exprs, schema } => {
            let places: Option<Vec<usize>> =
                exprs.iter().map(|expr| if let Expr::Column(at) = expr { Some(*at) } else { None }).collect();
            let Some(places) = places else { return stays(Plan::Project { input, exprs, schema }, marking) };
            let (input, place) = moved(*input, marking.over(|at| places[at]));
            exprs = places.iter().map(|at| Expr::Column(at + usize::from(*at >= place))).collect();
            exprs.push(Expr::Column(place));
            let mark = input.schema().field(place).clone();
            let fields = schema.fields().iter().cloned().chain([Arc::new(mark)]);
            let schema = Arc::new(Schema::new(fields.collect::<Vec<_>>()));
            let behind = places.len();
            (Plan::Project { input: Box::new(input), exprs, schema }, behind)
        }
        other => stays(other, marking),
    }
}

/// The mark is given to `rows`, and asked for, here.
fn stays(rows: Plan, Marking { subquery, with_nulls, on, conjuncts }: Marking) -> (Plan, usize) {
    let (kind, width) = (JoinKind::Mark { with_nulls }, rows.schema().fields().len());
    let schema = kind.schema(rows.schema(), subquery.schema());
    let conjuncts = conjuncts.into_iter().map(|conjunct| at_end(conjunct, rows.schema())).collect();
    let marked = Plan::Join { inputs: Box::new([rows, subquery]), kind, on, schema };
    let plan = match join(conjuncts) {
        Some(predicate) => Plan::Filter { input: Box::new(marked), predicate },
        None => marked,
    };
    (plan, width)
}
