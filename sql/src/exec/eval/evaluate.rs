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
use arrow_array::types::UInt32Type;
use arrow_array::{Array, ArrayRef, BooleanArray, new_null_array};
use arrow_schema::{ArrowError, DataType};
use arrow_select::concat::concat;
use arrow_select::take::take;
use arrow_string::like;

use super::binary::{binary, boolean, mask};
use super::room::{text_bytes, text_bytes_with_values};
use super::value::{Input, Value, scalar_array};
use super::{branch, in_list};
use crate::error::execution::{ExecError, Result};
use crate::expr::function::{Fails, Kernel, Returns, TextMade};
use crate::expr::tree::parameters;
use crate::expr::{BinaryOp, Expr, Scalar, ScalarFunction};
use crate::plan::show_by;
use crate::types::array::{cast_to, over_distinct, plain};

/// Evaluates to a column of `input.rows` rows. Where text on the way to what is none would be too long, half of the
/// rows are taken at a time; of a column of text that is the caller's to do ([`ExecError::TextTooLong`]).
pub(crate) fn evaluate_array(expr: &Expr, input: Input<'_>) -> Result<ArrayRef> {
    let taken = input.room.taken();
    match evaluate(expr, input).and_then(|value| value.into_array(input.rows, input.room)) {
        Err(ExecError::TextTooLong { .. }) if input.rows > 1 && !is_text(expr, input) => {
            let halves = input.halves(|half| {
                input.room.back_to(taken)?;
                evaluate_array(expr, half)
            })?;
            input.room.back_to(taken)?;
            Ok(concat(&[&*halves[0], &*halves[1]])?)
        }
        other => other,
    }
}

