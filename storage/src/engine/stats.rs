//! What a shard has done, and what it holds.

use crate::cache::CacheStats;
use crate::wal::Lsn;

/// Memory that a shard holds, in bytes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ShardMemory {
    /// Rows that take appends.
    pub active: u64,
    /// Rows on their way into segments.
    pub flushing: u64,
    /// The order of those on their way.
    pub sorting: u64,
    /// The order of rows, kept for the next scans.
    pub ordered: u64,
    /// Rows that are in segments by now, kept for queries that began before.
    pub retired: u64,
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
        let Self { active, flushing, retired, sorting, ordered, idle, wal_pending, cache, index, segments } = *self;
        active + flushing + retired + sorting + ordered + idle + wal_pending + cache + index + segments
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
    /// Files in the folder of detached ones, when it was last looked at; see [`detached`](crate::detached).
    pub detached_files: u64,
    /// Live segments.
    pub segments: u64,
    /// Those whose file is open.
    pub segments_open: u64,
    /// Partitions, of all tables, that rows in memory lie in.
    pub memtable_partitions: u64,
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

/// What a shard holds of one table.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct TableTotals {
    /// Rows, in memory and in segments; one that was written again may count twice.
    pub rows: u64,
    /// Bytes of its segments.
    pub bytes: u64,
    /// Series, hidden ones not counted.
    pub series: u64,
}

/// What the shard itself counts.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Counts {
    pub(super) rows: u64,
    pub(super) batches: u64,
    pub(super) flushes: u64,
    pub(super) flush_failures: u64,
    pub(super) rows_flushed: u64,
    pub(super) deletes: u64,
    pub(super) segments_expired: u64,
    pub(super) merges: u64,
    pub(super) merge_failures: u64,
    pub(super) rows_merged: u64,
}
