//! Schema changes as data, and the pure function that applies one.

use std::collections::BTreeMap;
use std::sync::Arc;

use tidewire_sql::Definition;
use tidewire_storage::schema::{
    Catalog, ColumnId, ColumnKind, ColumnSchema, Database, DatabaseOptions, FieldType, TableId, TableSchema,
};

/// Columns one table may have, tags and fields together: ids are 16 bits wide and never used again, so the bound
/// leaves three quarters of them for columns that replace dropped ones.
pub const TABLE_COLUMNS_MAX: usize = 16_384;

/// Bytes a database, table or column name may have; InfluxDB's bound for names.
pub const NAME_BYTES_MAX: usize = 65_535;

/// The database that exists from the start and that requests without `db` mean.
pub const DEFAULT_DATABASE: &str = "public";

/// What a statement or a write wants of the catalog.
#[derive(Debug, Clone)]
pub enum SchemaChange {
    /// CREATE or DROP.
    Define(Definition),
    /// A write needs these columns: the table is made if it is missing, missing columns are added at the end.
    EnsureColumns {
        /// Database.
        database: String,
        /// Table.
        table: String,
        /// What must be there afterwards.
        columns: Vec<(String, ColumnKind)>,
    },
}

/// Why a change is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SchemaError {
    /// No such database.
    #[error("Database not found: \"{0}\"")]
    DatabaseNotFound(String),
    /// The database that requests without `db` mean stays.
    #[error("Database {0:?} forbid drop")]
    DatabaseProtected(String),
    /// The name is taken.
    #[error("Database \"{0}\" already exists")]
    DatabaseExists(String),
    /// No such table, as `tenant.database.table`.
    #[error("Table not found: \"{0}\"")]
    TableNotFound(String),
    /// The name is taken.
    #[error("Table {0} already exists.")]
    TableExists(String),
    /// The column is there with another type.
    #[error("{}", conflict_text(column, *wanted, *found))]
    ColumnConflict {
        /// Table.
        table: String,
        /// Column.
        column: String,
        /// What the write brings.
        wanted: ColumnKind,
        /// What the table has.
        found: ColumnKind,
    },
    /// A name that cannot be: empty, too long, with control characters, or `time`.
    #[error("invalid name {name:?}: {reason}")]
    BadName {
        /// The name.
        name: String,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// The table is full.
    #[error("table {table} would have {columns} columns, the bound is {TABLE_COLUMNS_MAX}")]
    TooManyColumns {
        /// Table.
        table: String,
        /// Columns it would have.
        columns: usize,
    },
    /// The catalog could not be made durable; nothing changed.
    #[error("the catalog cannot be saved: {0}")]
    NotSaved(String),
}

impl SchemaError {
    /// CnosDB's error code for this refusal.
    pub fn code(&self) -> &'static str {
        match self {
            Self::DatabaseNotFound(_) => "030017",
            Self::DatabaseProtected(_) => "010065",
            Self::DatabaseExists(_) => "030018",
            Self::TableNotFound(_) => "030019",
            Self::TableExists(_) => "030020",
            Self::ColumnConflict { .. } | Self::TooManyColumns { .. } | Self::BadName { .. } => "050014",
            Self::NotSaved(_) => "050001",
        }
    }
}

/// CnosDB's short names of column types, as its conflict messages spell them.
pub fn kind_name(kind: ColumnKind) -> &'static str {
    match kind {
        ColumnKind::Tag => "TAG",
        ColumnKind::Field(FieldType::Int) => "I64",
        ColumnKind::Field(FieldType::UInt) => "U64",
        ColumnKind::Field(FieldType::Float) => "F64",
        ColumnKind::Field(FieldType::Bool) => "BOOL",
        ColumnKind::Field(FieldType::String) => "STRING",
    }
}

/// The refusal of a column whose type differs, in CnosDB's words.
pub fn conflict_text(column: &str, wanted: ColumnKind, found: ColumnKind) -> String {
    format!(
        "Apply engine failed: DataSchemaError: Column '{column}' type error, found {} expected {}",
        kind_name(wanted),
        kind_name(found)
    )
}

