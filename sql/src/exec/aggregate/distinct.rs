//! `count(DISTINCT x)` and the like: a set of (slot, value) in front of the plain accumulator.
//!
//! A distinct aggregate has no state of its own that could be merged: a shard sends the distinct values as further
//! group keys instead, and the merging stage updates this accumulator from them (see `crate::stage`).

use std::ops::Range;
use std::sync::Arc;

use arrow_array::{Array, ArrayRef, UInt32Array};

use crate::error::execution::{ExecError, Result};
use crate::exec::aggregate::group_table::GroupTable;
use crate::expr::accumulator::{Accumulator, Slice, Slices};

/// Feeds each value once a slot to the accumulator within.
pub(crate) struct Distinct {
    seen: GroupTable,
    inner: Box<dyn Accumulator>,
    groups: Vec<u32>,
}

impl Distinct {
    /// Distinct values for `inner`, an aggregate of one argument.
    pub(crate) fn new(inner: Box<dyn Accumulator>) -> Self {
        Self { seen: GroupTable::default(), inner, groups: Vec::new() }
    }
}

impl Accumulator for Distinct {
    fn resize(&mut self, slots: usize) {
        self.inner.resize(slots);
    }

    fn update(&mut self, args: &[ArrayRef], slices: Slices<'_>) -> Result<()> {
        let values = args.first().ok_or_else(|| ExecError::Internal("DISTINCT without an argument".into()))?;
        let mut slots = vec![0u32; values.len()];
        for slice in slices.slices {
            slots[slice.range()].fill(slice.slot);
        }
        let slot_column: ArrayRef = Arc::new(UInt32Array::from(slots));
        let mut next = self.seen.len() as u32;
        self.seen.groups(&[slot_column, Arc::clone(values)], values.len(), &mut self.groups)?;
        let mut fresh = Vec::new();
        for slice in slices.slices {
            for row in slice.start..slice.end {
                if self.groups[row as usize] == next {
                    next += 1;
                    fresh.push(Slice { slot: slice.slot, start: row, end: row + 1 });
                }
            }
        }
        self.inner.update(args, Slices { slices: &fresh, ascending: false })
    }

    fn merge(&mut self, _states: &[ArrayRef], _slices: Slices<'_>) -> Result<()> {
        Err(ExecError::Internal("a distinct aggregate has no state to merge".into()))
    }

    fn states(&self, _slots: Range<usize>) -> Result<Vec<ArrayRef>> {
        Err(ExecError::Internal("a distinct aggregate has no state to send".into()))
    }

    fn results(&self, slots: Range<usize>) -> Result<ArrayRef> {
        self.inner.results(slots)
    }

    fn bytes(&self) -> usize {
        self.seen.bytes() + self.inner.bytes() + self.groups.capacity() * size_of::<u32>()
    }
}
