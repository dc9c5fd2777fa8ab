//! Rewriting of expressions: putting one list of expressions under another.

use crate::expr::{BinaryOp, Expr};

/// Largest expression that folding may make. Putting a projection under another repeats its expressions wherever they
/// are read, which could double at every level of a nested query.
const NODES_MAX: usize = 512;

/// `expr` over what `inputs` compute, written over the columns that `inputs` read. `None` when it grows too large.
pub(super) fn substitute(expr: &Expr, inputs: &[Expr]) -> Option<Expr> {
    let mut nodes = size(expr);
    let mut valid = true;
    expr.for_each_column(&mut |at| match inputs.get(at) {
        Some(input) => nodes += size(input),
        None => valid = false,
    });
    // Decided before anything is copied.
    (valid && nodes <= NODES_MAX).then(|| expr.clone().map_columns(&mut |at| inputs[at].clone()))
}

/// Conjunction.
pub(super) fn and(left: Option<Expr>, right: Expr) -> Expr {
    match left {
        None => right,
        Some(left) => Expr::binary(left, BinaryOp::And, right),
    }
}

fn size(expr: &Expr) -> usize {
    1 + expr.children().into_iter().map(size).sum::<usize>()
}
