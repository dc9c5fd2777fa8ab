//! What a timeline of states says (`state_agg`, `compact_state_agg`). Of no rows each answer is null.

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::{IntervalMonthDayNano, IntervalMonthDayNanoType};
use arrow_array::{Array, ArrayRef, IntervalMonthDayNanoArray, StructArray, UInt32Array};
use arrow_ord::cmp::eq;
use arrow_schema::DataType;
use arrow_select::take::take;

use super::definition::{Documentation, Function, call, wrong_arguments};
use super::rows::rows_of;
use crate::error::execution::{ExecError, Result as ExecResult};
use crate::error::{SqlError, SqlErrorKind};
use crate::expr::coerce::convert;
use crate::expr::function::{Kernel, Returns};
use crate::expr::{ScalarFunction, Typed};
use crate::types::array::time_parts;
use crate::types::interval::{Interval, add_interval};
use crate::types::state::{DURATION, DURATIONS, PERIODS, timeline_parts};
use crate::types::unit::{DAY_NS, unit_ns};

static DURATION_IN: ScalarFunction =
    ScalarFunction::new("duration_in", Returns::Interval, Kernel::Columns(duration_in));
static DURATION_WITHIN: ScalarFunction =
    ScalarFunction::new("duration_in", Returns::Interval, Kernel::Columns(duration_within));
static STATE_AT: ScalarFunction = ScalarFunction::new("state_at", Returns::Made(state_type), Kernel::Columns(state_at));

static DURATIONS_OF: ScalarFunction = ScalarFunction::new(
    DURATIONS,
    Returns::Made(|states| member_type(states, DURATIONS)),
    Kernel::Columns(|args| member_of(args, DURATIONS)),
);
static PERIODS_OF: ScalarFunction = ScalarFunction::new(
    PERIODS,
    Returns::Made(|states| member_type(states, PERIODS)),
    Kernel::Columns(|args| member_of(args, PERIODS)),
);

pub(super) static FUNCTIONS: &[Function] = &[
    Function::own(
        Documentation::new(
            "duration_in",
            "duration_in(states, state [, start [, interval]])",
            "How long the state was, INTERVAL; from `start` on, and so long at most, not of a compact timeline.",
        ),
        |name, args, _| bind_duration(name, args),
    ),
    Function::own(
        Documentation::new(
            "state_at",
            "state_at(states, time)",
            "The state at a time, which lasts until the next; null before the first and of a compact timeline.",
        ),
        |name, args, _| bind_state_at(name, args),
    ),
];

fn bind_duration(name: &str, args: Vec<Typed>) -> Result<Typed, SqlError> {
    let Some((state, unit)) = args.first().and_then(|states| timeline_parts(&states.data_type)) else {
        return Err(wrong_arguments(name, &args));
    };
    if !(2..=4).contains(&args.len()) {
        return Err(wrong_arguments(name, &args));
    }
    let with_start = args.len() > 2;
    let wanted = [Some(state), unit.map(|unit| DataType::Timestamp(unit, None)), Some(DURATION)];
    if with_start && unit.is_none() {
        return Err(SqlErrorKind::CompactStates { with_interval: args.len() == 4 }.into());
    }
    let mut args = args.into_iter();
    let mut taken: Vec<Typed> = args.next().into_iter().collect();
    for (arg, to) in args.zip(wanted.into_iter().flatten()) {
        taken.push(Typed::new(convert(arg, &to)?, to));
    }
    Ok(call(if with_start { &DURATION_WITHIN } else { &DURATION_IN }, taken))
}

fn bind_state_at(name: &str, args: Vec<Typed>) -> Result<Typed, SqlError> {
    let unit = args.first().and_then(|states| timeline_parts(&states.data_type)).and_then(|(_, unit)| unit);
    let (Some(unit), 2) = (unit, args.len()) else { return Err(wrong_arguments(name, &args)) };
    let mut args = args.into_iter();
    let mut taken: Vec<Typed> = args.next().into_iter().collect();
    for arg in args {
        let to = DataType::Timestamp(unit, None);
        taken.push(Typed::new(convert(arg, &to)?, to));
    }
    Ok(call(&STATE_AT, taken))
}

