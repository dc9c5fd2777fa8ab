//! `sum(x)`.
//!
//! The sum of integers is exact: it is held in 128 bits, on shards and where their states meet, and only the answer has
//! to fit in the type of the values. So it does not matter in which order rows come or how they are spread; a sum that
//! does not fit is an error.

use std::marker::PhantomData;
use std::ops::Range;
use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::{Decimal128Type, Float64Type, Int64Type, UInt64Type};
use arrow_array::{Array, ArrayRef, Decimal128Array, Int64Array};
use arrow_buffer::ScalarBuffer;
use arrow_schema::DataType;
use tidewire_storage::scan::ColumnSummary;
use tidewire_storage::segment::Summary;

use super::fold::{Fold, Reduction};
use super::kernel::{IntegerLane, Lane, each_run};
use super::lane::{LaneKind, lane_array, lane_of, no_summary};
use super::seen::{Seen, column};
use crate::error::execution::{ExecError, Result};
use crate::expr::accumulator::{Accumulator, Slices};
use crate::expr::aggregate::Needs;
use crate::expr::function::{Kernel, Returns};
use crate::expr::{AggregateFunction, ScalarFunction};
use crate::function::definition::{Aggregate, Documentation, Gives, Takes};

pub(super) static ENTRY: Aggregate = Aggregate::of_value(
    Documentation::new(
        "sum",
        "sum([DISTINCT] x)",
        "Sum of the values that are not null, of their type; an integer sum beyond it is an error.",
    )
    .heading("SUM"),
    Takes::Numbers,
    Gives::Value,
    true,
    AggregateFunction { name: "sum", accumulator, state_columns: 1, needs: Needs::Numbers, end: None },
);

/// The state of an integer sum is all that 128 bits hold, though arrow names no more digits than these.
const STATE_DIGITS: u8 = 38;

/// Type of [`WHOLE_SUM`].
pub(crate) const WHOLE_SUM_TYPE: DataType = DataType::Decimal128(STATE_DIGITS, 0);

/// Sum of BIGINT in 128 bits, for [`SHIFTED_SUM`]; no statement can name it.
pub(crate) static WHOLE_SUM: AggregateFunction = AggregateFunction {
    name: "sum",
    accumulator: |result| Ok(Box::new(IntegerSum::<Int64Type>::new(result.clone()))),
    state_columns: 1,
    needs: Needs::Numbers,
    end: None,
};

/// The BIGINT sum of values to each of which a constant is added, of their sum in 128 bits, their count and the
/// constant; no statement can name it.
pub(crate) static SHIFTED_SUM: ScalarFunction =
    ScalarFunction::new("shifted_sum", Returns::BigInt, Kernel::Columns(shifted)).failing();

fn shifted(args: &[ArrayRef]) -> Result<ArrayRef> {
    let sums = lane_array(args, 0, &WHOLE_SUM_TYPE)?;
    let counts = lane_array(args, 1, &DataType::Int64)?;
    let shifts = lane_array(args, 2, &DataType::Int64)?;
    let (counts, shifts) = (counts.as_primitive::<Int64Type>().values(), shifts.as_primitive::<Int64Type>().values());
    let sums = sums.as_primitive::<Decimal128Type>();
    let of_row = |(sum, (count, shift)): (Option<i128>, (&i64, &i64))| {
        let Some(sum) = sum else { return Ok(None) };
        let shifted = sum.checked_add(i128::from(*count) * i128::from(*shift));
        let narrow = shifted.and_then(|sum| i64::try_from(sum).ok());
        narrow.map(Some).ok_or_else(|| ExecError::Overflow { of: "sum".to_owned(), values: None })
    };
    Ok(Arc::new(sums.iter().zip(counts.iter().zip(shifts)).map(of_row).collect::<Result<Int64Array>>()?))
}

fn accumulator(result: &DataType) -> Result<Box<dyn Accumulator>> {
    Ok(match lane_of(result)?.0 {
        LaneKind::Int => Box::new(IntegerSum::<Int64Type>::new(result.clone())),
        LaneKind::UInt => Box::new(IntegerSum::<UInt64Type>::new(result.clone())),
        LaneKind::Float => Box::new(Fold::<Float64Type, _>::new(FloatSum, result.clone())),
        LaneKind::Text => return Err(ExecError::NotImplemented("sum of text".into())),
    })
}

/// `sum` of DOUBLE.
struct FloatSum;

impl Reduction for FloatSum {
    #[inline]
    fn of_run<T: Lane>(&self, values: &[T::Native]) -> T::Native {
        T::sum(values)
    }

    fn of_summary<T: Lane>(&self, summary: &Summary<T::Native>) -> T::Native {
        summary.sum
    }

    #[inline]
    fn join<T: Lane>(&self, held: T::Native, _is_first: bool, value: T::Native) -> T::Native {
        T::plus(held, value)
    }
}

/// `sum` of integers of one lane, null where no value was seen.
struct IntegerSum<T> {
    /// At most 2^64 values below 2^63 in magnitude: 128 bits hold any sum of them.
    sums: Vec<i128>,
    seen: Seen,
    result: DataType,
    lane: PhantomData<T>,
}

impl<T: IntegerLane> IntegerSum<T> {
    fn new(result: DataType) -> Self {
        Self { sums: Vec::new(), seen: Seen::default(), result, lane: PhantomData }
    }

    #[inline]
    fn take(&mut self, slot: usize, sum: i128) {
        self.sums[slot] += sum;
        self.seen.mark(slot);
    }

