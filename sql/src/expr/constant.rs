//! Expressions without columns, decided before anything runs.
//!
//! [`evaluate`] knows only what it can do exactly as the executor's kernels would; whatever else (overflow, division by
//! zero, float to text) stays as it is, and the executor decides or fails.
//! A null keeps its type as `CAST(NULL AS type)`.

use std::cmp::Ordering;

use arrow_schema::{DataType, Schema};

use super::cast::cast;
use super::operator::BinaryOp;
use super::scalar::Scalar;
use super::tree::Expr;
use crate::types::float;
use crate::types::interval::add_interval;
use crate::types::unit::unit_ns;

/// The null of a type.
pub(crate) fn null(data_type: DataType) -> Expr {
    match data_type {
        DataType::Null => Expr::Literal(Scalar::Null),
        to => Expr::Cast { expr: Box::new(Expr::Literal(Scalar::Null)), to },
    }
}

/// The value of a literal or typed null.
pub(crate) fn as_constant(expr: &Expr) -> Option<&Scalar> {
    match expr {
        Expr::Literal(value) => Some(value),
        Expr::Cast { expr, .. } => match expr.as_ref() {
            Expr::Literal(Scalar::Null) => Some(&Scalar::Null),
            _ => None,
        },
        _ => None,
    }
}

/// The value of an expression whose operands are constants, as a literal or typed null; `None` where it is not to be
/// decided here.
pub(crate) fn evaluate(expr: &Expr) -> Option<Expr> {
    let data_type = || expr.data_type(&Schema::empty());
    let value = match expr {
        Expr::Column(_) | Expr::Literal(_) => return None,
        Expr::Cast { expr, to } => {
            if as_constant(expr)? == &Scalar::Null {
                return match expr.as_ref() {
                    Expr::Literal(Scalar::Null) => None,
                    _ => Some(null(to.clone())),
                };
            }
            cast(as_constant(expr)?, to).ok()??
        }
        Expr::Binary { op, left, right } => binary(*op, as_constant(left)?, as_constant(right)?)?,
        Expr::Not(operand) => match as_constant(operand)? {
            Scalar::Bool(value) => Scalar::Bool(!value),
            Scalar::Null => Scalar::Null,
            _ => return None,
        },
        Expr::Negative(operand) => match as_constant(operand)? {
            Scalar::Int(value) => Scalar::Int(value.checked_neg()?),
            Scalar::Float(value) => Scalar::Float(-value),
            Scalar::Null => Scalar::Null,
            value => Scalar::from(value.interval()?.negated()?),
        },
        Expr::IsNull(operand) => Scalar::Bool(*as_constant(operand)? == Scalar::Null),
        Expr::IsNotNull(operand) => Scalar::Bool(*as_constant(operand)? != Scalar::Null),
        Expr::Like { .. } | Expr::InSet { .. } => return None,
        Expr::Matches { expr, pattern, negated } => match as_constant(expr)? {
            Scalar::Str(text) => Scalar::Bool(pattern.is_match(text) != *negated),
            Scalar::Null => Scalar::Null,
            _ => return None,
        },
        Expr::InList { expr, list, negated } => in_list(as_constant(expr)?, list, *negated)?,
        Expr::Case { branches, otherwise } => return case(branches, otherwise.as_deref(), data_type),
        Expr::Coalesce(operands) => {
            let values: Option<Vec<_>> = operands.iter().map(as_constant).collect();
            values?.into_iter().find(|value| **value != Scalar::Null).unwrap_or(&Scalar::Null).clone()
        }
        Expr::Call { function, args } => {
            let fold = function.fold?;
            let values: Option<Vec<_>> = args.iter().map(as_constant).collect();
            fold(&values?)?
        }
    };
    Some(match value {
        Scalar::Null => null(data_type()),
        value => Expr::Literal(value),
    })
}

