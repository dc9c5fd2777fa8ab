//! One shard: everything it stores, behind one door.
//!
//! Guarantees:
//!
//! 1. [`Shard::append`] takes a batch whole, makes it visible to scans and queues its log record; when
//!    [`Shard::durable`] returns for its LSN, the batch survives a crash (see [`WalSync`] for which).
//! 2. [`Shard::scan`] sees every batch appended before it and none after, each (series, time) once, with the newest
//!    value of each field.
//! 3. [`Shard::delete`] is taken in the order of the log, like a batch: see [`delete`].
//! 4. A failure of the log ends appends and deletes until [`Shard::heal`] has succeeded, and nothing else: scans and
//!    flushes go on.
//! 5. Without space on the disk appends and deletes are refused ([`Error::is_no_space`]), scans go on, and a reserve
//!    ([`space`]) lets flushes, drops and expiry be done; writes are taken again by themselves when there is space.
//!
//! How: rows live in the active memtable until it is large, then in the frozen one while [`flush`] writes it into
//! segments, then in those, which the manifest names in one edit together with the LSN up to which the log is not
//! needed any more. At a start [`recovery`](crate::recovery) loads what the manifest names and replays the log after
//! that LSN. [`compact`] merges segments. Nothing is spawned and nothing sleeps: the caller polls [`Shard::run_wal`],
//! [`Shard::run_flush`] and [`Shard::run_compaction`], which end after [`Shard::close`], and tells the time by
//! [`Shard::tick`].

mod append;
mod columns;
mod compact;
mod delete;
mod expire;
mod flush;
pub(crate) mod quarantine;
mod snapshot;
pub(crate) mod space;

use std::cell::{Cell, Ref, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::Duration;

use crate::batch::NewSeries;
use crate::cache::{Cache, CacheStats};
use crate::compaction::{CompactionConfig, Pace};
use crate::disk::{DISK_ALIGN, Disk};
use crate::error::{Error, Result};
use crate::manifest::{Manifest, TableEntry};
use crate::memtable::Memtable;
use crate::schema::{SeriesId, TableId};
use crate::segment::{Segment, SegmentMeta};
use crate::series::SeriesIndex;
use crate::series::file::SeriesCounts;
use crate::signal::Signal;
use crate::tombstone::Tombstone;
use crate::wal::{Lsn, Wal, WalConfig, WalSync};
use columns::Columns;
use compact::Clock;
pub use delete::SeriesSelection;
use flush::Frozen;
pub use quarantine::Quarantined;
use quarantine::Unreadable;
use space::Reserve;

/// How a shard is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ShardConfig {
    /// Number of the shard in its data directory; its files carry it.
    pub shard: u32,
    /// When a write is acknowledged.
    pub wal_sync: WalSync,
    /// Size of a log file. A batch that does not fit into a quarter of one is logged in pieces.
    pub wal_file_bytes: u64,
    /// Log records waiting to be written; beyond, appends are refused.
    pub wal_pending_bytes_max: u64,
    /// Rows in memory that make a flush due.
    pub flush_bytes: u64,
    /// Rows in memory, flushing ones included; beyond, appends are refused. The caller is expected to hold writes back
    /// before that, by [`Shard::memory`].
    pub memtable_bytes_max: u64,
    /// Blocks of segments kept in memory.
    pub cache_bytes_max: u64,
    /// Space kept for flushes, small merges, drops and expiry, for when the disk is full otherwise; 0 for none.
    pub reserve_bytes: u64,
    /// When and how fast segments are merged.
    pub compaction: CompactionConfig,
}

impl ShardConfig {
    /// Defaults for shard number `shard`.
    pub fn new(shard: u32) -> Self {
        const MIB: u64 = 1 << 20;
        Self {
            shard,
            wal_sync: WalSync::Always,
            // A devops row takes some 15 bytes: a million rows a file, and a change of files each second at most.
            wal_file_bytes: 16 * MIB,
            wal_pending_bytes_max: 32 * MIB,
            // 700,000 devops rows: blocks of segments are full, and sorting them takes some 40 ms.
            flush_bytes: 64 * MIB,
            memtable_bytes_max: 192 * MIB,
            cache_bytes_max: 128 * MIB,
            // A flush packs its 64 MiB of rows into some 5 to 15.
            reserve_bytes: 16 * MIB,
            compaction: CompactionConfig::default(),
        }
    }

