//! What stands around the blocks: header, footer, trailer.
//!
//! The header and the trailer are fixed and little-endian; the footer is an rkyv archive, checked by checksum and by
//! bytecheck, then by [`Footer::check`] for what bytecheck cannot know. A file's length is a multiple of
//! [`DISK_ALIGN`]; the trailer is its last [`TRAILER_BYTES`] bytes.

use std::ops::RangeInclusive;

use rkyv::{Archive, Deserialize, Serialize};

use crate::codec::{BLOCK_VALUES_MAX, Cursor, Damaged, Decoded};
use crate::disk::DISK_ALIGN;
use crate::schema::FieldType;
use crate::series::SeriesMark;

use super::{Gathered, Statistics, Summary};
use crate::batch::{Strings, Values};
use crate::codec::column::is_valid;

/// Version of the format, in header, trailer and [`SegmentMeta`](super::SegmentMeta). Since 2, vectors may be runs.
pub const VERSION: u32 = 2;

/// Versions that are read: an older one only lacks codings.
pub(super) const VERSIONS: RangeInclusive<u32> = 1..=VERSION;

const MAGIC: [u8; 8] = *b"TIDESEG\n";

/// Bytes of the header; the first block follows.
pub(super) const HEADER_BYTES: usize = 64;

/// Bytes of the trailer.
pub(super) const TRAILER_BYTES: usize = 40;

/// Longest footer believed: 4 million blocks.
const FOOTER_BYTES_MAX: u64 = 1 << 28;

/// Where a block lies.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Archive, Serialize, Deserialize)]
pub(super) struct Place {
    pub(super) offset: u64,
    pub(super) length: u32,
    pub(super) crc: u32,
}

/// A group of rows.
#[derive(Debug, Clone, PartialEq, Eq, Archive, Serialize, Deserialize)]
pub(super) struct Group {
    pub(super) rows: u32,
    pub(super) runs: u32,
    pub(super) series_min: u32,
    pub(super) series_max: u32,
    pub(super) time_min: i64,
    pub(super) time_max: i64,
    pub(super) index: Place,
    pub(super) times: Place,
    /// Whether the time block is empty because all runs are evenly spaced.
    pub(super) regular: bool,
}

/// A column's block of one group. Numbers are the bits of the column's type; of strings, which are not summarized,
/// [`TextSize`] says what they stand for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Archive, Serialize, Deserialize)]
pub(super) struct Block {
    pub(super) place: Place,
    pub(super) nulls: u32,
    pub(super) summarized: bool,
    pub(super) min: u64,
    pub(super) max: u64,
    pub(super) sum: u64,
    pub(super) first: u64,
    pub(super) last: u64,
}

/// A field and its blocks, one a group.
#[derive(Debug, Clone, PartialEq, Eq, Archive, Serialize, Deserialize)]
pub(super) struct Column {
    pub(super) id: u16,
    pub(super) kind: u8,
    pub(super) blocks: Vec<Block>,
}

/// Everything about a segment but its values.
#[derive(Debug, Clone, PartialEq, Eq, Archive, Serialize, Deserialize)]
pub(super) struct Footer {
    pub(super) table: u32,
    pub(super) partition_start: i64,
    pub(super) rows: u64,
    pub(super) groups: Vec<Group>,
    /// Ascending by id.
    pub(super) columns: Vec<Column>,
}

/// What is known of a block of strings.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct TextSize {
    /// Bytes of all of them.
    pub(crate) bytes: u64,
    /// Of the longest.
    pub(crate) longest: u64,
}

impl TextSize {
    /// Of the strings of rows that have one.
    fn of(strings: &Strings, validity: Option<&[u64]>) -> Self {
        let starts = std::iter::once(0).chain(strings.ends.iter().copied());
        let lengths = strings.ends.iter().zip(starts).map(|(end, start)| u64::from(end - start));
        let present = lengths.enumerate().filter(|(row, _)| validity.is_none_or(|bits| is_valid(bits, *row)));
        present.fold(Self { bytes: 0, longest: 0 }, |size, (_, length)| Self {
            bytes: size.bytes + length,
            longest: size.longest.max(length),
        })
    }
}

/// In [`Block::first`] of strings: the size is said. Earlier builds said none.
const SIZE_IS_SAID: u64 = 1;

impl Block {
    /// The block of `gathered`, `nulls` of whose rows have no value.
    pub(super) fn of(place: Place, nulls: usize, gathered: &Gathered) -> Self {
        let block = Self::new(place, nulls, &Statistics::of(gathered));
        let Values::String(strings) = &gathered.values else { return block };
        let TextSize { bytes, longest } = TextSize::of(strings, gathered.validity.as_deref());
        Self { max: longest, sum: bytes, first: SIZE_IS_SAID, ..block }
    }

