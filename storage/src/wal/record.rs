//! What one log record says: rows of one table, and the keys of the series that came to be with them.
//!
//! A record is an rkyv archive, so that replay reads it where it lies. All bytes whose number grows with the rows stand
//! in one `data` vector; the rest says what lies where. Nothing in an archive is trusted: bytecheck validates its
//! shape, [`Rows::decode`] every offset and count.

use std::ops::Range;

use rkyv::rancor::Error as RkyvError;
use rkyv::{Archive, Deserialize, Serialize};

use super::pack::{ArchivedPacked, PackScratch, Packed, PackedTime, pack_f64, pack_i64, pack_ids, pack_time, pack_u64};
use crate::batch::{BatchColumn, NewSeries, Strings, Values};
use crate::schema::{ColumnId, TableId};

/// Rows of one table, with series ids of the shard.
#[derive(Debug, Default, Archive, Serialize, Deserialize)]
pub(crate) struct RowsRecord {
    table: u32,
    partition_length: i64,
    series: Packed,
    time: PackedTime,
    columns: Vec<ColumnRecord>,
    /// Id of the first series that this record creates; the others follow it.
    first_series: u32,
    key_lengths: Packed,
    keys: Span,
    data: Vec<u8>,
}

/// What an archive has beside its data and columns, and more.
const ARCHIVE_BYTES: usize = 1 << 10;

/// One field of the rows.
#[derive(Debug, Archive, Serialize, Deserialize)]
struct ColumnRecord {
    id: u16,
    kind: KindCode,
    /// Values; for strings their lengths.
    values: Packed,
    /// For strings, their bytes.
    bytes: Span,
    /// One bit a row.
    validity: Option<Span>,
}

/// A field's type on disk.
#[derive(Debug, Clone, Copy, Archive, Serialize, Deserialize)]
enum KindCode {
    Int,
    UInt,
    Float,
    Bool,
    String,
}

/// Bytes of a record's data.
#[derive(Debug, Clone, Copy, Default, Archive, Serialize, Deserialize)]
struct Span {
    start: u32,
    length: u32,
}

/// Rows to be logged: a range of a batch whose series have been given their ids.
#[derive(Debug)]
pub struct RowsRef<'a> {
    /// The table.
    pub table: TableId,
    /// Length of its time partitions.
    pub partition_length: i64,
    /// Series ids of all rows of the batch.
    pub series: &'a [u32],
    /// Timestamps.
    pub time: &'a [i64],
    /// Fields.
    pub columns: &'a [BatchColumn],
    /// The rows of the batch that the record is to hold.
    pub rows: Range<usize>,
    /// Id of the first series that has no record yet.
    pub first_series: u32,
    /// Lengths of the keys of the series from there on.
    pub key_lengths: &'a [u32],
    /// Those keys, end to end.
    pub keys: &'a [u8],
}

/// Rows as read back.
#[derive(Debug)]
pub struct Rows {
    /// The table.
    pub table: TableId,
    /// Length of its time partitions.
    pub partition_length: i64,
    /// Series ids.
    pub series: Vec<u32>,
    /// Timestamps.
    pub time: Vec<i64>,
    /// Fields.
    pub columns: Vec<BatchColumn>,
    /// Id of the first new series.
    pub first_series: u32,
    /// Keys of the new series, in the order of their ids.
    pub keys: NewSeries,
}

/// Turns rows into records; keeps its vectors between them.
#[derive(Debug, Default)]
pub(crate) struct Encoder {
    record: RowsRecord,
    scratch: PackScratch,
    lengths: Vec<u32>,
}

