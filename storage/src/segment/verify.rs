//! A segment described, and read through from its first byte to its last.

use std::path::Path;

use super::format::{Block, HEADER_BYTES, Header, Place, TRAILER_BYTES, Trailer, TrailerError};
use super::reader::{incompatible, read_range};
use super::{Gathered, Segment, Statistics};
use crate::batch::{Strings, Values};
use crate::codec::Damaged;
use crate::codec::column::{Column, Nullable};
use crate::codec::describe::{Codings, codings};
use crate::disk::{Disk, DiskFile, OpenMode};
use crate::error::{Error, Result};
use crate::schema::{ColumnId, FieldType, TableId};

/// Where a block lies in its file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BlockPlace {
    /// Offset of its first byte.
    pub offset: u64,
    /// Length in bytes; 0 where it is not needed.
    pub bytes: u64,
    /// Its checksum.
    pub crc32c: u32,
}

/// A group of rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GroupFacts {
    /// Rows.
    pub rows: u64,
    /// Series with rows in it.
    pub runs: u64,
    /// Least series.
    pub series_min: u32,
    /// Greatest series.
    pub series_max: u32,
    /// Least time.
    pub time_min: i64,
    /// Greatest time.
    pub time_max: i64,
    /// The block of its runs.
    pub index: BlockPlace,
    /// The block of its times; empty where all runs are evenly spaced.
    pub times: BlockPlace,
}

/// A block of a field.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct BlockFacts {
    /// Where it lies.
    pub place: BlockPlace,
    /// Rows without a value.
    pub nulls: u64,
    /// Of the others.
    pub statistics: Statistics,
}

/// A field, with a block for each group.
#[derive(Debug, Clone, PartialEq)]
pub struct ColumnFacts {
    /// The field.
    pub id: ColumnId,
    /// Its type.
    pub kind: FieldType,
    /// Its blocks.
    pub blocks: Vec<BlockFacts>,
}

/// What a segment's footer says.
#[derive(Debug, Clone, PartialEq)]
pub struct SegmentDescription {
    /// The table.
    pub table: TableId,
    /// First time of the partition.
    pub partition_start: i64,
    /// Rows.
    pub rows: u64,
    /// The groups, in order.
    pub groups: Vec<GroupFacts>,
    /// The fields, ascending by id.
    pub columns: Vec<ColumnFacts>,
}

/// What a segment has to agree with.
#[derive(Debug, Clone, Copy)]
pub struct Expected {
    /// The table that the manifest names.
    pub table: TableId,
    /// First time of its partition.
    pub partition_start: i64,
    /// Length of its partition.
    pub partition_length: i64,
    /// Series that the table has, if that is known.
    pub series: Option<u64>,
}

impl From<Place> for BlockPlace {
    fn from(place: Place) -> Self {
        Self { offset: place.offset, bytes: u64::from(place.length), crc32c: place.crc }
    }
}

/// The checksum of a segment's footer, which covers those of its blocks: two segments of one length and one such
/// checksum hold the same. Checks nothing but the trailer.
pub async fn segment_checksum<D: Disk>(disk: &D, path: &Path) -> Result<u32> {
    let file = disk.open(path, OpenMode::Read).await?;
    let length = file.length().await?;
    let offset = length.saturating_sub(TRAILER_BYTES as u64);
    let bytes = read_range::<D>(&file, path, offset, length).await?;
    let trailer = Trailer::decode(&bytes, length).map_err(|error| match error {
        TrailerError::Damaged(Damaged(reason)) => Error::corrupt(path, offset, reason),
        TrailerError::Version(version) => incompatible(path, version),
    })?;
    Ok(trailer.crc)
}

impl<D: Disk> Segment<D> {
    /// What the footer says.
    pub fn describe(&self) -> SegmentDescription {
        let footer = self.footer();
        let groups = footer.groups.iter().map(|group| GroupFacts {
            rows: u64::from(group.rows),
            runs: u64::from(group.runs),
            series_min: group.series_min,
            series_max: group.series_max,
            time_min: group.time_min,
            time_max: group.time_max,
            index: group.index.into(),
            times: group.times.into(),
        });
        let columns = footer.columns.iter().filter_map(|column| {
            let kind = column.field_type()?;
            let blocks = column.blocks.iter().map(|block| BlockFacts {
                place: block.place.into(),
                nulls: u64::from(block.nulls),
                statistics: block.statistics(kind),
            });
            Some(ColumnFacts { id: ColumnId(column.id), kind, blocks: blocks.collect() })
        });
        SegmentDescription {
            table: TableId(footer.table),
            partition_start: footer.partition_start,
            rows: footer.rows,
            groups: groups.collect(),
            columns: columns.collect(),
        }
    }

