//! Arithmetic functions, all in DOUBLE except those of whole numbers: `power` of two integers, `factorial`, `gcd` and
//! `lcm`. A function of DOUBLE gives NaN or an infinity where it has no value, never an error.

use std::sync::Arc;

use arrow_arith::arity::{binary, try_binary};
use arrow_array::cast::AsArray;
use arrow_array::types::{Float64Type, Int64Type};
use arrow_array::{ArrayRef, Float64Array, PrimitiveArray};
use arrow_cast::cast;
use arrow_schema::{ArrowError, DataType};

use super::definition::Parameter::{BigInt, Double};
use super::definition::{Documentation, Function, Signature, call, exactly, wrong_arguments};
use super::rows::{floats, ints};
use crate::error::SqlError;
use crate::error::execution::Result;
use crate::expr::function::{Fails, Kernel, Returns};
use crate::expr::{Scalar, ScalarFunction, Typed};

/// A function of one DOUBLE, in DOUBLE.
macro_rules! of_double {
    ($name:literal, $usage:literal, $text:literal, $of:expr) => {
        Function::columns(Documentation::new($name, $usage, $text), &[Double], Returns::Double, |args| {
            float_map(args, $of)
        })
    };
}

pub(super) static FUNCTIONS: &[Function] = &[
    of_double!("abs", "abs(x)", "Magnitude, DOUBLE.", f64::abs),
    of_double!("ceil", "ceil(x)", "Least whole number not below `x`, DOUBLE.", f64::ceil),
    of_double!("floor", "floor(x)", "Greatest whole number not above `x`, DOUBLE.", f64::floor),
    of_double!("signum", "signum(x)", "-1, 0 or 1 as `x` is below zero, zero or above, DOUBLE.", signum),
    of_double!("sqrt", "sqrt(x)", "Square root, DOUBLE; NaN below zero.", f64::sqrt),
    of_double!("cbrt", "cbrt(x)", "Cube root, DOUBLE.", f64::cbrt),
    of_double!("exp", "exp(x)", "e to the power of `x`, DOUBLE.", f64::exp),
    of_double!("ln", "ln(x)", "Natural logarithm, DOUBLE; NaN below zero.", f64::ln),
    of_double!("log2", "log2(x)", "Logarithm to base 2, DOUBLE; NaN below zero.", f64::log2),
    of_double!("log10", "log10(x)", "Logarithm to base 10, DOUBLE; NaN below zero.", f64::log10),
    Function::of(
        Documentation::new("log", "log([base,] x)", "Logarithm of `x` to a base, 10 without, DOUBLE; NaN below zero."),
        Signature::at_least(1, &[Double, Double]),
        ScalarFunction::new("log", Returns::Double, Kernel::Columns(log)),
    ),
    of_double!("sin", "sin(x)", "Sine of an angle in radians, DOUBLE.", f64::sin),
    of_double!("cos", "cos(x)", "Cosine of an angle in radians, DOUBLE.", f64::cos),
    of_double!("tan", "tan(x)", "Tangent of an angle in radians, DOUBLE.", f64::tan),
    of_double!("asin", "asin(x)", "Angle in radians whose sine is `x`, DOUBLE; NaN beyond 1.", f64::asin),
    of_double!("acos", "acos(x)", "Angle in radians whose cosine is `x`, DOUBLE; NaN beyond 1.", f64::acos),
    of_double!("atan", "atan(x)", "Angle in radians whose tangent is `x`, DOUBLE.", f64::atan),
    Function::columns(
        Documentation::new("atan2", "atan2(y, x)", "Angle in radians of the point (x, y), from -pi to pi, DOUBLE."),
        &[Double, Double],
        Returns::Double,
        |args| {
            let angles: Float64Array = binary(&floats(args, 0)?, &floats(args, 1)?, f64::atan2)?;
            Ok(Arc::new(angles))
        },
    ),
    of_double!("sinh", "sinh(x)", "Hyperbolic sine, DOUBLE.", f64::sinh),
    of_double!("cosh", "cosh(x)", "Hyperbolic cosine, DOUBLE.", f64::cosh),
    of_double!("tanh", "tanh(x)", "Hyperbolic tangent, DOUBLE.", f64::tanh),
    of_double!("asinh", "asinh(x)", "Inverse hyperbolic sine, DOUBLE.", f64::asinh),
    of_double!("acosh", "acosh(x)", "Inverse hyperbolic cosine, DOUBLE; NaN below 1.", f64::acosh),
    of_double!("atanh", "atanh(x)", "Inverse hyperbolic tangent, DOUBLE; NaN beyond 1.", f64::atanh),
    of_double!("degrees", "degrees(x)", "An angle in radians in degrees, DOUBLE.", f64::to_degrees),
    of_double!("radians", "radians(x)", "An angle in degrees in radians, DOUBLE.", f64::to_radians),
    Function::own(
        Documentation::new("pi", "pi()", "The ratio of a circle's girth to its diameter, DOUBLE."),
        |name, args, _| exactly::<0>(name, args).map(|[]| Typed::literal(Scalar::Float(std::f64::consts::PI))),
    ),
    Function::own(
        Documentation::new(
            "round",
            "round(x[, digits])",
            "`x` rounded to digits after the point (0 without), halves away from zero, DOUBLE; negative digits round \
             left of the point.",
        ),
        bind_round,
    ),
    Function::of(
        Documentation::new(
            "trunc",
            "trunc(x[, digits])",
            "`x` cut off after digits after the point (0 without), DOUBLE; negative digits cut left of the point.",
        ),
        Signature::at_least(1, &[Double, BigInt]),
        ScalarFunction::new("trunc", Returns::Double, Kernel::Columns(trunc)),
    ),
    Function::of(
        Documentation::new(
            "factorial",
            "factorial(i)",
            "Product of the integers from 1 to `i`, BIGINT; beyond 20 it is an error.",
        ),
        Signature::of(&[BigInt]),
        of_integers("factorial", |args| {
            let numbers = ints(args, 0)?;
            Ok(Arc::new(numbers.try_unary::<_, Int64Type, ArrowError>(factorial)?))
        }),
    ),
    Function::of(
        Documentation::new("gcd", "gcd(i, j)", "Greatest common divisor of two integers, BIGINT."),
        Signature::of(&[BigInt, BigInt]),
        of_integers("gcd", |args| two_integers(args, |a, b| i64::try_from(gcd(a, b)).ok(), "gcd")),
    ),
    Function::of(
        Documentation::new("lcm", "lcm(i, j)", "Least common multiple of two integers, BIGINT."),
        Signature::of(&[BigInt, BigInt]),
        of_integers("lcm", |args| two_integers(args, lcm, "lcm")),
    ),
    Function::own(
        Documentation::new("power", "power(x, y)", "`x` to the power of `y`: of two integers BIGINT, else DOUBLE.")
            .aliases(&["pow"]),
        bind_power,
    ),
];

