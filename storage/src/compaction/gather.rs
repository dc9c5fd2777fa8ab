//! The values of a planned band, fetched column by column as the segment writer asks for them.
//!
//! Rows of a band ascend in every source, so that each source needs one decoded block at a time and each block is
//! decoded once a band.

use std::cell::Cell;
use std::ops::Range;
use std::rc::Rc;

use super::budget::Pace;
use super::plan::{Place, Plan, Span};
use crate::batch::{Strings, Values};
use crate::cache::Cache;
use crate::codec::bitmap;
use crate::codec::column::{Column, Nullable, is_valid};
use crate::disk::Disk;
use crate::error::Result;
use crate::run::Run;
use crate::schema::{ColumnId, FieldType};
use crate::segment::layout::{self, Cuts};
use crate::segment::{Band, BandGroup, GROUP_ROWS_MAX, Gathered, Segment, TextSize};
use crate::work;

/// Spans that are looked at between two yields.
const SPANS_AT_ONCE: usize = 1 << 14;

/// A whole group of a source is taken over undecoded from this size on; smaller ones are worth joining.
const COPIED_ROWS_MIN: usize = GROUP_ROWS_MAX / 2;

/// A planned band and where its values are.
pub(super) struct Gather<'a, D: Disk> {
    pub(super) disk: &'a D,
    pub(super) plan: &'a Plan,
    pub(super) segments: &'a [Rc<Segment<D>>],
    pub(super) columns: &'a [(ColumnId, FieldType)],
    /// Those with strings that may be long.
    pub(super) long: &'a [usize],
    pub(super) reads: &'a Reads<'a>,
    /// Whether groups may be taken over as they are.
    pub(super) copies: bool,
    /// The block of each source that was used last.
    pub(super) blocks: Vec<Option<Loaded>>,
}

/// Tells the pace what was read.
pub(super) struct Reads<'a> {
    /// Through which all inputs are read.
    pub(super) cache: Rc<Cache>,
    pub(super) pace: &'a Pace,
    /// Bytes reported so far.
    pub(super) reported: Cell<u64>,
}

impl Reads<'_> {
    pub(super) async fn settle(&self) -> Result<()> {
        let read = self.cache.stats().read_bytes;
        self.pace.read(read - self.reported.replace(read)).await
    }
}

/// A decoded block.
pub(super) struct Loaded {
    column: usize,
    group: u32,
    /// `None` where the segment lacks the column.
    values: Option<Nullable>,
}

impl<D: Disk> Gather<'_, D> {
    /// Makes the block of a place the current one of its source.
    async fn load(&mut self, column: usize, place: Place) -> Result<()> {
        let slot = &self.blocks[place.source as usize];
        if slot.as_ref().is_some_and(|loaded| (loaded.column, loaded.group) == (column, place.group)) {
            return Ok(());
        }
        let segment = &self.segments[place.source as usize];
        let (id, kind) = self.columns[column];
        let group = place.group as usize;
        let values = match segment.field(id) {
            Some(field) => Some(segment.values(field, group, 0..segment.group(group).rows, kind).await?),
            None => None,
        };
        self.blocks[place.source as usize] = Some(Loaded { column, group: place.group, values });
        self.reads.settle().await?;
        // A block of long strings took some milliseconds.
        self.disk.yield_if_needed().await;
        Ok(())
    }

    fn values(&self, place: Place) -> Option<&Nullable> {
        self.blocks[place.source as usize].as_ref()?.values.as_ref()
    }

    async fn append(&mut self, column: usize, from: Place, rows: u32, sink: &mut Sink<'_>) -> Result<()> {
        self.load(column, from).await?;
        sink.append(self.values(from), from.row as usize..(from.row + rows) as usize);
        Ok(())
    }

    /// Appends a row that several sources have: the value of the newest that has one.
    async fn append_clash(
        &mut self,
        column: usize,
        newest: Place,
        older: (u32, u32),
        sink: &mut Sink<'_>,
    ) -> Result<()> {
        let plan = self.plan;
        let older = &plan.older[older.0 as usize..older.1 as usize];
        for place in std::iter::once(&newest).chain(older) {
            self.load(column, *place).await?;
            let row = place.row as usize;
            let present = self.values(*place).is_some_and(|(values, validity)| {
                !matches!(values, Column::Nothing) && validity.as_ref().is_none_or(|bits| is_valid(bits, row))
            });
            if present {
                sink.append(self.values(*place), row..row + 1);
                return Ok(());
            }
        }
        sink.append(None, 0..1);
        Ok(())
    }
}

