//! The sources of one partition, walked side by side.
//!
//! 1. Each source offers its groups in order of series; groups outside of the request's series and times are passed
//!    over by the footer alone.
//! 2. With one source, every group is finished as soon as its index is read (unless only one end of each series is
//!    asked for).
//! 3. With several, the least series that any source stands at is taken from all of them at once: its runs, cut to
//!    the request's times, are laid against each other ([`zones`](super::zones)). Rows outside of zones are released
//!    to leave with their group, rows inside are merged.
//!    Where one end of each series is all that is wanted, groups that cannot hold it were left out before.
//! 4. A group is finished when the walk has passed its last run. Held at one time are the open group of each source,
//!    those that one long series spans, and rows waiting in [`Merge`].

use std::collections::VecDeque;
use std::ops::Range;
use std::rc::Rc;

use arrow_array::Array;

use super::ends::Ends;
use super::group::{self, Fullness, Group};
use super::memory::MemoryRows;
use super::merge::Merge;
use super::mode::{ScanItem, ScanMode};
use super::zones::{Stretch, zones};
use super::{Context, PartitionSources, ScanChunk, ScanRequest, SegmentSource};
use crate::disk::Disk;
use crate::error::Result;
use crate::schema::SeriesId;
use crate::segment::Segment;
use crate::segment::index::IndexRun;
use crate::tombstone::Deletes;

/// A partition being scanned.
pub(super) struct Partition<D: Disk> {
    /// Oldest first.
    sources: Vec<Source<D>>,
    merge: Merge,
    ready: VecDeque<Group<D>>,
    pieces: Vec<Piece>,
    stretches: Vec<Stretch>,
    zones: Vec<Stretch>,
}

/// Rows of the series in hand in one group.
#[derive(Debug, Clone)]
struct Piece {
    source: usize,
    /// Position among the source's open groups.
    group: usize,
    run: IndexRun,
    rows: Range<usize>,
    time: Stretch,
}

impl<D: Disk> Partition<D> {
    /// Walks `sources`, but for segments that `ends` shows to be of no use.
    pub(super) fn new(sources: PartitionSources<D>, request: &ScanRequest, ends: Option<&Ends>) -> Self {
        let of_use = |source: &SegmentSource<D>| {
            let meta = source.segment.meta();
            !ends.is_some_and(|ends| ends.are_past(meta.series_min..=meta.series_max, meta.time_min, meta.time_max))
        };
        let segments = sources.segments.into_iter().filter(of_use).map(|source| Source::of_segment(source, request));
        let memory = sources.memory.into_iter().map(Source::of_memory);
        Self {
            sources: segments.chain(memory).filter(|source| !source.is_empty()).collect(),
            merge: Merge::default(),
            ready: VecDeque::new(),
            pieces: Vec::new(),
            stretches: Vec::new(),
            zones: Vec::new(),
        }
    }

    pub(super) async fn next(&mut self, context: &Context<'_, D>) -> Result<Option<ScanItem>> {
        loop {
            if let Some(group) = self.ready.pop_front() {
                context.disk.yield_if_needed().await;
                if let Some(item) = group.finish(context).await? {
                    return Ok(Some(item));
                }
                continue;
            }
            if self.merge.is_full()
                && let Some(chunk) = self.take_merged(context)?
            {
                return Ok(Some(ScanItem::Rows(chunk)));
            }
            let more = match self.sources.as_mut_slice() {
                [] => false,
                [only] if !matches!(context.mode, ScanMode::FirstRow | ScanMode::LastRow) => {
                    match only.next_alone(context).await? {
                        Alone::Summary(item) => return Ok(Some(item)),
                        Alone::Group(group) => {
                            self.ready.push_back(group);
                            true
                        }
                        Alone::End => false,
                    }
                }
                _ => self.next_series(context).await?,
            };
            if !more {
                return Ok(self.take_merged(context)?.map(ScanItem::Rows));
            }
        }
    }

    /// Leaves the groups that may hold an end of a series, and learns those ends. `more` says that other partitions
    /// follow.
    pub(super) async fn keep_ends(&mut self, context: &Context<'_, D>, ends: &mut Ends, more: bool) -> Result<()> {
        let mut order: Vec<(i64, usize)> = Vec::with_capacity(self.sources.len());
        for (number, source) in self.sources.iter().enumerate() {
            let (time_min, time_max) = source.time_bounds();
            order.push((ends.key(ends.outer(time_min, time_max)), number));
        }
        order.sort_unstable_by(|a, b| b.cmp(a));
        let before = ends.bytes();
        for (visited, (_, number)) in order.iter().enumerate() {
            let more = more || visited + 1 < order.len();
            self.sources[*number].keep_ends(context, ends, more).await?;
            context.charge(ends.bytes() - before)?;
        }
        self.sources.retain(|source| !source.is_empty());
        Ok(())
    }

