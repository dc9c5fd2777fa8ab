//! What one core remembers about one database between requests: the parser's caches and what their slots stand for.
//!
//! A slot is a number the parser hands back on every row: a series slot stands for (table, owner shard, series id once
//! the owner told it), a layout slot for the columns of a table in the order a line has them. Slots are never reused
//! within a cache, and belong to one life of their table: when a table or column is dropped, the whole
//! [`DatabaseCache`] is over ([`DatabaseCache::has_ended`]), and requests that are under way go on with another one
//! before they read the next row. One that has grown past its bound is replaced, too; requests that are under way
//! finish on that. The parser sheds what it has not used for long by
//! itself; a series that it then meets again gets a new slot.
//!
//! A series costs twelve bytes here and no heap object, known or new. What its tags are is asked for once, when it is
//! met; its key is kept until its owner has told the id (`pending.rs`).

use std::cell::Cell;
use std::collections::HashMap;
use std::rc::Rc;
use std::sync::Arc;

use tidewire_protocol::line::{Dialect, LineParser};
use tidewire_protocol::row::SlotCache;
use tidewire_storage::batch::{NEW_SERIES_BIT, push_tag};
use tidewire_storage::schema::{ColumnId, FieldType, SeriesId, TableSchema};

use super::pending::{PendingKey, PendingKeys};
use crate::memory::{CoreMemory, Part};
use tidewire_base::series_owner;

/// A series without an id, and without an ordinal in any batch.
const UNKNOWN: u32 = u32::MAX;

/// Caches of one database on one core.
#[derive(Debug)]
pub struct DatabaseCache {
    /// The parser of lines, whose caches hold the slots below.
    pub parser: LineParser,
    /// The slots of what other doors have by name.
    pub names: SlotCache,
    /// What the slots stand for.
    pub slots: Slots,
    /// Where the memory is counted, and how much of it was.
    memory: Rc<CoreMemory>,
    counted: u64,
    /// A table or column that slots may stand for was dropped.
    ended: Rc<Cell<bool>>,
}

/// What slots stand for.
#[derive(Debug, Default)]
pub struct Slots {
    /// By series slot.
    series: Vec<SeriesEntry>,
    /// What series have in common but the values of their tags.
    shapes: Vec<Shape>,
    /// Index into `shapes` by table and tag names.
    shapes_by_names: HashMap<(u32, Names), u32>,
    /// Memory of the shapes, roughly.
    shape_bytes: usize,
    pending: PendingKeys,
    /// Room for what is hashed, and for a key that is put together.
    text: Vec<u8>,
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
    /// Table and owner: `table * shards + owner`, the table an index into [`Slots::tables`].
    pub place: u32,
    /// Its id in the owner; or [`NEW_SERIES_BIT`] and the ordinal it has in the batch that met it last.
    pub id: u32,
    /// Index into [`Slots::shapes`].
    shape: u32,
}

/// Names of tags, sorted.
type Names = Box<[Box<str>]>;

/// Series of one table with the same tag names.
#[derive(Debug)]
struct Shape {
    table: u32,
    names: Names,
    /// The tag columns with the place of each in `names`, sorted by column, once the schema has all of them.
    columns: Option<Box<[(ColumnId, u32)]>>,
}

/// A table the core has met.
#[derive(Debug)]
pub struct TableEntry {
    /// Name as written.
    pub name: Box<str>,
    /// The newest schema seen, of the one life of the table that the slots are of; `None` until the catalog has the
    /// table.
    pub schema: Option<Arc<TableSchema>>,
    /// The shape of the series that was added last, an index into [`Slots::shapes`].
    shape: Option<u32>,
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
    /// Empty caches for lines of `dialect`, counted in `memory`. Beyond `parser_bytes_max` bytes of series keys the
    /// parser forgets them all, and its series are met again under new slots. `ended` is set when they are over.
    pub fn new(dialect: Dialect, parser_bytes_max: usize, memory: Rc<CoreMemory>, ended: Rc<Cell<bool>>) -> Self {
        let parser = LineParser::with_cache_bytes(dialect, parser_bytes_max);
        let names = SlotCache::new(parser_bytes_max);
        Self { parser, names, slots: Slots::default(), memory, counted: 0, ended }
    }

    /// Whether a table or column that slots may stand for was dropped: no row may be read with it any more.
    pub fn has_ended(&self) -> bool {
        self.ended.get()
    }

