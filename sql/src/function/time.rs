//! Parts of times, and conversion to them.

use std::sync::Arc;

use arrow_array::{Array, ArrayRef, Float64Array};
use arrow_buffer::ScalarBuffer;
use arrow_schema::{DataType, TimeUnit};

use super::definition::{Documentation, Function, call, exactly, wrong_arguments};
use crate::error::execution::{ExecError, Result as ExecResult};
use crate::error::{SqlError, SqlErrorKind};
use crate::expr::coerce::convert;
use crate::expr::function::{Kernel, Returns};
use crate::expr::{Expr, Scalar, ScalarFunction, Typed};
use crate::session::Session;
use crate::types::array::time_parts;
use crate::types::calendar::{date_of, day_of_year, iso_week, weekday};
use crate::types::unit::{DAY_NS, unit_ns};

pub(super) static FUNCTIONS: &[Function] = &[
    Function::own(
        Documentation::new(
            "date_part",
            "date_part(part, time)",
            "A part of the time, DOUBLE: year, quarter, month, week (of ISO 8601), day, doy, dow (0 is Sunday), hour, \
             minute; second, millisecond, microsecond and nanosecond of the minute, with fraction; epoch. \
             `EXTRACT(part FROM time)` is the same.",
        )
        .aliases(&["datepart"]),
        date_part,
    ),
    Function::own(
        Documentation::new(
            "to_timestamp",
            "to_timestamp(x)",
            "Text, or a number of nanoseconds since 1970, as a time in nanoseconds.",
        ),
        |name, args, _| to_timestamp(name, args, TimeUnit::Nanosecond),
    ),
    Function::own(
        Documentation::new(
            "to_timestamp_micros",
            "to_timestamp_micros(x)",
            "Text, or a number of microseconds since 1970, as a time in microseconds.",
        ),
        |name, args, _| to_timestamp(name, args, TimeUnit::Microsecond),
    ),
    Function::own(
        Documentation::new(
            "to_timestamp_millis",
            "to_timestamp_millis(x)",
            "Text, or a number of milliseconds since 1970, as a time in milliseconds.",
        ),
        |name, args, _| to_timestamp(name, args, TimeUnit::Millisecond),
    ),
    Function::own(
        Documentation::new(
            "to_timestamp_seconds",
            "to_timestamp_seconds(x)",
            "Text, or a number of seconds since 1970, as a time in seconds.",
        ),
        |name, args, _| to_timestamp(name, args, TimeUnit::Second),
    ),
    Function::own(
        Documentation::new("from_unixtime", "from_unixtime(i)", "A number of seconds since 1970 as a time in seconds."),
        |name, args, _| {
            let [seconds] = exactly::<1>(name, args)?;
            match seconds.data_type {
                DataType::Int64 => to_timestamp(name, vec![seconds], TimeUnit::Second),
                _ => Err(wrong_arguments(name, &[seconds])),
            }
        },
    ),
];

/// `[Literal Str(part), time]`; parts: see [`DATE_PARTS`].
static DATE_PART: ScalarFunction = ScalarFunction::new(
    "date_part",
    Returns::Double,
    Kernel::Parameters(1, |parameters, times| match parameters {
        [Scalar::Str(part)] => parts(part, times),
        _ => Err(ExecError::Internal("DATE_PART without a constant part".into())),
    }),
);

/// Parts of a time, as [`DATE_PART`] is called with them. `dow` counts from Sunday = 0, `second`, `millisecond`,
/// `microsecond` and `nanosecond` are the seconds of the minute with their fraction in that unit, `epoch` is seconds
/// with fraction since 1970.
const DATE_PARTS: [&str; 14] = [
    "year",
    "quarter",
    "month",
    "week",
    "day",
    "doy",
    "dow",
    "hour",
    "minute",
    "second",
    "millisecond",
    "microsecond",
    "nanosecond",
    "epoch",
];

/// A time operand: a timestamp, or text that is one.
pub(super) fn time_operand(name: &str, arg: Typed) -> Result<(Expr, TimeUnit), SqlError> {
    match arg.data_type {
        DataType::Timestamp(unit, _) => Ok((arg.expr, unit)),
        DataType::Utf8 => {
            let unit = TimeUnit::Nanosecond;
            Ok((convert(arg, &DataType::Timestamp(unit, None))?, unit))
        }
        _ => Err(wrong_arguments(name, &[arg])),
    }
}

