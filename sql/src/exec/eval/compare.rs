//! The six comparisons over two columns or constants. DOUBLE values compare as [`float`] says, which is not the order
//! of their bits that arrow's kernels use.

use arrow_array::cast::AsArray;
use arrow_array::types::Float64Type;
use arrow_array::{Array, BooleanArray, Float64Array};
use arrow_buffer::{BooleanBuffer, Buffer, NullBuffer};
use arrow_ord::cmp;
use arrow_schema::DataType;

use super::value::Value;
use crate::error::execution::{ExecError, Result};
use crate::expr::BinaryOp;
use crate::types::float;

/// `left op right`, of operands of one type.
pub(super) fn compare(op: BinaryOp, left: &Value, right: &Value) -> Result<BooleanArray> {
    if let (DataType::Float64, DataType::Float64) = (left.array().data_type(), right.array().data_type()) {
        return floats(op, left, right);
    }
    Ok(match op {
        BinaryOp::Eq => cmp::eq(left, right),
        BinaryOp::NotEq => cmp::neq(left, right),
        BinaryOp::Lt => cmp::lt(left, right),
        BinaryOp::LtEq => cmp::lt_eq(left, right),
        BinaryOp::Gt => cmp::gt(left, right),
        BinaryOp::GtEq => cmp::gt_eq(left, right),
        other => return Err(ExecError::Internal(format!("{other} compares nothing"))),
    }?)
}

fn floats(op: BinaryOp, left: &Value, right: &Value) -> Result<BooleanArray> {
    match op {
        BinaryOp::Eq => test(left, right, float::equal),
        BinaryOp::NotEq => test(left, right, |a, b| !float::equal(a, b)),
        BinaryOp::Lt => test(left, right, float::less),
        BinaryOp::LtEq => test(left, right, |a, b| !float::less(b, a)),
        BinaryOp::Gt => test(left, right, |a, b| float::less(b, a)),
        BinaryOp::GtEq => test(left, right, |a, b| !float::less(a, b)),
        other => Err(ExecError::Internal(format!("{other} compares nothing"))),
    }
}

/// Rows of both operands for which `holds`; null where one of them is.
fn test(left: &Value, right: &Value, holds: impl Fn(f64, f64) -> bool) -> Result<BooleanArray> {
    let of = |value: &Value| -> Float64Array { value.array().as_primitive::<Float64Type>().clone() };
    let (a, b) = (of(left), of(right));
    Ok(match (left, right) {
        (Value::Array(_), Value::Constant(_)) => match b.iter().next().flatten() {
            None => BooleanArray::new_null(a.len()),
            Some(b) => masked(bits(a.values(), |a| holds(a, b)), a.nulls()),
        },
        (Value::Constant(_), Value::Array(_)) => match a.iter().next().flatten() {
            None => BooleanArray::new_null(b.len()),
            Some(a) => masked(bits(b.values(), |b| holds(a, b)), b.nulls()),
        },
        _ if a.len() != b.len() => return Err(ExecError::Internal("columns of two lengths are compared".into())),
        _ => masked(bits_of_two(a.values(), b.values(), holds), NullBuffer::union(a.nulls(), b.nulls()).as_ref()),
    })
}

fn masked(values: BooleanBuffer, nulls: Option<&NullBuffer>) -> BooleanArray {
    BooleanArray::new(values, nulls.cloned())
}

/// One bit a value, 64 of them a word: loops without a check of bounds become vector code.
fn bits(values: &[f64], holds: impl Fn(f64) -> bool) -> BooleanBuffer {
    let word = |chunk: &[f64]| chunk.iter().rev().fold(0u64, |word, &value| word << 1 | u64::from(holds(value)));
    words(values.chunks(64).map(word), values.len())
}

/// The same of two columns of one length.
fn bits_of_two(left: &[f64], right: &[f64], holds: impl Fn(f64, f64) -> bool) -> BooleanBuffer {
    let word = |(left, right): (&[f64], &[f64])| {
        left.iter().zip(right).rev().fold(0u64, |word, (&a, &b)| word << 1 | u64::from(holds(a, b)))
    };
    words(left.chunks(64).zip(right.chunks(64)).map(word), left.len())
}

fn words(words: impl Iterator<Item = u64>, len: usize) -> BooleanBuffer {
    let bytes: Vec<u64> = words.map(u64::to_le).collect();
    BooleanBuffer::new(Buffer::from_vec(bytes), 0, len)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    const SPECIAL: [f64; 9] =
        [0.0, -0.0, f64::NAN, -f64::NAN, f64::INFINITY, f64::NEG_INFINITY, 1.5, -1.5, f64::MIN_POSITIVE];

    fn column(random: &mut fastrand::Rng, rows: usize) -> Float64Array {
        (0..rows).map(|_| (random.u8(0..6) > 0).then(|| SPECIAL[random.usize(0..SPECIAL.len())])).collect()
    }

    #[test]
    fn every_form_of_operands_compares_as_the_order_of_doubles_says() {
        let seed = crate::exec::testing::seed();
        let mut random = fastrand::Rng::with_seed(seed);
        for rows in [0, 1, 63, 64, 65, 130, 1_000] {
            let (a, b) = (column(&mut random, rows), column(&mut random, rows));
            for op in [BinaryOp::Eq, BinaryOp::NotEq, BinaryOp::Lt, BinaryOp::LtEq, BinaryOp::Gt, BinaryOp::GtEq] {
                let expected = |a: Option<f64>, b: Option<f64>| {
                    let order = float::order(a?, b?);
                    Some(match op {
                        BinaryOp::Eq => order.is_eq(),
                        BinaryOp::NotEq => order.is_ne(),
                        BinaryOp::Lt => order.is_lt(),
                        BinaryOp::LtEq => order.is_le(),
                        BinaryOp::Gt => order.is_gt(),
                        _ => order.is_ge(),
                    })
                };
                let array = |of: &Float64Array| Value::Array(Arc::new(of.clone()));
                let found = compare(op, &array(&a), &array(&b)).unwrap();
                let wanted: BooleanArray = a.iter().zip(&b).map(|(a, b)| expected(a, b)).collect();
                assert_eq!(found, wanted, "{op} TIDEWIRE_SEED={seed}");
                for constant in SPECIAL.map(Some).into_iter().chain([None]) {
                    let one = Value::Constant(Arc::new(Float64Array::from(vec![constant])));
                    let wanted: BooleanArray = a.iter().map(|a| expected(a, constant)).collect();
                    assert_eq!(compare(op, &array(&a), &one).unwrap(), wanted, "{op} {constant:?}");
                    let wanted: BooleanArray = a.iter().map(|a| expected(constant, a)).collect();
                    assert_eq!(compare(op, &one, &array(&a)).unwrap(), wanted, "{constant:?} {op}");
                }
            }
        }
    }
}
