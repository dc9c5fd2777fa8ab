//! Names and types of what is stored: databases, tables, columns. Pure data, shared by every core as `Arc`s.
//!
//! The catalog is owned by one core of the server, persisted there, and handed to the others as an immutable
//! snapshot. Ids ([`TableId`], [`ColumnId`]) are given once and never used again, so that a batch, a log record or a
//! segment that names an id can outlive a DROP without ever meaning something else.

mod columns;
mod external;
mod options;
mod rights;
mod tenant;
mod user;

use std::borrow::Cow;
use std::sync::Arc;

use arrow_schema::DataType;
use serde::{Deserialize, Serialize};

use crate::names::NameMap;

pub use columns::Columns;
pub use external::{ExternalColumn, ExternalTable, ExternalType, FileFormat};
pub use options::{DatabaseOptions, StoredOptions};
pub use rights::{Need, Rights, TenantPower};
pub use tenant::{
    Bucket, CustomRole, DEFAULT_TENANT, DROP_NEVER, Limiter, Membership, ObjectLimits, RequestKind, SystemRole, Tenant,
    TenantOptions, database_key, database_name, is_reserved, tenant_and_database,
};
pub use user::{Access, PasswordHash, User, UserOptions};

/// Identity of a table over the life of a data directory.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct TableId(pub u32);

/// Identity of a column (tag or field) within its table. Never reused. `time` has none. A tag and a field may share a
/// name, so that what is stored names columns by this.
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

impl FieldType {
    /// Arrow's type of the values.
    pub const fn data_type(self) -> DataType {
        match self {
            Self::Int => DataType::Int64,
            Self::UInt => DataType::UInt64,
            Self::Float => DataType::Float64,
            Self::Bool => DataType::Boolean,
            Self::String => DataType::Utf8,
        }
    }
}

/// The coding that `CODEC(…)` asks for a field's blocks, by CnosDB's names. What blocks become by it:
/// [`CodecPreference`](crate::codec::CodecPreference). Without one, samples decide block by block.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[expect(missing_docs, reason = "the names are the reference's, and their meaning is documented where they are mapped")]
pub enum Codec {
    Null,
    Delta,
    DeltaTs,
    Quantile,
    Gorilla,
    Gzip,
    Bzip,
    Zstd,
    Snappy,
    Zlib,
    BitPack,
}

/// A codec's name as CnosDB spells it, and the types that take it.
const CODECS: [(Codec, &str, &[FieldType]); 11] = {
    use FieldType::{Bool, Float, Int, String, UInt};
    [
        (Codec::Null, "Null", &[Int, UInt, Float, Bool, String]),
        (Codec::Delta, "Delta", &[Int, UInt]),
        (Codec::DeltaTs, "DeltaTs", &[Int, UInt]),
        (Codec::Quantile, "Quantile", &[Int, UInt, Float]),
        (Codec::Gorilla, "Gorilla", &[Float]),
        (Codec::Gzip, "Gzip", &[String]),
        (Codec::Bzip, "Bzip", &[String]),
        (Codec::Zstd, "Zstd", &[String]),
        (Codec::Snappy, "Snappy", &[String]),
        (Codec::Zlib, "Zlib", &[String]),
        (Codec::BitPack, "BitPack", &[Bool]),
    ]
};

impl Codec {
    /// The codec called `name`, in any case.
    pub fn of_name(name: &str) -> Option<Self> {
        CODECS.iter().find(|(_, known, _)| known.eq_ignore_ascii_case(name)).map(|(codec, ..)| *codec)
    }

    /// Its name, in mixed case.
    pub fn name(self) -> &'static str {
        CODECS.iter().find(|(codec, ..)| *codec == self).map_or("Default", |(_, name, _)| name)
    }

    /// Whether fields of type `kind` take it.
    pub fn suits(self, kind: FieldType) -> bool {
        CODECS.iter().any(|(codec, _, kinds)| *codec == self && kinds.contains(&kind))
    }
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
    /// Coding asked for; `None` for the default. Catalogs of before it could be set lack it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub codec: Option<Codec>,
    /// The shapes that a field of text holds; `None` where it may hold any text. Catalogs of before lack it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub geometry: Option<Geometry>,
}

/// A kind of shapes in the plane, which a field of text holds as well-known text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[expect(missing_docs, reason = "the names are those of the standard on simple features")]
pub enum Geometry {
    Point,
    LineString,
    Polygon,
    MultiPoint,
    MultiLineString,
    MultiPolygon,
    GeometryCollection,
}

