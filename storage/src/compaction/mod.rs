//! Compaction: fewer, larger segments for each partition, without what was overwritten or deleted.
//!
//! Guarantees: a merge changes nothing that a scan sees; of rows that share a (series, time), each field keeps its
//! newest value; a crash at any moment leaves the old files or the new ones live, never a mix; memory is bounded
//! whatever the segments hold.
//!
//! Deciding is apart from doing:
//!
//! * [`picker`] looks at numbers only and says which neighbouring segments of a partition to merge next;
//! * [`agenda`] remembers what it has said, and what is to be looked at again;
//! * [`budget`] says how fast;
//! * [`merge`] walks the segments side by side by (series, time) and plans the output a band of rows at a time
//!   ([`plan`]); [`gather`] then fetches the planned rows column by column for the segment writer;
//! * the shard's `run_compaction` asks the first two, runs the third, and swaps the files by one edit of the manifest.

pub(crate) mod agenda;
pub mod budget;
mod gather;
mod merge;
pub mod picker;
mod plan;

#[cfg(test)]
mod tests;

use std::time::Duration;

pub(crate) use budget::Pace;
pub(crate) use merge::{Input, MergeTarget, merge};

/// How a shard compacts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CompactionConfig {
    /// Bytes that merges may read and write together in a second, by the clock of
    /// [`Shard::tick`](crate::engine::Shard::tick). 0: no bound.
    pub bytes_per_s: u64,
    /// About the largest segment that a merge writes; what is larger is cut between series. Segments of more than half
    /// of it are merged only for the space or the order that it brings.
    pub segment_bytes_max: u64,
    /// A partition that no flush has touched for so long is merged to one segment and packed harder.
    pub cold_after: Duration,
    /// Rows whose order a merge holds in memory at a time, some 20 bytes each.
    pub band_rows_max: usize,
}

impl Default for CompactionConfig {
    fn default() -> Self {
        Self {
            bytes_per_s: 0,
            // A billion devops values; its footer takes some 20 MB of memory.
            segment_bytes_max: 1 << 30,
            cold_after: Duration::from_secs(3600),
            // 128 full groups: stretches of a column that are worth a read of their own, in some 10 MB.
            band_rows_max: 1 << 19,
        }
    }
}
