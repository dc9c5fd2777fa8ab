//! Rule: nothing is read or computed that nobody above asks for.
//!
//! Each operator learns which of its output columns are wanted, asks its input for what it needs itself, and answers
//! with where the wanted columns now are. An operator may yield more than was wanted (a filter's own columns); a
//! projection never does.

use std::sync::Arc;

use arrow_schema::{Schema, SchemaRef};

use crate::expr::Expr;
use crate::plan::{ExternalScan, JoinKind, JoinOn, Plan, SortKey, WindowCall};

pub(super) fn rule(plan: Plan) -> Plan {
    let width = plan.schema().fields().len();
    prune(plan, &vec![true; width]).0
}

/// Where each old column is now; meaningful for columns that were wanted.
type Moved = Vec<usize>;

fn want(wanted: &mut [bool], expr: &Expr) {
    expr.for_each_column(&mut |at| wanted[at] = true);
}

fn moved_expr(expr: Expr, moved: &Moved) -> Expr {
    expr.map_columns(&mut |at| Expr::Column(moved[at]))
}

/// New positions when only the kept columns remain.
fn positions(kept: &[bool]) -> Moved {
    kept.iter()
        .scan(0, |next, kept| {
            let at = *next;
            *next += usize::from(*kept);
            Some(at)
        })
        .collect()
}

fn keep<T>(items: Vec<T>, kept: &[bool]) -> Vec<T> {
    items.into_iter().zip(kept).filter(|(_, kept)| **kept).map(|(item, _)| item).collect()
}

fn keep_fields(schema: &Schema, kept: &[bool]) -> SchemaRef {
    Arc::new(Schema::new(keep(schema.fields().iter().cloned().collect(), kept)))
}

/// Computed rows keep a column even when only their number is wanted: a batch without columns has no length of its own.
fn at_least_one(wanted: &[bool]) -> Vec<bool> {
    let mut kept = wanted.to_vec();
    if !kept.contains(&true)
        && let Some(first) = kept.first_mut()
    {
        *first = true;
    }
    kept
}

fn prune(plan: Plan, wanted: &[bool]) -> (Plan, Moved) {
    match plan {
        Plan::Scan(mut scan) => {
            let mut kept = wanted.to_vec();
            if let Some(filter) = &scan.filter {
                want(&mut kept, filter);
            }
            let moved = positions(&kept);
            scan.columns = keep(scan.columns, &kept);
            scan.schema = keep_fields(&scan.schema, &kept);
            scan.filter = scan.filter.map(|filter| moved_expr(filter, &moved));
            (Plan::Scan(scan), moved)
        }
        Plan::Filter { input, predicate } => {
            let mut needed = wanted.to_vec();
            want(&mut needed, &predicate);
            let (input, moved) = prune(*input, &needed);
            (Plan::Filter { input: Box::new(input), predicate: moved_expr(predicate, &moved) }, moved)
        }
        Plan::Project { input, exprs, schema } => {
            let wanted = at_least_one(wanted);
            let exprs = keep(exprs, &wanted);
            let mut needed = vec![false; input.schema().fields().len()];
            exprs.iter().for_each(|expr| want(&mut needed, expr));
            let (input, moved) = prune(*input, &needed);
            let exprs = exprs.into_iter().map(|expr| moved_expr(expr, &moved)).collect();
            let schema = keep_fields(&schema, &wanted);
            (Plan::Project { input: Box::new(input), exprs, schema }, positions(&wanted))
        }
        Plan::Aggregate { input, group, calls, schema } => {
            // Keys make the groups, so they all stay.
            let mut kept = if group.is_empty() { at_least_one(wanted) } else { wanted.to_vec() };
            kept[..group.len()].fill(true);
            let calls = keep(calls, &kept[group.len()..]);
            let mut needed = vec![false; input.schema().fields().len()];
            group.iter().for_each(|expr| want(&mut needed, expr));
            calls.iter().flat_map(|call| &call.args).for_each(|expr| want(&mut needed, expr));
            let (input, moved) = prune(*input, &needed);
            let group = group.into_iter().map(|expr| moved_expr(expr, &moved)).collect();
            let calls = calls
                .into_iter()
                .map(|mut call| {
                    call.args = call.args.into_iter().map(|expr| moved_expr(expr, &moved)).collect();
                    call
                })
                .collect();
            let schema = keep_fields(&schema, &kept);
            (Plan::Aggregate { input: Box::new(input), group, calls, schema }, positions(&kept))
        }
        Plan::Sort { input, mut keys, fetch } => {
            let mut needed = wanted.to_vec();
            keys.iter().for_each(|key| want(&mut needed, &key.expr));
            let (input, moved) = prune(*input, &needed);
            for key in &mut keys {
                key.expr = moved_expr(std::mem::replace(&mut key.expr, Expr::Column(0)), &moved);
            }
            (Plan::Sort { input: Box::new(input), keys, fetch }, moved)
        }
        Plan::Limit { input, skip, fetch } => {
            let (input, moved) = prune(*input, wanted);
            (Plan::Limit { input: Box::new(input), skip, fetch }, moved)
        }
        Plan::Distinct { input } => {
            // Every column tells rows apart.
            let all = vec![true; wanted.len()];
            let (input, moved) = prune(*input, &all);
            (Plan::Distinct { input: Box::new(input) }, moved)
        }
        Plan::Series { input, step, schema } => {
            // Its columns are known by their places.
            let width = input.schema().fields().len();
            let input = exactly(*input, &vec![true; width]);
            (Plan::Series { input: Box::new(input), step, schema }, (0..wanted.len()).collect())
        }
        Plan::Window { input, partition, order, calls, schema } => {
            prune_window(*input, (partition, order, calls), &schema, wanted)
        }
        Plan::Repeat { input, schema } => {
            // All of its columns are those of the rows, and the last the number.
            let width = input.schema().fields().len();
            let input = exactly(*input, &vec![true; width]);
            (Plan::Repeat { input: Box::new(input), schema }, (0..wanted.len()).collect())
        }
        Plan::Join { inputs, kind, on, .. } => prune_join(*inputs, kind, on, wanted),
        Plan::Union { inputs, schema } => {
            // Inputs must keep the same columns: what one yields beyond them, a projection takes away.
            let kept = at_least_one(wanted);
            let inputs = inputs.into_iter().map(|input| exactly(input, &kept)).collect();
            (Plan::Union { inputs, schema: keep_fields(&schema, &kept) }, positions(&kept))
        }
        Plan::External(scan) => {
            // Of a file that has none of them, the rows are still counted.
            let columns = keep(scan.columns, wanted);
            let schema = keep_fields(&scan.schema, wanted);
            (Plan::External(ExternalScan { table: scan.table, columns, schema }), positions(wanted))
        }
        values @ Plan::Values { .. } => {
            let all = (0..wanted.len()).collect();
            (values, all)
        }
    }
}

