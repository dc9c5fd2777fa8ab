//! Variance and standard deviation, of a sample (`n - 1`) or of all there is (`n`), DOUBLE.
//!
//! Count, sum and sum of squares are kept, the sums in two doubles each (about 32 digits), so that the answer is right
//! to the last digit or two in whatever order rows come, also where values are large and close together.

use std::ops::Range;
use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::{Float64Type, Int64Type};
use arrow_array::{Array, ArrayRef, Float64Array, Int64Array};
use arrow_schema::DataType;

use super::double2::Double2;
use super::lane::lane_array;
use crate::error::execution::Result;
use crate::expr::AggregateFunction;
use crate::expr::accumulator::{Accumulator, Slices};
use crate::expr::aggregate::Needs;
use crate::function::definition::{Aggregate, Documentation, Gives, Takes};

/// What a function makes of the moments.
#[derive(Debug, Clone, Copy)]
struct Answer {
    /// Whether the values are a sample.
    of_sample: bool,
    /// Whether the root is taken.
    root: bool,
}

const fn function(name: &'static str, accumulator: Make) -> AggregateFunction {
    AggregateFunction { name, accumulator, state_columns: 5, needs: Needs::Rows, end: None }
}

type Make = fn(&DataType) -> Result<Box<dyn Accumulator>>;

const fn entry(documentation: Documentation, function: AggregateFunction) -> Aggregate {
    Aggregate::of_value(documentation, Takes::Numbers, Gives::Double, true, function)
}

/// Standard deviation of a sample; of one value null.
pub(crate) static STDDEV: AggregateFunction =
    function("stddev", |_| Ok(Deviation::boxed(Answer { of_sample: true, root: true })));

pub(super) static STDDEV_ENTRY: Aggregate = entry(
    Documentation::new("stddev", "stddev(x)", "Standard deviation of a sample, null of fewer than two values, DOUBLE.")
        .aliases(&["stddev_samp"])
        .heading("STDDEV"),
    function("stddev", |_| Ok(Deviation::boxed(Answer { of_sample: true, root: true }))),
);

pub(super) static STDDEV_POP_ENTRY: Aggregate = entry(
    Documentation::new("stddev_pop", "stddev_pop(x)", "Standard deviation of all there is, DOUBLE.")
        .heading("STDDEV_POP"),
    function("stddev_pop", |_| Ok(Deviation::boxed(Answer { of_sample: false, root: true }))),
);

pub(super) static VAR_ENTRY: Aggregate = entry(
    Documentation::new("var", "var(x)", "Variance of a sample, null of fewer than two values, DOUBLE.")
        .aliases(&["var_samp"])
        .heading("VARIANCE"),
    function("var", |_| Ok(Deviation::boxed(Answer { of_sample: true, root: false }))),
);

pub(super) static VAR_POP_ENTRY: Aggregate = entry(
    Documentation::new("var_pop", "var_pop(x)", "Variance of all there is, DOUBLE.").heading("VARIANCE_POP"),
    function("var_pop", |_| Ok(Deviation::boxed(Answer { of_sample: false, root: false }))),
);

#[derive(Debug, Clone, Copy, Default)]
struct Moments {
    count: i64,
    sum: Double2,
    squares: Double2,
}

struct Deviation {
    answer: Answer,
    slots: Vec<Moments>,
}

impl Deviation {
    fn boxed(answer: Answer) -> Box<dyn Accumulator> {
        Box::new(Self { answer, slots: Vec::new() })
    }
}

impl Accumulator for Deviation {
    fn resize(&mut self, slots: usize) {
        self.slots.resize(slots, Moments::default());
    }

    fn update(&mut self, args: &[ArrayRef], slices: Slices<'_>) -> Result<()> {
        let values = lane_array(args, 0, &DataType::Float64)?;
        let values = values.as_primitive::<Float64Type>();
        for slice in slices.slices {
            let moments = &mut self.slots[slice.slot as usize];
            for row in slice.range().filter(|row| values.is_valid(*row)) {
                let value = values.value(row);
                moments.count += 1;
                moments.sum = moments.sum.plus(Double2::of(value));
                moments.squares = moments.squares.plus(Double2::product(value, value));
            }
        }
        Ok(())
    }

    fn merge(&mut self, states: &[ArrayRef], slices: Slices<'_>) -> Result<()> {
        let counts = states[0].as_primitive::<Int64Type>();
        let float = |at: usize, row: usize| states[at].as_primitive::<Float64Type>().value(row);
        for slice in slices.slices {
            let moments = &mut self.slots[slice.slot as usize];
            for row in slice.range() {
                moments.count += counts.value(row);
                moments.sum = moments.sum.plus(Double2 { high: float(1, row), low: float(2, row) });
                moments.squares = moments.squares.plus(Double2 { high: float(3, row), low: float(4, row) });
            }
        }
        Ok(())
    }

    fn states(&self, slots: Range<usize>) -> Result<Vec<ArrayRef>> {
        let slots = &self.slots[slots];
        let floats = |of: fn(&Moments) -> f64| Arc::new(slots.iter().map(of).collect::<Float64Array>()) as ArrayRef;
        let counts: ArrayRef = Arc::new(slots.iter().map(|moments| moments.count).collect::<Int64Array>());
        Ok(vec![
            counts,
            floats(|moments| moments.sum.high),
            floats(|moments| moments.sum.low),
            floats(|moments| moments.squares.high),
            floats(|moments| moments.squares.low),
        ])
    }

    fn results(&self, slots: Range<usize>) -> Result<ArrayRef> {
        let Answer { of_sample, root } = self.answer;
        let answer = |moments: &Moments| {
            let count = moments.count as f64;
            let divisor = if of_sample { count - 1.0 } else { count };
            if divisor <= 0.0 {
                return None;
            }
            let around_mean = moments.squares.minus(moments.sum.times(moments.sum).over(count));
            // The squares of equal values differ from that of their mean by rounding alone.
            let variance = around_mean.over(divisor).beside(moments.squares.high / divisor);
            Some(if root { variance.sqrt() } else { variance })
        };
        Ok(Arc::new(self.slots[slots].iter().map(answer).collect::<Float64Array>()))
    }

    fn bytes(&self) -> usize {
        self.slots.capacity() * size_of::<Moments>()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::expr::accumulator::Slice;

    #[test]
    fn large_values_that_are_close_keep_their_digits() {
        let values: ArrayRef = Arc::new(Float64Array::from(vec![1e9, 1e9 + 1.0, 1e9 + 2.0, 1e9 + 3.0]));
        let new = || Deviation { answer: Answer { of_sample: true, root: true }, slots: Vec::new() };
        let mut whole = new();
        whole.resize(1);
        let slice = Slice { slot: 0, start: 0, end: 4 };
        whole.update(std::slice::from_ref(&values), Slices { slices: &[slice], ascending: false }).unwrap();
        let expected = (5.0f64 / 3.0).sqrt();
        let of = |of: &Deviation| of.results(0..1).unwrap().as_primitive::<Float64Type>().value(0);
        assert_eq!(of(&whole), expected);
        let mut merged = new();
        merged.resize(1);
        for range in [0..1, 1..4] {
            let mut part = new();
            part.resize(1);
            let slice = Slice { slot: 0, start: range.start, end: range.end };
            part.update(std::slice::from_ref(&values), Slices { slices: &[slice], ascending: false }).unwrap();
            let state = Slice { slot: 0, start: 0, end: 1 };
            merged.merge(&part.states(0..1).unwrap(), Slices { slices: &[state], ascending: false }).unwrap();
        }
        assert_eq!(of(&merged), expected);
    }
}
