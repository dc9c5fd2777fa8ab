//! Tables about the server itself, with the reference's columns, as constant rows of the catalog at hand.
//!
//! Everybody may read them, and sees in them what he may: of databases and what is in them those that he may read, of
//! users nothing unless he is an administrator. Names are matched in any case.

use arrow_schema::DataType;
use tidewire_storage::schema::{
    Access, ColumnKind, DEFAULT_TENANT, Database, FieldType, Rights, TableSchema, database_name,
};

use super::binder::Binder;
use super::relation::{Relation, schema_of};
use super::scope::{Qualifier, ScopeColumn};
use super::show::{codec_name, described, sql_name, time_type};
use crate::error::SqlError;
use crate::expr::Scalar;
use crate::plan::Plan;

/// Columns of a table, and its rows.
pub(super) struct SystemTable {
    pub(super) columns: &'static [(&'static str, DataType)],
    pub(super) rows: Vec<Vec<Scalar>>,
}

pub(super) const TEXT: DataType = DataType::Utf8;

const DATABASES: &[(&str, DataType)] = &[
    ("tenant_name", TEXT),
    ("database_name", TEXT),
    ("ttl", TEXT),
    ("shard", TEXT),
    ("vnode_duration", TEXT),
    ("replica", TEXT),
    ("precision", TEXT),
    ("max_memcache_size", TEXT),
    ("memcache_partitions", TEXT),
    ("wal_max_file_size", TEXT),
    ("wal_sync", TEXT),
    ("strict_write", TEXT),
    ("max_cache_readers", TEXT),
];

const TABLES: &[(&str, DataType)] = &[
    ("table_tenant", TEXT),
    ("table_database", TEXT),
    ("table_name", TEXT),
    ("table_type", TEXT),
    ("table_engine", TEXT),
    ("table_options", TEXT),
];

const COLUMNS: &[(&str, DataType)] = &[
    ("tenant_name", TEXT),
    ("database_name", TEXT),
    ("table_name", TEXT),
    ("column_name", TEXT),
    ("column_type", TEXT),
    ("ordinal_position", DataType::UInt64),
    ("column_default", TEXT),
    ("is_nullable", DataType::Boolean),
    ("data_type", TEXT),
    ("compression_codec", TEXT),
];

const USERS: &[(&str, DataType)] = &[("user_name", TEXT), ("is_admin", DataType::Boolean), ("user_options", TEXT)];

pub(super) fn text(value: impl AsRef<str>) -> Scalar {
    Scalar::Str(value.as_ref().into())
}