impl Geometry {
    /// All kinds.
    pub const ALL: [Self; 7] = [
        Self::Point,
        Self::LineString,
        Self::Polygon,
        Self::MultiPoint,
        Self::MultiLineString,
        Self::MultiPolygon,
        Self::GeometryCollection,
    ];

    /// Its name in well-known text.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Point => "POINT",
            Self::LineString => "LINESTRING",
            Self::Polygon => "POLYGON",
            Self::MultiPoint => "MULTIPOINT",
            Self::MultiLineString => "MULTILINESTRING",
            Self::MultiPolygon => "MULTIPOLYGON",
            Self::GeometryCollection => "GEOMETRYCOLLECTION",
        }
    }

    /// The kind of that name, in any case.
    pub fn of_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name().eq_ignore_ascii_case(name))
    }
}

/// Ends the label of a tag that shares its name with a field.
pub const TAG_SUFFIX: &str = "::tag";

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

    /// The unit that a time in nanoseconds lies in.
    #[inline]
    pub const fn of_nanoseconds(self, time_ns: i64) -> i64 {
        // A division by a constant each, and none in the common case.
        match self {
            Self::Millisecond => time_ns.div_euclid(1_000_000),
            Self::Microsecond => time_ns.div_euclid(1_000),
            Self::Nanosecond => time_ns,
        }
    }

    /// The first and the last time that a row may have: every nanosecond that there is, and otherwise the years 1 to
    /// 9999, which all formats and clients know how to write. (What comes from elsewhere, as a nanosecond that is taken
    /// for a millisecond, is millions of years away.)
    pub const fn times(self) -> (i64, i64) {
        const FIRST_S: i64 = -62_135_596_800;
        const END_S: i64 = 253_402_300_800;
        match self {
            Self::Millisecond => (FIRST_S * 1_000, END_S * 1_000 - 1),
            Self::Microsecond => (FIRST_S * 1_000_000, END_S * 1_000_000 - 1),
            Self::Nanosecond => (i64::MIN, i64::MAX),
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
    pub columns: Columns,
    /// Unit of this table's timestamps (its database's).
    pub time_unit: TimeUnit,
    /// Length of a time partition in `time_unit`s; at least 1.
    pub partition_length: i64,
    /// The id the next added column gets.
    pub next_column: u16,
}

impl TableSchema {
    /// The column called `name`, case-sensitive: the field, where a tag has the name too.
    pub fn column(&self, name: &str) -> Option<&ColumnSchema> {
        self.columns.named(name)
    }

    /// The column of this name that is of one sort with `kind`: the tag, or the field of whatever type.
    pub fn column_like(&self, name: &str, kind: ColumnKind) -> Option<&ColumnSchema> {
        match kind {
            ColumnKind::Tag => self.columns.tag(name),
            ColumnKind::Field(_) => self.columns.field(name),
        }
    }

    /// Whether a tag has the name of a field.
    pub fn shares_names(&self) -> bool {
        self.columns.iter().any(|column| column.kind == ColumnKind::Tag && self.columns.field(&column.name).is_some())
    }

    /// The name under which a column of the table is known where tags and fields stand side by side, as in SQL: its
    /// own, but `name::tag` for a tag that shares its name with a field.
    pub fn label<'a>(&self, column: &'a ColumnSchema) -> Cow<'a, str> {
        match column.kind {
            ColumnKind::Tag if self.columns.field(&column.name).is_some() => {
                Cow::Owned(format!("{}{TAG_SUFFIX}", column.name))
            }
            _ => Cow::Borrowed(&*column.name),
        }
    }

    /// The column with that [`label`](Self::label).
    pub fn labelled(&self, label: &str) -> Option<&ColumnSchema> {
        let shared = || self.columns.tag(label.strip_suffix(TAG_SUFFIX)?);
        self.columns.named(label).or_else(|| shared().filter(|tag| self.label(tag) == label))
    }

    /// Whether anything is to be known of its columns beside their names and kinds: a codec, shapes, or that some are
    /// gone.
    pub fn says_of_columns(&self) -> bool {
        let says = |column: &ColumnSchema| column.codec.is_some() || column.geometry.is_some();
        usize::from(self.next_column) != self.columns.len() || self.columns.iter().any(says)
    }

    /// The column with identity `id`.
    pub fn column_by_id(&self, id: ColumnId) -> Option<&ColumnSchema> {
        self.columns.with_id(id)
    }
}

