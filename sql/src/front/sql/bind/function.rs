//! Functions by name: which there are, how DataFusion spells them in headings, and how their arguments settle into the
//! forms that [`ScalarFunction`] promises the executor.

use arrow_schema::{DataType, TimeUnit};
use sqlparser::ast::{self, FunctionArg, FunctionArgExpr, FunctionArguments};

use super::coerce::{Bound, convert, no_window, unify};
use crate::error::SqlError;
use crate::expr::constant::{as_constant, floor_to_unit, interval_of};
use crate::expr::{BinaryOp, DATE_PARTS, Expr, Scalar, ScalarFunction};
use crate::optimize::fold_constants;
use crate::statement::Session;
use crate::types::time::{DAY_NS, Interval, SECOND_NS, parse_interval, parse_timestamp, unit_ns};

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
pub(super) fn heading_name(name: &str) -> String {
    match name {
        "mean" => "AVG".to_owned(),
        "count" | "sum" | "min" | "max" | "avg" | "time_window" => name.to_ascii_uppercase(),
        "length" | "char_length" => "character_length".to_owned(),
        "pow" => "power".to_owned(),
        "datepart" => "date_part".to_owned(),
        "datetrunc" => "date_trunc".to_owned(),
        _ => name.to_owned(),
    }
}

