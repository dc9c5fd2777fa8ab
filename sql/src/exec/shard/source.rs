//! The rows of a fragment: a scan of the wanted series over one span of time after the other, each chunk reduced to
//! the rows that pass the filter, and its columns as arrays on demand.

use std::sync::Arc;

use arrow_array::{ArrayRef, BooleanArray, NullArray, PrimitiveArray, new_null_array};
use arrow_schema::{DataType, TimeUnit};
use arrow_select::filter::FilterBuilder;
use roaring::RoaringBitmap;
use tidewire_storage::scan::{Run, ScanChunk, ScanItem, ScanRequest};
use tidewire_storage::schema::ColumnId;

use super::dictionary::TagDictionary;
use super::part::part_of;
use super::reader::{ChunkSource, ShardReader, ShardSnapshot, TagIndex};
use super::series::wanted_series;
use crate::error::execution::{ExecError, Result};
use crate::exec::batch::rows_at_once;
use crate::exec::context::{QueryContext, Reservation};
use crate::exec::eval::{Input, Room, evaluate_mask};
use crate::expr::extent::Work;
use crate::plan::ScanColumn;
use crate::stage::{Fragment, Shape};
use crate::types::array::time_array;
use crate::types::unit::arrow_unit;

/// Rows of one fragment on one shard.
pub(crate) struct ShardSource<R: ShardReader> {
    pub(crate) fragment: Arc<Fragment>,
    pub(crate) reader: R,
    pub(crate) context: QueryContext,
    /// Series wanted; `None` for all.
    pub(crate) wanted: Option<RoaringBitmap>,
    /// The rows as they were when the fragment began, while scans are still to come.
    snapshot: Option<R::Snapshot>,
    /// First and last time that no scan was begun for yet.
    left: (i64, i64),
    /// A span that was begun, and whose scan is to be made.
    begun: Option<(i64, i64)>,
    chunks: Option<<R::Snapshot as ShardSnapshot>::Chunks>,
    /// Parts of a chunk that are to come, the next last.
    parts: Vec<ScanChunk>,
    /// Rows of a part, by the size of what is evaluated over it.
    part_rows: usize,
    /// What the scan holds.
    held: Reservation,
    /// For each scan column that is a field, where it stands in a chunk.
    field_at: Vec<Option<usize>>,
    /// Scan columns that the filter reads.
    filter_reads: Vec<bool>,
    dictionaries: Vec<Option<TagDictionary>>,
    unit: TimeUnit,
    /// For the text that the filter makes.
    room: Room,
}

/// A scan that finds no memory fails as any part of its query does.
fn scan_error(error: tidewire_storage::Error, context: &QueryContext) -> ExecError {
    match error {
        tidewire_storage::Error::ScanMemory { .. } => context.out_of_memory(),
        error => error.into(),
    }
}

impl<R: ShardReader> ShardSource<R> {
    /// Decides the series and takes the snapshot, both at one moment. `None` when the shard can have no row.
    pub(crate) fn open(fragment: Arc<Fragment>, reader: R, context: QueryContext) -> Result<Option<Self>> {
        let wanted = reader.with_index(fragment.table.id, |index| match (index, &fragment.tag_filter) {
            (None, _) => Ok(Some(RoaringBitmap::new())),
            (Some(_), None) => Ok(None),
            (Some(index), Some(filter)) => {
                wanted_series(index, filter, &fragment.tag_columns, &Room::new(&context)).map(Some)
            }
        })?;
        if wanted.as_ref().is_some_and(RoaringBitmap::is_empty) || fragment.time_min > fragment.time_max {
            return Ok(None);
        }
        context.count_series(|| match &wanted {
            Some(wanted) => wanted.len(),
            None => reader.with_index(fragment.table.id, |index| index.map_or(0, |i| u64::from(i.series_count()))),
        })?;
        let (time_min, time_max) = (fragment.time_min, fragment.time_max);
        let Some(snapshot) = reader.snapshot(fragment.table.id, time_min, time_max) else { return Ok(None) };
        let Some((first, last)) = snapshot.time_bounds() else { return Ok(None) };
        let left = (first.max(time_min), last.min(time_max));
        if left.0 > left.1 {
            return Ok(None);
        }
        let mut fields = 0;
        let field_at = fragment
            .columns
            .iter()
            .map(|column| {
                matches!(column, ScanColumn::Field(..)).then(|| {
                    fields += 1;
                    fields - 1
                })
            })
            .collect();
        let filter_reads = reads(fragment.filter.iter(), fragment.columns.len());
        let dictionaries = fragment.columns.iter().map(|_| None).collect();
        let unit = arrow_unit(fragment.table.time_unit);
        let (held, room) = (context.reservation(), Room::new(&context));
        Ok(Some(Self {
            reader,
            context,
            wanted,
            snapshot: Some(snapshot),
            left,
            begun: None,
            chunks: None,
            parts: Vec::new(),
            part_rows: rows_at_once(work(&fragment)),
            held,
            field_at,
            filter_reads,
            dictionaries,
            unit,
            room,
            fragment,
        }))
    }