    /// How the block of the `field`-th field in `group` is coded.
    pub async fn codings(&self, field: usize, group: usize) -> Result<Codings> {
        let kind = self.columns().nth(field).map(|(_, kind)| kind);
        let kind = kind.ok_or_else(|| Error::Rejected(format!("{} has no field {field}", self.path().display())))?;
        let (block, _) = self.stored(field, group, kind).await?;
        Ok(codings(block.bytes(), self.group(group).rows))
    }

    /// Reads every block: checks its checksum, decodes it, and compares it with what the footer and `expected` say.
    /// Each damage goes to `damage`, and the rest is read all the same; `read` is called with the number of bytes that
    /// have been read.
    pub async fn verify(
        &self,
        disk: &D,
        expected: &Expected,
        damage: &mut dyn FnMut(Error),
        read: &mut dyn FnMut(u64),
    ) -> Result<()> {
        self.verify_frame(expected, damage).await?;
        let mut reported = HEADER_BYTES as u64;
        for group in 0..self.groups() {
            report(self.verify_rows(group, expected).await, damage)?;
            let group = &self.footer().groups[group];
            let bytes = u64::from(group.index.length) + u64::from(group.times.length);
            reported += bytes;
            read(bytes);
            disk.yield_if_needed().await;
        }
        let columns: Vec<_> = self.columns().collect();
        for (field, (_, kind)) in columns.into_iter().enumerate() {
            for group in 0..self.groups() {
                report(self.verify_block(field, group, kind).await, damage)?;
                let bytes = u64::from(self.footer().columns[field].blocks[group].place.length);
                reported += bytes;
                read(bytes);
                disk.yield_if_needed().await;
            }
        }
        // The footer was read when the segment was opened.
        read(self.meta().bytes.saturating_sub(reported - HEADER_BYTES as u64));
        Ok(())
    }

    /// The header, and what the footer says of the whole.
    async fn verify_frame(&self, expected: &Expected, damage: &mut dyn FnMut(Error)) -> Result<()> {
        let footer = self.footer();
        let found = self.front(HEADER_BYTES as u64).await;
        let is_ours = |header: &Header| {
            let (version, table, start) = (header.version, header.table, header.partition_start);
            (version, table, start) == (self.meta().version, footer.table, footer.partition_start)
        };
        report(
            found.and_then(|front| match Header::decode(&front).as_ref().is_some_and(is_ours) {
                true => Ok(()),
                false => Err(Error::corrupt(self.path(), 0, "header is not that of the footer's table and partition")),
            }),
            damage,
        )?;
        if footer.table != expected.table.0 || footer.partition_start != expected.partition_start {
            let reason = format!(
                "it is of table {} and the partition from {}, which is not what the manifest says",
                footer.table, footer.partition_start
            );
            damage(Error::corrupt(self.path(), 0, reason));
        }
        let (meta, groups) = (self.meta(), &footer.groups);
        let bounds = (
            groups.iter().map(|group| group.time_min).min(),
            groups.iter().map(|group| group.time_max).max(),
            groups.first().map(|group| group.series_min),
            groups.last().map(|group| group.series_max),
        );
        let said = (Some(meta.time_min), Some(meta.time_max), Some(meta.series_min), Some(meta.series_max));
        if bounds != said {
            let reason = format!("its times and series are {bounds:?} where the manifest says {said:?}");
            damage(Error::corrupt(self.path(), self.meta().bytes, reason));
        }
        if expected.series.is_some_and(|series| u64::from(meta.series_max) >= series) {
            let reason =
                format!("it has series {}, and the table has {}", meta.series_max, expected.series.unwrap_or(0));
            damage(Error::corrupt(self.path(), self.meta().bytes, reason));
        }
        Ok(())
    }

