//! Evaluation of bound expressions over columns, a whole column at a time.
//!
//! Constants stay constants as far as they go ([`Value::Constant`]), so that kernels take their constant forms; tags
//! stay dictionaries where the kernel allows it and are computed once a distinct value otherwise. Three-valued logic
//! throughout. CASE and COALESCE evaluate a branch only for the rows that reach it (`branch`); AND and OR evaluate both
//! sides.

use std::sync::Arc;

use arrow_arith::boolean::{is_not_null, is_null, not};
use arrow_arith::numeric;
use arrow_array::cast::AsArray;
use arrow_array::{Array, ArrayRef, BooleanArray, StructArray};
use arrow_schema::{DataType, Field};
use arrow_string::like;

use super::binary::{binary, boolean, mask, rows_of};
use super::value::{Input, Value, cast_to, scalar_array};
use super::{branch, in_list};
use crate::exec::error::{ExecError, Result};
use crate::expr::{Expr, Scalar, ScalarFunction};
use crate::function::math;
use crate::function::text::{length, over_distinct, plain, text_map};
use crate::function::time::{bin, bucket_of, date_part};

/// Evaluates to a column of `input.rows` rows.
pub(crate) fn evaluate_array(expr: &Expr, input: Input<'_>) -> Result<ArrayRef> {
    evaluate(expr, input)?.into_array(input.rows)
}

/// Evaluates a condition; typeless null counts as null BOOLEAN.
pub(crate) fn evaluate_condition(expr: &Expr, input: Input<'_>) -> Result<BooleanArray> {
    Ok(boolean(&evaluate_array(expr, input)?)?.clone())
}

/// Evaluates a condition to the rows for which it is true: a mask without nulls.
pub(crate) fn evaluate_mask(expr: &Expr, input: Input<'_>) -> Result<BooleanArray> {
    mask(&evaluate_array(expr, input)?)
}

/// Evaluates an expression over columns.
pub(super) fn evaluate(expr: &Expr, input: Input<'_>) -> Result<Value> {
    match expr {
        Expr::Column(at) => input
            .columns
            .get(*at)
            .map(|column| Value::Array(Arc::clone(column)))
            .ok_or_else(|| ExecError::Internal(format!("column {at} of {}", input.columns.len()))),
        Expr::Literal(scalar) => Ok(Value::Constant(scalar_array(scalar))),
        Expr::Binary { op, left, right } => binary(*op, evaluate(left, input)?, evaluate(right, input)?, input.rows),
        Expr::Not(operand) => evaluate(operand, input)?.map(|array| Ok(Arc::new(not(&boolean(array)?)?))),
        Expr::Negative(operand) => evaluate(operand, input)?.map(negative),
        Expr::IsNull(operand) => evaluate(operand, input)?.map(|array| Ok(Arc::new(is_null(array)?))),
        Expr::IsNotNull(operand) => evaluate(operand, input)?.map(|array| Ok(Arc::new(is_not_null(array)?))),
        Expr::Like { expr, pattern, negated, case_insensitive } => {
            let (text, pattern) = (evaluate(expr, input)?, evaluate(pattern, input)?);
            let kernel = match (negated, case_insensitive) {
                (false, false) => like::like,
                (true, false) => like::nlike,
                (false, true) => like::ilike,
                (true, true) => like::nilike,
            };
            let (text, pattern) = (as_text(text)?, as_text(pattern)?.map(plain)?);
            let matched = match (&text, &pattern) {
                (Value::Array(array), Value::Constant(_)) => {
                    over_distinct(array, |values| Ok(Arc::new(kernel(values, &pattern)?)))?
                }
                _ => Arc::new(kernel(&text.clone().map(plain)?, &pattern)?),
            };
            Ok(text.joined(&pattern, matched))
        }
        Expr::Matches { expr, pattern, negated } => as_text(evaluate(expr, input)?)?.map(|array| {
            over_distinct(array, |values| {
                let texts = values.as_string::<i32>().iter();
                let matched: BooleanArray = texts.map(|text| Some(pattern.is_match(text?) != *negated)).collect();
                Ok(Arc::new(matched))
            })
        }),
        Expr::InList { expr, list, negated } => in_list::in_list(evaluate, expr, list, *negated, input),
        Expr::Case { branches, otherwise } => branch::case(evaluate, branches, otherwise.as_deref(), input),
        Expr::Cast { expr, to } => evaluate(expr, input)?.map(|array| cast_to(array, to)),
        Expr::Call { function, args } => call(*function, args, input),
    }
}

