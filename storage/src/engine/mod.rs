//! One shard: everything it stores, behind one door.
//!
//! Guarantees:
//!
//! 1. [`Shard::append`] takes a batch whole, makes it visible to scans and queues its log record; when
//!    [`Shard::durable`] returns for its LSN, the batch survives a crash (see [`WalSync`](crate::wal::WalSync) for
//!    which). [`Shard::append_all`] takes several so, of tables that are not over ([`life`]).
//! 2. [`Shard::scan`] sees every batch appended before it and none after, each (series, time) once, with the newest
//!    value of each field.
//! 3. [`Shard::delete`] is taken in the order of the log, like a batch: see [`delete`].
//! 4. A failure of the log ends appends and deletes until [`Shard::heal`] has succeeded, and nothing else: scans and
//!    flushes go on.
//! 5. Without space on the disk appends and deletes are refused ([`is_no_space`](crate::Error::is_no_space)), scans go
//!    on, and a reserve ([`space`]) lets flushes, drops and expiry be done; writes are taken again by themselves when
//!    there is space.
//! 6. A panic within a change ([`guarded`]), or any that the caller says was met here ([`Shard::abandon`]), ends the
//!    shard's work and nothing else: it is not sound ([`Shard::check_sound`]) until the next start, which reads what
//!    was acknowledged.
//!
//! How: rows live in the active memtable until it is large, then in the frozen one while [`flush`] writes it into
//! segments, then in those, which the manifest names in one edit together with the LSN up to which the log is not
//! needed any more. At a start [`recovery`](crate::recovery) loads what the manifest names and replays the log after
//! that LSN. [`compact`] merges segments. Nothing is spawned and nothing sleeps: the caller polls [`Shard::run_wal`],
//! [`Shard::run_flush`] and [`Shard::run_compaction`], which end after [`Shard::close`], and says what time it is
//! by [`Shard::tick`].

mod append;
mod columns;
mod compact;
mod config;
mod delete;
mod emptied;
mod expire;
mod flush;
pub(crate) mod folders;
mod guarded;
mod life;
mod look;
mod quarantine;
mod select;
mod snapshot;
mod sound;
mod space;
pub(crate) mod state;
mod stats;
mod stock;

use std::cell::{Cell, OnceCell, Ref, RefCell};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::path::Path;
use std::rc::Rc;

use crate::batch::NewSeries;
use crate::cache::Cache;
use crate::compaction::Pace;
use crate::compaction::agenda::{Agenda, Spot};
use crate::disk::Disk;
use crate::error::Result;
use crate::manifest::ManifestLog;
use crate::memtable::Memtable;
use crate::schema::{SeriesId, TableId};
use crate::segment::Segment;
use crate::series::SeriesIndex;
use crate::signal::Signal;
use crate::tombstone::Deletes;
use crate::wal::{Lsn, Wal, WalConfig};
use columns::Columns;
use compact::Clock;
pub use config::ShardConfig;
pub use delete::SeriesSelection;
pub use expire::Expired;
use flush::Written;
use folders::Folders;
use guarded::Guarded;
pub use quarantine::{DamagedRows, Quarantined};
pub use snapshot::Snapshot;
use space::Reserve;
use state::{State, TableState};
use stats::Counts;
pub use stats::{ShardMemory, ShardStats, TableTotals};
use stock::Stock;

/// What [`Shard::append`] has done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Appended {
    /// To wait for with [`Shard::durable`].
    pub lsn: Lsn,
    /// The ids of the batch's new keys, by ordinal.
    pub new_series: Vec<SeriesId>,
}