    /// What `self` would be if an earlier build had written it.
    pub(super) fn without_text_size(self) -> Self {
        match self.text_size() {
            Some(_) => Self { max: 0, sum: 0, first: 0, ..self },
            None => self,
        }
    }

    /// Of a block of strings; `None` where it does not say.
    pub(super) fn text_size(&self) -> Option<TextSize> {
        (!self.summarized && self.first == SIZE_IS_SAID).then_some(TextSize { bytes: self.sum, longest: self.max })
    }

    pub(super) fn new(place: Place, nulls: usize, statistics: &Statistics) -> Self {
        let (summarized, [min, max, sum, first, last]) = match statistics {
            Statistics::None => (false, [0; 5]),
            Statistics::Int(s) => (true, [s.min, s.max, s.sum, s.first, s.last].map(|n| n as u64)),
            Statistics::UInt(s) => (true, [s.min, s.max, s.sum, s.first, s.last]),
            Statistics::Float(s) => (true, [s.min, s.max, s.sum, s.first, s.last].map(f64::to_bits)),
        };
        Self { place, nulls: nulls as u32, summarized, min, max, sum, first, last }
    }

    pub(super) fn statistics(&self, kind: FieldType) -> Statistics {
        let Self { min, max, sum, first, last, .. } = *self;
        if !self.summarized {
            return Statistics::None;
        }
        match kind {
            FieldType::Int => {
                let [min, max, sum, first, last] = [min, max, sum, first, last].map(|n| n as i64);
                Statistics::Int(Summary { min, max, sum, first, last })
            }
            FieldType::UInt => Statistics::UInt(Summary { min, max, sum, first, last }),
            FieldType::Float => {
                let [min, max, sum, first, last] = [min, max, sum, first, last].map(f64::from_bits);
                Statistics::Float(Summary { min, max, sum, first, last })
            }
            FieldType::Bool | FieldType::String => Statistics::None,
        }
    }
}

impl Column {
    pub(super) fn new(id: u16, kind: u8) -> Self {
        Self { id, kind, blocks: Vec::new() }
    }

    /// Bytes of its blocks.
    pub(super) fn bytes(&self) -> u64 {
        self.blocks.iter().map(|block| u64::from(block.place.length)).sum()
    }

    pub(super) fn field_type(&self) -> Option<FieldType> {
        Some(match self.kind {
            0 => FieldType::Int,
            1 => FieldType::UInt,
            2 => FieldType::Float,
            3 => FieldType::Bool,
            4 => FieldType::String,
            _ => return None,
        })
    }
}

/// The number that stands for a type in a footer.
pub(super) fn kind_of(kind: FieldType) -> u8 {
    match kind {
        FieldType::Int => 0,
        FieldType::UInt => 1,
        FieldType::Float => 2,
        FieldType::Bool => 3,
        FieldType::String => 4,
    }
}

impl Footer {
    /// What a reader relies on: blocks lie before `footer_offset`, in order within a column; groups are not empty, not
    /// too large and ascend by series.
    pub(super) fn check(&self, footer_offset: u64) -> Decoded<()> {
        let inside = |place: &Place, after: &mut u64| {
            let end = place.offset.saturating_add(u64::from(place.length));
            let ok = place.offset >= *after && end <= footer_offset;
            *after = end;
            if ok { Ok(()) } else { Err(Damaged("footer names a block outside of its place")) }
        };
        let (mut rows, mut series) = (0, 0);
        let (mut index_end, mut times_end) = (HEADER_BYTES as u64, HEADER_BYTES as u64);
        for group in &self.groups {
            let possible = group.rows as usize <= BLOCK_VALUES_MAX && (1..=group.rows).contains(&group.runs);
            let ordered = series <= group.series_min && group.series_min <= group.series_max;
            if !possible || !ordered || group.time_min > group.time_max {
                return Err(Damaged("footer has a group that cannot be"));
            }
            series = group.series_max;
            rows += u64::from(group.rows);
            inside(&group.index, &mut index_end)?;
            inside(&group.times, &mut times_end)?;
        }
        if rows != self.rows {
            return Err(Damaged("footer has groups of another number of rows than it says"));
        }
        let mut previous = None;
        for column in &self.columns {
            if column.field_type().is_none()
                || previous.is_some_and(|id| id >= column.id)
                || column.blocks.len() != self.groups.len()
            {
                return Err(Damaged("footer has a column that cannot be"));
            }
            previous = Some(column.id);
            let mut end = HEADER_BYTES as u64;
            for (block, group) in column.blocks.iter().zip(&self.groups) {
                inside(&block.place, &mut end)?;
                if block.nulls > group.rows {
                    return Err(Damaged("footer has a block of more nulls than rows"));
                }
            }
        }
        Ok(())
    }
}

