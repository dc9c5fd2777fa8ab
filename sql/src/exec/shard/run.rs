//! A fragment at work on one shard.
//!
//! Rows stream: each chunk of the scan becomes a batch, or a part of one where the filter leaves little. Aggregates and
//! top rows read everything first, span by span of time: one span usually, but newest (or oldest) spans first and
//! growing where only the first groups or rows by time are wanted, so that the rest is never read.

use std::collections::VecDeque;
use std::sync::Arc;

use arrow_array::RecordBatch;
use arrow_schema::SchemaRef;
use arrow_select::concat::concat_batches;
use tidewire_storage::scan::{ScanChunk, ScanItem};

use super::fused::Fused;
use super::reader::{ShardReader, TagIndex};
use super::source::{ShardSource, reads};
use crate::exec::aggregate::Aggregate;
use crate::exec::batch::BatchMaker;
use crate::exec::context::QueryContext;
use crate::exec::error::{ExecError, Result};
use crate::exec::eval::{Input, evaluate_array};
use crate::exec::operator::Operator;
use crate::exec::sink::Sort;
use crate::expr::{AggregateCall, Expr};
use crate::stage::{Fragment, FusedKeys, Shape, TimeOrder};
use crate::types::tiling::Tiling;

/// Batches below this many rows are joined with their successors before they are sent.
const SENT_ROWS_MIN: usize = 1_024;

/// Into how many spans a query by time without buckets cuts the time at hand; it reads 1, then 4, 16, … of them.
const TIME_SPANS: i64 = 256;

/// The first of these spans is at most such a part of a partition: else a few rows would cost more the longer the
/// history is.
const PARTITION_SPANS: i64 = 64;

/// Each span read is so many times as long as the one before.
const SPAN_GROWTH: i64 = 4;

/// Runs a fragment and gives the batches to send.
pub struct FragmentRun<R: ShardReader> {
    state: State<R>,
}

enum State<R: ShardReader> {
    Unopened { fragment: Arc<Fragment>, reader: R, context: QueryContext },
    Rows(Box<RowStream<R>>),
    Ready(VecDeque<RecordBatch>),
}

impl<R: ShardReader> FragmentRun<R> {
    /// A run of `fragment` over the shard behind `reader`. Nothing is read before the first [`Self::next`].
    pub fn new(fragment: Arc<Fragment>, reader: R, context: QueryContext) -> Self {
        Self { state: State::Unopened { fragment, reader, context } }
    }

    /// The next batch to send to the final stage: rows or partial states, never empty. `None` at the end.
    pub async fn next(&mut self) -> Result<Option<RecordBatch>> {
        if let State::Unopened { .. } = self.state {
            self.open().await?;
        }
        match &mut self.state {
            State::Unopened { .. } => Ok(None),
            State::Rows(stream) => stream.next().await,
            State::Ready(batches) => Ok(batches.pop_front()),
        }
    }

    async fn open(&mut self) -> Result<()> {
        let unopened = std::mem::replace(&mut self.state, State::Ready(VecDeque::new()));
        let State::Unopened { fragment, reader, context } = unopened else { return Ok(()) };
        context.check()?;
        let Some(mut source) = ShardSource::open(Arc::clone(&fragment), reader, context)? else { return Ok(()) };
        let Some(span) = source.span() else { return Ok(()) };
        match &fragment.shape {
            Shape::Rows { exprs, schema, limit } => {
                source.begin(span)?;
                let evaluator = Evaluator::new(&fragment, exprs.iter(), schema);
                let left = limit.unwrap_or(usize::MAX);
                self.state = State::Rows(Box::new(RowStream { source, evaluator, left, small: Vec::new() }));
            }
            shape => {
                let batches = match shape {
                    Shape::Aggregate { keys, calls, fused: Some(fused), top } => {
                        let bucket = fused.bucket.as_ref();
                        let spans = match (top, bucket) {
                            (Some((order, groups)), Some(bucket)) => {
                                Spans::by_time(span, bucket.clone(), *groups as i64, *order)
                            }
                            _ => Spans::whole(span),
                        };
                        let wanted = top.map_or(usize::MAX, |(_, groups)| groups);
                        aggregate_fused(&mut source, (keys, calls, fused), span, spans, wanted).await?
                    }
                    Shape::Aggregate { keys, calls, fused: None, .. } => {
                        aggregate_hashed(&mut source, keys, calls, span).await?
                    }
                    _ => top_rows(&mut source, shape, span).await?,
                };
                self.state = State::Ready(batches.into());
            }
        }
        Ok(())
    }
}

