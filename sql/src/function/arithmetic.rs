//! Arithmetic that refuses no value: integers wrap, a division by zero gives zero. Both operands are of one type, which
//! is BIGINT, BIGINT UNSIGNED or DOUBLE; of `and`, `or` and `xor` an integer type or BOOLEAN.

use std::sync::Arc;

use arrow_arith::arity::{binary, unary};
use arrow_arith::{bitwise, boolean, numeric};
use arrow_array::cast::AsArray;
use arrow_array::types::{Float64Type, Int64Type, UInt64Type};
use arrow_array::{Array, ArrayRef, BooleanArray, Float64Array, Int64Array, PrimitiveArray, UInt64Array};
use arrow_schema::DataType;

use crate::error::execution::{ExecError, Result};
use crate::expr::ScalarFunction;
use crate::expr::function::{Kernel, Returns};
use crate::types::array::{cast_to, plain, time_parts};

const fn of(name: &'static str, returns: Returns, kernel: fn(&[ArrayRef]) -> Result<ArrayRef>) -> ScalarFunction {
    ScalarFunction::new(name, returns, Kernel::Columns(kernel))
}

pub(crate) static ADD: ScalarFunction =
    of("add", Returns::Argument(0), |args| Ok(numeric::add_wrapping(&args[0], &args[1])?));
pub(crate) static SUBTRACT: ScalarFunction =
    of("subtract", Returns::Argument(0), |args| Ok(numeric::sub_wrapping(&args[0], &args[1])?));
pub(crate) static MULTIPLY: ScalarFunction =
    of("multiply", Returns::Argument(0), |args| Ok(numeric::mul_wrapping(&args[0], &args[1])?));
pub(crate) static DIVIDE: ScalarFunction = of("divide", Returns::Double, divide);
pub(crate) static MODULO: ScalarFunction = of("modulo", Returns::Argument(0), modulo);
pub(crate) static AND: ScalarFunction =
    of("bit_and", Returns::Argument(0), |args| bits(args, |a, b| a & b, Logic::And));
pub(crate) static OR: ScalarFunction = of("bit_or", Returns::Argument(0), |args| bits(args, |a, b| a | b, Logic::Or));
pub(crate) static XOR: ScalarFunction =
    of("bit_xor", Returns::Argument(0), |args| bits(args, |a, b| a ^ b, Logic::Xor));

pub(crate) static ABS: ScalarFunction =
    of("abs", Returns::Argument(0), |args| whole(&args[0], f64::abs, i64::wrapping_abs));
pub(crate) static CEIL: ScalarFunction = of("ceil", Returns::Argument(0), |args| whole(&args[0], f64::ceil, |v| v));
pub(crate) static FLOOR: ScalarFunction = of("floor", Returns::Argument(0), |args| whole(&args[0], f64::floor, |v| v));
pub(crate) static ROUND: ScalarFunction = of("round", Returns::Argument(0), |args| whole(&args[0], f64::round, |v| v));
pub(crate) static ACOS: ScalarFunction = of("acos", Returns::Double, |args| double(args, f64::acos));
pub(crate) static ASIN: ScalarFunction = of("asin", Returns::Double, |args| double(args, f64::asin));
pub(crate) static ATAN: ScalarFunction = of("atan", Returns::Double, |args| double(args, f64::atan));
pub(crate) static ATAN2: ScalarFunction = of("atan2", Returns::Double, |args| doubles(args, f64::atan2));
pub(crate) static COS: ScalarFunction = of("cos", Returns::Double, |args| double(args, f64::cos));
pub(crate) static EXP: ScalarFunction = of("exp", Returns::Double, |args| double(args, f64::exp));
pub(crate) static LN: ScalarFunction = of("ln", Returns::Double, |args| double(args, f64::ln));
pub(crate) static LOG: ScalarFunction = of("log", Returns::Double, |args| doubles(args, |x, base| x.ln() / base.ln()));
pub(crate) static LOG2: ScalarFunction = of("log2", Returns::Double, |args| double(args, f64::log2));
pub(crate) static LOG10: ScalarFunction = of("log10", Returns::Double, |args| double(args, log10));
pub(crate) static POW: ScalarFunction = of("pow", Returns::Double, |args| doubles(args, power));
pub(crate) static SIN: ScalarFunction = of("sin", Returns::Double, |args| double(args, f64::sin));
pub(crate) static SQRT: ScalarFunction = of("sqrt", Returns::Double, |args| double(args, f64::sqrt));
pub(crate) static TAN: ScalarFunction = of("tan", Returns::Double, |args| double(args, f64::tan));