/// One shard. Behind an `Rc`; its methods take `&self`.
pub struct Shard<D: Disk> {
    disk: D,
    folders: Folders,
    config: ShardConfig,
    wal: Wal<D>,
    cache: Rc<Cache>,
    state: Guarded<State<D>>,
    /// [`Wal::live_bytes`] when a memtable was frozen last.
    log_bytes_frozen: Cell<u64>,
    /// Why nothing more is taken, once a fault of the server was met here.
    abandoned: OnceCell<String>,
    /// Someone changes the manifest.
    editing: Cell<bool>,
    closing: Cell<bool>,
    counts: Cell<Counts>,
    pace: Pace,
    compacting: Cell<bool>,
    /// What there is to merge.
    agenda: RefCell<Agenda>,
    /// The partition behind which the next ones are looked at for whether they are cold.
    cold_from: Cell<Option<Spot>>,
    /// Files of the frozen memtable that are written: a flush that failed goes on from there.
    written: RefCell<Written<D>>,
    reserve: Reserve,
    /// The task of the log has ended.
    log_ended: Cell<bool>,
    manifest_log: ManifestLog<D>,
    /// Memory of the flush that is under way, beside the rows.
    sorting: Cell<usize>,
    /// Files of damaged segments.
    quarantined: RefCell<BTreeSet<String>>,
    detached_files: Cell<u64>,
    /// What all tables have, where they are many.
    stock: Cell<Option<Stock>>,
    /// Tables that are over.
    ended: RefCell<BTreeSet<TableId>>,
    /// What the catalog says of columns, of tables with dropped ones or codecs.
    columns: RefCell<BTreeMap<TableId, Columns>>,
    clock: Cell<Option<Clock>>,
    /// An edit ended, a flush became due, or the shard is closing.
    changed: Signal,
}

impl<D: Disk> Shard<D> {
    /// Opens the shard in `folder`, which is made if it is not there, and recovers what was acknowledged. Tables that
    /// are not live were dropped: what is left of them is forgotten.
    pub async fn open(
        disk: D,
        folder: &Path,
        config: ShardConfig,
        is_live: &dyn Fn(TableId) -> bool,
    ) -> Result<(Rc<Self>, crate::recovery::Recovery)> {
        config.check()?;
        let folders = Folders::new(folder);
        let cache = Cache::with_files(config.cache_bytes_max, config.open_segments_max);
        let loaded = crate::recovery::load(&disk, &folders, config.shard, &cache, is_live).await?;
        let crate::recovery::Loaded {
            tables,
            active,
            manifest,
            series_files,
            manifest_log,
            next_file,
            detached_files,
            wal,
            recovery,
        } = loaded;
        let wal_config = WalConfig { shard: config.shard, sync: config.wal_sync, file_bytes: config.wal_file_bytes };
        let wal = Wal::open(disk.clone(), &folders.wal, wal_config, wal).await?;
        let pace = Pace::new(config.compaction.bytes_per_s);
        let of_tables = |has: &dyn Fn(&TableState<D>) -> bool| -> BTreeSet<TableId> {
            tables.iter().filter(|(_, table)| has(table)).map(|(id, _)| *id).collect()
        };
        let shard = Self {
            disk,
            folders,
            config,
            wal,
            cache,
            state: Guarded::new(State {
                deleted_from: of_tables(&|table| !table.tombstones.as_slice().is_empty()),
                hidden_in: of_tables(&|table| !table.series.hidden().is_empty()),
                tables,
                dropping: BTreeMap::new(),
                active,
                generation: 0,
                pin: Rc::default(),
                retired: VecDeque::new(),
                frozen: None,
                idle: None,
                manifest,
                series_files,
                next_file,
                unnamed: Vec::new(),
                condemned: Vec::new(),
            }),
            log_bytes_frozen: Cell::default(),
            abandoned: OnceCell::default(),
            editing: Cell::default(),
            closing: Cell::default(),
            counts: Cell::default(),
            pace,
            compacting: Cell::default(),
            agenda: RefCell::default(),
            cold_from: Cell::default(),
            written: RefCell::default(),
            reserve: Reserve::default(),
            log_ended: Cell::default(),
            manifest_log,
            sorting: Cell::default(),
            quarantined: RefCell::default(),
            detached_files: Cell::new(detached_files),
            stock: Cell::default(),
            ended: RefCell::default(),
            columns: RefCell::default(),
            clock: Cell::default(),
            changed: Signal::default(),
        };
        shard.note_all();
        shard.open_reserve().await?;
        Ok((Rc::new(shard), recovery))
    }

