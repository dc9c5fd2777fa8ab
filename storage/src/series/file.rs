//! The series file: keys of series, in the order in which they came to be.
//!
//! ```text
//! file    = header, section*, zeros up to 4 KiB
//! header  = magic, version, shard
//! section = crc32c of what follows, table, id of the first series, count, raw length, length | zstd of raw
//! raw     = count lengths, keys end to end                                  all numbers u32, little-endian
//! ```
//!
//! Files are immutable; all together, in the order of the manifest, hold every series once. Each has a copy beside it,
//! for when it turns out to be damaged.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::{SeriesIndex, check_key};
use crate::error::{Error, Result};
use crate::schema::TableId;

/// Version of the format above.
const VERSION: u32 = 1;

const MAGIC: [u8; 8] = *b"TIDE-KEY";
const HEADER_BYTES: usize = 16;
const SECTION_HEADER_BYTES: usize = 24;

/// Keys of one section, compressed together: long enough for zstd to see that they are alike, short enough that
/// reading one back needs little memory.
const SECTION_BYTES: usize = 1 << 20;

/// Keys repeat almost everything, which the fastest level sees as well as a slow one.
const ZSTD_LEVEL: i32 = 1;

/// Most bytes that a section may say it unpacks to: a key may be as long as a batch, so this is no tight bound.
const SECTION_RAW_MAX: usize = 1 << 30;

/// Series of each table in a file, those of dropped tables too.
pub(crate) type SeriesCounts = BTreeMap<TableId, u32>;

/// A series file in the making.
#[derive(Debug)]
pub(crate) struct SeriesWriter {
    bytes: Vec<u8>,
    counts: SeriesCounts,
}

impl SeriesWriter {
    pub(crate) fn new(shard: u32) -> Self {
        let mut bytes = Vec::from(MAGIC);
        bytes.extend_from_slice(&VERSION.to_le_bytes());
        bytes.extend_from_slice(&shard.to_le_bytes());
        Self { bytes, counts: SeriesCounts::new() }
    }

    /// Adds the series `from..` of a table up to about one section's worth, and gives the first that is left.
    pub(crate) fn section(&mut self, table: TableId, index: &SeriesIndex, from: u32, to: u32) -> std::io::Result<u32> {
        let (keys, lengths) = index.keys_from(from);
        let (mut raw, mut end) = (Vec::new(), 0);
        let mut count = 0;
        for length in lengths.take((to - from) as usize) {
            raw.extend_from_slice(&length.to_le_bytes());
            end += length as usize;
            count += 1;
            if end >= SECTION_BYTES {
                break;
            }
        }
        raw.extend_from_slice(&keys[..end]);
        let packed = zstd::bulk::compress(&raw, ZSTD_LEVEL)?;

        let start = self.bytes.len();
        for field in [0, table.0, from, count, raw.len() as u32, packed.len() as u32] {
            self.bytes.extend_from_slice(&field.to_le_bytes());
        }
        self.bytes.extend_from_slice(&packed);
        let crc = crc32c::crc32c(&self.bytes[start + 4..]);
        self.bytes[start..start + 4].copy_from_slice(&crc.to_le_bytes());
        *self.counts.entry(table).or_default() += count;
        Ok(from + count)
    }

    /// Series added.
    pub(crate) fn counts(&self) -> &SeriesCounts {
        &self.counts
    }

    /// The file.
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes
    }
}

/// Where the copy of a series file lies.
pub(crate) fn copy_of(path: &Path) -> PathBuf {
    path.with_extension("copy.keys")
}

/// How long a file is without the zeros that pad it to a whole block.
pub(crate) fn content_bytes(bytes: &[u8]) -> u64 {
    let mut end = HEADER_BYTES.min(bytes.len());
    while let Some(packed) = field(&bytes[end..], 5).filter(|packed| *packed > 0) {
        let section = SECTION_HEADER_BYTES.saturating_add(packed as usize);
        if section > bytes.len() - end {
            break;
        }
        end += section;
    }
    end as u64
}

