//! What the parser has seen of one database: series and layouts by their raw text.
//!
//! Series lie in segments, filled one after the other: in each, keys end to end in one arena, every key with its
//! terminating space, so that one comparison checks key and end at once, and beside them an entry of a few words that
//! points to the series that followed last time. A hash table finds entries by key; it holds 32 bits of the hash, so
//! that it grows without a look at any key. Layouts are found by table and raw field text.
//!
//! When the series would pass their bound, the segment that has not been used for longest is emptied (CLOCK over
//! segments). What still points into it predicts wrongly, which a comparison of bytes tells, as it tells any other
//! wrong prediction. Layouts are few; when they would pass theirs, everything is forgotten and refills from the sink.

use hashbrown::HashTable;
use rapidhash::v3::{RapidSecrets, rapidhash_v3_seeded};
use std::hash::{BuildHasher, RandomState};

use super::key::FieldKey;
use super::rule::KEY_BYTES_MAX;
use super::scalar::ParsedField;
use super::shape::Shape;
use crate::row::{FieldKind, LayoutSlot, SeriesSlot};

/// No entry.
pub(super) const NONE: u32 = u32::MAX;

/// Segments of the series: what is shed at a time is one part in this many. An index of a series has its segment in the
/// high bits, its place there in the low ones.
const SEGMENTS: usize = 16;
const PLACE_BITS: u32 = 24;
const PLACES: usize = 1 << PLACE_BITS;
const _: () = assert!(SEGMENTS << PLACE_BITS < NONE as usize);

/// Most that a series takes beside its key: its entry in a vector that has just doubled, and its place in a hash table
/// that has.
const SERIES_BYTES: usize = 2 * size_of::<Series>() + 21;

/// One series.
#[derive(Debug, Clone, Copy)]
pub(super) struct Series {
    /// Its key in the segment's arena, terminating space included.
    start: u32,
    len: u16,
    pub(super) slot: SeriesSlot,
    /// The table of its measurement.
    pub(super) table: u32,
    /// The layout its last line had, or [`NONE`].
    pub(super) layout: u32,
    /// The series that followed it last time, or [`NONE`]; perhaps another one by now.
    pub(super) next: u32,
}

/// Series that are shed together.
#[derive(Debug, Default)]
struct Segment {
    arena: Vec<u8>,
    series: Vec<Series>,
    /// A line was found here since the hand passed.
    used: bool,
}

/// A key that was looked for, with its hash.
#[derive(Debug, Clone, Copy)]
pub(super) struct Hashed<'t> {
    pub(super) key: &'t [u8],
    hash: u32,
}

/// One field of a layout.
#[derive(Debug)]
pub(super) struct LayoutField {
    pub(super) key: FieldKey,
    pub(super) kind: FieldKind,
}

/// An ordered list of typed fields of one table.
#[derive(Debug)]
pub(super) struct Layout {
    pub(super) table: u32,
    pub(super) slot: LayoutSlot,
    pub(super) fields: Box<[LayoutField]>,
    /// The layout a line had when this one was expected and failed, or [`NONE`].
    pub(super) alternative: u32,
    /// Lines may be expected to have it. Not when some field came twice, since then these fields are not those of the
    /// text, and not when a key is so long that a line could be refused for it.
    pub(super) expectable: bool,
    /// Some field is a string.
    pub(super) has_strings: bool,
    repeated: bool,
    hash: u64,
}

/// Neither series nor fields with longer keys are expected: [`KEY_BYTES_MAX`] must hold for any series
/// with any field, and the scalar parser checks it.
pub(super) const KEY_BYTES_EXPECTABLE: usize = KEY_BYTES_MAX / 2 - 8;

/// The caches of one parser.
#[derive(Debug)]
pub(super) struct Cache {
    segments: Vec<Segment>,
    /// The segment that series are added to.
    open: usize,
    pub(super) layouts: Vec<Layout>,
    /// 32 bits of the hash and the index.
    series_by_key: HashTable<(u32, u32)>,
    layouts_by_text: HashTable<u32>,
    /// Tables by measurement, with their ordinals.
    tables: HashTable<(Box<str>, u32)>,
    /// The shape of a table's series, by ordinal.
    shapes: Vec<Option<Shape>>,
    /// Bytes held by layouts, tables and shapes beside their entries.
    heap_bytes: usize,
    /// Bound of a segment, its part of the hash table included.
    segment_bytes_max: usize,
    /// Bound of what layouts, tables and shapes hold; vectors that double may take twice that.
    layout_bytes_max: usize,
    bytes_max: usize,
    hasher: Hasher,
}

