//! From memory to segments.
//!
//! 1. The active memtable is frozen together with the LSN of its last row; appends go on into an empty one.
//! 2. Each table's rows are put in order and written, a segment for each partition; then the keys of the series that
//!    came to be since the last flush, in one file with those of small files before
//!    ([`tiers`](crate::series::tiers)). The sorting yields to other tasks, and so does the writer.
//! 3. One edit of the manifest makes all of it live and says that the log is not needed up to that LSN.
//! 4. Scans switch from the frozen memtable to the segments, and log files are used again.
//!
//! The frozen rows stay visible all the time. A flush that fails goes on where it was when it is tried again: segments
//! that are whole are kept, so that one with many partitions gets to its end on a disk that fails now and then. How
//! many there can be is bounded by `flush_partitions`, beyond which a memtable is frozen however small it is.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::path::PathBuf;
use std::rc::Rc;

use super::Shard;
use super::compact::Clock;
use super::state::{Frozen, State, TableState};
use crate::codec::Effort;
use crate::disk::Disk;
use crate::disk::whole::write_whole;
use crate::error::{Error, Result};
use crate::manifest::{Edit, NotStored, SegmentEntry, SeriesFileEntry, TableEntry};
use crate::memtable::{Memtable, Order, PartitionRows, Sorter, Splitter, TableRows, Unite};
use crate::schema::TableId;
use crate::segment::{Origin, Segment, Target, write_table};
use crate::series::SeriesMark;
use crate::series::file::{SeriesCounts, SeriesWriter, copy_of};
use crate::series::tiers::{FileSize, first_to_rewrite};
use crate::together::together;
use crate::tombstone::Deletes;
use crate::wal::Lsn;
use crate::work;

/// Segments after which what is done so far is made to last.
const ROUND_SEGMENTS: usize = 256;

/// Segments that are written side by side where they are many, and so small: a disk syncs as many at once. Each has a
/// buffer of a mebibyte.
const SEGMENTS_AT_ONCE: usize = 8;

/// Tables of a memtable whose memory is kept for the next one: to look through more takes long.
const REUSED_TABLES_MAX: usize = 512;

/// Rows that are held against deletes between two yields.
const LIVE_STEP: usize = 1 << 13;

/// From this many on they are.
const SMALL_ROUND_SEGMENTS: usize = 16;

/// Files written for a frozen memtable.
pub(super) struct Written<D: Disk> {
    segments: Vec<(SegmentEntry, Rc<Segment<D>>)>,
    series: Option<(SeriesFileEntry, SeriesCounts)>,
    /// The last series files of the manifest, whose live series are in the new one.
    series_replaced: Vec<SeriesFileEntry>,
}

impl<D: Disk> Default for Written<D> {
    fn default() -> Self {
        Self { segments: Vec::new(), series: None, series_replaced: Vec::new() }
    }
}

impl<D: Disk> Shard<D> {
    /// The task that flushes: polled until [`Shard::close`]. After an error it may be polled anew, with a pause that is
    /// the caller's to choose; the rows stay in memory and in the log until a flush succeeds.
    pub async fn run_flush(&self) -> Result<()> {
        while self.changed.until(|| self.flush_due()).await {
            self.flush_once().await?;
        }
        Ok(())
    }

    /// Brings every row appended so far into segments.
    pub async fn flush(&self) -> Result<()> {
        let target = self.wal.appended();
        while self.flushed_lsn() < target {
            self.flush_once().await?;
        }
        Ok(())
    }

    pub(super) fn flushed_lsn(&self) -> Lsn {
        Lsn(self.state.borrow().manifest.flushed_lsn)
    }

    /// `Some(true)` when there is something to flush, `Some(false)` when there never will be again.
    fn flush_due(&self) -> Option<bool> {
        if self.closing.get() {
            return Some(false);
        }
        let state = self.state.borrow();
        let due = self.is_flush_due(&state.active) || state.frozen.is_some();
        (due && !self.editing.get()).then_some(true)
    }

    /// Whether there are enough rows in memory, partitions with rows, or log for a flush.
    pub(super) fn is_flush_due(&self, active: &Memtable) -> bool {
        active.bytes() >= self.config.flush_at()
            || active.partitions() >= self.config.flush_at_partitions()
            || self.log_bytes() >= self.config.flush_log_bytes
    }

