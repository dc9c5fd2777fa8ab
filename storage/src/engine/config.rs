//! How a shard is kept: bounds and sizes, with what they were chosen for.

use crate::compaction::CompactionConfig;
use crate::disk::DISK_ALIGN;
use crate::error::{Error, Result};
use crate::wal::WalSync;

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
    /// Log since the last flush that makes a flush due, however few rows it holds: it takes space, and time at a start.
    pub flush_log_bytes: u64,
    /// Partitions of rows in memory, of all tables, that make a flush due: each becomes a file.
    pub flush_partitions: usize,
    /// Partitions of rows in memory, flushing ones included; beyond, appends are refused.
    pub memtable_partitions_max: usize,
    /// Files of segments that are open at a time, those not counted that are being read.
    pub open_segments_max: usize,
    /// Rows in memory, flushing ones included; beyond, appends are refused. The caller is expected to hold writes back
    /// before that, by [`Shard::memory`].
    pub memtable_bytes_max: u64,
    /// Rows in memory behind those in order from which on a scan may put them in order for others too.
    pub ordered_rows_min: u32,
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
            // Single rows take 4 KiB each: a start reads it in some two seconds.
            flush_log_bytes: 256 * MIB,
            // A file and its sync take one to five milliseconds: a flush of as many seconds as are lost with them.
            flush_partitions: 8192,
            memtable_partitions_max: 65_536,
            // Half of what a process may have that has no more than a shell gives it.
            open_segments_max: 512,
            memtable_bytes_max: 192 * MIB,
            // A query selects from that many in some ten microseconds.
            ordered_rows_min: 1 << 13,
            cache_bytes_max: 128 * MIB,
            // A flush packs its 64 MiB of rows into some 5 to 15.
            reserve_bytes: 16 * MIB,
            compaction: CompactionConfig::default(),
        }
    }

    /// Rows in memory that make a flush due. Never more than are taken: else a full memtable would wait for a flush
    /// that waits for more rows.
    pub(super) fn flush_at(&self) -> u64 {
        self.flush_bytes.min(self.memtable_bytes_max)
    }

    /// Memory that is kept for the next memtable: what one takes whose vectors have just doubled.
    pub(super) fn idle_bytes_max(&self) -> u64 {
        self.flush_at().saturating_mul(2)
    }

    /// Partitions with rows in memory that make a flush due, within the same bound.
    pub(super) fn flush_at_partitions(&self) -> usize {
        self.flush_partitions.min(self.memtable_partitions_max)
    }

    pub(super) fn check(&self) -> Result<()> {
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