/// Text, a number in `unit` or another time as a time in `unit`; what is finer is cut off towards the past.
fn to_timestamp(name: &str, args: Vec<Typed>, unit: TimeUnit) -> Result<Typed, SqlError> {
    let [arg] = exactly::<1>(name, args)?;
    if !matches!(arg.data_type, DataType::Int64 | DataType::Utf8 | DataType::Timestamp(..) | DataType::Null) {
        return Err(wrong_arguments(name, &[arg]));
    }
    let to = DataType::Timestamp(unit, None);
    Ok(Typed::new(convert(arg, &to)?, to))
}

fn date_part(_: &str, args: Vec<Typed>, _: &Session) -> Result<Typed, SqlError> {
    let [part, time] = exactly::<2>("date_part", args)?;
    let Some(Scalar::Str(part)) = part.constant() else {
        return Err(SqlErrorKind::PartNotConstant { function: "date_part" }.into());
    };
    part_of_time(&part, time)
}

/// `date_part(part, time)`, `EXTRACT(part FROM time)`.
pub(crate) fn part_of_time(part: &str, time: Typed) -> Result<Typed, SqlError> {
    let part = part.to_ascii_lowercase();
    let singular = part.strip_suffix('s').filter(|p| DATE_PARTS.contains(p)).unwrap_or(&part);
    if !DATE_PARTS.contains(&singular) {
        return Err(SqlErrorKind::PartUnknown(part).into());
    }
    let (time, unit) = time_operand("date_part", time)?;
    let part = Typed::literal(Scalar::Str(singular.into()));
    Ok(call(&DATE_PART, vec![part, Typed::new(time, DataType::Timestamp(unit, None))]))
}

/// A part of each time.
fn parts(part: &str, times: &dyn Array) -> ExecResult<ArrayRef> {
    let (values, nulls, unit) = time_parts(times)?;
    let unit_ns = unit_ns(unit);
    let per_day = DAY_NS / unit_ns;
    let per_second = per_day / 86_400;
    let day = move |t: i64| t.div_euclid(per_day);
    let second_of_day = move |t: i64| t.rem_euclid(per_day) / per_second;
    // Units within the minute, with the fraction of a second.
    let of_minute = move |t: i64| (t.rem_euclid(per_day) % (60 * per_second)) as f64;
    let second = per_second as f64;
    let kernel: Box<dyn Fn(i64) -> f64> = match part {
        "year" => Box::new(move |t| date_of(day(t)).year as f64),
        "quarter" => Box::new(move |t| ((date_of(day(t)).month + 2) / 3) as f64),
        "month" => Box::new(move |t| date_of(day(t)).month as f64),
        "week" => Box::new(move |t| iso_week(day(t)) as f64),
        "day" => Box::new(move |t| date_of(day(t)).day as f64),
        "doy" => Box::new(move |t| day_of_year(day(t)) as f64),
        "dow" => Box::new(move |t| ((weekday(day(t)) + 1) % 7) as f64),
        "hour" => Box::new(move |t| (second_of_day(t) / 3_600) as f64),
        "minute" => Box::new(move |t| (second_of_day(t) / 60 % 60) as f64),
        "second" => Box::new(move |t| of_minute(t) / second),
        "millisecond" => Box::new(move |t| of_minute(t) / second * 1e3),
        "microsecond" => Box::new(move |t| of_minute(t) / second * 1e6),
        "nanosecond" => Box::new(move |t| of_minute(t) / second * 1e9),
        "epoch" => Box::new(move |t| t as f64 / second),
        other => return Err(ExecError::Internal(format!("no part {other} of a time"))),
    };
    let parts: ScalarBuffer<f64> = values.iter().map(|&t| kernel(t)).collect();
    Ok(Arc::new(Float64Array::new(parts, nulls)))
}

#[cfg(test)]
mod tests {
    use arrow_array::cast::AsArray;

    use super::*;
    use crate::types::array::time_array;

    #[test]
    fn parts_of_a_known_time() {
        // 2022-11-03T06:20:11.5Z, a Thursday of ISO week 44.
        let times = time_array(vec![1_667_456_411_500].into(), None, TimeUnit::Millisecond);
        let part = |name: &str| parts(name, &times).unwrap().as_primitive::<arrow_array::types::Float64Type>().value(0);
        let expected = [
            ("year", 2022.0),
            ("quarter", 4.0),
            ("month", 11.0),
            ("week", 44.0),
            ("day", 3.0),
            ("doy", 307.0),
            ("dow", 4.0),
            ("hour", 6.0),
            ("minute", 20.0),
            ("second", 11.5),
            ("millisecond", 11_500.0),
            ("epoch", 1_667_456_411.5),
        ];
        for (name, value) in expected {
            assert_eq!(part(name), value, "{name}");
        }
        assert!(parts("fortnight", &times).is_err());
    }
}
