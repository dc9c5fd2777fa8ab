//! What a manifest consists of, and what changes it: the form in which all of it is archived too.

use std::path::Path;

use rkyv::{Archive, Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::schema::TableId;
use crate::segment::SegmentMeta;
use crate::series::SeriesIndex;
use crate::wal::bitmap_of;

/// A table that has rows.
#[derive(Debug, Clone, PartialEq, Archive, Serialize, Deserialize)]
pub(crate) struct TableEntry {
    pub(crate) table: u32,
    /// Fixed when the shard first sees the table.
    pub(crate) partition_length: i64,
    /// A time before which rows did not exist, as versions before wrote it. Nothing follows from it any more: a time
    /// that was asked for by mistake must not take what is written later.
    pub(crate) horizon: i64,
    /// Series that were hidden after the record `flushed_lsn`, a bitmap as roaring writes it; empty for none.
    pub(crate) hidden: Vec<u8>,
}

/// A live segment.
#[derive(Debug, Clone, PartialEq, Archive, Serialize, Deserialize)]
pub(crate) struct SegmentEntry {
    pub(crate) table: u32,
    pub(crate) partition_start: i64,
    pub(crate) meta: SegmentMeta,
}

/// A segment that is live no more.
#[derive(Debug, Clone, PartialEq, Eq, Archive, Serialize, Deserialize)]
pub(crate) struct RemovedSegment {
    pub(crate) table: u32,
    pub(crate) partition_start: i64,
    pub(crate) file: String,
}

/// A delete.
#[derive(Debug, Clone, PartialEq, Archive, Serialize, Deserialize)]
pub(crate) struct TombstoneEntry {
    pub(crate) table: u32,
    pub(crate) lsn: u64,
    pub(crate) time_min: i64,
    pub(crate) time_max: i64,
    /// A bitmap as roaring writes it; `None` for all series.
    pub(crate) series: Option<Vec<u8>>,
}

/// A table that was dropped.
#[derive(Debug, Clone, PartialEq, Archive, Serialize, Deserialize)]
pub(crate) struct DroppedEntry {
    pub(crate) table: u32,
    /// Later records are not about it.
    pub(crate) lsn: u64,
}

/// A live series file.
#[derive(Debug, Clone, PartialEq, Archive, Serialize, Deserialize)]
pub(crate) struct SeriesFileEntry {
    pub(crate) file: String,
    /// Length without padding.
    pub(crate) bytes: u64,
}

/// A change, made as one.
#[derive(Debug, Clone, Default, PartialEq, Archive, Serialize, Deserialize)]
pub(crate) struct Edit {
    /// Log records up to this one are in segments now. The hidden series of added tables count with this alone: they
    /// are those after this record.
    pub(crate) flushed: Option<u64>,
    pub(crate) next_file: u64,
    /// Tables that are new, or whose hidden series are others than before.
    pub(crate) add_tables: Vec<TableEntry>,
    /// With all that belongs to them but their series. Log records about them up to `dropped_lsn` are void.
    pub(crate) drop_tables: Vec<u32>,
    pub(crate) dropped_lsn: u64,
    /// Segments that the added ones replace.
    pub(crate) remove_segments: Vec<RemovedSegment>,
    pub(crate) add_segments: Vec<SegmentEntry>,
    /// Series files whose series, but those of dropped tables, the added ones hold.
    pub(crate) remove_series_files: Vec<String>,
    pub(crate) add_series_files: Vec<SeriesFileEntry>,
    /// Deletes that were flushed.
    pub(crate) add_tombstones: Vec<TombstoneEntry>,
}

impl TableEntry {
    /// A table without hidden series.
    pub(crate) fn new(table: TableId, partition_length: i64) -> Self {
        Self { table: table.0, partition_length, horizon: i64::MIN, hidden: Vec::new() }
    }

    /// Hides in the table's index, which has all series of the series files, what is hidden. The manifest came from
    /// `path`, which the error names where that cannot be.
    pub(crate) fn restore_hidden(&self, index: &mut SeriesIndex, path: &Path) -> Result<()> {
        if self.hidden.is_empty() {
            return Ok(());
        }
        let restored = bitmap_of(&self.hidden).and_then(|hidden| index.restore_hidden(&hidden));
        restored.map_err(|reason| Error::corrupt(path, 0, format!("table {}: {reason}", self.table)))
    }
}

impl SegmentEntry {
    /// What removes it.
    pub(crate) fn removed(&self) -> RemovedSegment {
        let Self { table, partition_start, ref meta } = *self;
        RemovedSegment { table, partition_start, file: meta.file.clone() }
    }
}

impl TombstoneEntry {
    /// Whether a segment of its table may hold rows that it deletes.
    pub(super) fn touches(&self, meta: &SegmentMeta) -> bool {
        meta.lsn < self.lsn && meta.time_min <= self.time_max && self.time_min <= meta.time_max
    }
}
