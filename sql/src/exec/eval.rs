//! Evaluation of bound expressions over columns, a whole column at a time.
//!
//! Constants stay constants as far as they go ([`Value::Constant`]), so that kernels take their constant forms; tags
//! stay dictionaries where the kernel allows it and are computed once a distinct value otherwise. Three-valued logic
//! throughout. CASE and COALESCE evaluate a branch only for the rows that reach it (`branch`); AND and OR evaluate both
//! sides.

use std::sync::Arc;

use arrow_arith::boolean::{and_kleene, is_not_null, is_null, not, or_kleene};
use arrow_arith::numeric;
use arrow_array::cast::AsArray;
use arrow_array::{
    Array, ArrayRef, BooleanArray, Datum, Float64Array, Int64Array, IntervalMonthDayNanoArray, NullArray, StringArray,
    StructArray, UInt32Array, UInt64Array, new_null_array,
};
use arrow_buffer::IntervalMonthDayNano;
use arrow_cast::{CastOptions, cast_with_options};
use arrow_ord::cmp;
use arrow_schema::{DataType, Field};
use arrow_select::filter::prep_null_mask_filter;
use arrow_select::take::take;
use arrow_string::concat_elements::concat_elements_utf8;
use arrow_string::like;

use super::error::{ExecError, Result};
use super::{branch, in_list};
use crate::expr::{BinaryOp, Expr, Scalar, ScalarFunction};
use crate::function::math;
use crate::function::text::{length, over_distinct, plain, text_map};
use crate::function::time::{bin, bucket_of, date_part, difference, time_array};

/// Columns to evaluate over.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Input<'a> {
    /// All of `rows` rows, except those that no expression reads, which may be of any length.
    pub(crate) columns: &'a [ArrayRef],
    /// Rows; counts where there is no column.
    pub(crate) rows: usize,
}

/// A column, or one value that stands for a column.
#[derive(Debug, Clone)]
pub(crate) enum Value {
    /// One value a row.
    Array(ArrayRef),
    /// An array of length one that stands for every row.
    Constant(ArrayRef),
}

impl Datum for Value {
    fn get(&self) -> (&dyn Array, bool) {
        match self {
            Self::Array(array) => (array, false),
            Self::Constant(array) => (array, true),
        }
    }
}

impl Value {
    /// The values, whatever their number.
    pub(crate) fn array(&self) -> &ArrayRef {
        match self {
            Self::Array(array) | Self::Constant(array) => array,
        }
    }

    /// One value for each of `rows` rows.
    pub(crate) fn into_array(self, rows: usize) -> Result<ArrayRef> {
        match self {
            Self::Array(array) => Ok(array),
            Self::Constant(array) if rows == 1 => Ok(array),
            Self::Constant(array) if array.is_null(0) => Ok(new_null_array(array.data_type(), rows)),
            Self::Constant(array) => Ok(take(&array, &UInt32Array::from_value(0, rows), None)?),
        }
    }

    /// Applies a kernel that works value by value, keeping what is constant constant.
    fn map(self, kernel: impl FnOnce(&ArrayRef) -> Result<ArrayRef>) -> Result<Self> {
        Ok(match self {
            Self::Array(array) => Self::Array(kernel(&array)?),
            Self::Constant(array) => Self::Constant(kernel(&array)?),
        })
    }

    /// The result of a kernel over `self` and `other`: constant when both are.
    fn joined(&self, other: &Self, array: ArrayRef) -> Self {
        match (self, other) {
            (Self::Constant(_), Self::Constant(_)) => Self::Constant(array),
            _ => Self::Array(array),
        }
    }
}

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
    let condition = evaluate_condition(expr, input)?;
    Ok(if condition.null_count() > 0 { prep_null_mask_filter(&condition) } else { condition })
}

/// Evaluates an expression over columns.
pub(crate) fn evaluate(expr: &Expr, input: Input<'_>) -> Result<Value> {
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
        Expr::InList { expr, list, negated } => in_list::evaluate(expr, list, *negated, input),
        Expr::Case { branches, otherwise } => branch::case(branches, otherwise.as_deref(), input),
        Expr::Cast { expr, to } => evaluate(expr, input)?.map(|array| cast_to(array, to)),
        Expr::Call { function, args } => call(*function, args, input),
    }
}

