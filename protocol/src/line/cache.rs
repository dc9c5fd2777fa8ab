//! What the parser has seen of one database: series and layouts by their raw text.
//!
//! Series keys lie end to end in one arena, each with its terminating space, so that one comparison checks key and
//! end at once. A hash table finds entries by key; every entry points to the one that followed it last time. Layouts
//! are found by table and raw field text. When the bytes held would pass the bound, everything is forgotten: the
//! caches refill from the sink within one round of the clients' series, and there is no eviction to get wrong.

use hashbrown::HashTable;
use rapidhash::v3::{RapidSecrets, rapidhash_v3_seeded};
use std::hash::{BuildHasher, RandomState};

use super::error::KEY_BYTES_MAX;
use super::key::FieldKey;
use super::scalar::ParsedField;
use super::{FieldKind, LayoutSlot, SeriesSlot};

/// No entry.
pub(super) const NONE: u32 = u32::MAX;

/// One series.
#[derive(Debug, Clone, Copy)]
pub(super) struct Series {
    /// Its key in the arena, terminating space included.
    start: u32,
    len: u32,
    pub(super) slot: SeriesSlot,
    /// The table of its measurement.
    pub(super) table: u32,
    /// The layout its last line had, or [`NONE`].
    pub(super) layout: u32,
    /// The series that followed it last time, or [`NONE`].
    pub(super) next: u32,
    hash: u64,
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
    repeated: bool,
    hash: u64,
}

/// Neither series nor fields with longer keys are expected: [`super::error::KEY_BYTES_MAX`] must hold for any series
/// with any field, and the scalar parser checks it.
const KEY_BYTES_EXPECTABLE: usize = KEY_BYTES_MAX / 2 - 8;

/// The caches of one parser.
#[derive(Debug)]
pub(super) struct Cache {
    pub(super) arena: Vec<u8>,
    pub(super) series: Vec<Series>,
    pub(super) layouts: Vec<Layout>,
    series_by_key: HashTable<u32>,
    layouts_by_text: HashTable<u32>,
    /// Tables by measurement, with their ordinals.
    tables: HashTable<(Box<str>, u32)>,
    /// Bytes held by layouts and tables beside their entries.
    heap_bytes: usize,
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
            arena: Vec::new(),
            series: Vec::new(),
            layouts: Vec::new(),
            series_by_key: HashTable::new(),
            layouts_by_text: HashTable::new(),
            tables: HashTable::new(),
            heap_bytes: 0,
            // Offsets in the arena are 32 bits wide.
            bytes_max: bytes_max.min(u32::MAX as usize),
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
        self.arena.capacity()
            + self.series.capacity() * size_of::<Series>()
            + self.layouts.capacity() * size_of::<Layout>()
            + self.series_by_key.allocation_size()
            + self.layouts_by_text.allocation_size()
            + self.tables.allocation_size()
            + self.heap_bytes
    }

    /// Forgets everything when `more` bytes could take the caches over their bound. Buffers double when they grow, so
    /// what is in use may fill half of it.
    fn make_room(&mut self, more: usize) -> bool {
        let used = self.arena.len()
            + self.series.len() * (size_of::<Series>() + 2 * size_of::<u32>())
            + self.layouts.len() * (size_of::<Layout>() + 2 * size_of::<u32>())
            + self.heap_bytes;
        if used + more <= self.bytes_max / 2 {
            return false;
        }
        self.forget();
        true
    }

    /// The key of a series with its terminating space.
    pub(super) fn key(&self, series: &Series) -> &[u8] {
        let start = series.start as usize;
        self.arena.get(start..start + series.len as usize).unwrap_or_default()
    }

    /// The series whose key, terminating space included, is `key`.
    pub(super) fn find_series(&self, key: &[u8]) -> Option<u32> {
        let hash = self.hasher.hash(key);
        let same = |&index: &u32| {
            self.series.get(index as usize).is_some_and(|entry| entry.hash == hash && self.key(entry) == key)
        };
        self.series_by_key.find(hash, same).copied()
    }

    /// Adds a series that [`Self::find_series`] does not find. `None` when its key is too long.
    pub(super) fn add_series(&mut self, key: &[u8], measurement: &str, slot: SeriesSlot) -> Option<u32> {
        self.make_room(key.len() + measurement.len() + 2 * size_of::<Series>());
        if key.len() > (self.bytes_max / 4).min(KEY_BYTES_EXPECTABLE) {
            return None;
        }
        let table = self.table(measurement);
        let hash = self.hasher.hash(key);
        let index = self.series.len() as u32;
        let start = self.arena.len() as u32;
        self.arena.extend_from_slice(key);
        self.series.push(Series { start, len: key.len() as u32, slot, table, layout: NONE, next: NONE, hash });
        let series = &self.series;
        self.series_by_key
            .insert_unique(hash, index, |&other| series.get(other as usize).map_or(0, |entry| entry.hash));
        Some(index)
    }

    fn table(&mut self, measurement: &str) -> u32 {
        let hasher = &self.hasher;
        let hash = hasher.hash(measurement.as_bytes());
        let count = self.tables.len() as u32;
        let entry =
            self.tables.entry(hash, |(name, _)| name.as_ref() == measurement, |(name, _)| hasher.hash(name.as_bytes()));
        match entry {
            hashbrown::hash_table::Entry::Occupied(entry) => entry.get().1,
            hashbrown::hash_table::Entry::Vacant(entry) => {
                self.heap_bytes += measurement.len();
                entry.insert((measurement.into(), count));
                count
            }
        }
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
        let fields =
            fields.iter().map(|field| LayoutField { key: FieldKey::new(field.raw.as_bytes()), kind: field.kind });
        let index = self.layouts.len() as u32;
        self.layouts.push(Layout {
            table,
            slot,
            fields: fields.collect(),
            alternative: NONE,
            expectable,
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
