//! The order of a merge: which row comes from where, a band of rows at a time.
//!
//! Every source stands at a row. The least (series, time) that any stands at is next. If one source has it, all its
//! rows up to where the next source stands follow at once: a stretch of one group. If several have it, the newest
//! source's row is taken, and the others stand in for the fields that it lacks. Held are one group's runs and times of
//! each source, and the band.

use std::rc::Rc;

use super::Input;
use crate::disk::Disk;
use crate::error::Result;
use crate::run::Run;
use crate::schema::SeriesId;
use crate::segment::Segment;
use crate::segment::index::IndexRun;
use crate::tombstone::Deletes;
use crate::work;

/// Rows or stretches that are planned between two yields.
const STEPS_AT_ONCE: usize = 1 << 12;

/// A place in the sources.
#[derive(Debug, Clone, Copy)]
pub(super) struct Place {
    pub(super) source: u32,
    pub(super) group: u32,
    pub(super) row: u32,
}

/// Consecutive rows of one group that are consecutive in the band.
#[derive(Debug, Clone, Copy)]
pub(super) struct Span {
    /// First row in the band.
    pub(super) at: u32,
    pub(super) len: u32,
    /// Where its first row lies.
    pub(super) from: Place,
}

/// A row of the band that older sources have too.
#[derive(Debug, Clone, Copy)]
pub(super) struct Clash {
    pub(super) at: u32,
    /// Range of [`Plan::older`].
    pub(super) older: (u32, u32),
}

/// A band of rows in order.
#[derive(Debug, Default)]
pub(super) struct Plan {
    pub(super) runs: Vec<Run>,
    pub(super) time: Vec<i64>,
    /// Covering all rows, in order.
    pub(super) spans: Vec<Span>,
    /// Ascending.
    pub(super) clashes: Vec<Clash>,
    /// The older rows of all clashes, of each the newest first.
    pub(super) older: Vec<Place>,
}

impl Plan {
    fn clear(&mut self) {
        self.runs.clear();
        self.time.clear();
        self.spans.clear();
        self.clashes.clear();
        self.older.clear();
    }

    /// Appends rows of one series that follow each other in a group.
    fn push(&mut self, series: SeriesId, from: Place, times: &[i64]) {
        let (at, len) = (self.time.len() as u32, times.len() as u32);
        self.time.extend_from_slice(times);
        match self.runs.last_mut().filter(|run| run.series == series) {
            Some(run) => run.len += len,
            None => self.runs.push(Run { series, start: at, len }),
        }
        let follows = |span: &&mut Span| {
            let end = Place { row: span.from.row + span.len, ..span.from };
            (end.source, end.group, end.row) == (from.source, from.group, from.row)
        };
        match self.spans.last_mut().filter(follows) {
            Some(span) => span.len += len,
            None => self.spans.push(Span { at, len, from }),
        }
    }
}

/// A segment being merged.
struct Source<D: Disk> {
    segment: Rc<Segment<D>>,
    deletes: Deletes,
    next_group: usize,
    open: Option<Open>,
}

/// The group that a source stands in.
struct Open {
    number: u32,
    /// What is left of its runs after deletes.
    runs: Vec<IndexRun>,
    times: Vec<i64>,
    run: usize,
    /// Row in the group, within the run.
    row: u32,
}

impl<D: Disk> Source<D> {
    /// Opens the next group that has rows, if none is open.
    async fn fill(&mut self) -> Result<()> {
        while self.open.is_none() && self.next_group < self.segment.groups() {
            let number = self.next_group;
            self.next_group += 1;
            let info = self.segment.group(number);
            if self.deletes.cover_all_series((info.time_min, info.time_max)) {
                continue;
            }
            let mut runs = self.segment.index(number).await?;
            let times = self.segment.times(number, &runs).await?;
            self.deletes.remove_from(&mut runs, Some(&times));
            if let Some(first) = runs.first() {
                let row = first.start;
                self.open = Some(Open { number: number as u32, runs, times, run: 0, row });
            }
        }
        Ok(())
    }

    /// The row it stands at.
    fn head(&self) -> Option<(SeriesId, i64)> {
        let open = self.open.as_ref()?;
        Some((open.runs.get(open.run)?.series, *open.times.get(open.row as usize)?))
    }

