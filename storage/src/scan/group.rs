//! One group of rows of one source, from its index to what leaves the scan.

use std::cell::OnceCell;
use std::ops::Range;
use std::rc::Rc;

use arrow_array::{Array, ArrayRef};
use arrow_buffer::ScalarBuffer;

use super::ends::Ends;
use super::merge::Merge;
use super::mode::{ColumnSummary, GroupSummary, ScanItem, ScanMode, SummaryRule};
use super::{Context, PruneRange, Run, ScanChunk, values};
use crate::codec::column::Nullable;
use crate::codec::{Damaged, bitmap};
use crate::disk::Disk;
use crate::error::{Error, Result};
use crate::schema::{ColumnId, FieldType, SeriesId};
use crate::segment::index::IndexRun;
use crate::segment::{Segment, Statistics};
use crate::tombstone::Deletes;

/// Where a group's rows are.
pub(super) enum Origin<D: Disk> {
    /// Group `number` of a segment.
    Segment { segment: Rc<Segment<D>>, number: usize },
    /// Rows of a memtable.
    Memory { columns: Vec<ArrayRef> },
}

/// Which rows of a group have values.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fullness {
    /// Every row in every column.
    Full,
    /// Every row in the same columns.
    Columns,
    /// It depends on the row.
    Gaps,
}

/// A group whose index is known.
pub(super) struct Group<D: Disk> {
    origin: Origin<D>,
    /// Runs that are asked for.
    pub(super) runs: Vec<IndexRun>,
    /// Rows of the whole group.
    rows: usize,
    times: Option<ScalarBuffer<i64>>,
    /// Columns of the rows `decoded_rows` of a segment's group; `None` where the segment has no such field.
    decoded: Option<Vec<Option<Nullable>>>,
    decoded_rows: Range<usize>,
    /// Rows that leave as they are, ascending.
    free: Vec<Run>,
    free_rows: usize,
    /// Asked for once a series.
    fullness: OnceCell<Fullness>,
    bytes: u64,
}

impl<D: Disk> Group<D> {
    /// Reads the index of group `number`.
    pub(super) async fn of_segment(
        context: &Context<'_, D>,
        segment: Rc<Segment<D>>,
        number: usize,
        deletes: &Deletes,
    ) -> Result<Self> {
        let rows = segment.group(number).rows;
        let mut runs = segment.index(number).await?;
        context.disk.yield_if_needed().await;
        if context.request.series.is_some() {
            runs.retain(|run| context.wants_series(run.series));
        }
        let mut times = None;
        if !deletes.is_empty() {
            // The times of a run's pieces do not follow from what is stored of the run.
            if deletes.need_times(&runs) {
                times = Some(segment.times(number, &runs).await?);
            }
            deletes.remove_from(&mut runs, times.as_deref());
        }
        let bytes = (runs.len() * size_of::<IndexRun>() + times.as_ref().map_or(0, Vec::len) * 8) as u64;
        let mut group = Self::new(Origin::Segment { segment, number }, runs, rows, bytes);
        group.times = times.map(ScalarBuffer::from);
        Ok(group)
    }

    /// Sorted rows of a memtable.
    pub(super) fn of_memory(context: &Context<'_, D>, chunk: ScanChunk) -> Self {
        let wanted = chunk.runs.iter().filter(|run| context.wants_series(run.series));
        let index_run = |run: &Run| IndexRun {
            series: run.series,
            start: run.start,
            len: run.len,
            time_min: chunk.time[run.start as usize],
            time_max: chunk.time[(run.start + run.len) as usize - 1],
            regular: false,
        };
        let (runs, total) = (wanted.map(index_run).collect(), chunk.rows());
        let mut group = Self::new(Origin::Memory { columns: chunk.columns }, runs, total, 0);
        group.times = Some(chunk.time);
        group
    }

    fn new(origin: Origin<D>, runs: Vec<IndexRun>, rows: usize, bytes: u64) -> Self {
        Self {
            origin,
            runs,
            rows,
            times: None,
            decoded: None,
            decoded_rows: 0..0,
            free: Vec::new(),
            free_rows: 0,
            fullness: OnceCell::new(),
            bytes,
        }
    }

