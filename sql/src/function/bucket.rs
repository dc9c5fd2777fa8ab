//! Buckets of time: `date_bin`, `date_trunc`, `time_window`.
//!
//! Every bucket of fixed width becomes a call of [`DATE_BIN`], those of calendar months one of [`DATE_TRUNC`], so that
//! rules and the fused aggregate know two forms, and read the tiling off them.

use std::sync::Arc;

use arrow_array::{Array, ArrayRef, StructArray};
use arrow_schema::{DataType, Field, Fields, TimeUnit};

use super::definition::{Documentation, Function, call, exactly, wrong_arguments};
use super::time::time_operand;
use crate::error::execution::{ExecError, Result as ExecResult};
use crate::error::{SqlError, SqlErrorKind, WindowError};
use crate::expr::coerce::convert;
use crate::expr::function::{Fails, Kernel, Returns, TextMade, TilingOf};
use crate::expr::{BinaryOp, Expr, Scalar, ScalarFunction, Typed};
use crate::session::Session;
use crate::types::error::IntervalError;
use crate::types::interval::{Interval, parse_interval};
use crate::types::tiling::{Tiling, bin};
use crate::types::timestamp::parse_timestamp;
use crate::types::unit::{DAY_NS, HOUR_NS, MINUTE_NS, SECOND_NS, floor_to_unit, unit_ns};

pub(super) static FUNCTIONS: &[Function] = &[
    Function::own(
        Documentation::new(
            "date_bin",
            "date_bin(interval, time[, origin])",
            "Start of the bucket of that width that holds the time; one begins at `origin`, 1970 without.",
        ),
        date_bin,
    ),
    Function::own(
        Documentation::new(
            "date_trunc",
            "date_trunc(part, time)",
            "Start of the microsecond, millisecond, second, minute, hour, day, week, month, quarter or year that holds \
             the time.",
        )
        .aliases(&["datetrunc"]),
        date_trunc,
    ),
    Function::own(
        Documentation::new(
            "time_window",
            "time_window(time, interval[, slide[, start]])",
            "The window of that width that holds the time, with its members `start` and `end`; a slide is the width.",
        )
        .heading("TIME_WINDOW"),
        time_window,
    ),
];

/// Start of the time bucket: `[Literal Interval { months: 0, days: 0, nanoseconds > 0 }, time, Literal Time(origin,
/// unit of time)]`, in the unit of `time`. The width is a whole number of the unit of `time`.
static DATE_BIN: ScalarFunction = ScalarFunction {
    name: "date_bin",
    returns: Returns::Argument(1),
    kernel: Kernel::Parameters(1, |parameters, times| bins(fixed_tiling, parameters, times)),
    fails: Fails::Never,
    text: TextMade::OfArguments,
    fold: Some(fold_bin),
    tiling: Some(fixed_tiling),
    pattern: None,
};

/// Start of the calendar bucket: `[Literal Str("month" | "quarter" | "year"), time]`, in the unit of `time`.
static DATE_TRUNC: ScalarFunction = ScalarFunction {
    name: "date_trunc",
    returns: Returns::Argument(1),
    kernel: Kernel::Parameters(1, |parameters, times| bins(calendar_tiling, parameters, times)),
    fails: Fails::Never,
    text: TextMade::OfArguments,
    fold: None,
    tiling: Some(calendar_tiling),
    pattern: None,
};

/// `[start, end]`, two timestamps, as the struct `{start, end}` that `time_window` prints.
static WINDOW: ScalarFunction =
    ScalarFunction::new("window", Returns::Made(window_type), Kernel::Columns(window_struct));

fn fixed_tiling(parameters: &[&Scalar], unit: TimeUnit) -> Option<Tiling> {
    let &[&Scalar::Interval { months: 0, days: 0, nanoseconds: width }, &Scalar::Time(origin, origin_unit)] =
        parameters
    else {
        return None;
    };
    // Exact in `unit`, or not a tiling of it.
    let width = (width > 0 && width % unit_ns(unit) == 0).then(|| width / unit_ns(unit))?;
    let origin_ns = i128::from(origin) * i128::from(unit_ns(origin_unit));
    let unit_ns = i128::from(unit_ns(unit));
    let origin = (origin_ns % unit_ns == 0).then(|| (origin_ns / unit_ns).rem_euclid(i128::from(width)))?;
    Some(Tiling::fixed(width, origin as i64))
}