impl Encoder {
    /// Appends the archive of `rows` to `out`, whose length must be a multiple of 16 so that the archive is aligned
    /// when `out` is. On an error, `out` holds what it held before.
    pub(crate) fn encode(&mut self, rows: &RowsRef<'_>, out: &mut Vec<u8>) -> Result<(), String> {
        let Self { record, scratch, lengths } = self;
        let range = rows.rows.clone();
        record.table = rows.table.0;
        record.partition_length = rows.partition_length;
        record.first_series = rows.first_series;
        record.columns.clear();
        let data = &mut record.data;
        data.clear();
        record.series = pack_ids(&rows.series[range.clone()], data);
        record.time = pack_time(&rows.time[range.clone()], scratch, data);
        for column in rows.columns {
            record.columns.push(encode_column(column, range.clone(), lengths, data));
        }
        record.key_lengths = pack_ids(rows.key_lengths, data);
        record.keys = push_span(rows.keys, data);

        // Offsets within the data are u32; past that they would have wrapped.
        if u32::try_from(data.len()).is_err() {
            return Err("a batch of more than 4 GiB cannot be logged".to_owned());
        }
        let start = out.len();
        let mut writer = std::mem::take(out);
        // A long record is not copied while its archive grows.
        writer.reserve(data.len() + rows.columns.len() * size_of::<ArchivedColumnRecord>() + ARCHIVE_BYTES);
        match rkyv::api::high::to_bytes_in::<_, RkyvError>(&*record, &mut writer) {
            Ok(_) => {
                *out = writer;
                Ok(())
            }
            Err(error) => {
                writer.truncate(start);
                *out = writer;
                Err(format!("cannot archive a log record: {error}"))
            }
        }
    }
}

fn encode_column(column: &BatchColumn, rows: Range<usize>, lengths: &mut Vec<u32>, data: &mut Vec<u8>) -> ColumnRecord {
    let mut bytes = Span::default();
    let (kind, values) = match &column.values {
        Values::Int(values) => (KindCode::Int, pack_i64(&values[rows.clone()], data)),
        Values::UInt(values) => (KindCode::UInt, pack_u64(&values[rows.clone()], data)),
        Values::Float(values) => (KindCode::Float, pack_f64(&values[rows.clone()], data)),
        Values::Bool(values) => {
            let count = rows.len() as u32;
            let span = push_span(&values[rows.clone()], data);
            (KindCode::Bool, Packed { base: 0, offset: span.start, count, width: 1 })
        }
        Values::String(strings) => {
            let covered = lengths_of(&strings.ends, rows.clone(), lengths);
            bytes = push_span(&strings.bytes[covered], data);
            (KindCode::String, pack_ids(lengths, data))
        }
    };
    let validity = column.validity.as_ref().map(|words| {
        let start = data.len() as u32;
        let mut bits = Bits::new(words, rows.start);
        for _ in 0..rows.len().div_ceil(64) {
            data.extend_from_slice(&bits.next_word().to_le_bytes());
        }
        Span { start, length: data.len() as u32 - start }
    });
    ColumnRecord { id: column.id.0, kind, values, bytes, validity }
}

/// Reads a bitmap in words from any bit on.
struct Bits<'a> {
    words: &'a [u64],
    next: usize,
    shift: u32,
}

impl<'a> Bits<'a> {
    fn new(words: &'a [u64], start: usize) -> Self {
        Self { words, next: start / 64, shift: (start % 64) as u32 }
    }

    fn next_word(&mut self) -> u64 {
        let low = self.words.get(self.next).copied().unwrap_or(0) >> self.shift;
        self.next += 1;
        if self.shift == 0 {
            return low;
        }
        low | self.words.get(self.next).copied().unwrap_or(0) << (64 - self.shift)
    }
}

/// Lengths of the items of `ends` in `rows`, and the bytes they cover together.
fn lengths_of(ends: &[u32], rows: Range<usize>, lengths: &mut Vec<u32>) -> Range<usize> {
    lengths.clear();
    let start = if rows.start == 0 { 0 } else { ends[rows.start - 1] };
    let mut previous = start;
    for &end in &ends[rows] {
        lengths.push(end - previous);
        previous = end;
    }
    start as usize..previous as usize
}

fn push_span(bytes: &[u8], data: &mut Vec<u8>) -> Span {
    let start = data.len() as u32;
    data.extend_from_slice(bytes);
    Span { start, length: bytes.len() as u32 }
}

impl Rows {
    /// Reads a record's archive, which must lie at an address that is a multiple of 16. Says what does not hold.
    pub(crate) fn decode(archive: &[u8]) -> Result<Self, String> {
        let record = rkyv::access::<ArchivedRowsRecord, RkyvError>(archive)
            .map_err(|error| format!("a log record is no archive: {error}"))?;
        Self::from_archive(record).ok_or_else(|| "a log record contradicts itself".to_owned())
    }