/// A constant as an array of length one.
pub(crate) fn scalar_array(scalar: &Scalar) -> ArrayRef {
    match scalar {
        Scalar::Null => Arc::new(NullArray::new(1)),
        Scalar::Bool(value) => Arc::new(BooleanArray::from(vec![*value])),
        Scalar::Int(value) => Arc::new(Int64Array::from_value(*value, 1)),
        Scalar::UInt(value) => Arc::new(UInt64Array::from_value(*value, 1)),
        Scalar::Float(value) => Arc::new(Float64Array::from_value(*value, 1)),
        Scalar::Str(value) => Arc::new(StringArray::from(vec![&**value])),
        Scalar::Time(value, unit) => time_array(vec![*value].into(), None, *unit),
        Scalar::Interval { months, days, nanoseconds } => {
            Arc::new(IntervalMonthDayNanoArray::from_value(IntervalMonthDayNano::new(*months, *days, *nanoseconds), 1))
        }
    }
}

/// Converts, failing on what does not convert. Dictionaries convert once a distinct value.
pub(crate) fn cast_to(array: &ArrayRef, to: &DataType) -> Result<ArrayRef> {
    const STRICT: CastOptions<'static> =
        CastOptions { safe: false, format_options: arrow_cast::display::FormatOptions::new() };
    if array.data_type() == to {
        return Ok(Arc::clone(array));
    }
    match (array.data_type(), to) {
        (DataType::Dictionary(_, value), _) if **value == *to => plain(array),
        // Values that no row uses must not make the query fail, so a dictionary is expanded first.
        (DataType::Dictionary(..), _) => Ok(cast_with_options(&plain(array)?, to, &STRICT)?),
        _ => Ok(cast_with_options(array, to, &STRICT)?),
    }
}

/// A BOOLEAN column; typeless nulls become null BOOLEANs.
fn boolean(array: &ArrayRef) -> Result<BooleanArray> {
    match array.as_boolean_opt() {
        Some(values) => Ok(values.clone()),
        None if *array.data_type() == DataType::Null => Ok(BooleanArray::new_null(array.len())),
        None => Err(ExecError::Internal(format!("expected BOOLEAN, found {}", array.data_type()))),
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

/// Evaluates an operator over two columns or constants.
pub(crate) fn binary(op: BinaryOp, left: Value, right: Value, rows: usize) -> Result<Value> {
    let (left, right) = same_type(op, left, right)?;
    let compared = |array: BooleanArray| -> Result<ArrayRef> { Ok(Arc::new(array)) };
    let array = match op {
        BinaryOp::Eq => compared(cmp::eq(&left, &right)?),
        BinaryOp::NotEq => compared(cmp::neq(&left, &right)?),
        BinaryOp::Lt => compared(cmp::lt(&left, &right)?),
        BinaryOp::LtEq => compared(cmp::lt_eq(&left, &right)?),
        BinaryOp::Gt => compared(cmp::gt(&left, &right)?),
        BinaryOp::GtEq => compared(cmp::gt_eq(&left, &right)?),
        BinaryOp::Plus => Ok(numeric::add(&left, &right)?),
        BinaryOp::Minus if is_time(&left) && is_time(&right) => {
            let rows = rows_of(&left, &right, rows);
            difference(&left.clone().into_array(rows)?, &right.clone().into_array(rows)?)
        }
        BinaryOp::Minus => Ok(numeric::sub(&left, &right)?),
        BinaryOp::Multiply => Ok(numeric::mul(&left, &right)?),
        BinaryOp::Divide => Ok(numeric::div(&left, &right)?),
        BinaryOp::Modulo => Ok(numeric::rem(&left, &right)?),
        BinaryOp::And | BinaryOp::Or | BinaryOp::Concat => {
            let rows = rows_of(&left, &right, rows);
            let (a, b) = (left.clone().into_array(rows)?, right.clone().into_array(rows)?);
            match op {
                BinaryOp::And => compared(and_kleene(&boolean(&a)?, &boolean(&b)?)?),
                BinaryOp::Or => compared(or_kleene(&boolean(&a)?, &boolean(&b)?)?),
                _ => {
                    let (a, b) = (cast_to(&a, &DataType::Utf8)?, cast_to(&b, &DataType::Utf8)?);
                    Ok(Arc::new(concat_elements_utf8(a.as_string::<i32>(), b.as_string::<i32>())?) as ArrayRef)
                }
            }
        }
    }?;
    Ok(left.joined(&right, array))
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
        ScalarFunction::Coalesce => branch::coalesce(args, input),
    }
}

/// Rows to expand two operands to: one where both are constant.
fn rows_of(left: &Value, right: &Value, rows: usize) -> usize {
    match (left, right) {
        (Value::Constant(_), Value::Constant(_)) => 1,
        _ => rows,
    }
}
