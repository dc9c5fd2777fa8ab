//! What execution asks of a shard: a scan, the tags of its series, and the time its rows span.
//!
//! The seam between `sql` and one shard's storage. Implemented for storage's shard, and by tests for tables in memory.
//! The index changes while a query waits (writes go on), so it is only ever lent for the length of a closure.

use roaring::RoaringBitmap;
use tidewire_storage::Result;
use tidewire_storage::scan::{ScanChunk, ScanRequest};
use tidewire_storage::schema::{ColumnId, TableId};

/// Code of a series that lacks the tag.
pub const NO_TAG: u32 = u32::MAX;

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

/// Decoded rows, a chunk at a time.
pub trait ChunkSource {
    /// The next chunk; `None` after the last.
    fn next(&mut self) -> impl Future<Output = Result<Option<ScanChunk>>>;
}

/// One shard, as queries see it.
pub trait ShardReader {
    /// Its series index.
    type Index: TagIndex;
    /// Its scan.
    type Chunks: ChunkSource;

    /// Lends the index of a table; `None` where the shard has no series of it.
    fn with_index<R>(&self, table: TableId, read: impl FnOnce(Option<&Self::Index>) -> R) -> R;
    /// Begins a scan over a snapshot: later writes do not show.
    fn scan(&self, request: ScanRequest, memory_bytes_max: u64) -> Result<Self::Chunks>;
    /// Times that all rows of a table lie between, inclusive, perhaps wider than they do; `None` without rows.
    fn time_bounds(&self, table: TableId) -> Option<(i64, i64)>;
    /// Lets other tasks of the core run, when this one has had its share.
    fn yield_if_needed(&self) -> impl Future<Output = ()>;
}