static ROUND: ScalarFunction = ScalarFunction::new("round", Returns::Double, Kernel::Columns(round));

/// Integers that overflow, and a negative exponent of integers, are errors.
static POWER: ScalarFunction = ScalarFunction {
    fails: Fails::Integers,
    ..ScalarFunction::new("power", Returns::Argument(0), Kernel::Columns(power))
};

fn bind_round(_: &str, args: Vec<Typed>, _: &crate::session::Session) -> std::result::Result<Typed, SqlError> {
    let mut args = args.into_iter();
    let (Some(value), digits, None) = (args.next(), args.next(), args.next()) else {
        return Err(wrong_arguments("round", &[]));
    };
    let digits = match digits {
        Some(digits) if digits.data_type == DataType::Int64 => digits,
        Some(digits) => return Err(wrong_arguments("round", &[value, digits])),
        None => Typed::literal(Scalar::Int(0)),
    };
    Ok(call(&ROUND, vec![Double.take_for("round", value)?, digits]))
}

fn bind_power(_: &str, args: Vec<Typed>, _: &crate::session::Session) -> std::result::Result<Typed, SqlError> {
    if args.len() != 2 {
        return Err(wrong_arguments("power", &args));
    }
    if args.iter().all(|arg| arg.data_type == DataType::Int64) {
        return Ok(call(&POWER, args));
    }
    let args = args.into_iter().map(|arg| Double.take_for("power", arg)).collect::<std::result::Result<_, _>>()?;
    Ok(call(&POWER, args))
}

/// A function of integers that may overflow.
const fn of_integers(name: &'static str, kernel: fn(&[ArrayRef]) -> Result<ArrayRef>) -> ScalarFunction {
    ScalarFunction { fails: Fails::Integers, ..ScalarFunction::new(name, Returns::BigInt, Kernel::Columns(kernel)) }
}

/// An integer of two, or the overflow of `name`.
fn two_integers(args: &[ArrayRef], of: impl Fn(i64, i64) -> Option<i64>, name: &str) -> Result<ArrayRef> {
    let numbers: PrimitiveArray<Int64Type> = try_binary(&ints(args, 0)?, &ints(args, 1)?, |a, b| {
        of(a, b).ok_or_else(|| ArrowError::ArithmeticOverflow(format!("Overflow happened on: {name}({a}, {b})")))
    })?;
    Ok(Arc::new(numbers))
}

fn factorial(of: i64) -> std::result::Result<i64, ArrowError> {
    (2..=of)
        .try_fold(1_i64, i64::checked_mul)
        .ok_or_else(|| ArrowError::ArithmeticOverflow(format!("Overflow happened on: factorial({of})")))
}

fn gcd(one: i64, other: i64) -> u64 {
    let (mut a, mut b) = (one.unsigned_abs(), other.unsigned_abs());
    while b != 0 {
        (a, b) = (b, a % b);
    }
    a
}

fn lcm(one: i64, other: i64) -> Option<i64> {
    if one == 0 || other == 0 {
        return Some(0);
    }
    (one.unsigned_abs() / gcd(one, other)).checked_mul(other.unsigned_abs()).and_then(|lcm| i64::try_from(lcm).ok())
}

