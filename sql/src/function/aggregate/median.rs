//! `median(x)`: all numbers of a group are held, and the one in the middle is looked for at the end.

use std::cmp::Ordering;
use std::ops::Range;
use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::{Float64Type, Int64Type, UInt64Type};
use arrow_array::{ArrayRef, PrimitiveArray};
use arrow_schema::DataType;

use super::kernel::{Lane, each_run};
use super::lane::{LaneKind, lane_array, lane_of};
use super::scalars::{items, lists};
use crate::error::execution::{ExecError, Result};
use crate::expr::AggregateFunction;
use crate::expr::accumulator::{Accumulator, Slices};
use crate::expr::aggregate::Needs;
use crate::function::definition::{Aggregate, Documentation, Gives, Takes};
use crate::types::array::cast_to;

pub(super) static ENTRY: Aggregate = Aggregate::of_value(
    Documentation::new(
        "median",
        "median([DISTINCT] x)",
        "The number in the middle, or the mean of the two there, of the type of `x`; all numbers of a group are held.",
    )
    .heading("MEDIAN"),
    Takes::Numbers,
    Gives::Value,
    true,
    AggregateFunction { name: "median", accumulator, state_columns: 1, needs: Needs::Rows, end: None },
);

fn accumulator(result: &DataType) -> Result<Box<dyn Accumulator>> {
    Ok(match lane_of(result)?.0 {
        LaneKind::Int => Box::new(Median::<Int64Type>::new(result)),
        LaneKind::UInt => Box::new(Median::<UInt64Type>::new(result)),
        LaneKind::Float => Box::new(Median::<Float64Type>::new(result)),
        LaneKind::Text => return Err(ExecError::NotImplemented("median of text".into())),
    })
}

/// Numbers between which there may be one.
trait Middle: Lane {
    /// The number between two: of integers the one towards zero.
    fn between(low: Self::Native, high: Self::Native) -> Self::Native;
}

impl Middle for Int64Type {
    fn between(low: i64, high: i64) -> i64 {
        i128::midpoint(low.into(), high.into()) as i64
    }
}

impl Middle for UInt64Type {
    fn between(low: u64, high: u64) -> u64 {
        u64::midpoint(low, high)
    }
}

impl Middle for Float64Type {
    fn between(low: f64, high: f64) -> f64 {
        if low == high { low } else { low + (high - low) / 2.0 }
    }
}

struct Median<T: Lane> {
    slots: Vec<Vec<T::Native>>,
    held: usize,
    result: DataType,
}

/// The number in the middle of values, whose order changes.
fn middle<T: Middle>(values: &mut [T::Native]) -> Option<T::Native> {
    let order = |a: &T::Native, b: &T::Native| match (T::greater(*a, *b), T::greater(*b, *a)) {
        (true, _) => Ordering::Greater,
        (_, true) => Ordering::Less,
        _ => Ordering::Equal,
    };
    let upper = values.len() / 2;
    if values.is_empty() {
        return None;
    }
    let is_odd = values.len() % 2 == 1;
    let (below, high, _) = values.select_nth_unstable_by(upper, order);
    let low = if is_odd { None } else { below.iter().copied().max_by(|a, b| order(a, b)) };
    Some(T::between(low.unwrap_or(*high), *high))
}

impl<T: Middle> Median<T> {
    fn new(result: &DataType) -> Self {
        Self { slots: Vec::new(), held: 0, result: result.clone() }
    }

    fn hold(&mut self, slot: usize, values: &[T::Native]) {
        self.slots[slot].extend_from_slice(values);
        self.held += values.len();
    }

    fn column(&self, answers: impl Iterator<Item = Option<T::Native>>) -> Result<ArrayRef> {
        let answers: PrimitiveArray<T> = PrimitiveArray::from_iter(answers);
        cast_to(&(Arc::new(answers) as ArrayRef), &self.result)
    }
}

impl<T: Middle> Accumulator for Median<T> {
    fn resize(&mut self, slots: usize) {
        self.slots.resize_with(slots, Vec::new);
    }

    fn update(&mut self, args: &[ArrayRef], slices: Slices<'_>) -> Result<()> {
        let array = lane_array(args, 0, &T::DATA_TYPE)?;
        each_run::<T>(&array, slices, |slot, run| self.hold(slot, run));
        Ok(())
    }

    fn merge(&mut self, states: &[ArrayRef], slices: Slices<'_>) -> Result<()> {
        let state = states.first().ok_or_else(|| ExecError::Internal("a median without a state".into()))?;
        let (values, offsets) = items(state)?;
        let values = cast_to(values, &T::DATA_TYPE)?;
        let values = values.as_primitive::<T>().values();
        for slice in slices.slices {
            for row in slice.range() {
                self.hold(slice.slot as usize, &values[offsets[row] as usize..offsets[row + 1] as usize]);
            }
        }
        Ok(())
    }

