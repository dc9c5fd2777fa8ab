//! `min(x)` and `max(x)` of numbers, and what else keeps one value a slot, into which runs of values are folded.

use std::ops::Range;

use arrow_array::ArrayRef;
use arrow_array::types::{Float64Type, Int64Type, UInt64Type};
use arrow_schema::DataType;
use tidewire_storage::scan::ColumnSummary;
use tidewire_storage::segment::Summary;

use super::kernel::{Lane, each_run};
use super::lane::{LaneKind, lane_array, lane_of, no_summary};
use super::seen::{Seen, column};
use super::text_extreme::TextExtreme;
use crate::error::execution::Result;
use crate::expr::AggregateFunction;
use crate::expr::accumulator::{Accumulator, Slices};
use crate::expr::aggregate::{Needs, SeriesEnd};
use crate::function::definition::{Aggregate, Documentation, Gives, Takes};

pub(super) static MIN: Aggregate = Aggregate::of_value(
    Documentation::new("min", "min(x)", "Least value that is not null: a number, a text, a time or a BOOLEAN.")
        .heading("MIN"),
    Takes::Ordered,
    Gives::Value,
    false,
    AggregateFunction {
        name: "min",
        accumulator: |result| extreme(false, result),
        state_columns: 1,
        needs: Needs::Numbers,
        end: Some(SeriesEnd::First),
    },
);

pub(super) static MAX: Aggregate = Aggregate::of_value(
    Documentation::new("max", "max(x)", "Greatest value that is not null: a number, a text, a time or a BOOLEAN.")
        .heading("MAX"),
    Takes::Ordered,
    Gives::Value,
    false,
    AggregateFunction {
        name: "max",
        accumulator: |result| extreme(true, result),
        state_columns: 1,
        needs: Needs::Numbers,
        end: Some(SeriesEnd::Last),
    },
);

fn extreme(greatest: bool, result: &DataType) -> Result<Box<dyn Accumulator>> {
    Ok(match lane_of(result)?.0 {
        LaneKind::Int => Box::new(Fold::<Int64Type, _>::new(Extreme { greatest }, result.clone())),
        LaneKind::UInt => Box::new(Fold::<UInt64Type, _>::new(Extreme { greatest }, result.clone())),
        LaneKind::Float => Box::new(Fold::<Float64Type, _>::new(Extreme { greatest }, result.clone())),
        LaneKind::Text => Box::new(TextExtreme::new(greatest)),
    })
}

/// How values become one.
pub(super) trait Reduction {
    /// Of a run of values, which is not empty.
    fn of_run<T: Lane>(&self, values: &[T::Native]) -> T::Native;
    /// Of a block that is known by its summary.
    fn of_summary<T: Lane>(&self, summary: &Summary<T::Native>) -> T::Native;
    /// Of what is held and one value more. Before the first, zero is held and `is_first` set.
    fn join<T: Lane>(&self, held: T::Native, is_first: bool, value: T::Native) -> T::Native;
}

/// `min` or `max`.
pub(super) struct Extreme {
    pub(super) greatest: bool,
}

impl Reduction for Extreme {
    #[inline]
    fn of_run<T: Lane>(&self, values: &[T::Native]) -> T::Native {
        T::canonical(if values.len() == 1 { values[0] } else { T::extreme(values, self.greatest) })
    }

    fn of_summary<T: Lane>(&self, summary: &Summary<T::Native>) -> T::Native {
        T::canonical(if self.greatest { summary.max } else { summary.min })
    }

    #[inline]
    fn join<T: Lane>(&self, held: T::Native, is_first: bool, value: T::Native) -> T::Native {
        let better = if self.greatest { T::greater(value, held) } else { T::greater(held, value) };
        if better || is_first { value } else { held }
    }
}

/// Folded values of one lane, null where no value was seen.
pub(super) struct Fold<T: Lane, R> {
    reduction: R,
    values: Vec<T::Native>,
    seen: Seen,
    result: DataType,
}

impl<T: Lane, R: Reduction> Fold<T, R> {
    pub(super) fn new(reduction: R, result: DataType) -> Self {
        Self { reduction, values: Vec::new(), seen: Seen::default(), result }
    }

    #[inline]
    fn take(&mut self, slot: usize, value: T::Native) {
        self.values[slot] = self.reduction.join::<T>(self.values[slot], !self.seen.get(slot), value);
        self.seen.mark(slot);
    }

    fn column(&self, slots: Range<usize>, to: &DataType) -> Result<ArrayRef> {
        column::<T>(self.values[slots.clone()].to_vec(), self.seen.nulls(slots), to)
    }
}

impl<T: Lane, R: Reduction> Accumulator for Fold<T, R> {
    fn resize(&mut self, slots: usize) {
        self.values.resize(slots, T::Native::default());
        self.seen.resize(slots);
    }

    fn update(&mut self, args: &[ArrayRef], slices: Slices<'_>) -> Result<()> {
        let array = lane_array(args, 0, &T::DATA_TYPE)?;
        each_run::<T>(&array, slices, |slot, run| {
            let value = self.reduction.of_run::<T>(run);
            self.take(slot, value);
        });
        Ok(())
    }

    fn merge(&mut self, states: &[ArrayRef], slices: Slices<'_>) -> Result<()> {
        self.update(states, slices)
    }

    fn summary(&mut self, slot: usize, _rows: u64, column: Option<&ColumnSummary>) -> Result<()> {
        let column = column.ok_or_else(no_summary)?;
        if column.count > 0 {
            let known = T::statistics(&column.statistics).ok_or_else(no_summary)?;
            let value = self.reduction.of_summary::<T>(&known);
            self.take(slot, value);
        }
        Ok(())
    }

    fn states(&self, slots: Range<usize>) -> Result<Vec<ArrayRef>> {
        Ok(vec![self.column(slots, &T::DATA_TYPE)?])
    }

    fn results(&self, slots: Range<usize>) -> Result<ArrayRef> {
        self.column(slots, &self.result)
    }

    fn bytes(&self) -> usize {
        self.values.capacity() * size_of::<T::Native>() + self.seen.bytes()
    }
}
