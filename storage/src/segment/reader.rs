//! Reading a segment: the footer once, blocks through the cache.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use super::format::{
    self, Block, Footer, Group, HEADER_BYTES, Place, TRAILER_BYTES, TextSize, Trailer, TrailerError, VERSIONS,
};
use super::index::{self, IndexRun};
use super::picked;
use super::{SegmentMeta, Statistics};
use crate::cache::{Cache, Extent};
use crate::codec::Damaged;
use crate::codec::column::{self, Column, Nullable};
use crate::disk::{DISK_ALIGN, Disk, DiskFile, IO_BYTES_MAX};
use crate::error::{Error, Result};
use crate::open_files::PooledFile;
use crate::schema::{ColumnId, FieldType};

/// Neighbouring blocks of a column are read and cached together up to this size: a read this long costs about twice
/// one of 4 KiB on an NVMe disk, and a query for one series pays it for one block.
const EXTENT_BYTES: u64 = 128 << 10;

/// What is read of a file's end at once: the trailer, and the footer of all but large segments.
const TAIL_BYTES: u64 = 8 << 10;

/// What is wrong with a block whose bytes are not those that were written.
const CHECKSUM: &str = "block does not match its checksum";

/// Lanes of a segment that are not fields: runs and times of the groups.
pub(crate) const LANES_BEFORE_FIELDS: usize = FIELD_LANES as usize;

/// Positions of the pseudo columns in the cache's keys; fields follow.
const INDEX_LANE: u32 = 0;
const TIMES_LANE: u32 = 1;
const FIELD_LANES: u32 = 2;

/// Marks the lane in the key of single rows of a group.
const PICKED: u32 = 1 << 31;

/// An open segment. Its footer stays in memory, its blocks come and go through the cache.
pub struct Segment<D: Disk> {
    file: Rc<PooledFile<D>>,
    path: PathBuf,
    footer: Rc<Footer>,
    /// For each lane, the first group of each extent.
    extents: Rc<Vec<Vec<u32>>>,
    /// Bytes of each field's blocks.
    field_bytes: Rc<[u64]>,
    cache: Rc<Cache>,
    /// Offsets of blocks that were found damaged, and not found well again.
    damage: Rc<RefCell<BTreeMap<u64, &'static str>>>,
    id: u64,
    meta: SegmentMeta,
}

/// A verified block, kept alive by its extent.
#[derive(Debug, Clone)]
pub(crate) struct BlockBytes {
    extent: Rc<Extent>,
    from: usize,
    length: usize,
}

impl BlockBytes {
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.extent.bytes[self.from..self.from + self.length]
    }
}

impl<D: Disk> Segment<D> {
    /// Opens the segment at `path`, which `meta` describes.
    pub async fn open(disk: &D, path: &Path, meta: &SegmentMeta, cache: Rc<Cache>) -> Result<Rc<Self>> {
        if !VERSIONS.contains(&meta.version) {
            return Err(incompatible(path, meta.version));
        }
        let pooled = PooledFile::new(disk, path, cache.files());
        let file = pooled.get().await?;
        let length = file.length().await?;
        if length != meta.bytes {
            let reason = format!("it has {length} bytes where the manifest says {}", meta.bytes);
            return Err(Error::corrupt(path, length.min(meta.bytes), reason));
        }
        let (footer, offset) = read_footer::<D>(&file, path, length).await?;
        if footer.rows != meta.rows {
            return Err(Error::corrupt(path, offset, "footer has another number of rows than the manifest"));
        }
        let extents = Rc::new(extents(&footer, EXTENT_BYTES));
        let field_bytes = footer.columns.iter().map(format::Column::bytes).collect();
        let (id, footer) = (cache.segment_id(), Rc::new(footer));
        Ok(Rc::new(Self {
            file: pooled,
            path: path.to_owned(),
            footer,
            extents,
            field_bytes,
            cache,
            damage: Rc::default(),
            id,
            meta: meta.clone(),
        }))
    }