    /// Rows in memory that make a flush due. Never more than are taken: else a full memtable would wait for a flush that
    /// waits for more rows.
    fn flush_at(&self) -> u64 {
        self.flush_bytes.min(self.memtable_bytes_max)
    }

    fn check(&self) -> Result<()> {
        /// Room for a header and for commits that are worth a change of files.
        const WAL_FILE_BYTES_MIN: u64 = 64 << 10;
        let blocks = self.wal_file_bytes.is_multiple_of(DISK_ALIGN as u64);
        if !blocks || !(WAL_FILE_BYTES_MIN..=u64::from(u32::MAX)).contains(&self.wal_file_bytes) {
            return Err(Error::Rejected(format!(
                "a log file of {} bytes: wanted is a multiple of {DISK_ALIGN} from {WAL_FILE_BYTES_MIN} to 4 GiB",
                self.wal_file_bytes
            )));
        }
        Ok(())
    }
}

/// What [`Shard::append`] has done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Appended {
    /// To wait for with [`Shard::durable`].
    pub lsn: Lsn,
    /// The ids of the batch's new keys, by ordinal.
    pub new_series: Vec<SeriesId>,
}

/// Memory that a shard holds, in bytes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ShardMemory {
    /// Rows that take appends.
    pub active: u64,
    /// Rows on their way into segments.
    pub flushing: u64,
    /// Their order.
    pub sorting: u64,
    /// Reserved for rows to come, and not used now.
    pub idle: u64,
    /// Log records not yet written.
    pub wal_pending: u64,
    /// Blocks of segments.
    pub cache: u64,
    /// Series and their tags.
    pub index: u64,
    /// Footers of open segments.
    pub segments: u64,
}

impl ShardMemory {
    /// What a write adds to, and a flush takes away: the measure against `memtable_bytes_max`.
    pub fn memtable(&self) -> u64 {
        self.active + self.flushing
    }

    /// All of it.
    pub fn total(&self) -> u64 {
        let Self { active, flushing, sorting, idle, wal_pending, cache, index, segments } = *self;
        active + flushing + sorting + idle + wal_pending + cache + index + segments
    }
}

/// Counts since the shard was opened, and what it holds now.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct ShardStats {
    /// Rows appended.
    pub rows_appended: u64,
    /// Batches appended.
    pub batches_appended: u64,
    /// Last log record queued.
    pub lsn: Lsn,
    /// Bytes written to the log, padding included.
    pub wal_bytes: u64,
    /// Writes to the log.
    pub wal_commits: u64,
    /// Syncs of the log.
    pub wal_syncs: u64,
    /// Log files.
    pub wal_files: u64,
    /// Whether the log has failed, so that appends are refused.
    pub wal_failed: bool,
    /// Whether appends are refused for want of space.
    pub no_space: bool,
    /// Rows in memory.
    pub memtable_rows: u64,
    /// Flushes done.
    pub flushes: u64,
    /// Flushes that failed; their rows stay in memory.
    pub flush_failures: u64,
    /// Rows written to segments.
    pub rows_flushed: u64,
    /// Deletes taken.
    pub deletes: u64,
    /// Deletes that merges have not yet applied to every segment.
    pub tombstones: u64,
    /// Segments removed because they were too old.
    pub segments_expired: u64,
    /// Merges of segments done.
    pub merges: u64,
    /// Merges that failed; they changed nothing.
    pub merge_failures: u64,
    /// Rows read by merges.
    pub rows_merged: u64,
    /// Whether a merge is under way.
    pub merging: bool,
    /// Bytes read by merges.
    pub merge_read_bytes: u64,
    /// Bytes written by merges.
    pub merge_written_bytes: u64,
    /// Bytes that the merges due now have to read.
    pub merge_debt_bytes: u64,
    /// Segments that turned out to be damaged, and are not merged; see [`Shard::quarantined`].
    pub segments_quarantined: u64,
    /// Damaged blocks of segments, footers among them.
    pub corrupt_blocks: u64,
    /// Live segments.
    pub segments: u64,
    /// Their bytes.
    pub segment_bytes: u64,
    /// Their rows; one that was written again counts twice.
    pub segment_rows: u64,
    /// Series of all tables, those not counted that are hidden.
    pub series: u64,
    /// Series all of whose rows were deleted; see [`SeriesIndex::live`].
    pub series_hidden: u64,
    /// Tables with rows or series.
    pub tables: u64,
    /// Blocks kept in memory.
    pub cache: CacheStats,
    /// Memory held.
    pub memory: ShardMemory,
}