/// What a change does.
#[derive(Debug, Clone, Default)]
pub struct Applied {
    /// The catalog afterwards; `None` when nothing had to change.
    pub catalog: Option<Catalog>,
    /// Tables that are gone and whose data every shard must drop.
    pub dropped: Vec<TableId>,
}

/// The catalog of a new data directory.
pub fn initial() -> Catalog {
    let mut catalog = Catalog { version: 1, databases: BTreeMap::new(), next_table: 1 };
    catalog
        .databases
        .insert(DEFAULT_DATABASE.into(), Arc::new(new_database(DEFAULT_DATABASE, DatabaseOptions::default())));
    catalog
}

/// Applies `change` to `catalog`.
pub fn apply(catalog: &Catalog, change: &SchemaChange) -> Result<Applied, SchemaError> {
    match change {
        SchemaChange::Define(definition) => define(catalog, definition),
        SchemaChange::EnsureColumns { database, table, columns } => ensure_columns(catalog, database, table, columns),
    }
}

fn define(catalog: &Catalog, definition: &Definition) -> Result<Applied, SchemaError> {
    match definition {
        Definition::CreateDatabase { name, if_not_exists, options } => {
            if catalog.databases.contains_key(name.as_str()) {
                return if *if_not_exists {
                    Ok(Applied::default())
                } else {
                    Err(SchemaError::DatabaseExists(name.clone()))
                };
            }
            check_name(name)?;
            let mut next = successor(catalog);
            next.databases.insert(name.as_str().into(), Arc::new(new_database(name, options.clone())));
            Ok(Applied { catalog: Some(next), dropped: Vec::new() })
        }
        Definition::DropDatabase { name, .. } if name == DEFAULT_DATABASE => {
            Err(SchemaError::DatabaseProtected(name.clone()))
        }
        Definition::DropDatabase { name, if_exists } => {
            let Some(database) = catalog.databases.get(name.as_str()) else {
                return if *if_exists {
                    Ok(Applied::default())
                } else {
                    Err(SchemaError::DatabaseNotFound(name.clone()))
                };
            };
            let dropped = database.tables.values().map(|t| t.id).collect();
            let mut next = successor(catalog);
            next.databases.remove(name.as_str());
            Ok(Applied { catalog: Some(next), dropped })
        }
        Definition::CreateTable { database, name, if_not_exists, columns } => {
            let existing = find_database(catalog, database)?;
            if existing.tables.contains_key(name.as_str()) {
                return if *if_not_exists {
                    Ok(Applied::default())
                } else {
                    Err(SchemaError::TableExists(name.clone()))
                };
            }
            let mut next = successor(catalog);
            let table = new_table(&mut next, existing, name)?;
            let table = with_columns(table, columns)?;
            put_table(&mut next, existing, table);
            Ok(Applied { catalog: Some(next), dropped: Vec::new() })
        }
        Definition::DropTable { database, name, if_exists } => {
            let existing = match find_database(catalog, database) {
                Err(_) if *if_exists => return Ok(Applied::default()),
                other => other?,
            };
            let Some(table) = existing.tables.get(name.as_str()) else {
                let full = format!("cnosdb.{database}.{name}");
                return if *if_exists { Ok(Applied::default()) } else { Err(SchemaError::TableNotFound(full)) };
            };
            let mut next = successor(catalog);
            let mut changed = Database::clone(existing);
            changed.tables.remove(name.as_str());
            next.databases.insert(changed.name.clone(), Arc::new(changed));
            Ok(Applied { catalog: Some(next), dropped: vec![table.id] })
        }
    }
}

