//! Reading one table of one shard: what to ask for ([`ScanRequest`]) and what comes back ([`ScanChunk`]).
//!
//! Guarantee: over a whole scan each (series, time) appears once, with the newest value of each field; rows of a chunk
//! are sorted by (series, time). Chunks themselves come in no promised order of time, and a series may appear in
//! several chunks (in disjoint time ranges).
//!
//! How, partition after partition ([`partition`]): the sources (segments, and sorted rows of memtables, [`memory`]) are
//! walked side by side by series. Where the stretches of time that sources hold of one series overlap, the rows in the
//! overlap ([`zones`]) are merged one by one ([`merge`]); all other rows leave group by group as they were decoded
//! ([`group`]). Rows that a delete covers are cut out of a source's runs as soon as its index is read. A caller that
//! needs less than rows says so by a [`ScanMode`]; [`ends`] says how little is read for first and last rows.

mod ends;
mod group;
mod memory;
mod merge;
mod mode;
mod partition;
mod values;
mod zones;

use std::cell::Cell;
use std::collections::VecDeque;
use std::rc::Rc;

use roaring::RoaringBitmap;

pub use crate::chunk::ScanChunk;
use crate::disk::Disk;
use crate::error::{Error, Result};
use crate::schema::{ColumnId, FieldType, SeriesId, TableId};
use crate::segment::Segment;
use crate::tombstone::Deletes;

pub use crate::run::Run;
use ends::Ends;
pub use memory::MemoryRows;
pub(crate) use memory::{NoReader, ReadRows, Selected, Waiting};
pub use mode::{ColumnSummary, GroupSummary, ScanItem, ScanMode, SummaryRule, TimeBuckets};
use partition::Partition;

/// A scan of one table.
#[derive(Debug, Clone)]
pub struct ScanRequest {
    /// The table.
    pub table: TableId,
    /// First time wanted, inclusive, in the table's unit.
    pub time_min: i64,
    /// Last time wanted, inclusive.
    pub time_max: i64,
    /// Series wanted; `None` for all.
    pub series: Option<RoaringBitmap>,
    /// Fields wanted, with the type the catalog gives them; the order of [`ScanChunk::columns`].
    pub columns: Vec<(ColumnId, FieldType)>,
    /// Value ranges outside which a row is of no use to the caller. A hint: blocks whose statistics show that no row
    /// can match may be left out where that cannot change which value is newest; the caller filters all the same.
    pub prune: Vec<PruneRange>,
}

/// Rows are of use only where the column's value is present and within `min..=max` (compared as f64, widened).
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct PruneRange {
    /// A numeric field.
    pub column: ColumnId,
    /// Least value of use.
    pub min: f64,
    /// Greatest value of use.
    pub max: f64,
}

/// Where the rows of one time partition are.
pub struct PartitionSources<D: Disk> {
    /// Oldest first.
    pub segments: Vec<SegmentSource<D>>,
    /// Rows of memtables, oldest first, newer than all segments. Each is sorted and holds a (series, time) once; its
    /// columns are those of the request. Rows outside of the request may be among them.
    pub memory: Vec<MemoryRows>,
}

impl<D: Disk> PartitionSources<D> {
    /// Bytes that rows of memtables may take.
    fn copied(&self) -> u64 {
        self.memory.iter().map(MemoryRows::bytes).sum()
    }
}

/// A segment, and what of it is deleted.
#[derive(Clone)]
pub struct SegmentSource<D: Disk> {
    /// The segment.
    pub segment: Rc<Segment<D>>,
    pub(crate) deletes: Deletes,
}

impl<D: Disk> From<Rc<Segment<D>>> for SegmentSource<D> {
    /// Nothing of it is deleted.
    fn from(segment: Rc<Segment<D>>) -> Self {
        Self { segment, deletes: Deletes::default() }
    }
}

/// A scan under way.
pub struct Scan<D: Disk> {
    disk: D,
    request: ScanRequest,
    mode: ScanMode,
    partitions: VecDeque<PartitionSources<D>>,
    current: Option<Partition<D>>,
    /// Bytes that rows of memtables may take in the current partition and in those to come.
    copied: (u64, u64),
    /// What the current partition has charged.
    decoded: Cell<u64>,
    /// What is known of the ends of series, where the mode wants no more.
    ends: Option<Ends>,
    memory_bytes_max: u64,
}

/// The series `first` to `last`, as [`ScanRequest::series`] wants them.
pub fn series_between(first: u32, last: u32) -> RoaringBitmap {
    let mut series = RoaringBitmap::new();
    series.insert_range(first..=last);
    series
}

