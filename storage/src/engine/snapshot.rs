//! Reading: what a scan looks at is fixed when it is made, and so is what all scans of a snapshot look at.
//!
//! Segments are immutable and held by reference; their files stay as long. Rows in memory are append-only: a
//! [`Snapshot`] says how many of a memtable's rows and deletes it sees. A scan selects among those when it is made
//! ([`select`](super::select)), and reads them when it comes to them. A memtable that goes into segments while
//! snapshots and scans may still look at it is *retired*: kept beside them until the last of those is dropped, or too
//! many bytes are kept so. Then scans are given copies of what they have not read yet; scans that a snapshot is asked
//! for after that fail.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

use roaring::RoaringBitmap;

use super::Shard;
use super::select::{SeenRows, Selection};
use super::state::{Frozen, Pin, State, Unreadable};
use crate::disk::Disk;
use crate::error::{Error, Result};
use crate::memtable::{Memtable, TableRows};
use crate::partition::partition_of;
use crate::scan::{
    MemoryRows, NoReader, PartitionSources, ReadRows, Scan, ScanRequest, SegmentSource, Selected, Waiting,
};
use crate::schema::TableId;
use crate::segment::{Segment, SegmentMeta};
use crate::tombstone::Deletes;

/// Rows of one table as they were at one moment, for any number of scans. To be dropped when no more are to come.
pub struct Snapshot<D: Disk> {
    shard: Rc<Shard<D>>,
    seen: Seen<D>,
}

/// What a snapshot sees.
pub(super) struct Seen<D: Disk> {
    pub(super) table: TableId,
    partition_length: i64,
    /// Segments by the start of their partition, the oldest first.
    partitions: BTreeMap<i64, Vec<SegmentSource<D>>>,
    unreadable: Vec<Unreadable>,
    /// The oldest first.
    pub(super) memory: Vec<SeenMemory>,
    bounds: Option<(i64, i64)>,
}

/// Rows of a memtable.
pub(super) struct SeenMemory {
    pub(super) generation: u64,
    /// Keeps the memtable when it is flushed.
    pin: Rc<Pin>,
    pub(super) rows: SeenRows,
}

/// Rows of a memtable that a scan has not read yet.
struct MemtableReader<D: Disk> {
    shard: Rc<Shard<D>>,
    generation: u64,
    table: TableId,
    /// `None` when it is dropped.
    pin: Option<Rc<Pin>>,
}

impl<D: Disk> ReadRows for MemtableReader<D> {
    fn read(&self, look: &mut dyn FnMut(&TableRows) -> Result<()>) -> Result<()> {
        let state = self.shard.state.borrow();
        look(self.shard.rows_of(&state, self.generation, self.table)?)
    }
}

impl<D: Disk> Drop for MemtableReader<D> {
    fn drop(&mut self) {
        self.pin = None;
        self.shard.forget_unseen();
    }
}

impl<D: Disk> Shard<D> {
    /// A scan of what was appended before, for callers that may keep the thread while rows in memory are copied; others
    /// take a [`Snapshot`]. `memory_bytes_max` bounds what it holds. It is refused where it may need rows of a segment
    /// that cannot be read at all.
    pub fn scan(&self, request: ScanRequest, memory_bytes_max: u64) -> Result<Scan<D>> {
        let seen = self.see(request.table, request.time_min, request.time_max);
        let mut scan = self.scan_segments(seen.as_ref(), &request)?;
        if let Some(seen) = &seen {
            let mut take = up_to(memory_bytes_max);
            let no_reader: Rc<dyn ReadRows> = Rc::new(NoReader);
            for memory in &seen.memory {
                let rows_min = self.config.ordered_rows_min;
                let mut selection = Selection::new(&request, &memory.rows, seen.partition_length, rows_min);
                let selected = loop {
                    if let Some(selected) = self.select_some(seen, memory, &mut selection, &mut take)? {
                        break selected;
                    }
                };
                let state = self.state.borrow();
                let rows = self.rows_of(&state, memory.generation, seen.table)?;
                for source in add_selected(&mut scan, selected, &request, &no_reader) {
                    let mut waiting = source.borrow_mut();
                    while !waiting.is_gathered() {
                        waiting.step(rows)?;
                    }
                }
            }
        }
        Ok(Scan::new(self.disk.clone(), request, scan.into_values().collect(), memory_bytes_max))
    }

    /// What was appended before of a table, between two times; `None` where the shard does not know the table.
    pub fn snapshot(self: &Rc<Self>, table: TableId, time_min: i64, time_max: i64) -> Option<Snapshot<D>> {
        Some(Snapshot { shard: self.clone(), seen: self.see(table, time_min, time_max)? })
    }