fn ensure_columns(
    catalog: &Catalog,
    database: &str,
    table: &str,
    columns: &[(String, ColumnKind)],
) -> Result<Applied, SchemaError> {
    let existing = find_database(catalog, database)?;
    let found = existing.tables.get(table);
    let mut missing = Vec::new();
    for (name, kind) in columns {
        match found.and_then(|t| t.column(name)) {
            None => missing.push((name.clone(), *kind)),
            Some(column) if column.kind == *kind => {}
            Some(column) => {
                return Err(SchemaError::ColumnConflict {
                    table: table.to_owned(),
                    column: name.clone(),
                    wanted: *kind,
                    found: column.kind,
                });
            }
        }
    }
    if missing.is_empty() && found.is_some() {
        return Ok(Applied::default());
    }
    missing.sort_by(|(a, a_kind), (b, b_kind)| {
        let tag_first = |kind: &ColumnKind| !matches!(kind, ColumnKind::Tag);
        (tag_first(a_kind), a).cmp(&(tag_first(b_kind), b))
    });
    let mut next = successor(catalog);
    let base = match found {
        Some(found) => TableSchema::clone(found),
        None => new_table(&mut next, existing, table)?,
    };
    let changed = with_columns(base, &missing)?;
    put_table(&mut next, existing, changed);
    Ok(Applied { catalog: Some(next), dropped: Vec::new() })
}

fn successor(catalog: &Catalog) -> Catalog {
    Catalog { version: catalog.version + 1, ..catalog.clone() }
}

fn find_database<'a>(catalog: &'a Catalog, name: &str) -> Result<&'a Arc<Database>, SchemaError> {
    catalog.databases.get(name).ok_or_else(|| SchemaError::DatabaseNotFound(name.to_owned()))
}

fn new_database(name: &str, options: DatabaseOptions) -> Database {
    Database { name: name.into(), options, retention_policies: vec!["autogen".into()], tables: BTreeMap::new() }
}

fn new_table(next: &mut Catalog, database: &Database, name: &str) -> Result<TableSchema, SchemaError> {
    check_name(name)?;
    let id = TableId(next.next_table);
    next.next_table += 1;
    let unit = database.options.precision;
    Ok(TableSchema {
        id,
        name: name.into(),
        columns: Vec::new(),
        time_unit: unit,
        partition_length: (database.options.partition_ns / unit.nanoseconds()).max(1),
        next_column: 0,
    })
}

fn with_columns(mut table: TableSchema, columns: &[(String, ColumnKind)]) -> Result<TableSchema, SchemaError> {
    let total = table.columns.len() + columns.len();
    if total > TABLE_COLUMNS_MAX || usize::from(table.next_column) + columns.len() > usize::from(u16::MAX) {
        return Err(SchemaError::TooManyColumns { table: table.name.to_string(), columns: total });
    }
    for (name, kind) in columns {
        check_name(name)?;
        if name == "time" {
            return Err(SchemaError::BadName { name: name.clone(), reason: "time is the name of the timestamp" });
        }
        if let Some(found) = table.column(name) {
            return Err(SchemaError::ColumnConflict {
                table: table.name.to_string(),
                column: name.clone(),
                wanted: *kind,
                found: found.kind,
            });
        }
        table.columns.push(ColumnSchema { id: ColumnId(table.next_column), name: name.as_str().into(), kind: *kind });
        table.next_column += 1;
    }
    Ok(table)
}

fn put_table(next: &mut Catalog, database: &Arc<Database>, table: TableSchema) {
    let mut changed = Database::clone(database);
    changed.tables.insert(table.name.clone(), Arc::new(table));
    next.databases.insert(changed.name.clone(), Arc::new(changed));
}

fn check_name(name: &str) -> Result<(), SchemaError> {
    let reason = if name.is_empty() {
        "it is empty"
    } else if name.len() > NAME_BYTES_MAX {
        "it is longer than 65535 bytes"
    } else {
        return Ok(());
    };
    Err(SchemaError::BadName { name: name.chars().take(64).collect(), reason })
}

#[cfg(test)]
mod tests {
    use super::*;

    const INT: ColumnKind = ColumnKind::Field(FieldType::Int);
    const FLOAT: ColumnKind = ColumnKind::Field(FieldType::Float);

