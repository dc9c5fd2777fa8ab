//! Names and types of what is stored: databases, tables, columns. Pure data, shared by every core as `Arc`s.
//!
//! The catalog is owned by one core of the server, persisted there, and handed to the others as an immutable
//! snapshot. Ids ([`TableId`], [`ColumnId`]) are given once and never used again, so that a batch, a log record or a
//! segment that names an id can outlive a DROP without ever meaning something else.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

/// Identity of a table over the life of a data directory.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct TableId(pub u32);

/// Identity of a column (tag or field) within its table. Never reused. `time` has none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ColumnId(pub u16);

/// Dense id of a series within one table of one shard.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SeriesId(pub u32);

/// Type of a field's values.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum FieldType {
    /// i64, BIGINT.
    Int,
    /// u64, BIGINT UNSIGNED.
    UInt,
    /// f64, DOUBLE.
    Float,
    /// BOOLEAN.
    Bool,
    /// UTF-8, STRING.
    String,
}

/// What a column is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum ColumnKind {
    /// Part of the series identity; a string, null where a series lacks it.
    Tag,
    /// A measured value.
    Field(FieldType),
}

/// A tag or field of a table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ColumnSchema {
    /// Identity within the table.
    pub id: ColumnId,
    /// Name as written, case kept.
    pub name: Arc<str>,
    /// Tag or field.
    pub kind: ColumnKind,
}

/// Unit of a database's timestamps, counted from the Unix epoch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
pub enum TimeUnit {
    /// Milliseconds.
    Millisecond,
    /// Microseconds.
    Microsecond,
    /// Nanoseconds.
    #[default]
    Nanosecond,
}

impl TimeUnit {
    /// Nanoseconds in one unit.
    pub const fn nanoseconds(self) -> i64 {
        match self {
            Self::Millisecond => 1_000_000,
            Self::Microsecond => 1_000,
            Self::Nanosecond => 1,
        }
    }
}

/// A table ("measurement" in InfluxQL). Columns are kept in display order: tags by name when the table was made by a
/// write, as declared when by DDL, then fields; columns added later stand at the end.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TableSchema {
    /// Identity.
    pub id: TableId,
    /// Name as written, case kept.
    pub name: Arc<str>,
    /// Tags and fields, in display order, without `time`.
    pub columns: Vec<ColumnSchema>,
    /// Unit of this table's timestamps (its database's).
    pub time_unit: TimeUnit,
    /// Length of a time partition in `time_unit`s; at least 1.
    pub partition_length: i64,
    /// The id the next added column gets.
    pub next_column: u16,
}

impl TableSchema {
    /// The column called `name`, case-sensitive.
    pub fn column(&self, name: &str) -> Option<&ColumnSchema> {
        self.columns.iter().find(|c| &*c.name == name)
    }

    /// The column with identity `id`.
    pub fn column_by_id(&self, id: ColumnId) -> Option<&ColumnSchema> {
        self.columns.iter().find(|c| c.id == id)
    }
}

/// Options of a database as CnosDB's `CREATE DATABASE … WITH` takes them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DatabaseOptions {
    /// Unit of its timestamps.
    pub precision: TimeUnit,
    /// Age after which data may go, in nanoseconds; `None` keeps for ever.
    pub ttl_ns: Option<i64>,
    /// Length of a time partition, in nanoseconds.
    pub partition_ns: i64,
}

impl Default for DatabaseOptions {
    fn default() -> Self {
        /// One day: 8,640 rows a series at TSBS's 10 s interval, enough to fill a block; small enough that dropping
        /// whole partitions follows a retention of days.
        const PARTITION_NS: i64 = 86_400 * 1_000_000_000;
        Self { precision: TimeUnit::Nanosecond, ttl_ns: None, partition_ns: PARTITION_NS }
    }
}

/// A database and its tables. `retention_policies` is never empty; the first is the default.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Database {
    /// Name as written.
    pub name: Arc<str>,
    /// Options.
    pub options: DatabaseOptions,
    /// Names InfluxQL knows; `autogen` alone until retention policies can be created.
    pub retention_policies: Vec<Arc<str>>,
    /// Tables by name.
    pub tables: BTreeMap<Arc<str>, Arc<TableSchema>>,
}

/// Everything that has a name, as one immutable snapshot.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Catalog {
    /// Counts changes; a higher version is newer.
    pub version: u64,
    /// Databases by name.
    pub databases: BTreeMap<Arc<str>, Arc<Database>>,
    /// The id the next created table gets.
    pub next_table: u32,
}

impl Catalog {
    /// The table `name` of database `database`.
    pub fn table(&self, database: &str, name: &str) -> Option<&Arc<TableSchema>> {
        self.databases.get(database)?.tables.get(name)
    }
}
