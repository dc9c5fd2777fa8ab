//! Operands of different types brought to one, as DataFusion 27 does it where that is exact, exactly where it is not.
//!
//! | left, right | compared as |
//! |---|---|
//! | equal types | that type |
//! | number, DOUBLE | DOUBLE |
//! | integer, constant of another number type | the integer's type; the constant moves to a whole number in range |
//! | BIGINT, BIGINT UNSIGNED | 20-digit decimal |
//! | time, text literal or other unit | the column's unit; a finer constant moves to the next one the unit has |
//! | time, integer | the column's unit |
//! | number or boolean, text literal | the column's type |
//! | other, text | text |

use arrow_schema::{DataType, TimeUnit};

use super::cast::cast;
use super::constant::null;
use super::operator::BinaryOp;
use super::scalar::Scalar;
use super::tree::Expr;
use super::typed::Typed;
use crate::error::{SqlError, SqlErrorKind};
use crate::types::timestamp::parse_timestamp;
use crate::types::unit::unit_ns;

/// The wider integers' common ground: every BIGINT and BIGINT UNSIGNED is a decimal of 20 digits.
const ALL_INTEGERS: DataType = DataType::Decimal128(20, 0);

/// `typed` converted to `to`; a constant is converted here and now.
pub(crate) fn convert(typed: Typed, to: &DataType) -> Result<Expr, SqlError> {
    if typed.data_type == *to {
        return Ok(typed.expr);
    }
    if let Some(value) = typed.constant() {
        match cast(&value, to) {
            Ok(Some(Scalar::Null)) => return Ok(null(to.clone())),
            Ok(Some(value)) => return Ok(Expr::Literal(value)),
            Ok(None) => {}
            Err(error) => return Err(SqlErrorKind::Constant(error).into()),
        }
    }
    Ok(Expr::Cast { expr: Box::new(typed.expr), to: to.clone() })
}

/// `CAST(typed AS to)`.
pub(crate) fn explicit_cast(typed: Typed, to: DataType) -> Result<Typed, SqlError> {
    no_window(&typed)?;
    if !casts(&typed.data_type, &to) {
        return Err(SqlErrorKind::Cast { from: typed.data_type, to }.into());
    }
    Ok(Typed::new(convert(typed, &to)?, to))
}

/// Whether CAST converts between these types.
pub(crate) fn casts(from: &DataType, to: &DataType) -> bool {
    use DataType::{Int64, Interval, Null, Struct, Timestamp, Utf8};
    match (from, to) {
        (from, to) if from == to => true,
        (Struct(_), _) => false,
        (Null | Utf8, _) | (_, Utf8) | (Timestamp(..), Int64 | Timestamp(..)) | (Int64, Timestamp(..)) => true,
        (Timestamp(..) | Interval(_), _) | (_, Timestamp(..) | Interval(_)) => false,
        _ => true,
    }
}

fn is_number(data_type: &DataType) -> bool {
    matches!(data_type, DataType::Int64 | DataType::UInt64 | DataType::Float64)
}

/// Whether the operand is an integer literal that BIGINT UNSIGNED holds.
fn fits_unsigned(typed: &Typed) -> bool {
    matches!(typed.constant(), Some(Scalar::Int(value)) if value >= 0)
}

/// `left op right` for the six comparisons.
pub(crate) fn comparison(op: BinaryOp, left: Typed, right: Typed) -> Result<Expr, SqlError> {
    use DataType::{Float64, Int64, Null, Timestamp, UInt64, Utf8};
    no_window(&left)?;
    no_window(&right)?;
    match (&left.data_type, &right.data_type) {
        (Timestamp(unit, _), Timestamp(other, _)) if unit != other => {
            let (unit, other) = (*unit, *other);
            if let Some(Scalar::Time(value, _)) = right.constant() {
                return Ok(time_comparison(op, left.expr, unit, i128::from(value) * i128::from(unit_ns(other))));
            }
            if let Some(Scalar::Time(value, _)) = left.constant() {
                let ns = i128::from(value) * i128::from(unit_ns(unit));
                return Ok(time_comparison(op.swapped(), right.expr, other, ns));
            }
        }
        (Timestamp(unit, _), Utf8) => {
            let unit = *unit;
            if let Some(Scalar::Str(text)) = right.constant() {
                let ns = parse_timestamp(&text).map_err(|error| SqlErrorKind::Constant(error.into()))?;
                return Ok(time_comparison(op, left.expr, unit, ns));
            }
        }
        (Utf8 | Int64 | UInt64, Timestamp(..)) => return comparison(op.swapped(), right, left),
        (Null, Null) => return Ok(null(DataType::Boolean)),
        (Int64 | UInt64, Int64 | UInt64 | Float64) if left.data_type != right.data_type => {
            if left.constant().is_none()
                && let Some(expr) = integer_comparison(op, &left, &right)
            {
                return Ok(expr);
            }
            if right.constant().is_none() && right.data_type != Float64 && left.constant().is_some() {
                return comparison(op.swapped(), right, left);
            }
        }
        (Float64, Int64 | UInt64) if right.constant().is_none() && left.constant().is_some() => {
            return comparison(op.swapped(), right, left);
        }
        _ => {}
    }
    let target = comparable(&left, &right)
        .ok_or_else(|| SqlError::new(SqlErrorKind::Comparison(left.data_type.clone(), op, right.data_type.clone())))?;
    Ok(Expr::binary(convert(left, &target)?, op, convert(right, &target)?))
}

