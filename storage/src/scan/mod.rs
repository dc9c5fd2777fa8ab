//! Reading one table of one shard: what to ask for ([`ScanRequest`]) and what comes back ([`ScanChunk`]).
//!
//! Guarantee: over a whole scan each (series, time) appears once, with the newest value of each field; rows of a chunk
//! are sorted by (series, time). Chunks themselves come in no promised order of time, and a series may appear in
//! several chunks (in disjoint time ranges).

mod interim;

use arrow_array::ArrayRef;
use arrow_buffer::ScalarBuffer;
use roaring::RoaringBitmap;

use crate::schema::{ColumnId, FieldType, SeriesId, TableId};

pub use interim::{PartitionSources, Scan};

/// A scan of one table.
#[derive(Debug, Clone)]
pub struct ScanRequest {
    /// The table.
    pub table: TableId,
    /// First time wanted, inclusive, in the table's unit.
    pub time_min: i64,
    /// Last time wanted, inclusive.
    pub time_max: i64,
    /// Series wanted; `None` for all.
    pub series: Option<RoaringBitmap>,
    /// Fields wanted, with the type the catalog gives them; the order of [`ScanChunk::columns`].
    pub columns: Vec<(ColumnId, FieldType)>,
    /// Value ranges outside which a row is of no use to the caller. A hint: blocks whose statistics show that no row
    /// can match may be left out where that cannot change which value is newest; the caller filters all the same.
    pub prune: Vec<PruneRange>,
}

/// Rows are of use only where the column's value is present and within `min..=max` (compared as f64, widened).
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct PruneRange {
    /// A numeric field.
    pub column: ColumnId,
    /// Least value of use.
    pub min: f64,
    /// Greatest value of use.
    pub max: f64,
}

/// Consecutive rows of a chunk that belong to one series.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Run {
    /// The series.
    pub series: SeriesId,
    /// First row in the chunk.
    pub start: u32,
    /// Rows, at least 1.
    pub len: u32,
}

/// Decoded rows, typically 1,024 to 8,192 of them.
#[derive(Debug, Clone)]
pub struct ScanChunk {
    /// The series of the rows, ascending by series, covering all rows in order.
    pub runs: Vec<Run>,
    /// Timestamps in the table's unit, ascending within a run.
    pub time: ScalarBuffer<i64>,
    /// One array for each requested column: Int64Array, UInt64Array, Float64Array, BooleanArray or StringArray.
    /// All-null where no row has the field.
    pub columns: Vec<ArrayRef>,
}

impl ScanChunk {
    /// Number of rows.
    pub fn rows(&self) -> usize {
        self.time.len()
    }
}
