//! Where the rows of every door go: one batch per (owner shard, table), and the questions that doors ask on the way.

use tidewire_protocol::line::{LineError, LineSink};
use tidewire_protocol::row::{
    BadRows, FieldKind, Halt, LayoutSlot, Next, Position, RawValue, RowError, RowSink, SeriesRef, SeriesSlot,
};
use tidewire_storage::batch::NEW_SERIES_BIT;
use tidewire_storage::schema::{Catalog, ColumnKind, FieldType, TableSchema};

use super::batch::{FinishedBatch, TableRows};
use super::cache::{Layout, Slots};
use super::fault::{BadRow, BadRowLog, LineFault, RowFault};
use crate::core::recycled::RecycledBatches;
use tidewire_base::catalog::{CatalogError, SchemaChange};

/// What a request has collected so far. Lives across the parser's pauses.
#[derive(Debug, Default)]
pub struct Collected {
    /// Builders by table index × shards + owner; grown as tables are met.
    builders: Vec<Option<TableRows>>,
    /// Rows that were not taken, where the others are.
    pub bad_rows: BadRowLog,
    /// The change the catalog needs before rows can go on.
    pub wanted: Option<SchemaChange>,
    /// Why the catalog refused what the row at which the door paused needs.
    pub row_refusal: Option<CatalogError>,
    /// Set when the request as a whole is refused.
    pub refusal: Option<Refused>,
    /// The slots are those of all requests of the database: they must not come to know what is not durable.
    pub shares_slots: bool,
    /// Rows of slots that were given up for others, with their owner shards.
    parted: Vec<(u32, FinishedBatch)>,
    parted_bytes: usize,
    parted_rows: usize,
    /// Columns of the widest of those that were ended for it.
    parted_columns_max: usize,
}

/// Why a whole request is refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refused {
    /// One of its rows is bad, and the door keeps no others then.
    BadRow(BadRow),
    /// The table changed under the request; sent again it will pass.
    TableChanged,
}

/// What a door decides about rows that cannot be taken as they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RowRules {
    /// What a bad row means for the others.
    pub bad_rows: BadRows,
    /// What becomes of a field with the name of the timestamp.
    pub time_field: TimeField,
    /// Whether a tag and a field may share a name.
    pub shared_names: SharedNames,
}

/// Whether a tag may have the name of a field of its table, and a field that of a tag.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SharedNames {
    /// A row that would make the second of the two is bad.
    Refused,
    /// They are two columns.
    Taken,
}

/// What becomes of a field called `time`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TimeField {
    /// Its row is bad.
    Refused,
    /// It is left out where the row has other fields; else the row is bad.
    LeftOut,
}

impl Collected {
    /// Memory held by the rows.
    pub fn bytes(&self) -> usize {
        self.parted_bytes + self.builders.iter().flatten().map(TableRows::bytes).sum::<usize>()
    }

    /// Rows collected.
    pub fn rows(&self) -> usize {
        self.parted_rows + self.builders.iter().flatten().map(TableRows::rows).sum::<usize>()
    }

    /// Columns of the widest batch so far.
    pub fn columns_max(&self) -> usize {
        self.builders.iter().flatten().map(TableRows::columns).fold(self.parted_columns_max, usize::max)
    }

    /// Whether nothing is known of any row yet.
    pub fn is_empty(&self) -> bool {
        self.rows() == 0 && self.bad_rows.is_empty()
    }

    /// From now on rows come with other slots.
    pub fn part(&mut self, shards: u32) {
        (self.parted_bytes, self.parted_rows) = (self.bytes(), self.rows());
        self.parted.extend(finish(std::mem::take(&mut self.builders), shards));
    }

    /// Ends batches that are large, so that a shard can take some rows of a request before others get their turn; or
    /// wide with many values: rows that lack most of their columns go on in others, which have only what these rows
    /// bring, and no batch has thousands of columns that double at one moment.
    pub fn part_full(&mut self, shards: u32) {
        for index in 0..self.builders.len() {
            if self.builders[index].as_ref().is_some_and(TableRows::is_full) {
                self.part_one(index, shards);
            }
        }
    }

    fn part_one(&mut self, index: usize, shards: u32) {
        if let Some(rows) = self.builders.get_mut(index).and_then(Option::take) {
            self.parted_bytes += rows.bytes();
            self.parted_rows += rows.rows();
            self.parted_columns_max = self.parted_columns_max.max(rows.columns());
            self.parted.push((index as u32 % shards, rows.finish()));
        }
    }