fn binary(op: BinaryOp, left: &Scalar, right: &Scalar) -> Option<Scalar> {
    match op {
        BinaryOp::And | BinaryOp::Or => return logic(op, left, right),
        _ if *left == Scalar::Null || *right == Scalar::Null => return Some(Scalar::Null),
        BinaryOp::Concat => match (left, right) {
            (Scalar::Str(left), Scalar::Str(right)) => return Some(Scalar::Str(format!("{left}{right}").into())),
            _ => return None,
        },
        BinaryOp::Plus | BinaryOp::Minus | BinaryOp::Multiply | BinaryOp::Divide | BinaryOp::Modulo => {
            return arithmetic(op, left, right);
        }
        _ => {}
    }
    let order = compare(left, right)?;
    Some(Scalar::Bool(match op {
        BinaryOp::Eq => order == Ordering::Equal,
        BinaryOp::NotEq => order != Ordering::Equal,
        BinaryOp::Lt => order == Ordering::Less,
        BinaryOp::LtEq => order != Ordering::Greater,
        BinaryOp::Gt => order == Ordering::Greater,
        BinaryOp::GtEq => order != Ordering::Less,
        _ => return None,
    }))
}

/// Three-valued AND and OR of constants.
fn logic(op: BinaryOp, left: &Scalar, right: &Scalar) -> Option<Scalar> {
    let truth = |value: &Scalar| match value {
        Scalar::Bool(value) => Some(Some(*value)),
        Scalar::Null => Some(None),
        _ => None,
    };
    let decisive = op == BinaryOp::Or;
    let (left, right) = (truth(left)?, truth(right)?);
    Some(if left == Some(decisive) || right == Some(decisive) {
        Scalar::Bool(decisive)
    } else if left.is_none() || right.is_none() {
        Scalar::Null
    } else {
        Scalar::Bool(!decisive)
    })
}

/// Order of two constants of one type; `None` where kernels may see it otherwise.
fn compare(left: &Scalar, right: &Scalar) -> Option<Ordering> {
    match (left, right) {
        (Scalar::Bool(left), Scalar::Bool(right)) => Some(left.cmp(right)),
        (Scalar::Int(left), Scalar::Int(right)) => Some(left.cmp(right)),
        (Scalar::UInt(left), Scalar::UInt(right)) => Some(left.cmp(right)),
        (Scalar::Float(left), Scalar::Float(right)) => Some(float::order(*left, *right)),
        (Scalar::Str(left), Scalar::Str(right)) => Some(left.cmp(right)),
        (Scalar::Time(left, unit), Scalar::Time(right, other)) => {
            let ns = |value: i64, unit| i128::from(value) * i128::from(unit_ns(unit));
            Some(ns(*left, *unit).cmp(&ns(*right, *other)))
        }
        _ => None,
    }
}

fn arithmetic(op: BinaryOp, left: &Scalar, right: &Scalar) -> Option<Scalar> {
    Some(match (left, right) {
        (Scalar::Int(a), Scalar::Int(b)) => Scalar::Int(match op {
            BinaryOp::Plus => a.checked_add(*b)?,
            BinaryOp::Minus => a.checked_sub(*b)?,
            BinaryOp::Multiply => a.checked_mul(*b)?,
            BinaryOp::Divide => a.checked_div(*b)?,
            _ => a.checked_rem(*b)?,
        }),
        (Scalar::UInt(a), Scalar::UInt(b)) => Scalar::UInt(match op {
            BinaryOp::Plus => a.checked_add(*b)?,
            BinaryOp::Minus => a.checked_sub(*b)?,
            BinaryOp::Multiply => a.checked_mul(*b)?,
            BinaryOp::Divide => a.checked_div(*b)?,
            _ => a.checked_rem(*b)?,
        }),
        (Scalar::Float(a), Scalar::Float(b)) => Scalar::Float(match op {
            BinaryOp::Plus => a + b,
            BinaryOp::Minus => a - b,
            BinaryOp::Multiply => a * b,
            BinaryOp::Divide if *b != 0.0 => a / b,
            BinaryOp::Modulo if *b != 0.0 => a % b,
            _ => return None,
        }),
        (Scalar::Time(time, unit), interval @ Scalar::Interval { .. }) => {
            let interval = interval.interval()?;
            let interval = if op == BinaryOp::Minus { interval.negated()? } else { interval };
            Scalar::Time(add_interval(*time, *unit, interval)?, *unit)
        }
        (interval @ Scalar::Interval { .. }, Scalar::Time(time, unit)) if op == BinaryOp::Plus => {
            Scalar::Time(add_interval(*time, *unit, interval.interval()?)?, *unit)
        }
        (left @ Scalar::Interval { .. }, right @ Scalar::Interval { .. }) => {
            let right = right.interval()?;
            let right = if op == BinaryOp::Minus { right.negated()? } else { right };
            Scalar::from(left.interval()?.plus(right)?)
        }
        _ => return None,
    })
}

