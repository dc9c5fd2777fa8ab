//! Rows on their way out of a scan.

use arrow_array::ArrayRef;
use arrow_buffer::ScalarBuffer;

use crate::run::Run;

/// Decoded rows, typically 1,024 to 8,192 of them.
#[derive(Debug, Clone)]
pub struct ScanChunk {
    /// The series of the rows, ascending by series, covering all rows in order.
    pub runs: Vec<Run>,
    /// Timestamps in the table's unit, ascending within a run.
    pub time: ScalarBuffer<i64>,
    /// One array for each requested column: Int64Array, UInt64Array, Float64Array, BooleanArray or StringArray.
    /// All-null where no row has the field.
    pub columns: Vec<ArrayRef>,
}

impl ScanChunk {
    /// Number of rows.
    pub fn rows(&self) -> usize {
        self.time.len()
    }
}