    async fn flush_once(&self) -> Result<()> {
        let _edit = self.edit().await;
        let Some(frozen) = self.freeze() else { return Ok(()) };
        let done = self.with_reserve(0, async || self.flush_frozen(&frozen).await).await;
        self.sorting.set(0);
        if done.as_ref().is_err_and(Error::is_too_many_files) {
            self.cache.files().make_room_to_write();
        }
        let rows = frozen.memtable.rows();
        self.count(|counts| match done {
            Ok(()) => {
                counts.flushes += 1;
                counts.rows_flushed += rows;
            }
            Err(_) => counts.flush_failures += 1,
        });
        self.bound_retired().await;
        // Nobody else holds it but for snapshots, and scans that have not read it yet.
        if let (Ok(()), Ok(mut frozen)) = (&done, Rc::try_unwrap(frozen)) {
            if frozen.full && frozen.memtable.tables().take(REUSED_TABLES_MAX + 1).count() <= REUSED_TABLES_MAX {
                let bytes_max = self.config.idle_bytes_max();
                self.state.borrow_mut().idle = Some(Memtable::reuse(frozen.memtable, bytes_max));
            } else {
                while frozen.memtable.forget_some() {
                    self.disk.yield_if_needed().await;
                }
            }
        }
        done
    }

    /// The memtable to flush: one whose flush failed, or the active one; `None` if that has nothing new.
    fn freeze(&self) -> Option<Rc<Frozen>> {
        let mut state = self.state.borrow_mut();
        if let Some(frozen) = &state.frozen {
            return Some(frozen.clone());
        }
        let lsn = self.wal.appended();
        if lsn.0 <= state.manifest.flushed_lsn {
            // What there is of the log has nothing that a flush could take up.
            self.log_bytes_frozen.set(self.wal.live_bytes());
            return None;
        }
        let next = state.idle.take().unwrap_or_default();
        let memtable = std::mem::replace(&mut state.active, next);
        let full = memtable.bytes() >= self.config.flush_at();
        let State { tables, hidden_in, .. } = &mut *state;
        let mut hidden = BTreeMap::new();
        hidden_in.retain(|id| {
            let of = tables.get(id).map(|table| table.series.hidden()).filter(|hidden| !hidden.is_empty());
            hidden.extend(of.map(|of| (*id, of.clone())));
            of.is_some()
        });
        self.log_bytes_frozen.set(self.wal.live_bytes());
        let pin = std::mem::take(&mut state.pin);
        let frozen = Rc::new(Frozen { memtable, generation: state.generation, pin, lsn, hidden, full });
        state.generation += 1;
        state.frozen = Some(frozen.clone());
        Some(frozen)
    }

    async fn flush_frozen(&self, frozen: &Frozen) -> Result<()> {
        if !self.manifest_log.is_stored() {
            // Files of a shard that has neither manifest nor log would look like those of one that lost both.
            self.store(&Edit::default()).await?;
        }
        let mut written = self.written.take();
        let done = self.write_and_place(frozen, &mut written).await;
        let (edit, old_files) = match done {
            Ok(done) => done,
            Err(error) => {
                *self.written.borrow_mut() = written;
                return Err(error);
            }
        };
        let flushed_before = self.flushed_lsn();
        let gone = {
            let mut state = self.state.borrow_mut();
            state.manifest.apply(edit);
            let kept = state.series_files.len() - written.series_replaced.len();
            state.series_files.truncate(kept);
            state.series_files.extend(written.series.into_iter().map(|(_, counts)| counts));
            state.retire();
            let now = self.clock.get().map(Clock::now);
            for (entry, segment) in written.segments {
                if let Some(table) = state.tables.get_mut(&TableId(entry.table)) {
                    table.changed.extend(now.map(|now| (entry.partition_start, now)));
                    table.partitions.entry(entry.partition_start).or_default().push(segment);
                    self.agenda.borrow_mut().note((TableId(entry.table), entry.partition_start));
                }
            }
            for (id, series) in frozen.memtable.series_counts() {
                if let Some(table) = state.tables.get_mut(&id) {
                    table.series_stored = series;
                }
            }
            state.take_dropped()
        };
        let deleted_from = self.state.borrow().deleted_from.iter().copied().collect();
        self.prune_tombstones(deleted_from).await;
        self.note_deletes(flushed_before);
        self.sweep().await;
        self.remove_segments(gone, 0, old_files.into_iter()).await;
        self.wal.release(frozen.lsn).await
    }

