//! Functions that choose between values.

use std::cmp::Ordering;

use arrow_array::cast::AsArray;
use arrow_array::types::Float64Type;
use arrow_array::{Array, ArrayRef};
use arrow_ord::ord::make_comparator;
use arrow_schema::{DataType, SortOptions};
use arrow_select::interleave::interleave;

use super::definition::{Documentation, Function, exactly, wrong_arguments};
use super::rows::bytes_of;
use crate::error::SqlError;
use crate::error::execution::Result as ExecResult;
use crate::expr::coerce::{comparison, unify};
use crate::expr::constant::null;
use crate::expr::function::{Kernel, Returns};
use crate::expr::{BinaryOp, Expr, Scalar, ScalarFunction, Typed};
use crate::session::Session;
use crate::types::float;

pub(super) static FUNCTIONS: &[Function] = &[
    Function::own(Documentation::new("coalesce", "coalesce(x, …)", "The first argument that is not null."), coalesce),
    Function::own(Documentation::new("nullif", "nullif(x, y)", "Null where `x = y`, else `x`."), nullif),
    Function::own(
        Documentation::new("greatest", "greatest(x, …)", "The greatest argument that is not null."),
        |name, args, _| extreme(name, args, &GREATEST),
    ),
    Function::own(
        Documentation::new("least", "least(x, …)", "The least argument that is not null."),
        |name, args, _| extreme(name, args, &LEAST),
    ),
];

static GREATEST: ScalarFunction = ScalarFunction::new(
    "greatest",
    Returns::Argument(0),
    Kernel::Columns(|args| extremes(args, |order| order == Ordering::Greater)),
)
.making(bytes_of);

static LEAST: ScalarFunction = ScalarFunction::new(
    "least",
    Returns::Argument(0),
    Kernel::Columns(|args| extremes(args, |order| order == Ordering::Less)),
)
.making(bytes_of);

fn extreme(name: &str, args: Vec<Typed>, function: &'static ScalarFunction) -> Result<Typed, SqlError> {
    if args.is_empty() {
        return Err(wrong_arguments(name, &args));
    }
    let (args, data_type) = unify(args, if function.name == "greatest" { "GREATEST" } else { "LEAST" })?;
    match data_type {
        DataType::Null => Ok(Typed::new(null(DataType::Null), DataType::Null)),
        data_type => {
            let args = args.into_iter().map(|expr| typed_null(expr, &data_type)).collect();
            Ok(Typed::new(Expr::Call { function, args }, data_type))
        }
    }
}

/// A null of no type as one of this type.
fn typed_null(expr: Expr, data_type: &DataType) -> Expr {
    match expr {
        Expr::Literal(Scalar::Null) => null(data_type.clone()),
        other => other,
    }
}

/// In each row the argument that comes first by order, nulls left out. DOUBLE values have the order that they have
/// everywhere, NaN the greatest.
fn extremes(args: &[ArrayRef], is_better: fn(Ordering) -> bool) -> ExecResult<ArrayRef> {
    let rows = args.first().map_or(0, Array::len);
    let mut best: Vec<Option<usize>> =
        (0..rows).map(|row| args.first().and_then(|column| column.is_valid(row).then_some(0))).collect();
    for at in 1..args.len() {
        let orders = (0..at).map(|before| order_of(&args[at], &args[before])).collect::<ExecResult<Vec<_>>>()?;
        for (row, best) in best.iter_mut().enumerate().filter(|(row, _)| args[at].is_valid(*row)) {
            if best.is_none_or(|before| is_better(orders[before](row))) {
                *best = Some(at);
            }
        }
    }
    let columns: Vec<&dyn Array> = args.iter().map(|column| column as &dyn Array).collect();
    let places: Vec<(usize, usize)> = best.iter().enumerate().map(|(row, at)| (at.unwrap_or(0), row)).collect();
    Ok(interleave(&columns, &places)?)
}

/// The order of two columns of one type, row by row.
fn order_of(one: &ArrayRef, other: &ArrayRef) -> ExecResult<Box<dyn Fn(usize) -> Ordering>> {
    if *one.data_type() == DataType::Float64 {
        let (one, other) = (one.as_primitive::<Float64Type>().clone(), other.as_primitive::<Float64Type>().clone());
        return Ok(Box::new(move |row| float::order(one.value(row), other.value(row))));
    }
    let compare = make_comparator(one, other, SortOptions::default())?;
    Ok(Box::new(move |row| compare(row, row)))
}

fn coalesce(name: &str, args: Vec<Typed>, _: &Session) -> Result<Typed, SqlError> {
    if args.is_empty() {
        return Err(wrong_arguments(name, &args));
    }
    let (args, data_type) = unify(args, "COALESCE")?;
    Ok(Typed::new(Expr::Coalesce(args), data_type))
}

/// `CASE WHEN x = y THEN NULL ELSE x END`.
fn nullif(name: &str, args: Vec<Typed>, _: &Session) -> Result<Typed, SqlError> {
    let [value, other] = exactly::<2>(name, args)?;
    let data_type = value.data_type.clone();
    let equal = comparison(BinaryOp::Eq, value.clone(), other)?;
    let branches = vec![(equal, null(data_type.clone()))];
    Ok(Typed::new(Expr::Case { branches, otherwise: Some(Box::new(value.expr)) }, data_type))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow_array::{Float64Array, StringArray};

    use super::*;

    #[test]
    fn the_greatest_leaves_nulls_out_and_nan_is_above_all() {
        let column = |values: [Option<f64>; 4]| Arc::new(Float64Array::from(values.to_vec())) as ArrayRef;
        let args = [
            column([Some(1.0), None, None, Some(f64::INFINITY)]),
            column([Some(3.0), Some(-2.0), None, Some(-f64::NAN)]),
            column([Some(2.0), Some(-3.0), None, Some(0.0)]),
        ];
        let of = |args: &[ArrayRef], better: fn(Ordering) -> bool| -> Vec<Option<f64>> {
            extremes(args, better).unwrap().as_primitive::<Float64Type>().iter().collect()
        };
        let greatest = of(&args, |order| order == Ordering::Greater);
        assert_eq!(greatest[..3], [Some(3.0), Some(-2.0), None]);
        assert!(greatest[3].is_some_and(f64::is_nan));
        assert_eq!(of(&args, |order| order == Ordering::Less), [Some(1.0), Some(-3.0), None, Some(0.0)]);
        let texts: Vec<ArrayRef> =
            ["b", "abc"].map(|text| Arc::new(StringArray::from(vec![text])) as ArrayRef).to_vec();
        let least = extremes(&texts, |order| order == Ordering::Less).unwrap();
        assert_eq!(least.as_string::<i32>().value(0), "abc");
    }
}