/// The type in which two operands are compared.
pub(crate) fn comparable(left: &Typed, right: &Typed) -> Option<DataType> {
    use DataType::{Boolean, Float64, Int64, Interval, Null, Timestamp, UInt64, Utf8};
    Some(match (&left.data_type, &right.data_type) {
        (a, b) if a == b => a.clone(),
        (Null, other) | (other, Null) => other.clone(),
        (Float64, Int64 | UInt64) | (Int64 | UInt64, Float64) => Float64,
        (UInt64, Int64) if fits_unsigned(right) => UInt64,
        (Int64, UInt64) if fits_unsigned(left) => UInt64,
        (Int64, UInt64) | (UInt64, Int64) => ALL_INTEGERS,
        (Timestamp(a, _), Timestamp(b, _)) => Timestamp(finer(*a, *b), None),
        (time @ Timestamp(..), Int64 | UInt64 | Utf8) | (Int64 | UInt64 | Utf8, time @ Timestamp(..)) => time.clone(),
        (other, Utf8) if is_number(other) || matches!(other, Boolean | Interval(_)) => with_text(other, right),
        (Utf8, other) if is_number(other) || matches!(other, Boolean | Interval(_)) => with_text(other, left),
        _ => return None,
    })
}

/// Type for comparing `other` with `text`: a literal follows the other side, a DOUBLE where it has a fraction.
fn with_text(other: &DataType, text: &Typed) -> DataType {
    match text.constant() {
        Some(value @ Scalar::Str(_)) => {
            let fails = cast(&value, other).is_err();
            if fails && is_number(other) && cast(&value, &DataType::Float64).is_ok() {
                DataType::Float64
            } else {
                other.clone()
            }
        }
        _ => DataType::Utf8,
    }
}

fn finer(a: TimeUnit, b: TimeUnit) -> TimeUnit {
    if unit_ns(a) < unit_ns(b) { a } else { b }
}

/// `time op ns` where `time` counts in `unit`: the constant need not be a whole number of units, nor in range.
fn time_comparison(op: BinaryOp, time: Expr, unit: TimeUnit, ns: i128) -> Expr {
    let unit_length = i128::from(unit_ns(unit));
    let bound = Bounded { least: i64::MIN.into(), greatest: i64::MAX.into(), floor: ns.div_euclid(unit_length) };
    bound.compare(op, time, ns % unit_length == 0, |value| Scalar::Time(i64::try_from(value).unwrap_or(i64::MAX), unit))
}

/// An integer operand against a constant of another number type, without converting every row: `i > 90.5` is `i > 90`.
/// `None` where the constant is no such number.
fn integer_comparison(op: BinaryOp, left: &Typed, right: &Typed) -> Option<Expr> {
    let (floor, exact) = match right.constant()? {
        #[expect(clippy::cast_possible_truncation, reason = "the bound keeps it within i128")]
        // Beyond 2^64 every integer is on one side, and the constant stays a double.
        Scalar::Float(value) if value.abs() < 36_893_488_147_419_103_232.0 => {
            (value.floor() as i128, value.fract() == 0.0)
        }
        Scalar::Int(value) => (value.into(), true),
        Scalar::UInt(value) => (value.into(), true),
        _ => return None,
    };
    let operand = left.expr.clone();
    match left.data_type {
        DataType::Int64 => {
            let bound = Bounded { least: i64::MIN.into(), greatest: i64::MAX.into(), floor };
            let literal = |value| Scalar::Int(i64::try_from(value).unwrap_or(i64::MAX));
            Some(bound.compare(op, operand, exact, literal))
        }
        DataType::UInt64 => {
            let bound = Bounded { least: 0, greatest: u64::MAX.into(), floor };
            let literal = |value| Scalar::UInt(u64::try_from(value).unwrap_or(u64::MAX));
            Some(bound.compare(op, operand, exact, literal))
        }
        _ => None,
    }
}

/// A constant, rounded down to a whole number, against operands in `least..=greatest`.
struct Bounded {
    least: i128,
    greatest: i128,
    floor: i128,
}