/// Expressions over the chunks of a source.
struct Evaluator {
    exprs: Vec<Expr>,
    needed: Vec<bool>,
    maker: BatchMaker,
}

impl Evaluator {
    fn new<'a>(fragment: &Fragment, exprs: impl Iterator<Item = &'a Expr> + Clone, schema: &SchemaRef) -> Self {
        Self {
            needed: reads(exprs.clone(), fragment.columns.len()),
            exprs: exprs.cloned().collect(),
            maker: BatchMaker::new(Arc::clone(schema)),
        }
    }

    fn batch<R: ShardReader>(&mut self, source: &mut ShardSource<R>, chunk: &ScanChunk) -> Result<RecordBatch> {
        let columns = source.columns(chunk, &self.needed)?;
        let input = Input { columns: &columns, rows: chunk.rows() };
        let columns = self.exprs.iter().map(|expr| evaluate_array(expr, input)).collect::<Result<_>>()?;
        self.maker.make(columns, input.rows)
    }
}

/// Rows as they come.
struct RowStream<R: ShardReader> {
    source: ShardSource<R>,
    evaluator: Evaluator,
    /// Rows still wanted.
    left: usize,
    /// Batches too small to send alone.
    small: Vec<RecordBatch>,
}

impl<R: ShardReader> RowStream<R> {
    async fn next(&mut self) -> Result<Option<RecordBatch>> {
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

async fn aggregate_fused<R: ShardReader>(
    source: &mut ShardSource<R>,
    (keys, calls, fused): (&[Expr], &[AggregateCall], &FusedKeys),
    span: (i64, i64),
    spans: Spans,
    wanted: usize,
) -> Result<Vec<RecordBatch>> {
    debug_assert_eq!(keys.len(), fused.keys.len());
    let fragment = Arc::clone(&source.fragment);
    let table = fragment.table.id;
    let needed = reads(calls.iter().flat_map(|call| &call.args), fragment.columns.len());
    let series = match &source.wanted {
        Some(wanted) => wanted.len(),
        None => source.reader.with_index(table, |index| index.map_or(0, |index| u64::from(index.series_count()))),
    };
    let mut groups = Fused::new(fused, calls, &fragment.columns, span, series, &source.context)?;
    for span in spans {
        source.begin(span)?;
        while let Some(item) = source.next_item().await? {
            let columns = match &item {
                ScanItem::Rows(chunk) => source.columns(chunk, &needed)?,
                ScanItem::Summary(_) => Vec::new(),
            };
            source.reader.with_index(table, |index| match (index, &item) {
                (Some(index), ScanItem::Rows(chunk)) => groups.update(chunk, &columns, index),
                (Some(index), ScanItem::Summary(summary)) => groups.summary(summary, index),
                (None, _) => Err(ExecError::Internal("rows of a table without series".into())),
            })?;
        }
        // Spans are whole buckets, so the groups met are complete, and all others come after them in the order.
        if groups.len() >= wanted {
            break;
        }
    }
    let batch = source.reader.with_index(table, |index| groups.finish(index))?;
    Ok(batch.into_iter().collect())
}

async fn aggregate_hashed<R: ShardReader>(
    source: &mut ShardSource<R>,
    keys: &[Expr],
    calls: &[AggregateCall],
    span: (i64, i64),
) -> Result<Vec<RecordBatch>> {
    let needed = reads(keys.iter().chain(calls.iter().flat_map(|call| &call.args)), source.fragment.columns.len());
    let mut aggregate = Aggregate::partial(keys.to_vec(), calls, &source.context)?;
    source.begin(span)?;
    while let Some(chunk) = source.next().await? {
        let columns = source.columns(&chunk, &needed)?;
        aggregate.update(Input { columns: &columns, rows: chunk.rows() })?;
    }
    let mut batches = Vec::new();
    aggregate.finish(&mut batches)?;
    Ok(batches)
}

async fn top_rows<R: ShardReader>(
    source: &mut ShardSource<R>,
    shape: &Shape,
    span: (i64, i64),
) -> Result<Vec<RecordBatch>> {
    let Shape::TopRows { exprs, schema, keys, fetch, by_time } = shape else {
        return Err(ExecError::Internal("not a shape of top rows".into()));
    };
    let mut evaluator = Evaluator::new(&source.fragment, exprs.iter(), schema);
    let mut sort = Sort::new(keys.clone(), Some(*fetch), &source.context);
    let spans = match by_time {
        Some(order) => {
            let width = first_width(span, source.fragment.table.partition_length);
            Spans::by_time(span, Tiling::fixed(width, 0), 1, *order)
        }
        None => Spans::whole(span),
    };
    let mut rows = 0;
    let mut batches = Vec::new();
    for span in spans {
        source.begin(span)?;
        while let Some(chunk) = source.next().await? {
            rows += chunk.rows();
            let batch = evaluator.batch(source, &chunk)?;
            sort.push(batch, &mut batches)?;
        }
        // Rows of later spans come after all rows of this one.
        if rows >= *fetch && by_time.is_some() {
            break;
        }
    }
    sort.finish(&mut batches)?;
    Ok(batches)
}

/// Length of the first span that a query by time without buckets reads of `span`.
fn first_width(span: (i64, i64), partition_length: i64) -> i64 {
    (span.1.saturating_sub(span.0) / TIME_SPANS).min(partition_length / PARTITION_SPANS).max(1)
}

/// Disjoint spans of time that together cover one span, in order of time one way or the other.
struct Spans {
    rest: Option<(i64, i64)>,
    /// Spans begin and end with these buckets, except at the ends of the whole; `None` for all at once.
    bucket: Option<Tiling>,
    /// Buckets in the next span.
    buckets: i64,
    order: TimeOrder,
}

impl Spans {
    fn whole(span: (i64, i64)) -> Self {
        Self { rest: Some(span), bucket: None, buckets: 1, order: TimeOrder::OldestFirst }
    }

    fn by_time(span: (i64, i64), bucket: Tiling, buckets: i64, order: TimeOrder) -> Self {
        Self { rest: Some(span), bucket: Some(bucket), buckets: buckets.max(1), order }
    }
}

impl Iterator for Spans {
    type Item = (i64, i64);

    fn next(&mut self) -> Option<(i64, i64)> {
        let (first, last) = self.rest.take()?;
        let Some(bucket) = &self.bucket else { return Some((first, last)) };
        let further = self.buckets - 1;
        let span = match self.order {
            TimeOrder::NewestFirst => {
                (bucket.start(bucket.index(last).saturating_sub(further)).clamp(first, last), last)
            }
            TimeOrder::OldestFirst => {
                (first, bucket.last(bucket.index(first).saturating_add(further)).clamp(first, last))
            }
        };
        self.buckets = self.buckets.saturating_mul(SPAN_GROWTH);
        self.rest = match self.order {
            TimeOrder::NewestFirst => (span.0 > first).then(|| (first, span.0 - 1)),
            TimeOrder::OldestFirst => (span.1 < last).then(|| (span.1 + 1, last)),
        };
        Some(span)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_span_does_not_grow_with_the_history() {
        const DAY: i64 = 86_400_000;
        assert_eq!(first_width((0, DAY), DAY), DAY / TIME_SPANS);
        assert_eq!(first_width((0, 10 * DAY), DAY), DAY / PARTITION_SPANS);
        assert_eq!(first_width((0, 3650 * DAY), DAY), DAY / PARTITION_SPANS);
        assert_eq!([first_width((i64::MIN, i64::MAX), 1), first_width((5, 5), DAY)], [1, 1]);
        // Ten years are then covered in few steps.
        let bucket = Tiling::fixed(first_width((0, 3650 * DAY), DAY), 0);
        assert!(Spans::by_time((0, 3650 * DAY), bucket, 1, TimeOrder::NewestFirst).count() < 12);
    }

    #[test]
    fn spans_tile_the_whole_and_respect_buckets() {
        let bucket = Tiling::fixed(10, 0);
        let newest: Vec<_> = Spans::by_time((-7, 123), bucket.clone(), 2, TimeOrder::NewestFirst).collect();
        assert_eq!(newest, [(110, 123), (30, 109), (-7, 29)]);
        let oldest: Vec<_> = Spans::by_time((-7, 123), bucket, 2, TimeOrder::OldestFirst).collect();
        assert_eq!(oldest, [(-7, 9), (10, 89), (90, 123)]);
        let all: Vec<_> = Spans::whole((i64::MIN, i64::MAX)).collect();
        assert_eq!(all, [(i64::MIN, i64::MAX)]);
        let wide: Vec<_> =
            Spans::by_time((i64::MIN, i64::MAX), Tiling::fixed(1 << 62, 0), 9, TimeOrder::NewestFirst).collect();
        assert_eq!(wide, [(i64::MIN, i64::MAX)]);
    }
}
