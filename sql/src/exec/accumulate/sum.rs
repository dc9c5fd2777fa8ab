//! `sum(x)`.

use arrow_array::cast::AsArray;
use arrow_array::{Array, ArrayRef};
use arrow_schema::DataType;
use tidewire_storage::scan::ColumnSummary;

use super::kernel::{Lane, each_present_run};
use super::seen::{Seen, column};
use super::{Accumulator, Slices, lane_array, no_summary};
use crate::exec::error::Result;

/// Sums of one lane, null where no value was seen.
pub(super) struct Sum<T: Lane> {
    sums: Vec<T::Native>,
    seen: Seen,
    result: DataType,
}

impl<T: Lane> Sum<T> {
    pub(super) fn new(result: DataType) -> Self {
        Self { sums: Vec::new(), seen: Seen::default(), result }
    }
}

impl<T: Lane> Accumulator for Sum<T> {
    fn resize(&mut self, slots: usize) {
        self.sums.resize(slots, T::Native::default());
        self.seen.resize(slots);
    }

    fn update(&mut self, args: &[ArrayRef], slices: Slices<'_>) -> Result<()> {
        let array = lane_array(args, 0, &T::DATA_TYPE)?;
        let values = array.as_primitive::<T>().values();
        for slice in slices.slices {
            let slot = slice.slot as usize;
            let range = slice.range();
            each_present_run(array.nulls(), range.start, range.end, |run| {
                self.sums[slot] = T::plus(self.sums[slot], T::sum(&values[run]));
                self.seen.mark(slot);
            });
        }
        Ok(())
    }

    fn merge(&mut self, states: &[ArrayRef], slices: Slices<'_>) -> Result<()> {
        self.update(states, slices)
    }

    fn summary(&mut self, slot: usize, _rows: u64, column: Option<&ColumnSummary>) -> Result<()> {
        let column = column.ok_or_else(no_summary)?;
        if column.count > 0 {
            let known = T::statistics(&column.statistics).ok_or_else(no_summary)?;
            self.sums[slot] = T::plus(self.sums[slot], known.sum);
            self.seen.mark(slot);
        }
        Ok(())
    }

    fn state_columns(&self) -> usize {
        1
    }

    fn states(&mut self) -> Result<Vec<ArrayRef>> {
        Ok(vec![column::<T>(&mut self.sums, &mut self.seen, &T::DATA_TYPE)?])
    }

    fn results(&mut self) -> Result<ArrayRef> {
        column::<T>(&mut self.sums, &mut self.seen, &self.result)
    }

    fn bytes(&self) -> usize {
        self.sums.capacity() * size_of::<T::Native>() + self.seen.bytes()
    }
}