/// The member of a timeline; `None` where it has none of the name, or it is no timeline.
pub(crate) fn member(states: &Typed, name: &str) -> Option<Typed> {
    timeline_parts(&states.data_type)?;
    let function = match name {
        DURATIONS => &DURATIONS_OF,
        PERIODS => &PERIODS_OF,
        _ => return None,
    };
    Some(call(function, vec![states.clone()]))
}

fn member_type(states: &DataType, name: &str) -> DataType {
    let DataType::Struct(members) = states else { return DataType::Null };
    members.find(name).map_or(DataType::Null, |(_, member)| member.data_type().clone())
}

/// A member, null where there is no timeline.
fn member_of(args: &[ArrayRef], name: &str) -> ExecResult<ArrayRef> {
    let missing = || ExecError::Internal(format!("a timeline without {name}"));
    let timelines = args.first().and_then(|states| states.as_struct_opt()).ok_or_else(missing)?;
    let member = timelines.column_by_name(name).ok_or_else(missing)?;
    if timelines.null_count() == 0 || *member.data_type() == DataType::Null {
        return Ok(Arc::clone(member));
    }
    let data = member.to_data().into_builder().nulls(timelines.nulls().cloned()).build()?;
    Ok(arrow_array::make_array(data))
}

fn state_type(states: &DataType) -> DataType {
    timeline_parts(states).map_or(DataType::Null, |(state, _)| state)
}

/// The lists of a timeline's member: their items, and where those of a row begin and end; none where it is null.
struct Lists<'a> {
    timelines: &'a StructArray,
    items: &'a StructArray,
    offsets: &'a [i32],
}

impl<'a> Lists<'a> {
    fn of(args: &'a [ArrayRef], member: &str) -> ExecResult<Self> {
        let missing = || ExecError::Internal(format!("a timeline without {member}"));
        let timelines = args.first().and_then(|states| states.as_struct_opt()).ok_or_else(missing)?;
        let lists = timelines.column_by_name(member).and_then(|lists| lists.as_list_opt::<i32>());
        let lists = lists.ok_or_else(missing)?;
        let items = lists.values().as_struct_opt().ok_or_else(missing)?;
        Ok(Self { timelines, items, offsets: lists.value_offsets() })
    }

    fn range(&self, row: usize) -> std::ops::Range<usize> {
        match self.timelines.is_null(row) {
            true => 0..0,
            false => self.offsets[row] as usize..self.offsets[row + 1] as usize,
        }
    }

    fn member(&self, name: &str) -> ExecResult<&'a ArrayRef> {
        self.items.column_by_name(name).ok_or_else(|| ExecError::Internal(format!("a timeline without {name}")))
    }

    /// For each row, the place of the item whose state is that of the row in `states`.
    fn places(&self, states: &ArrayRef) -> ExecResult<Vec<Option<usize>>> {
        let rows = self.timelines.len();
        let of_items = (0..rows).flat_map(|row| self.range(row).map(move |item| (item, row)));
        let (items, of_rows): (Vec<u32>, Vec<u32>) = of_items.map(|(item, row)| (item as u32, row as u32)).unzip();
        let found = take(self.member("state")?, &UInt32Array::from(items.clone()), None)?;
        let wanted = take(states, &UInt32Array::from(of_rows.clone()), None)?;
        let wanted = crate::types::array::plain(&wanted)?;
        let equal = eq(&found, &wanted)?;
        let mut places = vec![None; rows];
        for (at, (item, row)) in items.into_iter().zip(of_rows).enumerate() {
            if equal.is_valid(at) && equal.value(at) {
                places[row as usize] = Some(item as usize);
            }
        }
        Ok(places)
    }
}

