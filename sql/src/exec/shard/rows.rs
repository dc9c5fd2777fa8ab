//! The rows of a fragment as batches, and a stream of them: each chunk of the scan becomes a batch, or a part of one
//! where the filter leaves little.

use std::sync::Arc;

use arrow_array::RecordBatch;
use arrow_schema::SchemaRef;
use arrow_select::concat::concat_batches;
use tidewire_storage::scan::ScanChunk;

use super::part::{halves, part_of};
use super::reader::ShardReader;
use super::source::{ShardSource, reads};
use crate::error::execution::{ExecError, Result};
use crate::exec::batch::{BatchMaker, batch_bytes};
use crate::exec::context::QueryContext;
use crate::exec::eval::{Input, Room, evaluate_array};
use crate::expr::Expr;
use crate::stage::Fragment;

/// Batches below this many rows are joined with their successors before they are sent,
const SENT_ROWS_MIN: usize = 1_024;

/// unless they have this much.
const SENT_BYTES_MIN: usize = 1 << 20;

/// Expressions over the chunks of a source.
pub(super) struct Evaluator {
    exprs: Vec<Expr>,
    needed: Vec<bool>,
    maker: BatchMaker,
    /// Holds the text of the batch that was made last.
    room: Room,
}

impl Evaluator {
    pub(super) fn new<'a>(
        fragment: &Fragment,
        exprs: impl Iterator<Item = &'a Expr> + Clone,
        schema: &SchemaRef,
        context: &QueryContext,
    ) -> Self {
        Self {
            room: Room::new(context),
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
        self.room.clear()?;
        let columns = source.columns(chunk, &self.needed)?;
        let fragment = Arc::clone(&source.fragment);
        let input = Input { columns: &columns, rows: chunk.rows(), names: fragment.as_ref(), room: &self.room };
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
    parts: Parts,
}

/// What is left of a chunk whose rows make too much text at once: parts of it, the next last.
#[derive(Default)]
pub(super) struct Parts(Vec<ScanChunk>);

impl Parts {
    /// The next part, else the next chunk of `source`.
    pub(super) async fn next<R: ShardReader>(&mut self, source: &mut ShardSource<R>) -> Result<Option<ScanChunk>> {
        // Each part may make as much text as a column may have.
        source.reader.yield_if_needed().await;
        match self.0.pop() {
            Some(part) => Ok(Some(part)),
            None => source.next().await,
        }
    }

    /// What `evaluator` makes of `chunk`; `None` where its halves come next instead.
    pub(super) fn batch<R: ShardReader>(
        &mut self,
        evaluator: &mut Evaluator,
        source: &mut ShardSource<R>,
        chunk: &ScanChunk,
    ) -> Result<Option<RecordBatch>> {
        match evaluator.batch(source, chunk) {
            Err(ExecError::TextTooLong { .. }) if chunk.rows() > 1 => {
                self.0.extend(halves(chunk.rows()).into_iter().rev().map(|half| part_of(chunk, half)));
                Ok(None)
            }
            made => made.map(Some),
        }
    }
}

impl<R: ShardReader> RowStream<R> {
    /// The rows of `source`, which has begun, as `evaluator` makes them; the first `limit`.
    pub(super) fn new(source: ShardSource<R>, evaluator: Evaluator, limit: Option<usize>) -> Self {
        Self { source, evaluator, left: limit.unwrap_or(usize::MAX), small: Vec::new(), parts: Parts::default() }
    }

    /// Copies what is in memory of the rows.
    pub(super) async fn prepare(&mut self) -> Result<()> {
        self.source.prepare().await
    }

    pub(super) async fn next(&mut self) -> Result<Option<RecordBatch>> {
        while self.left > 0 {
            let Some(chunk) = self.parts.next(&mut self.source).await? else { break };
            let Some(batch) = self.parts.batch(&mut self.evaluator, &mut self.source, &chunk)? else { continue };
            let batch = batch.slice(0, batch.num_rows().min(self.left));
            self.left -= batch.num_rows();
            self.small.push(batch);
            let rows = self.small.iter().map(RecordBatch::num_rows).sum::<usize>();
            if rows >= SENT_ROWS_MIN || self.small.iter().map(batch_bytes).sum::<usize>() >= SENT_BYTES_MIN {
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
