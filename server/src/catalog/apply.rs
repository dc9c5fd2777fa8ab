//! The pure function that applies a change: old catalog + change → new catalog or refusal.

use std::sync::Arc;

use tidewire_sql::{DatabaseChange, Definition};
use tidewire_storage::schema::{Catalog, ColumnKind, Database, RetentionPolicy, TableId, TableSchema};

use super::change::{Applied, SchemaChange};
use super::error::CatalogError;
use super::initial::DEFAULT_DATABASE;
use super::name::check_name;
use super::table::{new_table, set_codec, with_columns};
use super::{alter, policy};

/// Applies `change` to `catalog`.
pub(super) fn apply(catalog: &Catalog, change: &SchemaChange) -> Result<Applied, CatalogError> {
    match change {
        SchemaChange::Define(definition) => define(catalog, definition),
        SchemaChange::EnsureColumns { database, policy, table, columns } => {
            ensure_columns(catalog, (database, policy), table, columns)
        }
    }
}

fn define(catalog: &Catalog, definition: &Definition) -> Result<Applied, CatalogError> {
    match definition {
        Definition::CreateDatabase { name, if_not_exists, options } => {
            if catalog.databases.contains_key(name.as_str()) {
                return if *if_not_exists {
                    Ok(Applied::default())
                } else {
                    Err(CatalogError::DatabaseExists(name.clone()))
                };
            }
            check_name(name)?;
            Ok(Applied::changed(with_database(catalog, Database::new(name, options, []))))
        }
        Definition::DropDatabase { name, .. } if name == DEFAULT_DATABASE => {
            Err(CatalogError::DatabaseProtected(name.clone()))
        }
        Definition::DropDatabase { name, if_exists } => {
            let Some(database) = catalog.databases.get(name.as_str()) else {
                return if *if_exists {
                    Ok(Applied::default())
                } else {
                    Err(CatalogError::DatabaseNotFound(name.clone()))
                };
            };
            let dropped = database.all_tables().map(|t| t.id).collect();
            let mut next = successor(catalog);
            next.databases.remove(name.as_str());
            Ok(Applied { dropped, ..Applied::changed(next) })
        }
        Definition::CreateTable { database, name, if_not_exists, columns, codecs } => {
            let existing = find_database(catalog, database)?;
            if existing.table(name).is_some() {
                return if *if_not_exists {
                    Ok(Applied::default())
                } else {
                    Err(CatalogError::TableExists(name.clone()))
                };
            }
            let mut next = successor(catalog);
            let policy = find_policy(existing, &existing.default_policy)?;
            let table = new_table(&mut next, existing, policy, name)?;
            let mut table = with_columns(table, columns)?;
            for (column, codec) in codecs {
                set_codec(&mut table, column, Some(*codec))?;
            }
            put_table(&mut next, existing, &policy.name, table);
            Ok(Applied::changed(next))
        }
        Definition::SetCodec { database, table, column, codec } => {
            let existing = find_database(catalog, database)?;
            let Some(found) = existing.table(table) else {
                return Err(CatalogError::TableNotFound { database: database.clone(), table: table.clone() });
            };
            let mut changed = TableSchema::clone(found);
            set_codec(&mut changed, column, *codec)?;
            if changed == **found {
                return Ok(Applied::default());
            }
            let mut next = successor(catalog);
            put_table(&mut next, existing, &existing.default_policy, changed);
            Ok(Applied::changed(next))
        }
        Definition::DropTable { database, name, if_exists } => {
            let existing = match find_database(catalog, database) {
                Err(_) if *if_exists => return Ok(Applied::default()),
                other => other?,
            };
            let Some(table) = existing.table(name) else {
                return if *if_exists {
                    Ok(Applied::default())
                } else {
                    Err(CatalogError::TableNotFound { database: database.clone(), table: name.clone() })
                };
            };
            let mut changed = Database::clone(existing);
            for policy in changed.policies.iter_mut().filter(|policy| policy.name == existing.default_policy) {
                policy.tables.remove(name.as_str());
            }
            Ok(Applied { dropped: vec![table.id], ..Applied::changed(with_database(catalog, changed)) })
        }
        Definition::AlterDatabase { name, change } => alter_database(catalog, name, *change),
        Definition::AlterTable { database, name, change } => {
            let existing = find_database(catalog, database)?;
            let Some(table) = existing.table(name) else {
                return Err(CatalogError::TableNotFound { database: database.clone(), table: name.clone() });
            };
            let altered = alter::alter(table, change)?;
            let narrowed = if altered.columns.len() < table.columns.len() { vec![table.id] } else { Vec::new() };
            let mut next = successor(catalog);
            put_table(&mut next, existing, &existing.default_policy, altered);
            Ok(Applied { narrowed, ..Applied::changed(next) })
        }
        Definition::EnsureDatabase { .. }
        | Definition::CreatePolicy { .. }
        | Definition::AlterPolicy { .. }
        | Definition::DropPolicy { .. }
        | Definition::DropMeasurement { .. } => define_influx(catalog, definition),
    }
}

