//! Functions by name: which there are, how DataFusion spells them in headings, and how their arguments settle into the
//! forms that [`ScalarFunction`] promises the executor.

use arrow_schema::{DataType, TimeUnit};
use sqlparser::ast::{self, FunctionArg, FunctionArgExpr, FunctionArguments};

use super::coerce::{Bound, convert, no_window, unify};
use crate::error::{SqlError, SqlErrorKind, WindowError};
use crate::expr::constant::{as_constant, null};
use crate::expr::fold::fold_constants;
use crate::expr::{BinaryOp, DATE_PARTS, Expr, Scalar, ScalarFunction};
use crate::statement::Session;
use crate::types::error::IntervalError;
use crate::types::time::{DAY_NS, Interval, SECOND_NS, floor_to_unit, parse_interval, parse_timestamp, unit_ns};

/// Aggregates of this floor, `mean` being `avg`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Aggregate {
    Count,
    Sum,
    Min,
    Max,
    Avg,
    First,
    Last,
}

/// The aggregate called `name`, in lower case.
pub(super) fn aggregate_named(name: &str) -> Option<Aggregate> {
    Some(match name {
        "count" => Aggregate::Count,
        "sum" => Aggregate::Sum,
        "min" => Aggregate::Min,
        "max" => Aggregate::Max,
        "avg" | "mean" => Aggregate::Avg,
        "first" => Aggregate::First,
        "last" => Aggregate::Last,
        _ => return None,
    })
}

/// How DataFusion 27 writes the function in a heading.
pub(super) fn heading_name(name: &str) -> &str {
    match name {
        "avg" | "mean" => "AVG",
        "count" => "COUNT",
        "sum" => "SUM",
        "min" => "MIN",
        "max" => "MAX",
        "time_window" => "TIME_WINDOW",
        "length" | "char_length" => "character_length",
        "pow" => "power",
        "datepart" => "date_part",
        "datetrunc" => "date_trunc",
        other => other,
    }
}

/// Plain positional arguments of a call.
pub(super) fn arguments(function: &ast::Function) -> Result<Vec<&ast::Expr>, SqlError> {
    let FunctionArguments::List(list) = &function.args else {
        return match function.args {
            FunctionArguments::None => Ok(Vec::new()),
            _ => Err(SqlError::unsupported("subqueries as arguments")),
        };
    };
    if !list.clauses.is_empty() {
        return Err(SqlError::unsupported(format!("clauses in the arguments of {}", function.name)));
    }
    let plain = list.args.iter().map(|arg| match arg {
        FunctionArg::Unnamed(FunctionArgExpr::Expr(expr)) => Ok(expr),
        _ => Err(SqlError::unsupported(format!("the argument {arg} of {}", function.name))),
    });
    plain.collect()
}

/// The call of the scalar function `name`, in lower case, on bound arguments.
pub(super) fn scalar_call(name: &str, mut args: Vec<Bound>, session: &Session) -> Result<Bound, SqlError> {
    if name != "time_window" {
        args.iter().try_for_each(no_window)?;
    }
    let text = |value: &str| Ok(Bound::literal(Scalar::Str(value.into())));
    match name {
        "abs" => doubles(name, ScalarFunction::Abs, args, 1),
        "ceil" => doubles(name, ScalarFunction::Ceil, args, 1),
        "floor" => doubles(name, ScalarFunction::Floor, args, 1),
        "sqrt" => doubles(name, ScalarFunction::Sqrt, args, 1),
        "round" => round(args),
        "power" | "pow" => power(args),
        "lower" => of_text(name, ScalarFunction::Lower, args, DataType::Utf8),
        "upper" => of_text(name, ScalarFunction::Upper, args, DataType::Utf8),
        "length" | "char_length" | "character_length" => of_text(name, ScalarFunction::Length, args, DataType::Int64),
        "coalesce" => {
            if args.is_empty() {
                return Err(wrong_arguments(name, &args));
            }
            let (args, data_type) = unify(args, "COALESCE")?;
            Ok(Bound::new(Expr::Call { function: ScalarFunction::Coalesce, args }, data_type))
        }
        "nullif" => nullif(args),
        "date_bin" => date_bin(args),
        "date_trunc" | "datetrunc" => date_trunc(args),
        "date_part" | "datepart" => date_part(args),
        "time_window" => time_window(args),
        "to_timestamp" => {
            let argument = exactly::<1>(name, args)?.into_iter().next();
            let nanoseconds = DataType::Timestamp(TimeUnit::Nanosecond, None);
            match argument {
                Some(a) if matches!(a.data_type, DataType::Int64 | DataType::Utf8 | DataType::Timestamp(..)) => {
                    Ok(Bound::new(convert(a, &nanoseconds)?, nanoseconds))
                }
                other => Err(wrong_arguments(name, &other.into_iter().collect::<Vec<_>>())),
            }
        }
        "now" if args.is_empty() => Ok(Bound::literal(Scalar::Time(session.now_ns, TimeUnit::Nanosecond))),
        "current_user" if args.is_empty() => text(&session.user),
        "current_tenant" if args.is_empty() => text(&session.tenant),
        "current_database" if args.is_empty() => text(&session.database),
        "now" | "current_user" | "current_tenant" | "current_database" => {
            args.truncate(1);
            Err(wrong_arguments(name, &args))
        }
        _ => Err(SqlErrorKind::FunctionUnknown(name.to_owned()).into()),
    }
}