    /// Forgets the slots of rows that were read with a cache that is over: their ids are of no use to anybody.
    pub fn forget_slots(&mut self) {
        self.parted.iter_mut().for_each(|(_, finished)| finished.slots.clear());
    }

    /// How many of the batches get no more rows.
    pub fn parted(&self) -> usize {
        self.parted.len()
    }

    /// The batches with their owner shards, those of slots that were given up first.
    pub fn finish(self, shards: u32) -> Vec<(u32, FinishedBatch)> {
        let mut batches = self.parted;
        batches.extend(finish(self.builders, shards));
        batches
    }
}

fn finish(builders: Vec<Option<TableRows>>, shards: u32) -> impl Iterator<Item = (u32, FinishedBatch)> {
    builders.into_iter().enumerate().filter_map(move |(index, builder)| {
        let builder = builder.filter(|builder| builder.rows() > 0)?;
        Some((index as u32 % shards, builder.finish()))
    })
}

/// The sink of one request, for as long as it needs not wait.
pub struct RequestSink<'a> {
    /// The core's caches for this database.
    pub slots: &'a mut Slots,
    /// What the request collects.
    pub collected: &'a mut Collected,
    /// The newest catalog this core has.
    pub catalog: &'a Catalog,
    /// The database.
    pub database: &'a str,
    /// Its retention policy.
    pub policy: &'a str,
    /// Rows before this time are too old to be kept.
    pub time_min: i64,
    /// What the door decides.
    pub rules: RowRules,
    /// Number of shards.
    pub shards: u32,
    /// Memory for batches.
    pub recycled: &'a RecycledBatches,
}

fn field_type(kind: FieldKind) -> FieldType {
    match kind {
        FieldKind::Int => FieldType::Int,
        FieldKind::UInt => FieldType::UInt,
        FieldKind::Float => FieldType::Float,
        FieldKind::Bool => FieldType::Bool,
        FieldKind::String => FieldType::String,
    }
}

fn conflict(table: &str, column: &str, wanted: ColumnKind, found: ColumnKind) -> Halt<RowFault> {
    Halt::Refuse(RowFault::ColumnConflict { table: table.to_owned(), column: column.to_owned(), wanted, found })
}

fn reserved_time(table: &str, kind: ColumnKind) -> Halt<RowFault> {
    Halt::Refuse(RowFault::ReservedTime { table: table.to_owned(), kind })
}

impl RequestSink<'_> {
    /// The refusal of the row that is being asked about, if the catalog has refused it.
    fn refused(&mut self) -> Result<(), Halt<RowFault>> {
        match self.collected.row_refusal.take() {
            None => Ok(()),
            Some(CatalogError::ColumnConflict { table, column, wanted, found }) => {
                Err(conflict(&table, &column, wanted, found))
            }
            Some(other) => Err(Halt::Refuse(RowFault::Catalog(other))),
        }
    }

    /// Refuses the request for one of its rows.
    fn refuse_all(&mut self, row: BadRow) -> Next {
        let refusal = &mut self.collected.refusal;
        if row.fault == RowFault::Expired {
            // Ages count when all rows have been read: what else is wrong with one of them comes first.
            refusal.get_or_insert(Refused::BadRow(row));
            return Next::Continue;
        }
        *refusal = Some(Refused::BadRow(row));
        Next::Stop
    }

    /// Refuses a column that `table` lacks and that would share its name, where the door has no such columns.
    fn shares(&self, table: &TableSchema, name: &str, wanted: ColumnKind) -> Result<(), Halt<RowFault>> {
        match table.column(name).filter(|_| self.rules.shared_names == SharedNames::Refused) {
            Some(found) => Err(conflict(&table.name, name, wanted, found.kind)),
            None => Ok(()),
        }
    }

    fn want(&mut self, table: &str, columns: Vec<(String, ColumnKind)>) -> Halt<RowFault> {
        self.collected.wanted = Some(SchemaChange::Ensure {
            database: self.database.to_owned(),
            policy: self.policy.to_owned(),
            tables: [(table.to_owned(), columns)].into(),
        });
        Halt::Pause
    }

    /// What stands at `position` is no row, says the door.
    pub fn unread(&mut self, position: Position, error: RowError) -> Next {
        let row = BadRow { position, fault: RowFault::Unread(error) };
        match self.rules.bad_rows {
            BadRows::KeepOthers => {
                self.collected.bad_rows.unread(row);
                Next::Continue
            }
            BadRows::RefuseAll => self.refuse_all(row),
        }
    }

    /// Takes over the newest schema of a table; its columns only ever grow while this cache lives. Slots are of one
    /// life of their table and no other one: where another has begun, the request came with a cache that is over.
    fn refresh(&mut self, table: u32) {
        let entry = &mut self.slots.tables[table as usize];
        match self.catalog.table_of(self.database, self.policy, &entry.name) {
            Some(newest) if entry.schema.as_ref().is_none_or(|schema| schema.id == newest.id) => {
                entry.schema = Some(newest.clone());
            }
            None if entry.schema.is_none() => {}
            _ => {
                self.collected.refusal.get_or_insert(Refused::TableChanged);
            }
        }
    }
}

