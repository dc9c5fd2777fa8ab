//! Tables as pure values: made, given columns, given codecs.

use tidewire_storage::schema::{
    Catalog, Codec, ColumnId, ColumnKind, ColumnSchema, Columns, Database, FieldType, Geometry, RetentionPolicy,
    TableId, TableSchema,
};

use super::bounds::TABLE_COLUMNS_MAX;
use super::error::{CatalogError, NameFault};
use super::name::check_name;

/// Ids for tables that are made.
pub(super) struct TableIds(u32);

impl TableIds {
    /// Those that `catalog` has not given.
    pub(super) fn after(catalog: &Catalog) -> Self {
        Self(catalog.next_table)
    }
}

/// A table without columns, under the next id.
pub(super) fn new_table(
    ids: &mut TableIds,
    database: &Database,
    policy: &RetentionPolicy,
    name: &str,
) -> Result<TableSchema, CatalogError> {
    check_name(name)?;
    let id = TableId(ids.0);
    ids.0 += 1;
    let unit = database.precision;
    Ok(TableSchema {
        id,
        name: name.into(),
        columns: Columns::default(),
        time_unit: unit,
        partition_length: (policy.partition_ns / unit.nanoseconds()).max(1),
        next_column: 0,
    })
}

/// The table with more columns at its end.
pub(super) fn with_columns(
    mut table: TableSchema,
    columns: &[(String, ColumnKind)],
) -> Result<TableSchema, CatalogError> {
    let total = table.columns.len() + columns.len();
    if total > TABLE_COLUMNS_MAX || usize::from(table.next_column) + columns.len() > usize::from(u16::MAX) {
        return Err(CatalogError::TooManyColumns { table: table.name.to_string(), columns: total });
    }
    for (name, kind) in columns {
        check_name(name)?;
        if name == "time" {
            return Err(CatalogError::BadName { name: name.clone(), fault: NameFault::Time });
        }
        if let Some(found) = table.column_like(name, *kind) {
            return Err(CatalogError::ColumnConflict {
                table: table.name.to_string(),
                column: name.clone(),
                wanted: *kind,
                found: found.kind,
            });
        }
        table.columns.push(ColumnSchema {
            id: ColumnId(table.next_column),
            name: name.as_str().into(),
            kind: *kind,
            codec: None,
            geometry: None,
        });
        table.next_column += 1;
    }
    Ok(table)
}

/// Says what shapes a field of text holds.
pub(super) fn set_geometry(table: &mut TableSchema, column: &str, geometry: Geometry) -> Result<(), CatalogError> {
    let is_text = |kind| kind == ColumnKind::Field(FieldType::String);
    match table.columns.place(column).filter(|place| is_text(table.columns[*place].kind)) {
        Some(place) => {
            table.columns.set_geometry(place, Some(geometry));
            Ok(())
        }
        None => Err(CatalogError::ColumnNotFound { table: table.name.to_string(), column: column.to_owned() }),
    }
}

/// Gives a field the codec, which suits it.
pub(super) fn set_codec(table: &mut TableSchema, column: &str, codec: Option<Codec>) -> Result<(), CatalogError> {
    let suits = |kind| matches!(kind, ColumnKind::Field(field) if codec.is_none_or(|codec| codec.suits(field)));
    match table.columns.place(column).filter(|place| suits(table.columns[*place].kind)) {
        Some(place) => {
            table.columns.set_codec(place, codec);
            Ok(())
        }
        // The statement was bound to a table that has changed since.
        None => Err(CatalogError::ColumnNotFound { table: table.name.to_string(), column: column.to_owned() }),
    }
}
