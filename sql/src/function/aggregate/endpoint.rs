//! `first(time, x)` and `last(time, x)`: the value at the least or greatest time among rows where it is not null.
//!
//! Between rows of one time the greater value wins, so that the answer does not depend on the order of rows.

use std::mem::take;
use std::ops::Range;
use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::{Float64Type, Int64Type, UInt64Type};
use arrow_array::{Array, ArrayRef, Int64Array};
use arrow_schema::DataType;

use super::kernel::Lane;
use super::lane::{LaneKind, lane_array, lane_of};
use super::seen::{Seen, column};
use crate::error::SqlError;
use crate::error::execution::Result;
use crate::expr::accumulator::{Accumulator, Slice, Slices};
use crate::expr::aggregate::{Needs, SeriesEnd};
use crate::expr::coerce::convert;
use crate::expr::{AggregateCall, AggregateFunction, Typed};
use crate::function::definition::{Aggregate, Arguments, Documentation, wrong_arguments};
use crate::types::array::texts;

pub(super) static FIRST_ENTRY: Aggregate = Aggregate::own(
    Documentation::new("first", "first(time, x)", "The value at the least time where `x` is not null."),
    false,
    |name, arguments| bind(&FIRST, name, arguments),
);

pub(super) static LAST_ENTRY: Aggregate = Aggregate::own(
    Documentation::new("last", "last(time, x)", "The value at the greatest time where `x` is not null."),
    false,
    |name, arguments| bind(&LAST, name, arguments),
);

/// `[time, value]`: the least time of a row that has the value.
pub(crate) static FIRST_TIME: AggregateFunction = AggregateFunction {
    name: "first_time",
    accumulator: |result| Ok(Box::new(EndpointTime::new(false, result.clone()))),
    state_columns: 1,
    needs: Needs::Rows,
    end: Some(SeriesEnd::First),
};

/// `[time, value]`: the greatest time of a row that has the value.
pub(crate) static LAST_TIME: AggregateFunction = AggregateFunction {
    name: "last_time",
    accumulator: |result| Ok(Box::new(EndpointTime::new(true, result.clone()))),
    state_columns: 1,
    needs: Needs::Rows,
    end: Some(SeriesEnd::Last),
};

pub(crate) static FIRST: AggregateFunction = AggregateFunction {
    name: "first",
    accumulator: |result| accumulator(false, result),
    state_columns: 2,
    needs: Needs::Rows,
    end: Some(SeriesEnd::First),
};

pub(crate) static LAST: AggregateFunction = AggregateFunction {
    name: "last",
    accumulator: |result| accumulator(true, result),
    state_columns: 2,
    needs: Needs::Rows,
    end: Some(SeriesEnd::Last),
};

fn bind(
    function: &'static AggregateFunction,
    name: &str,
    mut arguments: Arguments,
) -> std::result::Result<AggregateCall, SqlError> {
    let Ok([time, value]) = <[Typed; 2]>::try_from(take(&mut arguments.args)) else {
        return Err(wrong_arguments(name, &[]));
    };
    if !matches!(time.data_type, DataType::Timestamp(..)) || arguments.distinct {
        return Err(wrong_arguments(name, &[time, value]));
    }
    // A null without type is one of text.
    let value = match value.data_type {
        DataType::Null => Typed::new(convert(value, &DataType::Utf8)?, DataType::Utf8),
        _ => value,
    };
    let args = vec![time.expr, arguments.only_if(value.expr)];
    Ok(AggregateCall { function, args, distinct: false, data_type: value.data_type })
}

fn accumulator(newest: bool, result: &DataType) -> Result<Box<dyn Accumulator>> {
    Ok(match lane_of(result)?.0 {
        LaneKind::Int => Box::new(Endpoint::<Int64Type>::new(newest, result.clone())),
        LaneKind::UInt => Box::new(Endpoint::<UInt64Type>::new(newest, result.clone())),
        LaneKind::Float => Box::new(Endpoint::<Float64Type>::new(newest, result.clone())),
        LaneKind::Text => Box::new(TextEndpoint::new(newest)),
    })
}

