//! Carrying out a merge: plan a band, write it, and so on; a new file where the last one is large enough.

use std::cell::Cell;
use std::path::PathBuf;
use std::rc::Rc;

use super::budget::Pace;
use super::gather::{Gather, Reads, long_columns};
use super::plan::{Plan, Planner};
use crate::cache::Cache;
use crate::codec::Effort;
use crate::disk::{DISK_ALIGN, Disk};
use crate::error::{Error, Result};
use crate::schema::{Codec, ColumnId, FieldType, TableId};
use crate::segment::{LANES_BEFORE_FIELDS, Origin, Segment, SegmentMeta, SegmentWriter, Target};
use crate::tombstone::Deletes;

/// Blocks read ahead, of all inputs together.
const CACHE_BYTES: u64 = 16 << 20;

/// Shortest stretch that is read at once: what a disk reads anyway.
const EXTENT_BYTES_MIN: u64 = DISK_ALIGN as u64;

/// How much of each column of each input is read at once: so much that one stretch of all of them fits into the cache,
/// with a quarter to spare. Else what one band leaves of a stretch is gone when the next band comes, and everything is
/// read again and again.
fn extent_bytes(inputs: usize, columns: usize) -> u64 {
    let lanes = inputs * (columns + LANES_BEFORE_FIELDS);
    (CACHE_BYTES / 4 * 3 / lanes.max(1) as u64).max(EXTENT_BYTES_MIN)
}

/// A segment to merge.
pub(crate) struct Input<D: Disk> {
    pub(crate) segment: Rc<Segment<D>>,
    /// What is deleted from it.
    pub(crate) deletes: Deletes,
}

/// What a merge is to make.
#[derive(Debug, Clone, Copy)]
pub(crate) struct MergeTarget<'a> {
    pub(crate) table: TableId,
    pub(crate) partition_start: i64,
    pub(crate) effort: Effort,
    /// Size from which on a file ends with its last series.
    pub(crate) segment_bytes: u64,
    pub(crate) band_rows_max: usize,
    /// Every delete up to its log position is among those of the inputs.
    pub(crate) origin: Origin,
    /// Codecs asked for.
    pub(crate) codecs: &'a [(ColumnId, Codec)],
    /// Columns to leave out, ascending.
    pub(crate) dropped: &'a [ColumnId],
}

/// Merges `inputs`, the oldest first, into segments at paths that `next_path` gives: none, if no row is left. They
/// ascend by series. After an error nothing is left of them, but for what cannot be removed.
pub(crate) async fn merge<D: Disk>(
    disk: &D,
    inputs: Vec<Input<D>>,
    target: &MergeTarget<'_>,
    mut next_path: impl FnMut() -> PathBuf,
    pace: &Pace,
) -> Result<Vec<SegmentMeta>> {
    let cache = Cache::new(CACHE_BYTES);
    let columns = columns(&inputs, target.dropped)?;
    let extent_bytes = extent_bytes(inputs.len(), columns.len());
    let through_cache =
        |input: Input<D>| Input { segment: input.segment.with_cache(cache.clone(), extent_bytes), ..input };
    let inputs: Vec<Input<D>> = inputs.into_iter().map(through_cache).collect();
    let segments: Vec<_> = inputs.iter().map(|input| input.segment.clone()).collect();
    let mut merger = Merger {
        disk,
        long: long_columns(&segments, &columns),
        segments,
        columns,
        planner: Planner::new(disk, &inputs),
        plan: Plan::default(),
        target,
        reads: Reads { cache, pace, reported: Cell::new(0) },
        done: Vec::new(),
    };
    let mut open = None;
    match merger.run(&mut open, &mut next_path).await {
        Ok(()) => Ok(merger.done.into_iter().map(|(_, meta)| meta).collect()),
        Err(error) => {
            if let Some((_, writer)) = open {
                SegmentWriter::abandon(writer).await;
            }
            for (path, _) in merger.done {
                // The first error is the one to report; no manifest names the file.
                let _ = disk.remove(&path).await;
            }
            Err(error)
        }
    }
}

