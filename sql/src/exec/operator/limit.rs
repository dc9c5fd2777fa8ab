//! OFFSET and LIMIT.

use arrow_array::RecordBatch;

use super::streaming::Operator;
use crate::error::execution::Result;

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
    fn push(&mut self, batch: RecordBatch) -> Result<Option<RecordBatch>> {
        let skipped = self.skip.min(batch.num_rows());
        self.skip -= skipped;
        let rest = batch.num_rows() - skipped;
        let taken = self.fetch.map_or(rest, |fetch| fetch.min(rest));
        if let Some(fetch) = &mut self.fetch {
            *fetch -= taken;
        }
        Ok((taken > 0).then(|| batch.slice(skipped, taken)))
    }

    fn has_enough(&self) -> bool {
        self.fetch == Some(0)
    }
}
