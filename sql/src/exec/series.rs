//! Where series begin among rows that come series by series: wherever a key differs from that of the row before.

use arrow_array::{Array, ArrayRef, RecordBatch};
use arrow_buffer::BooleanBuffer;
use arrow_ord::cmp::distinct;

use crate::error::execution::Result;

/// Remembers the keys of the last row.
#[derive(Debug)]
pub(crate) struct SeriesKeys {
    keys: usize,
    /// Each of one row; none before the first batch.
    last: Option<Vec<ArrayRef>>,
}

impl SeriesKeys {
    /// Series by the first `keys` columns.
    pub(crate) fn new(keys: usize) -> Self {
        Self { keys, last: None }
    }

    /// For each row whether a series begins with it; the batch has rows.
    pub(crate) fn begins(&mut self, batch: &RecordBatch) -> Result<BooleanBuffer> {
        let rows = batch.num_rows();
        let keys = &batch.columns()[..self.keys];
        let mut begins = vec![false; rows];
        begins[0] = match &self.last {
            None => true,
            Some(last) => {
                let mut differs = false;
                for (before, column) in last.iter().zip(keys) {
                    differs |= distinct(before, &column.slice(0, 1))?.value(0);
                }
                differs
            }
        };
        if rows > 1 {
            for column in keys {
                let differs = distinct(&column.slice(0, rows - 1), &column.slice(1, rows - 1))?;
                for row in differs.values().set_indices() {
                    begins[row + 1] = true;
                }
            }
        }
        self.last = Some(keys.iter().map(|column| column.slice(rows - 1, 1)).collect());
        Ok(BooleanBuffer::from(begins))
    }
}