/// Whether an expression comes to text.
fn is_text(expr: &Expr, input: Input<'_>) -> bool {
    match expr {
        Expr::Column(at) => {
            let data_type = input.columns.get(*at).map(Array::data_type);
            matches!(data_type, Some(DataType::Utf8 | DataType::Dictionary(..)))
        }
        Expr::Literal(value) => value.data_type() == DataType::Utf8,
        Expr::Binary { op, .. } => *op == BinaryOp::Concat,
        Expr::Cast { to, .. } => *to == DataType::Utf8,
        Expr::Case { branches, otherwise } => {
            branches.iter().map(|(_, value)| value).chain(otherwise.as_deref()).any(|value| is_text(value, input))
        }
        Expr::Coalesce(operands) => operands.iter().any(|operand| is_text(operand, input)),
        Expr::Call { function, args } => {
            let argument = |at: usize| match args.get(at).is_some_and(|arg| is_text(arg, input)) {
                true => DataType::Utf8,
                false => DataType::Null,
            };
            function.data_type(argument) == DataType::Utf8
        }
        _ => false,
    }
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
        Expr::Binary { op, left, right } => {
            let (a, b) = (operand(expr, left, input)?, operand(expr, right, input)?);
            binary(*op, a, b, input).map_err(|error| named(error, expr, input))
        }
        Expr::Not(operand) => evaluate(operand, input)?.map(|array| Ok(Arc::new(not(&boolean(array)?)?))),
        Expr::Negative(of) => operand(expr, of, input)?.map(negative).map_err(|error| overflow(error, expr, input)),
        Expr::IsNull(operand) | Expr::IsNotNull(operand) => {
            let (value, negated) = (evaluate(operand, input)?, matches!(expr, Expr::IsNotNull(_)));
            match value.array().logical_null_count() {
                // Of most columns, so that what is made of it stays constant as well.
                0 => Ok(Value::Constant(scalar_array(&Scalar::Bool(negated)))),
                _ => value.map(|array| Ok(Arc::new(if negated { is_not_null(array) } else { is_null(array) }?))),
            }
        }
        Expr::Like { expr, pattern, negated, case_insensitive } => {
            let (text, pattern) = (evaluate(expr, input)?, evaluate(pattern, input)?);
            let kernel = match (negated, case_insensitive) {
                (false, false) => like::like,
                (true, false) => like::nlike,
                (false, true) => like::ilike,
                (true, true) => like::nilike,
            };
            let plain = |array: &ArrayRef| {
                if matches!(array.data_type(), DataType::Dictionary(..)) {
                    input.room.take(text_bytes(array), array.len())?;
                }
                plain(array)
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
        Expr::InSet { expr, set, negated } => in_list::in_set(evaluate, expr, set, *negated, input),
        Expr::InList { expr, list, negated } => in_list::in_list(evaluate, expr, list, *negated, input),
        Expr::Case { branches, otherwise } => branch::case(evaluate, branches, otherwise.as_deref(), input),
        Expr::Cast { expr, to } => evaluate(expr, input)?.map(|array| {
            if *to == DataType::Utf8 && array.data_type() != to {
                input.room.take(text_bytes(array), array.len())?;
            }
            cast_to(array, to)
        }),
        Expr::Coalesce(operands) => branch::coalesce(evaluate, operands, input),
        Expr::Call { function, args } => call(function, args, input).map_err(|error| named(error, expr, input)),
    }
}

/// An operand of `expr`. Where `+ - * / %` and the sign mix integers, the unsigned ones become signed before: one that
/// does not fit is an overflow of the operation.
fn operand(expr: &Expr, operand: &Expr, input: Input<'_>) -> Result<Value> {
    match operand {
        Expr::Cast { expr: inner, to: DataType::Int64 } => {
            let value = evaluate(inner, input)?;
            let is_unsigned = *value.array().data_type() == DataType::UInt64;
            let cast = value.map(|array| cast_to(array, &DataType::Int64));
            if is_unsigned { cast.map_err(|error| overflow(error, expr, input)) } else { cast }
        }
        other => evaluate(other, input),
    }
}

/// An overflow with the expression that it is of.
fn named(error: ExecError, expr: &Expr, input: Input<'_>) -> ExecError {
    match error {
        ExecError::Arrow(ArrowError::ArithmeticOverflow(_)) => overflow(error, expr, input),
        other => other,
    }
}

/// The error of `expr`, one of whose values is beyond its type.
fn overflow(error: ExecError, expr: &Expr, input: Input<'_>) -> ExecError {
    let reason = match error {
        ExecError::Arrow(ArrowError::ArithmeticOverflow(reason) | ArrowError::CastError(reason)) => reason,
        other => return other,
    };
    let name = |at: usize| input.names.name(at).map_or_else(|| format!("#{at}"), str::to_owned);
    ExecError::Overflow { of: show_by(expr, &name), values: Some(reason) }
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

/// Bytes that a character of one byte can become in the other case, and more than any other grows by.
const CASE_GROWTH: usize = 3;

fn call(function: &ScalarFunction, args: &[Expr], input: Input<'_>) -> Result<Value> {
    match function.kernel {
        Kernel::Columns(kernel) => {
            let values = args.iter().map(|arg| evaluate(arg, input)).collect::<Result<Vec<_>>>()?;
            columns(function, kernel, values, input)
        }
        Kernel::Coded(kernel) => {
            let values = args.iter().map(|arg| evaluate(arg, input)).collect::<Result<Vec<_>>>()?;
            match values.iter().all(|value| matches!(value, Value::Constant(_))) {
                true => values_of(function, kernel, values, 1, input).map(Value::Constant),
                false => values_of(function, kernel, values, input.rows, input).map(Value::Array),
            }
        }
        Kernel::Parameters(at, kernel) => match (parameters(args, at), args.get(at)) {
            (Some(parameters), Some(arg)) => evaluate(arg, input)?.map(|array| kernel(&parameters, array)),
            _ => Err(ExecError::Internal(format!("{function:?} with other arguments than the binder's"))),
        },
        Kernel::Volatile(kernel) => Ok(Value::Array(kernel(input.rows))),
    }
}

/// A kernel over columns: over one row where all are constant; over the values of a tag where it is all that is not,
/// unless a value that no row has could make it fail; else row by row.
fn columns(
    function: &ScalarFunction,
    kernel: fn(&[ArrayRef]) -> Result<ArrayRef>,
    values: Vec<Value>,
    input: Input<'_>,
) -> Result<Value> {
    let mut of_rows = values.iter().enumerate().filter(|(_, value)| matches!(value, Value::Array(_)));
    let (first, second) = (of_rows.next(), of_rows.next());
    let Some((at, column)) = first else {
        return values_of(function, kernel, values, 1, input).map(Value::Constant);
    };
    let Some(dictionary) = column.array().as_dictionary_opt::<UInt32Type>().filter(|dictionary| {
        second.is_none() && function.fails == Fails::Never && dictionary.values().len() <= dictionary.len()
    }) else {
        return values_of(function, kernel, values, input.rows, input).map(Value::Array);
    };
    let (mut keys, mut distinct) = (dictionary.keys().clone(), Arc::clone(dictionary.values()));
    if keys.null_count() > 0 {
        // Null is a value as well: there are functions that make something of it.
        let null = u32::try_from(distinct.len()).map_err(|_| ExecError::Internal("keys beyond 32 bits".into()))?;
        keys = keys.iter().map(|key| key.unwrap_or(null)).collect();
        distinct = concat(&[&*distinct, &*new_null_array(distinct.data_type(), 1)])?;
    }
    let count = distinct.len();
    let mut of_values = values;
    of_values[at] = Value::Array(distinct);
    let made = values_of(function, kernel, of_values, count, input)?;
    if let Some(made) = made.as_string_opt::<i32>() {
        let lengths = keys.iter().flatten().map(|key| made.value_length(key as usize).unsigned_abs() as usize);
        input.room.take(lengths.fold(0, usize::saturating_add), keys.len())?;
    }
    Ok(Value::Array(take(&made, &keys, None)?))
}

/// A kernel over `rows` rows of each value. What has several arguments, or makes text of its own, sees no dictionary
/// unless it asks for them.
fn values_of(
    function: &ScalarFunction,
    kernel: fn(&[ArrayRef]) -> Result<ArrayRef>,
    values: Vec<Value>,
    rows: usize,
    input: Input<'_>,
) -> Result<ArrayRef> {
    let expands = !matches!(function.kernel, Kernel::Coded(_))
        && (values.len() > 1 || matches!(function.text, TextMade::Bytes(_)));
    let column = |value: Value| -> Result<ArrayRef> {
        let array = value.into_array(rows, input.room)?;
        if expands && matches!(array.data_type(), DataType::Dictionary(..)) {
            input.room.take(text_bytes(&array), rows)?;
            return plain(&array);
        }
        Ok(array)
    };
    let columns = values.into_iter().map(column).collect::<Result<Vec<_>>>()?;
    let made = match function.text {
        TextMade::Bytes(bytes) => bytes(&columns),
        TextMade::OfArguments if matches!(function.returns, Returns::Text) => {
            let bytes = columns.iter().map(text_bytes_with_values).fold(0, usize::saturating_add);
            bytes.saturating_mul(CASE_GROWTH)
        }
        TextMade::OfArguments => 0,
    };
    input.room.take(made, rows)?;
    kernel(&columns)
}