/// The first bytes of a file: enough to say what it is when its end is lost, or no manifest names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Header {
    pub(crate) version: u32,
    pub(crate) table: u32,
    pub(crate) partition_start: i64,
    /// `None` in files of earlier builds.
    pub(crate) origin: Option<Origin>,
}

/// Where the rows of a segment come from.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Origin {
    /// All of them were written at or before this position of the log.
    pub(crate) lsn: u64,
    /// All of them are of these series.
    pub(crate) series: SeriesMark,
}

impl Header {
    pub(super) fn encode(self) -> [u8; HEADER_BYTES] {
        let mut out = [0; HEADER_BYTES];
        out[..8].copy_from_slice(&MAGIC);
        out[8..12].copy_from_slice(&self.version.to_le_bytes());
        out[12..16].copy_from_slice(&self.table.to_le_bytes());
        out[16..24].copy_from_slice(&self.partition_start.to_le_bytes());
        let crc = crc32c::crc32c(&out[..24]);
        out[24..28].copy_from_slice(&crc.to_le_bytes());
        if let Some(Origin { lsn, series }) = self.origin {
            out[32..40].copy_from_slice(&lsn.to_le_bytes());
            out[40..44].copy_from_slice(&series.count.to_le_bytes());
            out[44..48].copy_from_slice(&series.crc.to_le_bytes());
            let crc = crc32c::crc32c(&out[..48]);
            out[48..52].copy_from_slice(&crc.to_le_bytes());
        }
        out
    }

    /// `None` where the bytes are no header.
    pub(super) fn decode(bytes: &[u8]) -> Option<Self> {
        let bytes: &[u8; HEADER_BYTES] = bytes.first_chunk()?;
        let mut cursor = Cursor::new(&bytes[8..]);
        let (version, table) = (cursor.u32().ok()?, cursor.u32().ok()?);
        let (partition_start, _) = (cursor.u64().ok()?.cast_signed(), cursor.u64().ok()?);
        let (lsn, count, series_crc) = (cursor.u64().ok()?, cursor.u32().ok()?, cursor.u32().ok()?);
        let is_said = cursor.u32().ok()? == crc32c::crc32c(&bytes[..48]);
        let origin = Origin { lsn, series: SeriesMark { count, crc: series_crc } };
        let header = Self { version, table, partition_start, origin: is_said.then_some(origin) };
        (header.encode() == *bytes).then_some(header)
    }
}

/// Where and how long the footer is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Trailer {
    pub(super) offset: u64,
    pub(super) length: u64,
    pub(super) crc: u32,
}

/// Why a trailer cannot be used.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum TrailerError {
    /// It is not one.
    Damaged(Damaged),
    /// It is one of another version.
    Version(u32),
}

impl Trailer {
    pub(super) fn encode(self) -> [u8; TRAILER_BYTES] {
        let mut out = [0; TRAILER_BYTES];
        out[..8].copy_from_slice(&self.offset.to_le_bytes());
        out[8..16].copy_from_slice(&self.length.to_le_bytes());
        out[16..20].copy_from_slice(&self.crc.to_le_bytes());
        out[24..28].copy_from_slice(&VERSION.to_le_bytes());
        out[28..36].copy_from_slice(&MAGIC);
        let crc = crc32c::crc32c(&out[..36]);
        out[36..].copy_from_slice(&crc.to_le_bytes());
        out
    }

    /// Of a file of `file_bytes` bytes that ends with `bytes`.
    pub(super) fn decode(bytes: &[u8], file_bytes: u64) -> Result<Self, TrailerError> {
        let damaged = |reason| TrailerError::Damaged(Damaged(reason));
        let read = || -> Decoded<(Self, u32, [u8; 8], u32)> {
            let mut cursor = Cursor::new(bytes);
            let (offset, length, crc) = (cursor.u64()?, cursor.u64()?, cursor.u32()?);
            cursor.u32()?;
            Ok((Self { offset, length, crc }, cursor.u32()?, cursor.array()?, cursor.u32()?))
        };
        let (trailer, version, magic, crc) = read().map_err(TrailerError::Damaged)?;
        if magic != MAGIC {
            return Err(damaged("file does not end as a segment does"));
        }
        if bytes.get(..36).map(crc32c::crc32c) != Some(crc) {
            return Err(damaged("trailer does not match its checksum"));
        }
        if !VERSIONS.contains(&version) {
            return Err(TrailerError::Version(version));
        }
        let end = trailer.offset.checked_add(trailer.length);
        if trailer.length > FOOTER_BYTES_MAX || end.is_none_or(|end| end + TRAILER_BYTES as u64 > file_bytes) {
            return Err(damaged("trailer points past the end of the file"));
        }
        Ok(trailer)
    }
}

const _: () = assert!(TRAILER_BYTES <= DISK_ALIGN, "the trailer lies in the last aligned block");