    /// First and last time that a row can have that no span was begun for yet.
    pub(crate) fn span(&self) -> (i64, i64) {
        self.left
    }

    /// Begins to read the rows of `span`, which lies at one end of what is left.
    pub(crate) fn begin(&mut self, span: (i64, i64)) -> Result<()> {
        if self.snapshot.is_none() {
            return Err(ExecError::Internal("a span where all were read".into()));
        }
        self.begun = Some(span);
        Ok(())
    }

    /// Makes the scan of a span that was begun, if that is still to do: rows that are in memory are copied, while
    /// others run.
    pub(crate) async fn prepare(&mut self) -> Result<()> {
        let Some(span) = self.begun.take() else { return Ok(()) };
        let Some(snapshot) = self.snapshot.take() else { return Ok(()) };
        let columns = self
            .fragment
            .columns
            .iter()
            .filter_map(|column| if let ScanColumn::Field(id, kind) = column { Some((*id, *kind)) } else { None })
            .collect();
        let request = ScanRequest {
            table: self.fragment.table.id,
            time_min: span.0,
            time_max: span.1,
            series: self.wanted.clone(),
            columns,
            prune: self.fragment.prune.clone(),
        };
        let (mode, memory_bytes_max) = (self.fragment.mode.clone(), self.context.memory_left());
        // Many queries at once copy as many memtables: each holds its copy before it is made.
        let (held, context) = (&mut self.held, &self.context);
        let mut take = |bytes: u64| {
            let wanted = usize::try_from(held.bytes().saturating_add(bytes)).unwrap_or(usize::MAX);
            let refused = || tidewire_storage::Error::ScanMemory { limit_bytes: memory_bytes_max };
            if !context.leaves_room(bytes) {
                return Err(refused());
            }
            held.resize(wanted).map_err(|_| refused())
        };
        let scan = snapshot.scan(request, mode, memory_bytes_max, &mut take).await;
        if span != self.left {
            self.snapshot = Some(snapshot);
            match span.1 == self.left.1 {
                true => self.left.1 = span.0 - 1,
                false => self.left.0 = span.1 + 1,
            }
        }
        let chunks = scan.map_err(|error| scan_error(error, &self.context))?;
        self.held.resize(usize::try_from(chunks.memory_bytes()).unwrap_or(usize::MAX))?;
        self.chunks = Some(chunks);
        Ok(())
    }

    /// The next chunk of rows that pass the filter, never empty; `None` at the end of the span. For fragments whose
    /// mode yields rows alone.
    pub(crate) async fn next(&mut self) -> Result<Option<ScanChunk>> {
        match self.next_item().await? {
            Some(ScanItem::Rows(chunk)) => Ok(Some(chunk)),
            Some(ScanItem::Summary(_)) => Err(ExecError::Internal("a summary where rows were asked for".into())),
            None => Ok(None),
        }
    }

    /// The next rows that pass the filter, never empty, or a summary, of which no filter takes anything away.
    pub(crate) async fn next_item(&mut self) -> Result<Option<ScanItem>> {
        self.prepare().await?;
        loop {
            self.context.check()?;
            if let Some(part) = self.parts.pop() {
                self.reader.yield_if_needed().await;
                match self.filtered(part)? {
                    Some(kept) => return Ok(Some(ScanItem::Rows(kept))),
                    None => continue,
                }
            }
            let Some(chunks) = &mut self.chunks else { return Ok(None) };
            let item = chunks.next().await.map_err(|error| scan_error(error, &self.context))?;
            self.held.resize(usize::try_from(chunks.memory_bytes()).unwrap_or(usize::MAX))?;
            if let Some(ScanItem::Rows(chunk)) = &item {
                self.context.count_rows(chunk.rows())?;
            }
            match item {
                Some(ScanItem::Rows(chunk)) if chunk.rows() > self.part_rows => {
                    let starts = (0..chunk.rows()).step_by(self.part_rows).rev();
                    let part = |start| part_of(&chunk, start..chunk.rows().min(start + self.part_rows));
                    self.parts.extend(starts.map(part));
                }
                Some(ScanItem::Rows(chunk)) => {
                    if let Some(kept) = self.filtered(chunk)? {
                        return Ok(Some(ScanItem::Rows(kept)));
                    }
                }
                Some(summary) => return Ok(Some(summary)),
                None => {
                    self.chunks = None;
                    self.held.resize(0)?;
                    return Ok(None);
                }
            }
        }
    }