/// One shard. Behind an `Rc`; its methods take `&self`.
pub struct Shard<D: Disk> {
    disk: D,
    folders: Folders,
    config: ShardConfig,
    wal: Wal<D>,
    cache: Rc<Cache>,
    state: RefCell<State<D>>,
    /// Someone changes the manifest.
    editing: Cell<bool>,
    closing: Cell<bool>,
    counts: Cell<Counts>,
    pace: Pace,
    compacting: Cell<bool>,
    /// Segments or the time have changed since there was nothing to merge.
    unsettled: Cell<bool>,
    /// Bytes of merges that are due.
    debt_bytes: Cell<u64>,
    reserve: Reserve,
    /// The task of the log has ended.
    log_ended: Cell<bool>,
    /// The disk has a manifest.
    manifest_stored: Cell<bool>,
    /// Memory of the flush that is under way, beside the rows.
    sorting: Cell<usize>,
    /// Files of damaged segments.
    quarantined: RefCell<BTreeSet<String>>,
    /// What the catalog says of columns, of tables with dropped ones or codecs.
    columns: RefCell<BTreeMap<TableId, Columns>>,
    clock: Cell<Option<Clock>>,
    /// An edit ended, a flush became due, or the shard is closing.
    changed: Signal,
}

/// Where a shard's files are.
#[derive(Debug, Clone)]
pub(crate) struct Folders {
    pub(crate) root: PathBuf,
    pub(crate) wal: PathBuf,
    pub(crate) segments: PathBuf,
    pub(crate) series: PathBuf,
}

/// All that changes and is looked at without waiting.
pub(crate) struct State<D: Disk> {
    pub(crate) tables: BTreeMap<TableId, TableState<D>>,
    /// Tables dropped since the start: what still comes for them is refused.
    dropped: BTreeSet<TableId>,
    pub(crate) active: Memtable,
    frozen: Option<Rc<Frozen>>,
    /// Empty, with memory for the next active one.
    idle: Option<Memtable>,
    pub(crate) manifest: Manifest,
    /// What is in each of the manifest's series files.
    series_files: Vec<SeriesCounts>,
    /// The number that the next file gets.
    next_file: u64,
    /// Files that are not wanted: to be removed when a manifest is on the disk that does not name them.
    unnamed: Vec<PathBuf>,
}

/// What is known of a table.
pub(crate) struct TableState<D: Disk> {
    pub(crate) partition_length: i64,
    /// Rows before this time do not exist.
    pub(crate) horizon: i64,
    pub(crate) series: SeriesIndex,
    /// Series that are in series files.
    pub(crate) series_stored: u32,
    /// Series that are in series files or log records.
    pub(crate) series_logged: u32,
    /// Deletes that are not yet applied to every segment, in the order of the log.
    pub(crate) tombstones: Vec<Rc<Tombstone>>,
    /// By first time, the oldest segment first.
    pub(crate) partitions: BTreeMap<i64, Vec<Rc<Segment<D>>>>,
    /// Segments that cannot be opened, by the same times.
    pub(crate) unreadable: BTreeMap<i64, Vec<Unreadable>>,
    /// When partitions were last flushed to; those that are missing were not since the start.
    changed: BTreeMap<i64, Duration>,
}