/// The rows of a slice to offer: all that have a time and a value, or, where times ascend, the one at the end.
fn candidates<'a>(
    slice: Slice,
    ascending: bool,
    newest: bool,
    times: &'a dyn Array,
    values: &'a dyn Array,
) -> impl Iterator<Item = usize> + 'a {
    let mut range = slice.range();
    let present = move |&row: &usize| times.is_valid(row) && values.is_valid(row);
    let end = ascending.then(|| if newest { range.rfind(present) } else { range.find(present) });
    let all = if ascending { 0..0 } else { range };
    all.filter(present).chain(end.flatten())
}

/// Whether an offer at `time` beats what is held at `held`; `None` when they tie.
fn beats(newest: bool, time: i64, held: i64) -> Option<bool> {
    (time != held).then_some((time > held) == newest)
}

/// Endpoint values of a numeric lane.
pub(super) struct Endpoint<T: Lane> {
    times: Vec<i64>,
    values: Vec<T::Native>,
    seen: Seen,
    newest: bool,
    result: DataType,
}

impl<T: Lane> Endpoint<T> {
    pub(super) fn new(newest: bool, result: DataType) -> Self {
        Self { times: Vec::new(), values: Vec::new(), seen: Seen::default(), newest, result }
    }
}

impl<T: Lane> Accumulator for Endpoint<T> {
    fn resize(&mut self, slots: usize) {
        self.times.resize(slots, 0);
        self.values.resize(slots, T::Native::default());
        self.seen.resize(slots);
    }

    fn update(&mut self, args: &[ArrayRef], slices: Slices<'_>) -> Result<()> {
        let (times, values) = (lane_array(args, 0, &DataType::Int64)?, lane_array(args, 1, &T::DATA_TYPE)?);
        let (time, value) = (times.as_primitive::<Int64Type>().values(), values.as_primitive::<T>().values());
        for &slice in slices.slices {
            let slot = slice.slot as usize;
            for row in candidates(slice, slices.ascending, self.newest, &times, &values) {
                let better = !self.seen.get(slot)
                    || beats(self.newest, time[row], self.times[slot])
                        .unwrap_or_else(|| T::greater(value[row], self.values[slot]));
                if better {
                    self.times[slot] = time[row];
                    self.values[slot] = value[row];
                    self.seen.mark(slot);
                }
            }
        }
        Ok(())
    }

    fn merge(&mut self, states: &[ArrayRef], slices: Slices<'_>) -> Result<()> {
        self.update(states, slices)
    }

    fn states(&self, slots: Range<usize>) -> Result<Vec<ArrayRef>> {
        let times: ArrayRef = Arc::new(Int64Array::from(self.times[slots.clone()].to_vec()));
        let values = self.values[slots.clone()].to_vec();
        Ok(vec![times, column::<T>(values, self.seen.nulls(slots), &T::DATA_TYPE)?])
    }

    fn results(&self, slots: Range<usize>) -> Result<ArrayRef> {
        column::<T>(self.values[slots.clone()].to_vec(), self.seen.nulls(slots), &self.result)
    }

    fn take_states(&mut self, slots: usize) -> Result<Vec<ArrayRef>> {
        let times: ArrayRef = Arc::new(Int64Array::from(take(&mut self.times)));
        Ok(vec![times, column::<T>(take(&mut self.values), self.seen.nulls(0..slots), &T::DATA_TYPE)?])
    }

    fn take_results(&mut self, slots: usize) -> Result<ArrayRef> {
        column::<T>(take(&mut self.values), self.seen.nulls(0..slots), &self.result)
    }

    fn bytes(&self) -> usize {
        self.times.capacity() * size_of::<i64>() + self.values.capacity() * size_of::<T::Native>() + self.seen.bytes()
    }
}

/// Endpoint texts.
pub(super) struct TextEndpoint {
    times: Vec<i64>,
    values: Vec<Option<Box<str>>>,
    text_bytes: usize,
    newest: bool,
}

impl TextEndpoint {
    pub(super) fn new(newest: bool) -> Self {
        Self { times: Vec::new(), values: Vec::new(), text_bytes: 0, newest }
    }
}

