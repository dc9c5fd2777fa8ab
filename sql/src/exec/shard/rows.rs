//! The rows of a fragment as batches, and a stream of them: each chunk of the scan becomes a batch, or a part of one
//! where the filter leaves little.

use std::sync::Arc;

use arrow_array::{Array, ArrayRef, BooleanArray, RecordBatch};
use arrow_schema::SchemaRef;
use arrow_select::concat::concat_batches;
use tidewire_storage::scan::ScanChunk;

use super::part::{halves, joined, part_of};
use super::reader::ShardReader;
use super::source::{ShardSource, compact, reads};
use crate::error::execution::{ExecError, Result};
use crate::exec::batch::{BatchMaker, batch_bytes};
use crate::exec::context::QueryContext;
use crate::exec::eval::{Input, Room, evaluate_array};
use crate::exec::operator::Leaders;
use crate::expr::Expr;
use crate::stage::{Fragment, Leaders as LeadersSpec, OrderColumn};

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
    /// Leaves out rows that no group wants.
    leaders: Option<Leading>,
    /// Rows that are wanted and make too much text at once.
    wanted: Parts,
    /// Batches too small to send alone.
    small: Vec<RecordBatch>,
    parts: Parts,
}

/// Finds the rows that groups want, by what decides it alone.
pub(super) struct Leading {
    keys: Evaluator,
    leaders: Leaders,
    is_over: bool,
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

impl Leading {
    /// Finds what `spec` wants of rows of `exprs`, whose names and types are `schema`.
    pub(super) fn new<R: ShardReader>(
        spec: &LeadersSpec,
        exprs: &[Expr],
        schema: &SchemaRef,
        source: &ShardSource<R>,
    ) -> Result<Self> {
        // What is the same in all rows tells none apart.
        let told_apart = spec.group.iter().copied().filter(|at| !matches!(exprs[*at], Expr::Literal(_)));
        let mut columns: Vec<usize> = told_apart.collect();
        let group: Vec<usize> = (0..columns.len()).collect();
        columns.extend([Some(spec.order), spec.then].iter().flatten().map(|key| key.column));
        let schema = Arc::new(schema.project(&columns)?);
        let exprs = columns.iter().map(|at| &exprs[*at]);
        let key_at = |at: usize, key: OrderColumn| OrderColumn { column: group.len() + at, ..key };
        let (order, then) = (key_at(0, spec.order), spec.then.map(|key| key_at(1, key)));
        Ok(Self {
            keys: Evaluator::new(&source.fragment, exprs, &schema, &source.context),
            leaders: Leaders::new(LeadersSpec { group, order, then, fetch: spec.fetch }, &source.context),
            is_over: false,
        })
    }

    /// The next rows that are wanted, of as many chunks as it takes to make what is worth to evaluate.
    async fn next<R: ShardReader>(
        &mut self,
        parts: &mut Parts,
        source: &mut ShardSource<R>,
    ) -> Result<Option<ScanChunk>> {
        let (mut few, mut rows, mut bytes) = (Vec::new(), 0, 0);
        while !self.is_over && rows < SENT_ROWS_MIN && bytes < SENT_BYTES_MIN {
            let Some(chunk) = parts.next(source).await? else {
                self.is_over = true;
                break;
            };
            let Some(keys) = parts.batch(&mut self.keys, source, &chunk)? else { continue };
            if let Some(wanted) = rows_of(chunk, &self.leaders.wanted(&keys)?)? {
                rows += wanted.rows();
                let column_bytes = |column: &ArrayRef| column.to_data().get_slice_memory_size();
                bytes += wanted.columns.iter().map(column_bytes).sum::<Result<usize, _>>()?;
                few.push(wanted);
            }
        }
        Ok(match few.len() {
            0 | 1 => few.pop(),
            _ => Some(joined(&few)?),
        })
    }
}

/// Some rows of a chunk; none for no rows.
fn rows_of(chunk: ScanChunk, rows: &[u32]) -> Result<Option<ScanChunk>> {
    if rows.is_empty() || rows.len() == chunk.rows() {
        return Ok((!rows.is_empty()).then_some(chunk));
    }
    let mut mask = vec![false; chunk.rows()];
    rows.iter().for_each(|row| mask[*row as usize] = true);
    compact(&chunk, &BooleanArray::from(mask), rows.len()).map(Some)
}

impl<R: ShardReader> RowStream<R> {
    /// The rows of `source`, which has begun, as `evaluator` makes them; the first `limit`, or those that may be among
    /// the `leaders`.
    pub(super) fn new(
        source: ShardSource<R>,
        evaluator: Evaluator,
        limit: Option<usize>,
        leaders: Option<Leading>,
    ) -> Self {
        let (left, small, parts) = (limit.unwrap_or(usize::MAX), Vec::new(), Parts::default());
        Self { source, evaluator, left, leaders, wanted: Parts::default(), small, parts }
    }

    /// Copies what is in memory of the rows.
    pub(super) async fn prepare(&mut self) -> Result<()> {
        self.source.prepare().await
    }

    pub(super) async fn next(&mut self) -> Result<Option<RecordBatch>> {
        let (mut rows, mut bytes) = (0, 0);
        while self.left > 0 {
            let Self { source, evaluator, parts, wanted, .. } = self;
            let batch = match &mut self.leaders {
                None => {
                    let Some(chunk) = parts.next(source).await? else { break };
                    parts.batch(evaluator, source, &chunk)?
                }
                Some(leading) => {
                    source.reader.yield_if_needed().await;
                    let chunk = match wanted.0.pop() {
                        Some(half) => Some(half),
                        None => leading.next(parts, source).await?,
                    };
                    let Some(chunk) = chunk else { break };
                    wanted.batch(evaluator, source, &chunk)?
                }
            };
            let Some(batch) = batch else { continue };
            let batch = batch.slice(0, batch.num_rows().min(self.left));
            self.left -= batch.num_rows();
            rows += batch.num_rows();
            bytes += batch_bytes(&batch);
            self.small.push(batch);
            if rows >= SENT_ROWS_MIN || bytes >= SENT_BYTES_MIN {
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