fn exactly<const N: usize>(name: &str, args: Vec<Bound>) -> Result<[Bound; N], SqlError> {
    <[Bound; N]>::try_from(args).map_err(|args| wrong_arguments(name, &args))
}

/// The error for arguments of wrong number or type.
pub(super) fn wrong_arguments(name: &str, args: &[Bound]) -> SqlError {
    let types = args.iter().map(|arg| arg.data_type.clone()).collect();
    SqlErrorKind::Arguments { name: name.to_owned(), types }.into()
}

fn number(name: &str, arg: Bound, to: &DataType) -> Result<Expr, SqlError> {
    match arg.data_type {
        DataType::Int64 | DataType::UInt64 | DataType::Float64 | DataType::Null => convert(arg, to),
        _ => Err(wrong_arguments(name, &[arg])),
    }
}

fn doubles(name: &str, function: ScalarFunction, args: Vec<Bound>, count: usize) -> Result<Bound, SqlError> {
    if args.len() != count {
        return Err(wrong_arguments(name, &args));
    }
    let args = args.into_iter().map(|arg| number(name, arg, &DataType::Float64)).collect::<Result<_, _>>()?;
    Ok(Bound::new(Expr::Call { function, args }, DataType::Float64))
}

fn round(args: Vec<Bound>) -> Result<Bound, SqlError> {
    let mut args = args.into_iter();
    let (Some(value), digits, None) = (args.next(), args.next(), args.next()) else {
        return Err(wrong_arguments("round", &[]));
    };
    let digits = match digits {
        Some(digits) if digits.data_type == DataType::Int64 => digits.expr,
        Some(digits) => return Err(wrong_arguments("round", &[value, digits])),
        None => Expr::Literal(Scalar::Int(0)),
    };
    let args = vec![number("round", value, &DataType::Float64)?, digits];
    Ok(Bound::new(Expr::Call { function: ScalarFunction::Round, args }, DataType::Float64))
}

fn power(args: Vec<Bound>) -> Result<Bound, SqlError> {
    if args.len() == 2 && args.iter().all(|arg| arg.data_type == DataType::Int64) {
        let args = args.into_iter().map(|arg| arg.expr).collect();
        return Ok(Bound::new(Expr::Call { function: ScalarFunction::Power, args }, DataType::Int64));
    }
    doubles("power", ScalarFunction::Power, args, 2)
}

fn of_text(name: &str, function: ScalarFunction, args: Vec<Bound>, result: DataType) -> Result<Bound, SqlError> {
    let [arg] = exactly::<1>(name, args)?;
    if !matches!(arg.data_type, DataType::Utf8 | DataType::Null) {
        return Err(wrong_arguments(name, &[arg]));
    }
    Ok(Bound::new(Expr::Call { function, args: vec![convert(arg, &DataType::Utf8)?] }, result))
}