impl Accumulator for TextEndpoint {
    fn resize(&mut self, slots: usize) {
        self.times.resize(slots, 0);
        self.values.resize(slots, None);
    }

    fn update(&mut self, args: &[ArrayRef], slices: Slices<'_>) -> Result<()> {
        let (times, values) = (lane_array(args, 0, &DataType::Int64)?, lane_array(args, 1, &DataType::Utf8)?);
        let (time, texts) = (times.as_primitive::<Int64Type>().values(), values.as_string::<i32>());
        for &slice in slices.slices {
            let slot = slice.slot as usize;
            for row in candidates(slice, slices.ascending, self.newest, &times, &values) {
                let text = texts.value(row);
                let held = &mut self.values[slot];
                let better = held
                    .as_deref()
                    .is_none_or(|held| beats(self.newest, time[row], self.times[slot]).unwrap_or_else(|| text > held));
                if better {
                    self.text_bytes += text.len();
                    self.text_bytes -= held.as_ref().map_or(0, |text| text.len());
                    *held = Some(text.into());
                    self.times[slot] = time[row];
                }
            }
        }
        Ok(())
    }

    fn merge(&mut self, states: &[ArrayRef], slices: Slices<'_>) -> Result<()> {
        self.update(states, slices)
    }

    fn states(&self, slots: Range<usize>) -> Result<Vec<ArrayRef>> {
        let times = Arc::new(Int64Array::from(self.times[slots.clone()].to_vec()));
        Ok(vec![times, self.results(slots)?])
    }

    fn results(&self, slots: Range<usize>) -> Result<ArrayRef> {
        texts(self.values[slots].iter().map(Option::as_deref))
    }

    fn bytes(&self) -> usize {
        self.times.capacity() * size_of::<i64>()
            + self.values.capacity() * size_of::<Option<Box<str>>>()
            + self.text_bytes
    }
}

/// Times of endpoints.
struct EndpointTime {
    times: Vec<i64>,
    seen: Seen,
    newest: bool,
    result: DataType,
}

impl EndpointTime {
    fn new(newest: bool, result: DataType) -> Self {
        Self { times: Vec::new(), seen: Seen::default(), newest, result }
    }

    fn offer(&mut self, slot: usize, time: i64) {
        if !self.seen.get(slot) || beats(self.newest, time, self.times[slot]) == Some(true) {
            self.times[slot] = time;
            self.seen.mark(slot);
        }
    }
}

impl Accumulator for EndpointTime {
    fn resize(&mut self, slots: usize) {
        self.times.resize(slots, 0);
        self.seen.resize(slots);
    }

    fn update(&mut self, args: &[ArrayRef], slices: Slices<'_>) -> Result<()> {
        let times = lane_array(args, 0, &DataType::Int64)?;
        let time = times.as_primitive::<Int64Type>().values();
        for &slice in slices.slices {
            for row in candidates(slice, slices.ascending, self.newest, &times, &args[1]) {
                self.offer(slice.slot as usize, time[row]);
            }
        }
        Ok(())
    }

    fn merge(&mut self, states: &[ArrayRef], slices: Slices<'_>) -> Result<()> {
        let times = lane_array(states, 0, &DataType::Int64)?;
        let times = times.as_primitive::<Int64Type>();
        for slice in slices.slices {
            for row in slice.range().filter(|row| times.is_valid(*row)) {
                self.offer(slice.slot as usize, times.value(row));
            }
        }
        Ok(())
    }

    fn states(&self, slots: Range<usize>) -> Result<Vec<ArrayRef>> {
        Ok(vec![column::<Int64Type>(self.times[slots.clone()].to_vec(), self.seen.nulls(slots), &DataType::Int64)?])
    }

    fn results(&self, slots: Range<usize>) -> Result<ArrayRef> {
        column::<Int64Type>(self.times[slots.clone()].to_vec(), self.seen.nulls(slots), &self.result)
    }

    fn bytes(&self) -> usize {
        self.times.capacity() * size_of::<i64>() + self.seen.bytes()
    }
}