fn in_list(value: &Scalar, list: &[Expr], negated: bool) -> Option<Scalar> {
    if *value == Scalar::Null {
        return Some(Scalar::Null);
    }
    let mut unknown = false;
    for item in list {
        match as_constant(item)? {
            Scalar::Null => unknown = true,
            item => {
                if compare(value, item)? == Ordering::Equal {
                    return Some(Scalar::Bool(!negated));
                }
            }
        }
    }
    Some(if unknown { Scalar::Null } else { Scalar::Bool(negated) })
}

/// The branch that a CASE with constant conditions takes. Where it takes none it is a null of the branches' type, which
/// is not known here of what reads columns.
fn case(branches: &[(Expr, Expr)], otherwise: Option<&Expr>, data_type: impl FnOnce() -> DataType) -> Option<Expr> {
    for (condition, value) in branches {
        if *as_constant(condition)? == Scalar::Bool(true) {
            return Some(value.clone());
        }
    }
    if otherwise.is_some() {
        return otherwise.cloned();
    }
    let mut reads_columns = false;
    branches.iter().for_each(|(_, value)| value.for_each_column(&mut |_| reads_columns = true));
    (!reads_columns).then(|| null(data_type()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn int(value: i64) -> Expr {
        Expr::Literal(Scalar::Int(value))
    }

    fn evaluated(left: Expr, op: BinaryOp, right: Expr) -> Option<Expr> {
        evaluate(&Expr::binary(left, op, right))
    }

    #[test]
    fn arithmetic_stops_before_what_kernels_refuse() {
        assert_eq!(evaluated(int(7), BinaryOp::Divide, int(2)), Some(int(3)));
        assert_eq!(evaluated(int(-7), BinaryOp::Modulo, int(2)), Some(int(-1)));
        assert_eq!(evaluated(int(7), BinaryOp::Divide, int(0)), None);
        assert_eq!(evaluated(int(i64::MAX), BinaryOp::Plus, int(1)), None);
    }

    #[test]
    fn nulls_keep_their_type() {
        let null_int = || null(DataType::Int64);
        assert_eq!(evaluated(null_int(), BinaryOp::Plus, int(1)), Some(null_int()));
        assert_eq!(evaluated(null_int(), BinaryOp::Lt, int(1)), Some(null(DataType::Boolean)));
        assert_eq!(evaluate(&Expr::IsNull(Box::new(null_int()))), Some(Expr::Literal(Scalar::Bool(true))));
        assert_eq!(evaluate(&null_int()), None);
    }

    #[test]
    fn logic_has_three_values() {
        let truth = |value: Option<bool>| match value {
            Some(value) => Expr::Literal(Scalar::Bool(value)),
            None => null(DataType::Boolean),
        };
        for (left, right, and, or) in [
            (Some(true), None, None, Some(true)),
            (Some(false), None, Some(false), None),
            (None, None, None, None),
            (Some(true), Some(false), Some(false), Some(true)),
        ] {
            assert_eq!(evaluated(truth(left), BinaryOp::And, truth(right)), Some(truth(and)));
            assert_eq!(evaluated(truth(right), BinaryOp::Or, truth(left)), Some(truth(or)));
        }
    }
}