impl Bounded {
    /// `operand op constant`, where `exact` says that the constant was whole. What is true (or false) for all
    /// operands is still null for a null.
    fn compare(self, op: BinaryOp, operand: Expr, exact: bool, literal: impl Fn(i128) -> Scalar) -> Expr {
        let Self { least, greatest, floor } = self;
        let compare = |op, value| Expr::binary(operand, op, Expr::Literal(literal(value)));
        // Above all, all of them compare less; the other way round below.
        let outside = if floor > greatest {
            Some(matches!(op, BinaryOp::Lt | BinaryOp::LtEq | BinaryOp::NotEq))
        } else if floor < least {
            Some(matches!(op, BinaryOp::Gt | BinaryOp::GtEq | BinaryOp::NotEq))
        } else if exact {
            None
        } else {
            match op {
                BinaryOp::Eq => Some(false),
                BinaryOp::NotEq => Some(true),
                _ => None,
            }
        };
        match (outside, op) {
            (Some(true), _) => compare(BinaryOp::LtEq, greatest),
            (Some(false), _) => compare(BinaryOp::Gt, greatest),
            (None, op) if exact => compare(op, floor),
            (None, BinaryOp::Lt | BinaryOp::LtEq) => compare(BinaryOp::LtEq, floor),
            (None, _) => compare(BinaryOp::Gt, floor),
        }
    }
}

/// `left op right` for `+ - * / %`.
pub(crate) fn arithmetic(op: BinaryOp, left: Typed, right: Typed) -> Result<Typed, SqlError> {
    use DataType::{Float64, Int64, Interval, Null, Timestamp, UInt64};
    no_window(&left)?;
    no_window(&right)?;
    let additive = matches!(op, BinaryOp::Plus | BinaryOp::Minus);
    let target = match (&left.data_type, &right.data_type) {
        (Timestamp(..), Interval(_)) if additive => {
            let data_type = left.data_type.clone();
            return Ok(Typed::new(Expr::binary(left.expr, op, right.expr), data_type));
        }
        (Interval(_), Timestamp(..)) if op == BinaryOp::Plus => {
            let data_type = right.data_type.clone();
            return Ok(Typed::new(Expr::binary(right.expr, op, left.expr), data_type));
        }
        (Timestamp(a, _), Timestamp(b, _)) if op == BinaryOp::Minus => {
            let common = Timestamp(finer(*a, *b), None);
            let expr = Expr::binary(convert(left, &common)?, op, convert(right, &common)?);
            return Ok(Typed::new(expr, Interval(arrow_schema::IntervalUnit::MonthDayNano)));
        }
        (Interval(_), Interval(_)) if additive => left.data_type.clone(),
        (Float64, b) if is_number(b) => Float64,
        (a, Float64) if is_number(a) => Float64,
        (UInt64, UInt64) => UInt64,
        (Int64 | UInt64, Int64 | UInt64) => Int64,
        (Null, other) | (other, Null) if is_number(other) => other.clone(),
        (Null, Null) => Int64,
        (a, b) => {
            return Err(SqlErrorKind::Arithmetic(a.clone(), op, b.clone()).into());
        }
    };
    Ok(Typed::new(Expr::binary(convert(left, &target)?, op, convert(right, &target)?), target))
}

/// The one type of values that stand for each other (branches of CASE, arguments of COALESCE), and the values in it.
pub(crate) fn unify(values: Vec<Typed>, what: &'static str) -> Result<(Vec<Expr>, DataType), SqlError> {
    use DataType::{Float64, Int64, Null, Timestamp, UInt64, Utf8};
    let mut target = Null;
    for value in &values {
        no_window(value)?;
        target = match (target, &value.data_type) {
            (a, b) if a == *b => a,
            (Null, other) => other.clone(),
            (a, Null) => a,
            (a, b) if is_number(&a) && is_number(b) => {
                if a == Float64 || *b == Float64 {
                    Float64
                } else {
                    Int64
                }
            }
            (Timestamp(a, _), Timestamp(b, _)) => Timestamp(finer(a, *b), None),
            (Utf8, b) if is_number(b) => Utf8,
            (a, Utf8) if is_number(&a) => Utf8,
            (a, b) => {
                return Err(SqlErrorKind::Branches { of: what, types: [a, b.clone()] }.into());
            }
        };
    }
    debug_assert!(target != UInt64 || values.iter().all(|v| matches!(v.data_type, UInt64 | Null)));
    let exprs = values.into_iter().map(|value| convert(value, &target)).collect::<Result<_, _>>()?;
    Ok((exprs, target))
}

/// A BOOLEAN operand; `place` is the clause or operator that wants it.
pub(crate) fn boolean(typed: Typed, place: &'static str) -> Result<Expr, SqlError> {
    match typed.data_type {
        DataType::Boolean => Ok(typed.expr),
        DataType::Null => Ok(null(DataType::Boolean)),
        found => Err(SqlErrorKind::NotBoolean { place, found }.into()),
    }
}

/// Refuses a window where a plain value must stand.
pub(crate) fn no_window(typed: &Typed) -> Result<(), SqlError> {
    if typed.window_ns.is_some() {
        return Err(SqlErrorKind::WindowAsValue.into());
    }
    Ok(())
}