    /// Bytes of what it holds decoded.
    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Rows of `run` with times within `time_min..=time_max`, counted in the group.
    pub(super) async fn rows_between(&mut self, run: &IndexRun, time_min: i64, time_max: i64) -> Result<Range<usize>> {
        let start = run.start as usize;
        if time_min <= run.time_min && run.time_max <= time_max {
            return Ok(start..start + run.len as usize);
        }
        if run.time_max < time_min || time_max < run.time_min || time_max < time_min {
            return Ok(start..start);
        }
        // The outermost rows are known without the times in between.
        if time_min == run.time_max {
            return Ok(start + run.len as usize - 1..start + run.len as usize);
        }
        if time_max == run.time_min {
            return Ok(start..start + 1);
        }
        if !run.regular {
            self.load_times().await?;
        }
        let times = self.times.as_deref();
        let from = run.rows_before(time_min, times) as usize;
        let to = match time_max.checked_add(1) {
            Some(after) => run.rows_before(after, times) as usize,
            None => run.len as usize,
        };
        Ok(start + from..start + to.max(from))
    }

    /// Times of rows of the group, which must be loaded.
    pub(super) fn time_at(&self, run: &IndexRun, row: usize) -> i64 {
        match &self.times {
            Some(times) => times[row],
            None => run.time_at(row as u32 - run.start),
        }
    }

    /// Marks rows of a run to leave as they are.
    pub(super) fn release(&mut self, series: SeriesId, rows: Range<usize>) {
        if !rows.is_empty() {
            self.free.push(Run { series, start: rows.start as u32, len: rows.len() as u32 });
            self.free_rows += rows.len();
        }
    }

    /// Copies rows of the group to `merge`.
    pub(super) async fn stage(
        &mut self,
        context: &Context<'_, D>,
        rows: Range<usize>,
        merge: &mut Merge,
    ) -> Result<()> {
        self.load_times().await?;
        if self.decoded.is_none() {
            // Sooner or later all runs that are asked for are needed.
            let from = self.runs.first().map_or(0, |run| run.start as usize);
            let to = self.runs.last().map_or(0, |run| (run.start + run.len) as usize);
            self.load_columns(context, from..to).await?;
        }
        let time = self.times.as_ref().map_or(&[][..], |times| &times[rows.clone()]);
        let staged = merge.add(time, context.request.columns.len());
        match &self.origin {
            Origin::Memory { columns } => {
                for ((staged, array), (_, kind)) in staged.iter_mut().zip(columns).zip(&context.request.columns) {
                    staged.append_array(array, *kind, rows.clone());
                }
            }
            Origin::Segment { .. } => {
                let shift = self.decoded_rows.start;
                for (staged, column) in staged.iter_mut().zip(self.decoded.iter().flatten()) {
                    match column {
                        Some(column) => staged.append(column, rows.start - shift..rows.end - shift),
                        None => staged.append_nulls(rows.len()),
                    }
                }
            }
        }
        Ok(())
    }

    async fn load_times(&mut self) -> Result<()> {
        if self.times.is_none()
            && let Origin::Segment { segment, number } = &self.origin
        {
            self.times = Some(segment.times(*number, &self.runs).await?.into());
            self.bytes += self.rows as u64 * 8;
        }
        Ok(())
    }

    async fn load_columns(&mut self, context: &Context<'_, D>, rows: Range<usize>) -> Result<()> {
        let Origin::Segment { segment, number } = &self.origin else { return Ok(()) };
        let mut columns = Vec::with_capacity(context.request.columns.len());
        for (id, kind) in &context.request.columns {
            let column = match segment.field(*id) {
                Some(field) => Some(segment.values(field, *number, rows.clone(), *kind).await?),
                None => None,
            };
            self.bytes += column.as_ref().map_or(0, |(column, _)| column.bytes());
            columns.push(column);
        }
        self.decoded = Some(columns);
        self.decoded_rows = rows;
        Ok(())
    }