    fn states(&self, slots: Range<usize>) -> Result<Vec<ArrayRef>> {
        let slots = &self.slots[slots];
        let all: PrimitiveArray<T> = slots.concat().into_iter().map(Some).collect();
        Ok(vec![lists(Arc::new(all), slots.iter().map(Vec::len))?])
    }

    fn take_states(&mut self, slots: usize) -> Result<Vec<ArrayRef>> {
        match self.slots.as_mut_slice() {
            [only] if slots == 1 => {
                let all = PrimitiveArray::<T>::new(std::mem::take(only).into(), None);
                let length = all.len();
                Ok(vec![lists(Arc::new(all), std::iter::once(length))?])
            }
            _ => self.states(0..slots),
        }
    }

    fn results(&self, slots: Range<usize>) -> Result<ArrayRef> {
        self.column(self.slots[slots].iter().map(|values| middle::<T>(&mut values.clone())))
    }

    fn take_results(&mut self, slots: usize) -> Result<ArrayRef> {
        let mut held = std::mem::take(&mut self.slots);
        held.resize_with(slots, Vec::new);
        self.column(held.into_iter().map(|mut values| middle::<T>(&mut values)))
    }

    fn bytes(&self) -> usize {
        // Vectors grow to twice what they hold.
        self.slots.capacity() * size_of::<Vec<T::Native>>() + self.held * 2 * size_of::<T::Native>()
    }
}

#[cfg(test)]
mod tests {
    use arrow_array::{Array, Float64Array, Int64Array, UInt64Array};

    use super::*;
    use crate::expr::accumulator::Slice;

    /// The answer over parts, each held on a shard of its own.
    fn median(parts: &[ArrayRef], of_all: bool) -> ArrayRef {
        let result = parts[0].data_type().clone();
        let mut merged = accumulator(&result).unwrap();
        merged.resize(2);
        for part in parts {
            let mut shard = accumulator(&result).unwrap();
            shard.resize(1);
            let rows = Slice { slot: 0, start: 0, end: part.len() as u32 };
            shard.update(&[Arc::clone(part)], Slices { slices: &[rows], ascending: false }).unwrap();
            let states = if of_all { shard.take_states(1) } else { shard.states(0..1) }.unwrap();
            let row = Slice { slot: 1, start: 0, end: 1 };
            merged.merge(&states, Slices { slices: &[row], ascending: false }).unwrap();
        }
        if of_all { merged.take_results(2).unwrap() } else { merged.results(0..2).unwrap() }
    }

    #[test]
    fn the_middle_is_found_in_all_parts_together() {
        for of_all in [false, true] {
            let ints = |values: &[Option<i64>]| Arc::new(Int64Array::from(values.to_vec())) as ArrayRef;
            let answer = |parts: &[ArrayRef]| {
                let answer = median(parts, of_all);
                assert!(answer.is_null(0), "nothing has no middle");
                answer.is_valid(1).then(|| answer.as_primitive::<Int64Type>().value(1))
            };
            assert_eq!(answer(&[ints(&[Some(9), None, Some(1)]), ints(&[Some(4)])]), Some(4));
            assert_eq!(answer(&[ints(&[Some(-7), Some(4)])]), Some(-1), "towards zero");
            assert_eq!(answer(&[ints(&[Some(i64::MAX), Some(i64::MAX)])]), Some(i64::MAX));
            assert_eq!(answer(&[ints(&[None])]), None);
            let uints: ArrayRef = Arc::new(UInt64Array::from(vec![u64::MAX, 3, u64::MAX - 4]));
            assert_eq!(median(&[uints], of_all).as_primitive::<UInt64Type>().value(1), u64::MAX - 4);
            let floats: ArrayRef = Arc::new(Float64Array::from(vec![f64::NAN, 1.5, f64::INFINITY, 2.5]));
            assert_eq!(median(&[floats], of_all).as_primitive::<Float64Type>().value(1), f64::INFINITY);
        }
    }

    #[test]
    fn the_middle_is_that_of_the_sorted_values() {
        let seed = crate::exec::testing::seed();
        let mut random = fastrand::Rng::with_seed(seed);
        for count in 1..60 {
            let values: Vec<i64> = (0..count).map(|_| random.i64(-20..20)).collect();
            let found = middle::<Int64Type>(&mut values.clone());
            let mut sorted = values;
            sorted.sort_unstable();
            let expected = (sorted[(sorted.len() - 1) / 2] + sorted[sorted.len() / 2]) / 2;
            assert_eq!(found, Some(expected), "TIDEWIRE_SEED={seed}");
        }
    }
}