/// The duration of each row's state; none of a state that never was is no time.
fn duration_in(args: &[ArrayRef]) -> ExecResult<ArrayRef> {
    let lists = Lists::of(args, DURATIONS)?;
    let places = lists.places(&args[1])?;
    let durations = lists.member("duration")?.as_primitive::<IntervalMonthDayNanoType>();
    let rows = (0..rows_of(args)).map(|row| match places[row] {
        _ if lists.timelines.is_null(row) || args[1].is_null(row) => None,
        Some(place) => Some(durations.value(place)),
        None => Some(IntervalMonthDayNano::new(0, 0, 0)),
    });
    Ok(Arc::new(rows.collect::<IntervalMonthDayNanoArray>()))
}

/// The same of the time from a start on, for so long.
fn duration_within(args: &[ArrayRef]) -> ExecResult<ArrayRef> {
    let lists = Lists::of(args, PERIODS)?;
    let places = lists.places(&args[1])?;
    let periods = lists.member("periods")?.as_list::<i32>();
    let times = periods.values().as_struct();
    let ((from, ..), (until, _, unit)) = (time_parts(times.column(0))?, time_parts(times.column(1))?);
    let (starts, start_nulls, _) = time_parts(&args[2])?;
    let lengths = args.get(3).map(AsArray::as_primitive::<IntervalMonthDayNanoType>);
    let mut durations = Vec::with_capacity(rows_of(args));
    for (row, &start) in starts.iter().enumerate() {
        let is_null = lists.timelines.is_null(row)
            || args[1].is_null(row)
            || start_nulls.as_ref().is_some_and(|nulls| nulls.is_null(row))
            || lengths.is_some_and(|lengths| lengths.is_null(row));
        if is_null {
            durations.push(None);
            continue;
        }
        let end = match lengths.map(|lengths| lengths.value(row)) {
            None => i64::MAX,
            Some(IntervalMonthDayNano { months, days, nanoseconds }) => {
                let length = Interval { months, days, nanoseconds };
                add_interval(start, unit, length).ok_or_else(overflow)?
            }
        };
        let mut ns: i128 = 0;
        if let Some(place) = places[row] {
            for at in periods.value_offsets()[place] as usize..periods.value_offsets()[place + 1] as usize {
                let (from, until) = (from[at].max(start), until[at].min(end));
                ns += (i128::from(until) - i128::from(from)).max(0) * i128::from(unit_ns(unit));
            }
        }
        let day = i128::from(DAY_NS);
        let days = i32::try_from(ns / day).map_err(|_| overflow())?;
        durations.push(Some(IntervalMonthDayNano::new(0, days, (ns % day) as i64)));
    }
    Ok(Arc::new(durations.into_iter().collect::<IntervalMonthDayNanoArray>()))
}

fn overflow() -> ExecError {
    ExecError::Overflow { of: "duration_in".to_owned(), values: None }
}

fn state_at(args: &[ArrayRef]) -> ExecResult<ArrayRef> {
    let lists = Lists::of(args, PERIODS)?;
    let periods = lists.member("periods")?.as_list::<i32>();
    let spans = periods.values().as_struct();
    let ((from, ..), (until, ..)) = (time_parts(spans.column(0))?, time_parts(spans.column(1))?);
    let (times, nulls, _) = time_parts(&args[1])?;
    let place = |row: usize| {
        if nulls.as_ref().is_some_and(|nulls| nulls.is_null(row)) {
            return None;
        }
        let begun = lists.range(row).flat_map(|item| {
            let offsets = periods.value_offsets();
            (offsets[item] as usize..offsets[item + 1] as usize).map(move |at| (item, at))
        });
        // The state that has begun last; of several at one time, the one that is there after it.
        let begun = begun.filter(|(_, at)| from[*at] <= times[row]);
        begun.max_by_key(|(item, at)| (from[*at], until[*at], *item)).map(|(item, _)| item as u32)
    };
    let places: UInt32Array = (0..rows_of(args)).map(place).collect();
    Ok(take(lists.member("state")?, &places, None)?)
}
