//! CREATE, ALTER and DROP: names and column lists checked, system names refused.

use sqlparser::ast::{Ident, ObjectName};
use tidewire_storage::schema::{Codec, ColumnKind, DatabaseOptions};

use super::binder::{Binder, SYSTEM_SCHEMAS};
use super::codec::{codec_of, unsupported};
use crate::error::{SqlError, SqlErrorKind};
use crate::front::sql::parse::{ColumnDefinition, ColumnType, TableAlteration, fold};
use crate::statement::{DatabaseChange, Definition, TableChange};

/// The database that every data directory has.
const DEFAULT_DATABASE: &str = "public";

pub(super) fn create_database(
    name: &Ident,
    if_not_exists: bool,
    options: DatabaseOptions,
) -> Result<Definition, SqlError> {
    let name = fold(name);
    if SYSTEM_SCHEMAS.contains(&name.as_str()) {
        return Err(SqlErrorKind::DatabaseExists(name).into());
    }
    Ok(Definition::CreateDatabase { name, if_not_exists, options })
}

pub(super) fn drop_database(name: &Ident, if_exists: bool) -> Result<Definition, SqlError> {
    let name = fold(name);
    if name == DEFAULT_DATABASE || SYSTEM_SCHEMAS.contains(&name.as_str()) {
        return Err(SqlErrorKind::DatabaseKept(name).into());
    }
    Ok(Definition::DropDatabase { name, if_exists })
}

pub(super) fn alter_database(name: &Ident, change: DatabaseChange) -> Definition {
    Definition::AlterDatabase { name: fold(name), change }
}

impl Binder<'_> {
    /// Database and name of a table to make or drop.
    pub(super) fn target(&self, name: &ObjectName) -> Result<(String, String), SqlError> {
        let (database, table, _) = self.table_name(name)?;
        if SYSTEM_SCHEMAS.contains(&database.as_str()) {
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
            let table = format!("{}.{database}.{name}", self.session.tenant);
            SqlError::new(SqlErrorKind::ColumnExists { column: column.to_owned(), table })
        };
        let mut all: Vec<(String, ColumnKind)> = tags.iter().map(|tag| (fold(tag), ColumnKind::Tag)).collect();
        let mut codecs = Vec::new();
        for ColumnDefinition { name, kind, codec } in columns {
            // A TIMESTAMP column can only be the one that every table has.
            let (kind, codec) = checked_kind(kind, codec.as_ref(), || twice("time"))?;
            codecs.extend(codec.map(|codec| (fold(name), codec)));
            all.push((fold(name), kind));
        }
        let mut seen = std::collections::HashSet::from(["time"]);
        for (column, _) in &all {
            if !seen.insert(column.as_str()) {
                return Err(twice(column));
            }
        }
        Ok(Definition::CreateTable { database, name, if_not_exists, columns: all, codecs })
    }

    /// The column lists are checked when the change is made, against the table of that moment.
    pub(super) fn alter_table(&self, name: &ObjectName, alteration: &TableAlteration) -> Result<Definition, SqlError> {
        let (database, table) = self.target(name)?;
        let change = match alteration {
            TableAlteration::Add(ColumnDefinition { name, kind, codec }) => {
                let time = || SqlErrorKind::ColumnExists { column: "time".to_owned(), table: table.clone() }.into();
                let (kind, codec) = checked_kind(kind, codec.as_ref(), time)?;
                TableChange::AddColumn { name: fold(name), kind, codec }
            }
            TableAlteration::Drop(name) => TableChange::DropColumn { name: fold(name) },
        };
        Ok(Definition::AlterTable { database, name: table, change })
    }
}

/// What a declared column is, and its codec unless that is the default, if its type can be stored and the codec suits
/// it.
fn checked_kind(
    kind: &ColumnType,
    codec: Option<&Ident>,
    is_time: impl FnOnce() -> SqlError,
) -> Result<(ColumnKind, Option<Codec>), SqlError> {
    let kind = match kind {
        ColumnType::Stored(kind) => *kind,
        ColumnType::Timestamp => return Err(is_time()),
        ColumnType::Other(words) => return Err(unsupported("Default", words)),
    };
    let codec = match (kind, codec) {
        (ColumnKind::Field(field), Some(codec)) => codec_of(codec, field)?,
        _ => None,
    };
    Ok((kind, codec))
}
