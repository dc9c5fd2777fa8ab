//! `stddev(x)`: standard deviation of a sample, DOUBLE.
//!
//! Count, sum and sum of squares are kept, the sums in two doubles each (about 32 digits), so that the answer is right
//! to the last digit or two in whatever order rows come, also where values are large and close together.

use std::ops::Range;
use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::{Float64Type, Int64Type};
use arrow_array::{Array, ArrayRef, Float64Array, Int64Array};
use arrow_schema::DataType;

use super::lane::lane_array;
use crate::error::execution::Result;
use crate::expr::AggregateFunction;
use crate::expr::accumulator::{Accumulator, Slices};
use crate::expr::aggregate::Needs;

/// Standard deviation of a sample; of one value null.
pub(crate) static STDDEV: AggregateFunction = AggregateFunction {
    name: "stddev",
    accumulator: |_| Ok(Box::new(Deviation::default())),
    state_columns: 5,
    needs: Needs::Rows,
    end: None,
};

/// A number as the sum of two doubles, the second below the last digit of the first.
#[derive(Debug, Clone, Copy, Default)]
struct Double2 {
    high: f64,
    low: f64,
}

impl Double2 {
    fn sum(one: f64, other: f64) -> Self {
        let high = one + other;
        let of_other = high - one;
        Self { high, low: (one - (high - of_other)) + (other - of_other) }
    }

    fn product(one: f64, other: f64) -> Self {
        let high = one * other;
        Self { high, low: one.mul_add(other, -high) }
    }

    fn plus(self, other: Self) -> Self {
        let sum = Self::sum(self.high, other.high);
        Self::sum(sum.high, sum.low + self.low + other.low)
    }

    fn minus(self, other: Self) -> Self {
        self.plus(Self { high: -other.high, low: -other.low })
    }

    fn times(self, other: Self) -> Self {
        let product = Self::product(self.high, other.high);
        Self::sum(product.high, product.low + self.high * other.low + self.low * other.high)
    }

    fn over(self, divisor: f64) -> Self {
        let high = self.high / divisor;
        let rest = self.minus(Self::product(high, divisor));
        Self::sum(high, rest.high / divisor)
    }
}

#[derive(Debug, Clone, Copy, Default)]
struct Moments {
    count: i64,
    sum: Double2,
    squares: Double2,
}

#[derive(Default)]
struct Deviation {
    slots: Vec<Moments>,
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
                moments.sum = moments.sum.plus(Double2 { high: value, low: 0.0 });
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
        let deviation = |moments: &Moments| {
            if moments.count < 2 {
                return None;
            }
            let count = moments.count as f64;
            let around_mean = moments.squares.minus(moments.sum.times(moments.sum).over(count));
            Some((around_mean.over(count - 1.0).high.max(0.0)).sqrt())
        };
        Ok(Arc::new(self.slots[slots].iter().map(deviation).collect::<Float64Array>()))
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
        let mut whole = Deviation::default();
        whole.resize(1);
        let slice = Slice { slot: 0, start: 0, end: 4 };
        whole.update(std::slice::from_ref(&values), Slices { slices: &[slice], ascending: false }).unwrap();
        let expected = (5.0f64 / 3.0).sqrt();
        let of = |of: &Deviation| of.results(0..1).unwrap().as_primitive::<Float64Type>().value(0);
        assert_eq!(of(&whole), expected);
        let mut merged = Deviation::default();
        merged.resize(1);
        for range in [0..1, 1..4] {
            let mut part = Deviation::default();
            part.resize(1);
            let slice = Slice { slot: 0, start: range.start, end: range.end };
            part.update(std::slice::from_ref(&values), Slices { slices: &[slice], ascending: false }).unwrap();
            let state = Slice { slot: 0, start: 0, end: 1 };
            merged.merge(&part.states(0..1).unwrap(), Slices { slices: &[state], ascending: false }).unwrap();
        }
        assert_eq!(of(&merged), expected);
    }
}