/// How long rows are kept and in what partitions, and the tables of what was written under it. A measurement that was
/// written under two policies is two tables, with ids of their own.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RetentionPolicy {
    /// Name as written.
    pub name: Arc<str>,
    /// Age after which rows are not seen any more and may go, in nanoseconds; `None` keeps everything.
    pub ttl_ns: Option<i64>,
    /// Length of a time partition of tables made from now on, in nanoseconds.
    pub partition_ns: i64,
    /// Copies that were asked for. One node keeps one; the number is kept for who asks.
    pub replication: u32,
    /// Tables by name.
    pub tables: NameMap<Arc<TableSchema>>,
}

impl RetentionPolicy {
    /// The policy that a database has from the start.
    pub const FIRST: &str = "autogen";

    /// The least time, in `unit`s, that is not too old at `now_ns`: rows before it are not seen and not taken.
    pub fn time_min(&self, now_ns: i64, unit: TimeUnit) -> i64 {
        let oldest_ns = self.ttl_ns.and_then(|ttl_ns| now_ns.checked_sub(ttl_ns));
        // Rounded up: a row is as old as its time says.
        oldest_ns.map_or(i64::MIN, |ns| {
            let unit_ns = unit.nanoseconds();
            ns.div_euclid(unit_ns) + i64::from(ns.rem_euclid(unit_ns) > 0)
        })
    }
}

/// A database: its retention policies, and in them its tables.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Database {
    /// Name as written; with that of its tenant in front of it, where that is not the default one ([`database_key`]).
    pub name: Arc<str>,
    /// Unit of its timestamps.
    pub precision: TimeUnit,
    /// In the order in which they were made.
    pub policies: Vec<RetentionPolicy>,
    /// Name of the policy that is meant where none is named. There is none of that name once it was dropped.
    pub default_policy: Arc<str>,
    /// Statements that run by themselves, in the order in which they were made.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub continuous_queries: Vec<ContinuousQuery>,
    /// Who gets the rows that are written, in the order in which they were made.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub subscriptions: Vec<Arc<Subscription>>,
    /// Tables over files, by name. In SQL one hides a table of its name that has come with another default policy.
    #[serde(default = "NameMap::new", skip_serializing_if = "NameMap::is_empty")]
    pub external: NameMap<Arc<ExternalTable>>,
    /// What is kept for who asks.
    #[serde(default, skip_serializing_if = "StoredOptions::is_default")]
    pub stored: StoredOptions,
}

/// A statement that a database keeps and that runs again and again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ContinuousQuery {
    /// Its name, which no other of the database has.
    pub name: Arc<str>,
    /// The whole statement, in the language that it was made in.
    pub text: Arc<str>,
}

/// Where the rows that are written into a retention policy are sent, too.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Subscription {
    /// Its name, which no other of the policy has.
    pub name: Arc<str>,
    /// The retention policy.
    pub policy: Arc<str>,
    /// Rows go to one of the destinations, not to all.
    pub any: bool,
    /// URLs of those who take rows.
    pub destinations: Vec<Arc<str>>,
}

impl Database {
    /// A database with one policy, `autogen`, that keeps to `options` and has `tables`.
    pub fn new(name: &str, options: &DatabaseOptions, tables: impl IntoIterator<Item = Arc<TableSchema>>) -> Self {
        let first = RetentionPolicy {
            name: RetentionPolicy::FIRST.into(),
            ttl_ns: options.ttl_ns,
            partition_ns: options.partition_ns,
            replication: 1,
            tables: tables.into_iter().map(|table| (table.name.clone(), table)).collect(),
        };
        let default_policy = first.name.clone();
        Self {
            name: name.into(),
            precision: options.precision,
            policies: vec![first],
            default_policy,
            continuous_queries: Vec::new(),
            subscriptions: Vec::new(),
            external: NameMap::new(),
            stored: options.stored,
        }
    }

    /// The policy called `name`.
    pub fn policy(&self, name: &str) -> Option<&RetentionPolicy> {
        self.policies.iter().find(|policy| &*policy.name == name)
    }

    /// The policy that is meant where none is named; `None` after it was dropped.
    pub fn main_policy(&self) -> Option<&RetentionPolicy> {
        self.policy(&self.default_policy)
    }

    /// The table called `name` that plain names mean: that of the default policy.
    pub fn table(&self, name: &str) -> Option<&Arc<TableSchema>> {
        self.main_policy()?.tables.get(name)
    }

