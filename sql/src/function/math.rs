//! Arithmetic functions, all in DOUBLE except `power` of two integers.

use std::sync::Arc;

use arrow_arith::arity::{binary, try_binary};
use arrow_array::cast::AsArray;
use arrow_array::types::{Float64Type, Int64Type};
use arrow_array::{ArrayRef, PrimitiveArray};
use arrow_cast::cast;
use arrow_schema::{ArrowError, DataType};

use super::definition::Parameter::Double;
use super::definition::{Documentation, Function, call, wrong_arguments};
use crate::error::SqlError;
use crate::error::execution::Result;
use crate::expr::function::{Fails, Kernel, Returns};
use crate::expr::{Scalar, ScalarFunction, Typed};

pub(super) static FUNCTIONS: &[Function] = &[
    Function::columns(Documentation::new("abs", "abs(x)", "Magnitude, DOUBLE."), &[Double], Returns::Double, |args| {
        float_map(args, f64::abs)
    }),
    Function::columns(
        Documentation::new("ceil", "ceil(x)", "Least whole number not below `x`, DOUBLE."),
        &[Double],
        Returns::Double,
        |args| float_map(args, f64::ceil),
    ),
    Function::columns(
        Documentation::new("floor", "floor(x)", "Greatest whole number not above `x`, DOUBLE."),
        &[Double],
        Returns::Double,
        |args| float_map(args, f64::floor),
    ),
    Function::columns(
        Documentation::new("sqrt", "sqrt(x)", "Square root, DOUBLE; NaN below zero."),
        &[Double],
        Returns::Double,
        |args| float_map(args, f64::sqrt),
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
    Ok(call(&ROUND, vec![Double.take("round", value)?, digits]))
}

fn bind_power(_: &str, args: Vec<Typed>, _: &crate::session::Session) -> std::result::Result<Typed, SqlError> {
    if args.len() != 2 {
        return Err(wrong_arguments("power", &args));
    }
    if args.iter().all(|arg| arg.data_type == DataType::Int64) {
        return Ok(call(&POWER, args));
    }
    let args = args.into_iter().map(|arg| Double.take("power", arg)).collect::<std::result::Result<_, _>>()?;
    Ok(call(&POWER, args))
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
    if digits == 0 {
        return value.round();
    }
    // Beyond these a double has no digits to round, or the scale no finite value.
    let scale = 10f64.powi(digits.clamp(-308, 308) as i32);
    let rounded = (value * scale).round() / scale;
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
