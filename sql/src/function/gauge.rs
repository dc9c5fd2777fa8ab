//! What a gauge did, from what `gauge_agg` holds of it. Of no rows each is null.

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::Float64Type;
use arrow_array::{Array, ArrayRef, Float64Array, StructArray};
use arrow_schema::DataType;

use super::definition::{Documentation, Function, call, exactly, wrong_arguments};
use crate::error::SqlError;
use crate::error::execution::{ExecError, Result as ExecResult};
use crate::expr::function::{Kernel, Returns};
use crate::expr::{ScalarFunction, Typed};
use crate::types::array::{difference, time_parts};
use crate::types::gauge::gauge_unit;
use crate::types::unit::unit_ns;

/// A function of a gauge, with its kernel.
macro_rules! of_gauge {
    ($static:ident, $name:literal, $returns:expr, $kernel:expr) => {
        static $static: ScalarFunction = ScalarFunction::new($name, $returns, Kernel::Columns($kernel));
    };
}

of_gauge!(DELTA, "delta", Returns::Double, |args| between(args, "first", "last"));
of_gauge!(IDELTA_LEFT, "idelta_left", Returns::Double, |args| between(args, "first", "second"));
of_gauge!(IDELTA_RIGHT, "idelta_right", Returns::Double, |args| between(args, "penultimate", "last"));
of_gauge!(TIME_DELTA, "time_delta", Returns::Interval, |args| difference(
    &member(args, "last", "ts")?,
    &member(args, "first", "ts")?
));
of_gauge!(RATE, "rate", Returns::Double, rate);
of_gauge!(FIRST_TIME, "first_time", Returns::Made(time_type), |args| member(args, "first", "ts"));
of_gauge!(LAST_TIME, "last_time", Returns::Made(time_type), |args| member(args, "last", "ts"));
of_gauge!(FIRST_VAL, "first_val", Returns::Double, |args| member(args, "first", "val"));
of_gauge!(LAST_VAL, "last_val", Returns::Double, |args| member(args, "last", "val"));

pub(super) static FUNCTIONS: &[Function] = &[
    Function::own(
        Documentation::new("delta", "delta(gauge)", "The last value less the first, DOUBLE."),
        |name, args, _| bind(&DELTA, name, args),
    ),
    Function::own(
        Documentation::new("time_delta", "time_delta(gauge)", "The last time less the first, INTERVAL."),
        |name, args, _| bind(&TIME_DELTA, name, args),
    ),
    Function::own(
        Documentation::new("rate", "rate(gauge)", "`delta` by the nanoseconds between first and last, DOUBLE."),
        |name, args, _| bind(&RATE, name, args),
    ),
    Function::own(
        Documentation::new("idelta_left", "idelta_left(gauge)", "The second value less the first, DOUBLE."),
        |name, args, _| bind(&IDELTA_LEFT, name, args),
    ),
    Function::own(
        Documentation::new("idelta_right", "idelta_right(gauge)", "The last value less the one before it, DOUBLE."),
        |name, args, _| bind(&IDELTA_RIGHT, name, args),
    ),
    Function::own(Documentation::new("first_time", "first_time(gauge)", "The first time."), |name, args, _| {
        bind(&FIRST_TIME, name, args)
    }),
    Function::own(Documentation::new("last_time", "last_time(gauge)", "The last time."), |name, args, _| {
        bind(&LAST_TIME, name, args)
    }),
    Function::own(Documentation::new("first_val", "first_val(gauge)", "The first value, DOUBLE."), |name, args, _| {
        bind(&FIRST_VAL, name, args)
    }),
    Function::own(Documentation::new("last_val", "last_val(gauge)", "The last value, DOUBLE."), |name, args, _| {
        bind(&LAST_VAL, name, args)
    }),
];

fn bind(function: &'static ScalarFunction, name: &str, args: Vec<Typed>) -> Result<Typed, SqlError> {
    let [gauge] = exactly::<1>(name, args)?;
    match gauge_unit(&gauge.data_type) {
        Some(_) => Ok(call(function, vec![gauge])),
        None => Err(wrong_arguments(name, &[gauge])),
    }
}

fn time_type(gauge: &DataType) -> DataType {
    gauge_unit(gauge).map_or(DataType::Null, |unit| DataType::Timestamp(unit, None))
}

/// A member of a point, null where there is no gauge.
fn member(args: &[ArrayRef], point: &str, member: &str) -> ExecResult<ArrayRef> {
    let missing = || ExecError::Internal(format!("a gauge without {point}.{member}"));
    let gauges = args.first().and_then(|gauges| gauges.as_struct_opt()).ok_or_else(missing)?;
    let of = |of: &StructArray, name: &str| of.column_by_name(name).cloned();
    let points = of(gauges, point).ok_or_else(missing)?;
    let members = points.as_struct_opt().and_then(|points| of(points, member)).ok_or_else(missing)?;
    let data = members.to_data().into_builder().nulls(gauges.nulls().cloned()).build()?;
    Ok(arrow_array::make_array(data))
}

/// The value of one point less that of an earlier one.
fn between(args: &[ArrayRef], earlier: &str, later: &str) -> ExecResult<ArrayRef> {
    Ok(arrow_arith::numeric::sub(&member(args, later, "val")?, &member(args, earlier, "val")?)?)
}

fn rate(args: &[ArrayRef]) -> ExecResult<ArrayRef> {
    let deltas = between(args, "first", "last")?;
    let deltas = deltas.as_primitive::<Float64Type>();
    let (first, _, unit) = time_parts(&member(args, "first", "ts")?)?;
    let (last, ..) = time_parts(&member(args, "last", "ts")?)?;
    let rates = (0..deltas.len()).map(|row| {
        let ns = (i128::from(last[row]) - i128::from(first[row])) * i128::from(unit_ns(unit));
        deltas.is_valid(row).then(|| deltas.value(row) / ns as f64)
    });
    Ok(Arc::new(rates.collect::<Float64Array>()))
}