#[derive(Debug, Clone, Copy, Default)]
struct Counts {
    rows: u64,
    batches: u64,
    flushes: u64,
    flush_failures: u64,
    rows_flushed: u64,
    deletes: u64,
    segments_expired: u64,
    merges: u64,
    merge_failures: u64,
    rows_merged: u64,
}

impl Folders {
    pub(crate) fn new(root: &Path) -> Self {
        Self {
            root: root.to_owned(),
            wal: root.join("wal"),
            segments: root.join("segments"),
            series: root.join("series"),
        }
    }
}

impl<D: Disk> TableState<D> {
    pub(crate) fn new(partition_length: i64) -> Self {
        Self {
            partition_length: partition_length.max(1),
            horizon: i64::MIN,
            series: SeriesIndex::default(),
            series_stored: 0,
            series_logged: 0,
            tombstones: Vec::new(),
            partitions: BTreeMap::new(),
            unreadable: BTreeMap::new(),
            changed: BTreeMap::new(),
        }
    }

    fn entry(&self, id: TableId) -> TableEntry {
        // What is hidden is said by flushes alone.
        TableEntry { table: id.0, partition_length: self.partition_length, horizon: self.horizon, hidden: Vec::new() }
    }

    pub(crate) fn segments(&self) -> impl Iterator<Item = &Rc<Segment<D>>> {
        self.partitions.values().flatten()
    }

