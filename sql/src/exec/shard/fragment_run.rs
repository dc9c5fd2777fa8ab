//! A fragment at work on one shard.
//!
//! Rows stream. Aggregates and top rows read everything first, span by span of time: one span usually, but newest (or
//! oldest) spans first and growing where only the first groups or rows by time are wanted, so that the rest is never
//! read. Then they put out what they have, step by step.

use std::collections::VecDeque;
use std::sync::Arc;

use arrow_array::RecordBatch;
use tidewire_storage::scan::ScanItem;

use super::fused::Fused;
use super::part::part_of;
use super::reader::{ShardReader, TagIndex};
use super::rows::{Evaluator, Leading, Parts, RowStream};
use super::source::{ShardSource, reads};
use super::spans::{Spans, first_width};
use crate::error::execution::{ExecError, Result};
use crate::exec::aggregate::Aggregate;
use crate::exec::context::QueryContext;
use crate::exec::sink::{Left, Sink, Sort};
use crate::stage::{Fragment, Shape, TopBuckets};
use crate::types::tiling::Tiling;

/// A fragment over one scan.
pub(super) enum FragmentRun<R: ShardReader> {
    /// Rows as they come.
    Rows(Box<RowStream<R>>),
    /// What needs all rows first.
    Gathered(Box<Gathered<R>>),
}

/// Everything is read, then put out.
pub(super) struct Gathered<R: ShardReader> {
    source: ShardSource<R>,
    gather: Gather,
    /// The span that the source has begun.
    begun: bool,
    /// Spans to read after that one.
    spans: Spans,
    /// What is put out and not yet taken.
    out: VecDeque<RecordBatch>,
    /// All is read and put out.
    is_over: bool,
}

/// What takes the rows.
enum Gather {
    /// Groups made of tags and time buckets.
    Fused {
        groups: Fused,
        /// Scan columns that the calls read.
        needed: Vec<bool>,
        /// Groups after which no further span is read.
        top: Option<TopBuckets>,
    },
    /// Any groups.
    Hashed { aggregate: Aggregate, needed: Vec<bool> },
    /// The best rows.
    Top {
        sort: Box<Sort>,
        evaluator: Evaluator,
        /// Rows after which no further span is read.
        wanted: usize,
        rows: usize,
    },
}

impl<R: ShardReader> FragmentRun<R> {
    /// Decides the series and takes a snapshot of the rows. `None` when there are none.
    pub(super) fn open(fragment: &Arc<Fragment>, reader: R, context: QueryContext) -> Result<Option<Self>> {
        let Some(mut source) = ShardSource::open(Arc::clone(fragment), reader, context)? else { return Ok(None) };
        let span = source.span();
        let (gather, mut spans) = match &fragment.shape {
            Shape::Rows { exprs, schema, limit, leaders } => {
                source.begin(span)?;
                let evaluator = Evaluator::new(fragment, exprs.iter(), schema, &source.context);
                let leaders = leaders.as_ref().map(|spec| Leading::new(spec, exprs, schema, &source)).transpose()?;
                return Ok(Some(Self::Rows(Box::new(RowStream::new(source, evaluator, *limit, leaders)))));
            }
            Shape::Aggregate { keys, calls, fused: Some(fused), top } => {
                debug_assert_eq!(keys.len(), fused.keys.len());
                let bucket = fused.bucket.as_ref();
                let spans = match (top, bucket) {
                    (Some(top), Some(bucket)) => Spans::by_time(span, bucket.clone(), top.groups as i64, top.order),
                    _ => Spans::whole(span),
                };
                let count = |index: Option<&R::Index>| index.map_or(0, |index| u64::from(index.series_count()));
                let series = match &source.wanted {
                    Some(wanted) => wanted.len(),
                    None => source.reader.with_index(fragment.table.id, count),
                };
                let groups = Fused::new(fused, calls, &fragment.columns, span, series, &source.context)?;
                let needed = reads(calls.iter().flat_map(|call| &call.args), fragment.columns.len());
                (Gather::Fused { groups, needed, top: top.clone() }, spans)
            }
            Shape::Aggregate { keys, calls, fused: None, .. } => {
                let exprs = keys.iter().chain(calls.iter().flat_map(|call| &call.args));
                let needed = reads(exprs, fragment.columns.len());
                let aggregate = Aggregate::partial(keys.clone(), calls, &source.context)?;
                (Gather::Hashed { aggregate, needed }, Spans::whole(span))
            }
            Shape::TopRows { exprs, schema, keys, fetch, by_time } => {
                let evaluator = Evaluator::new(fragment, exprs.iter(), schema, &source.context);
                let sort = Box::new(Sort::new(keys.clone(), Some(*fetch), &source.context));
                let (spans, wanted) = match by_time {
                    Some(order) => {
                        let width = first_width(span, fragment.table.partition_length);
                        (Spans::by_time(span, Tiling::fixed(width, 0), 1, *order), *fetch)
                    }
                    None => (Spans::whole(span), usize::MAX),
                };
                (Gather::Top { sort, evaluator, wanted, rows: 0 }, spans)
            }
        };
        let begun = match spans.next() {
            Some(first) => {
                source.begin(first)?;
                true
            }
            None => false,
        };
        let gathered = Gathered { source, gather, begun, spans, out: VecDeque::new(), is_over: false };
        Ok(Some(Self::Gathered(Box::new(gathered))))
    }

