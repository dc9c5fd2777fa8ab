//! What execution asks of a shard: a scan, the tags of its series, and the time its rows span.
//!
//! The seam between `sql` and one shard's storage. Implemented for storage's shard, and by tests for tables in memory.
//! The index changes while a query waits (writes go on), so it is only ever lent for the length of a closure.

use std::rc::Rc;

use roaring::RoaringBitmap;
use tidewire_storage::Result;
use tidewire_storage::disk::Disk;
use tidewire_storage::engine::Shard;
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
    /// Its scan.
    type Chunks: ChunkSource;

    /// Lends the index of a table; `None` where the shard has no series of it.
    fn with_index<R>(&self, table: TableId, read: impl FnOnce(Option<&Self::Index>) -> R) -> R;
    /// Begins a scan over a snapshot: later writes do not show. A mode other than rows allows less than all rows, it
    /// does not ask for it.
    fn scan(&self, request: ScanRequest, mode: ScanMode, memory_bytes_max: u64) -> Result<Self::Chunks>;
    /// Times that all rows of a table lie between, inclusive, perhaps wider than they do; `None` without rows.
    fn time_bounds(&self, table: TableId) -> Option<(i64, i64)>;
    /// Lets other tasks of the core run, if they have waited long enough. For between the steps of what takes long.
    fn yield_if_needed(&self) -> impl Future<Output = ()>;
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
    type Chunks = Scan<D>;

    fn with_index<R>(&self, table: TableId, read: impl FnOnce(Option<&SeriesIndex>) -> R) -> R {
        read(self.series(table).as_deref())
    }

    fn scan(&self, request: ScanRequest, mode: ScanMode, memory_bytes_max: u64) -> Result<Scan<D>> {
        let mut scan = Shard::scan(self, request, memory_bytes_max)?;
        scan.set_mode(mode);
        Ok(scan)
    }

    fn time_bounds(&self, table: TableId) -> Option<(i64, i64)> {
        Shard::time_bounds(self, table)
    }

    async fn yield_if_needed(&self) {
        Shard::yield_if_needed(self).await;
    }
}