impl<D: Disk> Scan<D> {
    /// A scan over `partitions`, the oldest first. What it holds itself (not what it gave out) stays within
    /// `memory_bytes_max`.
    pub fn new(disk: D, request: ScanRequest, partitions: Vec<PartitionSources<D>>, memory_bytes_max: u64) -> Self {
        Self {
            disk,
            request,
            mode: ScanMode::Rows,
            copied: (0, partitions.iter().map(PartitionSources::copied).sum()),
            partitions: partitions.into(),
            current: None,
            ends: None,
            decoded: Cell::new(0),
            memory_bytes_max,
        }
    }

    /// Bytes that the scan holds now, or may come to hold: rows of memtables, blocks decoded and ends known, not what
    /// it gave out.
    pub fn memory_bytes(&self) -> u64 {
        self.copied.0 + self.copied.1 + self.decoded.get() + self.ends.as_ref().map_or(0, Ends::bytes)
    }

    /// Says what the caller can do with less than all rows. To be called before the first item is taken.
    pub fn set_mode(&mut self, mode: ScanMode) {
        self.ends = Ends::new(&mode, self.request.series.as_ref());
        self.mode = mode;
    }

    /// What was asked for.
    pub fn request(&self) -> &ScanRequest {
        &self.request
    }

    /// The next rows; `None` at the end. Summaries that a mode allows are not rows: take [`Scan::next_item`] then.
    pub async fn next(&mut self) -> Result<Option<ScanChunk>> {
        match self.next_item().await? {
            Some(ScanItem::Rows(chunk)) => Ok(Some(chunk)),
            Some(ScanItem::Summary(_)) => {
                Err(Error::Rejected("a scan with summaries is read by items, not by rows".to_owned()))
            }
            None => Ok(None),
        }
    }

    /// The next rows or summary; `None` at the end.
    pub async fn next_item(&mut self) -> Result<Option<ScanItem>> {
        loop {
            let limit = self.memory_bytes_max.saturating_sub(self.ends.as_ref().map_or(0, Ends::bytes));
            let context = Context {
                disk: &self.disk,
                request: &self.request,
                mode: &self.mode,
                ends: None,
                limit,
                decoded: &self.decoded,
            };
            let partition = match &mut self.current {
                Some(partition) => partition,
                None => {
                    let newest_first = self.ends.as_ref().is_some_and(|ends| !ends.towards_first());
                    let next = if newest_first { self.partitions.pop_back() } else { self.partitions.pop_front() };
                    let Some(sources) = next else { return Ok(None) };
                    let copied = sources.copied();
                    self.copied = (copied, self.copied.1.saturating_sub(copied));
                    let mut partition = Partition::new(sources, &self.request, self.ends.as_ref());
                    if let Some(ends) = &mut self.ends {
                        partition.keep_ends(&context, ends, !self.partitions.is_empty()).await?;
                        // What they took up is counted as theirs from here on.
                        self.decoded.set(0);
                    }
                    self.current.insert(partition)
                }
            };
            let context = Context { ends: self.ends.as_ref(), ..context };
            match partition.next(&context).await? {
                Some(item) => return Ok(Some(item)),
                None => {
                    self.current = None;
                    self.copied.0 = 0;
                    self.decoded.set(0);
                }
            }
        }
    }
}

/// What every step of a scan looks at.
#[derive(Debug)]
struct Context<'a, D> {
    disk: &'a D,
    request: &'a ScanRequest,
    mode: &'a ScanMode,
    /// What is known of the ends of series once a partition's groups have been judged by it.
    ends: Option<&'a Ends>,
    limit: u64,
    decoded: &'a Cell<u64>,
}

impl<D> Context<'_, D> {
    fn wants_series(&self, series: SeriesId) -> bool {
        self.request.series.as_ref().is_none_or(|wanted| wanted.contains(series.0))
    }

    /// First and last time wanted of a series.
    fn times_of(&self, series: SeriesId) -> (i64, i64) {
        let asked = (self.request.time_min, self.request.time_max);
        self.ends.map_or(asked, |ends| ends.left_of(series.0, asked))
    }

    fn charge(&self, held: u64) -> Result<()> {
        self.decoded.set(held);
        if held > self.limit { Err(Error::ScanMemory { limit_bytes: self.limit }) } else { Ok(()) }
    }
}

#[cfg(test)]
pub(crate) mod tests;
