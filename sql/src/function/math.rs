//! Arithmetic functions, all in DOUBLE except `power` of two integers.

use std::sync::Arc;

use arrow_arith::arity::{binary, try_binary};
use arrow_array::cast::AsArray;
use arrow_array::types::{Float64Type, Int64Type};
use arrow_array::{Array, ArrayRef, PrimitiveArray};
use arrow_cast::cast;
use arrow_schema::{ArrowError, DataType};

use crate::exec::error::Result;

/// `f` of every value, as DOUBLE.
pub(crate) fn float_map(array: &dyn Array, f: impl Fn(f64) -> f64) -> Result<ArrayRef> {
    let floats = cast(array, &DataType::Float64)?;
    let mapped: PrimitiveArray<Float64Type> = floats.as_primitive::<Float64Type>().unary(f);
    Ok(Arc::new(mapped))
}

/// `round(x, digits)`, halves away from zero; negative digits round left of the point.
pub(crate) fn round(values: &ArrayRef, digits: &ArrayRef) -> Result<ArrayRef> {
    let (values, digits) = (cast(values, &DataType::Float64)?, cast(digits, &DataType::Int64)?);
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
pub(crate) fn power(base: &ArrayRef, exponent: &ArrayRef) -> Result<ArrayRef> {
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
        assert!(power(&two, &large).unwrap_err().to_string().contains("Overflow"));
    }

    #[test]
    fn nulls_stay_null_and_digits_round_both_ways() {
        let values: ArrayRef = Arc::new(Float64Array::from(vec![Some(1234.567), None, Some(-2.5)]));
        let digits = |digits| Arc::new(Int64Array::from_value(digits, 3)) as ArrayRef;
        let rounded = |d| round(&values, &digits(d)).unwrap().as_primitive::<Float64Type>().iter().collect::<Vec<_>>();
        assert_eq!(rounded(0), [Some(1235.0), None, Some(-3.0)]);
        assert_eq!(rounded(2), [Some(1234.57), None, Some(-2.5)]);
        assert_eq!(rounded(-2), [Some(1200.0), None, Some(-0.0)]);
        assert_eq!(rounded(400), [Some(1234.567), None, Some(-2.5)], "more digits than a double has");
    }
}
