//! Constants as they stand in the text.

use std::sync::Arc;

use arrow_schema::TimeUnit;
use sqlparser::ast;

use crate::error::{SqlError, SqlErrorKind};
use crate::expr::Scalar;
use crate::types::error::ConversionError;
use crate::types::interval::parse_interval;
use crate::types::timestamp::parse_timestamp;
use crate::types::unit::floor_to_unit;

/// The constant that `expr` writes down: a literal, a signed number, TIMESTAMP '…', DATE '…' or INTERVAL '…'. `None`
/// for anything that has to be computed.
pub(super) fn constant(expr: &ast::Expr) -> Option<Result<Scalar, SqlError>> {
    match expr {
        ast::Expr::Value(value) => Some(plain(&value.value)),
        ast::Expr::UnaryOp { op: ast::UnaryOperator::Minus, expr } => match expr.as_ref() {
            ast::Expr::Value(value) => match &value.value {
                ast::Value::Number(digits, _) => Some(number(&format!("-{digits}"))),
                _ => None,
            },
            _ => None,
        },
        // A date is the time at which it begins.
        ast::Expr::TypedString(ast::TypedString {
            data_type: ast::DataType::Timestamp(..) | ast::DataType::Date,
            value,
            ..
        }) => {
            let text = value.value.clone().into_string().unwrap_or_default();
            Some(timestamp(&text))
        }
        ast::Expr::Interval(interval) => interval_literal(interval),
        _ => None,
    }
}

fn plain(value: &ast::Value) -> Result<Scalar, SqlError> {
    match value {
        ast::Value::Number(digits, _) => number(digits),
        ast::Value::SingleQuotedString(text) => Ok(Scalar::Str(Arc::from(text.as_str()))),
        ast::Value::Boolean(value) => Ok(Scalar::Bool(*value)),
        ast::Value::Null => Ok(Scalar::Null),
        other => Err(SqlError::unsupported(format!("the literal {other}"))),
    }
}

/// BIGINT where it fits, then BIGINT UNSIGNED, then DOUBLE.
fn number(digits: &str) -> Result<Scalar, SqlError> {
    if let Ok(value) = digits.parse() {
        return Ok(Scalar::Int(value));
    }
    if let Ok(value) = digits.parse() {
        return Ok(Scalar::UInt(value));
    }
    digits.parse().map(Scalar::Float).map_err(|_| SqlErrorKind::Number(digits.to_owned()).into())
}

/// Text as a nanosecond timestamp.
fn timestamp(text: &str) -> Result<Scalar, SqlError> {
    let ns = parse_timestamp(text).map_err(|error| SqlErrorKind::Constant(error.into()))?;
    match floor_to_unit(ns, TimeUnit::Nanosecond) {
        Some(value) => Ok(Scalar::Time(value, TimeUnit::Nanosecond)),
        None => {
            let error = ConversionError::TimeOutOfRange { text: text.to_owned(), literal: true };
            Err(SqlErrorKind::Constant(error).into())
        }
    }
}

fn interval_literal(interval: &ast::Interval) -> Option<Result<Scalar, SqlError>> {
    if interval.last_field.is_some() || interval.leading_precision.is_some() {
        return Some(Err(SqlError::unsupported("INTERVAL with a range of units")));
    }
    let (sign, value) = match interval.value.as_ref() {
        ast::Expr::UnaryOp { op: ast::UnaryOperator::Minus, expr } => ("-", expr.as_ref()),
        value => ("", value),
    };
    let ast::Expr::Value(value) = value else {
        return Some(Err(SqlError::unsupported("INTERVAL of an expression")));
    };
    let text = match &value.value {
        ast::Value::Number(digits, _) => digits.clone(),
        ast::Value::SingleQuotedString(text) => text.clone(),
        _ => return Some(Err(SqlErrorKind::IntervalValue.into())),
    };
    let unit = interval.leading_field.as_ref().map_or_else(|| "second".to_owned(), ToString::to_string);
    let parsed = parse_interval(&format!("{sign}{text}"), &unit);
    Some(parsed.map(Scalar::from).map_err(|error| SqlErrorKind::IntervalLiteral(error).into()))
}
