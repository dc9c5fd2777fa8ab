//! CREATE, ALTER and DROP: names and column lists checked, system names refused.

use sqlparser::ast::{Ident, ObjectName};
use tidewire_storage::schema::{
    Access, Codec, ColumnKind, DatabaseOptions, FieldType, Geometry, Need, TenantPower, database_name,
};

use super::binder::Binder;
use super::codec::{codec_of, unsupported};
use crate::error::{SqlError, SqlErrorKind};
use crate::front::sql::parse::{ColumnDefinition, ColumnType, TableAlteration, fold};
use crate::statement::{DatabaseChange, Definition, TableChange};

/// The database that every data directory has.
const DEFAULT_DATABASE: &str = "public";

impl Binder<'_> {
    pub(super) fn create_database(
        &self,
        name: &Ident,
        if_not_exists: bool,
        options: DatabaseOptions,
    ) -> Result<Definition, SqlError> {
        self.require(Need::Tenant { name: self.session.tenant.clone(), power: TenantPower::Databases })?;
        let name = self.key(&fold(name));
        if self.is_system_schema(&name) {
            return Err(SqlErrorKind::DatabaseExists(database_name(&name).to_owned()).into());
        }
        Ok(Definition::CreateDatabase { name, if_not_exists, options })
    }

    pub(super) fn drop_database(&self, name: &Ident, if_exists: bool) -> Result<Definition, SqlError> {
        let name = self.key(&fold(name));
        self.require(Need::of(name.as_str(), Access::DEFINE))?;
        if name == DEFAULT_DATABASE || self.is_system_schema(&name) {
            return Err(SqlErrorKind::DatabaseKept(database_name(&name).to_owned()).into());
        }
        Ok(Definition::DropDatabase { name, if_exists })
    }

    pub(super) fn alter_database(&self, name: &Ident, change: DatabaseChange) -> Result<Definition, SqlError> {
        let name = self.key(&fold(name));
        self.require(Need::of(name.as_str(), Access::DEFINE))?;
        Ok(Definition::AlterDatabase { name, change })
    }

    /// Database and name of a table to make or drop.
    pub(super) fn target(&self, name: &ObjectName) -> Result<(String, String), SqlError> {
        let (database, table, _) = self.table_name(name)?;
        self.require(Need::of(database.as_str(), Access::DEFINE))?;
        if self.is_system_schema(&database) {
            let database = database_name(&database);
            return Err(SqlError::unsupported(format!("changing the system schema {database}")));
        }
        Ok((database, table))
    }

    pub(super) fn drop_table(&self, name: &ObjectName, if_exists: bool) -> Result<Definition, SqlError> {
        let (database, name) = self.target(name)?;
        Ok(Definition::DropTable { database, name, if_exists })
    }

    pub(super) fn create_table(
        &self,
        name: &ObjectName,
        if_not_exists: bool,
        columns: &[ColumnDefinition],
        tags: &[Ident],
    ) -> Result<Definition, SqlError> {
        let (database, name) = self.target(name)?;
        let twice = |column: &str| {
            let table = format!("{}.{}.{name}", self.session.tenant, database_name(&database));
            SqlError::new(SqlErrorKind::ColumnExists { column: column.to_owned(), table })
        };
        let mut all: Vec<(String, ColumnKind)> = tags.iter().map(|tag| (fold(tag), ColumnKind::Tag)).collect();
        let mut codecs = Vec::new();
        let mut geometries = Vec::new();
        for definition in columns {
            let name = &definition.name;
            // A TIMESTAMP column can only be the one that every table has.
            let CheckedKind { kind, codec, geometry } = checked_kind(definition, || twice("time"))?;
            codecs.extend(codec.map(|codec| (fold(name), codec)));
            geometries.extend(geometry.map(|geometry| (fold(name), geometry)));
            all.push((fold(name), kind));
        }
        let mut seen = std::collections::HashSet::from(["time"]);
        for (column, _) in &all {
            if !seen.insert(column.as_str()) {
                return Err(twice(column));
            }
        }
        Ok(Definition::CreateTable { database, name, if_not_exists, columns: all, codecs, geometries })
    }

    /// The column lists are checked when the change is made, against the table of that moment.
    pub(super) fn alter_table(&self, name: &ObjectName, alteration: &TableAlteration) -> Result<Definition, SqlError> {
        let (database, table) = self.target(name)?;
        let change = match alteration {
            TableAlteration::Add(definition) => {
                let time = || SqlErrorKind::ColumnExists { column: "time".to_owned(), table: table.clone() }.into();
                let CheckedKind { kind, codec, geometry } = checked_kind(definition, time)?;
                TableChange::AddColumn { name: fold(&definition.name), kind, codec, geometry }
            }
            TableAlteration::Drop(name) => TableChange::DropColumn { name: fold(name) },
            TableAlteration::Rename { name, to } => TableChange::RenameColumn { name: fold(name), to: fold(to) },
        };
        Ok(Definition::AlterTable { database, name: table, change })
    }
}

/// What a declared column is.
struct CheckedKind {
    kind: ColumnKind,
    /// `None` for the default.
    codec: Option<Codec>,
    geometry: Option<Geometry>,
}

/// What a declared column is, if its type can be stored and the codec suits it.
fn checked_kind(definition: &ColumnDefinition, is_time: impl FnOnce() -> SqlError) -> Result<CheckedKind, SqlError> {
    let ColumnDefinition { name, kind, codec } = definition;
    let (kind, geometry) = match kind {
        ColumnType::Stored(kind) => (*kind, None),
        ColumnType::Geometry(geometry) => (ColumnKind::Field(FieldType::String), Some(*geometry)),
        ColumnType::NoGeometry(words, error) => {
            let (column, data_type) = (fold(name), words.clone());
            return Err(SqlErrorKind::Geometry { column, data_type, error: *error }.into());
        }
        ColumnType::Timestamp => return Err(is_time()),
        ColumnType::Other(words) => return Err(unsupported("Default", words)),
    };
    let codec = match (kind, codec.as_ref()) {
        (ColumnKind::Field(field), Some(codec)) => codec_of(codec, field)?,
        _ => None,
    };
    Ok(CheckedKind { kind, codec, geometry })
}
