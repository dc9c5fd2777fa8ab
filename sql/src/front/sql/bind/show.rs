//! SHOW and DESCRIBE, answered from the catalog as constant rows with the reference's columns.

use std::collections::BTreeSet;

use sqlparser::ast::{Ident, ObjectName};
use tidewire_storage::schema::{
    Access, Codec, ColumnKind, Database, DatabaseOptions, ExternalColumn, FieldType, Need, TimeUnit, database_name,
};

use super::binder::Binder;
use super::relation::schema_of;
use crate::error::{SqlError, SqlErrorKind};
use crate::expr::Scalar;
use crate::front::sql::parse::fold;
use crate::plan::Plan;
use crate::types::duration::{YEAR_NS, format_duration};
use crate::types::unit::MILLISECOND_NS;

fn table<const N: usize>(names: [&str; N], rows: impl Iterator<Item = [String; N]>) -> Plan {
    let text = arrow_schema::DataType::Utf8;
    Plan::Values {
        rows: rows.map(|row| row.into_iter().map(|cell| Scalar::Str(cell.into())).collect()).collect(),
        schema: schema_of(names.into_iter().map(|name| (name, &text))),
    }
}

impl Binder<'_> {
    /// A database for one who may read it.
    fn database(&self, name: &str) -> Result<&Database, SqlError> {
        self.require(Need::of(name, Access::READ))?;
        self.catalog
            .databases
            .get(name)
            .map(AsRef::as_ref)
            .ok_or_else(|| SqlErrorKind::DatabaseNotFound(database_name(name).to_owned()).into())
    }

    pub(super) fn show_databases(&self) -> Plan {
        let databases = self.catalog.databases_of(&self.session.tenant);
        let seen = databases.filter(|database| self.session.rights.may_see(&database.name));
        table(["database_name"], seen.map(|database| [database_name(&database.name).to_owned()]))
    }

    pub(super) fn show_tables(&self, on: Option<&Ident>) -> Result<Plan, SqlError> {
        let name = self.key(&on.map_or_else(|| self.session.database.clone(), fold));
        let database = self.database(&name)?;
        let of_files = database.external.keys();
        // A name that both have is one table's: that over files.
        let names: BTreeSet<&str> = database.tables().map(|table| &*table.name).chain(of_files.map(|n| &**n)).collect();
        Ok(table(["table_name"], names.into_iter().map(|name| [name.to_owned()])))
    }

    pub(super) fn describe_table(&self, name: &ObjectName) -> Result<Plan, SqlError> {
        let names = ["column_name", "data_type", "column_type", "compression_codec"];
        let (database, plain_name, _) = self.table_name(name)?;
        if let Some(found) = self.external(&database, &plain_name) {
            self.require(Need::of(database, Access::READ))?;
            let row = |column: &ExternalColumn| {
                [column.name.to_string(), column.kind.to_string(), "FIELD".to_owned(), "NULL".to_owned()]
            };
            return Ok(table(names, found.columns.iter().map(row)));
        }
        let (_, schema, _) = self.table(name, Access::READ)?;
        let time = time_type(schema.time_unit);
        let row = |name: &str, data_type: &str, kind: &str, codec: Option<Codec>| {
            [name.to_owned(), data_type.to_owned(), kind.to_owned(), codec_name(codec)]
        };
        let columns = schema.columns.iter().map(|column| match column.kind {
            ColumnKind::Tag => row(&schema.label(column), "STRING", "TAG", column.codec),
            ColumnKind::Field(field) => {
                let geometry = column.geometry.map(|geometry| format!("GEOMETRY({}, 0)", geometry.name()));
                row(&column.name, geometry.as_deref().unwrap_or_else(|| sql_name(field)), "FIELD", column.codec)
            }
        });
        Ok(table(names, std::iter::once(row("time", time, "TIME", None)).chain(columns)))
    }

    /// The options, those that only are kept included.
    pub(super) fn describe_database(&self, name: &Ident) -> Result<Plan, SqlError> {
        let database = self.database(&self.key(&fold(name)))?;
        let names = [
            "ttl",
            "shard",
            "vnode_duration",
            "replica",
            "precision",
            "max_memcache_size",
            "memcache_partitions",
            "wal_max_file_size",
            "wal_sync",
            "strict_write",
            "max_cache_readers",
        ];
        Ok(table(names, std::iter::once(described(database))))
    }
}

/// The options of a database, in the order of DESCRIBE DATABASE.
pub(super) fn described(database: &Database) -> [String; 11] {
    let precision = match database.precision {
        TimeUnit::Millisecond => "MS",
        TimeUnit::Microsecond => "US",
        TimeUnit::Nanosecond => "NS",
    };
    // The reference's TTL and partition length are those of the default retention policy, if there is one still.
    let policy = database.main_policy();
    let ttl = format_duration(policy.and_then(|policy| policy.ttl_ns));
    let stored = &database.stored;
    [
        ttl,
        stored.shard.to_string(),
        format_duration(Some(vnode_ns(database))),
        stored.replica.to_string(),
        precision.to_owned(),
        size(stored.memcache_bytes_max),
        stored.memcache_partitions.to_string(),
        size(stored.wal_file_bytes_max),
        stored.wal_sync.to_string(),
        stored.strict_write.to_string(),
        stored.cache_readers_max.to_string(),
    ]
}

/// The type of the times of a table.
pub(super) fn time_type(unit: TimeUnit) -> &'static str {
    match unit {
        TimeUnit::Millisecond => "TIMESTAMP(MILLISECOND)",
        TimeUnit::Microsecond => "TIMESTAMP(MICROSECOND)",
        TimeUnit::Nanosecond => "TIMESTAMP(NANOSECOND)",
    }
}

/// A codec's name as it is shown.
pub(super) fn codec_name(codec: Option<Codec>) -> String {
    codec.map_or("DEFAULT".to_owned(), |codec| codec.name().to_ascii_uppercase())
}

/// VNODE_DURATION as it was asked for, or the reference's default where nothing was; the length of the partitions where
/// that was set in another way since.
fn vnode_ns(database: &Database) -> i64 {
    let asked_ns = database.stored.vnode_ns;
    // A partition has whole milliseconds of what was asked for.
    let length_ns = asked_ns.unwrap_or(DatabaseOptions::PARTITION_NS);
    match database.main_policy().map(|policy| policy.partition_ns) {
        Some(partition_ns) if partition_ns / MILLISECOND_NS != length_ns / MILLISECOND_NS => partition_ns,
        _ => asked_ns.unwrap_or(YEAR_NS),
    }
}

/// A size in the largest unit of which it is at least one.
fn size(bytes: u64) -> String {
    const UNITS: [(&str, u64); 4] = [("TiB", 1 << 40), ("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)];
    match UNITS.iter().find(|(_, length)| bytes >= *length) {
        Some((unit, length)) => format!("{} {unit}", bytes as f64 / *length as f64),
        None => format!("{bytes} B"),
    }
}

/// SQL's name of a field's type.
pub fn sql_name(field: FieldType) -> &'static str {
    match field {
        FieldType::Int => "BIGINT",
        FieldType::UInt => "BIGINT UNSIGNED",
        FieldType::Float => "DOUBLE",
        FieldType::Bool => "BOOLEAN",
        FieldType::String => "STRING",
    }
}
