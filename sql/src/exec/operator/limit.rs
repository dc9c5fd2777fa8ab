//! OFFSET and LIMIT.

use arrow_array::RecordBatch;

use super::chain::{Flow, Operator};
use crate::exec::error::Result;

/// Passes rows `skip..skip + fetch`.
pub(crate) struct Limit {
    skip: usize,
    fetch: Option<usize>,
}

impl Limit {
    /// Leaves out `skip` rows, then passes `fetch`.
    pub(crate) fn new(skip: usize, fetch: Option<usize>) -> Self {
        Self { skip, fetch }
    }
}

impl Operator for Limit {
    fn push(&mut self, batch: RecordBatch, out: &mut Vec<RecordBatch>) -> Result<Flow> {
        let skipped = self.skip.min(batch.num_rows());
        self.skip -= skipped;
        let rest = batch.num_rows() - skipped;
        let taken = self.fetch.map_or(rest, |fetch| fetch.min(rest));
        if let Some(fetch) = &mut self.fetch {
            *fetch -= taken;
        }
        if taken > 0 {
            out.push(batch.slice(skipped, taken));
        }
        Ok(if self.fetch == Some(0) { Flow::Enough } else { Flow::Continue })
    }

    fn finish(&mut self, _out: &mut Vec<RecordBatch>) -> Result<()> {
        Ok(())
    }
}