    /// The rows of `chunk` that pass the filter; `None` when there are none.
    fn filtered(&mut self, chunk: ScanChunk) -> Result<Option<ScanChunk>> {
        if chunk.rows() == 0 {
            return Ok(None);
        }
        let fragment = Arc::clone(&self.fragment);
        let Some(filter) = &fragment.filter else { return Ok(Some(chunk)) };
        let needed = std::mem::take(&mut self.filter_reads);
        let columns = self.columns(&chunk, &needed);
        self.filter_reads = needed;
        let input = Input { columns: &columns?, rows: chunk.rows(), names: fragment.as_ref(), room: &self.room };
        let mask = evaluate_mask(filter, input);
        self.room.clear()?;
        let mask = mask?;
        match mask.true_count() {
            0 => Ok(None),
            count if count == chunk.rows() => Ok(Some(chunk)),
            count => Ok(Some(compact(&chunk, &mask, count)?)),
        }
    }

    /// The scan columns of a chunk that are `needed`, as arrays; the others as empty ones.
    pub(crate) fn columns(&mut self, chunk: &ScanChunk, needed: &[bool]) -> Result<Vec<ArrayRef>> {
        let fragment = Arc::clone(&self.fragment);
        fragment
            .columns
            .iter()
            .enumerate()
            .map(|(at, column)| match column {
                _ if !needed[at] => Ok(Arc::new(NullArray::new(0)) as ArrayRef),
                ScanColumn::Time => Ok(time_array(chunk.time.clone(), None, self.unit)),
                ScanColumn::Tag(id) => self.tag(at, *id, chunk),
                ScanColumn::Field(_, kind) => {
                    let array = self.field_at[at].and_then(|at| chunk.columns.get(at));
                    let array =
                        array.ok_or_else(|| ExecError::Internal("a chunk lacks a column that was asked for".into()))?;
                    // Typeless nulls stand for a column that no row has.
                    match array.data_type() {
                        DataType::Null => Ok(new_null_array(&kind.data_type(), chunk.rows())),
                        _ => Ok(Arc::clone(array)),
                    }
                }
            })
            .collect()
    }

    /// A tag column of a chunk: one key a row, over the fragment's shared values.
    fn tag(&mut self, at: usize, column: ColumnId, chunk: &ScanChunk) -> Result<ArrayRef> {
        let Self { fragment, reader, wanted, dictionaries, context, .. } = self;
        reader.with_index(fragment.table.id, |index| {
            let index = index.ok_or_else(|| ExecError::Internal("rows of a table without series".into()))?;
            let dictionary =
                dictionaries[at].get_or_insert_with(|| TagDictionary::new(index, column, wanted.as_ref(), context));
            dictionary.column(index, column, chunk)
        })
    }
}

/// Nodes of all that a fragment evaluates row by row.
fn work(fragment: &Fragment) -> Work {
    let of_shape = match &fragment.shape {
        Shape::Rows { exprs, .. } | Shape::TopRows { exprs, .. } => Work::of_all(exprs),
        Shape::Aggregate { keys, calls, .. } => {
            let args = calls.iter().flat_map(|call| &call.args);
            Work::of_all(keys.iter().chain(args))
        }
    };
    of_shape.and(Work::of_all(&fragment.filter))
}

/// Which of `count` columns the expressions read.
pub(crate) fn reads<'a>(exprs: impl Iterator<Item = &'a crate::expr::Expr>, count: usize) -> Vec<bool> {
    let mut needed = vec![false; count];
    for expr in exprs {
        expr.for_each_column(&mut |at| {
            if let Some(flag) = needed.get_mut(at) {
                *flag = true;
            }
        });
    }
    needed
}

/// The `count` rows of a chunk whose bit in `mask` is set.
pub(super) fn compact(chunk: &ScanChunk, mask: &BooleanArray, count: usize) -> Result<ScanChunk> {
    let selected = mask.values();
    let mut runs = Vec::with_capacity(chunk.runs.len().min(count));
    let mut start = 0;
    for run in &chunk.runs {
        let len = selected.slice(run.start as usize, run.len as usize).count_set_bits() as u32;
        if len > 0 {
            runs.push(Run { series: run.series, start, len });
            start += len;
        }
    }
    let predicate = FilterBuilder::new(mask).optimize().build();
    let time = PrimitiveArray::<arrow_array::types::Int64Type>::new(chunk.time.clone(), None);
    let time = arrow_array::Int64Array::from(arrow_array::Array::to_data(&predicate.filter(&time)?));
    let columns =
        chunk.columns.iter().map(|column| Ok(predicate.filter(column)?)).collect::<Result<Vec<ArrayRef>>>()?;
    Ok(ScanChunk { runs, time: time.values().clone(), columns })
}