    /// Puts the rows of a series in order that several sources have.
    async fn close_series(&mut self, context: &Context<'_, D>, series: SeriesId) {
        let is_long = self.merge.is_long();
        let mut closing = self.merge.close(series);
        while !self.merge.close_some(&mut closing) {
            if is_long {
                context.disk.yield_if_needed().await;
            }
        }
    }

    fn take_merged(&mut self, context: &Context<'_, D>) -> Result<Option<ScanChunk>> {
        self.merge.take(context.request.columns.iter().map(|(_, kind)| *kind))
    }

    /// Settles the rows of the least series that a source stands at; false at the end.
    async fn next_series(&mut self, context: &Context<'_, D>) -> Result<bool> {
        let mut least: Option<SeriesId> = None;
        for source in &mut self.sources {
            if let Some(series) = source.series(context).await? {
                least = Some(least.map_or(series, |least| least.min(series)));
            }
        }
        let Some(series) = least else { return Ok(false) };
        self.pieces.clear();
        for number in 0..self.sources.len() {
            self.sources[number].pieces_of(context, series, number, &mut self.pieces).await?;
        }
        self.zones.clear();
        let several = self.pieces.first().map(|piece| piece.source) != self.pieces.last().map(|piece| piece.source);
        if several {
            self.stretches.clear();
            self.stretches.extend(self.pieces.iter().map(|piece| piece.time));
            zones(&mut self.stretches, &mut self.zones);
        }
        if let Some(number) = self.end_that_suffices(context) {
            let piece = self.pieces.swap_remove(number);
            self.pieces.clear();
            self.zones.clear();
            let (row, time) = match context.mode {
                ScanMode::LastRow => (piece.rows.end - 1, piece.time.time_max),
                _ => (piece.rows.start, piece.time.time_min),
            };
            let group = &mut self.sources[piece.source].open[piece.group];
            if group.stage_end(context, row, time, &mut self.merge) {
                self.close_series(context, series).await;
            } else {
                group.release(series, row..row + 1);
            }
        }
        for piece in &self.pieces {
            let group = &mut self.sources[piece.source].open[piece.group];
            let mut at = piece.rows.start;
            let overlaps =
                |zone: &&Stretch| zone.time_min <= piece.time.time_max && piece.time.time_min <= zone.time_max;
            for zone in self.zones.iter().filter(overlaps) {
                let rows = group.rows_between(&piece.run, zone.time_min, zone.time_max).await?;
                let rows = rows.start.max(piece.rows.start)..rows.end.min(piece.rows.end);
                if rows.is_empty() {
                    continue;
                }
                group.release(series, at..rows.start);
                at = rows.end;
                group.stage(context, rows, &mut self.merge).await?;
            }
            group.release(series, at..piece.rows.end);
            context.disk.yield_if_needed().await;
        }
        if !self.zones.is_empty() {
            self.close_series(context, series).await;
        }
        let mut held = self.merge.bytes();
        for source in &mut self.sources {
            source.pass(series, &mut self.ready);
            held += source.open.iter().map(Group::bytes).sum::<u64>();
        }
        held += self.ready.iter().map(Group::bytes).sum::<u64>();
        context.charge(held)?;
        Ok(true)
    }
}

impl<D: Disk> Partition<D> {
    /// The piece whose first or last row is all that the mode asks for: the outermost in time, with a value in every
    /// column, and no other source has rows around it.
    fn end_that_suffices(&self, context: &Context<'_, D>) -> Option<usize> {
        let pieces = self.pieces.iter().enumerate();
        let (number, time) = match context.mode {
            ScanMode::LastRow => pieces.max_by_key(|(_, piece)| piece.time.time_max).map(|(n, p)| (n, p.time.time_max)),
            ScanMode::FirstRow => {
                pieces.min_by_key(|(_, piece)| piece.time.time_min).map(|(n, p)| (n, p.time.time_min))
            }
            ScanMode::Rows | ScanMode::Summaries(_) => None,
        }?;
        let piece = &self.pieces[number];
        let mixed = self.zones.iter().any(|zone| (zone.time_min..=zone.time_max).contains(&time));
        let group = &self.sources[piece.source].open[piece.group];
        (!mixed && group.fullness(context) == Fullness::Full).then_some(number)
    }
}

