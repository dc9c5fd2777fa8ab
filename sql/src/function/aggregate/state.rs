//! `state_agg(time, x)` and `compact_state_agg(time, x)`: a value as a state that lasts until the next row's time. What
//! is made is a timeline ([`crate::types::state`]): how long each state was, in the order in which states came first,
//! and for the full one from when until when. The functions over it are those of [`crate::function::state`].
//!
//! All rows are held until the end, for states of other shards may come between any two of them. The last state has
//! begun and lasts no time yet. Rows of one time are ordered by value, so that the answer does not depend on the order
//! of rows; all but the last of them last no time.

use std::mem::take;
use std::ops::Range;
use std::sync::Arc;

use arrow_array::types::IntervalMonthDayNano;
use arrow_array::{ArrayRef, IntervalMonthDayNanoArray, ListArray, StructArray, new_null_array};
use arrow_buffer::{NullBuffer, OffsetBuffer};
use arrow_schema::{DataType, Field, Fields, TimeUnit};

use super::scalars::{Values, column, held_type, items, lists, order};
use crate::error::SqlError;
use crate::error::execution::{ExecError, Result};
use crate::expr::accumulator::{Accumulator, Slices};
use crate::expr::aggregate::Needs;
use crate::expr::{AggregateCall, AggregateFunction, Scalar, Typed};
use crate::function::definition::{Aggregate, Arguments, Documentation, wrong_arguments};
use crate::types::array::time_array;
use crate::types::state::{duration_fields, period_fields, periods_fields, timeline_fields, timeline_parts};
use crate::types::unit::{DAY_NS, unit_ns};

pub(super) static FULL: Aggregate = Aggregate::own(
    Documentation::new(
        "state_agg",
        "state_agg(time, x)",
        "How long and when each value was, where one lasts until the next: for `duration_in` and `state_at`.",
    ),
    false,
    |name, arguments| bind(&FULL_FUNCTION, name, arguments, false),
);

pub(super) static COMPACT: Aggregate = Aggregate::own(
    Documentation::new(
        "compact_state_agg",
        "compact_state_agg(time, x)",
        "How long each value was, where one lasts until the next: for `duration_in`.",
    ),
    false,
    |name, arguments| bind(&COMPACT_FUNCTION, name, arguments, true),
);

static FULL_FUNCTION: AggregateFunction = function("state_agg");
static COMPACT_FUNCTION: AggregateFunction = function("compact_state_agg");

const fn function(name: &'static str) -> AggregateFunction {
    AggregateFunction {
        name,
        accumulator: |result| {
            let (state, unit) =
                timeline_parts(result).ok_or_else(|| ExecError::Internal(format!("a timeline of {result}")))?;
            Ok(Box::new(States { result: result.clone(), state, unit, slots: Vec::new(), held: 0, text_bytes: 0 }))
        },
        state_columns: 2,
        needs: Needs::Rows,
        end: None,
    }
}

fn bind(
    function: &'static AggregateFunction,
    name: &str,
    mut arguments: Arguments,
    is_compact: bool,
) -> std::result::Result<AggregateCall, SqlError> {
    let [time, value] =
        <[Typed; 2]>::try_from(take(&mut arguments.args)).map_err(|args| wrong_arguments(name, &args))?;
    let is_state = matches!(
        value.data_type,
        DataType::Int64
            | DataType::UInt64
            | DataType::Float64
            | DataType::Boolean
            | DataType::Utf8
            | DataType::Timestamp(..)
    );
    let (DataType::Timestamp(unit, _), true, false) = (&time.data_type, is_state, arguments.distinct) else {
        return Err(wrong_arguments(name, &[time, value]));
    };
    // A compact timeline shows no times, which are counted in nanoseconds then.
    let unit = *unit;
    let data_type = DataType::Struct(timeline_fields(&value.data_type, unit, is_compact));
    let time = match is_compact {
        true => crate::expr::coerce::convert(time, &DataType::Timestamp(TimeUnit::Nanosecond, None))?,
        false => time.expr,
    };
    let args = vec![time, arguments.only_if(value.expr)];
    Ok(AggregateCall { function, args, distinct: false, data_type })
}

struct States {
    result: DataType,
    /// What states are.
    state: DataType,
    /// Of the times; `None` for a compact timeline, whose times are nanoseconds.
    unit: Option<TimeUnit>,
    /// Rows as they came.
    slots: Vec<Vec<(i64, Scalar)>>,
    held: usize,
    text_bytes: usize,
}

/// A state of a timeline.
struct Lasting<'a> {
    state: &'a Scalar,
    ns: i128,
    periods: Vec<(i64, i64)>,
}

impl States {
    fn add(&mut self, slot: usize, time: i64, value: Scalar) {
        self.held += 1;
        self.text_bytes += if let Scalar::Str(text) = &value { text.len() } else { 0 };
        self.slots[slot].push((time, value));
    }