impl Binder<'_> {
    /// The rows of a table about the server; `None` where there is none of the name.
    pub(super) fn system_table(
        &self,
        database: &str,
        table: &str,
        qualifier: &Qualifier,
    ) -> Result<Option<Relation>, SqlError> {
        let found = match (database, table.to_ascii_lowercase().as_str()) {
            ("information_schema", "databases") => self.system_databases(),
            ("information_schema", "tables") => self.system_tables(),
            ("information_schema", "columns") => self.system_columns()?,
            ("information_schema", "members") => self.system_members(),
            ("information_schema", "roles") => self.system_roles(),
            ("information_schema", "enabled_roles") => self.system_enabled_roles(),
            ("information_schema", "database_privileges") => self.system_database_privileges(),
            ("information_schema", "queries") => self.system_queries(),
            ("usage_schema", meter) => match self.system_usage(meter) {
                Some(found) => found,
                None => return Ok(None),
            },
            ("cluster_schema", _) if self.session.tenant != DEFAULT_TENANT => return Ok(None),
            ("cluster_schema", "tenants") => self.system_tenants(),
            ("cluster_schema", "users") => self.system_users(),
            _ => return Ok(None),
        };
        self.budget.take_columns(found.columns.iter().map(|(name, _)| *name))?;
        let columns = found.columns;
        Ok(Some(system_relation(columns, found.into_plan(), qualifier)))
    }

    /// The databases that may be read.
    fn readable(&self) -> impl Iterator<Item = &Database> {
        let is_readable = |database: &&Database| self.session.rights.access(&database.name).has(Access::READ);
        self.catalog.databases_of(&self.session.tenant).map(AsRef::as_ref).filter(is_readable)
    }

    fn system_databases(&self) -> SystemTable {
        let row = |database: &Database| {
            let names = [text(&self.session.tenant), text(database_name(&database.name))];
            names.into_iter().chain(described(database).map(text)).collect()
        };
        SystemTable { columns: DATABASES, rows: self.readable().map(row).collect() }
    }

    fn system_tables(&self) -> SystemTable {
        let mut rows = Vec::new();
        for database in self.readable() {
            let of_files = database.external.values().map(|table| (&table.name, "EXTERNAL"));
            let hidden = |name: &str| database.external.contains_key(name);
            let tables = database.tables().filter(|table| !hidden(&table.name)).map(|table| (&table.name, "TSKV"));
            for (name, engine) in tables.chain(of_files) {
                let names = [text(&self.session.tenant), text(database_name(&database.name)), text(name)];
                rows.push(names.into_iter().chain([text("TABLE"), text(engine), text("TODO")]).collect());
            }
        }
        SystemTable { columns: TABLES, rows }
    }

    fn system_columns(&self) -> Result<SystemTable, SqlError> {
        let mut rows: Vec<Vec<Scalar>> = Vec::new();
        for database in self.readable() {
            for table in database.tables().filter(|table| !database.external.contains_key(&table.name)) {
                // Tables may have as many columns as all of their databases have memory for.
                self.budget.take_columns(table.columns.iter().map(|column| &*column.name))?;
                self.columns_of(database, table, &mut rows);
            }
            for table in database.external.values() {
                self.budget.take_columns(table.columns.iter().map(|column| &*column.name))?;
                for (at, column) in table.columns.iter().enumerate() {
                    let place = database_name(&database.name);
                    let names = [&*self.session.tenant, place, &table.name, &column.name, "FIELD"];
                    let place = [Scalar::UInt(at as u64), text("NULL"), Scalar::Bool(!column.not_null)];
                    let kind = [text(column.kind.to_string()), text("NULL")];
                    rows.push(names.into_iter().map(text).chain(place).chain(kind).collect());
                }
            }
        }
        Ok(SystemTable { columns: COLUMNS, rows })
    }

    fn columns_of(&self, database: &Database, table: &TableSchema, rows: &mut Vec<Vec<Scalar>>) {
        let time = ("time".to_owned(), "TIME", time_type(table.time_unit).to_owned(), codec_name(None));
        let columns = table.columns.iter().map(|column| {
            let (kind, data_type) = match column.kind {
                ColumnKind::Tag => ("TAG", sql_name(FieldType::String).to_owned()),
                ColumnKind::Field(field) => (
                    "FIELD",
                    match column.geometry {
                        Some(geometry) => format!("GEOMETRY({}, 0)", geometry.name()),
                        None => sql_name(field).to_owned(),
                    },
                ),
            };
            (table.label(column).into_owned(), kind, data_type, codec_name(column.codec))
        });
        for (at, (name, kind, data_type, codec)) in std::iter::once(time).chain(columns).enumerate() {
            let names = [&*self.session.tenant, database_name(&database.name), &table.name, &name, kind];
            let place = [Scalar::UInt(at as u64), text("NULL"), Scalar::Bool(kind != "TIME")];
            rows.push(names.into_iter().map(text).chain(place).chain([text(data_type), text(codec)]).collect());
        }
    }

    fn system_users(&self) -> SystemTable {
        let mut rows = Vec::new();
        if self.session.rights.is_admin() {
            for user in self.catalog.users.values() {
                let mut options = "{\"hash_password\":\"*****\"".to_owned();
                if let Some(must) = user.options.must_change_password {
                    options.push_str(&format!(",\"must_change_password\":{must}"));
                }
                if let Some(comment) = &user.options.comment {
                    options.push_str(",\"comment\":");
                    push_json(&mut options, comment);
                }
                options.push_str(if user.is_admin { ",\"granted_admin\":true}" } else { "}" });
                rows.push(vec![text(&user.name), Scalar::Bool(user.is_admin), text(options)]);
            }
            // While nobody is asked who he is, everybody is the administrator that the reference has from the start.
            if matches!(self.session.rights, Rights::All) && !self.catalog.users.contains_key("root") {
                let options =
                    "{\"hash_password\":\"*****\",\"must_change_password\":true,\"comment\":\"system admin\"}";
                rows.push(vec![text("root"), Scalar::Bool(true), text(options)]);
            }
        }
        SystemTable { columns: USERS, rows }
    }
}

fn system_relation(columns: &[(&str, DataType)], plan: Plan, qualifier: &Qualifier) -> Relation {
    let column = |(name, data_type): &(&str, DataType)| ScopeColumn {
        qualifier: Some(qualifier.clone()),
        name: (*name).to_owned(),
        data_type: data_type.clone(),
        window_ns: None,
        is_merged: false,
    };
    Relation { plan, columns: columns.iter().map(column).collect() }
}

impl SystemTable {
    /// A plan whose rows these are.
    pub(super) fn into_plan(self) -> Plan {
        let schema = schema_of(self.columns.iter().map(|(name, data_type)| (*name, data_type)));
        Plan::Values { rows: self.rows, schema }
    }
}

/// Writes a text as JSON has it.
pub(super) fn push_json(out: &mut String, text: &str) {
    out.push('"');
    for c in text.chars() {
        match c {
            '"' | '\\' => out.extend(['\\', c]),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            c if c < ' ' => out.push_str(&format!("\\u{:04x}", u32::from(c))),
            c => out.push(c),
        }
    }
    out.push('"');
}