    /// The same segment, read through another cache in stretches of about `extent_bytes`, or the usual ones if those
    /// are shorter: for a reader that goes through all of it once and would throw out what others come back for.
    pub(crate) fn with_cache(&self, cache: Rc<Cache>, extent_bytes: u64) -> Rc<Self> {
        Rc::new(Self {
            file: self.file.clone(),
            path: self.path.clone(),
            footer: self.footer.clone(),
            extents: match extent_bytes < EXTENT_BYTES {
                true => Rc::new(extents(&self.footer, extent_bytes)),
                false => self.extents.clone(),
            },
            field_bytes: self.field_bytes.clone(),
            id: cache.segment_id(),
            cache,
            damage: self.damage.clone(),
            meta: self.meta.clone(),
        })
    }

    /// What the manifest says of it.
    pub fn meta(&self) -> &SegmentMeta {
        &self.meta
    }

    /// Where it lies.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Memory that it takes while it is open: its footer, blocks in the cache not counted.
    pub(crate) fn memory_bytes(&self) -> u64 {
        let groups = self.footer.groups.len() * size_of::<Group>();
        let blocks: usize = self.footer.columns.iter().map(|column| column.blocks.len()).sum();
        (groups + blocks * size_of::<Block>()) as u64
    }

    /// Fields it has, ascending by id.
    pub fn columns(&self) -> impl Iterator<Item = (ColumnId, FieldType)> {
        self.footer.columns.iter().filter_map(|column| Some((ColumnId(column.id), column.field_type()?)))
    }

    /// Bytes that it would be smaller by without the fields `dropped` (ascending); 0 where it has no others.
    pub(crate) fn bytes_without(&self, dropped: &[ColumnId]) -> u64 {
        let (mut freed, mut others) = (0, 0);
        for (column, bytes) in self.footer.columns.iter().zip(&*self.field_bytes) {
            match dropped.binary_search(&ColumnId(column.id)) {
                Ok(_) => freed += bytes,
                Err(_) => others += 1,
            }
        }
        if others == 0 { 0 } else { freed }
    }

    pub(super) fn footer(&self) -> &Footer {
        &self.footer
    }

    /// The first `length` bytes of the file.
    pub(super) async fn front(&self, length: u64) -> Result<Vec<u8>> {
        read_range::<D>(&*self.file.get().await?, &self.path, 0, length).await
    }

    pub(crate) fn groups(&self) -> usize {
        self.footer.groups.len()
    }

    pub(crate) fn group(&self, group: usize) -> GroupInfo {
        let Group { rows, runs, series_min, series_max, time_min, time_max, .. } = self.footer.groups[group];
        GroupInfo { rows: rows as usize, runs: runs as usize, series_min, series_max, time_min, time_max }
    }

    /// The first group that ends with `series` or a later one; the number of groups if there is none.
    pub(crate) fn first_group_of(&self, series: u32) -> usize {
        self.footer.groups.partition_point(|group| group.series_max < series)
    }

    /// Position of a field, if the segment has it.
    pub(crate) fn field(&self, id: ColumnId) -> Option<usize> {
        self.footer.columns.binary_search_by_key(&id.0, |column| column.id).ok()
    }

    /// What is known of a block without reading it: nulls, and statistics of the rest.
    pub(crate) fn statistics(&self, field: usize, group: usize) -> (u32, Statistics) {
        let column = &self.footer.columns[field];
        let block = &column.blocks[group];
        (block.nulls, column.field_type().map_or(Statistics::None, |kind| block.statistics(kind)))
    }