    /// Waits until the record `lsn` is as safe as `wal_sync` says.
    pub async fn durable(&self, lsn: Lsn) -> Result<()> {
        self.wal.durable(lsn).await
    }

    /// The task that writes the log: polled by one task from the start until [`Shard::close`]. An error ends it, and
    /// with it appends, until [`Shard::heal`] has succeeded; then it is to be polled anew.
    pub async fn run_wal(&self) -> Result<()> {
        let log = async {
            let ended = self.wal.run().await;
            self.log_ended.set(true);
            self.changed.notify();
            ended
        };
        self.log_ended.set(false);
        let (ended, ()) = futures_lite::future::zip(log, self.keep_reserve()).await;
        ended
    }

    /// Takes appends again after a failure of the log: everything in memory goes into segments, and a new log file must
    /// prove that what is written can be read back. To be called when [`Shard::run_wal`] has ended with an error, with
    /// pauses that are the caller's to choose; after an error the shard refuses appends as before.
    pub async fn heal(&self) -> Result<()> {
        self.check_sound()?;
        if self.wal.failure().is_none() {
            return Ok(());
        }
        self.flush().await?;
        self.wal.heal(self.flushed_lsn()).await
    }

    /// Makes everything appended so far durable, whatever `wal_sync` says. Needs [`Shard::run_wal`] to be polled.
    pub async fn sync_wal(&self) -> Result<()> {
        self.wal.sync().await
    }

    /// Takes no more appends, commits and syncs the log, lets a flush in progress end, breaks off a merge, and ends the
    /// tasks. Rows in memory stay in the log; a caller that wants a fast next start flushes before.
    pub async fn close(&self) -> Result<()> {
        if self.check_sound().is_err() {
            self.close_unsound();
            return Ok(());
        }
        self.closing.set(true);
        self.pace.stop();
        self.changed.notify();
        self.changed.until(|| (!self.compacting.get()).then_some(())).await;
        let _edit = self.edit().await;
        self.remove_unread().await;
        self.wal.close().await
    }