    fn ensure(columns: &[(&str, ColumnKind)]) -> SchemaChange {
        SchemaChange::EnsureColumns {
            database: "public".into(),
            table: "cpu".into(),
            columns: columns.iter().map(|(n, k)| ((*n).to_owned(), *k)).collect(),
        }
    }

    fn names(catalog: &Catalog) -> Vec<String> {
        let table = catalog.table("public", "cpu").unwrap();
        table.columns.iter().map(|c| format!("{}:{}", c.name, c.id.0)).collect()
    }

    #[test]
    fn a_write_makes_the_table_with_tags_then_fields_by_name() {
        let change = ensure(&[("z", INT), ("host", ColumnKind::Tag), ("a", FLOAT), ("dc", ColumnKind::Tag)]);
        let catalog = apply(&initial(), &change).unwrap().catalog.unwrap();
        assert_eq!(names(&catalog), ["dc:0", "host:1", "a:2", "z:3"]);
        assert!(apply(&catalog, &change).unwrap().catalog.is_none(), "nothing is left to do");
    }

    #[test]
    fn later_columns_stand_at_the_end_and_a_conflict_names_both_types() {
        let catalog = apply(&initial(), &ensure(&[("v", INT)])).unwrap().catalog.unwrap();
        let catalog = apply(&catalog, &ensure(&[("v", INT), ("host", ColumnKind::Tag)])).unwrap().catalog.unwrap();
        assert_eq!(names(&catalog), ["v:0", "host:1"]);
        let refusal = apply(&catalog, &ensure(&[("v", FLOAT)])).unwrap_err();
        assert_eq!(
            refusal.to_string(),
            "Apply engine failed: DataSchemaError: Column 'v' type error, found F64 expected I64"
        );
        assert_eq!(refusal.code(), "050014");
    }

    #[test]
    fn a_table_made_again_gets_another_id() {
        let drop = SchemaChange::Define(Definition::DropTable {
            database: "public".into(),
            name: "cpu".into(),
            if_exists: false,
        });
        let first = apply(&initial(), &ensure(&[("v", INT)])).unwrap().catalog.unwrap();
        let id = first.table("public", "cpu").unwrap().id;
        let dropped = apply(&first, &drop).unwrap();
        assert_eq!(dropped.dropped, [id]);
        let dropped = dropped.catalog.unwrap();
        assert!(matches!(apply(&dropped, &drop), Err(SchemaError::TableNotFound(_))));
        let again = apply(&dropped, &ensure(&[("v", INT)])).unwrap().catalog.unwrap();
        assert_ne!(again.table("public", "cpu").unwrap().id, id);
    }

    #[test]
    fn databases_come_and_go() {
        let create = |if_not_exists| {
            SchemaChange::Define(Definition::CreateDatabase {
                name: "d".into(),
                if_not_exists,
                options: DatabaseOptions::default(),
            })
        };
        let catalog = apply(&initial(), &create(false)).unwrap().catalog.unwrap();
        assert_eq!(apply(&catalog, &create(false)).unwrap_err(), SchemaError::DatabaseExists("d".into()));
        assert!(apply(&catalog, &create(true)).unwrap().catalog.is_none());
        let drop = |if_exists| SchemaChange::Define(Definition::DropDatabase { name: "d".into(), if_exists });
        let default = SchemaChange::Define(Definition::DropDatabase { name: DEFAULT_DATABASE.into(), if_exists: true });
        assert_eq!(apply(&catalog, &default).unwrap_err(), SchemaError::DatabaseProtected("public".into()));
        let gone = apply(&catalog, &drop(false)).unwrap().catalog.unwrap();
        assert_eq!(apply(&gone, &drop(false)).unwrap_err(), SchemaError::DatabaseNotFound("d".into()));
        assert!(apply(&gone, &drop(true)).unwrap().catalog.is_none());
    }

    #[test]
    fn time_and_empty_names_are_refused() {
        assert!(matches!(apply(&initial(), &ensure(&[("time", INT)])), Err(SchemaError::BadName { .. })));
        assert!(matches!(apply(&initial(), &ensure(&[("", INT)])), Err(SchemaError::BadName { .. })));
    }
}
