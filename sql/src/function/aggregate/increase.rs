//! `increase(time, x)`: how much a counter has risen, where a value below the one before is a counter that began anew
//! at zero. The rows of a group are held until all are there, and then put in the order of time.

use std::mem::take;
use std::ops::Range;
use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::{Float64Type, Int64Type, UInt64Type};
use arrow_array::{Array, ArrayRef, Float64Array, Int64Array, UInt64Array};
use arrow_schema::DataType;

use super::lane::lane_array;
use super::scalars::{items, lists};
use crate::error::SqlError;
use crate::error::execution::{ExecError, Result};
use crate::expr::accumulator::{Accumulator, Slices};
use crate::expr::aggregate::Needs;
use crate::expr::{AggregateCall, AggregateFunction, Typed};
use crate::function::definition::{Aggregate, Arguments, Documentation, wrong_arguments};

pub(super) static ENTRY: Aggregate = Aggregate::own(
    Documentation::new(
        "increase",
        "increase(time, x)",
        "How much a counter has risen, a value below the one before counted from zero, of the type of `x`.",
    ),
    false,
    bind,
);

static FUNCTION: AggregateFunction = AggregateFunction {
    name: "increase",
    accumulator: |result| Ok(Box::new(Increase { result: result.clone(), slots: Vec::new(), held: 0 })),
    state_columns: 2,
    needs: Needs::Rows,
    end: None,
};

fn bind(name: &str, mut arguments: Arguments) -> std::result::Result<AggregateCall, SqlError> {
    let [time, value] =
        <[Typed; 2]>::try_from(take(&mut arguments.args)).map_err(|args| wrong_arguments(name, &args))?;
    let fits = matches!(time.data_type, DataType::Timestamp(..))
        && matches!(value.data_type, DataType::Int64 | DataType::UInt64 | DataType::Float64);
    if !fits || arguments.distinct {
        return Err(wrong_arguments(name, &[time, value]));
    }
    let args = vec![time.expr, arguments.only_if(value.expr)];
    Ok(AggregateCall { function: &FUNCTION, args, distinct: false, data_type: value.data_type })
}

/// A value, by its bits, at a time.
#[derive(Debug, Clone, Copy)]
struct Held {
    time: i64,
    bits: u64,
}

struct Increase {
    result: DataType,
    slots: Vec<Vec<Held>>,
    held: usize,
}

impl Increase {
    /// The values of a column by their bits.
    fn bits(&self, column: &dyn Array) -> Box<dyn Fn(usize) -> u64> {
        match self.result {
            DataType::Float64 => {
                let values = column.as_primitive::<Float64Type>().clone();
                Box::new(move |row| values.value(row).to_bits())
            }
            DataType::UInt64 => {
                let values = column.as_primitive::<UInt64Type>().clone();
                Box::new(move |row| values.value(row))
            }
            _ => {
                let values = column.as_primitive::<Int64Type>().clone();
                Box::new(move |row| values.value(row).cast_unsigned())
            }
        }
    }

    fn hold(&mut self, slot: usize, held: Held) {
        self.held += 1;
        self.slots[slot].push(held);
    }

    /// The bits of a slot in the order of time, of equal times in that of their bits.
    fn sorted(&self, slot: usize) -> Vec<u64> {
        let mut held = self.slots[slot].clone();
        held.sort_unstable_by_key(|held| (held.time, held.bits));
        held.into_iter().map(|held| held.bits).collect()
    }

    /// The rise of an integer counter, and how much it is beyond `of`.
    fn rise(&self, slot: usize, of: fn(u64) -> i128) -> Option<i128> {
        let values: Vec<i128> = self.sorted(slot).into_iter().map(of).collect();
        let rises = values.windows(2).map(|pair| if pair[1] < pair[0] { pair[1] } else { pair[1] - pair[0] });
        (!values.is_empty()).then(|| rises.sum())
    }

    fn overflow() -> ExecError {
        ExecError::Overflow { of: "increase".to_owned(), values: None }
    }
}

impl Accumulator for Increase {
    fn resize(&mut self, slots: usize) {
        self.slots.resize_with(slots, Vec::new);
    }

    fn update(&mut self, args: &[ArrayRef], slices: Slices<'_>) -> Result<()> {
        let times = lane_array(args, 0, &DataType::Int64)?;
        let values = lane_array(args, 1, &self.result)?;
        let (times, bits) = (times.as_primitive::<Int64Type>(), self.bits(&values));
        for slice in slices.slices {
            for row in slice.range().filter(|row| times.is_valid(*row) && values.is_valid(*row)) {
                self.hold(slice.slot as usize, Held { time: times.value(row), bits: bits(row) });
            }
        }
        Ok(())
    }

    fn merge(&mut self, states: &[ArrayRef], slices: Slices<'_>) -> Result<()> {
        let (times, offsets) = items(&states[0])?;
        let (bits, _) = items(&states[1])?;
        let (times, bits) = (times.as_primitive::<Int64Type>(), bits.as_primitive::<UInt64Type>());
        for slice in slices.slices {
            for row in slice.range() {
                for at in offsets[row] as usize..offsets[row + 1] as usize {
                    self.hold(slice.slot as usize, Held { time: times.value(at), bits: bits.value(at) });
                }
            }
        }
        Ok(())
    }

    fn states(&self, slots: Range<usize>) -> Result<Vec<ArrayRef>> {
        let slots = &self.slots[slots];
        let lengths = || slots.iter().map(Vec::len);
        let times: ArrayRef = Arc::new(slots.iter().flatten().map(|held| held.time).collect::<Int64Array>());
        let bits: ArrayRef = Arc::new(slots.iter().flatten().map(|held| Some(held.bits)).collect::<UInt64Array>());
        Ok(vec![lists(times, lengths())?, lists(bits, lengths())?])
    }

    fn results(&self, slots: Range<usize>) -> Result<ArrayRef> {
        Ok(match self.result {
            DataType::Float64 => {
                let rise = |slot: usize| {
                    let values: Vec<f64> = self.sorted(slot).into_iter().map(f64::from_bits).collect();
                    let rises =
                        values.windows(2).map(|pair| if pair[1] < pair[0] { pair[1] } else { pair[1] - pair[0] });
                    (!values.is_empty()).then(|| rises.sum::<f64>())
                };
                Arc::new(slots.map(rise).collect::<Float64Array>())
            }
            DataType::UInt64 => {
                let rise = |slot| self.rise(slot, i128::from).map(u64::try_from).transpose();
                Arc::new(slots.map(rise).collect::<Result<UInt64Array, _>>().map_err(|_| Self::overflow())?)
            }
            _ => {
                let of = |bits: u64| i128::from(bits.cast_signed());
                let rise = |slot| self.rise(slot, of).map(i64::try_from).transpose();
                Arc::new(slots.map(rise).collect::<Result<Int64Array, _>>().map_err(|_| Self::overflow())?)
            }
        })
    }

    fn bytes(&self) -> usize {
        // Vectors grow to twice what they hold, and one of them is copied to be sorted.
        self.slots.capacity() * size_of::<Vec<Held>>() + self.held * 3 * size_of::<Held>()
    }
}