    /// How much the strings of a group's block take, and the longest of them; about, where the block does not say.
    pub(crate) fn text_size(&self, field: usize, group: usize) -> TextSize {
        /// How far strings are squeezed, where nothing is said of it.
        const SQUEEZED: u64 = 8;
        let block = &self.footer.columns[field].blocks[group];
        block.text_size().unwrap_or_else(|| {
            let bytes = u64::from(block.place.length) * SQUEEZED;
            TextSize { bytes, longest: bytes / u64::from(self.footer.groups[group].rows.max(2)) * 2 }
        })
    }

    /// The runs of a group.
    pub(crate) async fn index(&self, group: usize) -> Result<Vec<IndexRun>> {
        let info = self.group(group);
        let place = self.footer.groups[group].index;
        let block = self.block(INDEX_LANE, group, place).await?;
        let runs = index::decode(block.bytes(), info.runs, info.rows).map_err(|e| self.damaged(place, e))?;
        let (first, last) = (runs.first().map(|run| run.series.0), runs.last().map(|run| run.series.0));
        if first != Some(info.series_min) || last != Some(info.series_max) {
            return Err(self.damaged(place, Damaged("index block holds other series than its footer says")));
        }
        Ok(runs)
    }

    /// The times of a group at the rows of `runs`, some or all of its runs.
    pub(crate) async fn times(&self, group: usize, runs: &[IndexRun]) -> Result<Vec<i64>> {
        let Group { times: place, rows, .. } = self.footer.groups[group];
        let decoded = if place.length == 0 {
            index::decode_times(&[], runs, rows as usize)
        } else {
            let block = self.block(TIMES_LANE, group, place).await?;
            index::decode_times(block.bytes(), runs, rows as usize)
        };
        decoded.map_err(|e| self.damaged(place, e))
    }

    /// Rows `rows` of a field of a group, whose type is `kind`.
    pub(crate) async fn values(
        &self,
        field: usize,
        group: usize,
        rows: Range<usize>,
        kind: FieldType,
    ) -> Result<Nullable> {
        let (block, place, total) = self.field_block(field, group, kind).await?;
        column::decode(block.bytes(), kind, total, rows).map_err(|e| self.damaged(place, e))
    }

    /// The ascending `rows` of a field of a group, whose type is `kind`. Numbers are remembered until other rows of the
    /// group are asked for: a row in the middle of a block costs the sums of all before it.
    pub(crate) async fn pick(&self, field: usize, group: usize, rows: &[u32], kind: FieldType) -> Result<Nullable> {
        let key = (self.id, PICKED | (FIELD_LANES + field as u32), group as u32);
        if let Some(words) = self.cache.get(key).and_then(|picked| picked::recall(&picked.bytes, rows)) {
            return Ok((Column::Words(words), None));
        }
        let (block, place, total) = self.field_block(field, group, kind).await?;
        let picked = column::pick(block.bytes(), kind, total, rows).map_err(|e| self.damaged(place, e))?;
        if let (Column::Words(words), None) = &picked {
            let bytes = picked::remember(rows, words);
            self.cache.keep(key, &Rc::new(Extent { offset: 0, bytes, damaged: Vec::new() }));
        }
        Ok(picked)
    }

    async fn field_block(&self, field: usize, group: usize, kind: FieldType) -> Result<(BlockBytes, Place, usize)> {
        let column = &self.footer.columns[field];
        let Block { place, .. } = column.blocks[group];
        if column.field_type() != Some(kind) {
            let reason = Damaged("column is of another type than the catalog says");
            return Err(self.damaged(place, reason));
        }
        let block = self.block(FIELD_LANES + field as u32, group, place).await?;
        Ok((block, place, self.footer.groups[group].rows as usize))
    }

    /// The block of a field of a group, whose type is `kind`, as it is stored.
    pub(super) async fn stored(&self, field: usize, group: usize, kind: FieldType) -> Result<(BlockBytes, Block)> {
        let (bytes, ..) = self.field_block(field, group, kind).await?;
        Ok((bytes, self.footer.columns[field].blocks[group]))
    }

