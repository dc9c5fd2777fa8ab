//! Rewriting of expressions: putting one list of expressions under another.

use crate::expr::extent::{Extent, SMALL_NODES_MAX};
use crate::expr::{BinaryOp, Expr};

/// `expr` over what `inputs` compute, written over the columns that `inputs` read. `None` when it grows too large:
/// putting a projection under another repeats its expressions wherever they are read, which could double at every level
/// of a nested query.
pub(super) fn substitute(expr: &Expr, inputs: &[Expr]) -> Option<Expr> {
    let mut valid = true;
    // What changes from one evaluation to the next is computed where it stands, and nowhere else.
    expr.for_each_column(&mut |at| valid &= inputs.get(at).is_some_and(|input| !input.is_volatile()));
    // Decided before anything is copied.
    let extents: Vec<Extent> = inputs.iter().map(Extent::of).collect();
    let written = Extent::with_columns(expr, &extents);
    (valid && written.nodes <= SMALL_NODES_MAX && written.is_shallow())
        .then(|| expr.clone().map_columns(&mut |at| inputs[at].clone()))
}

/// Conjunction.
pub(super) fn and(left: Option<Expr>, right: Expr) -> Expr {
    match left {
        None => right,
        Some(left) => Expr::binary(left, BinaryOp::And, right),
    }
}