/// Hashes raw text. The seed is random, so that nobody can send keys that collide.
struct Hasher {
    secrets: RapidSecrets,
    /// Tests make every key collide.
    mask: u64,
}

impl std::fmt::Debug for Hasher {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Hasher").finish_non_exhaustive()
    }
}

impl Hasher {
    fn new() -> Self {
        Self { secrets: RapidSecrets::seed(RandomState::new().hash_one(0)), mask: u64::MAX }
    }

    fn hash(&self, bytes: &[u8]) -> u64 {
        rapidhash_v3_seeded(bytes, &self.secrets) & self.mask
    }
}

impl Cache {
    /// Caches that hold at most `bytes_max`.
    pub(super) fn new(bytes_max: usize) -> Self {
        Self {
            segments: Vec::new(),
            open: 0,
            layouts: Vec::new(),
            series_by_key: HashTable::new(),
            layouts_by_text: HashTable::new(),
            tables: HashTable::new(),
            shapes: Vec::new(),
            heap_bytes: 0,
            // A quarter is left for what doubles, and for the tables' least sizes.
            segment_bytes_max: (bytes_max / 16 * 11 / SEGMENTS).min(u32::MAX as usize),
            layout_bytes_max: bytes_max / 8,
            bytes_max,
            hasher: Hasher::new(),
        }
    }

    /// Makes all keys collide.
    #[cfg(test)]
    pub(super) fn collide(&mut self) {
        self.hasher.mask = 0;
    }

    /// Drops everything, memory included.
    pub(super) fn forget(&mut self) {
        let mask = self.hasher.mask;
        *self = Self::new(self.bytes_max);
        self.hasher.mask = mask;
    }

    /// Memory held.
    pub(super) fn bytes(&self) -> usize {
        let series = self.segments.iter().map(|segment| {
            size_of::<Segment>() + segment.arena.capacity() + segment.series.capacity() * size_of::<Series>()
        });
        series.sum::<usize>()
            + self.layouts.capacity() * size_of::<Layout>()
            + self.series_by_key.allocation_size()
            + self.layouts_by_text.allocation_size()
            + self.tables.allocation_size()
            + self.shapes.capacity() * size_of::<Option<Shape>>()
            + self.heap_bytes
    }

    /// Whether there is no series.
    pub(super) fn has_no_series(&self) -> bool {
        self.series_by_key.is_empty()
    }

    /// Forgets everything when `more` bytes of layouts, tables and shapes could take them over their bound.
    fn make_room(&mut self, more: usize) -> bool {
        let used = self.layouts.len() * (size_of::<Layout>() + 2 * size_of::<u32>())
            + self.tables.len() * (size_of::<(Box<str>, u32)>() + size_of::<Option<Shape>>())
            + self.heap_bytes;
        if used + more <= self.layout_bytes_max {
            return false;
        }
        self.forget();
        true
    }

    /// The series with this index, and its key with the terminating space.
    #[inline(always)]
    pub(super) fn series(&self, index: u32) -> Option<(&Series, &[u8])> {
        let segment = self.segments.get((index >> PLACE_BITS) as usize)?;
        let series = segment.series.get(index as usize & (PLACES - 1))?;
        let start = series.start as usize;
        Some((series, segment.arena.get(start..start + series.len as usize)?))
    }

    /// The series with this index, which a line was found to be of.
    #[inline(always)]
    pub(super) fn use_series(&mut self, index: u32) -> Option<&mut Series> {
        let segment = self.segments.get_mut((index >> PLACE_BITS) as usize)?;
        segment.used = true;
        segment.series.get_mut(index as usize & (PLACES - 1))
    }