    /// The free rows of all columns.
    async fn take_columns(&mut self, context: &Context<'_, D>, ranges: &[Range<usize>]) -> Result<Vec<ArrayRef>> {
        let hull = match (ranges.first(), ranges.last()) {
            (Some(first), Some(last)) => first.start..last.end,
            _ => 0..0,
        };
        // Single rows, far apart: the last of each series.
        let sparse = self.free.iter().all(|run| run.len == 1) && self.free_rows * 4 < hull.len();
        if self.decoded.is_none() && !sparse {
            self.load_columns(context, hull).await?;
            context.charge(self.bytes)?;
        }
        let (segment, number) = match &self.origin {
            Origin::Memory { columns } => {
                let columns: Result<_, _> = columns.iter().map(|array| values::rows_of(array, ranges)).collect();
                return columns.map_err(|error| Error::Rejected(format!("rows do not join: {error}")));
            }
            Origin::Segment { segment, number } => (segment, *number),
        };
        let picked: Vec<u32> =
            if self.decoded.is_none() { self.free.iter().map(|run| run.start).collect() } else { Vec::new() };
        let shift = self.decoded_rows.start;
        let kept: Vec<Range<usize>> = ranges.iter().map(|range| range.start - shift..range.end - shift).collect();
        let all = kept.len() == 1 && kept.first() == Some(&(0..self.decoded_rows.len()));
        let mut decoded = self.decoded.take().map(Vec::into_iter);
        let mut arrays = Vec::with_capacity(context.request.columns.len());
        for (id, kind) in &context.request.columns {
            let field = segment.field(*id);
            let column = match (&mut decoded, field) {
                (Some(decoded), _) => decoded.next().flatten().map(|(mut column, mut validity)| {
                    if !all {
                        column.keep(&kept);
                        validity = validity.map(|bits| bitmap::keep(&bits, &kept));
                    }
                    (column, validity)
                }),
                (None, Some(field)) => Some(segment.pick(field, number, &picked, *kind).await?),
                (None, None) => None,
            };
            arrays.push(match (column, field) {
                (Some(column), Some(field)) => values::array(column, *kind, self.free_rows)
                    .map_err(|Damaged(reason)| segment.damaged_block(field, number, reason))?,
                _ => values::nulls(*kind, self.free_rows),
            });
        }
        Ok(arrays)
    }

    /// What leaves the scan of this group, now that the fate of all its rows is settled.
    pub(super) async fn finish(mut self, context: &Context<'_, D>) -> Result<Option<ScanItem>> {
        if self.free.is_empty() || self.is_pruned(&context.request.prune) {
            return Ok(None);
        }
        match context.mode {
            ScanMode::Rows => {}
            ScanMode::Summaries(rule) => {
                if let Some(summary) = self.summary(context, rule) {
                    return Ok(Some(ScanItem::Summary(summary)));
                }
            }
            ScanMode::FirstRow => self.keep_one(context, |run| run.start),
            ScanMode::LastRow => self.keep_one(context, |run| run.start + run.len - 1),
        }
        let ranges = self.free_ranges();
        let columns = self.take_columns(context, &ranges).await?;
        let time = match self.times_of_single_rows() {
            Some(times) => times.into(),
            None => {
                self.load_times().await?;
                let times = self.times.unwrap_or_default();
                match ranges.as_slice() {
                    [range] => times.slice(range.start, range.len()),
                    _ => values::kept(&times, &ranges).into(),
                }
            }
        };
        let mut start = 0;
        let mut runs: Vec<Run> = Vec::with_capacity(self.free.len());
        for free in &self.free {
            match runs.last_mut() {
                Some(last) if last.series == free.series => last.len += free.len,
                _ => runs.push(Run { start, ..*free }),
            }
            start += free.len;
        }
        Ok(Some(ScanItem::Rows(ScanChunk { runs, time, columns })))
    }

