//! Where the parser's rows go: one batch per (owner shard, table), and the questions the parser asks on the way.

use std::sync::Arc;

use tidewire_protocol::line::{
    Dialect, FieldKind, Flow, Halt, LayoutSlot, LineError, LineReason, RawValue, RowSink, SeriesSlot, SeriesText,
    series_of,
};
use tidewire_storage::batch::{NEW_SERIES_BIT, WriteBatch};
use tidewire_storage::schema::{Catalog, ColumnKind, FieldType};

use super::batch::{BatchBuilder, FinishedBatch};
use super::cache::{Layout, Slots, key_of};
use crate::api::cnos::catalog_error::{self, conflict, kind_name};
use crate::api::influx::catalog_error as influx_error;
use crate::catalog::{CatalogError, SchemaChange};

/// Lines whose refusal is told to an InfluxDB client word for word; the rest are counted. The reply stays small
/// however many lines are bad.
const REFUSALS_TOLD_MAX: usize = 100;

/// Bytes of them, for lines may be as long as a body. A line that ends beyond is cut, and told of as the last.
const REFUSALS_TOLD_BYTES_MAX: usize = 256 << 10;

/// What a request has collected so far. Lives across the parser's pauses.
#[derive(Debug)]
pub struct Collected {
    /// Builders by table index × shards + owner; grown as tables are met.
    builders: Vec<Option<BatchBuilder>>,
    /// Lines that did not parse, in their system's words.
    pub unparsed: Vec<String>,
    /// Lines that did not parse.
    pub unparsed_lines: u64,
    /// Lines that parsed and do not fit the schema.
    pub dropped: u64,
    /// Why the first of them does not fit.
    pub dropped_reason: Option<String>,
    /// Number of its line in the body, from 1; `None` where it was a row's age.
    pub dropped_line: Option<u64>,
    /// The change the catalog needs before parsing can go on.
    pub wanted: Option<SchemaChange>,
    /// Why the catalog refused what the line at which the parser paused needs.
    pub line_refusal: Option<CatalogError>,
    /// Set when the request as a whole is refused.
    pub refusal: Option<Refused>,
    recycled: Vec<WriteBatch>,
}

/// Why a whole request is refused (CnosDB refuses a request for one bad line).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refused {
    /// A line is not line protocol.
    Syntax {
        /// CnosDB's code.
        code: &'static str,
        /// CnosDB's words.
        message: String,
    },
    /// A line does not fit the schema.
    Schema(String),
    /// The table changed under the request; sent again it will pass.
    TableChanged,
    /// A line is older than rows are kept.
    Expired,
}

impl Collected {
    /// Nothing yet. `recycled` is memory for batches.
    pub fn new(recycled: Vec<WriteBatch>) -> Self {
        Self {
            builders: Vec::new(),
            unparsed: Vec::new(),
            unparsed_lines: 0,
            dropped: 0,
            dropped_reason: None,
            dropped_line: None,
            wanted: None,
            line_refusal: None,
            refusal: None,
            recycled,
        }
    }

    /// Memory held by the rows.
    pub fn bytes(&self) -> usize {
        self.builders.iter().flatten().map(BatchBuilder::bytes).sum()
    }

    /// Rows collected.
    pub fn rows(&self) -> usize {
        self.builders.iter().flatten().map(BatchBuilder::rows).sum()
    }

    /// The batches with their owner shards, and the memory that was not needed.
    pub fn finish(self, shards: u32) -> (Vec<(u32, FinishedBatch)>, Vec<WriteBatch>) {
        let batches = self
            .builders
            .into_iter()
            .enumerate()
            .filter_map(|(index, builder)| {
                let builder = builder.filter(|b| b.rows() > 0)?;
                Some((index as u32 % shards, builder.finish()))
            })
            .collect();
        (batches, self.recycled)
    }
}

/// The sink of one request for the length of one `parse` call.
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
    /// Whose rules and words.
    pub dialect: Dialect,
    /// Number of shards.
    pub shards: u32,
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

/// InfluxDB's names of field types.
fn influx_name(kind: ColumnKind) -> &'static str {
    match kind {
        ColumnKind::Tag => "tag",
        ColumnKind::Field(FieldType::Int) => "integer",
        ColumnKind::Field(FieldType::UInt) => "unsigned",
        ColumnKind::Field(FieldType::Float) => "float",
        ColumnKind::Field(FieldType::Bool) => "boolean",
        ColumnKind::Field(FieldType::String) => "string",
    }
}