/// A section whose checksum holds.
struct Section<'a> {
    offset: usize,
    table: TableId,
    first: u32,
    count: u32,
    raw_length: u32,
    packed: &'a [u8],
}

/// An error unless each section of a file of `length` bytes (padding apart) is what was written.
pub(crate) fn check(path: &Path, bytes: &[u8], length: u64, shard: u32) -> Result<()> {
    sections(path, bytes, length, shard).map(drop)
}

/// Adds the series of a file of `length` bytes (padding apart) to `indexes`, and gives what is in the file; tables that
/// are not live are counted and passed over.
pub(crate) fn load(
    path: &Path,
    bytes: &[u8],
    length: u64,
    shard: u32,
    is_live: &dyn Fn(TableId) -> bool,
    indexes: &mut BTreeMap<TableId, SeriesIndex>,
) -> Result<SeriesCounts> {
    let mut counts = SeriesCounts::new();
    // One for all: what a new one sets up costs more than a small table's section.
    let unpacker = zstd::bulk::Decompressor::new();
    let mut unpacker = unpacker.map_err(|error| Error::io("unpack series of", path, error))?;
    for section in sections(path, bytes, length, shard)? {
        let Section { offset, table, first, count, raw_length, packed } = section;
        let counted = counts.entry(table).or_default();
        *counted = count.saturating_add(*counted);
        let damaged = |reason: &str| Error::corrupt(path, offset as u64, format!("series: {reason}"));
        if is_live(table) {
            let index = indexes.entry(table).or_default();
            let length = raw_length as usize;
            let raw = (length <= SECTION_RAW_MAX).then(|| unpacker.decompress(packed, length).ok());
            let raw = raw.flatten().ok_or_else(|| damaged("it does not unpack"))?;
            load_section(&raw, first, count, index).map_err(|reason| damaged(&reason))?;
        }
    }
    Ok(counts)
}

/// The sections of a file.
fn sections<'a>(path: &Path, bytes: &'a [u8], length: u64, shard: u32) -> Result<Vec<Section<'a>>> {
    let bytes = usize::try_from(length).ok().and_then(|length| bytes.get(..length));
    let bytes = bytes.ok_or_else(|| Error::corrupt(path, length, "the series file is cut short"))?;
    let (version, of_shard) = match (bytes.starts_with(&MAGIC), field(bytes, 2), field(bytes, 3)) {
        (true, Some(version), Some(of_shard)) => (version, of_shard),
        _ => return Err(Error::corrupt(path, 0, "no series file")),
    };
    if version != VERSION || of_shard != shard {
        let reason =
            format!("series of shard {of_shard}, format {version}; wanted are shard {shard}, format {VERSION}");
        return Err(Error::Incompatible { path: path.to_owned(), reason });
    }
    let (mut offset, mut sections) = (HEADER_BYTES, Vec::new());
    while offset < bytes.len() {
        let damaged = |reason: &str| Error::corrupt(path, offset as u64, format!("series: {reason}"));
        let section = &bytes[offset..];
        let packed = field(section, 5).and_then(|length| section.get(SECTION_HEADER_BYTES..)?.get(..length as usize));
        let packed = packed.ok_or_else(|| damaged("the section is cut short"))?;
        let whole = &section[..SECTION_HEADER_BYTES + packed.len()];
        if field(whole, 0) != Some(crc32c::crc32c(&whole[4..])) {
            return Err(damaged("the checksum does not hold"));
        }
        let (Some(table), Some(first), Some(count), Some(raw_length)) =
            (field(whole, 1), field(whole, 2), field(whole, 3), field(whole, 4))
        else {
            return Err(damaged("the section is cut short"));
        };
        sections.push(Section { offset, table: TableId(table), first, count, raw_length, packed });
        offset += whole.len();
    }
    Ok(sections)
}