    fn from_archive(record: &ArchivedRowsRecord) -> Option<Self> {
        let data = record.data.as_slice();
        let rows = record.series.count();
        let mut series = Vec::new();
        record.series.unpack(data, &mut series, |id| id as u32)?;
        let time = record.time.unpack(data, rows)?;
        let columns = record.columns.iter().map(|column| decode_column(column, data, rows)).collect::<Option<_>>()?;
        let bytes = record.keys.of(data)?.to_vec();
        let ends = ends_of(&record.key_lengths, data, bytes.len())?;
        Some(Self {
            table: TableId(record.table.to_native()),
            partition_length: record.partition_length.to_native(),
            series,
            time,
            columns,
            first_series: record.first_series.to_native(),
            keys: NewSeries { ends, bytes },
        })
    }
}

fn decode_column(column: &ArchivedColumnRecord, data: &[u8], rows: usize) -> Option<BatchColumn> {
    if column.values.count() != rows {
        return None;
    }
    let packed = &column.values;
    let values = match column.kind {
        ArchivedKindCode::Int => {
            let mut values = Vec::new();
            packed.unpack(data, &mut values, |bits| bits as i64)?;
            Values::Int(values)
        }
        ArchivedKindCode::UInt => {
            let mut values = Vec::new();
            packed.unpack(data, &mut values, |bits| bits)?;
            Values::UInt(values)
        }
        ArchivedKindCode::Float => {
            let mut values = Vec::new();
            packed.unpack(data, &mut values, f64::from_bits)?;
            Values::Float(values)
        }
        ArchivedKindCode::Bool => {
            let mut values = Vec::new();
            packed.unpack(data, &mut values, |bits| bits as u8)?;
            Values::Bool(values)
        }
        ArchivedKindCode::String => {
            let bytes = column.bytes.of(data)?.to_vec();
            Values::String(Strings { ends: ends_of(packed, data, bytes.len())?, bytes })
        }
    };
    let validity = match column.validity.as_ref() {
        None => None,
        Some(span) => {
            let (words, rest) = span.of(data)?.as_chunks();
            if !rest.is_empty() || words.len() != rows.div_ceil(64) {
                return None;
            }
            Some(words.iter().map(|&word| u64::from_le_bytes(word)).collect())
        }
    };
    Some(BatchColumn { id: ColumnId(column.id.to_native()), values, validity })
}

/// Ends from lengths, which must cover `total` bytes exactly.
fn ends_of(lengths: &ArchivedPacked, data: &[u8], total: usize) -> Option<Vec<u32>> {
    let mut ends = Vec::new();
    lengths.unpack(data, &mut ends, |length| length as u32)?;
    let mut end = 0_u32;
    for length in &mut ends {
        end = end.checked_add(*length)?;
        *length = end;
    }
    (end as usize == total).then_some(ends)
}