    /// Damage that shows only in the decoded values of a block.
    pub(crate) fn damaged_block(&self, field: usize, group: usize, reason: &'static str) -> Error {
        self.damaged(self.footer.columns[field].blocks[group].place, Damaged(reason))
    }

    /// Offsets of blocks that were found damaged, with what was wrong.
    pub(crate) fn damage(&self) -> Vec<(u64, &'static str)> {
        self.damage.borrow().iter().map(|(offset, reason)| (*offset, *reason)).collect()
    }

    /// Whether a block was found damaged.
    pub(crate) fn is_damaged(&self) -> bool {
        !self.damage.borrow().is_empty()
    }

    fn damaged(&self, place: Place, error: Damaged) -> Error {
        if self.damage.borrow_mut().insert(place.offset, error.0).is_none() {
            log::error!("{} is damaged at offset {}: {}", self.path.display(), place.offset, error.0);
        }
        Error::corrupt(&self.path, place.offset, error.0)
    }

    async fn block(&self, lane: u32, group: usize, place: Place) -> Result<BlockBytes> {
        let firsts = &self.extents[lane as usize];
        let extent_number = firsts.partition_point(|first| *first as usize <= group).saturating_sub(1);
        let key = (self.id, lane, extent_number as u32);
        let extent = match self.cache.get(key) {
            Some(extent) => extent,
            None => {
                let extent = Rc::new(self.read_extent(lane, extent_number).await?);
                // Damage may be in the transfer only: who comes next looks at the disk again.
                if extent.damaged.is_empty() {
                    self.cache.insert(key, &extent);
                }
                extent
            }
        };
        if extent.damaged.contains(&(group as u32)) {
            return Err(self.damaged(place, Damaged(CHECKSUM)));
        }
        let was_transfer = self.damage.borrow().get(&place.offset) == Some(&CHECKSUM);
        if was_transfer {
            self.damage.borrow_mut().remove(&place.offset);
        }
        let from = (place.offset - extent.offset) as usize;
        Ok(BlockBytes { extent, from, length: place.length as usize })
    }

    /// Reads an extent and notes which of its blocks are damaged.
    async fn read_extent(&self, lane: u32, number: usize) -> Result<Extent> {
        let firsts = &self.extents[lane as usize];
        let first = firsts[number] as usize;
        let past = firsts.get(number + 1).map_or(self.footer.groups.len(), |next| *next as usize);
        let place = |group: usize| match lane {
            INDEX_LANE => self.footer.groups[group].index,
            TIMES_LANE => self.footer.groups[group].times,
            field => self.footer.columns[(field - FIELD_LANES) as usize].blocks[group].place,
        };
        let last = place(past - 1);
        let offset = place(first).offset;
        let file = self.file.get().await?;
        let bytes = read_range::<D>(&file, &self.path, offset, last.offset + u64::from(last.length)).await?;
        let damaged = (first..past)
            .filter(|group| {
                let place = place(*group);
                let from = (place.offset - offset) as usize;
                crc32c::crc32c(&bytes[from..from + place.length as usize]) != place.crc
            })
            .map(|group| group as u32)
            .collect();
        Ok(Extent { offset, bytes, damaged })
    }
}

impl<D: Disk> Drop for Segment<D> {
    fn drop(&mut self) {
        self.cache.forget(self.id);
    }
}

/// A group as the footer describes it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct GroupInfo {
    pub(crate) rows: usize,
    pub(crate) runs: usize,
    pub(crate) series_min: u32,
    pub(crate) series_max: u32,
    pub(crate) time_min: i64,
    pub(crate) time_max: i64,
}

pub(super) fn incompatible(path: &Path, version: u32) -> Error {
    let reason = format!(
        "segment of format version {version}; this build reads versions {} to {}",
        VERSIONS.start(),
        VERSIONS.end()
    );
    Error::Incompatible { path: path.to_owned(), reason }
}