    /// The series of a table, if it has any rows here. Not to be held while waiting: appends change it.
    pub fn series(&self, table: TableId) -> Option<Ref<'_, SeriesIndex>> {
        Ref::filter_map(self.state.borrow(), |state| state.tables.get(&table).map(|table| &table.series)).ok()
    }

    /// Lets other tasks of the core run, if they have waited long enough.
    pub async fn yield_if_needed(&self) {
        self.disk.yield_if_needed().await;
    }

    /// Least and greatest time that rows of a table may have; `None` when it has none here.
    pub fn time_bounds(&self, table: TableId) -> Option<(i64, i64)> {
        let state = self.state.borrow();
        let known = state.tables.get(&table)?;
        known.bounds(table, state.memtables())
    }

    /// First times of the partitions that rows of a table lie in, those not counted all of whose rows one delete of all
    /// series covers.
    pub fn partitions(&self, table: TableId) -> BTreeSet<i64> {
        let state = self.state.borrow();
        let Some(known) = state.tables.get(&table) else { return BTreeSet::new() };
        let times = |start: i64| (start, start.saturating_add(known.partition_length - 1));
        let is_live =
            |start: i64, segment: &Segment<D>| !known.tombstones.of(segment.meta()).cover_all_series(times(start));
        let stored = known.partitions.iter().map(|(start, segments)| (*start, segments));
        let stored = stored.filter(|(start, segments)| segments.iter().any(|segment| is_live(*start, segment)));
        let stored = stored.map(|(start, _)| start);
        let unreadable = known.unreadable.keys().copied();
        let flushing = state.frozen.as_ref().and_then(|frozen| {
            let rows = frozen.memtable.table(table)?;
            Some((rows, known.tombstones.after(frozen.lsn())))
        });
        let active = state.active.table(table).map(|rows| (rows, Deletes::default()));
        let memory = flushing.into_iter().chain(active).flat_map(|(rows, later)| {
            let deletes = rows.deletes(later);
            rows.partitions().filter(move |start| !rows.are_deleted(times(*start), &deletes))
        });
        stored.chain(unreadable).chain(memory).collect()
    }

    /// The last record appended. Where it has not moved for a while and [`Shard::has_unflushed`] says so, an idle
    /// memtable may be flushed.
    pub fn lsn(&self) -> Lsn {
        self.wal.appended()
    }

    /// Whether rows are in memory only, or deletes, apart from the log.
    pub fn has_unflushed(&self) -> bool {
        let state = self.state.borrow();
        let flushed = Lsn(state.manifest.flushed_lsn);
        let mut tombstones = state.with_tombstones().filter_map(|(_, table)| table.tombstones.as_slice().last());
        state.memtables().any(|memtable| memtable.rows() > 0) || tombstones.any(|tombstone| tombstone.lsn > flushed)
    }

    /// Bytes of rows in memory, the measure against `memtable_bytes_max`; cheap enough to be asked after each append.
    pub fn memtable_bytes(&self) -> u64 {
        self.state.borrow().memtables().map(Memtable::bytes).sum()
    }

    /// Bytes of the log since rows were last taken up by a flush; those that were there at the start count too.
    pub(super) fn log_bytes(&self) -> u64 {
        self.wal.live_bytes().saturating_sub(self.log_bytes_frozen.get())
    }

    /// The number of the memtable that takes appends; another one follows with each flush.
    pub fn generation(&self) -> u64 {
        self.state.borrow().generation
    }

    /// Whether the rows in memory are enough for a flush; a caller that runs none of the tasks flushes then.
    pub fn wants_flush(&self) -> bool {
        self.is_flush_due(&self.state.borrow().active)
    }

    /// Memory held now.
    pub fn memory(&self) -> ShardMemory {
        let (stock, state) = (self.stock(), self.state.borrow());
        ShardMemory {
            active: state.active.bytes(),
            flushing: state.frozen.as_ref().map_or(0, |frozen| frozen.memtable.bytes()),
            retired: state.retired_bytes(),
            sorting: self.sorting.get() as u64,
            ordered: state.memtables().map(Memtable::ordered_bytes).sum(),
            idle: state
                .memtables()
                .map(|memtable| memtable.reserved() - memtable.bytes().min(memtable.reserved()))
                .sum::<u64>()
                + state.idle.as_ref().map_or(0, Memtable::reserved),
            wal_pending: self.wal.pending_bytes() as u64,
            cache: self.cache.stats().bytes,
            index: stock.index_bytes,
            segments: stock.footer_bytes,
        }
    }

    /// Bounds the block cache anew, for when the server is short of memory, and when it no longer is.
    pub fn set_cache_bytes_max(&self, bytes_max: u64) {
        self.cache.set_bytes_max(bytes_max);
    }

    /// Bytes of blocks in the cache.
    pub fn cache_bytes(&self) -> u64 {
        self.cache.stats().bytes
    }

    /// Gives back the memory kept for the next memtable, and that of orders kept for the next scans.
    pub fn release_idle_memory(&self) {
        let mut state = self.state.borrow_mut();
        state.idle = None;
        state.memtables().for_each(Memtable::forget_orders);
    }

    /// Which of these keys, each a new one as [`WriteBatch::new_series`](crate::batch::WriteBatch::new_series) has
    /// them, belong to no series yet.
    pub fn unknown_series(&self, table: TableId, keys: &NewSeries) -> usize {
        let state = self.state.borrow();
        let Some(known) = state.tables.get(&table) else { return keys.len() };
        (0..keys.len()).filter(|ordinal| known.series.find(keys.key(*ordinal)).is_none()).count()
    }

    /// Counts and sizes.
    pub fn stats(&self) -> ShardStats {
        let stock = self.stock();
        let (state, counts, wal) = (self.state.borrow(), self.counts.get(), self.wal.stats());
        ShardStats {
            rows_appended: counts.rows,
            batches_appended: counts.batches,
            lsn: self.wal.appended(),
            wal_bytes: wal.bytes,
            wal_commits: wal.commits,
            wal_syncs: wal.syncs,
            wal_files: wal.files,
            wal_failed: self.wal.failure().is_some(),
            no_space: self.wal.is_stalled() || self.is_short(),
            memtable_rows: state.memtables().map(Memtable::rows).sum(),
            flushes: counts.flushes,
            flush_failures: counts.flush_failures,
            rows_flushed: counts.rows_flushed,
            deletes: counts.deletes,
            tombstones: state.with_tombstones().map(|(_, table)| table.tombstones.as_slice().len() as u64).sum(),
            segments_expired: counts.segments_expired,
            merges: counts.merges,
            merge_failures: counts.merge_failures,
            rows_merged: counts.rows_merged,
            merging: self.compacting.get(),
            merge_read_bytes: self.pace.moved().0,
            merge_written_bytes: self.pace.moved().1,
            merge_debt_bytes: self.merge_debt_bytes(),
            segments_quarantined: stock.quarantined,
            detached_files: self.detached_files.get(),
            corrupt_blocks: stock.corrupt_blocks,
            segments: stock.segments,
            segments_open: self.cache.files().count() as u64,
            memtable_partitions: state.memtables().map(|memtable| memtable.partitions() as u64).sum(),
            segment_bytes: stock.segment_bytes,
            segment_rows: stock.segment_rows,
            series: stock.series,
            series_hidden: stock.series_hidden,
            tables: state.tables.len() as u64,
            cache: self.cache.stats(),
            memory: self.memory(),
        }
    }

    /// What each table holds, by its id.
    pub fn table_totals(&self) -> BTreeMap<TableId, TableTotals> {
        let state = self.state.borrow();
        let mut totals: BTreeMap<TableId, TableTotals> = BTreeMap::new();
        for (id, table) in &state.tables {
            let total = totals.entry(*id).or_default();
            total.series = table.series.live_len() as u64;
            for segment in table.segments() {
                total.rows += segment.meta().rows;
                total.bytes += segment.meta().bytes;
            }
        }
        for (id, rows) in state.memtables().flat_map(Memtable::tables) {
            totals.entry(id).or_default().rows += rows.rows() as u64;
        }
        totals
    }

    /// Rows of a table, in memory and in segments; one that was written again may count twice.
    pub fn rows(&self, table: TableId) -> u64 {
        let state = self.state.borrow();
        let in_segments = state.tables.get(&table).map_or(0, |table| table.segments().map(|s| s.meta().rows).sum());
        let in_memory = state.memtables().filter_map(|memtable| memtable.table(table)).map(|rows| rows.rows() as u64);
        in_memory.sum::<u64>() + in_segments
    }

    /// Waits for the right to change the manifest.
    async fn edit(&self) -> EditGuard<'_, D> {
        self.changed.until(|| (!self.editing.replace(true)).then_some(())).await;
        EditGuard { shard: self }
    }

    fn count(&self, change: impl FnOnce(&mut Counts)) {
        let mut counts = self.counts.get();
        change(&mut counts);
        self.counts.set(counts);
    }
}

/// The right to change the manifest.
struct EditGuard<'a, D: Disk> {
    shard: &'a Shard<D>,
}

impl<D: Disk> Drop for EditGuard<'_, D> {
    fn drop(&mut self) {
        self.shard.editing.set(false);
        self.shard.changed.notify();
    }
}