    /// Everything up to the edit: gives that, which is now on the disk, and the files that the manifest names no more.
    async fn write_and_place(&self, frozen: &Frozen, written: &mut Written<D>) -> Result<(Edit, Vec<PathBuf>)> {
        self.write_segments(frozen, written).await?;
        self.write_series(frozen, written).await?;
        let stored = async {
            let unchanged = |error| NotStored { error, may_count: false };
            let (edit, old_files) = self.edited(frozen, written).map_err(unchanged)?;
            self.store(&edit).await?;
            Ok((edit, old_files))
        };
        match stored.await {
            Ok(done) => Ok(done),
            Err(NotStored { error, may_count }) => {
                let series = written.series.take();
                let paths = series.iter().flat_map(|(entry, _)| self.series_paths(entry));
                match may_count {
                    // The segments will be in the next edit.
                    true => self.state.borrow_mut().unnamed.extend(paths),
                    false => self.discard(paths).await,
                }
                Err(error)
            }
        }
    }

    /// A series file and its copy.
    fn series_paths(&self, entry: &SeriesFileEntry) -> [PathBuf; 2] {
        let path = self.folders.series.join(&entry.file);
        let copy = copy_of(&path);
        [path, copy]
    }

    /// Writes a segment for each partition that has none yet.
    async fn write_segments(&self, frozen: &Frozen, written: &mut Written<D>) -> Result<()> {
        // Tables may have been dropped since the last try.
        let is_known = |table: u32| self.state.borrow().tables.contains_key(&TableId(table));
        let (kept, gone) = written.segments.drain(..).partition(|(entry, _)| is_known(entry.table));
        written.segments = kept;
        let gone: Vec<(SegmentEntry, Rc<Segment<D>>)> = gone;
        self.discard(gone.iter().map(|(_, segment)| segment.path().to_owned())).await;
        let mut done: BTreeMap<u32, BTreeSet<i64>> = BTreeMap::new();
        for (entry, _) in &written.segments {
            done.entry(entry.table).or_default().insert(entry.partition_start);
        }
        for (table, rows) in frozen.memtable.tables() {
            let length = self.state.borrow().tables.get(&table).map(|known| known.partition_length);
            let Some(length) = length else { continue };
            let done = done.remove(&table.0).unwrap_or_default();
            let order = self.order(rows).await;
            let parts = self.split(order, length).await;
            let mut parts = parts.into_iter().filter(|(start, _)| !done.contains(start)).peekable();
            while parts.peek().is_some() {
                let round: Vec<_> = parts.by_ref().take(ROUND_SEGMENTS).collect();
                self.write_round(frozen, (table, rows), round, written).await?;
            }
        }
        Ok(())
    }

    /// Writes some segments of a table, a few at a time where they are many, and makes their names durable at once.
    async fn write_round(
        &self,
        frozen: &Frozen,
        (table, rows): (TableId, &TableRows),
        parts: Vec<(i64, Order)>,
        written: &mut Written<D>,
    ) -> Result<()> {
        let codecs = &self.columns(table).codecs;
        let series = self.series_mark(table, frozen.memtable.series_count(table).unwrap_or_default()).await;
        let at_once = if parts.len() < SMALL_ROUND_SEGMENTS { 1 } else { SEGMENTS_AT_ONCE };
        let tasks = parts.into_iter().map(|(start, order)| async move {
            let path = self.next_path("seg");
            let input = PartitionRows::new(rows, order);
            let target = Target {
                path: &path,
                table,
                partition_start: start,
                origin: Origin { lsn: frozen.lsn.0, series },
                effort: Effort::Fast,
                codecs,
                sync_folder: false,
            };
            let meta = write_table(&self.disk, &target, &input).await?;
            match Segment::open(&self.disk, &path, &meta, self.cache.clone()).await {
                Ok(segment) => Ok((SegmentEntry { table: table.0, partition_start: start, meta }, segment)),
                Err(error) => {
                    self.discard(std::iter::once(path)).await;
                    Err(error)
                }
            }
        });
        let (mut whole, mut failed) = (Vec::new(), None);
        for segment in together(tasks, at_once).await {
            match segment {
                Ok(segment) => whole.push(segment),
                Err(error) => failed = failed.or(Some(error)),
            }
        }
        if let Err(error) = self.disk.sync_dir(&self.folders.segments).await {
            self.discard(whole.iter().map(|(_, segment)| segment.path().to_owned())).await;
            return Err(error);
        }
        written.segments.extend(whole);
        failed.map_or(Ok(()), Err)
    }

