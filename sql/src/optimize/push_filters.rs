//! Rule: filters move down to the scan.
//!
//! Conjuncts are carried down one by one: through a projection with its expressions in place of columns, through order,
//! DISTINCT and into every input of a union as they are, through a grouping where they read keys alone. LIMIT stops
//! them, since it chooses rows; and a lower filter stops a conjunct that can fail, since it may keep away the very rows
//! that make it fail.
//!
//! A conjunct stays where it is where carrying it on would make much more of it: where it is large and reads what a
//! projection computes more than once (nested queries would double it at each level), where it would become too deep,
//! and where the copies of all that went into unions have come to [`COPIED_NODES_MAX`].

use arrow_schema::{DataType, Schema, SchemaRef};

use crate::expr::conjunction::{join, split};
use crate::expr::extent::{Extent, SMALL_NODES_MAX};
use crate::expr::function::Fails;
use crate::expr::{BinaryOp, Expr};
use crate::optimize::merge_projects::substitute;
use crate::plan::join::pairs;
use crate::plan::{JoinKind, JoinOn, Plan};

/// Nodes of expressions that may be copied for one plan. A filter of a hundred conditions over a union of hundreds of
/// tables is less.
const COPIED_NODES_MAX: usize = 1 << 18;

pub(super) fn rule(plan: Plan) -> Plan {
    Push { copies_left: COPIED_NODES_MAX }.push(plan, Vec::new())
}

/// Whether a filter stands where the rule may write one in several places, or with what others compute in it.
pub(super) fn may_copy(plan: &Plan) -> bool {
    let mut open = vec![(plan, false)];
    while let Some((plan, is_filtered)) = open.pop() {
        let is_filter = matches!(plan, Plan::Filter { .. });
        if is_filtered && matches!(plan, Plan::Project { .. } | Plan::Aggregate { .. } | Plan::Union { .. }) {
            return true;
        }
        open.extend(plan.inputs().iter().map(|input| (input, is_filtered || is_filter)));
    }
    false
}

/// What conjuncts are carried down with.
struct Push {
    /// Nodes that may still be copied.
    copies_left: usize,
}

impl Push {
    /// `plan` filtered by `conjuncts`, which are over its output.
    fn push(&mut self, plan: Plan, mut conjuncts: Vec<Expr>) -> Plan {
        match plan {
            Plan::Filter { input, predicate } => {
                let schema = input.schema().clone();
                let (above, mut below): (Vec<_>, Vec<_>) =
                    conjuncts.into_iter().partition(|conjunct| can_fail(conjunct, &schema));
                let mut all = split(predicate);
                all.append(&mut below);
                filtered(self.push(*input, all), above)
            }
            Plan::Project { input, exprs, schema } => {
                let (below, above) = self.written(conjuncts, &exprs);
                filtered(Plan::Project { input: Box::new(self.push(*input, below)), exprs, schema }, above)
            }
            Plan::Sort { input, keys, fetch: None } => {
                Plan::Sort { input: Box::new(self.push(*input, conjuncts)), keys, fetch: None }
            }
            Plan::Distinct { input } => Plan::Distinct { input: Box::new(self.push(*input, conjuncts)) },
            Plan::Aggregate { input, group, calls, schema } => {
                // A constant conjunct stays above: without rows, a grouping without keys still has one.
                let (below, mut above): (Vec<_>, Vec<_>) = conjuncts.into_iter().partition(|expr| {
                    let mut keys_alone = true;
                    expr.for_each_column(&mut |at| keys_alone &= at < group.len());
                    keys_alone && !expr.is_constant()
                });
                let (below, mut left) = self.written(below, &group);
                above.append(&mut left);
                let input = Box::new(self.push(*input, below));
                filtered(Plan::Aggregate { input, group, calls, schema }, above)
            }
            Plan::Scan(mut scan) => {
                let mut all = scan.filter.take().map(split).unwrap_or_default();
                all.append(&mut conjuncts);
                scan.filter = join(all);
                Plan::Scan(scan)
            }
            Plan::Union { inputs, schema } => {
                let copied = Extent::of_all(&conjuncts).nodes.saturating_mul(inputs.len());
                let (below, above) = match self.may_copy(copied) {
                    true => (conjuncts, Vec::new()),
                    false => (Vec::new(), conjuncts),
                };
                let inputs = inputs.into_iter().map(|input| self.push(input, below.clone())).collect();
                filtered(Plan::Union { inputs, schema }, above)
            }
            Plan::Join { inputs, kind, on, schema } => self.push_into_join(*inputs, kind, on, schema, conjuncts),
            Plan::Repeat { input, schema } => {
                let input = Box::new(self.push(*input, conjuncts));
                Plan::Repeat { input, schema }
            }
            Plan::Limit { input, skip, fetch } => {
                let input = Box::new(self.push(*input, Vec::new()));
                filtered(Plan::Limit { input, skip, fetch }, conjuncts)
            }
            Plan::Sort { input, keys, fetch } => {
                let input = Box::new(self.push(*input, Vec::new()));
                filtered(Plan::Sort { input, keys, fetch }, conjuncts)
            }
            Plan::Series { input, step, schema } => {
                // What a row becomes depends on those before it.
                let input = Box::new(self.push(*input, Vec::new()));
                filtered(Plan::Series { input, step, schema }, conjuncts)
            }
            Plan::Window { input, partition, order, calls, schema } => {
                // What a row's answer is depends on the other rows of its partition, which stay or go together.
                let (below, above): (Vec<_>, Vec<_>) = conjuncts.into_iter().partition(|conjunct| {
                    let mut of_partition = true;
                    conjunct.for_each_column(&mut |at| of_partition &= partition.contains(&Expr::Column(at)));
                    of_partition && !conjunct.is_constant() && !can_fail(conjunct, &schema)
                });
                let input = Box::new(self.push(*input, below));
                filtered(Plan::Window { input, partition, order, calls, schema }, above)
            }
            rows @ (Plan::Values { .. } | Plan::External(_)) => filtered(rows, conjuncts),
        }
    }

