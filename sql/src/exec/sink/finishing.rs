//! What all sinks have in common: they take rows in, and do what takes long in steps.

use arrow_array::RecordBatch;

use crate::error::execution::Result;

/// What is left for a sink to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Left {
    /// More: [`Sink::step`] is to be called again.
    Work,
    /// Nothing until further rows come; after [`Sink::end`], nothing at all.
    Nothing,
}

/// Takes all rows of a stage before it puts out the first. Its state is of one run on one core; what several cores have
/// gathered meets as batches of states, in the sink that merges them.
pub(crate) trait Sink {
    /// Rows that should come at a time, by what the sink holds.
    fn rows_at_once(&self) -> usize {
        usize::MAX
    }
    /// Takes rows in, at most some thousand of them. Not while a step left work to do.
    fn push(&mut self, batch: RecordBatch) -> Result<()>;
    /// Says that no rows follow.
    fn end(&mut self) -> Result<()>;
    /// Works for about 100 µs to 1 ms at what the rows so far ask for. Rows that are final go to `out`, in their order.
    /// To be called after each push and after the end, until nothing is left; others may run between.
    fn step(&mut self, out: &mut Vec<RecordBatch>) -> Result<Left>;
}