    /// Copies what is in memory of the rows that come first.
    pub(super) async fn prepare(&mut self) -> Result<()> {
        match self {
            Self::Rows(stream) => stream.prepare().await,
            Self::Gathered(gathered) => gathered.source.prepare().await,
        }
    }

    /// The next batch to send: rows or partial states, never empty. `None` at the end.
    pub(super) async fn next(&mut self) -> Result<Option<RecordBatch>> {
        match self {
            Self::Rows(stream) => stream.next().await,
            Self::Gathered(gathered) => gathered.next().await,
        }
    }
}

impl<R: ShardReader> Gathered<R> {
    async fn next(&mut self) -> Result<Option<RecordBatch>> {
        if self.begun {
            self.read().await?;
            self.begun = false;
        }
        while self.out.is_empty() && !self.is_over {
            self.source.context.check()?;
            let mut out = Vec::new();
            self.is_over = self.step(&mut out)? == Left::Nothing;
            self.out.extend(out);
            self.source.reader.yield_if_needed().await;
        }
        Ok(self.out.pop_front())
    }

    /// Takes in all rows that are wanted.
    async fn read(&mut self) -> Result<()> {
        loop {
            let has_enough = match &mut self.gather {
                Gather::Fused { groups, needed, top } => {
                    read_fused(&mut self.source, groups, needed).await?;
                    // Spans are whole buckets, so the groups met are complete, and all others come after them in the
                    // order.
                    match top {
                        Some(top) => groups.count_wanted(top)? >= top.groups,
                        None => false,
                    }
                }
                Gather::Hashed { aggregate, needed } => {
                    read_hashed(&mut self.source, aggregate, needed).await?;
                    false
                }
                Gather::Top { sort, evaluator, wanted, rows } => {
                    *rows += read_top(&mut self.source, sort, evaluator).await?;
                    // Rows of later spans come after all rows of this one.
                    *rows >= *wanted
                }
            };
            let next = if has_enough { None } else { self.spans.next() };
            let Some(span) = next else { break };
            self.source.begin(span)?;
        }
        match &mut self.gather {
            Gather::Fused { .. } => Ok(()),
            Gather::Hashed { aggregate, .. } => aggregate.end(),
            Gather::Top { sort, .. } => sort.end(),
        }
    }

    fn step(&mut self, out: &mut Vec<RecordBatch>) -> Result<Left> {
        let Self { source, gather, .. } = self;
        match gather {
            Gather::Fused { groups, .. } => {
                source.reader.with_index(source.fragment.table.id, |index| groups.step(index, out))
            }
            Gather::Hashed { aggregate, .. } => aggregate.step(out),
            Gather::Top { sort, .. } => sort.step(out),
        }
    }
}

async fn read_fused<R: ShardReader>(source: &mut ShardSource<R>, groups: &mut Fused, needed: &[bool]) -> Result<()> {
    let (table, names) = (source.fragment.table.id, Arc::clone(&source.fragment));
    while let Some(item) = source.next_item().await? {
        let columns = match &item {
            ScanItem::Rows(chunk) => source.columns(chunk, needed)?,
            ScanItem::Summary(_) => Vec::new(),
        };
        source.reader.with_index(table, |index| match (index, &item) {
            (Some(index), ScanItem::Rows(chunk)) => groups.update(chunk, &columns, names.as_ref(), index),
            (Some(index), ScanItem::Summary(summary)) => groups.summary(summary, index),
            (None, _) => Err(ExecError::Internal("rows of a table without series".into())),
        })?;
    }
    Ok(())
}

async fn read_hashed<R: ShardReader>(
    source: &mut ShardSource<R>,
    aggregate: &mut Aggregate,
    needed: &[bool],
) -> Result<()> {
    while let Some(chunk) = source.next().await? {
        let mut rest = Some(chunk);
        while let Some(chunk) = rest.take() {
            let (rows, most) = (chunk.rows(), aggregate.rows_at_once());
            let part = match rows > most {
                true => {
                    rest = Some(part_of(&chunk, most..rows));
                    part_of(&chunk, 0..most)
                }
                false => chunk,
            };
            let columns = source.columns(&part, needed)?;
            aggregate.update(&columns, part.rows(), source.fragment.as_ref())?;
            if rest.is_some() {
                source.reader.yield_if_needed().await;
            }
        }
    }
    Ok(())
}

/// The number of rows read.
async fn read_top<R: ShardReader>(
    source: &mut ShardSource<R>,
    sort: &mut Sort,
    evaluator: &mut Evaluator,
) -> Result<usize> {
    let mut rows = 0;
    // Nothing comes out before the end.
    let mut none = Vec::new();
    let mut parts = Parts::default();
    while let Some(chunk) = parts.next(source).await? {
        let Some(batch) = parts.batch(evaluator, source, &chunk)? else { continue };
        rows += chunk.rows();
        sort.push(batch)?;
        while sort.step(&mut none)? == Left::Work {
            source.reader.yield_if_needed().await;
        }
    }
    Ok(rows)
}