/// What InfluxQL defines.
fn define_influx(catalog: &Catalog, definition: &Definition) -> Result<Applied, CatalogError> {
    match definition {
        Definition::EnsureDatabase { name, policy } => match catalog.databases.get(name.as_str()) {
            Some(existing) => policy::check_existing(existing, policy.as_ref()).map(|()| Applied::default()),
            None => Ok(Applied::changed(with_database(catalog, policy::new_database(name, policy.as_ref())?))),
        },
        Definition::CreatePolicy { database, name, options } => {
            let changed = policy::create(find_database(catalog, database)?, name, options)?;
            Ok(changed.map_or_else(Applied::default, |changed| Applied::changed(with_database(catalog, changed))))
        }
        Definition::AlterPolicy { database, name, options } => {
            let changed = policy::alter(find_database(catalog, database)?, name, options)?;
            Ok(Applied::changed(with_database(catalog, changed)))
        }
        Definition::DropPolicy { database, name } => {
            let existing = catalog.databases.get(database.as_str());
            match existing.and_then(|existing| policy::drop(existing, name)) {
                None => Ok(Applied::default()),
                Some((changed, dropped)) => {
                    Ok(Applied { dropped, ..Applied::changed(with_database(catalog, changed)) })
                }
            }
        }
        Definition::DropMeasurement { database, name } => {
            let mut changed = Database::clone(find_database(catalog, database)?);
            let tables = changed.policies.iter_mut().filter_map(|policy| policy.tables.remove(name.as_str()));
            let dropped: Vec<TableId> = tables.map(|table| table.id).collect();
            if dropped.is_empty() {
                return Ok(Applied::default());
            }
            Ok(Applied { dropped, ..Applied::changed(with_database(catalog, changed)) })
        }
        _ => Ok(Applied::default()),
    }
}

/// The reference's TTL and partition length are those of the default policy.
fn alter_database(catalog: &Catalog, name: &str, change: DatabaseChange) -> Result<Applied, CatalogError> {
    let mut changed = Database::clone(find_database(catalog, name)?);
    let default = changed.default_policy.clone();
    find_policy(&changed, &default)?;
    for policy in changed.policies.iter_mut().filter(|policy| policy.name == default) {
        match change {
            DatabaseChange::Ttl(ttl_ns) => policy.ttl_ns = ttl_ns,
            DatabaseChange::PartitionLength(partition_ns) => policy.partition_ns = partition_ns,
            DatabaseChange::Nothing => return Ok(Applied::default()),
        }
    }
    Ok(Applied::changed(with_database(catalog, changed)))
}

fn ensure_columns(
    catalog: &Catalog,
    (database, policy): (&str, &str),
    table: &str,
    columns: &[(String, ColumnKind)],
) -> Result<Applied, CatalogError> {
    let existing = find_database(catalog, database)?;
    let policy = find_policy(existing, policy)?;
    let found = policy.tables.get(table);
    let mut missing = Vec::new();
    for (name, kind) in columns {
        match found.and_then(|t| t.column(name)) {
            None => missing.push((name.clone(), *kind)),
            Some(column) if column.kind == *kind => {}
            Some(column) => {
                return Err(CatalogError::ColumnConflict {
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
        None => new_table(&mut next, existing, policy, table)?,
    };
    let changed = with_columns(base, &missing)?;
    put_table(&mut next, existing, &policy.name, changed);
    Ok(Applied::changed(next))
}

fn successor(catalog: &Catalog) -> Catalog {
    Catalog { version: catalog.version + 1, ..catalog.clone() }
}

fn find_database<'a>(catalog: &'a Catalog, name: &str) -> Result<&'a Arc<Database>, CatalogError> {
    catalog.databases.get(name).ok_or_else(|| CatalogError::DatabaseNotFound(name.to_owned()))
}

fn find_policy<'a>(database: &'a Database, name: &str) -> Result<&'a RetentionPolicy, CatalogError> {
    database.policy(name).ok_or_else(|| CatalogError::PolicyNotFound(name.to_owned()))
}

/// The catalog with a database in the place of the one of its name.
fn with_database(catalog: &Catalog, database: Database) -> Catalog {
    let mut next = successor(catalog);
    next.databases.insert(database.name.clone(), Arc::new(database));
    next
}