/// `NULLIF(a, b)` is `CASE WHEN a = b THEN NULL ELSE a END`.
fn nullif(args: Vec<Bound>) -> Result<Bound, SqlError> {
    let [value, other] = exactly::<2>("nullif", args)?;
    let data_type = value.data_type.clone();
    let equal = super::coerce::comparison(BinaryOp::Eq, value.clone(), other)?;
    let expr = Expr::Case { branches: vec![(equal, null(data_type.clone()))], otherwise: Some(Box::new(value.expr)) };
    Ok(Bound::new(expr, data_type))
}

/// A time operand: a timestamp, or text that is one.
fn time_operand(name: &str, arg: Bound) -> Result<(Expr, TimeUnit), SqlError> {
    match arg.data_type {
        DataType::Timestamp(unit, _) => Ok((arg.expr, unit)),
        DataType::Utf8 => {
            let unit = TimeUnit::Nanosecond;
            Ok((convert(arg, &DataType::Timestamp(unit, None))?, unit))
        }
        _ => Err(wrong_arguments(name, &[arg])),
    }
}

fn constant(bound: &Bound) -> Option<Scalar> {
    as_constant(&fold_constants(bound.expr.clone())).cloned()
}

/// A constant interval, given as such or as text.
fn interval_operand(arg: &Bound) -> Result<Option<Interval>, IntervalError> {
    match constant(arg) {
        Some(Scalar::Str(text)) => parse_interval(&text, "second").map(Some),
        Some(value) => Ok(value.interval()),
        None => Ok(None),
    }
}

/// A bucket of `width` nanoseconds: the start of the one that `time` is in. `origin_ns` is where one begins.
fn bucket(function: &'static str, width: i64, time: Expr, unit: TimeUnit, origin_ns: i128) -> Result<Expr, SqlError> {
    if width <= 0 {
        return Err(SqlErrorKind::BucketWidth { function }.into());
    }
    if width % unit_ns(unit) != 0 {
        return Err(SqlErrorKind::BucketUnit { function, unit }.into());
    }
    let origin = floor_to_unit(origin_ns, unit).ok_or(SqlErrorKind::BucketOrigin { function })?;
    let width = Scalar::Interval { months: 0, days: 0, nanoseconds: width };
    let args = vec![Expr::Literal(width), time, Expr::Literal(Scalar::Time(origin, unit))];
    Ok(Expr::Call { function: ScalarFunction::DateBin, args })
}

/// Nanoseconds since the epoch of a constant origin.
fn origin_operand(name: &str, arg: &Bound) -> Result<i128, SqlError> {
    match constant(arg) {
        Some(Scalar::Time(value, unit)) => Ok(i128::from(value) * i128::from(unit_ns(unit))),
        Some(Scalar::Str(text)) => Ok(parse_timestamp(&text).map_err(|error| SqlErrorKind::Constant(error.into()))?),
        _ => Err(SqlError::unsupported(format!("{name} with an origin that is not constant"))),
    }
}

fn date_bin(args: Vec<Bound>) -> Result<Bound, SqlError> {
    let mut args = args.into_iter();
    let (Some(width), Some(time), origin, None) = (args.next(), args.next(), args.next(), args.next()) else {
        return Err(wrong_arguments("date_bin", &[]));
    };
    let interval = interval_operand(&width).map_err(SqlErrorKind::IntervalArgument)?;
    let Some(interval) = interval else {
        return Err(wrong_arguments("date_bin", &[width, time]));
    };
    let Some(width) = interval.fixed_ns() else {
        return Err(SqlError::unsupported("DATE_BIN with a stride of months"));
    };
    let origin = origin.as_ref().map_or(Ok(0), |origin| origin_operand("date_bin", origin))?;
    let (time, unit) = time_operand("date_bin", time)?;
    Ok(Bound::new(bucket("date_bin", width, time, unit, origin)?, DataType::Timestamp(unit, None)))
}