    /// The hash of a key, terminating space included.
    pub(super) fn hashed<'t>(&self, key: &'t [u8]) -> Hashed<'t> {
        Hashed { key, hash: self.hasher.hash(key) as u32 }
    }

    /// The series whose key is `key`.
    pub(super) fn find_series(&self, key: Hashed<'_>) -> Option<u32> {
        let same = |&(hash, index): &(u32, u32)| {
            hash == key.hash && self.series(index).is_some_and(|(_, known)| known == key.key)
        };
        self.series_by_key.find(spread(key.hash), same).map(|entry| entry.1)
    }

    /// The ordinal of a table, and whether everything was forgotten to make room for it.
    pub(super) fn add_table(&mut self, measurement: &str) -> (u32, bool) {
        if let Some(table) = self.table(measurement) {
            return (table, false);
        }
        let entry_bytes = size_of::<(Box<str>, u32)>() + size_of::<Option<Shape>>();
        let forgotten = self.make_room(measurement.len() + entry_bytes);
        let hasher = &self.hasher;
        let table = self.tables.len() as u32;
        self.heap_bytes += measurement.len();
        self.tables.insert_unique(hasher.hash(measurement.as_bytes()), (measurement.into(), table), |(name, _)| {
            hasher.hash(name.as_bytes())
        });
        self.shapes.push(None);
        (table, forgotten)
    }

    fn table(&self, measurement: &str) -> Option<u32> {
        let hash = self.hasher.hash(measurement.as_bytes());
        self.tables.find(hash, |(name, _)| name.as_ref() == measurement).map(|entry| entry.1)
    }

    /// The shape of a table's series, if there is one.
    pub(super) fn shape(&self, table: u32) -> Option<&Shape> {
        self.shapes.get(table as usize)?.as_ref()
    }

    /// The shape of the series of the table whose name, without escapes, begins `key`.
    pub(super) fn shape_by_name(&self, key: &[u8]) -> Option<&Shape> {
        let name = key.get(..memchr::memchr(b',', key)?)?;
        self.shape(self.table(std::str::from_utf8(name).ok()?)?)
    }

    /// The shape of a table's series from now on.
    pub(super) fn set_shape(&mut self, table: u32, shape: Shape) {
        let Some(place) = self.shapes.get_mut(table as usize) else { return };
        let before = place.as_ref().map_or(0, Shape::heap_bytes);
        let heap_bytes = self.heap_bytes - before + shape.heap_bytes();
        if heap_bytes <= self.layout_bytes_max / 2 {
            self.heap_bytes = heap_bytes;
            *place = Some(shape);
        }
    }

    /// Siblings of the table's shape are expected to have this layout, where the series before says nothing.
    pub(super) fn expect_layout(&mut self, table: u32, layout: u32) {
        if let Some(Some(shape)) = self.shapes.get_mut(table as usize) {
            shape.layout = Some(layout);
        }
    }

    /// Adds a series that [`Self::find_series`] does not find. `None` when its key is too long.
    pub(super) fn add_series(&mut self, key: Hashed<'_>, table: u32, slot: SeriesSlot) -> Option<u32> {
        let more = key.key.len() + SERIES_BYTES;
        let len = u16::try_from(key.key.len()).ok().filter(|len| usize::from(*len) <= KEY_BYTES_EXPECTABLE)?;
        if more > self.segment_bytes_max {
            return None;
        }
        let full = |segment: &Segment| {
            segment.arena.len() + segment.series.len() * SERIES_BYTES + more > self.segment_bytes_max
                || segment.series.len() == PLACES
        };
        if self.segments.get(self.open).is_none_or(full) {
            self.open_segment();
        }
        let (open, arena_bytes_max) = (self.open, self.segment_bytes_max);
        let segment = self.segments.get_mut(open)?;
        let index = (open << PLACE_BITS | segment.series.len()) as u32;
        let start = segment.arena.len() as u32;
        reserve(&mut segment.arena, key.key.len(), arena_bytes_max);
        segment.arena.extend_from_slice(key.key);
        reserve(&mut segment.series, 1, PLACES);
        segment.series.push(Series { start, len, slot, table, layout: NONE, next: NONE });
        segment.used = true;
        self.series_by_key.insert_unique(spread(key.hash), (key.hash, index), |entry| spread(entry.0));
        Some(index)
    }

    /// Makes an empty segment the open one: a new one, or the next that no line was found in since the hand passed.
    fn open_segment(&mut self) {
        if self.segments.len() < SEGMENTS {
            self.open = self.segments.len();
            self.segments.push(Segment::default());
            return;
        }
        loop {
            self.open = (self.open + 1) % SEGMENTS;
            if !std::mem::take(&mut self.segments[self.open].used) {
                break;
            }
        }
        let mut shed = std::mem::take(&mut self.segments[self.open]);
        for (place, series) in shed.series.iter().enumerate() {
            let start = series.start as usize;
            let hash = self.hasher.hash(&shed.arena[start..start + series.len as usize]) as u32;
            let index = (self.open << PLACE_BITS | place) as u32;
            if let Ok(entry) = self.series_by_key.find_entry(spread(hash), |entry| entry.1 == index) {
                entry.remove();
            }
        }
        shed.arena.clear();
        shed.series.clear();
        self.segments[self.open] = shed;
    }

    fn layout_hash(&self, table: u32, fields: &[ParsedField<'_>]) -> u64 {
        fields.iter().fold(u64::from(table), |hash, field| {
            let field = self.hasher.hash(field.raw.as_bytes()) ^ field.kind as u64;
            (hash.rotate_left(23) ^ field).wrapping_mul(0x9e37_79b9_7f4a_7c15)
        })
    }

    /// The layout of `fields` in `table`.
    pub(super) fn find_layout(&self, table: u32, fields: &[ParsedField<'_>], repeated: bool) -> Option<u32> {
        let hash = self.layout_hash(table, fields);
        let same = |&index: &u32| {
            self.layouts.get(index as usize).is_some_and(|layout| {
                layout.table == table
                    && layout.repeated == repeated
                    && layout.fields.len() == fields.len()
                    && layout
                        .fields
                        .iter()
                        .zip(fields)
                        .all(|(known, field)| known.kind == field.kind && known.key.is(field.raw.as_bytes()))
            })
        };
        self.layouts_by_text.find(hash, same).copied()
    }

    /// Adds a layout that [`Self::find_layout`] does not find. `None` when it does not fit: then all is forgotten.
    pub(super) fn add_layout(
        &mut self,
        table: u32,
        fields: &[ParsedField<'_>],
        repeated: bool,
        slot: LayoutSlot,
    ) -> Option<u32> {
        let bytes: usize = fields.iter().map(|field| field.raw.len() + 1 + size_of::<LayoutField>()).sum();
        if self.make_room(bytes + 2 * size_of::<Layout>()) {
            return None;
        }
        let hash = self.layout_hash(table, fields);
        let expectable = !repeated && fields.iter().all(|field| field.raw.len() <= KEY_BYTES_EXPECTABLE);
        let has_strings = fields.iter().any(|field| field.kind == FieldKind::String);
        let fields =
            fields.iter().map(|field| LayoutField { key: FieldKey::new(field.raw.as_bytes()), kind: field.kind });
        let index = self.layouts.len() as u32;
        self.layouts.push(Layout {
            table,
            slot,
            fields: fields.collect(),
            alternative: NONE,
            expectable,
            has_strings,
            repeated,
            hash,
        });
        self.heap_bytes += bytes;
        let layouts = &self.layouts;
        self.layouts_by_text
            .insert_unique(hash, index, |&other| layouts.get(other as usize).map_or(0, |layout| layout.hash));
        Some(index)
    }
}

/// Makes room for `more` items by doubling, but not beyond `items_max`.
fn reserve<T>(items: &mut Vec<T>, more: usize, items_max: usize) {
    let wanted = items.len() + more;
    if wanted > items.capacity() {
        let target = (items.len() * 2).min(items_max).max(wanted);
        items.reserve_exact(target - items.len());
    }
}

/// 64 bits with the information in the high ones too, where the table looks for its tags.
fn spread(hash: u32) -> u64 {
    u64::from(hash).wrapping_mul(0x9E37_79B9_7F4A_7C15)
}
