//! What all streaming operators have in common.

use arrow_array::RecordBatch;

use crate::error::execution::Result;

/// Works batch by batch. What it remembers from one to the next (rows still to skip, say) is its own.
pub(crate) trait Operator {
    /// What becomes of a batch; `None` for nothing. After [`ExecError::TextTooLong`] it is as if the batch had not been
    /// pushed, and half of it may be.
    ///
    /// [`ExecError::TextTooLong`]: crate::exec::ExecError::TextTooLong
    fn push(&mut self, batch: RecordBatch) -> Result<Option<RecordBatch>>;

    /// Whether no further row can show in the output, so that what produces rows may stop.
    fn has_enough(&self) -> bool {
        false
    }
}