impl<D: Disk> Band<D> for Gather<'_, D> {
    fn runs(&self) -> &[Run] {
        &self.plan.runs
    }

    fn time(&self) -> &[i64] {
        &self.plan.time
    }

    async fn groups(&self, disk: &D) -> Vec<BandGroup<D>> {
        let mut groups = Vec::new();
        let mut start = 0;
        for (number, span) in self.plan.spans.iter().enumerate() {
            let rows = span.at as usize..(span.at + span.len) as usize;
            if self.is_copied(span, &rows) {
                self.new_groups(start..rows.start, disk, &mut groups).await;
                start = rows.end;
                let segment = self.segments[span.from.source as usize].clone();
                groups.push(BandGroup { rows, copied: Some((segment, span.from.group as usize)) });
            }
            if number.is_multiple_of(SPANS_AT_ONCE) {
                work::charge_each(SPANS_AT_ONCE, work::LOOK);
                disk.yield_if_needed().await;
            }
        }
        self.new_groups(start..self.plan.time.len(), disk, &mut groups).await;
        groups
    }

    async fn gather(&mut self, column: usize, rows: Range<usize>, out: &mut Gathered) -> Result<()> {
        let plan = self.plan;
        let mut sink = Sink::new(out, self.columns[column].1, rows.len());
        let (mut at, end) = (rows.start as u32, rows.end as u32);
        let mut span = plan.spans.partition_point(|span| span.at + span.len <= at);
        let mut clash = plan.clashes.partition_point(|clash| clash.at < at);
        while at < end {
            let current = plan.spans[span];
            let span_end = current.at + current.len;
            let place = |at: u32| Place { row: current.from.row + (at - current.at), ..current.from };
            let next_clash = plan.clashes.get(clash).filter(|clash| clash.at < span_end.min(end));
            let plain_end = next_clash.map_or(span_end.min(end), |clash| clash.at);
            if plain_end > at {
                self.append(column, place(at), plain_end - at, &mut sink).await?;
                at = plain_end;
            }
            if let Some(found) = next_clash {
                self.append_clash(column, place(at), found.older, &mut sink).await?;
                at += 1;
                clash += 1;
            }
            span += usize::from(at == span_end);
        }
        sink.finish();
        Ok(())
    }
}

impl<D: Disk> Gather<'_, D> {
    /// Whether a span is a whole group that is taken over as it is.
    fn is_copied(&self, span: &Span, rows: &Range<usize>) -> bool {
        let (segment, group) = (&self.segments[span.from.source as usize], span.from.group as usize);
        let is_whole = self.copies && span.from.row == 0 && rows.len() == segment.group(group).rows;
        let is_full = || {
            let bytes = self.long.iter().map(|column| self.text_size(*column, span.from).map_or(0, |size| size.bytes));
            rows.len() >= COPIED_ROWS_MIN || bytes.max().unwrap_or(0) >= layout::GROUP_TEXT_BYTES_MAX / 2
        };
        let clash = || self.plan.clashes.partition_point(|clash| (clash.at as usize) < rows.start);
        is_whole && is_full() && self.plan.clashes.get(clash()).is_none_or(|clash| clash.at as usize >= rows.end)
    }

    /// Cuts the rows `rows` into groups.
    async fn new_groups(&self, rows: Range<usize>, disk: &D, out: &mut Vec<BandGroup<D>>) {
        let mut cuts = Cuts::default();
        for group in cut_by_rows(&self.plan.runs, rows) {
            for column in self.long {
                cuts.begin_column(group.start);
                self.weigh(*column, &group, &mut cuts);
                disk.yield_if_needed().await;
            }
            out.extend(cuts.take(group).map(|rows| BandGroup { rows, copied: None }));
        }
    }

    /// Cuts rows by what their strings of a column take at most, as their sources say.
    fn weigh(&self, column: usize, rows: &Range<usize>, cuts: &mut Cuts) {
        let plan = self.plan;
        let first = plan.spans.partition_point(|span| ((span.at + span.len) as usize) <= rows.start);
        let mut clash = plan.clashes.partition_point(|clash| (clash.at as usize) < rows.start);
        for span in plan.spans[first..].iter().take_while(|span| (span.at as usize) < rows.end) {
            let (from, to) = ((span.at as usize).max(rows.start), ((span.at + span.len) as usize).min(rows.end));
            let mut size = self.text_size(column, span.from).unwrap_or(TextSize { bytes: 0, longest: 0 });
            work::charge(work::LOOK);
            // Where the newest lacks the field, an older one stands in.
            while let Some(found) = plan.clashes.get(clash).filter(|clash| (clash.at as usize) < to) {
                for older in &plan.older[found.older.0 as usize..found.older.1 as usize] {
                    let stand_in = self.text_size(column, *older).map_or(0, |size| size.longest);
                    size = TextSize { bytes: size.bytes + stand_in, longest: size.longest.max(stand_in) };
                }
                clash += 1;
            }
            cuts.push(to - from, size.bytes, size.longest);
        }
    }

    /// Of the block that a place is in; `None` where its segment lacks the column.
    fn text_size(&self, column: usize, place: Place) -> Option<TextSize> {
        let segment = &self.segments[place.source as usize];
        Some(segment.text_size(segment.field(self.columns[column].0)?, place.group as usize))
    }
}