    /// Memory held, roughly.
    pub fn bytes(&self) -> usize {
        let Slots { series, shape_bytes, pending, .. } = &self.slots;
        let doors = self.parser.cache_bytes() + self.names.bytes();
        doors + series.capacity() * size_of::<SeriesEntry>() + shape_bytes + pending.reserved()
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

impl Slots {
    /// The index of table `name`, met now or before.
    pub fn table_index(&mut self, name: &str) -> u32 {
        if let Some(index) = self.names.get(name) {
            return *index;
        }
        let index = self.tables.len() as u32;
        self.tables.push(TableEntry { name: name.into(), schema: None, shape: None });
        self.names.insert(name.into(), index);
        index
    }

    /// Adds a series with these tags, sorted by name, and returns its slot.
    pub fn add_series<'a>(
        &mut self,
        table: u32,
        shards: u32,
        tags: impl Iterator<Item = (&'a str, &'a str)> + Clone,
    ) -> u32 {
        let shape = self.shape(table, tags.clone().map(|(name, _)| Box::from(name)).collect());
        let values: Vec<&[u8]> = tags.map(|(_, value)| value.as_bytes()).collect();
        self.add(shape, shards, &values)
    }

    /// The same where the last series of the table had tags of these names, and where it has become clear that the
    /// table has these; `None` where not. Most series have the tags of those before them.
    pub fn add_alike(&mut self, table: u32, shards: u32, tags: &[(&str, &str)]) -> Option<u32> {
        let shape = self.tables.get(table as usize)?.shape?;
        let known = self.shapes.get(shape as usize).filter(|known| known.columns.is_some())?;
        let is_alike =
            known.names.len() == tags.len() && known.names.iter().zip(tags).all(|(name, (given, _))| **name == **given);
        is_alike.then(|| {
            let values: Vec<&[u8]> = tags.iter().map(|(_, value)| value.as_bytes()).collect();
            self.add(shape, shards, &values)
        })
    }

    /// Adds a series with the tag names of `like` and these values, sorted by name, and returns its slot; `None` where
    /// it has not become clear that the table has these tags.
    pub fn add_sibling(&mut self, like: u32, shards: u32, values: &[&[u8]]) -> Option<u32> {
        let shape = self.series.get(like as usize)?.shape;
        let known = self.shapes.get(shape as usize)?;
        (known.columns.is_some() && known.names.len() == values.len()).then(|| self.add(shape, shards, values))
    }

    fn add(&mut self, shape: u32, shards: u32, values: &[&[u8]]) -> u32 {
        let slot = self.series.len() as u32;
        let Shape { table, names, columns } = &self.shapes[shape as usize];
        let tags = names.iter().map(|name| name.as_bytes()).zip(values.iter().copied());
        let owner_shard = series_owner::owner_in(&self.tables[*table as usize].name, tags, shards, &mut self.text);
        self.series.push(SeriesEntry { place: table * shards + owner_shard, id: UNKNOWN, shape });
        match columns {
            Some(columns) => {
                self.pending.push_key(slot, columns.iter().map(|(id, place)| (*id, values[*place as usize])));
            }
            None => self.pending.push_values(slot, values),
        }
        slot
    }

    /// The shape of series with these tag names, met now or before, with the columns that the newest schema has.
    fn shape(&mut self, table: u32, names: Names) -> u32 {
        let key = (table, names);
        let shape = match self.shapes_by_names.get(&key) {
            Some(shape) => *shape,
            None => {
                let shape = self.shapes.len() as u32;
                let names_bytes: usize = key.1.iter().map(|name| name.len() + size_of::<Box<str>>()).sum();
                self.shape_bytes += 2 * (size_of::<Shape>() + names_bytes) + key.1.len() * size_of::<(ColumnId, u32)>();
                self.shapes.push(Shape { table, names: key.1.clone(), columns: None });
                self.shapes_by_names.insert(key, shape);
                shape
            }
        };
        let schema = self.tables[table as usize].schema.as_deref();
        let Shape { names, columns, .. } = &mut self.shapes[shape as usize];
        if columns.is_none() {
            *columns = schema.and_then(|schema| tag_columns(names.iter().map(|name| &**name), schema));
        }
        self.tables[table as usize].shape = Some(shape);
        shape
    }

    /// The series of a slot.
    #[inline]
    pub fn series(&self, slot: u32) -> SeriesEntry {
        self.series[slot as usize]
    }

    /// The table of a series, an index into [`Slots::tables`].
    pub fn table_of(&self, slot: u32) -> u32 {
        self.shapes[self.series[slot as usize].shape as usize].table
    }

    /// Number of series slots.
    pub fn series_count(&self) -> usize {
        self.series.len()
    }

    /// The tag names of a series, sorted.
    pub fn tag_names(&self, slot: u32) -> impl Iterator<Item = &str> {
        self.shapes[self.series[slot as usize].shape as usize].names.iter().map(|name| &**name)
    }

    /// Learns the ids that owners gave to series.
    pub fn learn(&mut self, ids: impl Iterator<Item = (u32, SeriesId)>) {
        let mut learned = 0;
        for (slot, id) in ids {
            let known = std::mem::replace(&mut self.series[slot as usize].id, id.0);
            learned += usize::from(known & NEW_SERIES_BIT != 0);
        }
        self.pending.learned(learned, |slot| self.series[slot as usize].id & NEW_SERIES_BIT == 0);
    }

    /// Notes the ordinal of a series without an id in the batch that met it last.
    pub fn set_ordinal(&mut self, slot: u32, ordinal: u32) {
        self.series[slot as usize].id = NEW_SERIES_BIT | ordinal;
    }

    /// The key of a series without an id, as a batch has it, with the newest schema of its table; `None` when that
    /// lacks one of its tags.
    pub fn new_key(&mut self, slot: u32) -> Option<(&[u8], &Arc<TableSchema>)> {
        let Shape { table, names, columns } = &mut self.shapes[self.series[slot as usize].shape as usize];
        let schema = self.tables[*table as usize].schema.as_ref()?;
        let values: Vec<&[u8]> = match self.pending.get(slot)? {
            PendingKey::Complete(key) => return Some((key, schema)),
            PendingKey::Values(values) => values.collect(),
        };
        if columns.is_none() {
            *columns = tag_columns(names.iter().map(|name| &**name), schema);
        }
        self.text.clear();
        for (column, place) in columns.as_deref()? {
            push_tag(&mut self.text, *column, values.get(*place as usize)?);
        }
        Some((&self.text, schema))
    }
}

/// The tag columns of these names with the place of each, sorted by column; `None` when `schema` lacks one of them.
fn tag_columns<'a>(names: impl Iterator<Item = &'a str>, schema: &TableSchema) -> Option<Box<[(ColumnId, u32)]>> {
    let column = |(place, name)| Some((schema.columns.tag(name)?.id, place));
    let mut columns = (0..).zip(names).map(column).collect::<Option<Box<[_]>>>()?;
    columns.sort_unstable_by_key(|(column, _)| *column);
    Some(columns)
}