/// All fields of the inputs but the dropped ones, ascending by id; the dropped ones if there are no others, since rows
/// have a field.
fn columns<D: Disk>(inputs: &[Input<D>], dropped: &[ColumnId]) -> Result<Vec<(ColumnId, FieldType)>> {
    let mut columns: Vec<(ColumnId, FieldType)> = Vec::new();
    for (id, kind) in inputs.iter().flat_map(|input| input.segment.columns()) {
        match columns.binary_search_by_key(&id, |(id, _)| *id) {
            Ok(at) if columns[at].1 != kind => {
                let reason = format!("column {} is {kind:?} in one segment and {:?} in another", id.0, columns[at].1);
                return Err(Error::Rejected(reason));
            }
            Ok(_) => {}
            Err(at) => columns.insert(at, (id, kind)),
        }
    }
    let is_dropped = |(id, _): &(ColumnId, FieldType)| dropped.binary_search(id).is_ok();
    if !columns.iter().all(is_dropped) {
        columns.retain(|column| !is_dropped(column));
    }
    Ok(columns)
}

struct Merger<'a, D: Disk> {
    disk: &'a D,
    segments: Vec<Rc<Segment<D>>>,
    columns: Vec<(ColumnId, FieldType)>,
    /// Those with strings that may be long.
    long: Vec<usize>,
    planner: Planner<D>,
    plan: Plan,
    target: &'a MergeTarget<'a>,
    reads: Reads<'a>,
    done: Vec<(PathBuf, SegmentMeta)>,
}

/// The file in work.
type Opened<D> = Option<(PathBuf, SegmentWriter<D>)>;

impl<D: Disk> Merger<'_, D> {
    async fn run(&mut self, open: &mut Opened<D>, next_path: &mut impl FnMut() -> PathBuf) -> Result<()> {
        while let Some(next) = self.planner.next_series().await? {
            let last = self.plan.runs.last().map(|run| run.series);
            let full = open.as_ref().is_some_and(|(_, writer)| writer.bytes() >= self.target.segment_bytes);
            // A series is not divided, so that files of one merge have no series in common.
            let only = if full && last == Some(next) { last } else { None };
            if full && only.is_none() {
                self.finish(open).await?;
            }
            self.planner.next_band(&mut self.plan, self.target.band_rows_max.max(1), only).await?;
            self.reads.settle().await?;
            self.write_band(open, next_path).await?;
        }
        self.finish(open).await
    }

    async fn write_band(&mut self, open: &mut Opened<D>, next_path: &mut impl FnMut() -> PathBuf) -> Result<()> {
        if open.is_none() {
            let path = next_path();
            let target = Target {
                path: &path,
                table: self.target.table,
                partition_start: self.target.partition_start,
                origin: self.target.origin,
                effort: self.target.effort,
                codecs: self.target.codecs,
                sync_folder: true,
            };
            let writer = SegmentWriter::create(self.disk, &target, &self.columns).await?;
            *open = Some((path, writer));
        }
        let Some((_, writer)) = open else { return Ok(()) };
        let before = writer.bytes();
        let mut band = Gather {
            disk: self.disk,
            plan: &self.plan,
            segments: &self.segments,
            columns: &self.columns,
            long: &self.long,
            reads: &self.reads,
            copies: self.target.effort == Effort::Fast,
            blocks: (0..self.segments.len()).map(|_| None).collect(),
        };
        writer.band(&mut band).await?;
        self.reads.settle().await?;
        self.reads.pace.written(writer.bytes() - before).await
    }

    async fn finish(&mut self, open: &mut Opened<D>) -> Result<()> {
        let Some((path, writer)) = open.take() else { return Ok(()) };
        self.done.push((path, writer.finish().await?));
        Ok(())
    }
}