    /// The rows that are not deleted, by (series, time): what scans have put in order is, where none is deleted.
    async fn order(&self, rows: &TableRows) -> Order {
        let (count, deletes) = (rows.rows() as u32, rows.deletes(Deletes::default()));
        let kept = if deletes.is_empty() { rows.kept_orders() } else { Vec::new() };
        let from = kept.last().map_or(0, |last| last.rows.end);
        let mut live = Vec::with_capacity((count - from) as usize);
        for first in (from..count).step_by(LIVE_STEP) {
            let some = first..count.min(first + LIVE_STEP as u32);
            work::charge_each(some.len(), work::LOOK);
            match deletes.is_empty() {
                true => live.extend(some),
                false => live.extend(some.filter(|row| rows.is_live(*row, &deletes))),
            }
            self.disk.yield_if_needed().await;
        }
        let mut sorter = Sorter::new(live);
        let mut order = loop {
            let done = sorter.step(rows.series(), rows.time());
            self.sorting.set(sorter.memory_bytes());
            if let Some(order) = done {
                break order;
            }
            self.disk.yield_if_needed().await;
        };
        // The shortest ones first, so that few rows are moved often.
        for kept in kept.into_iter().rev() {
            let bytes = order.memory_bytes();
            let mut unite = Unite::new(kept.order, Rc::new(order));
            order = loop {
                let done = unite.step();
                self.sorting.set(bytes + unite.memory_bytes());
                if let Some(order) = done {
                    break order;
                }
                self.disk.yield_if_needed().await;
            };
        }
        self.sorting.set(order.memory_bytes());
        order
    }

    /// Ordered rows by the first time of their partition.
    async fn split(&self, order: Order, length: i64) -> BTreeMap<i64, Order> {
        let mut splitter = Splitter::new(order, length);
        loop {
            if let Some(parts) = splitter.step() {
                return parts;
            }
            self.disk.yield_if_needed().await;
        }
    }

    /// The mark of the first `count` series of a table, or of some more.
    pub(super) async fn series_mark(&self, table: TableId, count: u32) -> SeriesMark {
        loop {
            {
                let mut state = self.state.borrow_mut();
                let Some(TableState { series, series_mark, .. }) = state.tables.get_mut(&table) else {
                    return SeriesMark::default();
                };
                if !series_mark.advance(series, count) {
                    return *series_mark;
                }
            }
            self.disk.yield_if_needed().await;
        }
    }

    /// Writes the keys of series that are in no series file, and of the files that are to become one with theirs.
    async fn write_series(&self, frozen: &Frozen, written: &mut Written<D>) -> Result<()> {
        written.series = None;
        let path = self.next_path("keys");
        let mut writer = SeriesWriter::new(self.config.shard);
        let (kept, series) = self.series_to_write(frozen);
        for (id, Range { start: mut next, end: to }) in series {
            while next < to {
                {
                    let state = self.state.borrow();
                    let Some(table) = state.tables.get(&id) else { break };
                    let section = writer.section(id, &table.series, next, to);
                    next = section.map_err(|error| Error::io("compress series for", &path, error))?;
                }
                self.disk.yield_if_needed().await;
            }
        }
        if !writer.counts().is_empty() {
            write_whole(&self.disk, &path, writer.bytes()).await?;
            // Without its keys nobody could say whose a row is, and keys are few beside rows: they are worth two files.
            if let Err(error) = write_whole(&self.disk, &copy_of(&path), writer.bytes()).await {
                self.discard([path].into_iter()).await;
                return Err(error);
            }
            let file = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
            let entry = SeriesFileEntry { file, bytes: writer.bytes().len() as u64 };
            written.series = Some((entry, writer.counts().clone()));
        }
        written.series_replaced = self.state.borrow().manifest.series_files[kept..].to_vec();
        Ok(())
    }