/// Puts a table into a policy of a database.
fn put_table(next: &mut Catalog, database: &Database, policy: &str, table: TableSchema) {
    let (mut changed, table) = (database.clone(), Arc::new(table));
    for policy in changed.policies.iter_mut().filter(|known| &*known.name == policy) {
        policy.tables.insert(table.name.clone(), table.clone());
    }
    next.databases.insert(changed.name.clone(), Arc::new(changed));
}

#[cfg(test)]
mod tests {
    use tidewire_storage::schema::{Codec, DatabaseOptions, FieldType};

    use super::*;
    use crate::catalog::initial::initial;

    const INT: ColumnKind = ColumnKind::Field(FieldType::Int);
    const FLOAT: ColumnKind = ColumnKind::Field(FieldType::Float);

    fn ensure(columns: &[(&str, ColumnKind)]) -> SchemaChange {
        SchemaChange::EnsureColumns {
            database: "public".into(),
            policy: "autogen".into(),
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
        let (table, column) = ("cpu".to_owned(), "v".to_owned());
        assert_eq!(refusal, CatalogError::ColumnConflict { table, column, wanted: FLOAT, found: INT });
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
        assert!(matches!(apply(&dropped, &drop), Err(CatalogError::TableNotFound { .. })));
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
        assert_eq!(apply(&catalog, &create(false)).unwrap_err(), CatalogError::DatabaseExists("d".into()));
        assert!(apply(&catalog, &create(true)).unwrap().catalog.is_none());
        let drop = |if_exists| SchemaChange::Define(Definition::DropDatabase { name: "d".into(), if_exists });
        let default = SchemaChange::Define(Definition::DropDatabase { name: DEFAULT_DATABASE.into(), if_exists: true });
        assert_eq!(apply(&catalog, &default).unwrap_err(), CatalogError::DatabaseProtected("public".into()));
        let gone = apply(&catalog, &drop(false)).unwrap().catalog.unwrap();
        assert_eq!(apply(&gone, &drop(false)).unwrap_err(), CatalogError::DatabaseNotFound("d".into()));
        assert!(apply(&gone, &drop(true)).unwrap().catalog.is_none());
    }

    #[test]
    fn time_and_empty_names_are_refused() {
        assert!(matches!(apply(&initial(), &ensure(&[("time", INT)])), Err(CatalogError::BadName { .. })));
        assert!(matches!(apply(&initial(), &ensure(&[("", INT)])), Err(CatalogError::BadName { .. })));
    }

    #[test]
    fn codecs_are_kept_and_changed() {
        let create = Definition::CreateTable {
            database: "public".into(),
            name: "cpu".into(),
            if_not_exists: false,
            columns: vec![("host".into(), ColumnKind::Tag), ("v".into(), INT), ("f".into(), FLOAT)],
            codecs: vec![("v".into(), Codec::Delta)],
        };
        let catalog = apply(&initial(), &SchemaChange::Define(create)).unwrap().catalog.unwrap();
        let codec = |catalog: &Catalog, name: &str| catalog.table("public", "cpu").unwrap().column(name).unwrap().codec;
        assert_eq!((codec(&catalog, "v"), codec(&catalog, "f")), (Some(Codec::Delta), None));
        let set = |catalog: &Catalog, column: &str, codec: Option<Codec>| {
            let (database, table) = ("public".into(), "cpu".into());
            apply(
                catalog,
                &SchemaChange::Define(Definition::SetCodec { database, table, column: column.into(), codec }),
            )
        };
        let changed = set(&catalog, "f", Some(Codec::Gorilla)).unwrap().catalog.unwrap();
        assert_eq!(codec(&changed, "f"), Some(Codec::Gorilla));
        assert!(set(&changed, "f", Some(Codec::Gorilla)).unwrap().catalog.is_none(), "nothing is left to do");
        let back = set(&changed, "v", None).unwrap().catalog.unwrap();
        assert_eq!((codec(&back, "v"), back.version), (None, changed.version + 1));
        for (column, codec) in [("f", Codec::Delta), ("host", Codec::Zstd), ("nosuch", Codec::Null)] {
            let missing = CatalogError::ColumnNotFound { table: "cpu".into(), column: column.into() };
            assert_eq!(set(&catalog, column, Some(codec)).unwrap_err(), missing);
        }
        // The catalog of a server that knew no codecs: the same text without them.
        let json = serde_json::to_string(&changed).unwrap();
        assert_eq!(serde_json::from_str::<Catalog>(&json).unwrap(), changed);
        let old = json.replace(",\"codec\":\"Delta\"", "").replace(",\"codec\":\"Gorilla\"", "");
        assert!(!old.contains("codec"), "{old}");
        assert_eq!(codec(&serde_json::from_str(&old).unwrap(), "f"), None);
    }
}