    /// A join filtered by `conjuncts`. What reads one input alone goes into it, unless that would let a row of the
    /// other one meet none, and out with nulls; and what makes a column of one equal to a column of the other becomes
    /// a key. What can fail stays, since rows that meet none may be those that make it fail.
    fn push_into_join(
        &mut self,
        [left, right]: [Plan; 2],
        kind: JoinKind,
        JoinOn { mut keys, filter }: JoinOn,
        schema: SchemaRef,
        conjuncts: Vec<Expr>,
    ) -> Plan {
        let width = left.schema().fields().len();
        let both = pairs(left.schema(), right.schema());
        let (mut above, mut to_left, mut to_right, mut rest) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        let shifted = |expr: Expr| expr.map_columns(&mut |at| Expr::Column(at - width));
        for conjunct in conjuncts {
            let reads = side_of(&conjunct, width, both.fields().len());
            if can_fail(&conjunct, &schema) || conjunct.is_constant() {
                above.push(conjunct);
            } else if reads == Side::Left && !kind.keeps_right() {
                to_left.push(conjunct);
            } else if matches!(kind, JoinKind::Mark { .. }) {
                above.push(conjunct);
            } else if reads == Side::Right && matches!(kind, JoinKind::Inner | JoinKind::Right) {
                to_right.push(shifted(conjunct));
            } else if kind == JoinKind::Inner && reads == Side::Both {
                rest.push(conjunct);
            } else {
                above.push(conjunct);
            }
        }
        for conjunct in filter.map(split).unwrap_or_default() {
            let reads = side_of(&conjunct, width, both.fields().len());
            let is_safe = !can_fail(&conjunct, &both) && !conjunct.is_constant();
            match reads {
                Side::Left if is_safe && matches!(kind, JoinKind::Inner | JoinKind::Right) => to_left.push(conjunct),
                Side::Right if is_safe && !kind.keeps_right() => to_right.push(shifted(conjunct)),
                _ => rest.push(conjunct),
            }
        }
        let mut filter = Vec::new();
        for conjunct in rest {
            match key_of(conjunct, width, &both) {
                Ok(key) => keys.push(key),
                Err(conjunct) => filter.push(conjunct),
            }
        }
        let inputs = Box::new([self.push(left, to_left), self.push(right, to_right)]);
        filtered(Plan::Join { inputs, kind, on: JoinOn { keys, filter: join(filter) }, schema }, above)
    }