fn as_text(value: Value) -> Result<Value> {
    value.map(|array| match array.data_type() {
        DataType::Utf8 | DataType::Dictionary(..) => Ok(Arc::clone(array)),
        _ => cast_to(array, &DataType::Utf8),
    })
}

fn negative(array: &ArrayRef) -> Result<ArrayRef> {
    match array.data_type() {
        DataType::Null => Ok(Arc::clone(array)),
        // Arrow has no unsigned negation; SQL's answer is a signed number.
        DataType::UInt64 => Ok(numeric::neg(&cast_to(array, &DataType::Int64)?)?),
        _ => Ok(numeric::neg(array)?),
    }
}

fn call(function: ScalarFunction, args: &[Expr], input: Input<'_>) -> Result<Value> {
    let arg = |at: usize| match args.get(at) {
        Some(expr) => evaluate(expr, input),
        None => Err(ExecError::Internal(format!("{function:?} has no argument {at}"))),
    };
    match function {
        ScalarFunction::DateBin | ScalarFunction::DateTrunc => arg(1)?.map(|array| {
            let DataType::Timestamp(unit, _) = array.data_type() else {
                return Err(ExecError::Internal(format!("{function:?} of {}", array.data_type())));
            };
            match bucket_of(function, args, *unit) {
                Some((bucket, _)) => bin(&bucket, array),
                None => Err(ExecError::Internal(format!("{function:?} with other arguments than the binder's"))),
            }
        }),
        ScalarFunction::Window => {
            let (start, end) = (arg(0)?, arg(1)?);
            let rows = rows_of(&start, &end, input.rows);
            let members = [("start", &start), ("end", &end)].map(|(name, value)| {
                let array = value.clone().into_array(rows)?;
                Ok((Arc::new(Field::new(name, array.data_type().clone(), true)), array))
            });
            let members = members.into_iter().collect::<Result<Vec<_>>>()?;
            Ok(start.joined(&end, Arc::new(StructArray::from(members))))
        }
        ScalarFunction::DatePart => match args.first() {
            Some(Expr::Literal(Scalar::Str(part))) => arg(1)?.map(|array| date_part(part, array)),
            _ => Err(ExecError::Internal("DATE_PART without a constant part".into())),
        },
        ScalarFunction::Abs => arg(0)?.map(|array| math::float_map(array, f64::abs)),
        ScalarFunction::Ceil => arg(0)?.map(|array| math::float_map(array, f64::ceil)),
        ScalarFunction::Floor => arg(0)?.map(|array| math::float_map(array, f64::floor)),
        ScalarFunction::Sqrt => arg(0)?.map(|array| math::float_map(array, f64::sqrt)),
        ScalarFunction::Round | ScalarFunction::Power => {
            let (left, right) = (arg(0)?, arg(1)?);
            let rows = rows_of(&left, &right, input.rows);
            let (a, b) = (left.clone().into_array(rows)?, right.clone().into_array(rows)?);
            let kernel = if function == ScalarFunction::Round { math::round } else { math::power };
            Ok(left.joined(&right, kernel(&a, &b)?))
        }
        ScalarFunction::Lower => arg(0)?.map(|array| text_map(array, str::to_lowercase)),
        ScalarFunction::Upper => arg(0)?.map(|array| text_map(array, str::to_uppercase)),
        ScalarFunction::Length => arg(0)?.map(length),
        ScalarFunction::Coalesce => branch::coalesce(evaluate, args, input),
    }
}
