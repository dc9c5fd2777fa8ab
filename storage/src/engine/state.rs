//! What a shard knows while it is open: its tables, its rows in memory, its manifest.
//!
//! Data with the questions that can be answered from it alone. It changes without waiting in between, in the modules
//! that say when.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::path::PathBuf;
use std::rc::{Rc, Weak};
use std::time::Duration;

use crate::disk::Disk;
use crate::error::{Error, Result};
use crate::manifest::{Manifest, TableEntry};
use crate::memtable::Memtable;
use crate::scan::Waiting;
use crate::schema::TableId;
use crate::segment::{Segment, SegmentMeta};
use crate::series::file::SeriesCounts;
use crate::series::{Hidden, SeriesIndex, SeriesMark};
use crate::tombstone::Tombstones;
use crate::wal::{Lsn, bitmap_bytes};

/// All that changes and is looked at without waiting.
pub(crate) struct State<D: Disk> {
    pub(crate) tables: BTreeMap<TableId, TableState<D>>,
    /// Those that may have tombstones.
    pub(crate) deleted_from: BTreeSet<TableId>,
    /// Those that may have hidden series.
    pub(super) hidden_in: BTreeSet<TableId>,
    /// Dropped tables whose drop has not come to the manifest yet, with their segments.
    pub(super) dropping: BTreeMap<TableId, Vec<Rc<Segment<D>>>>,
    pub(crate) active: Memtable,
    /// The active memtable's number, which each has for its own.
    pub(super) generation: u64,
    /// As [`Frozen::pin`], of the active one.
    pub(super) pin: Rc<Pin>,
    /// Memtables that were flushed and that snapshots look at, the oldest first.
    pub(super) retired: VecDeque<Rc<Frozen>>,
    pub(super) frozen: Option<Rc<Frozen>>,
    /// Empty, with memory for the next active one.
    pub(super) idle: Option<Memtable>,
    pub(crate) manifest: Manifest,
    /// What is in each of the manifest's series files.
    pub(super) series_files: Vec<SeriesCounts>,
    /// The number that the next file gets.
    pub(super) next_file: u64,
    /// Segments that no manifest names and somebody still reads: their files are removed after that.
    pub(super) condemned: Vec<Rc<Segment<D>>>,
    /// Files that are not wanted: to be removed when a manifest is on the disk that does not name them.
    pub(super) unnamed: Vec<PathBuf>,
}

/// What is known of a table.
pub(crate) struct TableState<D: Disk> {
    pub(crate) partition_length: i64,
    pub(crate) series: SeriesIndex,
    /// Series that are in series files.
    pub(crate) series_stored: u32,
    /// Of the first series, as far as it was needed: some that are stored, or are about to be.
    pub(super) series_mark: SeriesMark,
    /// Series that are in series files or log records.
    pub(crate) series_logged: u32,
    /// Deletes that are not yet applied to every segment.
    pub(crate) tombstones: Tombstones,
    /// By first time, the oldest segment first.
    pub(crate) partitions: BTreeMap<i64, Vec<Rc<Segment<D>>>>,
    /// Segments that cannot be opened, by the same times.
    pub(crate) unreadable: BTreeMap<i64, Vec<Unreadable>>,
    /// When partitions were last flushed to; those that are missing were not since the start.
    pub(super) changed: BTreeMap<i64, Duration>,
}

impl<D: Disk> TableState<D> {
    pub(crate) fn new(partition_length: i64) -> Self {
        Self {
            partition_length: partition_length.max(1),
            series: SeriesIndex::default(),
            series_stored: 0,
            series_mark: SeriesMark::default(),
            series_logged: 0,
            tombstones: Tombstones::default(),
            partitions: BTreeMap::new(),
            unreadable: BTreeMap::new(),
            changed: BTreeMap::new(),
        }
    }

    pub(super) fn entry(&self, id: TableId) -> TableEntry {
        // What is hidden is said by flushes alone.
        TableEntry::new(id, self.partition_length)
    }

    pub(crate) fn segments(&self) -> impl Iterator<Item = &Rc<Segment<D>>> {
        self.partitions.values().flatten()
    }