    pub(super) fn see(&self, table: TableId, time_min: i64, time_max: i64) -> Option<Seen<D>> {
        let state = self.state.borrow();
        let known = state.tables.get(&table)?;
        let range = || partition_of(time_min, known.partition_length)..=time_max.max(time_min);
        let source = |segment: &Rc<Segment<D>>| SegmentSource {
            segment: Rc::clone(segment),
            deletes: known.tombstones.of(segment.meta()),
        };
        let partitions = known.partitions.range(range());
        let partitions = partitions.map(|(start, segments)| (*start, segments.iter().map(source).collect()));
        let rows_of = |memtable: &Memtable, generation: u64, pin: &Rc<Pin>, later: Deletes| {
            let rows = memtable.table(table)?;
            Some(SeenMemory { generation, pin: pin.clone(), rows: SeenRows::new(rows, later) })
        };
        let unreadable = known.unreadable.range(range()).flat_map(|(_, segments)| segments);
        // Nobody misses what is deleted.
        let is_wanted =
            |of: &&Unreadable| !known.tombstones.as_slice().iter().any(|delete| delete.covers_all_of(&of.meta));
        let flushing = state.frozen.as_ref().and_then(|frozen| {
            rows_of(&frozen.memtable, frozen.generation, &frozen.pin, known.tombstones.after(frozen.lsn()))
        });
        let active = rows_of(&state.active, state.generation, &state.pin, Deletes::default());
        Some(Seen {
            table,
            partition_length: known.partition_length,
            partitions: partitions.collect(),
            unreadable: unreadable.filter(is_wanted).cloned().collect(),
            memory: flushing.into_iter().chain(active).collect(),
            bounds: known.bounds(table, state.memtables()),
        })
    }

    /// The segments of `seen` that a scan may need; of nothing where that is none.
    pub(super) fn scan_segments(&self, seen: Option<&Seen<D>>, request: &ScanRequest) -> Result<Sources<D>> {
        let mut partitions = Sources::new();
        let Some(seen) = seen else { return Ok(partitions) };
        if let Some(unreadable) = seen.unreadable.iter().find(|segment| is_wanted(&segment.meta, request)) {
            return Err(unreadable.error());
        }
        let from = partition_of(request.time_min, seen.partition_length);
        for (start, segments) in seen.partitions.range(from..=request.time_max.max(from)) {
            let wanted = segments.iter().filter(|source| is_wanted(source.segment.meta(), request));
            let wanted: Vec<_> = wanted.cloned().collect();
            if !wanted.is_empty() {
                partitions.insert(*start, PartitionSources { segments: wanted, memory: Vec::new() });
            }
        }
        Ok(partitions)
    }

    /// Selects some more of a memtable that was seen.
    fn select_some(
        &self,
        seen: &Seen<D>,
        memory: &SeenMemory,
        selection: &mut Selection<'_>,
        take: &mut dyn FnMut(u64) -> Result<()>,
    ) -> Result<Option<BTreeMap<i64, Vec<Selected>>>> {
        let state = self.state.borrow();
        selection.step(self.rows_of(&state, memory.generation, seen.table)?, take)
    }

    /// Rows of a memtable that somebody may look at.
    fn rows_of<'s>(&self, state: &'s State<D>, generation: u64, table: TableId) -> Result<&'s TableRows> {
        let rows = state.memtable_of(generation).and_then(|memtable| memtable.table(table));
        rows.ok_or(Error::SnapshotGone { shard: self.config.shard })
    }

    /// Where more bytes than a shard may have in memtables are kept of flushed ones, the oldest of those go, and scans
    /// have copies.
    pub(super) async fn bound_retired(&self) {
        self.forget_unseen();
        loop {
            let oldest = {
                let state = self.state.borrow();
                let is_over = state.retired_bytes() > self.config.memtable_bytes_max;
                state.retired.front().filter(|_| is_over).cloned()
            };
            let Some(oldest) = oldest else { break };
            self.copy_for_scans(&oldest).await;
            self.state.borrow_mut().retired.retain(|retired| !Rc::ptr_eq(retired, &oldest));
        }
    }

    /// Copies what scans have not read yet of a memtable that is to go. When it returns there is nothing left to be
    /// copied, also for scans that came meanwhile, or what there is cannot be.
    async fn copy_for_scans(&self, frozen: &Frozen) {
        while let Some(scan) = frozen.pin.scans().into_iter().find(|scan| !scan.borrow().is_gathered()) {
            while !scan.borrow().is_gathered() {
                let step = {
                    let mut waiting = scan.borrow_mut();
                    frozen.memtable.table(waiting.table()).map(|rows| waiting.step(rows))
                };
                // Then the scan fails, too.
                let Some(Ok(())) = step else { return };
                self.disk.yield_if_needed().await;
            }
        }
    }

    /// Drops retired memtables that nobody looks at any more, unless the state is being worked on: then the next flush
    /// or snapshot does it.
    fn forget_unseen(&self) {
        if let Some(mut state) = self.state.try_borrow_mut() {
            state.forget_unseen();
        }
    }
}

