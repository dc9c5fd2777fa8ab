//! `[NOT] IN (…)`: short or computed lists by comparison, long constant lists through a set.

use std::collections::HashSet;
use std::hash::Hash;
use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::{Int64Type, UInt64Type};
use arrow_array::{ArrayRef, BooleanArray};
use arrow_schema::DataType;

use super::binary::binary;
use super::value::{Evaluate, Input, Value};
use crate::exec::error::{ExecError, Result};
use crate::expr::{BinaryOp, Expr, Scalar};
use crate::types::array::over_distinct;

/// Above this many constants one probe of a set costs less than comparing with each.
const COMPARED_MAX: usize = 8;

/// Evaluates `expr IN (list)`. Null when `expr` is null, or when nothing is equal and an element is null.
pub(super) fn in_list(
    evaluate: Evaluate,
    expr: &Expr,
    list: &[Expr],
    negated: bool,
    input: Input<'_>,
) -> Result<Value> {
    let value = evaluate(expr, input)?;
    let found = match (&value, constant_list(list)) {
        (Value::Array(array), Some(constants)) if list.len() > COMPARED_MAX && has_set(array.data_type()) => {
            Value::Array(over_distinct(array, |values| probe(values, &constants))?)
        }
        _ => compare(evaluate, &value, list, input)?,
    };
    if !negated {
        return Ok(found);
    }
    let invert =
        |array: &ArrayRef| -> Result<ArrayRef> { Ok(Arc::new(arrow_arith::boolean::not(array.as_boolean())?)) };
    Ok(match &found {
        Value::Array(array) => Value::Array(invert(array)?),
        Value::Constant(array) => Value::Constant(invert(array)?),
    })
}

fn constant_list(list: &[Expr]) -> Option<Vec<&Scalar>> {
    list.iter().map(|e| if let Expr::Literal(scalar) = e { Some(scalar) } else { None }).collect()
}

fn compare(evaluate: Evaluate, value: &Value, list: &[Expr], input: Input<'_>) -> Result<Value> {
    let mut found = Value::Constant(Arc::new(BooleanArray::from(vec![false])));
    for element in list {
        let equal = binary(BinaryOp::Eq, value.clone(), evaluate(element, input)?, input.rows)?;
        found = binary(BinaryOp::Or, found, equal, input.rows)?;
    }
    Ok(found)
}

/// Types that [`probe`] knows.
fn has_set(data_type: &DataType) -> bool {
    match data_type {
        DataType::Int64 | DataType::UInt64 | DataType::Utf8 => true,
        DataType::Dictionary(_, value) => **value == DataType::Utf8,
        _ => false,
    }
}

/// Membership of integers or text in a set.
fn probe(values: &ArrayRef, constants: &[&Scalar]) -> Result<ArrayRef> {
    let has_null = constants.iter().any(|c| matches!(c, Scalar::Null));
    Ok(Arc::new(match values.data_type() {
        DataType::Int64 => {
            let set = collect(constants, |c| if let Scalar::Int(v) = c { Some(*v) } else { None });
            members(values.as_primitive::<Int64Type>().iter(), &set, has_null)
        }
        DataType::UInt64 => {
            let set = collect(constants, |c| if let Scalar::UInt(v) = c { Some(*v) } else { None });
            members(values.as_primitive::<UInt64Type>().iter(), &set, has_null)
        }
        DataType::Utf8 => {
            let set = collect(constants, |c| if let Scalar::Str(v) = c { Some(&**v) } else { None });
            members(values.as_string::<i32>().iter(), &set, has_null)
        }
        other => return Err(ExecError::Internal(format!("no set of {other}"))),
    }))
}

fn collect<'a, T: Hash + Eq>(constants: &[&'a Scalar], pick: impl Fn(&'a Scalar) -> Option<T>) -> HashSet<T> {
    constants.iter().filter_map(|c| pick(c)).collect()
}

fn members<T: Hash + Eq>(values: impl Iterator<Item = Option<T>>, set: &HashSet<T>, has_null: bool) -> BooleanArray {
    values
        .map(|value| match value {
            None => None,
            Some(value) if set.contains(&value) => Some(true),
            Some(_) if has_null => None,
            Some(_) => Some(false),
        })
        .collect()
}