/// For each lane, the first group of each extent of about `bytes_max`.
fn extents(footer: &Footer, bytes_max: u64) -> Vec<Vec<u32>> {
    let index = extents_of(footer.groups.iter().map(|group| group.index), bytes_max);
    let times = extents_of(footer.groups.iter().map(|group| group.times), bytes_max);
    let fields =
        footer.columns.iter().map(|column| extents_of(column.blocks.iter().map(|block| block.place), bytes_max));
    [index, times].into_iter().chain(fields).collect()
}

/// The first group of each extent, for a lane whose blocks lie at `places`.
fn extents_of(places: impl Iterator<Item = Place>, bytes_max: u64) -> Vec<u32> {
    let mut firsts = Vec::new();
    let mut start = 0;
    let mut previous_end = 0;
    for (group, place) in places.enumerate() {
        let end = place.offset + u64::from(place.length);
        // Between the bands of a file lie blocks of other lanes.
        if firsts.is_empty() || place.offset != previous_end || end - start > bytes_max {
            firsts.push(group as u32);
            start = place.offset;
        }
        previous_end = end;
    }
    firsts
}

/// The footer of a segment of `length` bytes, checked, and its offset.
pub(super) async fn read_footer<D: Disk>(file: &D::File, path: &Path, length: u64) -> Result<(Footer, u64)> {
    let (trailer_offset, tail_offset) =
        (length.saturating_sub(TRAILER_BYTES as u64), length.saturating_sub(TAIL_BYTES));
    let tail = read_range::<D>(file, path, tail_offset, length).await?;
    let bytes = tail.get((trailer_offset - tail_offset) as usize..).unwrap_or_default();
    let trailer = Trailer::decode(bytes, length).map_err(|error| match error {
        TrailerError::Damaged(Damaged(reason)) => Error::corrupt(path, trailer_offset, reason),
        TrailerError::Version(version) => incompatible(path, version),
    })?;
    let in_tail = trailer.offset.checked_sub(tail_offset).map(|from| from as usize);
    let bytes = match in_tail.and_then(|from| tail.get(from..from + trailer.length as usize)) {
        Some(bytes) => bytes.to_vec(),
        None => read_range::<D>(file, path, trailer.offset, trailer.offset + trailer.length).await?,
    };
    let damaged = |reason: &str| Error::corrupt(path, trailer.offset, reason);
    if crc32c::crc32c(&bytes) != trailer.crc {
        return Err(damaged("footer does not match its checksum"));
    }
    let mut aligned = rkyv::util::AlignedVec::<16>::with_capacity(bytes.len());
    aligned.extend_from_slice(&bytes);
    let footer = rkyv::from_bytes::<Footer, rkyv::rancor::Error>(&aligned)
        .map_err(|error| damaged(&format!("footer is not an archive: {error}")))?;
    footer.check(trailer.offset).map_err(|Damaged(reason)| damaged(reason))?;
    Ok((footer, trailer.offset))
}

/// Bytes `from..to` of the file, all of which must be there.
pub(super) async fn read_range<D: Disk>(file: &D::File, path: &Path, from: u64, to: u64) -> Result<Vec<u8>> {
    const ALIGN: u64 = DISK_ALIGN as u64;
    debug_assert!(HEADER_BYTES as u64 <= ALIGN, "nothing is read before the first block");
    let mut bytes = Vec::with_capacity(to.saturating_sub(from) as usize);
    let mut at = from / ALIGN * ALIGN;
    while at < to {
        let length = (to - at).next_multiple_of(ALIGN).min(IO_BYTES_MAX as u64);
        let buffer = file.read(at, length as usize).await?;
        let skip = from.saturating_sub(at) as usize;
        let end = (to - at).min(length) as usize;
        let part = buffer.as_ref().get(skip..end).ok_or_else(|| Error::corrupt(path, at, "file ends early"))?;
        bytes.extend_from_slice(part);
        at += length;
    }
    Ok(bytes)
}
