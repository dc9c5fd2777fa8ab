//! Constants of an expression, brought together by the rules of InfluxQL's parser.

use crate::front::influxql::ast::{Expr, Literal, Op};
use crate::function::influxql::{Kind, find};

/// Whether it names nothing: a constant, or mathematics of constants.
pub(super) fn is_constant(expr: &Expr) -> bool {
    match expr.bare() {
        Expr::Literal(_) => true,
        Expr::Call { name, args } => {
            find(name).is_some_and(|function| matches!(function.kind, Kind::Math { .. }))
                && args.iter().all(is_constant)
        }
        _ => false,
    }
}

/// The expression with constants joined that stand beside each other.
pub(super) fn reduce(expr: &Expr) -> Expr {
    match expr {
        Expr::Paren(inner) => match reduce(inner) {
            literal @ Expr::Literal(_) => literal,
            inner => Expr::Paren(Box::new(inner)),
        },
        Expr::Call { name, args } => Expr::Call { name: name.clone(), args: args.iter().map(reduce).collect() },
        Expr::Chain { first, rest } => {
            let mut first = reduce(first);
            let mut joined: Vec<(Op, Expr)> = Vec::new();
            for (op, operand) in rest {
                let operand = reduce(operand);
                // Only at the left end: what follows a name is computed with it first.
                match (&first, &operand) {
                    (Expr::Literal(left), Expr::Literal(right)) if joined.is_empty() => {
                        match computed(left, *op, right) {
                            Some(value) => first = Expr::Literal(value),
                            None => joined.push((*op, operand)),
                        }
                    }
                    _ => joined.push((*op, operand)),
                }
            }
            match joined.is_empty() {
                true => first,
                false => Expr::Chain { first: Box::new(first), rest: joined },
            }
        }
        other => other.clone(),
    }
}

fn computed(left: &Literal, op: Op, right: &Literal) -> Option<Literal> {
    let float = |literal: &Literal| match literal {
        Literal::Integer(value) => Some(*value as f64),
        Literal::Unsigned(value) => Some(*value as f64),
        Literal::Number(value) => Some(*value),
        _ => None,
    };
    if let (Literal::Integer(left), Literal::Integer(right)) = (left, right) {
        return Some(match op {
            Op::Add => Literal::Integer(left.wrapping_add(*right)),
            Op::Subtract => Literal::Integer(left.wrapping_sub(*right)),
            Op::Multiply => Literal::Integer(left.wrapping_mul(*right)),
            Op::Divide if *right == 0 => Literal::Number(0.0),
            Op::Divide => Literal::Number(*left as f64 / *right as f64),
            Op::Modulo if *right == 0 => Literal::Integer(0),
            Op::Modulo => Literal::Integer(left.wrapping_rem(*right)),
            Op::BitAnd => Literal::Integer(left & right),
            Op::BitOr => Literal::Integer(left | right),
            Op::BitXor => Literal::Integer(left ^ right),
            _ => return None,
        });
    }
    let (left, right) = (float(left)?, float(right)?);
    Some(Literal::Number(match op {
        Op::Add => left + right,
        Op::Subtract => left - right,
        Op::Multiply => left * right,
        Op::Divide if right == 0.0 => 0.0,
        Op::Divide => left / right,
        Op::Modulo => left % right,
        _ => return None,
    }))
}