    /// Times of the rows from the head to the end of its run.
    fn ahead(&self) -> &[i64] {
        let Some(open) = &self.open else { return &[] };
        let end = open.runs.get(open.run).map_or(0, |run| run.start + run.len);
        open.times.get(open.row as usize..end as usize).unwrap_or(&[])
    }

    /// Passes `rows` rows of the run.
    fn pass(&mut self, rows: u32) {
        let Some(open) = &mut self.open else { return };
        open.row += rows;
        if open.runs.get(open.run).is_some_and(|run| open.row < run.start + run.len) {
            return;
        }
        open.run += 1;
        match open.runs.get(open.run) {
            Some(run) => open.row = run.start,
            None => self.open = None,
        }
    }

    fn place(&self, source: usize) -> Place {
        let (group, row) = self.open.as_ref().map_or((0, 0), |open| (open.number, open.row));
        Place { source: source as u32, group, row }
    }
}

/// Makes plans until all sources are at their ends.
pub(super) struct Planner<D: Disk> {
    disk: D,
    /// Oldest first.
    sources: Vec<Source<D>>,
}

impl<D: Disk> Planner<D> {
    pub(super) fn new(disk: &D, inputs: &[Input<D>]) -> Self {
        let sources = inputs.iter().map(|input| Source {
            segment: input.segment.clone(),
            deletes: input.deletes.clone(),
            next_group: 0,
            open: None,
        });
        Self { disk: disk.clone(), sources: sources.collect() }
    }

    /// The series of the next row, if there is one.
    pub(super) async fn next_series(&mut self) -> Result<Option<SeriesId>> {
        for source in &mut self.sources {
            source.fill().await?;
        }
        Ok(self.sources.iter().filter_map(Source::head).min().map(|(series, _)| series))
    }

    /// Puts the next rows into `plan`, at most `rows_max`, and of `only` if one is given. There are none at the end.
    pub(super) async fn next_band(&mut self, plan: &mut Plan, rows_max: usize, only: Option<SeriesId>) -> Result<()> {
        plan.clear();
        let mut steps: usize = 0;
        while plan.time.len() < rows_max {
            steps += 1;
            if steps.is_multiple_of(STEPS_AT_ONCE) {
                work::charge_each(STEPS_AT_ONCE * self.sources.len(), work::LOOK);
                self.disk.yield_if_needed().await;
            }
            for source in &mut self.sources {
                if source.open.is_none() {
                    source.fill().await?;
                    self.disk.yield_if_needed().await;
                }
            }
            // The least row, the newest source that has it, whether others do, and the least row beyond.
            let (mut least, mut newest, mut clash, mut beyond) = (None, 0, false, None);
            for (number, source) in self.sources.iter().enumerate() {
                let Some(head) = source.head() else { continue };
                match least {
                    Some(known) if head == known => (newest, clash) = (number, true),
                    Some(known) if head > known => beyond = beyond.map_or(Some(head), |least| Some(head.min(least))),
                    known => (least, newest, clash, beyond) = (Some(head), number, false, known.or(beyond)),
                }
            }
            let Some((series, time)) = least else { break };
            if only.is_some_and(|only| only != series) {
                break;
            }
            if clash {
                self.push_clash(plan, (series, time), newest);
                continue;
            }
            let source = &mut self.sources[newest];
            let ahead = source.ahead();
            let rows = match beyond {
                Some((other, until)) if other == series => ahead.partition_point(|time| *time < until),
                _ => ahead.len(),
            };
            let rows = rows.min(rows_max - plan.time.len());
            plan.push(series, source.place(newest), &ahead[..rows]);
            source.pass(rows as u32);
        }
        Ok(())
    }

    fn push_clash(&mut self, plan: &mut Plan, head: (SeriesId, i64), newest: usize) {
        let older = plan.older.len() as u32;
        for (number, source) in self.sources.iter_mut().enumerate().rev() {
            if source.head() != Some(head) {
                continue;
            }
            let place = source.place(number);
            if number == newest {
                plan.push(head.0, place, &[head.1]);
            } else {
                plan.older.push(place);
            }
            source.pass(1);
        }
        let at = plan.time.len() as u32 - 1;
        plan.clashes.push(Clash { at, older: (older, plan.older.len() as u32) });
    }
}