fn calendar_tiling(parameters: &[&Scalar], unit: TimeUnit) -> Option<Tiling> {
    let &[Scalar::Str(part)] = parameters else { return None };
    let count = match &**part {
        "month" => 1,
        "quarter" => 3,
        "year" => 12,
        _ => return None,
    };
    Some(Tiling::Months { count, units_per_day: DAY_NS / unit_ns(unit) })
}

fn bins(tiling: TilingOf, parameters: &[&Scalar], times: &ArrayRef) -> ExecResult<ArrayRef> {
    let DataType::Timestamp(unit, _) = times.data_type() else {
        return Err(ExecError::Internal(format!("buckets of {}", times.data_type())));
    };
    match tiling(parameters, *unit) {
        Some(tiling) => bin(&tiling, times),
        None => Err(ExecError::Internal("buckets with other arguments than the binder's".into())),
    }
}

fn fold_bin(args: &[&Scalar]) -> Option<Scalar> {
    let &[width, time, origin] = args else { return None };
    let width = width.interval()?.fixed_ns()?;
    match (time, origin) {
        (Scalar::Null, _) => Some(Scalar::Null),
        (Scalar::Time(time, unit), Scalar::Time(origin, _)) => {
            let width = i128::from((width / unit_ns(*unit)).max(1));
            let since = i128::from(*time) - i128::from(*origin);
            let start = since.div_euclid(width) * width + i128::from(*origin);
            Some(Scalar::Time(i64::try_from(start).ok()?, *unit))
        }
        _ => None,
    }
}

/// A bucket of `width` nanoseconds: the start of the one that `time` is in. `origin_ns` is where one begins.
pub(crate) fn bucket(
    function: &'static str,
    width: i64,
    time: Expr,
    unit: TimeUnit,
    origin_ns: i128,
) -> Result<Typed, SqlError> {
    if width <= 0 {
        return Err(SqlErrorKind::BucketWidth { function }.into());
    }
    if width % unit_ns(unit) != 0 {
        return Err(SqlErrorKind::BucketUnit { function, unit }.into());
    }
    let origin = floor_to_unit(origin_ns, unit).ok_or(SqlErrorKind::BucketOrigin { function })?;
    let width = Typed::literal(Scalar::from(Interval { nanoseconds: width, ..Interval::default() }));
    let time = Typed::new(time, DataType::Timestamp(unit, None));
    Ok(call(&DATE_BIN, vec![width, time, Typed::literal(Scalar::Time(origin, unit))]))
}

/// A constant interval, given as such or as text.
fn interval_operand(arg: &Typed) -> Result<Option<Interval>, IntervalError> {
    match arg.constant() {
        Some(Scalar::Str(text)) => parse_interval(&text, "second").map(Some),
        Some(value) => Ok(value.interval()),
        None => Ok(None),
    }
}

/// Nanoseconds since the epoch of a constant origin.
fn origin_operand(name: &str, arg: &Typed) -> Result<i128, SqlError> {
    match arg.constant() {
        Some(Scalar::Time(value, unit)) => Ok(i128::from(value) * i128::from(unit_ns(unit))),
        Some(Scalar::Str(text)) => Ok(parse_timestamp(&text).map_err(|error| SqlErrorKind::Constant(error.into()))?),
        _ => Err(SqlError::unsupported(format!("{name} with an origin that is not constant"))),
    }
}

fn date_bin(_: &str, args: Vec<Typed>, _: &Session) -> Result<Typed, SqlError> {
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
    bucket("date_bin", width, time, unit, origin)
}