fn signum(x: f64) -> f64 {
    if x == 0.0 { 0.0 } else { x.signum() }
}

fn log(args: &[ArrayRef]) -> Result<ArrayRef> {
    let first = floats(args, 0)?;
    if args.len() < 2 {
        return Ok(Arc::new(first.unary::<_, Float64Type>(f64::log10)));
    }
    let logarithms: Float64Array = binary(&first, &floats(args, 1)?, |base: f64, x: f64| match base {
        2.0 => x.log2(),
        10.0 => x.log10(),
        base => x.log(base),
    })?;
    Ok(Arc::new(logarithms))
}

/// `trunc(x, digits)`, towards zero.
fn trunc(args: &[ArrayRef]) -> Result<ArrayRef> {
    let values = floats(args, 0)?;
    if args.len() < 2 {
        return Ok(Arc::new(values.unary::<_, Float64Type>(f64::trunc)));
    }
    let cut: Float64Array = binary(&values, &ints(args, 1)?, |value, digits| at_digit(value, digits, f64::trunc))?;
    Ok(Arc::new(cut))
}

/// `f` of every value, as DOUBLE.
fn float_map(args: &[ArrayRef], f: impl Fn(f64) -> f64) -> Result<ArrayRef> {
    let floats = cast(&args[0], &DataType::Float64)?;
    let mapped: PrimitiveArray<Float64Type> = floats.as_primitive::<Float64Type>().unary(f);
    Ok(Arc::new(mapped))
}

/// `round(x, digits)`, halves away from zero; negative digits round left of the point.
fn round(args: &[ArrayRef]) -> Result<ArrayRef> {
    let (values, digits) = (cast(&args[0], &DataType::Float64)?, cast(&args[1], &DataType::Int64)?);
    let rounded: PrimitiveArray<Float64Type> =
        binary(values.as_primitive::<Float64Type>(), digits.as_primitive::<Int64Type>(), round_one)?;
    Ok(Arc::new(rounded))
}

fn round_one(value: f64, digits: i64) -> f64 {
    at_digit(value, digits, f64::round)
}

/// `of` a value whose unit is the digit at this place after the point.
fn at_digit(value: f64, digits: i64, of: fn(f64) -> f64) -> f64 {
    if digits == 0 {
        return of(value);
    }
    // Beyond these a double has no digits to round, or the scale no finite value.
    let scale = 10f64.powi(digits.clamp(-308, 308) as i32);
    let rounded = of(value * scale) / scale;
    if rounded.is_finite() { rounded } else { value }
}

/// `power(x, y)`: of two integers an integer, else DOUBLE.
fn power(args: &[ArrayRef]) -> Result<ArrayRef> {
    let (base, exponent) = (&args[0], &args[1]);
    let integers = base.data_type().is_integer() && exponent.data_type().is_integer();
    if integers {
        let (base, exponent) = (cast(base, &DataType::Int64)?, cast(exponent, &DataType::Int64)?);
        let powers: PrimitiveArray<Int64Type> =
            try_binary(base.as_primitive::<Int64Type>(), exponent.as_primitive::<Int64Type>(), |b, e| {
                let e = u32::try_from(e)
                    .map_err(|_| ArrowError::ComputeError(format!("power: exponent {e} is out of range")))?;
                b.checked_pow(e)
                    .ok_or_else(|| ArrowError::ArithmeticOverflow(format!("Overflow happened on: {b} ^ {e}")))
            })?;
        return Ok(Arc::new(powers));
    }
    let (base, exponent) = (cast(base, &DataType::Float64)?, cast(exponent, &DataType::Float64)?);
    let powers: PrimitiveArray<Float64Type> =
        binary(base.as_primitive::<Float64Type>(), exponent.as_primitive::<Float64Type>(), f64::powf)?;
    Ok(Arc::new(powers))
}

#[cfg(test)]
mod tests {
    use arrow_array::{Float64Array, Int64Array};

    use super::*;

    #[test]
    fn overflow_is_an_error() {
        let (two, large): (ArrayRef, ArrayRef) =
            (Arc::new(Int64Array::from(vec![2])), Arc::new(Int64Array::from(vec![63])));
        assert!(power(&[two, large]).unwrap_err().to_string().contains("Overflow"));
    }

    #[test]
    fn nulls_stay_null_and_digits_round_both_ways() {
        let values: ArrayRef = Arc::new(Float64Array::from(vec![Some(1234.567), None, Some(-2.5)]));
        let digits = |digits| Arc::new(Int64Array::from_value(digits, 3)) as ArrayRef;
        let rounded =
            |d| round(&[values.clone(), digits(d)]).unwrap().as_primitive::<Float64Type>().iter().collect::<Vec<_>>();
        assert_eq!(rounded(0), [Some(1235.0), None, Some(-3.0)]);
        assert_eq!(rounded(2), [Some(1234.57), None, Some(-2.5)]);
        assert_eq!(rounded(-2), [Some(1200.0), None, Some(-0.0)]);
        assert_eq!(rounded(400), [Some(1234.567), None, Some(-2.5)], "more digits than a double has");
    }
}
