//! What was found, as data: this is the JSON that `--json` writes.

use std::path::PathBuf;

use serde::Serialize;
use serde_json::Value;

use crate::generation::Backup;
use crate::verify::Checked;

/// All that was looked at.
#[derive(Debug, Serialize)]
pub(super) struct Report {
    /// The folder.
    pub(super) root: PathBuf,
    /// Shards that it was made for.
    pub(super) shards_total: usize,
    /// What a backup says of itself, without its list of files.
    pub(super) backup: Option<Backup>,
    pub(super) catalog_version: u64,
    pub(super) shards: Vec<ShardReport>,
    /// What could not be read, each as a sentence.
    pub(super) problems: Vec<String>,
    /// What `--verify` has found.
    pub(super) verified: Option<Checked>,
}

#[derive(Debug, Default, Serialize)]
pub(super) struct ShardReport {
    pub(super) shard: usize,
    pub(super) flushed_lsn: u64,
    pub(super) totals: Totals,
    pub(super) tables: Vec<TableReport>,
    /// Those not counted that are hidden.
    pub(super) series: u64,
    /// Series all of whose rows were deleted.
    pub(super) series_hidden: u64,
    pub(super) series_files: Vec<FileReport>,
    /// `None` where it cannot be read.
    pub(super) log: Option<LogReport>,
    pub(super) tombstones: Vec<TombstoneReport>,
    /// Dropped tables that log records may still be about.
    pub(super) dropped_tables: Vec<u32>,
    /// Files that the manifest does not name: work under way, or cut short.
    pub(super) strays: Vec<FileReport>,
    /// Files that no manifest named and that are kept, unread.
    pub(super) detached: Vec<DetachedReport>,
}

#[derive(Debug, Serialize)]
pub(super) struct DetachedReport {
    pub(super) file: String,
    pub(super) bytes: u64,
    /// Of a segment whose footer can be read.
    pub(super) segment: Option<DetachedSegment>,
}

#[derive(Debug, Serialize)]
pub(super) struct DetachedSegment {
    pub(super) table: u32,
    pub(super) name: Option<String>,
    pub(super) rows: u64,
    pub(super) time_min: i64,
    pub(super) time_max: i64,
}

/// Sums over segments.
#[derive(Debug, Clone, Copy, Default, Serialize)]
pub(super) struct Totals {
    pub(super) segments: u64,
    /// A row that was written again counts twice until a merge.
    pub(super) rows: u64,
    /// Values of fields that are not null.
    pub(super) values: u64,
    /// Length of the files.
    pub(super) bytes: u64,
}

#[derive(Debug, Serialize)]
pub(super) struct FileReport {
    pub(super) file: String,
    pub(super) bytes: u64,
}

#[derive(Debug, Serialize)]
pub(super) struct LogReport {
    pub(super) files: Vec<LogFileReport>,
    /// Records after the flushed ones.
    pub(super) records: u64,
    pub(super) rows: u64,
    pub(super) deletes: u64,
    /// Bytes of their frames.
    pub(super) bytes: u64,
    pub(super) last_lsn: u64,
    /// File and offset of a commit that is being written, or was cut short.
    pub(super) torn: Option<(PathBuf, u64)>,
}

#[derive(Debug, Serialize)]
pub(super) struct LogFileReport {
    pub(super) file: String,
    pub(super) bytes: u64,
    pub(super) generation: Option<u64>,
    pub(super) first_lsn: Option<u64>,
    /// Where the last frame that is wanted ends; 0 for a spare.
    pub(super) end: u64,
}

#[derive(Debug, Serialize)]
pub(super) struct TombstoneReport {
    pub(super) table: u32,
    pub(super) name: Option<String>,
    pub(super) lsn: u64,
    pub(super) time_min: i64,
    pub(super) time_max: i64,
    /// `None` for all.
    pub(super) series: Option<u64>,
}

#[derive(Debug, Serialize)]
pub(super) struct TableReport {
    pub(super) table: u32,
    /// `database.table`; `None` where the catalog does not know it.
    pub(super) name: Option<String>,
    pub(super) series: u64,
    pub(super) series_hidden: u64,
    pub(super) partition_length: i64,
    pub(super) totals: Totals,
    pub(super) partitions: Vec<PartitionReport>,
}

#[derive(Debug, Serialize)]
pub(super) struct PartitionReport {
    pub(super) start: i64,
    pub(super) time_min: i64,
    pub(super) time_max: i64,
    pub(super) totals: Totals,
    /// With `--segments` or `--blocks`; the oldest first.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) segments: Vec<SegmentReport>,
}

#[derive(Debug, Serialize)]
pub(super) struct SegmentReport {
    pub(super) file: String,
    pub(super) version: u32,
    pub(super) rows: u64,
    pub(super) bytes: u64,
    pub(super) values: u64,
    pub(super) series_min: u32,
    pub(super) series_max: u32,
    pub(super) time_min: i64,
    pub(super) time_max: i64,
    pub(super) lsn: u64,
    /// Packed with all effort, as cold data is.
    pub(super) hard: bool,
    pub(super) groups: u64,
    /// Bytes of the blocks that hold series and times.
    pub(super) index_bytes: u64,
    pub(super) time_bytes: u64,
    pub(super) columns: Vec<ColumnReport>,
}

#[derive(Debug, Serialize)]
pub(super) struct ColumnReport {
    pub(super) column: u16,
    /// `None` where the catalog does not know it.
    pub(super) name: Option<String>,
    pub(super) kind: &'static str,
    pub(super) blocks_total: u64,
    pub(super) bytes: u64,
    pub(super) values: u64,
    pub(super) nulls: u64,
    pub(super) min: Value,
    pub(super) max: Value,
    /// With `--blocks`: codings of its vectors.
    pub(super) codings: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) blocks: Vec<BlockReport>,
}

#[derive(Debug, Serialize)]
pub(super) struct BlockReport {
    pub(super) group: usize,
    pub(super) offset: u64,
    pub(super) bytes: u64,
    pub(super) rows: u64,
    pub(super) nulls: u64,
    pub(super) series_min: u32,
    pub(super) series_max: u32,
    pub(super) time_min: i64,
    pub(super) time_max: i64,
    pub(super) min: Value,
    pub(super) max: Value,
    pub(super) sum: Value,
    pub(super) codings: String,
}

impl Totals {
    pub(super) fn add(&mut self, other: &Self) {
        self.segments += other.segments;
        self.rows += other.rows;
        self.values += other.values;
        self.bytes += other.bytes;
    }
}
