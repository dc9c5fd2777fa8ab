//! The rows of a fragment as batches, and a stream of them: each chunk of the scan becomes a batch, or a part of one
//! where the filter leaves little.

use std::sync::Arc;

use arrow_array::RecordBatch;
use arrow_schema::SchemaRef;
use arrow_select::concat::concat_batches;
use tidewire_storage::scan::ScanChunk;

use super::reader::ShardReader;
use super::source::{ShardSource, reads};
use crate::error::execution::Result;
use crate::exec::batch::BatchMaker;
use crate::exec::eval::{Input, evaluate_array};
use crate::expr::Expr;
use crate::stage::Fragment;

/// Batches below this many rows are joined with their successors before they are sent.
const SENT_ROWS_MIN: usize = 1_024;

/// Expressions over the chunks of a source.
pub(super) struct Evaluator {
    exprs: Vec<Expr>,
    needed: Vec<bool>,
    maker: BatchMaker,
}

impl Evaluator {
    pub(super) fn new<'a>(
        fragment: &Fragment,
        exprs: impl Iterator<Item = &'a Expr> + Clone,
        schema: &SchemaRef,
    ) -> Self {
        Self {
            needed: reads(exprs.clone(), fragment.columns.len()),
            exprs: exprs.cloned().collect(),
            maker: BatchMaker::new(Arc::clone(schema)),
        }
    }

    pub(super) fn batch<R: ShardReader>(
        &mut self,
        source: &mut ShardSource<R>,
        chunk: &ScanChunk,
    ) -> Result<RecordBatch> {
        let columns = source.columns(chunk, &self.needed)?;
        let fragment = Arc::clone(&source.fragment);
        let input = Input { columns: &columns, rows: chunk.rows(), names: fragment.as_ref() };
        let columns = self.exprs.iter().map(|expr| evaluate_array(expr, input)).collect::<Result<_>>()?;
        self.maker.make(columns, input.rows)
    }
}

/// Rows as they come.
pub(super) struct RowStream<R: ShardReader> {
    source: ShardSource<R>,
    evaluator: Evaluator,
    /// Rows still wanted.
    left: usize,
    /// Batches too small to send alone.
    small: Vec<RecordBatch>,
}

impl<R: ShardReader> RowStream<R> {
    /// The rows of `source`, which has begun, as `evaluator` makes them; the first `limit`.
    pub(super) fn new(source: ShardSource<R>, evaluator: Evaluator, limit: Option<usize>) -> Self {
        Self { source, evaluator, left: limit.unwrap_or(usize::MAX), small: Vec::new() }
    }

    /// Copies what is in memory of the rows.
    pub(super) async fn prepare(&mut self) -> Result<()> {
        self.source.prepare().await
    }

    pub(super) async fn next(&mut self) -> Result<Option<RecordBatch>> {
        while self.left > 0 {
            let Some(chunk) = self.source.next().await? else { break };
            let batch = self.evaluator.batch(&mut self.source, &chunk)?;
            let batch = batch.slice(0, batch.num_rows().min(self.left));
            self.left -= batch.num_rows();
            self.small.push(batch);
            if self.small.iter().map(RecordBatch::num_rows).sum::<usize>() >= SENT_ROWS_MIN {
                break;
            }
        }
        let small = std::mem::take(&mut self.small);
        Ok(match small.as_slice() {
            [] => None,
            [one] => Some(one.clone()),
            [first, ..] => Some(concat_batches(&first.schema(), &small)?),
        })
    }
}