    /// The sums in 128 bits.
    fn whole(&self, slots: Range<usize>) -> Result<ArrayRef> {
        let sums = ScalarBuffer::from(self.sums[slots.clone()].to_vec());
        let sums = Decimal128Array::new(sums, self.seen.nulls(slots));
        Ok(Arc::new(sums.with_precision_and_scale(STATE_DIGITS, 0)?))
    }
}

impl<T: IntegerLane> Accumulator for IntegerSum<T> {
    fn resize(&mut self, slots: usize) {
        self.sums.resize(slots, 0);
        self.seen.resize(slots);
    }

    fn update(&mut self, args: &[ArrayRef], slices: Slices<'_>) -> Result<()> {
        let array = lane_array(args, 0, &T::DATA_TYPE)?;
        each_run::<T>(&array, slices, |slot, run| {
            self.take(slot, if let [only] = run { T::wide(*only) } else { T::wide_sum(run) });
        });
        Ok(())
    }

    fn merge(&mut self, states: &[ArrayRef], slices: Slices<'_>) -> Result<()> {
        let array = lane_array(states, 0, &DataType::Decimal128(STATE_DIGITS, 0))?;
        let values = array.as_primitive::<Decimal128Type>();
        for slice in slices.slices {
            for row in slice.range().filter(|&row| values.is_valid(row)) {
                self.take(slice.slot as usize, values.value(row));
            }
        }
        Ok(())
    }

    fn summary(&mut self, slot: usize, _rows: u64, column: Option<&ColumnSummary>) -> Result<()> {
        let column = column.ok_or_else(no_summary)?;
        if column.count > 0 {
            // A block whose sum is beyond its type has no statistics.
            let known = T::statistics(&column.statistics).ok_or_else(no_summary)?;
            self.take(slot, T::wide(known.sum));
        }
        Ok(())
    }

    fn states(&self, slots: Range<usize>) -> Result<Vec<ArrayRef>> {
        Ok(vec![self.whole(slots)?])
    }

    fn results(&self, slots: Range<usize>) -> Result<ArrayRef> {
        if self.result == WHOLE_SUM_TYPE {
            return self.whole(slots);
        }
        let fits = |sum: &i128| T::narrow(*sum).ok_or(ExecError::Overflow { of: "sum".to_owned(), values: None });
        let values = self.sums[slots.clone()].iter().map(fits).collect::<Result<Vec<_>>>()?;
        column::<T>(values, self.seen.nulls(slots), &self.result)
    }

    fn bytes(&self) -> usize {
        self.sums.capacity() * size_of::<i128>() + self.seen.bytes()
    }
}

#[cfg(test)]
mod tests {
    use arrow_array::UInt64Array;

    use super::*;
    use crate::expr::accumulator::Slice;

    fn whole(rows: usize) -> Vec<Slice> {
        vec![Slice { slot: 0, start: 0, end: rows as u32 }]
    }

    /// The answer over `parts`, each summed on a shard of its own; `None` for an overflow.
    fn summed(parts: &[ArrayRef]) -> Option<ArrayRef> {
        let result = parts[0].data_type().clone();
        let mut merged = accumulator(&result).unwrap();
        merged.resize(1);
        for part in parts {
            let mut shard = accumulator(&result).unwrap();
            shard.resize(1);
            shard.update(&[Arc::clone(part)], Slices { slices: &whole(part.len()), ascending: false }).unwrap();
            merged.merge(&shard.states(0..1).unwrap(), Slices { slices: &whole(1), ascending: false }).unwrap();
        }
        match merged.results(0..1) {
            Ok(answer) => Some(answer),
            Err(ExecError::Overflow { .. }) => None,
            Err(other) => panic!("{other}"),
        }
    }

    #[test]
    fn what_fits_in_the_end_is_exact_however_it_is_spread() {
        let ints = |values: &[i64]| Arc::new(Int64Array::from(values.to_vec())) as ArrayRef;
        let uints = |values: &[u64]| Arc::new(UInt64Array::from(values.to_vec())) as ArrayRef;
        const MAX: i64 = i64::MAX;
        let answer = |parts: &[ArrayRef]| summed(parts).map(|a| a.as_primitive::<Int64Type>().value(0));
        assert_eq!(answer(&[ints(&[MAX, 1, -1])]), Some(MAX));
        assert_eq!(answer(&[ints(&[MAX, 1]), ints(&[MAX, 1]), ints(&[i64::MIN, i64::MIN])]), Some(0));
        assert_eq!(answer(&[ints(&[MAX]), ints(&[1])]), None);
        assert_eq!(answer(&[ints(&[i64::MIN]), ints(&[-1])]), None);
        assert_eq!(answer(&[ints(&[MAX; 5_000])]), None);
        let answer = |parts: &[ArrayRef]| summed(parts).map(|a| a.as_primitive::<UInt64Type>().value(0));
        assert_eq!(answer(&[uints(&[u64::MAX]), uints(&[0])]), Some(u64::MAX));
        assert_eq!(answer(&[uints(&[u64::MAX]), uints(&[1])]), None);
        assert_eq!(answer(&[uints(&[u64::MAX; 3])]), None);
    }

    #[test]
    fn nothing_is_null() {
        let none: ArrayRef = Arc::new(Int64Array::new_null(3));
        assert_eq!(summed(&[none]).unwrap().null_count(), 1);
    }
}
