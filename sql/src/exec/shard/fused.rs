//! The hot aggregate: groups made of tags and one tiling of time, without a hash table over rows.
//!
//! Rows come as runs of one series with ascending times, so a group changes only where a run ends or a time bucket
//! does:
//!
//! 1. A series' tags give its group ordinal, looked up once a series and remembered.
//! 2. Within a run, the end of the current bucket is found by galloping through the times.
//! 3. (group, bucket) gives a slot through the directory: a dense table while groups × buckets is small, a hash table
//!    where it is sparse. Slots are dense, so accumulators are plain arrays.
//! 4. Each aggregate then takes in whole slices of contiguous values.
//!
//! The work of 1 to 3 is per run and bucket; only 4 touches rows. Where the scan sends statistics of a block instead of
//! its rows, not even that.

use std::collections::HashSet;
use std::ops::Range;
use std::sync::Arc;

use arrow_array::builder::StringBuilder;
use arrow_array::cast::AsArray;
use arrow_array::types::{Int64Type, UInt32Type};
use arrow_array::{Array, ArrayRef, DictionaryArray, PrimitiveArray, RecordBatch, new_null_array};
use arrow_schema::DataType;
use hashbrown::HashMap;
use tidewire_storage::scan::{GroupSummary, ScanChunk};
use tidewire_storage::schema::ColumnId;

use super::dictionary::IdState;
use super::part::{halves, part_of};
use super::reader::{NO_TAG, TagIndex};
use crate::error::execution::{ExecError, Result};
use crate::exec::aggregate::{accumulator_of, partial_batch};
use crate::exec::batch::OUTPUT_ROWS;
use crate::exec::context::{QueryContext, Reservation};
use crate::exec::eval::{Input, Names, Room, evaluate_array};
use crate::exec::sink::Left;
use crate::expr::accumulator::{Accumulator, Slice, Slices};
use crate::expr::{AggregateCall, Expr};
use crate::plan::ScanColumn;
use crate::stage::{BucketKey, FusedKey, FusedKeys, Present, TopBuckets, field_at};
use crate::types::array::{cast_to, time_array};
use crate::types::tiling::Tiling;

/// Entries of a dense directory: 16 MiB, which a shard fills in a few milliseconds.
const DENSE_ENTRIES_MAX: u64 = 4 << 20;

/// No slot yet.
const VACANT: u32 = u32::MAX;

/// Partial aggregate by series and time bucket.
pub(crate) struct Fused {
    keys: FusedKeys,
    tags: Vec<ColumnId>,
    groups: Groups,
    directory: Directory,
    /// Group and bucket of each slot.
    slots: Vec<(u32, i64)>,
    calls: Vec<Call>,
    slices: Vec<Slice>,
    /// Slots that are put out.
    put_out: usize,
    memory: Reservation,
    room: Room,
}

/// One aggregate.
struct Call {
    args: Vec<Expr>,
    accumulator: Box<dyn Accumulator>,
    /// Its first argument is the row's time, which ascends within a slice.
    by_time: bool,
    /// Its argument is this field of the scan.
    field: Option<usize>,
}

/// Tags to group ordinals.
struct Groups {
    /// Ordinal of each series met.
    of_series: HashMap<u32, u32, IdState>,
    /// Ordinal of (ordinal over the tags before, code), one map a tag.
    steps: Vec<HashMap<(u32, u32), u32, IdState>>,
    /// Codes of each group's tags, one group after the other.
    codes: Vec<u32>,
    count: u32,
}

/// (group, bucket) to slot.
enum Directory {
    /// `slots[group * buckets + bucket - first]`.
    Dense { first: i64, buckets: usize, slots: Vec<u32> },
    /// For a range of buckets too wide to tabulate.
    Sparse(HashMap<(u32, i64), u32, IdState>),
}