fn date_trunc(_: &str, args: Vec<Typed>, _: &Session) -> Result<Typed, SqlError> {
    /// Monday before the epoch, where ISO weeks begin.
    const MONDAY_NS: i64 = -3 * DAY_NS;
    let [part, time] = exactly::<2>("date_trunc", args)?;
    let Some(Scalar::Str(part)) = part.constant() else {
        return Err(SqlErrorKind::PartNotConstant { function: "date_trunc" }.into());
    };
    let part = part.to_ascii_lowercase();
    let (time, unit) = time_operand("date_trunc", time)?;
    let data_type = DataType::Timestamp(unit, None);
    let (width, origin) = match part.as_str() {
        "microsecond" => (1_000, 0),
        "millisecond" => (1_000_000, 0),
        "second" => (SECOND_NS, 0),
        "minute" => (MINUTE_NS, 0),
        "hour" => (HOUR_NS, 0),
        "day" => (DAY_NS, 0),
        "week" => (7 * DAY_NS, MONDAY_NS),
        "month" | "quarter" | "year" => {
            let part = Typed::literal(Scalar::Str(part.into()));
            return Ok(call(&DATE_TRUNC, vec![part, Typed::new(time, data_type)]));
        }
        _ => return Err(SqlErrorKind::GranularityUnknown(part).into()),
    };
    // A time that cannot be finer than the bucket is its own bucket.
    if width <= unit_ns(unit) {
        return Ok(Typed::new(time, data_type));
    }
    bucket("date_trunc", width, time, unit, origin.into())
}

/// The start of the window, marked with its width.
fn time_window(_: &str, args: Vec<Typed>, _: &Session) -> Result<Typed, SqlError> {
    /// Widths that the reference takes.
    const WIDTH_NS_MIN: i64 = 1_000_000;
    const WIDTH_NS_MAX: i64 = 365 * DAY_NS;
    let invalid = |error| SqlError::new(SqlErrorKind::TimeWindow(error));
    let mut args = args.into_iter();
    let (Some(time), Some(width), slide, start, None) =
        (args.next(), args.next(), args.next(), args.next(), args.next())
    else {
        return Err(invalid(WindowError::Arguments));
    };
    let length = |arg: &Typed| -> Result<i64, SqlError> {
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
    let start = bucket("time_window", width_ns, time.expr, unit, origin)?;
    Ok(Typed { window_ns: Some(width_ns), ..start })
}

/// A window as the struct of its start and end, in nanoseconds as the reference has them.
pub(crate) fn window(start: Typed, width_ns: i64) -> Result<Typed, SqlError> {
    let start = in_nanoseconds(start)?;
    let end = window_end(start.clone(), width_ns);
    Ok(call(&WINDOW, vec![start, end]))
}

/// `start` or `end` of a window, in nanoseconds as the reference has them; or a member of a timeline of states.
pub(crate) fn window_member(window: Typed, member: &str) -> Result<Typed, SqlError> {
    if let Some(of_states) = super::state::member(&window, member) {
        return Ok(of_states);
    }
    let Some(width_ns) = window.window_ns else {
        let kind = SqlErrorKind::NoMember { member: member.to_owned(), data_type: window.data_type };
        return Err(kind.into());
    };
    let start = in_nanoseconds(window)?;
    match member {
        "start" => Ok(start),
        "end" => Ok(window_end(start, width_ns)),
        other => Err(SqlErrorKind::WindowMember(other.to_owned()).into()),
    }
}

fn in_nanoseconds(start: Typed) -> Result<Typed, SqlError> {
    let data_type = DataType::Timestamp(TimeUnit::Nanosecond, None);
    let start = Typed::new(start.expr, start.data_type);
    Ok(Typed::new(convert(start, &data_type)?, data_type))
}

fn window_end(start: Typed, width_ns: i64) -> Typed {
    let width = Expr::Literal(Scalar::from(Interval { nanoseconds: width_ns, ..Interval::default() }));
    Typed::new(Expr::binary(start.expr, BinaryOp::Plus, width), start.data_type)
}

fn window_type(time: &DataType) -> DataType {
    let member = |name: &str| Field::new(name, time.clone(), true);
    DataType::Struct(Fields::from(vec![member("start"), member("end")]))
}

fn window_struct(args: &[ArrayRef]) -> ExecResult<ArrayRef> {
    let members = ["start", "end"]
        .iter()
        .zip(args)
        .map(|(name, array)| (Arc::new(Field::new(*name, array.data_type().clone(), true)), Arc::clone(array)));
    Ok(Arc::new(StructArray::from(members.collect::<Vec<_>>())))
}