fn date_trunc(args: Vec<Bound>) -> Result<Bound, SqlError> {
    /// Monday before the epoch, where ISO weeks begin.
    const MONDAY_NS: i64 = -3 * DAY_NS;
    let [part, time] = exactly::<2>("date_trunc", args)?;
    let Some(Scalar::Str(part)) = constant(&part) else {
        return Err(SqlErrorKind::PartNotConstant { function: "date_trunc" }.into());
    };
    let part = part.to_ascii_lowercase();
    let (time, unit) = time_operand("date_trunc", time)?;
    let data_type = DataType::Timestamp(unit, None);
    let (width, origin) = match part.as_str() {
        "microsecond" => (1_000, 0),
        "millisecond" => (1_000_000, 0),
        "second" => (SECOND_NS, 0),
        "minute" => (60 * SECOND_NS, 0),
        "hour" => (3_600 * SECOND_NS, 0),
        "day" => (DAY_NS, 0),
        "week" => (7 * DAY_NS, MONDAY_NS),
        "month" | "quarter" | "year" => {
            let args = vec![Expr::Literal(Scalar::Str(part.into())), time];
            return Ok(Bound::new(Expr::Call { function: ScalarFunction::DateTrunc, args }, data_type));
        }
        _ => return Err(SqlErrorKind::GranularityUnknown(part).into()),
    };
    // A time that cannot be finer than the bucket is its own bucket.
    let expr = if width <= unit_ns(unit) { time } else { bucket("date_trunc", width, time, unit, origin.into())? };
    Ok(Bound::new(expr, data_type))
}

fn date_part(args: Vec<Bound>) -> Result<Bound, SqlError> {
    let [part, time] = exactly::<2>("date_part", args)?;
    let Some(Scalar::Str(part)) = constant(&part) else {
        return Err(SqlErrorKind::PartNotConstant { function: "date_part" }.into());
    };
    part_of_time(&part, time)
}

/// `date_part(part, time)`, `EXTRACT(part FROM time)`.
pub(super) fn part_of_time(part: &str, time: Bound) -> Result<Bound, SqlError> {
    let part = part.to_ascii_lowercase();
    let singular = part.strip_suffix('s').filter(|p| DATE_PARTS.contains(p)).unwrap_or(&part);
    if !DATE_PARTS.contains(&singular) {
        return Err(SqlErrorKind::PartUnknown(part).into());
    }
    let (time, _) = time_operand("date_part", time)?;
    let args = vec![Expr::Literal(Scalar::Str(singular.into())), time];
    Ok(Bound::new(Expr::Call { function: ScalarFunction::DatePart, args }, DataType::Float64))
}

/// `time_window(time, width[, slide[, start]])`: the start of the window, marked with its width.
fn time_window(args: Vec<Bound>) -> Result<Bound, SqlError> {
    /// Widths that the reference takes.
    const WIDTH_NS_MIN: i64 = 1_000_000;
    const WIDTH_NS_MAX: i64 = 365 * DAY_NS;
    let invalid = |error| SqlError::new(SqlErrorKind::TimeWindow(error));
    args.iter().try_for_each(no_window)?;
    let mut args = args.into_iter();
    let (Some(time), Some(width), slide, start, None) =
        (args.next(), args.next(), args.next(), args.next(), args.next())
    else {
        return Err(invalid(WindowError::Arguments));
    };
    let length = |arg: &Bound| -> Result<i64, SqlError> {
        let interval = interval_operand(arg).map_err(|error| invalid(WindowError::Interval(error)))?;
        let interval = interval.ok_or_else(|| invalid(WindowError::NotConstant))?;
        let ns = interval.fixed_ns().ok_or_else(|| invalid(WindowError::Calendar))?;
        if (WIDTH_NS_MIN..=WIDTH_NS_MAX).contains(&ns) { Ok(ns) } else { Err(invalid(WindowError::Width)) }
    };
    let width_ns = length(&width)?;
    if let Some(slide) = slide
        && length(&slide)? != width_ns
    {
        return Err(SqlError::unsupported("time_window that slides"));
    }
    let origin = start.as_ref().map_or(Ok(0), |start| origin_operand("time_window", start))?;
    let DataType::Timestamp(unit, _) = time.data_type else {
        return Err(wrong_arguments("time_window", &[time, width]));
    };
    let expr = bucket("time_window", width_ns, time.expr, unit, origin)?;
    Ok(Bound { expr, data_type: DataType::Timestamp(unit, None), window_ns: Some(width_ns) })
}