    /// Times of the free rows, where each is alone and the index has its time: the last rows of series.
    fn times_of_single_rows(&self) -> Option<Vec<i64>> {
        if self.times.is_some() {
            return None;
        }
        let mut runs = self.runs.iter();
        let mut run = runs.next()?;
        let time_of = |free: &Run| {
            while run.start + run.len <= free.start {
                run = runs.next()?;
            }
            let row = free.start.checked_sub(run.start)?;
            let known = free.len == 1 && (run.regular || row == 0 || row + 1 == run.len);
            known.then(|| run.time_at(row))
        };
        self.free.iter().map(time_of).collect()
    }

    /// The free rows as few stretches.
    fn free_ranges(&self) -> Vec<Range<usize>> {
        let mut ranges: Vec<Range<usize>> = Vec::new();
        for run in &self.free {
            let (start, end) = (run.start as usize, (run.start + run.len) as usize);
            match ranges.last_mut() {
                Some(last) if last.end == start => last.end = end,
                _ => ranges.push(start..end),
            }
        }
        ranges
    }

    /// Leaves one row of each run, where every column has a value in every row or in none.
    fn keep_one(&mut self, context: &Context<'_, D>, row: impl Fn(&Run) -> u32) {
        if self.fullness(context) != Fullness::Gaps {
            for run in &mut self.free {
                *run = Run { start: row(run), len: 1, ..*run };
            }
            self.free_rows = self.free.len();
        }
    }

    /// Whether the rows of the group have values in the columns that are asked for.
    pub(super) fn fullness(&self, context: &Context<'_, D>) -> Fullness {
        *self.fullness.get_or_init(|| match &self.origin {
            Origin::Segment { segment, number } => fullness_of(context, segment, *number),
            Origin::Memory { columns } => {
                let nulls = |position: usize| columns.get(position).map_or(self.rows, Array::null_count);
                fullness((0..context.request.columns.len()).map(nulls), self.rows)
            }
        })
    }

    /// Gives `row`, at `time`, to `merge` by the statistics of its group, where it is the group's first or last and
    /// they say all that is asked for; false where the row has to be read.
    pub(super) fn stage_end(&self, context: &Context<'_, D>, row: usize, time: i64, merge: &mut Merge) -> bool {
        let Origin::Segment { segment, number } = &self.origin else { return false };
        let columns = &context.request.columns;
        let word = |(id, kind): &(ColumnId, FieldType)| {
            let (nulls, statistics) = segment.statistics(segment.field(*id)?, *number);
            if nulls > 0 {
                return None;
            }
            let (first, last) = match (statistics, kind) {
                (Statistics::Int(s), FieldType::Int) => (s.first as u64, s.last as u64),
                (Statistics::UInt(s), FieldType::UInt) => (s.first, s.last),
                (Statistics::Float(s), FieldType::Float) => (s.first.to_bits(), s.last.to_bits()),
                _ => return None,
            };
            match row {
                0 => Some(first),
                row if row + 1 == self.rows => Some(last),
                _ => None,
            }
        };
        if !columns.iter().all(|column| word(column).is_some()) {
            return false;
        }
        let staged = merge.add(&[time], columns.len());
        for (staged, word) in staged.iter_mut().zip(columns.iter().filter_map(word)) {
            staged.append_word(word);
        }
        true
    }

    /// Whether statistics show that none of the free rows is of use. The rows that other sources also have were merged
    /// elsewhere, so leaving these out hides nothing.
    fn is_pruned(&self, prune: &[PruneRange]) -> bool {
        let Origin::Segment { segment, number } = &self.origin else { return false };
        prune.iter().any(|wanted| {
            let Some(field) = segment.field(wanted.column) else { return true };
            let (nulls, statistics) = segment.statistics(field, *number);
            nulls as usize == self.rows
                || statistics.range().is_some_and(|(min, max)| max < wanted.min || min > wanted.max)
        })
    }

