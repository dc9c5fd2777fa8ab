//! Operators over two columns or constants.

use std::sync::Arc;

use arrow_arith::boolean::{and_kleene, or_kleene};
use arrow_arith::numeric;
use arrow_array::cast::AsArray;
use arrow_array::{Array, ArrayRef, BooleanArray, new_null_array};
use arrow_schema::DataType;
use arrow_select::filter::prep_null_mask_filter;

use super::compare::compare;
use super::concat::concat;
use super::value::{Input, Value};
use crate::error::execution::{ExecError, Result};
use crate::expr::BinaryOp;
use crate::types::array::difference;

/// Evaluates an operator over two columns or constants.
pub(super) fn binary(op: BinaryOp, left: Value, right: Value, input: Input<'_>) -> Result<Value> {
    if matches!(op, BinaryOp::And | BinaryOp::Or)
        && let Some(decided) = decided(op, &left, &right)?
    {
        return Ok(decided);
    }
    let (left, right) = same_type(op, left, right)?;
    let compared = |array: BooleanArray| -> Result<ArrayRef> { Ok(Arc::new(array)) };
    let array = match op {
        BinaryOp::Eq | BinaryOp::NotEq | BinaryOp::Lt | BinaryOp::LtEq | BinaryOp::Gt | BinaryOp::GtEq => {
            compared(compare(op, &left, &right)?)
        }
        BinaryOp::Plus => Ok(numeric::add(&left, &right)?),
        BinaryOp::Minus if is_time(&left) && is_time(&right) => {
            let rows = rows_of(&left, &right, input.rows);
            let expanded = |value: &Value| value.clone().into_array(rows, input.room);
            difference(&expanded(&left)?, &expanded(&right)?)
        }
        BinaryOp::Minus => Ok(numeric::sub(&left, &right)?),
        BinaryOp::Multiply => Ok(numeric::mul(&left, &right)?),
        BinaryOp::Divide => Ok(numeric::div(&left, &right)?),
        BinaryOp::Modulo => Ok(numeric::rem(&left, &right)?),
        BinaryOp::Concat => concat(&left, &right, input),
        BinaryOp::And | BinaryOp::Or => {
            let rows = rows_of(&left, &right, input.rows);
            let expanded = |value: &Value| boolean(&value.clone().into_array(rows, input.room)?);
            let (a, b) = (expanded(&left)?, expanded(&right)?);
            compared(if op == BinaryOp::And { and_kleene(&a, &b) } else { or_kleene(&a, &b) }?)
        }
    }?;
    Ok(left.joined(&right, array))
}

/// AND or OR of which one operand is the same for all rows, and not null.
fn decided(op: BinaryOp, left: &Value, right: &Value) -> Result<Option<Value>> {
    for (constant, other) in [(left, right), (right, left)] {
        let Value::Constant(array) = constant else { continue };
        let known = boolean(array)?;
        if known.is_valid(0) {
            // True decides OR, false AND; else the other operand does.
            let decides = known.value(0) == (op == BinaryOp::Or);
            let deciding = if decides { constant } else { other };
            return deciding.clone().map(|array| Ok(Arc::new(boolean(array)?))).map(Some);
        }
    }
    Ok(None)
}

fn is_time(value: &Value) -> bool {
    matches!(value.array().data_type(), DataType::Timestamp(..))
}

/// Gives a typeless null the type of the other operand. The binder has cast everything else.
fn same_type(op: BinaryOp, left: Value, right: Value) -> Result<(Value, Value)> {
    if matches!(op, BinaryOp::And | BinaryOp::Or | BinaryOp::Concat) {
        return Ok((left, right));
    }
    let untyped = |value: &Value| *value.array().data_type() == DataType::Null;
    let like = |null: Value, other: &Value| {
        let to = match other.array().data_type() {
            DataType::Dictionary(_, value) => value.as_ref().clone(),
            DataType::Null => DataType::Int64,
            other => other.clone(),
        };
        null.map(|array| Ok(new_null_array(&to, array.len())))
    };
    match (untyped(&left), untyped(&right)) {
        (true, _) => {
            let left = like(left, &right)?;
            let right = if untyped(&right) { like(right, &left)? } else { right };
            Ok((left, right))
        }
        (false, true) => {
            let right = like(right, &left)?;
            Ok((left, right))
        }
        (false, false) => Ok((left, right)),
    }
}

/// A BOOLEAN column; typeless nulls become null BOOLEANs.
pub(super) fn boolean(array: &ArrayRef) -> Result<BooleanArray> {
    match array.as_boolean_opt() {
        Some(values) => Ok(values.clone()),
        None if *array.data_type() == DataType::Null => Ok(BooleanArray::new_null(array.len())),
        None => Err(ExecError::Internal(format!("expected BOOLEAN, found {}", array.data_type()))),
    }
}

/// The rows for which a condition is true, without nulls.
pub(super) fn mask(condition: &ArrayRef) -> Result<BooleanArray> {
    let condition = boolean(condition)?;
    Ok(if condition.null_count() > 0 { prep_null_mask_filter(&condition) } else { condition })
}

/// Rows to expand two operands to: one where both are constant.
pub(super) fn rows_of(left: &Value, right: &Value, rows: usize) -> usize {
    match (left, right) {
        (Value::Constant(_), Value::Constant(_)) => 1,
        _ => rows,
    }
}
