//! What one core remembers about one database between requests: the parser's caches and what their slots stand for.
//!
//! A slot is a number the parser hands back on every row: a series slot stands for (table, owner shard, series id once
//! the owner told it), a layout slot for the columns of a table in the order a line has them. Slots are never reused
//! within a cache; when a table is dropped or the caches have grown past their bound the whole [`DatabaseCache`] is
//! replaced, and requests that are under way finish on the old one.

use std::collections::HashMap;
use std::rc::Rc;
use std::sync::Arc;

use tidewire_protocol::line::{Dialect, LineParser};
use tidewire_storage::schema::{ColumnId, ColumnKind, FieldType, SeriesId, TableSchema};

use crate::memory::{CoreMemory, Part};

/// Room kept for the keys of series without an id: many come at once only when they are new.
const KEYS_KEPT: usize = 1 << 10;

/// Series without an id yet.
const UNKNOWN: u32 = u32::MAX;

/// Caches of one database on one core.
#[derive(Debug)]
pub struct DatabaseCache {
    /// The parser, whose caches hold the slots below.
    pub parser: LineParser,
    /// What the slots stand for.
    pub slots: Slots,
    /// Where the memory is counted, and how much of it was.
    memory: Rc<CoreMemory>,
    counted: u64,
}

/// Name and value.
pub type Tag = (Box<str>, Box<str>);

/// What slots stand for.
#[derive(Debug, Default)]
pub struct Slots {
    /// By series slot.
    series: Vec<SeriesEntry>,
    /// Tag names and values of the series that have no id yet, by series slot.
    keys: HashMap<u32, Vec<Tag>>,
    /// Memory of `keys`.
    key_bytes: usize,
    /// Tables in the order they were met.
    pub tables: Vec<TableEntry>,
    /// Index into `tables` by name.
    names: HashMap<Box<str>, u32>,
    /// By layout slot.
    pub layouts: Vec<Layout>,
}

/// A cached series.
#[derive(Debug, Clone, Copy)]
pub struct SeriesEntry {
    /// Index into [`Slots::tables`].
    pub table: u32,
    /// Owner shard.
    pub owner: u32,
    /// Its id in the owner, or [`UNKNOWN`].
    id: u32,
}

impl SeriesEntry {
    /// The id, once known.
    pub fn id(self) -> Option<u32> {
        (self.id != UNKNOWN).then_some(self.id)
    }
}

/// A table the core has met.
#[derive(Debug)]
pub struct TableEntry {
    /// Name as written.
    pub name: Box<str>,
    /// The newest schema seen; `None` until the catalog has the table.
    pub schema: Option<Arc<TableSchema>>,
}

/// The columns of a line's fields, in the line's order.
#[derive(Debug)]
pub struct Layout {
    /// Index into [`Slots::tables`].
    pub table: u32,
    /// The column of each field; `None` where the field is left out.
    pub fields: Vec<Option<(ColumnId, FieldType)>>,
}

impl DatabaseCache {
    /// Empty caches for lines of `dialect`, counted in `memory`. Beyond `parser_bytes_max` bytes of series keys the parser
    /// forgets them all, and its series are met again under new slots.
    pub fn new(dialect: Dialect, parser_bytes_max: usize, memory: Rc<CoreMemory>) -> Self {
        let parser = LineParser::with_cache_bytes(dialect, parser_bytes_max);
        Self { parser, slots: Slots::default(), memory, counted: 0 }
    }

    /// Memory held, roughly.
    pub fn bytes(&self) -> usize {
        self.parser.cache_bytes() + self.slots.series.capacity() * size_of::<SeriesEntry>() + self.slots.key_bytes
    }

    /// Counts what is held now.
    pub fn count(&mut self) {
        let bytes = self.bytes() as u64;
        self.memory.change(Part::ParserCaches, std::mem::replace(&mut self.counted, bytes), bytes);
    }
}

impl Drop for DatabaseCache {
    fn drop(&mut self) {
        self.memory.change(Part::ParserCaches, self.counted, 0);
    }
}

/// Memory of a key that waits for its id: an entry of the map, the list, and two texts of each tag.
fn key_bytes(tags: &[Tag]) -> usize {
    /// Of the allocator's smallest pieces, on average.
    const ROUNDING: usize = 8;
    let texts: usize = tags.iter().map(|(name, value)| name.len() + value.len() + 2 * ROUNDING).sum();
    2 * size_of::<(u32, Vec<Tag>)>() + size_of_val(tags) + texts
}

impl Slots {
    /// The index of table `name`, met now or before.
    pub fn table_index(&mut self, name: &str) -> u32 {
        if let Some(index) = self.names.get(name) {
            return *index;
        }
        let index = self.tables.len() as u32;
        self.tables.push(TableEntry { name: name.into(), schema: None });
        self.names.insert(name.into(), index);
        index
    }

    /// Adds a series and returns its slot.
    pub fn add_series<'a>(&mut self, table: u32, owner: u32, tags: impl Iterator<Item = (&'a str, &'a str)>) -> u32 {
        let slot = self.series.len() as u32;
        self.series.push(SeriesEntry { table, owner, id: UNKNOWN });
        let key: Vec<Tag> = tags.map(|(name, value)| (name.into(), value.into())).collect();
        self.key_bytes += key_bytes(&key);
        self.keys.insert(slot, key);
        slot
    }

    /// The series of a slot.
    #[inline]
    pub fn series(&self, slot: u32) -> SeriesEntry {
        self.series[slot as usize]
    }

    /// Number of series slots.
    pub fn series_count(&self) -> usize {
        self.series.len()
    }

    /// The tags of a series that has no id yet.
    pub fn tags(&self, slot: u32) -> &[Tag] {
        self.keys.get(&slot).map_or(&[], Vec::as_slice)
    }

    /// Learns a series' id from its owner.
    pub fn learn(&mut self, slot: u32, id: SeriesId) {
        self.series[slot as usize].id = id.0;
        if let Some(key) = self.keys.remove(&slot) {
            self.key_bytes -= key_bytes(&key);
        }
        if self.keys.is_empty() && self.keys.capacity() > KEYS_KEPT {
            self.keys.shrink_to(KEYS_KEPT);
        }
    }

    /// The key of the series in `slot`, its tags as columns of `schema` sorted by column; `None` when `schema` lacks
    /// one of them.
    pub fn key(&self, slot: u32, schema: &TableSchema) -> Option<Vec<(ColumnId, &[u8])>> {
        let mut tags = Vec::new();
        for (name, value) in self.tags(slot) {
            let column = schema.column(name).filter(|c| c.kind == ColumnKind::Tag)?;
            tags.push((column.id, value.as_bytes()));
        }
        tags.sort_unstable_by_key(|(column, _)| *column);
        Some(tags)
    }
}