impl<D: Disk> Snapshot<D> {
    /// A scan of what the snapshot sees, of its table and within its times; see [`Shard::scan`].
    pub async fn scan(&self, request: ScanRequest, memory_bytes_max: u64) -> Result<Scan<D>> {
        self.scan_within(request, memory_bytes_max, &mut up_to(memory_bytes_max)).await
    }

    /// The same where others take memory at the same time: `take` is asked for what the copies of rows in memory take,
    /// before they are made. Afterwards [`Scan::memory_bytes`] says what is held.
    pub async fn scan_within(
        &self,
        request: ScanRequest,
        memory_bytes_max: u64,
        take: &mut dyn FnMut(u64) -> Result<()>,
    ) -> Result<Scan<D>> {
        let (shard, seen) = (&self.shard, &self.seen);
        debug_assert_eq!(request.table, seen.table, "BUG: a snapshot of one table is asked for another");
        let mut scan = shard.scan_segments(Some(seen), &request)?;
        for memory in &seen.memory {
            let rows_min = shard.config.ordered_rows_min;
            let mut selection = Selection::new(&request, &memory.rows, seen.partition_length, rows_min);
            let selected = loop {
                if let Some(selected) = shard.select_some(seen, memory, &mut selection, take)? {
                    break selected;
                }
                shard.disk.yield_if_needed().await;
            };
            let pin = memory.pin.clone();
            let reader: Rc<dyn ReadRows> = Rc::new(MemtableReader {
                shard: shard.clone(),
                generation: memory.generation,
                table: seen.table,
                pin: Some(pin.clone()),
            });
            for source in add_selected(&mut scan, selected, &request, &reader) {
                pin.note(&source);
            }
        }
        Ok(Scan::new(shard.disk.clone(), request, scan.into_values().collect(), memory_bytes_max))
    }

    /// Least and greatest time that rows of the table may have; `None` when it has none.
    pub fn time_bounds(&self) -> Option<(i64, i64)> {
        self.seen.bounds
    }
}

/// Gives `bytes_max` in all.
fn up_to(bytes_max: u64) -> impl FnMut(u64) -> Result<()> {
    let mut left = bytes_max;
    move |bytes| {
        left = left.checked_sub(bytes).ok_or(Error::ScanMemory { limit_bytes: bytes_max })?;
        Ok(())
    }
}

impl<D: Disk> Drop for Snapshot<D> {
    fn drop(&mut self) {
        self.seen.memory.clear();
        self.shard.forget_unseen();
    }
}

impl<D: Disk> State<D> {
    /// The memtable of that number, if it is there still.
    pub(super) fn memtable_of(&self, generation: u64) -> Option<&Memtable> {
        if generation == self.generation {
            return Some(&self.active);
        }
        let flushed = self.frozen.iter().chain(&self.retired);
        flushed.map(|frozen| &**frozen).find(|frozen| frozen.generation == generation).map(|frozen| &frozen.memtable)
    }

    /// Keeps the frozen memtable, which is in segments now, for those that may look at it, if there are any.
    pub(super) fn retire(&mut self) {
        self.retired.extend(self.frozen.take().filter(|frozen| Rc::strong_count(&frozen.pin) > 1));
    }

    /// Drops retired memtables that nobody looks at any more.
    fn forget_unseen(&mut self) {
        self.retired.retain(|frozen| Rc::strong_count(&frozen.pin) > 1);
    }

    /// Memory of retired memtables.
    pub(super) fn retired_bytes(&self) -> u64 {
        self.retired.iter().map(|frozen| frozen.memtable.reserved() + frozen.memtable.ordered_bytes()).sum()
    }
}

/// Where the rows of a scan are, by the start of their partition.
pub(super) type Sources<D> = BTreeMap<i64, PartitionSources<D>>;

/// Adds what is selected of a memtable that is newer than all before, and gives what waits to be read of it.
fn add_selected<D: Disk>(
    sources: &mut Sources<D>,
    selected: BTreeMap<i64, Vec<Selected>>,
    request: &ScanRequest,
    reader: &Rc<dyn ReadRows>,
) -> Vec<Rc<RefCell<Waiting>>> {
    let mut waiting = Vec::new();
    for (start, parts) in selected {
        let empty = || PartitionSources { segments: Vec::new(), memory: Vec::new() };
        let memory = &mut sources.entry(start).or_insert_with(empty).memory;
        for part in parts {
            let rows = MemoryRows::new(request, part, Rc::clone(reader));
            waiting.push(Rc::clone(rows.waiting()));
            memory.push(rows);
        }
    }
    waiting
}

/// Whether a segment may hold rows that are asked for.
pub(super) fn is_wanted(meta: &SegmentMeta, request: &ScanRequest) -> bool {
    let in_time = meta.time_max >= request.time_min && meta.time_min <= request.time_max;
    let has_series = |series: &RoaringBitmap| series.range_cardinality(meta.series_min..=meta.series_max) > 0;
    in_time && request.series.as_ref().is_none_or(has_series)
}