/// What a search among the groups of a segment costs, in looks at a group.
const SEARCH_STEPS: u64 = 16;

/// One segment, or sorted rows of a memtable.
struct Source<D: Disk> {
    origin: Origin<D>,
    /// Groups read and not finished; the walk stands in the first.
    open: VecDeque<Group<D>>,
    /// Next run of the first open group.
    run: usize,
}

enum Origin<D: Disk> {
    Segment { segment: Rc<Segment<D>>, deletes: Deletes, groups: VecDeque<usize> },
    Memory(MemoryRows),
}

/// What a source without others yields.
enum Alone<D: Disk> {
    Summary(ScanItem),
    Group(Group<D>),
    End,
}

impl<D: Disk> Source<D> {
    fn of_segment(source: SegmentSource<D>, request: &ScanRequest) -> Self {
        let SegmentSource { segment, deletes } = source;
        let wanted = |number: &usize| {
            let info = segment.group(*number);
            info.time_min <= request.time_max
                && request.time_min <= info.time_max
                && request
                    .series
                    .as_ref()
                    .is_none_or(|series| series.range_cardinality(info.series_min..=info.series_max) > 0)
        };
        let groups = match &request.series {
            // A search for each series is less work than a look at each group.
            Some(series) if series.len() * SEARCH_STEPS < segment.groups() as u64 => {
                let meta = segment.meta();
                let mut groups = VecDeque::new();
                let mut next = 0;
                for series in series.range(meta.series_min..=meta.series_max) {
                    next = segment.first_group_of(series).max(next);
                    while next < segment.groups() && segment.group(next).series_min <= series {
                        groups.extend(Some(next).filter(|number| wanted(number)));
                        next += 1;
                    }
                }
                groups
            }
            _ => (0..segment.groups()).filter(wanted).collect(),
        };
        Self { origin: Origin::Segment { segment, deletes, groups }, open: VecDeque::new(), run: 0 }
    }

    fn of_memory(rows: MemoryRows) -> Self {
        Self { origin: Origin::Memory(rows), open: VecDeque::new(), run: 0 }
    }

    fn is_empty(&self) -> bool {
        match &self.origin {
            Origin::Segment { groups, .. } => groups.is_empty(),
            Origin::Memory(rows) => rows.is_empty(),
        }
    }

    /// Times that all its rows lie between.
    fn time_bounds(&self) -> (i64, i64) {
        match &self.origin {
            Origin::Segment { segment, .. } => (segment.meta().time_min, segment.meta().time_max),
            Origin::Memory(rows) => rows.time_bounds(),
        }
    }

    /// Leaves the groups that may hold an end of a series that is not known yet, and learns from them. `more` says that
    /// other groups are to be judged by what is learnt here.
    async fn keep_ends(&mut self, context: &Context<'_, D>, ends: &mut Ends, more: bool) -> Result<()> {
        match &mut self.origin {
            Origin::Memory(rows) => {
                let mut from = 0;
                while let Some(next) = rows.keep_ends(ends, from, more)? {
                    from = next;
                    context.disk.yield_if_needed().await;
                }
                if more {
                    rows.for_each_gathered(&mut |chunk| learn_from_memory(context, chunk, ends));
                }
            }
            Origin::Segment { segment, deletes, groups } => {
                let mut kept = VecDeque::new();
                while let Some(number) = if ends.towards_first() { groups.pop_front() } else { groups.pop_back() } {
                    // Where no other group is judged, only footers are looked at.
                    let read_index = more || !groups.is_empty();
                    if group::keeps_end(context, segment, number, deletes, ends, read_index).await? {
                        if ends.towards_first() { kept.push_back(number) } else { kept.push_front(number) }
                    }
                }
                *groups = kept;
            }
        }
        Ok(())
    }