/// Plain positional arguments of a call.
pub(super) fn arguments(function: &ast::Function) -> Result<Vec<&ast::Expr>, SqlError> {
    let FunctionArguments::List(list) = &function.args else {
        return match function.args {
            FunctionArguments::None => Ok(Vec::new()),
            _ => Err(SqlError::not_implemented("subqueries as arguments")),
        };
    };
    if !list.clauses.is_empty() {
        return Err(SqlError::not_implemented(format!("clauses in the arguments of {}", function.name)));
    }
    let plain = list.args.iter().map(|arg| match arg {
        FunctionArg::Unnamed(FunctionArgExpr::Expr(expr)) => Ok(expr),
        _ => Err(SqlError::not_implemented(format!("the argument {arg} of {}", function.name))),
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
        _ => Err(unknown(name)),
    }
}

fn exactly<const N: usize>(name: &str, args: Vec<Bound>) -> Result<[Bound; N], SqlError> {
    <[Bound; N]>::try_from(args).map_err(|args| wrong_arguments(name, &args))
}

/// The error for arguments of wrong number or type.
pub(super) fn wrong_arguments(name: &str, args: &[Bound]) -> SqlError {
    let types: Vec<_> = args.iter().map(|arg| arg.data_type.to_string()).collect();
    SqlError::planning(format!("No function matches the given name and argument types '{name}({})'", types.join(", ")))
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
    let null = crate::expr::constant::null(data_type.clone());
    let expr = Expr::Case { branches: vec![(equal, null)], otherwise: Some(Box::new(value.expr)) };
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
fn interval_operand(arg: &Bound) -> Result<Option<Interval>, String> {
    match constant(arg) {
        Some(Scalar::Str(text)) => parse_interval(&text, "second").map(Some),
        Some(value) => Ok(interval_of(&value)),
        None => Ok(None),
    }
}

/// A bucket of `width` nanoseconds: the start of the one that `time` is in. `origin_ns` is where one begins.
fn bucket(name: &str, width: i64, time: Expr, unit: TimeUnit, origin_ns: i128) -> Result<Expr, SqlError> {
    if width <= 0 {
        return Err(SqlError::planning(format!("{name}: the width of a bucket must be positive")));
    }
    if width % unit_ns(unit) != 0 {
        return Err(SqlError::planning(format!("{name}: the width is no whole number of the time's unit, {unit:?}")));
    }
    let origin = floor_to_unit(origin_ns, unit)
        .ok_or_else(|| SqlError::planning(format!("{name}: the origin is out of range")))?;
    let width = Scalar::Interval { months: 0, days: 0, nanoseconds: width };
    let args = vec![Expr::Literal(width), time, Expr::Literal(Scalar::Time(origin, unit))];
    Ok(Expr::Call { function: ScalarFunction::DateBin, args })
}

/// Nanoseconds since the epoch of a constant origin.
fn origin_operand(name: &str, arg: &Bound) -> Result<i128, SqlError> {
    match constant(arg) {
        Some(Scalar::Time(value, unit)) => Ok(i128::from(value) * i128::from(unit_ns(unit))),
        Some(Scalar::Str(text)) => parse_timestamp(&text).map_err(SqlError::constant),
        _ => Err(SqlError::not_implemented(format!("{name} with an origin that is not constant"))),
    }
}

fn date_bin(args: Vec<Bound>) -> Result<Bound, SqlError> {
    let mut args = args.into_iter();
    let (Some(width), Some(time), origin, None) = (args.next(), args.next(), args.next(), args.next()) else {
        return Err(wrong_arguments("date_bin", &[]));
    };
    let interval = interval_operand(&width).map_err(SqlError::planning)?;
    let Some(interval) = interval else {
        return Err(wrong_arguments("date_bin", &[width, time]));
    };
    let Some(width) = interval.fixed_ns() else {
        return Err(SqlError::not_implemented("DATE_BIN with a stride of months"));
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
        return Err(SqlError::planning("First argument of `DATE_TRUNC` must be non-null scalar Utf8"));
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
        _ => return Err(SqlError::planning(format!("Unsupported date_trunc granularity: {part}"))),
    };
    // A time that cannot be finer than the bucket is its own bucket.
    let expr = if width <= unit_ns(unit) { time } else { bucket("date_trunc", width, time, unit, origin.into())? };
    Ok(Bound::new(expr, data_type))
}

fn date_part(args: Vec<Bound>) -> Result<Bound, SqlError> {
    let [part, time] = exactly::<2>("date_part", args)?;
    let Some(Scalar::Str(part)) = constant(&part) else {
        return Err(SqlError::planning("First argument of `DATE_PART` must be non-null scalar Utf8"));
    };
    part_of_time(&part, time)
}

/// `date_part(part, time)`, `EXTRACT(part FROM time)`.
pub(super) fn part_of_time(part: &str, time: Bound) -> Result<Bound, SqlError> {
    let part = part.to_ascii_lowercase();
    let singular = part.strip_suffix('s').filter(|p| DATE_PARTS.contains(p)).unwrap_or(&part);
    if !DATE_PARTS.contains(&singular) {
        return Err(SqlError::planning(format!("Date part '{part}' not supported")));
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
    let invalid = |reason: &str| SqlError::new("010058", format!("Invalid TimeWindow parameter : {reason}"));
    args.iter().try_for_each(no_window)?;
    let mut args = args.into_iter();
    let (Some(time), Some(width), slide, start, None) =
        (args.next(), args.next(), args.next(), args.next(), args.next())
    else {
        return Err(invalid("time_window takes a time, a width, a slide and a start"));
    };
    let length = |arg: &Bound| -> Result<i64, SqlError> {
        let interval = interval_operand(arg).map_err(|reason| invalid(&reason))?;
        let interval = interval.ok_or_else(|| invalid("a constant interval is needed"))?;
        let ns = interval.fixed_ns().ok_or_else(|| invalid("months and years are not supported"))?;
        if (WIDTH_NS_MIN..=WIDTH_NS_MAX).contains(&ns) {
            Ok(ns)
        } else {
            Err(invalid("a window is from 1 ms to 365 days wide"))
        }
    };
    let width_ns = length(&width)?;
    if let Some(slide) = slide
        && length(&slide)? != width_ns
    {
        return Err(SqlError::not_implemented("time_window that slides"));
    }
    let origin = start.as_ref().map_or(Ok(0), |start| origin_operand("time_window", start))?;
    let DataType::Timestamp(unit, _) = time.data_type else {
        return Err(wrong_arguments("time_window", &[time, width]));
    };
    let expr = bucket("time_window", width_ns, time.expr, unit, origin)?;
    Ok(Bound { expr, data_type: DataType::Timestamp(unit, None), window_ns: Some(width_ns) })
}

/// Functions of the reference that this floor lacks, in DataFusion's order, which decides between equal suggestions.
const KNOWN: &str = "abs acos asin atan atan2 acosh asinh atanh cbrt ceil coalesce cos cosh degrees digest exp \
    factorial floor gcd lcm ln log log10 log2 pi power radians round signum sin sinh sqrt tan tanh trunc array_append \
    array_concat array_dims array_fill array_length array_ndims array_position array_positions array_prepend \
    array_remove array_replace array_to_string cardinality make_array trim_array ascii bit_length btrim \
    character_length chr concat concat_ws date_part date_trunc date_bin initcap left lpad lower ltrim md5 nullif \
    octet_length random regexp_replace repeat replace reverse right rpad rtrim sha224 sha256 sha384 sha512 \
    split_part starts_with strpos substr to_hex to_timestamp to_timestamp_millis to_timestamp_micros \
    to_timestamp_seconds from_unixtime now current_date current_time translate trim upper uuid regexp_match struct \
    arrow_typeof count sum min max avg median approx_distinct array_agg first_value last_value var var_pop var_samp \
    stddev stddev_pop stddev_samp covar covar_pop covar_samp corr approx_percentile_cont \
    approx_percentile_cont_with_weight approx_median grouping bit_and bit_or bit_xor bool_and bool_or";

/// More names of the reference, which it does not suggest.
const KNOWN_TOO: &str = "arrow_cast substring mode increase topk bottom sample gauge_agg delta time_delta rate \
    idelta_left idelta_right first_time last_time first_val last_val state_agg compact_state_agg duration_in state_at \
    completeness consistency timeliness validity timestamp_repair value_fill value_repair exact_count st_distance \
    st_area st_equals st_contains st_intersects st_disjoint st_within st_asbinary st_geomfromwkb current_role \
    time_window_gapfill locf interpolate row_number rank dense_rank percent_rank cume_dist ntile lag lead nth_value \
    variance mean to_char";

/// The error for a name that is no function of this floor.
fn unknown(name: &str) -> SqlError {
    if KNOWN.split_whitespace().chain(KNOWN_TOO.split_whitespace()).any(|known| known == name) {
        return SqlError::not_implemented(format!("the function {name}"));
    }
    let closest = KNOWN.split_whitespace().min_by_key(|known| edit_distance(known, name)).unwrap_or("abs");
    SqlError::planning(format!("Invalid function '{name}'.\nDid you mean '{closest}'?"))
}

/// Levenshtein's distance, in characters.
fn edit_distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, from) in a.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, to) in b.iter().enumerate() {
            let substitute = diagonal + usize::from(from != *to);
            diagonal = row[j + 1];
            row[j + 1] = substitute.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn suggestions_are_those_of_the_reference() {
        for (name, suggestion) in [
            ("nosuchfn", "cosh"),
            ("named_struct", "date_trunc"),
            ("asap_smooth", "array_length"),
            ("stats_agg", "starts_with"),
            ("candlestick_agg", "coalesce"),
        ] {
            let expected =
                format!("Datafusion: Error during planning: Invalid function '{name}'.\nDid you mean '{suggestion}'?");
            assert_eq!(unknown(name).message, expected);
        }
    }
}