fn prune_window(
    input: Plan,
    (partition, mut order, calls): (Vec<Expr>, Vec<SortKey>, Vec<WindowCall>),
    schema: &Schema,
    wanted: &[bool],
) -> (Plan, Moved) {
    let (mut needed, wanted_calls) = (wanted.to_vec(), wanted.split_at(input.schema().fields().len()).1);
    needed.truncate(input.schema().fields().len());
    let calls = keep(calls, wanted_calls);
    partition.iter().for_each(|expr| want(&mut needed, expr));
    order.iter().for_each(|key| want(&mut needed, &key.expr));
    calls.iter().flat_map(|call| call.function.exprs()).for_each(|expr| want(&mut needed, expr));
    let of_calls = keep(schema.fields().iter().skip(needed.len()).cloned().collect(), wanted_calls);
    let (input, mut moved) = prune(input, &at_least_one(&needed));
    let width = input.schema().fields().len();
    let partition = partition.into_iter().map(|expr| moved_expr(expr, &moved)).collect();
    for key in &mut order {
        key.expr = moved_expr(std::mem::replace(&mut key.expr, Expr::Column(0)), &moved);
    }
    let changed = |call: WindowCall| WindowCall {
        function: call.function.map_exprs(&mut |expr| moved_expr(expr, &moved)),
        ..call
    };
    let calls = calls.into_iter().map(changed).collect();
    let fields: Vec<_> = input.schema().fields().iter().cloned().chain(of_calls).collect();
    moved.extend(positions(wanted_calls).into_iter().map(|at| width + at));
    let (input, schema) = (Box::new(input), Arc::new(Schema::new(fields)));
    (Plan::Window { input, partition, order, calls, schema }, moved)
}

fn prune_join([left, right]: [Plan; 2], kind: JoinKind, on: JoinOn, wanted: &[bool]) -> (Plan, Moved) {
    let (left_width, right_width) = (left.schema().fields().len(), right.schema().fields().len());
    let mut needed = wanted.to_vec();
    // The mark of a row, where there is one, stands where no column of the right input does.
    let is_marked = matches!(kind, JoinKind::Mark { .. });
    if is_marked {
        needed.truncate(left_width);
    }
    needed.resize(left_width + right_width, false);
    if let Some(filter) = &on.filter {
        want(&mut needed, filter);
    }
    let mut right_needed = needed.split_off(left_width);
    for (left, right) in &on.keys {
        want(&mut needed, left);
        want(&mut right_needed, right);
    }
    let (left, left_moved) = prune(left, &at_least_one(&needed));
    let (right, right_moved) = prune(right, &at_least_one(&right_needed));
    let new_width = left.schema().fields().len();
    let both: Moved = left_moved.iter().copied().chain(right_moved.iter().map(|at| new_width + at)).collect();
    let keys = on.keys.into_iter().map(|(a, b)| (moved_expr(a, &left_moved), moved_expr(b, &right_moved))).collect();
    let filter = on.filter.map(|filter| moved_expr(filter, &both));
    let schema = kind.schema(left.schema(), right.schema());
    let moved = if is_marked { left_moved.into_iter().chain([new_width]).collect() } else { both };
    (Plan::Join { inputs: Box::new([left, right]), kind, on: JoinOn { keys, filter }, schema }, moved)
}

/// `plan` with the wanted columns in their order and no other.
fn exactly(plan: Plan, wanted: &[bool]) -> Plan {
    let (plan, moved) = prune(plan, wanted);
    let at: Vec<usize> = keep(moved, wanted);
    if at.len() == plan.schema().fields().len() && at.iter().copied().eq(0..at.len()) {
        return plan;
    }
    let fields: Vec<_> = at.iter().map(|at| plan.schema().fields()[*at].clone()).collect();
    let exprs = at.into_iter().map(Expr::Column).collect();
    Plan::Project { input: Box::new(plan), exprs, schema: Arc::new(Schema::new(fields)) }
}