impl RequestSink<'_> {
    fn conflict(&self, measurement: &str, column: &str, wanted: ColumnKind, found: ColumnKind) -> Halt {
        Halt::Reject(match (self.dialect, wanted) {
            (Dialect::Cnos, _) => format!("{} in table '{measurement}'", conflict(column, wanted, found)),
            (Dialect::Influx, ColumnKind::Field(_)) => format!(
                "field type conflict: input field \"{column}\" on measurement \"{measurement}\" is type {}, already exists as type {}",
                influx_name(wanted),
                influx_name(found)
            ),
            (Dialect::Influx, ColumnKind::Tag) => format!(
                "invalid tag key: input tag \"{column}\" on measurement \"{measurement}\" already exists as a field of type {}",
                influx_name(found)
            ),
        })
    }

    fn reserved_time(&self, measurement: &str, kind: ColumnKind) -> Halt {
        Halt::Reject(match (self.dialect, kind) {
            (Dialect::Cnos, _) => {
                format!("line to batch error: Expected i64 type as time column, found {}", kind_name(kind))
            }
            (Dialect::Influx, ColumnKind::Tag) => {
                format!("invalid tag key: input tag \"time\" on measurement \"{measurement}\" is invalid")
            }
            (Dialect::Influx, ColumnKind::Field(_)) => {
                format!("invalid field name: input field \"time\" on measurement \"{measurement}\" is invalid")
            }
        })
    }

    /// The refusal of the line that is being asked about, if the catalog has refused it.
    fn refused(&mut self) -> Result<(), Halt> {
        match self.collected.line_refusal.take() {
            None => Ok(()),
            Some(CatalogError::ColumnConflict { table, column, wanted, found }) => {
                Err(self.conflict(&table, &column, wanted, found))
            }
            Some(other) => Err(Halt::Reject(match self.dialect {
                Dialect::Cnos => catalog_error::message(&other),
                Dialect::Influx => influx_error::message(&other),
            })),
        }
    }

    /// InfluxDB drops a row that is too old and takes the others, CnosDB refuses the request.
    #[cold]
    fn refuse_expired(&mut self) {
        match self.dialect {
            Dialect::Cnos => {
                self.collected.refusal.get_or_insert(Refused::Expired);
            }
            Dialect::Influx => {
                self.collected.dropped += 1;
                self.collected.dropped_reason.get_or_insert_with(|| "points beyond retention policy".to_owned());
            }
        }
    }

    fn want(&mut self, table: &str, columns: Vec<(String, ColumnKind)>) -> Halt {
        self.collected.wanted = Some(SchemaChange::Ensure {
            database: self.database.to_owned(),
            policy: self.policy.to_owned(),
            tables: [(table.to_owned(), columns)].into(),
        });
        Halt::Pause
    }

    /// Takes over the newest schema of a table; its columns only ever grow while this cache lives.
    fn refresh(&mut self, table: u32) {
        let entry = &mut self.slots.tables[table as usize];
        if let Some(newest) = self.catalog.table_of(self.database, self.policy, &entry.name) {
            entry.schema = Some(newest.clone());
        }
    }
}