/// The columns whose strings may take more than a group may have, if its rows have the longest.
pub(super) fn long_columns<D: Disk>(segments: &[Rc<Segment<D>>], columns: &[(ColumnId, FieldType)]) -> Vec<usize> {
    let longest = |id: ColumnId| {
        let of = |segment: &Rc<Segment<D>>| {
            let field = segment.field(id)?;
            (0..segment.groups()).map(|group| segment.text_size(field, group).longest).max()
        };
        segments.iter().filter_map(of).max().unwrap_or(0)
    };
    let is_long = |(_, (id, kind)): &(usize, &(ColumnId, FieldType))| {
        *kind == FieldType::String && longest(*id) * GROUP_ROWS_MAX as u64 > layout::GROUP_TEXT_BYTES_MAX
    };
    columns.iter().enumerate().filter(is_long).map(|(number, _)| number).collect()
}

/// Cuts the rows `rows`, which `runs` cover among others, into groups by their number.
fn cut_by_rows(runs: &[Run], rows: Range<usize>) -> Vec<Range<usize>> {
    if rows.is_empty() {
        return Vec::new();
    }
    let first = runs.partition_point(|run| ((run.start + run.len) as usize) <= rows.start);
    let within: Vec<Run> = runs[first..]
        .iter()
        .take_while(|run| (run.start as usize) < rows.end)
        .map(|run| {
            let start = (run.start as usize).max(rows.start);
            let end = ((run.start + run.len) as usize).min(rows.end);
            Run { series: run.series, start: (start - rows.start) as u32, len: (end - start) as u32 }
        })
        .collect();
    let shift = |range: Range<usize>| range.start + rows.start..range.end + rows.start;
    layout::groups(&within).into_iter().map(shift).collect()
}

/// Collects values of one type.
struct Sink<'a> {
    out: &'a mut Gathered,
    valid: Vec<u64>,
    rows: usize,
    has_nulls: bool,
}

impl<'a> Sink<'a> {
    fn new(out: &'a mut Gathered, kind: FieldType, rows: usize) -> Self {
        if out.values.kind() != kind {
            out.values = Values::new(kind);
        }
        match &mut out.values {
            Values::Int(values) => values.clear(),
            Values::UInt(values) => values.clear(),
            Values::Float(values) => values.clear(),
            Values::Bool(values) => values.clear(),
            Values::String(Strings { ends, bytes }) => {
                ends.clear();
                bytes.clear();
            }
        }
        let mut valid = out.validity.take().unwrap_or_default();
        valid.clear();
        valid.reserve(rows.div_ceil(64));
        Self { out, valid, rows: 0, has_nulls: false }
    }

    /// Appends rows `rows` of a block, or as many nulls.
    fn append(&mut self, block: Option<&Nullable>, rows: Range<usize>) {
        let count = rows.len();
        match block {
            None | Some((Column::Nothing, _)) => {
                self.has_nulls = true;
                self.valid.resize((self.rows + count).div_ceil(64), 0);
                append_placeholders(&mut self.out.values, count);
            }
            Some((column, validity)) => {
                match validity {
                    None => bitmap::append_ones(&mut self.valid, self.rows, count),
                    Some(bits) => {
                        self.has_nulls = true;
                        bitmap::append(&mut self.valid, self.rows, bits, rows.clone());
                    }
                }
                append_values(&mut self.out.values, column, rows);
            }
        }
        self.rows += count;
    }

    fn finish(self) {
        self.out.validity = self.has_nulls.then_some(self.valid);
    }
}

fn append_placeholders(values: &mut Values, count: usize) {
    match values {
        Values::Int(values) => values.resize(values.len() + count, 0),
        Values::UInt(values) => values.resize(values.len() + count, 0),
        Values::Float(values) => values.resize(values.len() + count, 0.0),
        Values::Bool(values) => values.resize(values.len() + count, 0),
        Values::String(Strings { ends, bytes }) => ends.resize(ends.len() + count, bytes.len() as u32),
    }
}

fn append_values(values: &mut Values, column: &Column, rows: Range<usize>) {
    match (values, column) {
        (Values::Int(values), Column::Words(words)) => values.extend(words[rows].iter().map(|word| *word as i64)),
        (Values::UInt(values), Column::Words(words)) => values.extend_from_slice(&words[rows]),
        (Values::Float(values), Column::Words(words)) => {
            values.extend(words[rows].iter().map(|word| f64::from_bits(*word)));
        }
        (Values::Bool(values), Column::Bits(bits)) => values.extend(rows.map(|row| u8::from(is_valid(bits, row)))),
        (Values::String(Strings { ends, bytes }), Column::Text(text)) => {
            let from = text.offsets[rows.start];
            let shift = bytes.len();
            ends.extend(
                text.offsets[rows.start + 1..=rows.end].iter().map(|end| (shift + (end - from) as usize) as u32),
            );
            bytes.extend_from_slice(&text.bytes[from as usize..text.offsets[rows.end] as usize]);
            work::charge_copy(bytes.len() - shift);
        }
        (values, column) => unreachable!("BUG 20: {column:?} decoded for a field of {:?}", values.kind()),
    }
}