/// By way of the base 2 and the parts of the number, as InfluxDB computes it: the last digit depends on it.
fn log10(x: f64) -> f64 {
    const FRACTION_BITS: u32 = f64::MANTISSA_DIGITS - 1;
    const FRACTION: u64 = (1 << FRACTION_BITS) - 1;
    // The exponent of numbers from a half to one.
    const HALF: u64 = 1_022;
    if !x.is_normal() || x < 0.0 {
        return x.log10();
    }
    let fraction = f64::from_bits(x.to_bits() & FRACTION | HALF << FRACTION_BITS);
    let exponent = (x.to_bits() >> FRACTION_BITS) as f64 - HALF as f64;
    let binary = match fraction == 0.5 {
        true => exponent - 1.0,
        false => fraction.ln() * (1.0 / std::f64::consts::LN_2) + exponent,
    };
    binary * std::f64::consts::LOG10_2
}

/// A power as InfluxDB computes it: squares for the whole part of the exponent, and an exponential for the rest, which
/// is at most a half. At the borders of what a number holds, the processor's.
fn power(x: f64, y: f64) -> f64 {
    let (whole, rest) = (y.abs().trunc(), y.abs().fract());
    if !x.is_finite() || x == 0.0 || x < 0.0 && rest != 0.0 || whole.is_nan() || whole >= 1e9 {
        return x.powf(y);
    }
    if rest == 0.5 && whole == 0.0 {
        return if y > 0.0 { x.sqrt() } else { 1.0 / x.sqrt() };
    }
    let (mut exponent, rest) = if rest > 0.5 { (whole as u64 + 1, rest - 1.0) } else { (whole as u64, rest) };
    let mut product = if rest == 0.0 { 1.0 } else { (rest * x.ln()).exp() };
    let mut square = x;
    while exponent > 0 {
        if exponent & 1 == 1 {
            product *= square;
        }
        square *= square;
        exponent >>= 1;
    }
    let power = if y < 0.0 { 1.0 / product } else { product };
    if product.is_normal() && power.is_normal() { power } else { x.powf(y) }
}

fn floats(args: &[ArrayRef], at: usize) -> Result<Float64Array> {
    Ok(cast_to(&args[at], &DataType::Float64)?.as_primitive::<Float64Type>().clone())
}

/// A result that is no number is null.
fn numbers(values: Float64Array) -> ArrayRef {
    if values.values().iter().any(|value| value.is_nan()) {
        return Arc::new(values.iter().map(|value| value.filter(|value| !value.is_nan())).collect::<Float64Array>());
    }
    Arc::new(values)
}

fn double(args: &[ArrayRef], of: fn(f64) -> f64) -> Result<ArrayRef> {
    Ok(numbers(unary(&floats(args, 0)?, of)))
}

fn doubles(args: &[ArrayRef], of: impl Fn(f64, f64) -> f64) -> Result<ArrayRef> {
    Ok(numbers(binary(&floats(args, 0)?, &floats(args, 1)?, of)?))
}

/// Of an integer an integer.
fn whole(arg: &ArrayRef, of_float: fn(f64) -> f64, of_int: fn(i64) -> i64) -> Result<ArrayRef> {
    Ok(match arg.data_type() {
        DataType::Int64 => Arc::new(unary::<_, _, Int64Type>(arg.as_primitive::<Int64Type>(), of_int)),
        DataType::UInt64 => Arc::clone(arg),
        _ => double(std::slice::from_ref(arg), of_float)?,
    })
}

fn divide(args: &[ArrayRef]) -> Result<ArrayRef> {
    doubles(args, |one, other| if other == 0.0 { 0.0 } else { one / other })
}

fn modulo(args: &[ArrayRef]) -> Result<ArrayRef> {
    let (one, other) = (&args[0], &args[1]);
    Ok(match one.data_type() {
        DataType::Int64 => {
            let (one, other) = (one.as_primitive::<Int64Type>(), other.as_primitive::<Int64Type>());
            let rest: Int64Array = binary(one, other, |a, b: i64| if b == 0 { 0 } else { a.wrapping_rem(b) })?;
            Arc::new(rest)
        }
        DataType::UInt64 => {
            let (one, other) = (one.as_primitive::<UInt64Type>(), other.as_primitive::<UInt64Type>());
            let rest: UInt64Array = binary(one, other, |a, b: u64| a.checked_rem(b).unwrap_or(0))?;
            Arc::new(rest)
        }
        _ => doubles(args, |one, other| one % other)?,
    })
}