    /// The states of some rows in the order in which they came first. Neighbours that are equal are one.
    fn timeline<'a>(&self, rows: &'a mut [(i64, Scalar)]) -> Vec<Lasting<'a>> {
        rows.sort_unstable_by(|(one, a), (other, b)| one.cmp(other).then_with(|| order(a, b)));
        let rows = &*rows;
        let length_ns = unit_ns(self.unit.unwrap_or(TimeUnit::Nanosecond));
        let mut lasting: Vec<Lasting<'a>> = Vec::new();
        let mut places: std::collections::HashMap<super::mode::Key, usize> = std::collections::HashMap::new();
        let mut before: Option<usize> = None;
        for (at, (from, state)) in rows.iter().enumerate() {
            let until = rows.get(at + 1).map_or(*from, |(next, _)| *next);
            let place = *places.entry(super::mode::key(state)).or_insert_with(|| {
                lasting.push(Lasting { state, ns: 0, periods: Vec::new() });
                lasting.len() - 1
            });
            let found = &mut lasting[place];
            found.ns += (i128::from(until) - i128::from(*from)) * i128::from(length_ns);
            match found.periods.last_mut().filter(|_| before == Some(place)) {
                Some((_, end)) => *end = until,
                None => found.periods.push((*from, until)),
            }
            before = Some(place);
        }
        lasting
    }
}

impl Accumulator for States {
    fn resize(&mut self, slots: usize) {
        self.slots.resize_with(slots, Vec::new);
    }

    fn update(&mut self, args: &[ArrayRef], slices: Slices<'_>) -> Result<()> {
        let (times, values) = (Values::of(&args[0])?, Values::of(&args[1])?);
        for slice in slices.slices {
            for row in slice.range().filter(|row| values.is_valid(*row)) {
                if let Scalar::Int(time) = times.get(row) {
                    self.add(slice.slot as usize, time, values.get(row));
                }
            }
        }
        Ok(())
    }

    fn merge(&mut self, states: &[ArrayRef], slices: Slices<'_>) -> Result<()> {
        let (times, offsets) = items(&states[0])?;
        let (times, values) = (Values::of(times)?, Values::of(items(&states[1])?.0)?);
        for slice in slices.slices {
            for row in slice.range() {
                for at in offsets[row] as usize..offsets[row + 1] as usize {
                    if let Scalar::Int(time) = times.get(at) {
                        self.add(slice.slot as usize, time, values.get(at));
                    }
                }
            }
        }
        Ok(())
    }

    fn states(&self, slots: Range<usize>) -> Result<Vec<ArrayRef>> {
        let slots = &self.slots[slots];
        let lengths = || slots.iter().map(Vec::len);
        let all = || slots.iter().flatten();
        let times: Vec<Scalar> = all().map(|(time, _)| Scalar::Int(*time)).collect();
        let value_type = all().next().map_or(DataType::Null, |(_, value)| held_type(value));
        Ok(vec![
            lists(column(times.iter(), &DataType::Int64)?, lengths())?,
            lists(column(all().map(|(_, value)| value), &value_type)?, lengths())?,
        ])
    }

    fn results(&self, slots: Range<usize>) -> Result<ArrayRef> {
        let mut slots: Vec<Vec<(i64, Scalar)>> = self.slots[slots].to_vec();
        let nulls: NullBuffer = slots.iter().map(|rows| !rows.is_empty()).collect();
        let timelines: Vec<Vec<Lasting<'_>>> = slots.iter_mut().map(|rows| self.timeline(rows)).collect();
        let counts = || timelines.iter().map(Vec::len);
        let all = || timelines.iter().flatten();
        let names = column(all().map(|lasting| lasting.state), &self.state)?;
        let durations = all().map(|lasting| interval(lasting.ns)).collect::<Result<Vec<_>>>()?;
        let durations: ArrayRef = Arc::new(IntervalMonthDayNanoArray::from(durations));
        let durations = structs(duration_fields(&self.state), vec![Arc::clone(&names), durations], counts())?;
        let periods = match self.unit {
            None => new_null_array(&DataType::Null, timelines.len()),
            Some(unit) => {
                let periods = || all().flat_map(|lasting| &lasting.periods);
                let times = |of: fn(&(i64, i64)) -> i64| time_array(periods().map(of).collect(), None, unit);
                let each = structs(
                    period_fields(unit),
                    vec![times(|(from, _)| *from), times(|(_, until)| *until)],
                    all().map(|lasting| lasting.periods.len()),
                )?;
                structs(periods_fields(&self.state, unit), vec![names, each], counts())?
            }
        };
        let DataType::Struct(fields) = &self.result else {
            return Err(ExecError::Internal(format!("a timeline of {}", self.result)));
        };
        Ok(Arc::new(StructArray::try_new(fields.clone(), vec![durations, periods], Some(nulls))?))
    }

    fn bytes(&self) -> usize {
        // The rows, and a copy of them while they are sorted.
        let rows: usize = self.slots.iter().map(Vec::capacity).sum();
        self.slots.capacity() * size_of::<Vec<(i64, Scalar)>>()
            + 2 * rows.max(self.held) * size_of::<(i64, Scalar)>()
            + self.text_bytes
    }
}

/// Lists of structs, one after the other; `lengths` of each list.
fn structs(members: Fields, columns: Vec<ArrayRef>, lengths: impl Iterator<Item = usize>) -> Result<ArrayRef> {
    let items = StructArray::try_new(members, columns, None)?;
    let field = Arc::new(Field::new("item", arrow_array::Array::data_type(&items).clone(), true));
    Ok(Arc::new(ListArray::try_new(field, OffsetBuffer::from_lengths(lengths), Arc::new(items), None)?))
}

/// A duration in days and the rest of one.
fn interval(ns: i128) -> Result<IntervalMonthDayNano> {
    let day = i128::from(DAY_NS);
    let days = i32::try_from(ns / day).map_err(|_| ExecError::Overflow { of: "state_agg".to_owned(), values: None })?;
    Ok(IntervalMonthDayNano::new(0, days, (ns % day) as i64))
}