impl Fused {
    /// A partial aggregate for rows within `span`; at most `series` series.
    pub(crate) fn new(
        keys: &FusedKeys,
        calls: &[AggregateCall],
        columns: &[ScanColumn],
        span: (i64, i64),
        series: u64,
        context: &QueryContext,
    ) -> Result<Self> {
        let tags: Vec<ColumnId> =
            keys.keys.iter().filter_map(|key| if let FusedKey::Tag(id) = key { Some(*id) } else { None }).collect();
        let directory = match &keys.bucket {
            None => Directory::Dense { first: 0, buckets: 1, slots: Vec::new() },
            Some(bucket) => {
                let (first, last) = (bucket.index(span.0), bucket.index(span.1));
                let buckets = last.abs_diff(first).saturating_add(1);
                let groups = if tags.is_empty() { 1 } else { series.max(1) };
                if buckets.saturating_mul(groups) <= DENSE_ENTRIES_MAX {
                    Directory::Dense { first, buckets: buckets as usize, slots: Vec::new() }
                } else {
                    Directory::Sparse(HashMap::default())
                }
            }
        };
        Ok(Self {
            keys: keys.clone(),
            groups: Groups {
                of_series: HashMap::default(),
                steps: tags.iter().map(|_| HashMap::default()).collect(),
                codes: Vec::new(),
                count: u32::from(tags.is_empty()),
            },
            tags,
            directory,
            slots: Vec::new(),
            calls: calls
                .iter()
                .map(|call| {
                    let by_time = matches!(call.args.first(), Some(Expr::Column(at))
                        if columns.get(*at) == Some(&ScanColumn::Time));
                    let field = call.args.first().and_then(|arg| field_at(arg, columns)).map(|(at, _)| at);
                    Ok(Call { args: call.args.clone(), accumulator: accumulator_of(call)?, by_time, field })
                })
                .collect::<Result<_>>()?,
            slices: Vec::new(),
            put_out: 0,
            memory: context.reservation(),
            room: Room::new(context),
        })
    }

    /// Groups met so far that are wanted.
    pub(crate) fn count_wanted(&self, top: &TopBuckets) -> Result<usize> {
        if top.present.is_empty() {
            return Ok(self.count_by(top.group_keys));
        }
        let slots = self.slots.len();
        let mut is_there = vec![false; slots];
        for Present { call, is_count } in &top.present {
            let Some(call) = self.calls.get(*call) else { continue };
            let answers = match call.accumulator.results(0..slots) {
                // What is too much on one shard may not be in all: then everything is read.
                Err(ExecError::Overflow { .. }) => return Ok(0),
                answers => answers?,
            };
            let counts = if *is_count { Some(cast_to(&answers, &DataType::Int64)?) } else { None };
            for (slot, is_there) in is_there.iter_mut().enumerate() {
                *is_there |= match &counts {
                    Some(counts) => counts.as_primitive::<Int64Type>().value(slot) > 0,
                    None => answers.is_valid(slot),
                };
            }
        }
        Ok(is_there.into_iter().filter(|is_there| *is_there).count())
    }

    /// Groups met so far, told apart by the first `keys` keys alone.
    fn count_by(&self, keys: usize) -> usize {
        if keys >= self.keys.keys.len() {
            return self.slots.len();
        }
        let keys = &self.keys.keys[..keys];
        let tags = keys.iter().filter(|key| matches!(key, FusedKey::Tag(_))).count();
        let by_bucket = keys.iter().any(|key| matches!(key, FusedKey::Bucket(_)));
        let of_slot = |&(group, bucket): &(u32, i64)| {
            let first = group as usize * self.tags.len();
            (&self.groups.codes[first..first + tags], if by_bucket { bucket } else { 0 })
        };
        self.slots.iter().map(of_slot).collect::<HashSet<_>>().len()
    }

    /// Takes in a chunk whose columns, called `names`, are `columns` as far as the calls read them; half of its rows at
    /// a time where they make too much text at once.
    pub(crate) fn update<I: TagIndex>(
        &mut self,
        chunk: &ScanChunk,
        columns: &[ArrayRef],
        names: &dyn Names,
        index: &I,
    ) -> Result<()> {
        let rows = chunk.rows();
        let args = self.arguments(columns, rows, names);
        self.room.clear()?;
        match args {
            Err(ExecError::TextTooLong { .. }) if rows > 1 => {
                for part in halves(rows) {
                    let of_part = |column: &ArrayRef| match column.len() == rows {
                        true => column.slice(part.start, part.len()),
                        false => Arc::clone(column),
                    };
                    let columns: Vec<ArrayRef> = columns.iter().map(of_part).collect();
                    self.update(&part_of(chunk, part), &columns, names, index)?;
                }
                return Ok(());
            }
            args => {
                self.slice(chunk, index);
                for (Call { accumulator, by_time, .. }, args) in self.calls.iter_mut().zip(args?) {
                    accumulator.resize(self.slots.len());
                    // A slice is a part of one run, and rows of a run ascend in time.
                    accumulator.update(&args, Slices { slices: &self.slices, ascending: *by_time })?;
                }
            }
        }
        let bytes = self.bytes();
        self.memory.resize(bytes)
    }

    /// The arguments of all calls.
    fn arguments(&self, columns: &[ArrayRef], rows: usize, names: &dyn Names) -> Result<Vec<Vec<ArrayRef>>> {
        let input = Input { columns, rows, names, room: &self.room };
        let of_call = |call: &Call| call.args.iter().map(|arg| evaluate_array(arg, input)).collect();
        self.calls.iter().map(of_call).collect()
    }