    /// Of all segments in the manifest, also of those that cannot be opened.
    fn metas(&self) -> impl Iterator<Item = &SegmentMeta> {
        let unreadable = self.unreadable.values().flatten().map(|segment| &segment.meta);
        self.segments().map(|segment| segment.meta()).chain(unreadable)
    }
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
        let cache = Cache::new(config.cache_bytes_max);
        let loaded = crate::recovery::load(&disk, &folders, config.shard, &cache, is_live).await?;
        let crate::recovery::Loaded { tables, active, manifest, series_files, manifest_stored, wal, recovery } = loaded;
        let wal_config = WalConfig { shard: config.shard, sync: config.wal_sync, file_bytes: config.wal_file_bytes };
        let wal = Wal::open(disk.clone(), &folders.wal, wal_config, wal).await?;
        let next_file = manifest.next_file;
        let pace = Pace::new(config.compaction.bytes_per_s);
        let shard = Self {
            disk,
            folders,
            config,
            wal,
            cache,
            state: RefCell::new(State {
                tables,
                dropped: BTreeSet::new(),
                active,
                frozen: None,
                idle: None,
                manifest,
                series_files,
                next_file,
                unnamed: Vec::new(),
            }),
            editing: Cell::default(),
            closing: Cell::default(),
            counts: Cell::default(),
            pace,
            compacting: Cell::default(),
            unsettled: Cell::new(true),
            debt_bytes: Cell::default(),
            reserve: Reserve::default(),
            log_ended: Cell::default(),
            manifest_stored: Cell::new(manifest_stored),
            sorting: Cell::default(),
            quarantined: RefCell::default(),
            columns: RefCell::default(),
            clock: Cell::default(),
            changed: Signal::default(),
        };
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
        self.closing.set(true);
        self.pace.stop();
        self.changed.notify();
        self.changed.until(|| (!self.compacting.get()).then_some(())).await;
        let _edit = self.edit().await;
        self.wal.close().await
    }

    /// The series of a table, if it has any rows here. Not to be held while waiting: appends change it.
    pub fn series(&self, table: TableId) -> Option<Ref<'_, SeriesIndex>> {
        Ref::filter_map(self.state.borrow(), |state| state.tables.get(&table).map(|table| &table.series)).ok()
    }

    /// Least and greatest time that rows of a table may have; `None` when it has none here.
    pub fn time_bounds(&self, table: TableId) -> Option<(i64, i64)> {
        let state = self.state.borrow();
        let known = state.tables.get(&table)?;
        let segments = known.metas().map(|meta| (meta.time_min, meta.time_max));
        let memory = state.memtables().filter_map(|memtable| Some(memtable.table(table)?.time_bounds()));
        let bounds = segments.chain(memory).reduce(|all, one| (all.0.min(one.0), all.1.max(one.1)))?;
        (bounds.1 >= known.horizon).then_some((bounds.0.max(known.horizon), bounds.1))
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
        let mut tombstones = state.tables.values().filter_map(|table| table.tombstones.last());
        state.memtables().any(|memtable| memtable.rows() > 0) || tombstones.any(|tombstone| tombstone.lsn > flushed)
    }

    /// Bytes of rows in memory, the measure against `memtable_bytes_max`; cheap enough to be asked after each append.
    pub fn memtable_bytes(&self) -> u64 {
        self.state.borrow().memtables().map(Memtable::bytes).sum()
    }

    /// Memory held now.
    pub fn memory(&self) -> ShardMemory {
        let state = self.state.borrow();
        ShardMemory {
            active: state.active.bytes(),
            flushing: state.frozen.as_ref().map_or(0, |frozen| frozen.memtable.bytes()),
            sorting: self.sorting.get() as u64,
            idle: state
                .memtables()
                .map(|memtable| memtable.reserved() - memtable.bytes().min(memtable.reserved()))
                .sum::<u64>()
                + state.idle.as_ref().map_or(0, Memtable::reserved),
            wal_pending: self.wal.pending_bytes() as u64,
            cache: self.cache.stats().bytes,
            index: state.tables.values().map(|table| table.series.memory_bytes() as u64).sum(),
            segments: state.tables.values().flat_map(TableState::segments).map(|segment| segment.memory_bytes()).sum(),
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

    /// Gives back the memory kept for the next memtable.
    pub fn release_idle_memory(&self) {
        self.state.borrow_mut().idle = None;
    }

    /// Which of these keys, each a new one as [`WriteBatch::new_series`](crate::batch::WriteBatch::new_series) has them,
    /// belong to no series yet.
    pub fn unknown_series(&self, table: TableId, keys: &NewSeries) -> usize {
        let state = self.state.borrow();
        let Some(known) = state.tables.get(&table) else { return keys.len() };
        (0..keys.len()).filter(|ordinal| known.series.find(keys.key(*ordinal)).is_none()).count()
    }

    /// Counts and sizes.
    pub fn stats(&self) -> ShardStats {
        let quarantined = self.quarantined();
        let (state, counts, wal) = (self.state.borrow(), self.counts.get(), self.wal.stats());
        let segments = || state.tables.values().flat_map(TableState::segments).map(|segment| segment.meta());
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
            tombstones: state.tables.values().map(|table| table.tombstones.len() as u64).sum(),
            segments_expired: counts.segments_expired,
            merges: counts.merges,
            merge_failures: counts.merge_failures,
            rows_merged: counts.rows_merged,
            merging: self.compacting.get(),
            merge_read_bytes: self.pace.moved().0,
            merge_written_bytes: self.pace.moved().1,
            merge_debt_bytes: self.debt_bytes.get(),
            segments_quarantined: quarantined.len() as u64,
            corrupt_blocks: quarantined.iter().map(|segment| segment.damage.len() as u64).sum(),
            segments: segments().count() as u64,
            segment_bytes: segments().map(|meta| meta.bytes).sum(),
            segment_rows: segments().map(|meta| meta.rows).sum(),
            series: state.tables.values().map(|table| table.series.live_len() as u64).sum(),
            series_hidden: state.tables.values().map(|table| table.series.hidden_len() as u64).sum(),
            tables: state.tables.len() as u64,
            cache: self.cache.stats(),
            memory: self.memory(),
        }
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

impl<D: Disk> State<D> {
    /// Those with rows, the oldest first.
    fn memtables(&self) -> impl Iterator<Item = &Memtable> {
        self.frozen.iter().map(|frozen| &frozen.memtable).chain([&self.active])
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