impl ArchivedSpan {
    fn of<'a>(&self, data: &'a [u8]) -> Option<&'a [u8]> {
        data.get(self.start.to_native() as usize..)?.get(..self.length.to_native() as usize)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What `decode` must give for the rows of `rows`.
    fn expected(rows: &RowsRef<'_>) -> (Vec<u32>, Vec<i64>, Vec<Vec<Option<String>>>) {
        let cells = |column: &BatchColumn, row: usize| {
            let valid = column.validity.as_ref().is_none_or(|words| words[row / 64] >> (row % 64) & 1 == 1);
            valid.then(|| cell(&column.values, row))
        };
        (
            rows.series[rows.rows.clone()].to_vec(),
            rows.time[rows.rows.clone()].to_vec(),
            rows.columns.iter().map(|column| rows.rows.clone().map(|row| cells(column, row)).collect()).collect(),
        )
    }

    fn cell(values: &Values, row: usize) -> String {
        match values {
            Values::Int(v) => v[row].to_string(),
            Values::UInt(v) => v[row].to_string(),
            Values::Float(v) => format!("{:x}", v[row].to_bits()),
            Values::Bool(v) => v[row].to_string(),
            Values::String(s) => {
                let start = if row == 0 { 0 } else { s.ends[row - 1] as usize };
                String::from_utf8_lossy(&s.bytes[start..s.ends[row] as usize]).into_owned()
            }
        }
    }

    fn random_column(random: &mut fastrand::Rng, id: u16, rows: usize) -> BatchColumn {
        let shift = random.u32(0..64);
        let values = match random.u32(0..5) {
            0 => Values::Int((0..rows).map(|_| random.i64(..) >> shift).collect()),
            1 => Values::UInt((0..rows).map(|_| random.u64(..) >> shift).collect()),
            2 => Values::Float((0..rows).map(|_| random.f64()).collect()),
            3 => Values::Bool((0..rows).map(|_| random.u8(0..2)).collect()),
            _ => {
                let mut strings = Strings::default();
                for _ in 0..rows {
                    let length = random.usize(0..20);
                    strings.bytes.extend((0..length).map(|_| random.alphabetic() as u8));
                    strings.ends.push(strings.bytes.len() as u32);
                }
                Values::String(strings)
            }
        };
        let validity = random.bool().then(|| (0..rows.div_ceil(64)).map(|_| random.u64(..)).collect());
        BatchColumn { id: ColumnId(id), values, validity }
    }

    #[test]
    fn any_range_of_random_rows_comes_back() {
        let mut encoder = Encoder::default();
        for seed in 0..100 {
            let mut random = fastrand::Rng::with_seed(seed);
            let count = random.usize(1..300);
            let series: Vec<u32> = (0..count).map(|_| random.u32(0..40_000)).collect();
            let time: Vec<i64> = (0..count).map(|_| random.i64(0..100) * 1_000_000).collect();
            let columns: Vec<_> = (0..random.u16(0..6)).map(|id| random_column(&mut random, id, count)).collect();
            let key_lengths: Vec<u32> = (0..random.usize(0..5)).map(|_| random.u32(0..30)).collect();
            let keys: Vec<u8> = (0..key_lengths.iter().sum()).map(|_| random.u8(..)).collect();
            let start = random.usize(0..count);
            let rows = RowsRef {
                table: TableId(9),
                partition_length: 1000,
                series: &series,
                time: &time,
                columns: &columns,
                rows: start..random.usize(start..=count),
                first_series: 12,
                key_lengths: &key_lengths,
                keys: &keys,
            };
            let mut out = vec![0; 32];
            encoder.encode(&rows, &mut out).unwrap();
            let mut aligned = rkyv::util::AlignedVec::<16>::new();
            aligned.extend_from_slice(&out[32..]);
            let back = Rows::decode(&aligned).unwrap();
            let whole = RowsRef {
                table: back.table,
                partition_length: back.partition_length,
                series: &back.series,
                time: &back.time,
                columns: &back.columns,
                rows: 0..back.series.len(),
                first_series: back.first_series,
                key_lengths: &[],
                keys: &[],
            };
            assert_eq!(expected(&whole), expected(&rows), "seed {seed}");
            assert_eq!((back.table, back.partition_length, back.first_series), (TableId(9), 1000, 12));
            let mut end = 0;
            let ends: Vec<u32> = key_lengths
                .iter()
                .map(|length| {
                    end += length;
                    end
                })
                .collect();
            assert_eq!(back.keys, NewSeries { ends, bytes: keys.clone() }, "seed {seed}");

            // Damage that no checksum has caught: an answer or a refusal, never a panic.
            for _ in 0..20 {
                let mut damaged = aligned.clone();
                let at = random.usize(0..damaged.len());
                damaged[at] ^= 1 << random.u32(0..8);
                let _ = Rows::decode(&damaged);
            }
        }
    }

    #[test]
    fn a_devops_row_costs_about_a_byte_a_value() {
        let rows = 10_000;
        let series: Vec<u32> = (0..rows as u32).map(|row| row % 2_000).collect();
        let time: Vec<i64> = (0..rows as i64).map(|row| (1_700_000_000 + row / 2_000 * 10) * 1_000_000_000).collect();
        let columns: Vec<_> = (0..10)
            .map(|id| BatchColumn {
                id: ColumnId(id),
                values: Values::Int((0..rows as i64).map(|row| row * 7 % 101).collect()),
                validity: None,
            })
            .collect();
        let mut out = Vec::new();
        let rows_ref = RowsRef {
            table: TableId(1),
            partition_length: 1,
            series: &series,
            time: &time,
            columns: &columns,
            rows: 0..rows,
            first_series: 0,
            key_lengths: &[],
            keys: &[],
        };
        Encoder::default().encode(&rows_ref, &mut out).unwrap();
        assert!(out.len() < rows * 13, "{} bytes a row", out.len() / rows);
    }
}