fn load_section(raw: &[u8], first: u32, count: u32, index: &mut SeriesIndex) -> Result<(), String> {
    if index.len() != first as usize {
        return Err(format!("its first series is {first}, but {} come before it", index.len()));
    }
    let (lengths, mut keys) = raw.split_at_checked(count as usize * 4).ok_or("it is cut short")?;
    for length in lengths.as_chunks().0 {
        let (key, rest) = keys.split_at_checked(u32::from_le_bytes(*length) as usize).ok_or("it is cut short")?;
        check_key(key).map_err(|reason| format!("a key: {reason}"))?;
        if !index.insert(key).1 {
            return Err("a series stands in it that is there already".to_owned());
        }
        keys = rest;
    }
    Ok(())
}

/// The `at`-th u32.
fn field(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.as_chunks().0.get(at).map(|field| u32::from_le_bytes(*field))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::batch::NewSeries;
    use crate::schema::{ColumnId, SeriesId};

    fn index(series: u32) -> SeriesIndex {
        let mut index = SeriesIndex::default();
        for id in 0..series {
            let mut keys = NewSeries::default();
            keys.push([(ColumnId(3), format!("host_{id}").as_bytes()), (ColumnId(4), b"eu")]);
            index.insert(&keys.bytes);
        }
        index
    }

    fn written(index: &SeriesIndex, table: TableId, from: u32) -> SeriesWriter {
        let mut writer = SeriesWriter::new(7);
        let mut next = from;
        while (next as usize) < index.len() {
            next = writer.section(table, index, next, index.len() as u32).unwrap();
        }
        writer
    }

    fn read(bytes: &[u8], all: &mut BTreeMap<TableId, SeriesIndex>) -> Result<SeriesCounts> {
        load(Path::new("x"), bytes, bytes.len() as u64, 7, &|table| table == TableId(1), all)
    }

    #[test]
    fn series_come_back_in_order_from_several_files() {
        let whole = index(60_000);
        let mut first = SeriesWriter::new(7);
        first.section(TableId(1), &whole, 0, 10).unwrap();
        let rest = written(&whole, TableId(1), 10);
        let mut all = BTreeMap::new();
        for file in [&first, &rest] {
            assert_eq!(read(file.bytes(), &mut all).unwrap(), *file.counts());
        }
        assert_eq!(*rest.counts(), BTreeMap::from([(TableId(1), 59_990)]));
        let back = &all[&TableId(1)];
        assert_eq!(back.len(), whole.len());
        for id in [0, 9, 10, 59_999] {
            assert!(back.key(SeriesId(id)).eq(whole.key(SeriesId(id))));
        }
    }

    #[test]
    fn any_damage_is_told() {
        let file = written(&index(100), TableId(1), 0);
        let bytes = file.bytes();
        let read = |bytes: &[u8]| {
            let mut all = BTreeMap::new();
            read(bytes, &mut all).map(|_| all[&TableId(1)].len())
        };
        assert_eq!(read(bytes).unwrap(), 100);
        for bit in 0..bytes.len() * 8 {
            let mut damaged = bytes.to_vec();
            damaged[bit / 8] ^= 1 << (bit % 8);
            assert!(read(&damaged).is_err(), "bit {bit}");
        }
        assert!(read(&bytes[..bytes.len() - 1]).is_err());
    }

    #[test]
    fn a_gap_or_an_overlap_of_files_is_told_and_a_dead_table_is_passed_over() {
        let file = written(&index(100), TableId(1), 0);
        let mut all = BTreeMap::from([(TableId(1), index(3))]);
        assert!(read(file.bytes(), &mut all).unwrap_err().to_string().contains("3 come before it"));
        let dead = written(&index(100), TableId(2), 0);
        let mut all = BTreeMap::new();
        assert_eq!(read(dead.bytes(), &mut all).unwrap(), BTreeMap::from([(TableId(2), 100)]));
        assert!(all.is_empty());
    }
}