impl RequestSink<'_> {
    /// Begins a batch: the one moment at which rows of known series and layouts are compared with the life of their
    /// table.
    #[cold]
    fn open_builder(&mut self, index: usize, layout: LayoutSlot) {
        let table = self.slots.layouts[layout.0 as usize].table;
        self.refresh(table);
        let collected = &mut *self.collected;
        if collected.builders.len() <= index {
            collected.builders.resize_with(index + 1, || None);
        }
        let schema = self.slots.tables[table as usize].schema.clone();
        assert!(schema.is_some(), "BUG: a row of a table that the catalog lacks");
        collected.builders[index] = schema.map(|schema| TableRows::new(schema, self.recycled.take()));
    }
}

impl RowSink for RequestSink<'_> {
    type Refusal = RowFault;

    fn series(&mut self, series: SeriesRef<'_>) -> Result<SeriesSlot, Halt<RowFault>> {
        self.refused()?;
        let table = self.slots.table_index(series.table);
        // As with siblings, the life of the table is looked at when the first row of a batch is there.
        if let Some(slot) = self.slots.add_alike(table, self.shards, series.tags) {
            return Ok(SeriesSlot(slot));
        }
        self.refresh(table);
        if series.tags.iter().any(|(name, _)| *name == "time") {
            return Err(reserved_time(series.table, ColumnKind::Tag));
        }
        let schema = self.slots.tables[table as usize].schema.clone();
        if schema.is_none() && self.collected.shares_slots {
            return Err(self.want(series.table, Vec::new()));
        }
        // The table itself is made by `layout`, which knows the fields too.
        if let Some(schema) = schema {
            let mut missing = Vec::new();
            for (name, _) in series.tags {
                if schema.columns.tag(name).is_none() {
                    self.shares(&schema, name, ColumnKind::Tag)?;
                    missing.push(((*name).to_owned(), ColumnKind::Tag));
                }
            }
            if !missing.is_empty() {
                return Err(self.want(series.table, missing));
            }
        }
        Ok(SeriesSlot(self.slots.add_series(table, self.shards, series.tags.iter().copied())))
    }

    fn layout(&mut self, series: SeriesSlot, fields: &[(&str, FieldKind)]) -> Result<LayoutSlot, Halt<RowFault>> {
        self.refused()?;
        let table = self.slots.table_of(series.0);
        self.refresh(table);
        let entry = &self.slots.tables[table as usize];
        let name = entry.name.clone();
        let schema = entry.schema.clone();
        let mut columns = Vec::with_capacity(fields.len());
        let mut missing = Vec::new();
        for (field, kind) in fields {
            let wanted = ColumnKind::Field(field_type(*kind));
            if *field == "time" {
                if self.rules.time_field == TimeField::LeftOut && fields.len() > 1 {
                    columns.push(None);
                    continue;
                }
                return Err(reserved_time(&name, wanted));
            }
            match schema.as_ref().and_then(|s| s.columns.field(field)) {
                None => {
                    schema.as_ref().map_or(Ok(()), |schema| self.shares(schema, field, wanted))?;
                    missing.push(((*field).to_owned(), wanted));
                }
                Some(column) if column.kind == wanted => columns.push(Some((column.id, field_type(*kind)))),
                Some(column) => return Err(conflict(&name, field, wanted, column.kind)),
            }
        }
        if schema.is_none() || !missing.is_empty() {
            if schema.is_none() {
                missing.extend(self.slots.tag_names(series.0).map(|tag| (tag.to_owned(), ColumnKind::Tag)));
                // One name as tag and field of the row that makes the table.
                missing.sort_by(|(a, _), (b, _)| a.cmp(b));
                let is_bad = |pair: &&[(String, ColumnKind)]| {
                    let is_shared = pair.iter().any(|(_, kind)| *kind == ColumnKind::Tag);
                    pair[0].0 == pair[1].0 && !(is_shared && self.rules.shared_names == SharedNames::Taken)
                };
                if let Some(pair) = missing.windows(2).find(is_bad) {
                    return Err(conflict(&name, &pair[0].0, ColumnKind::Tag, pair[0].1));
                }
            }
            return Err(self.want(&name, missing));
        }
        let slot = self.slots.layouts.len() as u32;
        self.slots.layouts.push(Layout { table, fields: columns });
        Ok(LayoutSlot(slot))
    }

    fn field_kind(&self, series: SeriesSlot, name: &str) -> Option<FieldKind> {
        let table = &self.slots.tables[self.slots.table_of(series.0) as usize].name;
        match self.catalog.table_of(self.database, self.policy, table)?.columns.field(name)?.kind {
            ColumnKind::Tag => None,
            ColumnKind::Field(FieldType::Int) => Some(FieldKind::Int),
            ColumnKind::Field(FieldType::UInt) => Some(FieldKind::UInt),
            ColumnKind::Field(FieldType::Float) => Some(FieldKind::Float),
            ColumnKind::Field(FieldType::Bool) => Some(FieldKind::Bool),
            ColumnKind::Field(FieldType::String) => Some(FieldKind::String),
        }
    }

    #[inline]
    fn row(
        &mut self,
        series: SeriesSlot,
        layout: LayoutSlot,
        time: i64,
        values: &[RawValue],
        text: &[u8],
    ) -> Result<(), RowFault> {
        if time < self.time_min {
            return Err(RowFault::Expired);
        }
        let entry = self.slots.series(series.0);
        let index = entry.place as usize;
        let goes_on = match self.collected.builders.get(index) {
            Some(Some(rows)) => rows.takes(layout.0, values.len()),
            _ => false,
        };
        if !goes_on {
            self.collected.part_one(index, self.shards);
            self.open_builder(index, layout);
        }
        let Self { slots, collected, .. } = self;
        let Some(Some(builder)) = collected.builders.get_mut(index) else { return Ok(()) };
        let (first, last) = builder.times();
        if time < first || time > last {
            return Err(RowFault::TimeOutside { first, last });
        }
        if !builder.has_layout(layout.0) {
            // It may have columns that the table got while the request was read.
            refresh_table(builder, slots, layout);
        }
        let known = entry.id & NEW_SERIES_BIT == 0 || builder.has_ordinal(entry.id & !NEW_SERIES_BIT, series.0);
        let id = match known {
            true => entry.id,
            false => match new_series(builder, slots, series.0) {
                Some(ordinal) => NEW_SERIES_BIT | ordinal,
                None => {
                    collected.refusal.get_or_insert(Refused::TableChanged);
                    return Ok(());
                }
            },
        };
        let fields = &slots.layouts[layout.0 as usize].fields;
        builder.push(id, time, layout.0, fields, values, text);
        Ok(())
    }

    fn refuse(&mut self, position: Position, fault: RowFault) -> Next {
        let row = BadRow { position, fault };
        match self.rules.bad_rows {
            BadRows::KeepOthers => {
                self.collected.bad_rows.dropped(row);
                Next::Continue
            }
            BadRows::RefuseAll => self.refuse_all(row),
        }
    }
}

