//! What execution asks of a shard: a snapshot of a table and scans of it, the tags of its series, and the time its rows
//! span. A fragment takes one snapshot, before it reads anything, so that all its scans see the same rows.
//!
//! The seam between `sql` and one shard's storage. Implemented for storage's shard, and by tests for tables in memory.
//! The index changes while a query waits (writes go on), so it is only ever lent for the length of a closure.

use std::rc::Rc;

use roaring::RoaringBitmap;
use tidewire_storage::Result;
use tidewire_storage::disk::Disk;
use tidewire_storage::engine::{Shard, Snapshot};
use tidewire_storage::scan::{Scan, ScanItem, ScanMode, ScanRequest};
use tidewire_storage::schema::{ColumnId, TableId};
pub use tidewire_storage::series::NO_TAG;
use tidewire_storage::series::SeriesIndex;

/// The tags of a table's series: per tag column one code a series, and the text of each code.
pub trait TagIndex {
    /// Number of series; their ids are `0..series_count`.
    fn series_count(&self) -> u32;
    /// Code of each series by id, [`NO_TAG`] where it lacks the tag. May end early: later series lack it too.
    fn codes(&self, column: ColumnId) -> &[u32];
    /// Number of distinct values of a tag; their codes are `0..value_count`.
    fn value_count(&self, column: ColumnId) -> u32;
    /// Text of a code.
    fn value(&self, column: ColumnId, code: u32) -> &str;
    /// Code of a text, if a series has it.
    fn code(&self, column: ColumnId, value: &str) -> Option<u32>;
    /// Adds the series that have a value to `series`.
    fn add_postings(&self, column: ColumnId, code: u32, series: &mut RoaringBitmap);
}

/// Rows or summaries of them, an item at a time. Lets other tasks of the core run between items.
pub trait ChunkSource {
    /// The next item; `None` after the last.
    fn next(&mut self) -> impl Future<Output = Result<Option<ScanItem>>>;
    /// Bytes that the source holds itself, apart from items it gave out.
    fn memory_bytes(&self) -> u64;
}

/// One shard, as queries see it.
pub trait ShardReader {
    /// Its series index.
    type Index: TagIndex;
    /// A table of it at one moment.
    type Snapshot: ShardSnapshot;

    /// Lends the index of a table; `None` where the shard has no series of it.
    fn with_index<R>(&self, table: TableId, read: impl FnOnce(Option<&Self::Index>) -> R) -> R;
    /// The rows of a table between two times as they are now; `None` where the shard has none.
    fn snapshot(&self, table: TableId, time_min: i64, time_max: i64) -> Option<Self::Snapshot>;
    /// Lets other tasks of the core run, if they have waited long enough. For between the steps of what takes long.
    fn yield_if_needed(&self) -> impl Future<Output = ()>;
}

/// Rows of a table of one shard: later writes do not show. It may hold memory, and is dropped with its last scan made.
pub trait ShardSnapshot {
    /// Its scan.
    type Chunks: ChunkSource;

    /// Begins a scan. A mode other than rows allows less than all rows, it does not ask for it. `take` is asked for
    /// what copies of rows take, before they are made.
    fn scan(
        &self,
        request: ScanRequest,
        mode: ScanMode,
        memory_bytes_max: u64,
        take: &mut dyn FnMut(u64) -> Result<()>,
    ) -> impl Future<Output = Result<Self::Chunks>>;
    /// Times that all rows of the table lie between, inclusive, perhaps wider than they do; `None` without rows.
    fn time_bounds(&self) -> Option<(i64, i64)>;
}

impl TagIndex for SeriesIndex {
    fn series_count(&self) -> u32 {
        self.len() as u32
    }

    fn codes(&self, column: ColumnId) -> &[u32] {
        self.codes(column)
    }

    fn value_count(&self, column: ColumnId) -> u32 {
        self.value_count(column) as u32
    }

    fn value(&self, column: ColumnId, code: u32) -> &str {
        self.value(column, code)
    }

    fn code(&self, column: ColumnId, value: &str) -> Option<u32> {
        self.code(column, value)
    }

    fn add_postings(&self, column: ColumnId, code: u32, series: &mut RoaringBitmap) {
        *series |= &*self.postings(column, code);
    }
}

impl<D: Disk> ChunkSource for Scan<D> {
    async fn next(&mut self) -> Result<Option<ScanItem>> {
        self.next_item().await
    }

    fn memory_bytes(&self) -> u64 {
        Scan::memory_bytes(self)
    }
}

impl<D: Disk> ShardReader for Rc<Shard<D>> {
    type Index = SeriesIndex;
    type Snapshot = Snapshot<D>;

    fn with_index<R>(&self, table: TableId, read: impl FnOnce(Option<&SeriesIndex>) -> R) -> R {
        read(self.series(table).as_deref())
    }

    fn snapshot(&self, table: TableId, time_min: i64, time_max: i64) -> Option<Snapshot<D>> {
        Shard::snapshot(self, table, time_min, time_max)
    }

    async fn yield_if_needed(&self) {
        Shard::yield_if_needed(self).await;
    }
}

impl<D: Disk> ShardSnapshot for Snapshot<D> {
    type Chunks = Scan<D>;

    async fn scan(
        &self,
        request: ScanRequest,
        mode: ScanMode,
        memory_bytes_max: u64,
        take: &mut dyn FnMut(u64) -> Result<()>,
    ) -> Result<Scan<D>> {
        let mut scan = self.scan_within(request, memory_bytes_max, take).await?;
        scan.set_mode(mode);
        Ok(scan)
    }

    fn time_bounds(&self) -> Option<(i64, i64)> {
        Snapshot::time_bounds(self)
    }
}