    /// Takes in rows that lie in one group, by their summary.
    pub(crate) fn summary<I: TagIndex>(&mut self, summary: &GroupSummary, index: &I) -> Result<()> {
        let group = match summary.series {
            Some(series) => self.groups.of(series.0, &self.tags, index),
            None if self.tags.is_empty() => 0,
            None => return Err(ExecError::Internal("a summary of several series".into())),
        };
        let bucket = self.keys.bucket.as_ref().map_or(0, |bucket| bucket.index(summary.time_min));
        let slot = self.directory.slot(group, bucket, &mut self.slots);
        for Call { accumulator, field, .. } in &mut self.calls {
            accumulator.resize(self.slots.len());
            let column = field.and_then(|at| summary.columns.get(at));
            accumulator.summary(slot as usize, summary.rows, column)?;
        }
        Ok(())
    }

    fn slice<I: TagIndex>(&mut self, chunk: &ScanChunk, index: &I) {
        self.slices.clear();
        let Some(bucket) = &self.keys.bucket else {
            for run in &chunk.runs {
                let group = self.groups.of(run.series.0, &self.tags, index);
                let slot = self.directory.slot(group, 0, &mut self.slots);
                self.slices.push(Slice { slot, start: run.start, end: run.start + run.len });
            }
            return;
        };
        let mut cursor = Cursor::new(bucket);
        for run in &chunk.runs {
            let group = self.groups.of(run.series.0, &self.tags, index);
            let end = (run.start + run.len) as usize;
            let mut start = run.start as usize;
            while start < end {
                cursor.seek(chunk.time[start]);
                let next = start + gallop(&chunk.time[start..end], cursor.last);
                let slot = self.directory.slot(group, cursor.index, &mut self.slots);
                self.slices.push(Slice { slot, start: start as u32, end: next as u32 });
                start = next;
            }
        }
    }

    /// The partial batch of the next groups, for when all rows are taken in.
    pub(crate) fn step<I: TagIndex>(&mut self, index: Option<&I>, out: &mut Vec<RecordBatch>) -> Result<Left> {
        let slots = self.put_out..self.slots.len().min(self.put_out + OUTPUT_ROWS);
        if slots.is_empty() {
            return Ok(Left::Nothing);
        }
        let mut columns = Vec::new();
        let mut tag = 0;
        for key in self.keys.keys.clone() {
            columns.push(match (key, &self.keys.bucket) {
                (FusedKey::Tag(id), _) => {
                    tag += 1;
                    self.tag_column(tag - 1, id, index, slots.clone())?
                }
                (FusedKey::Bucket(key), Some(bucket)) => self.bucket_column(bucket, key, slots.clone()),
                (FusedKey::Bucket(_), None) => new_null_array(&DataType::Null, slots.len()),
            });
        }
        for Call { accumulator, .. } in &mut self.calls {
            accumulator.resize(self.slots.len());
            columns.extend(match slots.len() == self.slots.len() {
                true => accumulator.take_states(slots.len())?,
                false => accumulator.states(slots.clone())?,
            });
        }
        out.push(partial_batch(columns, slots.len())?);
        self.put_out = slots.end;
        Ok(if self.put_out < self.slots.len() { Left::Work } else { Left::Nothing })
    }

    /// One tag of some slots, as a dictionary with a value for each run of slots of one group: slots stand in the order
    /// in which their rows were met, series by series.
    fn tag_column<I: TagIndex>(
        &self,
        tag: usize,
        id: ColumnId,
        index: Option<&I>,
        slots: Range<usize>,
    ) -> Result<ArrayRef> {
        let mut values = StringBuilder::new();
        let (mut last, mut key, mut count) = (None, None, 0);
        let keys: PrimitiveArray<UInt32Type> = self.slots[slots]
            .iter()
            .map(|&(group, _)| {
                if last != Some(group) {
                    last = Some(group);
                    let code = self.groups.codes[group as usize * self.tags.len() + tag];
                    key = (code != NO_TAG).then(|| {
                        values.append_value(index.map_or("", |index| index.value(id, code)));
                        count += 1;
                        count - 1
                    });
                }
                key
            })
            .collect();
        Ok(Arc::new(DictionaryArray::try_new(keys, Arc::new(values.finish()))?))
    }

    fn bucket_column(&self, bucket: &Tiling, key: BucketKey, slots: Range<usize>) -> ArrayRef {
        let starts = self.slots[slots].iter().map(|&(_, index)| bucket.start(index).saturating_mul(key.factor));
        time_array(starts.collect(), None, key.unit)
    }

