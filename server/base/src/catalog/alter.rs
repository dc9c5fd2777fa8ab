//! ALTER TABLE: columns that come and go, and get other names. A column's id is never given again, so what segments and
//! log records still hold of a dropped column is never seen under another's name.

use tidewire_sql::TableChange;
use tidewire_storage::schema::{ColumnKind, ColumnSchema, TableSchema};

use super::error::CatalogError;
use super::name::check_name;
use super::table::{set_codec, set_geometry, with_columns};

/// The table after a change.
pub(super) fn alter(table: &TableSchema, change: &TableChange) -> Result<TableSchema, CatalogError> {
    match change {
        TableChange::AddColumn { name, kind, codec, geometry } => {
            if name == "time" || table.column(name).is_some() {
                return Err(CatalogError::ColumnExists { table: table.name.to_string(), column: name.clone() });
            }
            let mut changed = with_columns(table.clone(), &[(name.clone(), *kind)])?;
            if codec.is_some() {
                set_codec(&mut changed, name, *codec)?;
            }
            if let Some(geometry) = geometry {
                set_geometry(&mut changed, name, *geometry)?;
            }
            Ok(changed)
        }
        TableChange::DropColumn { name } => {
            if name == "time" {
                return Err(CatalogError::TimeNotDroppable);
            }
            let Some(column) = table.column(name) else {
                return Err(CatalogError::ColumnNotFound { table: table.name.to_string(), column: name.clone() });
            };
            if column.kind == ColumnKind::Tag {
                return Err(CatalogError::TagNotDroppable(name.clone()));
            }
            let id = column.id;
            let mut changed = table.clone();
            changed.columns.retain(|column| column.id != id);
            if changed.columns.iter().all(|column| column.kind == ColumnKind::Tag) {
                return Err(CatalogError::LastField);
            }
            Ok(changed)
        }
        TableChange::RenameColumn { name, to } => {
            if name == "time" {
                return Err(CatalogError::TimeNotRenamable);
            }
            let Some(id) = table.column(name).map(|column| column.id) else {
                return Err(CatalogError::ColumnNotFound { table: table.name.to_string(), column: name.clone() });
            };
            if to == "time" || table.column(to).is_some() {
                return Err(CatalogError::ColumnExists { table: table.name.to_string(), column: to.clone() });
            }
            check_name(to)?;
            let renamed = |column: &ColumnSchema| match column.id == id {
                true => ColumnSchema { name: to.as_str().into(), ..column.clone() },
                false => column.clone(),
            };
            Ok(TableSchema { columns: table.columns.iter().map(renamed).collect(), ..table.clone() })
        }
    }
}

#[cfg(test)]
mod tests {
    use tidewire_storage::schema::{Codec, Columns, FieldType, TableId, TimeUnit};

    use super::*;

    #[test]
    fn columns_come_and_go_and_their_ids_do_not_come_back() {
        const INT: ColumnKind = ColumnKind::Field(FieldType::Int);
        let empty = TableSchema {
            id: TableId(1),
            name: "t".into(),
            columns: Columns::default(),
            time_unit: TimeUnit::Nanosecond,
            partition_length: 1,
            next_column: 0,
        };
        let add =
            |name: &str, kind| TableChange::AddColumn { name: name.to_owned(), kind, codec: None, geometry: None };
        let drop = |name: &str| TableChange::DropColumn { name: name.to_owned() };
        let table = with_columns(empty, &[("h".into(), ColumnKind::Tag), ("a".into(), INT)]).unwrap();
        let refusal = |change: &TableChange| alter(&table, change).unwrap_err();
        let (t, a) = ("t".to_owned(), "a".to_owned());
        assert_eq!(refusal(&drop("a")), CatalogError::LastField);
        assert_eq!(refusal(&drop("h")), CatalogError::TagNotDroppable("h".into()));
        assert_eq!(refusal(&drop("time")), CatalogError::TimeNotDroppable);
        assert_eq!(refusal(&add("a", INT)), CatalogError::ColumnExists { table: t.clone(), column: a });
        assert_eq!(refusal(&drop("x")), CatalogError::ColumnNotFound { table: t.clone(), column: "x".into() });
        assert_eq!(refusal(&add("time", INT)), CatalogError::ColumnExists { table: t.clone(), column: "time".into() });
        let table = alter(&table, &add("b", INT)).unwrap();
        let table = alter(&table, &drop("a")).unwrap();
        let table = alter(&table, &add("a", ColumnKind::Field(FieldType::String))).unwrap();
        let columns: Vec<(&str, u16)> = table.columns.iter().map(|column| (&*column.name, column.id.0)).collect();
        assert_eq!(columns, [("h", 0), ("b", 2), ("a", 3)]);
        let rename = |name: &str, to: &str| TableChange::RenameColumn { name: name.to_owned(), to: to.to_owned() };
        let refusal = |change: &TableChange| alter(&table, change).unwrap_err();
        assert_eq!(refusal(&rename("time", "x")), CatalogError::TimeNotRenamable);
        assert_eq!(refusal(&rename("x", "y")), CatalogError::ColumnNotFound { table: t.clone(), column: "x".into() });
        for taken in ["h", "a", "b", "time"] {
            let exists = CatalogError::ColumnExists { table: t.clone(), column: taken.into() };
            assert_eq!(refusal(&rename("b", taken)), exists);
        }
        assert!(matches!(refusal(&rename("b", "")), CatalogError::BadName { .. }));
        let renamed = alter(&alter(&table, &rename("h", "host")).unwrap(), &rename("b", "h")).unwrap();
        let columns: Vec<(&str, u16)> = renamed.columns.iter().map(|column| (&*column.name, column.id.0)).collect();
        assert_eq!(columns, [("host", 0), ("h", 2), ("a", 3)]);
        let coded = |kind| TableChange::AddColumn { name: "c".into(), kind, codec: Some(Codec::Delta), geometry: None };
        let table = alter(&table, &coded(INT)).unwrap();
        let codecs: Vec<_> = table.columns.iter().map(|column| column.codec).collect();
        assert_eq!(codecs, [None, None, None, Some(Codec::Delta)]);
        let table = alter(&table, &drop("c")).unwrap();
        let no_field = CatalogError::ColumnNotFound { table: t, column: "c".into() };
        assert_eq!(alter(&table, &coded(ColumnKind::Tag)).unwrap_err(), no_field, "a tag has no codec");
    }
}