impl LineSink for RequestSink<'_> {
    fn sibling(&mut self, like: SeriesSlot, values: &[&[u8]]) -> Option<SeriesSlot> {
        if self.collected.row_refusal.is_some() {
            return None;
        }
        self.slots.add_sibling(like.0, self.shards, values).map(SeriesSlot)
    }

    fn fault(&mut self, error: &LineError<'_>) -> Next {
        match self.rules.bad_rows {
            BadRows::KeepOthers => {
                self.collected.bad_rows.unparsed(error);
                Next::Continue
            }
            BadRows::RefuseAll => {
                let fault = RowFault::Line(LineFault::of(error));
                self.refuse_all(BadRow { position: Position::Line(error.line), fault })
            }
        }
    }
}

/// Gives the batch the newest schema of its table.
#[cold]
fn refresh_table(builder: &mut TableRows, slots: &Slots, layout: LayoutSlot) {
    let table = slots.layouts[layout.0 as usize].table;
    if let Some(schema) = &slots.tables[table as usize].schema {
        builder.table = schema.clone();
    }
}

/// The ordinal in the batch of a series without an id; `None` when the table lacks one of its tags, because a request
/// that met the series first was refused before the tag became a column.
#[inline(never)]
fn new_series(builder: &mut TableRows, slots: &mut Slots, slot: u32) -> Option<u32> {
    let (key, schema) = slots.new_key(slot)?;
    let ordinal = builder.new_series(slot, key, schema);
    slots.set_ordinal(slot, ordinal);
    Some(ordinal)
}
