//! Predicates as lists of conjuncts.

use crate::expr::{BinaryOp, Expr};

/// The operands of a chain of ANDs, left to right.
pub(crate) fn split(predicate: Expr) -> Vec<Expr> {
    split_by(BinaryOp::And, predicate)
}

/// The operands of a chain of `op`s, left to right.
pub(crate) fn split_by(op: BinaryOp, expr: Expr) -> Vec<Expr> {
    let mut operands = Vec::new();
    let mut stack = vec![expr];
    while let Some(expr) = stack.pop() {
        match expr {
            Expr::Binary { op: found, left, right } if found == op => {
                stack.push(*right);
                stack.push(*left);
            }
            other => operands.push(other),
        }
    }
    operands
}

/// The same of an expression that stays.
pub(crate) fn operands(op: BinaryOp, expr: &Expr) -> impl Iterator<Item = &Expr> {
    let mut stack = vec![expr];
    std::iter::from_fn(move || {
        loop {
            match stack.pop()? {
                Expr::Binary { op: found, left, right } if *found == op => stack.extend([&**right, left]),
                other => return Some(other),
            }
        }
    })
}

/// The conjunction of all; `None` of none.
pub(crate) fn join(conjuncts: Vec<Expr>) -> Option<Expr> {
    balanced(BinaryOp::And, conjuncts)
}

/// `a op b op …` as a balanced tree, so that long chains stay shallow; `None` of no operand. AND and OR are
/// associative, three-valued too.
pub(crate) fn balanced(op: BinaryOp, mut operands: Vec<Expr>) -> Option<Expr> {
    while operands.len() > 1 {
        let mut pairs = Vec::with_capacity(operands.len().div_ceil(2));
        let mut rest = operands.into_iter();
        while let Some(left) = rest.next() {
            pairs.push(match rest.next() {
                Some(right) => Expr::binary(left, op, right),
                None => left,
            });
        }
        operands = pairs;
    }
    operands.pop()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn split_undoes_join() {
        let operands: Vec<_> = (0..37).map(Expr::Column).collect();
        let joined = join(operands.clone()).unwrap();
        assert!(super::operands(BinaryOp::And, &joined).eq(&operands));
        assert_eq!(split(joined), operands);
        assert_eq!(join(Vec::new()), None);
    }
}