    /// The next group that has a run asked for, by series.
    async fn next_group(&mut self, context: &Context<'_, D>) -> Result<Option<Group<D>>> {
        loop {
            let group = match &mut self.origin {
                Origin::Segment { segment, deletes, groups } => {
                    let Some(number) = groups.pop_front() else { return Ok(None) };
                    Group::of_segment(context, Rc::clone(segment), number, deletes).await?
                }
                Origin::Memory(rows) => {
                    let next = loop {
                        match rows.next()? {
                            Some(next) => break next,
                            None => context.disk.yield_if_needed().await,
                        }
                    };
                    let Some(chunk) = next else { return Ok(None) };
                    Group::of_memory(context, chunk)
                }
            };
            if !group.runs.is_empty() {
                return Ok(Some(group));
            }
        }
    }

    /// The next group or its summary, with all rows that are asked for released.
    async fn next_alone(&mut self, context: &Context<'_, D>) -> Result<Alone<D>> {
        if let (ScanMode::Summaries(rule), Origin::Segment { segment, deletes, groups }) =
            (context.mode, &mut self.origin)
            && let Some(number) = groups.front().copied()
        {
            let info = segment.group(number);
            let request = context.request;
            let one_wanted = || info.series_min == info.series_max && context.wants_series(SeriesId(info.series_min));
            let whole = request.time_min <= info.time_min
                && info.time_max <= request.time_max
                && (request.series.is_none() || one_wanted())
                && !deletes.overlaps((info.time_min, info.time_max), (info.series_min, info.series_max));
            if whole && let Some(summary) = group::summary(segment, number, context, rule) {
                groups.pop_front();
                context.disk.yield_if_needed().await;
                return Ok(Alone::Summary(ScanItem::Summary(summary)));
            }
        }
        let Some(mut group) = self.next_group(context).await? else { return Ok(Alone::End) };
        for number in 0..group.runs.len() {
            let run = group.runs[number];
            let rows = group.rows_between(&run, context.request.time_min, context.request.time_max).await?;
            group.release(run.series, rows);
        }
        Ok(Alone::Group(group))
    }

    /// The series that the walk stands at, if the source has more rows.
    async fn series(&mut self, context: &Context<'_, D>) -> Result<Option<SeriesId>> {
        if self.open.is_empty()
            && let Some(group) = self.next_group(context).await?
        {
            self.open.push_back(group);
            self.run = 0;
        }
        Ok(self.open.front().and_then(|group| group.runs.get(self.run)).map(|run| run.series))
    }

    /// Adds the pieces of `series` that lie in the request's times, in order of time.
    async fn pieces_of(
        &mut self,
        context: &Context<'_, D>,
        series: SeriesId,
        source: usize,
        out: &mut Vec<Piece>,
    ) -> Result<()> {
        let (mut number, mut at) = (0, self.run);
        while let Some(group) = self.open.get_mut(number) {
            let Some(run) = group.runs.get(at).copied().filter(|run| run.series == series) else { break };
            let (time_min, time_max) = context.times_of(series);
            let rows = group.rows_between(&run, time_min, time_max).await?;
            if !rows.is_empty() {
                let time =
                    Stretch { time_min: group.time_at(&run, rows.start), time_max: group.time_at(&run, rows.end - 1) };
                out.push(Piece { source, group: number, run, rows, time });
            }
            at += 1;
            if at < group.runs.len() {
                // Only where a delete has cut it in two has a group another run of the series.
                continue;
            }
            // The series may go on in the next group.
            number += 1;
            at = 0;
            if number == self.open.len()
                && let Some(next) = self.next_group(context).await?
            {
                self.open.push_back(next);
            }
        }
        Ok(())
    }

    /// Moves past `series`; groups left behind are finished.
    fn pass(&mut self, series: SeriesId, finished: &mut VecDeque<Group<D>>) {
        while let Some(group) = self.open.front() {
            match group.runs.get(self.run) {
                Some(run) if run.series <= series => self.run += 1,
                Some(_) => break,
                None => {
                    finished.extend(self.open.pop_front());
                    self.run = 0;
                }
            }
        }
    }
}

/// Learns the ends of the runs of a chunk that have a value in every column.
fn learn_from_memory<D: Disk>(context: &Context<'_, D>, chunk: &ScanChunk, ends: &mut Ends) {
    let (time_min, time_max) = (context.request.time_min, context.request.time_max);
    for run in chunk.runs.iter().filter(|run| context.wants_series(run.series)) {
        let row = if ends.towards_first() { run.start } else { run.start + run.len - 1 } as usize;
        let time = chunk.time[row];
        if (time_min..=time_max).contains(&time) && chunk.columns.iter().all(|column| column.is_valid(row)) {
            ends.learn(run.series.0, time);
        }
    }
}