    /// Times that all rows lie between, of segments and of those in `memtables`.
    pub(super) fn bounds<'a>(
        &self,
        table: TableId,
        memtables: impl Iterator<Item = &'a Memtable>,
    ) -> Option<(i64, i64)> {
        let segments = self.metas().map(|meta| (meta.time_min, meta.time_max));
        let memory = memtables.filter_map(|memtable| Some(memtable.table(table)?.time_bounds()));
        segments.chain(memory).reduce(|all, one| (all.0.min(one.0), all.1.max(one.1)))
    }

    /// Of all segments in the manifest, also of those that cannot be opened.
    pub(super) fn metas(&self) -> impl Iterator<Item = &SegmentMeta> {
        let unreadable = self.unreadable.values().flatten().map(|segment| &segment.meta);
        self.segments().map(|segment| segment.meta()).chain(unreadable)
    }
}

impl<D: Disk> State<D> {
    /// The tables with tombstones.
    pub(super) fn with_tombstones(&self) -> impl Iterator<Item = (TableId, &TableState<D>)> {
        self.deleted_from.iter().filter_map(|id| Some((*id, self.tables.get(id)?)))
    }

    /// Those with rows, the oldest first.
    pub(super) fn memtables(&self) -> impl Iterator<Item = &Memtable> {
        self.frozen.iter().map(|frozen| &frozen.memtable).chain([&self.active])
    }
}

/// Says by who holds it who may look at a memtable.
#[derive(Debug, Default)]
pub(crate) struct Pin {
    /// What scans have not read yet. Those that are over are among them until they are as many as the others.
    scans: RefCell<Vec<Weak<RefCell<Waiting>>>>,
}

impl Pin {
    /// Notes a scan.
    pub(super) fn note(&self, waiting: &Rc<RefCell<Waiting>>) {
        /// To look for those that are over.
        const SCANS_MIN: usize = 32;
        let mut scans = self.scans.borrow_mut();
        if scans.len() >= SCANS_MIN && scans.len() == scans.capacity() {
            scans.retain(|scan| scan.strong_count() > 0);
            // As many again may come until the next time.
            let count = scans.len();
            scans.shrink_to(2 * count);
            scans.reserve_exact(count.max(SCANS_MIN));
        }
        scans.push(Rc::downgrade(waiting));
    }

    /// What scans have not read yet.
    pub(super) fn scans(&self) -> Vec<Rc<RefCell<Waiting>>> {
        self.scans.borrow().iter().filter_map(Weak::upgrade).collect()
    }
}

/// A memtable that takes no more rows.
#[derive(Debug)]
pub(super) struct Frozen {
    pub(super) memtable: Memtable,
    /// Its number among the shard's memtables.
    pub(super) generation: u64,
    /// A holder may look at the memtable after it was flushed.
    pub(super) pin: Rc<Pin>,
    /// The last record whose rows are in it.
    pub(super) lsn: Lsn,
    /// Series of each table that were hidden after that record; tables with none are left out.
    pub(super) hidden: BTreeMap<TableId, Hidden>,
    /// It was frozen because it was full, so that the next one will need as much memory.
    pub(super) full: bool,
}

impl Frozen {
    pub(super) fn lsn(&self) -> Lsn {
        self.lsn
    }

    /// The hidden series of a table as the manifest has them.
    pub(super) fn hidden_bytes(&self, table: TableId) -> Result<Vec<u8>> {
        let Some(hidden) = self.hidden.get(&table) else { return Ok(Vec::new()) };
        let mut hidden = hidden.to_bitmap();
        // They are neighbours more often than not, and a stretch takes a few bytes.
        hidden.optimize();
        bitmap_bytes(&hidden).map_err(Error::Rejected)
    }
}

/// A segment that cannot be opened.
#[derive(Debug, Clone)]
pub(crate) struct Unreadable {
    pub(crate) meta: SegmentMeta,
    pub(crate) path: PathBuf,
    pub(crate) offset: u64,
    pub(crate) reason: String,
}

impl Unreadable {
    /// What is to be kept of a segment that could not be opened; the error where that is no reason to go on.
    pub(crate) fn of(path: PathBuf, meta: SegmentMeta, error: Error) -> Result<Self> {
        match error {
            Error::Corrupt { offset, reason, .. } => Ok(Self { meta, path, offset, reason }),
            error if error.is_not_found() => {
                Ok(Self { meta, path, offset: 0, reason: "the file is missing".to_owned() })
            }
            error => Err(error),
        }
    }

    /// The error of a scan that may need its rows.
    pub(super) fn error(&self) -> Error {
        Error::corrupt(&self.path, self.offset, self.reason.clone())
    }
}