#[derive(Clone, Copy)]
enum Logic {
    And,
    Or,
    Xor,
}

fn bits(args: &[ArrayRef], of: fn(u64, u64) -> u64, logic: Logic) -> Result<ArrayRef> {
    let (one, other) = (&args[0], &args[1]);
    Ok(match one.data_type() {
        DataType::Boolean => {
            let (one, other) = (one.as_boolean(), other.as_boolean());
            let result: BooleanArray = match logic {
                Logic::And => boolean::and(one, other)?,
                Logic::Or => boolean::or(one, other)?,
                Logic::Xor => one.iter().zip(other).map(|(one, other)| Some(one? != other?)).collect(),
            };
            Arc::new(result)
        }
        DataType::UInt64 => {
            let bits: UInt64Array = binary(one.as_primitive::<UInt64Type>(), other.as_primitive::<UInt64Type>(), of)?;
            Arc::new(bits)
        }
        DataType::Int64 => {
            let (one, other) = (one.as_primitive::<Int64Type>(), other.as_primitive::<Int64Type>());
            Arc::new(match logic {
                Logic::And => bitwise::bitwise_and(one, other)?,
                Logic::Or => bitwise::bitwise_or(one, other)?,
                Logic::Xor => bitwise::bitwise_xor(one, other)?,
            })
        }
        other => return Err(ExecError::Internal(format!("bits of {other}"))),
    })
}

/// BIGINT from DOUBLE, the fraction dropped; what is out of range is the nearest that is in it.
pub(crate) static TRUNCATE: ScalarFunction = of("truncate", Returns::BigInt, |args| {
    let whole: PrimitiveArray<Int64Type> = unary(&floats(args, 0)?, |value| value as i64);
    Ok(Arc::new(whole))
});

/// `[time, text]`: a number that looks like chance, the same for the same arguments.
pub(crate) static SAMPLED: ScalarFunction = of("sampled", Returns::BigInt, |args| {
    let (times, ..) = time_parts(&args[0])?;
    let texts = plain(&args[1])?;
    let texts = texts.as_string::<i32>();
    let mixed = times.iter().zip(texts).map(|(time, text)| {
        let text = text
            .unwrap_or_default()
            .bytes()
            .fold(*time as u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3));
        // The finalizer of splitmix64.
        let mixed = (text ^ (text >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        Some((mixed ^ (mixed >> 31)) as i64)
    });
    Ok(Arc::new(mixed.collect::<Int64Array>()))
});

#[cfg(test)]
mod tests {
    use super::*;

    fn ints(values: [i64; 3]) -> ArrayRef {
        Arc::new(Int64Array::from(values.to_vec()))
    }

    fn int(function: &ScalarFunction, one: [i64; 3], other: [i64; 3]) -> Vec<i64> {
        let Kernel::Columns(kernel) = function.kernel else { panic!("{function:?}") };
        kernel(&[ints(one), ints(other)]).unwrap().as_primitive::<Int64Type>().values().to_vec()
    }

    #[test]
    fn integers_wrap_and_zero_divides() {
        assert_eq!(int(&ADD, [i64::MAX, 1, -1], [7, 2, 1]), [i64::MIN + 6, 3, 0]);
        assert_eq!(int(&MULTIPLY, [i64::MAX, 3, 0], [2, -2, 5]), [-2, -6, 0]);
        assert_eq!(int(&MODULO, [7, -7, i64::MIN], [0, 2, -1]), [0, -1, 0]);
        assert_eq!(int(&XOR, [7, 1, 0], [2, 1, 5]), [5, 0, 5]);
        let divided = divide(&[ints([7, -7, 1]), ints([2, 2, 0])]).unwrap();
        assert_eq!(divided.as_primitive::<Float64Type>().values().to_vec(), [3.5, -3.5, 0.0]);
        let roots = double(&[ints([4, -1, 0])], f64::sqrt).unwrap();
        assert_eq!(roots.as_primitive::<Float64Type>().iter().collect::<Vec<_>>(), [Some(2.0), None, Some(0.0)]);
    }
}
