//! Aggregate states, one column of them a call: dense arrays indexed by group slot.
//!
//! The same accumulator serves all three roles. A shard updates it from rows ([`Accumulator::update`]) and sends
//! [`Accumulator::states`]; the merging stage takes those in with [`Accumulator::merge`] and gives
//! [`Accumulator::results`]. Rows arrive as [`Slice`]s of consecutive rows of one group, so that the kernels are loops
//! over contiguous memory; where rows of groups alternate, slices are one row long.

use std::ops::Range;

use arrow_array::ArrayRef;
use tidewire_storage::scan::ColumnSummary;

use crate::error::execution::{ExecError, Result};

/// Consecutive rows `start..end` of a chunk that belong to group `slot`; never empty.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Slice {
    pub(crate) slot: u32,
    pub(crate) start: u32,
    pub(crate) end: u32,
}

impl Slice {
    pub(crate) fn range(self) -> Range<usize> {
        self.start as usize..self.end as usize
    }
}

/// Rows of one chunk, split by group.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Slices<'a> {
    pub(crate) slices: &'a [Slice],
    /// Within a slice, times ascend without repetition and are never null, so that its first and last row are its
    /// oldest and newest.
    pub(crate) ascending: bool,
}

/// States of one aggregate call, by slot.
pub(crate) trait Accumulator {
    /// Makes room for slots `0..slots`. Never shrinks.
    fn resize(&mut self, slots: usize);
    /// Takes in rows; `args` are the call's arguments over the chunk.
    fn update(&mut self, args: &[ArrayRef], slices: Slices<'_>) -> Result<()>;
    /// Takes in states of another accumulator of the same call, as [`Accumulator::states`] gave them.
    fn merge(&mut self, states: &[ArrayRef], slices: Slices<'_>) -> Result<()>;
    /// Takes in rows of group `slot` by what is known of them: `rows` of them, and of the argument `column`. Only of
    /// functions that need no more.
    fn summary(&mut self, _slot: usize, _rows: u64, _column: Option<&ColumnSummary>) -> Result<()> {
        Err(ExecError::Internal("a summary for an aggregate that needs rows".into()))
    }
    /// The states of some slots.
    fn states(&self, slots: Range<usize>) -> Result<Vec<ArrayRef>>;
    /// The answers of some slots.
    fn results(&self, slots: Range<usize>) -> Result<ArrayRef>;
    /// The states of all `slots`, after which it is of no more use: what it holds may go into them without a copy.
    fn take_states(&mut self, slots: usize) -> Result<Vec<ArrayRef>> {
        self.states(0..slots)
    }
    /// The answers of all `slots`, after which it is of no more use.
    fn take_results(&mut self, slots: usize) -> Result<ArrayRef> {
        self.results(0..slots)
    }
    /// Memory held.
    fn bytes(&self) -> usize;
}
