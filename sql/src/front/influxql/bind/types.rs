//! The types of InfluxQL (float, integer, unsigned, string and boolean), and what becomes of a value where another type
//! is wanted.

use arrow_schema::DataType;

use crate::expr::Expr;
use crate::expr::constant::null;
use crate::function::arithmetic::TRUNCATE;

/// InfluxQL's name of a type.
pub(super) fn type_name(data_type: &DataType) -> &'static str {
    match data_type {
        DataType::Float64 => "float",
        DataType::Int64 => "integer",
        DataType::UInt64 => "unsigned",
        DataType::Utf8 => "string",
        DataType::Boolean => "boolean",
        _ => "unknown",
    }
}

fn height(data_type: &DataType) -> u8 {
    match data_type {
        DataType::Float64 => 5,
        DataType::Int64 => 4,
        DataType::UInt64 => 3,
        DataType::Utf8 => 2,
        DataType::Boolean => 1,
        _ => 0,
    }
}

/// The type of a column of values of both types.
pub(super) fn higher(one: &DataType, other: &DataType) -> DataType {
    if height(one) >= height(other) { one.clone() } else { other.clone() }
}

/// Whether values are numbers.
pub(super) fn is_number(data_type: &DataType) -> bool {
    height(data_type) >= 3
}

/// A value of a type as one of another: numbers convert, a fraction is dropped, anything else is null. Without a value,
/// null.
pub(super) fn converted(value: Option<(Expr, &DataType)>, to: &DataType) -> Expr {
    match value {
        Some((expr, from)) if from == to => expr,
        Some((expr, DataType::Float64)) if is_number(to) => {
            let whole = Expr::Call { function: &TRUNCATE, args: vec![expr] };
            match to {
                DataType::Int64 => whole,
                to => Expr::Cast { expr: Box::new(whole), to: to.clone() },
            }
        }
        Some((expr, from)) if is_number(from) && is_number(to) => Expr::Cast { expr: Box::new(expr), to: to.clone() },
        _ => null(to.clone()),
    }
}
