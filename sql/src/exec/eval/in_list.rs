//! `[NOT] IN (…)`: lists by comparison, sets of constants by looking up.

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::{Int64Type, UInt64Type};
use arrow_array::{ArrayRef, BooleanArray};
use arrow_schema::DataType;

use super::binary::binary;
use super::value::{Evaluate, Input, Value};
use crate::error::execution::{ExecError, Result};
use crate::expr::constant_set::{ConstantSet, Members};
use crate::expr::{BinaryOp, Expr};
use crate::types::array::over_distinct;

/// Evaluates `expr IN (list)`. Null when `expr` is null, or when nothing is equal and an element is null.
pub(super) fn in_list(
    evaluate: Evaluate,
    expr: &Expr,
    list: &[Expr],
    negated: bool,
    input: Input<'_>,
) -> Result<Value> {
    let value = evaluate(expr, input)?;
    let mut found = Value::Constant(Arc::new(BooleanArray::from(vec![false])));
    for element in list {
        found = or_equal(found, &value, evaluate(element, input)?, input)?;
    }
    if negated { invert(&found) } else { Ok(found) }
}

/// The same for a set of constants.
pub(super) fn in_set(
    evaluate: Evaluate,
    expr: &Expr,
    set: &ConstantSet,
    negated: bool,
    input: Input<'_>,
) -> Result<Value> {
    let value = evaluate(expr, input)?;
    let found = match &value {
        Value::Array(array) if is_of(array.data_type(), set) => {
            Value::Array(over_distinct(array, |values| probe(values, set))?)
        }
        Value::Constant(array) if is_of(array.data_type(), set) => {
            Value::Constant(over_distinct(array, |values| probe(values, set))?)
        }
        // A column of typeless nulls.
        _ => {
            let mut found = Value::Constant(Arc::new(BooleanArray::from(vec![false])));
            for element in set.constants() {
                let element = Expr::Literal(element);
                found = or_equal(found, &value, evaluate(&element, input)?, input)?;
            }
            found
        }
    };
    if negated { invert(&found) } else { Ok(found) }
}

/// `found OR value = element`.
fn or_equal(found: Value, value: &Value, element: Value, input: Input<'_>) -> Result<Value> {
    let equal = binary(BinaryOp::Eq, value.clone(), element, input)?;
    binary(BinaryOp::Or, found, equal, input)
}

fn invert(found: &Value) -> Result<Value> {
    let not = |array: &ArrayRef| -> Result<ArrayRef> { Ok(Arc::new(arrow_arith::boolean::not(array.as_boolean())?)) };
    Ok(match found {
        Value::Array(array) => Value::Array(not(array)?),
        Value::Constant(array) => Value::Constant(not(array)?),
    })
}

/// Whether values of this type can be members.
fn is_of(data_type: &DataType, set: &ConstantSet) -> bool {
    match (data_type, &set.members) {
        (DataType::Int64, Members::Int(_)) | (DataType::UInt64, Members::UInt(_)) => true,
        (DataType::Utf8, Members::Str(_)) => true,
        (DataType::Dictionary(_, value), Members::Str(_)) => **value == DataType::Utf8,
        _ => false,
    }
}

/// Membership of integers or text.
fn probe(values: &ArrayRef, set: &ConstantSet) -> Result<ArrayRef> {
    let has_null = set.has_null();
    Ok(Arc::new(match (values.data_type(), &set.members) {
        (DataType::Int64, Members::Int(set)) => {
            members(values.as_primitive::<Int64Type>().iter(), |value| set.contains(&value), has_null)
        }
        (DataType::UInt64, Members::UInt(set)) => {
            members(values.as_primitive::<UInt64Type>().iter(), |value| set.contains(&value), has_null)
        }
        (DataType::Utf8, Members::Str(set)) => {
            members(values.as_string::<i32>().iter(), |value| set.contains(value), has_null)
        }
        (other, _) => return Err(ExecError::Internal(format!("no set of {other}"))),
    }))
}

fn members<T>(values: impl Iterator<Item = Option<T>>, contains: impl Fn(T) -> bool, has_null: bool) -> BooleanArray {
    values
        .map(|value| match contains(value?) {
            true => Some(true),
            false if has_null => None,
            false => Some(false),
        })
        .collect()
}