    /// The conjuncts over what a projection reads that computes `lower`, and those that stay above it.
    fn written(&mut self, conjuncts: Vec<Expr>, lower: &[Expr]) -> (Vec<Expr>, Vec<Expr>) {
        if conjuncts.is_empty() {
            return (conjuncts, Vec::new());
        }
        let extents: Vec<Extent> = lower.iter().map(Extent::of).collect();
        let mut above = Vec::new();
        let below = conjuncts.into_iter().filter_map(|conjunct| {
            let (before, written) = (Extent::of(&conjunct), Extent::with_columns(&conjunct, &extents));
            let is_small = written.nodes <= SMALL_NODES_MAX || reads_once(&conjunct, &extents);
            // A value that changes from one evaluation to the next is not computed another time.
            let mut is_stable = true;
            conjunct.for_each_column(&mut |at| is_stable &= !lower[at].is_volatile());
            if is_stable
                && is_small
                && written.is_shallow()
                && self.may_copy(written.nodes - before.nodes.min(written.nodes))
            {
                return Some(substitute(conjunct, lower));
            }
            above.push(conjunct);
            None
        });
        (below.collect(), above)
    }

    /// Takes leave to copy `nodes`.
    fn may_copy(&mut self, nodes: usize) -> bool {
        let left = self.copies_left.checked_sub(nodes);
        self.copies_left = left.unwrap_or(self.copies_left);
        left.is_some()
    }
}

/// The inputs of a join whose columns an expression reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Side {
    Left,
    Right,
    Both,
}

/// Which columns of a join's inputs, the left of which has `width` and both together `all`, an expression reads. What
/// reads a column beyond them or none is of both.
fn side_of(expr: &Expr, width: usize, all: usize) -> Side {
    let (mut left, mut right) = (false, false);
    expr.for_each_column(&mut |at| {
        left |= at < width || at >= all;
        right |= at >= width;
    });
    match (left, right) {
        (true, false) => Side::Left,
        (false, true) => Side::Right,
        _ => Side::Both,
    }
}

/// The key that an equality of one side with the other is; anything else comes back.
fn key_of(conjunct: Expr, width: usize, both: &Schema) -> Result<(Expr, Expr), Expr> {
    let all = both.fields().len();
    let Expr::Binary { op: BinaryOp::Eq, left, right } = conjunct else { return Err(conjunct) };
    let sides = (side_of(&left, width, all), side_of(&right, width, all));
    let data_type = left.data_type(both);
    let is_key = data_type == right.data_type(both)
        && !matches!(data_type, DataType::Null | DataType::Struct(_))
        && !left.is_constant()
        && !right.is_constant();
    let (a, b) = match sides {
        (Side::Left, Side::Right) if is_key => (left, right),
        (Side::Right, Side::Left) if is_key => (right, left),
        _ => return Err(Expr::Binary { op: BinaryOp::Eq, left, right }),
    };
    Ok((*a, b.map_columns(&mut |at| Expr::Column(at - width))))
}

/// Whether an expression reads once at most what is more than a column or a constant.
fn reads_once(expr: &Expr, columns: &[Extent]) -> bool {
    let mut uses = vec![0_usize; columns.len()];
    expr.for_each_column(&mut |at| uses[at] += 1);
    uses.iter().zip(columns).all(|(uses, column)| *uses <= 1 || column.nodes <= 1)
}

/// Whether a kernel may refuse a value: overflow, division by zero, text that is no number.
pub(super) fn can_fail(expr: &Expr, input: &Schema) -> bool {
    let fails = match expr {
        Expr::Cast { expr, to } => !matches!(
            (expr.data_type(input), to),
            (DataType::Null, _)
                | (_, DataType::Utf8)
                | (DataType::Int64 | DataType::UInt64, DataType::Float64 | DataType::Decimal128(..))
        ),
        Expr::Binary {
            op: BinaryOp::Plus | BinaryOp::Minus | BinaryOp::Multiply | BinaryOp::Divide | BinaryOp::Modulo,
            ..
        }
        | Expr::Negative(_) => expr.data_type(input) != DataType::Float64,
        Expr::Call { function, .. } => match function.fails {
            Fails::Never => false,
            Fails::Integers => expr.data_type(input) != DataType::Float64,
            Fails::Values => true,
        },
        _ => false,
    };
    fails || expr.children().into_iter().any(|child| can_fail(child, input))
}

fn filtered(input: Plan, conjuncts: Vec<Expr>) -> Plan {
    match join(conjuncts) {
        Some(predicate) => Plan::Filter { input: Box::new(input), predicate },
        None => input,
    }
}