    fn bytes(&self) -> usize {
        let groups = self.groups.of_series.capacity() * 9
            + self.groups.steps.iter().map(|step| step.capacity() * 13).sum::<usize>()
            + self.groups.codes.capacity() * size_of::<u32>();
        let directory = match &self.directory {
            Directory::Dense { slots, .. } => slots.capacity() * size_of::<u32>(),
            Directory::Sparse(slots) => slots.capacity() * 25,
        };
        groups
            + directory
            + self.slots.capacity() * size_of::<(u32, i64)>()
            + self.slices.capacity() * size_of::<Slice>()
            + self.calls.iter().map(|call| call.accumulator.bytes()).sum::<usize>()
    }
}

impl Groups {
    /// The group of a series.
    #[inline]
    fn of<I: TagIndex>(&mut self, series: u32, tags: &[ColumnId], index: &I) -> u32 {
        if tags.is_empty() {
            return 0;
        }
        if let Some(&group) = self.of_series.get(&series) {
            return group;
        }
        let code_of = |tag: ColumnId| index.codes(tag).get(series as usize).copied().unwrap_or(NO_TAG);
        let last = tags.len() - 1;
        let mut ordinal = 0;
        for (at, (tag, step)) in tags.iter().zip(&mut self.steps).enumerate() {
            // The last tag's ordinals are the groups; those of the tags before only need to be different.
            let next = if at == last { self.count } else { step.len() as u32 };
            ordinal = *step.entry((ordinal, code_of(*tag))).or_insert(next);
        }
        if ordinal == self.count {
            self.count += 1;
            self.codes.extend(tags.iter().map(|tag| code_of(*tag)));
        }
        self.of_series.insert(series, ordinal);
        ordinal
    }
}

impl Directory {
    #[inline]
    fn slot(&mut self, group: u32, bucket: i64, slots: &mut Vec<(u32, i64)>) -> u32 {
        let entry = match self {
            Self::Dense { first, buckets, slots: table } => {
                let column = (bucket - *first) as usize;
                debug_assert!(column < *buckets, "a row outside the span asked for");
                let at = group as usize * *buckets + column;
                if at >= table.len() {
                    table.resize((group as usize + 1) * *buckets, VACANT);
                }
                &mut table[at]
            }
            Self::Sparse(table) => table.entry((group, bucket)).or_insert(VACANT),
        };
        if *entry == VACANT {
            *entry = slots.len() as u32;
            slots.push((group, bucket));
        }
        *entry
    }
}

/// The bucket at hand; moving to the next one needs no division.
struct Cursor<'a> {
    bucket: &'a Tiling,
    index: i64,
    first: i64,
    last: i64,
}

impl<'a> Cursor<'a> {
    fn new(bucket: &'a Tiling) -> Self {
        Self { bucket, index: 0, first: i64::MAX, last: i64::MIN }
    }

    #[inline]
    fn seek(&mut self, time: i64) {
        if self.first <= time && time <= self.last {
            return;
        }
        if let Tiling::Fixed { width, .. } = *self.bucket
            && let (Some(first), Some(last)) = (self.first.checked_add(width), self.last.checked_add(width))
            && self.first <= self.last
            && first <= time
            && time <= last
        {
            (self.index, self.first, self.last) = (self.index + 1, first, last);
            return;
        }
        self.index = self.bucket.index(time);
        self.first = self.bucket.start(self.index);
        self.last = self.bucket.last(self.index);
    }
}

/// How many of the ascending `times` are at most `last`; the first one is.
#[inline]
fn gallop(times: &[i64], last: i64) -> usize {
    if times[times.len() - 1] <= last {
        return times.len();
    }
    // times[low] <= last < times[high]
    let (mut low, mut step) = (0, 1);
    let mut high = times.len() - 1;
    while low + step < high {
        if times[low + step] <= last {
            low += step;
            step *= 2;
        } else {
            high = low + step;
            break;
        }
    }
    low + 1 + times[low + 1..high].partition_point(|&time| time <= last)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gallop_finds_the_end_of_the_bucket() {
        for length in 1..70i64 {
            let times: Vec<i64> = (0..length).map(|t| t * 3).collect();
            for last in 0..length * 3 + 2 {
                let expected = times.iter().filter(|&&t| t <= last).count();
                assert_eq!(gallop(&times, last), expected, "length {length} last {last}");
            }
        }
    }

    #[test]
    fn the_cursor_agrees_with_the_bucket() {
        for bucket in [Tiling::fixed(10, 3), Tiling::fixed(1, 0), Tiling::fixed(i64::MAX, 5)] {
            let mut cursor = Cursor::new(&bucket);
            for time in [-50, -49, -48, -38, -37, 0, 3, 13, 22, 23, 24, 500, -1, i64::MAX, i64::MIN, i64::MIN + 9] {
                cursor.seek(time);
                let index = bucket.index(time);
                assert_eq!((cursor.index, cursor.first, cursor.last), (index, bucket.start(index), bucket.last(index)));
            }
        }
    }
}