    /// The number of series files that stay, and the series of each live table that are not in them.
    fn series_to_write(&self, frozen: &Frozen) -> (usize, BTreeMap<TableId, Range<u32>>) {
        let state = self.state.borrow();
        let new = |(id, to): (TableId, u32)| Some((id, state.tables.get(&id)?.series_stored..to));
        let mut series: BTreeMap<_, _> = frozen.memtable.series_counts().filter_map(new).collect();
        let files = state.series_files.iter().map(|counts| FileSize {
            series: total(counts.values().copied()),
            live: total(counts.iter().filter(|(id, _)| state.tables.contains_key(id)).map(|(_, count)| *count)),
        });
        let files: Vec<_> = files.collect();
        let new = total(series.values().map(|new| new.end - new.start));
        // The last space there is goes to what is new.
        let kept = if self.is_short() { files.len() } else { first_to_rewrite(&files, new) };
        for (id, count) in state.series_files[kept..].iter().flatten() {
            if let Some(table) = state.tables.get(id) {
                let range = series.entry(*id).or_insert(table.series_stored..table.series_stored);
                range.start = range.start.saturating_sub(*count);
            }
        }
        (kept, series)
    }

    /// The edit that makes what is written live, and the files that the manifest does not name with it.
    fn edited(&self, frozen: &Frozen, written: &Written<D>) -> Result<(Edit, Vec<PathBuf>)> {
        let state = self.state.borrow();
        let mut add_tables = Vec::new();
        let touched: BTreeSet<TableId> =
            frozen.memtable.series_counts().map(|(id, _)| id).chain(frozen.hidden.keys().copied()).collect();
        for id in touched {
            let Some(table) = state.tables.get(&id) else { continue };
            let (known, hidden) = (state.manifest.table(id), frozen.hidden_bytes(id)?);
            if known.is_none_or(|known| known.hidden != hidden) {
                add_tables.push(TableEntry { hidden, ..table.entry(id) });
            }
        }
        // A drop whose edit failed is in memory alone: what is written now has none of its series any more.
        let dropping: Vec<TableId> = state.dropping.keys().copied().collect();
        let series = written.series_replaced.iter().flat_map(|entry| self.series_paths(entry));
        let old = series.chain(self.segments_named(&state.manifest, &dropping)).collect();
        let edit = Edit {
            flushed: Some(frozen.lsn.0),
            next_file: state.next_file,
            add_tables,
            drop_tables: dropping.iter().map(|table| table.0).collect(),
            dropped_lsn: self.wal.appended().0,
            add_segments: written.segments.iter().map(|(entry, _)| entry.clone()).collect(),
            remove_series_files: written.series_replaced.iter().map(|entry| entry.file.clone()).collect(),
            add_series_files: written.series.iter().map(|(entry, _)| entry.clone()).collect(),
            add_tombstones: state.new_tombstones(frozen.lsn)?,
            ..Edit::default()
        };
        Ok((edit, old))
    }

    /// Makes an edit of the manifest durable. Afterwards it is to be made in memory, before anybody waits.
    pub(super) async fn store(&self, edit: &Edit) -> Result<(), NotStored> {
        self.manifest_log.store(&|look| look(&self.state.borrow().manifest), edit).await
    }

    /// A path that was never used before, in the folder of its kind.
    pub(super) fn next_path(&self, extension: &str) -> PathBuf {
        let mut state = self.state.borrow_mut();
        let number = state.next_file;
        state.next_file += 1;
        let folder = if extension == "seg" { &self.folders.segments } else { &self.folders.series };
        folder.join(format!("{number:08}.{extension}"))
    }
}

fn total(counts: impl Iterator<Item = u32>) -> u64 {
    counts.map(u64::from).sum()
}