    /// The tables of the default policy, by name.
    pub fn tables(&self) -> impl Iterator<Item = &Arc<TableSchema>> {
        self.main_policy().into_iter().flat_map(|policy| policy.tables.values())
    }

    /// The tables of all policies, each with its full name: `database.table`, or `database.policy.table` where the
    /// policy is not the default one; before it the tenant, where that is not the default one: `tenant/database.table`.
    pub fn named_tables(&self) -> impl Iterator<Item = (String, &Arc<TableSchema>)> {
        let shown = match tenant_and_database(&self.name) {
            (DEFAULT_TENANT, name) => name.to_owned(),
            (tenant, name) => format!("{tenant}/{name}"),
        };
        let in_policy = move |policy: &RetentionPolicy| match *policy.name == *self.default_policy {
            true => shown.clone(),
            false => format!("{shown}.{}", policy.name),
        };
        self.policies.iter().flat_map(move |policy| {
            let place = in_policy(policy);
            policy.tables.values().map(move |table| (format!("{place}.{}", table.name), table))
        })
    }

    /// The tables of all policies.
    pub fn all_tables(&self) -> impl Iterator<Item = &Arc<TableSchema>> {
        self.policies.iter().flat_map(|policy| policy.tables.values())
    }
}

/// Everything that has a name, as one immutable snapshot.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Catalog {
    /// Counts changes; a higher version is newer.
    pub version: u64,
    /// Databases by name.
    pub databases: NameMap<Arc<Database>>,
    /// The id the next created table gets.
    pub next_table: u32,
    /// Users by name.
    #[serde(default)]
    pub users: NameMap<Arc<User>>,
    /// Tenants by name; the default one once something was said of it.
    #[serde(default = "NameMap::new", skip_serializing_if = "NameMap::is_empty")]
    pub tenants: NameMap<Arc<Tenant>>,
}

impl Catalog {
    /// The tenant of that name, unless it was dropped.
    pub fn tenant(&self, name: &str) -> Option<Arc<Tenant>> {
        match self.tenants.get(name) {
            Some(tenant) => tenant.gone_at_ns.is_none().then(|| tenant.clone()),
            None => (name == DEFAULT_TENANT).then(|| Arc::new(Tenant::new(name))),
        }
    }

    /// The tenants that are not dropped, by name.
    pub fn all_tenants(&self) -> impl Iterator<Item = Arc<Tenant>> + '_ {
        let default = self.tenants.get(DEFAULT_TENANT).is_none().then(|| Arc::new(Tenant::new(DEFAULT_TENANT)));
        let there = self.tenants.values().filter(|tenant| tenant.gone_at_ns.is_none());
        default.into_iter().chain(there.cloned())
    }

    /// The databases of a tenant, by name.
    pub fn databases_of<'c>(&'c self, tenant: &'c str) -> impl Iterator<Item = &'c Arc<Database>> {
        self.databases.values().filter(move |database| tenant_and_database(&database.name).0 == tenant)
    }

    /// The table `name` of database `database`, of its default policy.
    pub fn table(&self, database: &str, name: &str) -> Option<&Arc<TableSchema>> {
        self.databases.get(database)?.table(name)
    }

    /// The table `name` of a policy of a database.
    pub fn table_of(&self, database: &str, policy: &str, name: &str) -> Option<&Arc<TableSchema>> {
        self.databases.get(database)?.policy(policy)?.tables.get(name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_least_time_of_a_policy_is_rounded_up_to_its_unit() {
        let policy = |ttl_ns| RetentionPolicy {
            name: "p".into(),
            ttl_ns,
            partition_ns: 1,
            replication: 1,
            tables: NameMap::new(),
        };
        let now_ns = 10_000_000_001;
        assert_eq!(policy(None).time_min(now_ns, TimeUnit::Nanosecond), i64::MIN);
        assert_eq!(policy(Some(1_000_000_000)).time_min(now_ns, TimeUnit::Nanosecond), 9_000_000_001);
        assert_eq!(policy(Some(1_000_000_000)).time_min(now_ns, TimeUnit::Millisecond), 9_001);
        assert_eq!(policy(Some(1_000_000_001)).time_min(now_ns, TimeUnit::Microsecond), 9_000_000);
        assert_eq!(policy(Some(20_000_000_000)).time_min(now_ns, TimeUnit::Millisecond), -9_999);
        assert_eq!(policy(Some(i64::MAX)).time_min(-10, TimeUnit::Millisecond), i64::MIN, "older than time itself");
    }
}