    fn summary(&self, context: &Context<'_, D>, rule: &SummaryRule) -> Option<GroupSummary> {
        let Origin::Segment { segment, number } = &self.origin else { return None };
        (self.free_rows == self.rows).then(|| summary(segment, *number, context, rule)).flatten()
    }
}

/// Whether the rows of a group of a segment have values in the columns that are asked for.
fn fullness_of<D: Disk>(context: &Context<'_, D>, segment: &Segment<D>, number: usize) -> Fullness {
    let rows = segment.group(number).rows;
    let nulls = |(id, _): &(ColumnId, FieldType)| {
        segment.field(*id).map_or(rows, |field| segment.statistics(field, number).0 as usize)
    };
    fullness(context.request.columns.iter().map(nulls), rows)
}

/// Of `rows` rows with `nulls` nulls in each column.
fn fullness(nulls: impl Iterator<Item = usize>, rows: usize) -> Fullness {
    let mut fullness = Fullness::Full;
    for nulls in nulls {
        match nulls {
            0 => {}
            nulls if nulls == rows => fullness = Fullness::Columns,
            _ => return Fullness::Gaps,
        }
    }
    fullness
}

/// Whether group `number` may hold an end of a series that `ends` does not know; `ends` learns those it does hold. With
/// `read_index` the index is read where the footer does not say enough.
pub(super) async fn keeps_end<D: Disk>(
    context: &Context<'_, D>,
    segment: &Segment<D>,
    number: usize,
    deletes: &Deletes,
    ends: &mut Ends,
    read_index: bool,
) -> Result<bool> {
    let info = segment.group(number);
    if ends.are_past(info.series_min..=info.series_max, info.time_min, info.time_max) {
        return Ok(false);
    }
    let (times, series) = ((info.time_min, info.time_max), (info.series_min, info.series_max));
    if fullness_of(context, segment, number) != Fullness::Full || deletes.overlaps(times, series) {
        return Ok(true);
    }
    let (time_min, time_max) = (context.request.time_min, context.request.time_max);
    let asked = |time: i64| (time_min..=time_max).contains(&time);
    if info.series_min == info.series_max {
        let time = ends.outer(info.time_min, info.time_max);
        if asked(time) {
            ends.learn(info.series_min, time);
        }
        return Ok(true);
    }
    if !read_index {
        return Ok(true);
    }
    let mut keeps = false;
    for run in segment.index(number).await? {
        if !context.wants_series(run.series) || ends.are_past(run.series.0..=run.series.0, run.time_min, run.time_max) {
            continue;
        }
        keeps = true;
        let time = ends.outer(run.time_min, run.time_max);
        if asked(time) {
            ends.learn(run.series.0, time);
        }
    }
    context.disk.yield_if_needed().await;
    Ok(keeps)
}

/// The summary of a group all of whose rows are asked for, if the rule has a use for it.
pub(super) fn summary<D: Disk>(
    segment: &Segment<D>,
    number: usize,
    context: &Context<'_, D>,
    rule: &SummaryRule,
) -> Option<GroupSummary> {
    let info = segment.group(number);
    let series = (info.series_min == info.series_max).then_some(SeriesId(info.series_min));
    let one_bucket = |bucket: &super::TimeBuckets| bucket.number(info.time_min) == bucket.number(info.time_max);
    if !context.request.prune.is_empty() || rule.one_series && series.is_none() || !rule.bucket.iter().all(one_bucket) {
        return None;
    }
    let mut columns = Vec::with_capacity(context.request.columns.len());
    for (position, (id, _)) in context.request.columns.iter().enumerate() {
        let (nulls, statistics) = match segment.field(*id) {
            Some(field) => segment.statistics(field, number),
            None => (info.rows as u32, Statistics::None),
        };
        let count = info.rows as u64 - u64::from(nulls);
        let needed = rule.values.get(position).copied().unwrap_or(true);
        if needed && count > 0 && statistics == Statistics::None {
            return None;
        }
        columns.push(ColumnSummary { count, statistics });
    }
    Some(GroupSummary { series, rows: info.rows as u64, time_min: info.time_min, time_max: info.time_max, columns })
}