    /// Index and times of a group.
    async fn verify_rows(&self, group: usize, expected: &Expected) -> Result<()> {
        let info = self.group(group);
        let runs = self.index(group).await?;
        let times = self.times(group, &runs).await?;
        let index = self.footer().groups[group].index.offset;
        let wrong = |reason: &str| Err(Error::corrupt(self.path(), index, reason));
        if times.len() != info.rows {
            return wrong("a group has another number of times than rows");
        }
        for run in &runs {
            let rows = times.get(run.start as usize..(run.start + run.len) as usize).unwrap_or_default();
            if (rows.first(), rows.last()) != (Some(&run.time_min), Some(&run.time_max)) {
                return wrong("times of a series do not begin and end as its run says");
            }
            if rows.windows(2).any(|pair| pair[0] >= pair[1]) {
                return wrong("times of a series do not ascend");
            }
        }
        let span = (times.iter().min().copied(), times.iter().max().copied());
        if span != (Some(info.time_min), Some(info.time_max)) {
            return wrong("a group has other times than its footer says");
        }
        let partition_end = expected.partition_start.saturating_add(expected.partition_length);
        if info.time_min < expected.partition_start || (info.time_max >= partition_end && partition_end != i64::MAX) {
            return wrong("a group has times outside of its partition");
        }
        Ok(())
    }

    /// A field's block of a group.
    async fn verify_block(&self, field: usize, group: usize, kind: FieldType) -> Result<()> {
        let rows = self.group(group).rows;
        let decoded = self.values(field, group, 0..rows, kind).await?;
        let wrong = |reason| Err(self.damaged_block(field, group, reason));
        let gathered = match gathered(decoded, kind, rows) {
            Ok(gathered) => gathered,
            Err(reason) => return wrong(reason),
        };
        let block = self.footer().columns[field].blocks[group];
        let present = gathered.validity.as_ref().map_or(rows, |bits| crate::codec::bitmap::count(bits, rows));
        if rows - present != block.nulls as usize {
            return wrong("block has another number of nulls than its footer says");
        }
        let written = Block::of(block.place, block.nulls as usize, &gathered);
        if block != written && block != written.without_text_size() {
            return wrong("block has other values than the statistics of its footer say");
        }
        Ok(())
    }
}

/// Values as they were given to be written.
fn gathered(decoded: Nullable, kind: FieldType, rows: usize) -> Result<Gathered, &'static str> {
    let (column, validity) = decoded;
    let counted = |found: usize| match found == rows {
        true => Ok(()),
        false => Err("block has another number of values than its group has rows"),
    };
    let values = match (column, kind) {
        (Column::Nothing, _) => {
            let values = match kind {
                FieldType::String => Values::String(Strings { ends: vec![0; rows], bytes: Vec::new() }),
                _ => Values::Bool(vec![0; rows]),
            };
            return Ok(Gathered { values, validity: Some(vec![0; rows.div_ceil(64)]) });
        }
        (Column::Words(words), FieldType::Int) => Values::Int(words.into_iter().map(|word| word as i64).collect()),
        (Column::Words(words), FieldType::UInt) => Values::UInt(words),
        (Column::Words(words), FieldType::Float) => Values::Float(words.into_iter().map(f64::from_bits).collect()),
        (Column::Bits(bits), FieldType::Bool) => {
            counted(if bits.len() == rows.div_ceil(64) { rows } else { bits.len() })?;
            Values::Bool((0..rows).map(|row| (bits[row / 64] >> (row % 64) & 1) as u8).collect())
        }
        (Column::Text(text), FieldType::String) => {
            // Whole strings only: an offset within a character would not be one either.
            let all = std::str::from_utf8(&text.bytes).map_err(|_| "block has a string that is not UTF-8")?;
            if text.offsets.iter().any(|offset| !all.is_char_boundary(*offset as usize)) {
                return Err("block has a string that is not UTF-8");
            }
            Values::String(Strings {
                ends: text.offsets.iter().skip(1).map(|end| *end as u32).collect(),
                bytes: text.bytes,
            })
        }
        _ => return Err("block is of another type than its column"),
    };
    counted(values.len())?;
    Ok(Gathered { values, validity })
}

/// Damage is reported, and the work goes on; any other failure ends it.
fn report(done: Result<()>, damage: &mut dyn FnMut(Error)) -> Result<()> {
    match done {
        Err(error @ Error::Corrupt { .. }) => {
            damage(error);
            Ok(())
        }
        done => done,
    }
}