impl RowSink for RequestSink<'_> {
    fn series(&mut self, series: &SeriesText<'_>) -> Result<SeriesSlot, Halt> {
        self.refused()?;
        let measurement: &str = &series.measurement;
        let table = self.slots.table_index(measurement);
        self.refresh(table);
        if series.tags.iter().any(|(name, _)| name == "time") {
            return Err(self.reserved_time(measurement, ColumnKind::Tag));
        }
        // The table itself is made by `layout`, which knows the fields too.
        if let Some(schema) = self.slots.tables[table as usize].schema.clone() {
            let mut missing = Vec::new();
            for (name, _) in &series.tags {
                match schema.column(name) {
                    None => missing.push((name.to_string(), ColumnKind::Tag)),
                    Some(column) if column.kind == ColumnKind::Tag => {}
                    Some(column) => return Err(self.conflict(measurement, name, ColumnKind::Tag, column.kind)),
                }
            }
            if !missing.is_empty() {
                return Err(self.want(measurement, missing));
            }
        }
        let tags = || series.tags.iter().map(|(name, value)| (&**name, &**value));
        Ok(SeriesSlot(self.slots.add_series(table, self.shards, tags())))
    }

    fn sibling(&mut self, like: SeriesSlot, values: &[&[u8]]) -> Option<SeriesSlot> {
        if self.collected.line_refusal.is_some() {
            return None;
        }
        self.slots.add_sibling(like.0, self.shards, values).map(SeriesSlot)
    }

    fn layout(&mut self, series: SeriesSlot, fields: &[(&str, FieldKind)]) -> Result<LayoutSlot, Halt> {
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
                // InfluxDB leaves a field called time out when the line has others.
                if self.dialect == Dialect::Influx && fields.len() > 1 {
                    columns.push(None);
                    continue;
                }
                return Err(self.reserved_time(&name, wanted));
            }
            match schema.as_ref().and_then(|s| s.column(field)) {
                None => missing.push(((*field).to_owned(), wanted)),
                Some(column) if column.kind == wanted => columns.push(Some((column.id, field_type(*kind)))),
                Some(column) => return Err(self.conflict(&name, field, wanted, column.kind)),
            }
        }
        if schema.is_none() || !missing.is_empty() {
            if schema.is_none() {
                missing.extend(self.slots.tag_names(series.0).map(|tag| (tag.to_owned(), ColumnKind::Tag)));
                // One name as tag and field of the line that makes the table.
                missing.sort_by(|(a, _), (b, _)| a.cmp(b));
                if let Some(pair) = missing.windows(2).find(|pair| pair[0].0 == pair[1].0) {
                    return Err(self.conflict(&name, &pair[0].0, ColumnKind::Tag, pair[0].1));
                }
            }
            return Err(self.want(&name, missing));
        }
        let slot = self.slots.layouts.len() as u32;
        self.slots.layouts.push(Layout { table, fields: columns });
        Ok(LayoutSlot(slot))
    }

    #[inline]
    fn row(&mut self, series: SeriesSlot, layout: LayoutSlot, time: i64, values: &[RawValue], text: &[u8]) {
        if time < self.time_min {
            return self.refuse_expired();
        }
        let Self { slots, collected, dialect, .. } = self;
        let entry = slots.series(series.0);
        let index = entry.place as usize;
        if collected.builders.get(index).is_none_or(Option::is_none) {
            open_builder(collected, slots, index, layout);
        }
        let Some(Some(builder)) = collected.builders.get_mut(index) else { return };
        if !builder.has_layout(layout.0) {
            // It may have columns that the table got while the request was read.
            refresh_table(builder, slots, layout);
        }
        let known = entry.id & NEW_SERIES_BIT == 0 || builder.has_ordinal(entry.id & !NEW_SERIES_BIT, series.0);
        let id = match known {
            true => entry.id,
            false => match new_series(builder, slots, series.0, *dialect, text) {
                Some(ordinal) => NEW_SERIES_BIT | ordinal,
                None => {
                    collected.refusal.get_or_insert(Refused::TableChanged);
                    return;
                }
            },
        };
        let fields = &slots.layouts[layout.0 as usize].fields;
        builder.push(id, time, layout.0, fields, values, text);
    }

    fn reject(&mut self, error: &LineError<'_>) -> Flow {
        let collected = &mut *self.collected;
        match (self.dialect, &error.reason) {
            (Dialect::Cnos, LineReason::Refused(reason)) => {
                collected.refusal = Some(Refused::Schema(format!("{reason} at line {}", error.line)));
                Flow::Stop
            }
            (Dialect::Cnos, _) => {
                let (code, message) = error.cnos();
                collected.refusal = Some(Refused::Syntax { code, message: cut(message, REFUSALS_TOLD_BYTES_MAX) });
                Flow::Stop
            }
            (Dialect::Influx, LineReason::Refused(reason)) => {
                collected.dropped += 1;
                if collected.dropped_reason.is_none() {
                    collected.dropped_reason = Some(reason.clone());
                    collected.dropped_line = Some(error.line);
                }
                Flow::Continue
            }
            (Dialect::Influx, _) => {
                collected.unparsed_lines += 1;
                let told_bytes: usize = collected.unparsed.iter().map(String::len).sum();
                let room = REFUSALS_TOLD_BYTES_MAX.saturating_sub(told_bytes);
                if collected.unparsed.len() < REFUSALS_TOLD_MAX && room > 0 {
                    collected.unparsed.push(cut(error.influx(), room));
                }
                Flow::Continue
            }
        }
    }
}

/// At most `bytes_max` bytes of `text`, whole characters of it.
fn cut(mut text: String, bytes_max: usize) -> String {
    text.truncate(text.floor_char_boundary(bytes_max));
    text
}

#[cold]
fn open_builder(collected: &mut Collected, slots: &Slots, index: usize, layout: LayoutSlot) {
    if collected.builders.len() <= index {
        collected.builders.resize_with(index + 1, || None);
    }
    let table = slots.layouts[layout.0 as usize].table;
    let schema = slots.tables[table as usize].schema.clone();
    assert!(schema.is_some(), "BUG: a row of a table that the catalog lacks");
    let recycled = collected.recycled.pop().unwrap_or_default();
    collected.builders[index] = schema.map(|schema| BatchBuilder::new(Arc::clone(&schema), recycled));
}

/// Gives the batch the newest schema of its table.
#[cold]
fn refresh_table(builder: &mut BatchBuilder, slots: &Slots, layout: LayoutSlot) {
    let table = slots.layouts[layout.0 as usize].table;
    if let Some(schema) = &slots.tables[table as usize].schema {
        builder.table = schema.clone();
    }
}

/// The ordinal in the batch of a series without an id, whose row `line` is; `None` when the table lacks one of its tags,
/// because a request that met the series first was refused before the tag became a column.
#[inline(never)]
fn new_series(builder: &mut BatchBuilder, slots: &mut Slots, slot: u32, dialect: Dialect, line: &[u8]) -> Option<u32> {
    let schema = slots.tables[slots.table_of(slot) as usize].schema.as_ref()?;
    let ordinal = match slots.staged_key(slot) {
        Some(key) => builder.new_series(slot, key, schema),
        None => {
            let text = series_of(dialect, line)?;
            let tags = text.tags.iter().map(|(name, value)| (&**name, &**value));
            builder.new_series(slot, &key_of(tags, schema)?, schema)
        }
    };
    slots.set_ordinal(slot, ordinal);
    Some(ordinal)
}
