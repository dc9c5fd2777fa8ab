//! `avg(x)`: sum and count, divided at the end.

use std::ops::Range;
use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::{Float64Type, Int64Type, UInt64Type};
use arrow_array::{Array, ArrayRef, Float64Array, Int64Array};
use arrow_schema::DataType;
use tidewire_storage::scan::ColumnSummary;
use tidewire_storage::segment::Statistics;

use super::kernel::{Lane, each_run};
use super::lane::{LaneKind, lane_array, lane_of, no_summary};
use crate::error::execution::{ExecError, Result};
use crate::expr::AggregateFunction;
use crate::expr::accumulator::{Accumulator, Slices};
use crate::expr::aggregate::Needs;
use crate::function::definition::{Aggregate, Documentation, Gives, Takes};

pub(super) static ENTRY: Aggregate = Aggregate::of_value(
    Documentation::new("avg", "avg([DISTINCT] x)", "Mean of the values that are not null, DOUBLE.")
        .aliases(&["mean"])
        .heading("AVG"),
    Takes::Numbers,
    Gives::Double,
    true,
    AggregateFunction {
        name: "avg",
        accumulator: |_| Ok(Box::new(Average::default())),
        state_columns: 2,
        needs: Needs::Numbers,
        end: None,
    },
);

/// Sums as DOUBLE, and counts.
#[derive(Default)]
pub(super) struct Average {
    sums: Vec<f64>,
    counts: Vec<i64>,
}

impl Average {
    fn add<T: Lane>(&mut self, array: &dyn Array, slices: Slices<'_>) {
        each_run::<T>(array, slices, |slot, run| {
            self.counts[slot] += run.len() as i64;
            self.sums[slot] += if let [only] = run { T::float(*only) } else { T::float_sum(run) };
        });
    }
}

impl Accumulator for Average {
    fn resize(&mut self, slots: usize) {
        self.sums.resize(slots, 0.0);
        self.counts.resize(slots, 0);
    }

    fn update(&mut self, args: &[ArrayRef], slices: Slices<'_>) -> Result<()> {
        let from = args.first().map_or(&DataType::Null, |array| array.data_type());
        let (lane, to) = lane_of(from)?;
        let array = lane_array(args, 0, &to)?;
        match lane {
            LaneKind::Int => self.add::<Int64Type>(&array, slices),
            LaneKind::UInt => self.add::<UInt64Type>(&array, slices),
            LaneKind::Float => self.add::<Float64Type>(&array, slices),
            LaneKind::Text => return Err(ExecError::NotImplemented("avg of text".into())),
        }
        Ok(())
    }

    fn merge(&mut self, states: &[ArrayRef], slices: Slices<'_>) -> Result<()> {
        let sums = lane_array(states, 0, &DataType::Float64)?;
        let counts = lane_array(states, 1, &DataType::Int64)?;
        let (sums, counts) = (sums.as_primitive::<Float64Type>().values(), counts.as_primitive::<Int64Type>().values());
        for slice in slices.slices {
            let slot = slice.slot as usize;
            for row in slice.range() {
                self.sums[slot] += sums[row];
                self.counts[slot] += counts[row];
            }
        }
        Ok(())
    }

    fn summary(&mut self, slot: usize, _rows: u64, column: Option<&ColumnSummary>) -> Result<()> {
        let column = column.ok_or_else(no_summary)?;
        if column.count > 0 {
            self.sums[slot] += match column.statistics {
                Statistics::Int(known) => known.sum as f64,
                Statistics::UInt(known) => known.sum as f64,
                Statistics::Float(known) => known.sum,
                Statistics::None => return Err(no_summary()),
            };
            self.counts[slot] += column.count as i64;
        }
        Ok(())
    }

    fn states(&self, slots: Range<usize>) -> Result<Vec<ArrayRef>> {
        Ok(vec![
            Arc::new(Float64Array::from(self.sums[slots.clone()].to_vec())),
            Arc::new(Int64Array::from(self.counts[slots].to_vec())),
        ])
    }

    fn results(&self, slots: Range<usize>) -> Result<ArrayRef> {
        let (sums, counts) = (&self.sums[slots.clone()], &self.counts[slots]);
        let averages: Float64Array =
            sums.iter().zip(counts).map(|(sum, &count)| (count > 0).then(|| sum / count as f64)).collect();
        Ok(Arc::new(averages))
    }

    fn bytes(&self) -> usize {
        self.sums.capacity() * size_of::<f64>() + self.counts.capacity() * size_of::<i64>()
    }
}
