//! Segments: immutable files that hold the rows of one table and time partition, sorted by (series, time).
//!
//! What a segment guarantees: under its final name it is complete and durable (written elsewhere, synced, renamed,
//! folder synced); every block carries a checksum that is verified when it comes from the disk; the footer is
//! validated before a length in it is believed; damage is [`Error::Corrupt`](crate::Error) with file and offset and
//! hurts only who needs the damaged block.
//!
//! ```text
//! header | band* | footer | trailer
//! band   = index blocks | time blocks | column 1's blocks | column 2's …        of some groups, in order
//! ```
//!
//! 1. Rows are cut into groups of at most [`GROUP_ROWS_MAX`], [`layout`] decides where: between series where it can,
//!    so that long series have groups of their own. Where strings are long, groups have fewer rows.
//! 2. A group's index block lists its runs: series, rows, first and last time, and whether the times between are
//!    evenly spaced, in which case the time block is empty ([`index`]).
//! 3. Each field has one block a group ([`codec::column`](crate::codec::column)), and its blocks of one band lie side
//!    by side, so that reading one field of all series reads long stretches of the file. A flush writes one band.
//! 4. The footer ([`format`]) names every block with checksum, nulls, and for numbers count, min, max, sum, first and
//!    last, so that pruning and many aggregates read no block at all.
//! 5. The [`writer`] goes band by band, column by column, and holds one group of one column; the [`reader`] loads
//!    stretches of one column through the shard's [`Cache`](crate::cache::Cache); [`verify`] all of it, for tools.

mod damage;
pub mod format;
pub mod index;
pub mod layout;
mod picked;
mod reader;
mod statistics;
mod unnamed;
mod verify;
mod writer;

use std::ops::Range;

use crate::batch::Values;
use crate::run::Run;
use crate::schema::{ColumnId, FieldType};

pub(crate) use format::{Header, Origin, TextSize};
pub use layout::GROUP_ROWS_MAX;
pub(crate) use reader::LANES_BEFORE_FIELDS;
pub use reader::Segment;
pub use statistics::{Statistics, Summary};
pub(crate) use unnamed::{read_header, read_meta};
pub use verify::{BlockFacts, BlockPlace, ColumnFacts, Expected, GroupFacts, SegmentDescription, segment_checksum};
pub use writer::write_segment;
pub(crate) use writer::{Band, BandGroup, SegmentWriter, Target, write_table};

/// One table and partition, sorted by (series, time), each (series, time) once. What a segment is written from.
pub trait SortedTable {
    /// The series of the rows, ascending, covering all rows in order.
    fn runs(&self) -> &[Run];
    /// Timestamps of the rows, ascending within a run.
    fn time(&self) -> &[i64];
    /// The fields, each at most once.
    fn columns(&self) -> &[(ColumnId, FieldType)];
    /// Puts rows `rows` of the `column`-th field into `out`, which is cleared first and may hold another type before.
    fn gather(&self, column: usize, rows: Range<usize>, out: &mut Gathered);
    /// Bytes that the strings of the `column`-th field take together, or more.
    fn text_bytes_max(&self, _column: usize) -> u64 {
        u64::MAX
    }
    /// Puts the lengths of rows `rows` of the `column`-th field, which has strings, into `out`, which is cleared first.
    fn text_lengths(&self, column: usize, rows: Range<usize>, out: &mut Vec<u32>) {
        let mut gathered = Gathered { values: Values::new(FieldType::String), validity: None };
        self.gather(column, rows, &mut gathered);
        out.clear();
        if let Values::String(strings) = gathered.values {
            let starts = std::iter::once(0).chain(strings.ends.iter().copied());
            out.extend(strings.ends.iter().zip(starts).map(|(end, start)| end - start));
        }
    }
}

/// Some rows of one field; reused from call to call.
#[derive(Debug, Clone, PartialEq)]
pub struct Gathered {
    /// A value for every row, a placeholder where null.
    pub values: Values,
    /// One bit a row, least significant first, set = present; `None` when every row is present.
    pub validity: Option<Vec<u64>>,
}

/// What the manifest keeps of a segment.
#[derive(Debug, Clone, PartialEq, Eq, rkyv::Archive, rkyv::Serialize, rkyv::Deserialize)]
pub struct SegmentMeta {
    /// Name of the file in its folder.
    pub file: String,
    /// Rows.
    pub rows: u64,
    /// Length of the file.
    pub bytes: u64,
    /// Least timestamp.
    pub time_min: i64,
    /// Greatest timestamp.
    pub time_max: i64,
    /// Least series id.
    pub series_min: u32,
    /// Greatest series id.
    pub series_max: u32,
    /// Version of the file's format.
    pub version: u32,
    /// All rows were written at or before this position of the log, and every delete up to it has been applied to them.
    pub lsn: u64,
    /// It was packed with [`Effort::Hard`](crate::codec::Effort::Hard).
    pub hard: bool,
}
