//! Conversion of constants.

use arrow_schema::DataType;

use super::scalar::Scalar;
use crate::types::error::ConversionError;
use crate::types::interval::parse_interval;
use crate::types::timestamp::parse_timestamp;
use crate::types::unit::{floor_to_unit, unit_ns};

/// Converts a constant as the executor's CAST would. `Ok(None)`: left to the executor.
pub(crate) fn cast(value: &Scalar, to: &DataType) -> Result<Option<Scalar>, ConversionError> {
    if *value == Scalar::Null || value.data_type() == *to {
        return Ok(Some(value.clone()));
    }
    let too_large =
        |value: &dyn std::fmt::Display| Err(ConversionError::OutOfRange { value: value.to_string(), to: to.clone() });
    Ok(match (value, to) {
        (Scalar::Str(text), _) => return cast_text(text, to),
        (Scalar::Bool(value), DataType::Int64) => Some(Scalar::Int(i64::from(*value))),
        (Scalar::Bool(value), DataType::UInt64) => Some(Scalar::UInt(u64::from(*value))),
        (Scalar::Bool(value), DataType::Float64) => Some(Scalar::Float(if *value { 1.0 } else { 0.0 })),
        (Scalar::Bool(value), DataType::Utf8) => Some(Scalar::Str(value.to_string().into())),
        (Scalar::Int(value), DataType::Boolean) => Some(Scalar::Bool(*value != 0)),
        (Scalar::Int(value), DataType::UInt64) => match u64::try_from(*value) {
            Ok(value) => Some(Scalar::UInt(value)),
            Err(_) => return too_large(value),
        },
        #[expect(clippy::cast_precision_loss, reason = "rounding to the nearest double is what the cast means")]
        (Scalar::Int(value), DataType::Float64) => Some(Scalar::Float(*value as f64)),
        (Scalar::Int(value), DataType::Utf8) => Some(Scalar::Str(value.to_string().into())),
        (Scalar::Int(value), DataType::Timestamp(unit, None)) => Some(Scalar::Time(*value, *unit)),
        (Scalar::UInt(value), DataType::Int64) => match i64::try_from(*value) {
            Ok(value) => Some(Scalar::Int(value)),
            Err(_) => return too_large(value),
        },
        #[expect(clippy::cast_precision_loss, reason = "rounding to the nearest double is what the cast means")]
        (Scalar::UInt(value), DataType::Float64) => Some(Scalar::Float(*value as f64)),
        (Scalar::UInt(value), DataType::Utf8) => Some(Scalar::Str(value.to_string().into())),
        (Scalar::Float(value), DataType::Int64) => {
            // 2^63 is a double; every double below it fits.
            #[expect(clippy::cast_possible_truncation, reason = "in range, the fraction is dropped as CAST does")]
            if *value >= -9_223_372_036_854_775_808.0 && *value < 9_223_372_036_854_775_808.0 {
                Some(Scalar::Int(*value as i64))
            } else {
                return too_large(value);
            }
        }
        (Scalar::Float(value), DataType::UInt64) =>
        {
            #[expect(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "in range, the fraction is dropped as CAST does"
            )]
            if *value > -1.0 && *value < 18_446_744_073_709_551_616.0 {
                Some(Scalar::UInt(*value as u64))
            } else {
                return too_large(value);
            }
        }
        (Scalar::Time(value, _), DataType::Int64) => Some(Scalar::Int(*value)),
        (Scalar::Time(value, from), DataType::Timestamp(to, None)) => {
            let ns = i128::from(*value) * i128::from(unit_ns(*from));
            let unit = i128::from(unit_ns(*to));
            match i64::try_from(ns / unit) {
                Ok(exact) if ns % unit == 0 => Some(Scalar::Time(exact, *to)),
                _ => None,
            }
        }
        _ => None,
    })
}

fn cast_text(text: &str, to: &DataType) -> Result<Option<Scalar>, ConversionError> {
    let no_value = || ConversionError::Text { text: text.to_owned(), to: to.clone() };
    Ok(Some(match to {
        DataType::Int64 => Scalar::Int(text.trim().parse().map_err(|_| no_value())?),
        DataType::UInt64 => Scalar::UInt(text.trim().parse().map_err(|_| no_value())?),
        DataType::Float64 => Scalar::Float(text.trim().parse().map_err(|_| no_value())?),
        DataType::Boolean => Scalar::Bool(match text.trim().to_ascii_lowercase().as_str() {
            "true" | "t" | "yes" | "y" | "on" | "1" => true,
            "false" | "f" | "no" | "n" | "off" | "0" => false,
            _ => return Err(no_value()),
        }),
        DataType::Timestamp(unit, None) => {
            let out_of_range = || ConversionError::TimeOutOfRange { text: text.to_owned(), literal: false };
            let ns = parse_timestamp(text)?;
            Scalar::Time(floor_to_unit(ns, *unit).ok_or_else(out_of_range)?, *unit)
        }
        DataType::Interval(_) => Scalar::from(parse_interval(text, "second")?),
        _ => return Ok(None),
    }))
}

#[cfg(test)]
mod tests {
    use arrow_schema::TimeUnit;

    use super::*;

    #[test]
    fn text_is_cast() {
        let text = |text: &str| Scalar::Str(text.into());
        assert_eq!(cast(&text("12"), &DataType::Int64), Ok(Some(Scalar::Int(12))));
        assert_eq!(
            cast(&text("abc"), &DataType::Int64),
            Err(ConversionError::Text { text: "abc".to_owned(), to: DataType::Int64 })
        );
        assert_eq!(cast(&text("yes"), &DataType::Boolean), Ok(Some(Scalar::Bool(true))));
        assert_eq!(
            cast(&text("1970-01-01 00:00:01.9999"), &DataType::Timestamp(TimeUnit::Millisecond, None)),
            Ok(Some(Scalar::Time(1_999, TimeUnit::Millisecond)))
        );
    }

    #[test]
    fn numbers_are_cast_where_they_fit() {
        assert_eq!(cast(&Scalar::Float(1.7), &DataType::Int64), Ok(Some(Scalar::Int(1))));
        assert_eq!(cast(&Scalar::Float(-0.5), &DataType::UInt64), Ok(Some(Scalar::UInt(0))));
        assert!(cast(&Scalar::Float(f64::NAN), &DataType::Int64).is_err());
        assert!(cast(&Scalar::Float(1e19), &DataType::Int64).is_err());
        assert!(cast(&Scalar::Int(-1), &DataType::UInt64).is_err());
        assert_eq!(cast(&Scalar::Float(0.1), &DataType::Utf8), Ok(None));
    }
}
