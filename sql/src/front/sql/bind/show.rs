//! SHOW and DESCRIBE, answered from the catalog as constant rows with the reference's columns.

use sqlparser::ast::{Ident, ObjectName};
use tidewire_storage::schema::{Access, Codec, ColumnKind, Database, DatabaseOptions, FieldType, Need, TimeUnit};

use super::binder::Binder;
use super::relation::schema_of;
use crate::error::{SqlError, SqlErrorKind};
use crate::expr::Scalar;
use crate::front::sql::parse::fold;
use crate::plan::Plan;
use crate::types::duration::format_duration;

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
            .ok_or_else(|| SqlErrorKind::DatabaseNotFound(name.to_owned()).into())
    }

    pub(super) fn show_databases(&self) -> Plan {
        let names = self.catalog.databases.keys().filter(|name| self.session.rights.may_see(name));
        table(["database_name"], names.map(|name| [name.to_string()]))
    }

    pub(super) fn show_tables(&self, on: Option<&Ident>) -> Result<Plan, SqlError> {
        let name = on.map_or_else(|| self.session.database.clone(), fold);
        let database = self.database(&name)?;
        Ok(table(["table_name"], database.tables().map(|table| [table.name.to_string()])))
    }

    pub(super) fn describe_table(&self, name: &ObjectName) -> Result<Plan, SqlError> {
        let (_, schema, _) = self.table(name, Access::READ)?;
        let time = match schema.time_unit {
            TimeUnit::Millisecond => "TIMESTAMP(MILLISECOND)",
            TimeUnit::Microsecond => "TIMESTAMP(MICROSECOND)",
            TimeUnit::Nanosecond => "TIMESTAMP(NANOSECOND)",
        };
        let row = |name: &str, data_type: &str, kind: &str, codec: Option<Codec>| {
            let codec = codec.map_or("DEFAULT".to_owned(), |codec| codec.name().to_ascii_uppercase());
            [name.to_owned(), data_type.to_owned(), kind.to_owned(), codec]
        };
        let columns = schema.columns.iter().map(|column| match column.kind {
            ColumnKind::Tag => row(&schema.label(column), "STRING", "TAG", column.codec),
            ColumnKind::Field(field) => {
                let geometry = column.geometry.map(|geometry| format!("GEOMETRY({}, 0)", geometry.name()));
                row(&column.name, geometry.as_deref().unwrap_or_else(|| sql_name(field)), "FIELD", column.codec)
            }
        });
        let names = ["column_name", "data_type", "column_type", "compression_codec"];
        Ok(table(names, std::iter::once(row("time", time, "TIME", None)).chain(columns)))
    }

    /// The options we have, and of those we have not the value that means the same or the reference's default.
    pub(super) fn describe_database(&self, name: &Ident) -> Result<Plan, SqlError> {
        let database = self.database(&fold(name))?;
        let precision = match database.precision {
            TimeUnit::Millisecond => "MS",
            TimeUnit::Microsecond => "US",
            TimeUnit::Nanosecond => "NS",
        };
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
        // The reference's TTL and partition length are those of the default retention policy, if there is one still.
        let policy = database.main_policy();
        let ttl = format_duration(policy.and_then(|policy| policy.ttl_ns));
        let partition_ns = policy.map_or(DatabaseOptions::default().partition_ns, |policy| policy.partition_ns);
        let partition = format_duration(Some(partition_ns));
        let row = [&ttl, "1", &partition, "1", precision, "128 MiB", "16", "128 MiB", "false", "false", "32"]
            .map(str::to_owned);
        Ok(table(names, std::iter::once(row)))
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
