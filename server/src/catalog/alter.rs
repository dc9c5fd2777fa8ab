//! ALTER TABLE: columns that come and go. A column's id is never given again, so what segments and log records still
//! hold of a dropped column is never seen under another's name.

use tidewire_sql::TableChange;
use tidewire_storage::schema::{ColumnKind, TableSchema};

use super::change::{set_codec, with_columns};
use super::refusal::SchemaError;

/// The table after a change.
pub(super) fn alter(table: &TableSchema, change: &TableChange) -> Result<TableSchema, SchemaError> {
    match change {
        TableChange::AddColumn { name, kind, codec } => {
            if name == "time" || table.column(name).is_some() {
                return Err(SchemaError::ColumnExists { table: table.name.to_string(), column: name.clone() });
            }
            let mut changed = with_columns(table.clone(), &[(name.clone(), *kind)])?;
            if codec.is_some() {
                set_codec(&mut changed, name, *codec)?;
            }
            Ok(changed)
        }
        TableChange::DropColumn { name } => {
            if name == "time" {
                return Err(SchemaError::TimeNotDroppable);
            }
            let Some(column) = table.column(name) else {
                return Err(SchemaError::ColumnNotFound { table: table.name.to_string(), column: name.clone() });
            };
            if column.kind == ColumnKind::Tag {
                return Err(SchemaError::TagNotDroppable(name.clone()));
            }
            let id = column.id;
            let mut changed = table.clone();
            changed.columns.retain(|column| column.id != id);
            if changed.columns.iter().all(|column| column.kind == ColumnKind::Tag) {
                return Err(SchemaError::LastField);
            }
            Ok(changed)
        }
    }
}

#[cfg(test)]
mod tests {
    use tidewire_storage::schema::{Codec, FieldType, TableId, TimeUnit};

    use super::*;

    #[test]
    fn columns_come_and_go_and_their_ids_do_not_come_back() {
        const INT: ColumnKind = ColumnKind::Field(FieldType::Int);
        let empty = TableSchema {
            id: TableId(1),
            name: "t".into(),
            columns: Vec::new(),
            time_unit: TimeUnit::Nanosecond,
            partition_length: 1,
            next_column: 0,
        };
        let add = |name: &str, kind| TableChange::AddColumn { name: name.to_owned(), kind, codec: None };
        let drop = |name: &str| TableChange::DropColumn { name: name.to_owned() };
        let table = with_columns(empty, &[("h".into(), ColumnKind::Tag), ("a".into(), INT)]).unwrap();
        let refusal = |change: &TableChange| {
            let error = alter(&table, change).unwrap_err();
            (error.code(), error.to_string())
        };
        assert_eq!(refusal(&drop("a")), ("010032", "Semantic error: There must be at least one field column.".into()));
        assert_eq!(refusal(&drop("h")), ("010030", "Semantic error: Can't drop tag column h.".into()));
        assert_eq!(
            refusal(&drop("time")),
            ("010033", "Semantic error: There must be at least one tag column. ".into())
        );
        assert_eq!(refusal(&add("a", INT)).1, "Semantic error:  column a already exists in table t");
        let missing = ("010029", "Semantic error:  column x not exists in table t".into());
        assert_eq!(refusal(&drop("x")), missing, "the binder's words for a codec");
        assert_eq!(refusal(&add("time", INT)).1, "Semantic error:  column time already exists in table t");
        let table = alter(&table, &add("b", INT)).unwrap();
        let table = alter(&table, &drop("a")).unwrap();
        let table = alter(&table, &add("a", ColumnKind::Field(FieldType::String))).unwrap();
        let columns: Vec<(&str, u16)> = table.columns.iter().map(|column| (&*column.name, column.id.0)).collect();
        assert_eq!(columns, [("h", 0), ("b", 2), ("a", 3)]);
        let coded = |kind| TableChange::AddColumn { name: "c".into(), kind, codec: Some(Codec::Delta) };
        let table = alter(&table, &coded(INT)).unwrap();
        let codecs: Vec<_> = table.columns.iter().map(|column| column.codec).collect();
        assert_eq!(codecs, [None, None, None, Some(Codec::Delta)]);
        let table = alter(&table, &drop("c")).unwrap();
        assert_eq!(alter(&table, &coded(ColumnKind::Tag)).unwrap_err().code(), "010029", "a tag has no codec");
    }
}
