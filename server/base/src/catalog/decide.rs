//! The pure function that decides what a change comes to: the catalog and a change → edits, or a refusal. No edits mean
//! that nothing has to change.

use std::collections::BTreeMap;
use std::sync::Arc;

use tidewire_sql::{DatabaseChange, Definition};
use tidewire_storage::schema::{
    Catalog, ColumnKind, ContinuousQuery, Database, ExternalTable, RetentionPolicy, Subscription, TableSchema,
    is_reserved,
};

use super::bounds::TABLE_COLUMNS_MAX;
use super::change::SchemaChange;
use super::decided::{Decided, find_database, nothing_if};
use super::edit::{DatabaseTerms, Edit};
use super::error::{CatalogError, NameFault};
use super::initial::DEFAULT_DATABASE;
use super::name::check_name;
use super::table::{TableIds, new_table, set_codec, set_geometry, with_columns};
use super::{alter, policy, subscription, tenant, user};

/// What `change` does to `catalog`.
pub(super) fn decide(catalog: &Catalog, change: &SchemaChange) -> Decided {
    match change {
        SchemaChange::Define(definition) => define(catalog, definition),
        SchemaChange::Ensure { database, policy, tables } => ensure(catalog, database, policy, tables),
        SchemaChange::User(change) => user::decide(catalog, change),
        SchemaChange::Tenant(change) => tenant::decide(catalog, change),
    }
}

fn define(catalog: &Catalog, definition: &Definition) -> Decided {
    match definition {
        Definition::CreateDatabase { name, if_not_exists, options } => {
            if catalog.databases.contains_key(name) {
                return nothing_if(*if_not_exists, || CatalogError::DatabaseExists(name.clone()));
            }
            tenant::check_database_key(catalog, name)?;
            tenant::check_new_database(catalog, name, options)?;
            Ok(vec![put(&Database::new(name, options, []))])
        }
        Definition::DropDatabase { name, .. } if name == DEFAULT_DATABASE => {
            Err(CatalogError::DatabaseProtected(name.clone()))
        }
        Definition::DropDatabase { name, if_exists } => match catalog.databases.get(name) {
            Some(database) => {
                let gone = Edit::DropDatabase { name: database.name.clone() };
                // What was granted on it must not hold for another one of its name.
                let granted = user::without_grants(catalog, name).chain(tenant::without_database(catalog, name));
                Ok(granted.chain([gone]).collect())
            }
            None => nothing_if(*if_exists, || CatalogError::DatabaseNotFound(name.clone())),
        },
        Definition::CreateTable { database, name, if_not_exists, columns, codecs, geometries } => {
            let existing = find_database(catalog, database)?;
            if existing.table(name).is_some() || existing.external.contains_key(name) {
                return nothing_if(*if_not_exists, || CatalogError::TableExists(name.clone()));
            }
            let policy = find_policy(existing, &existing.default_policy)?;
            let table = new_table(&mut TableIds::after(catalog), existing, policy, name)?;
            let mut table = with_columns(table, columns)?;
            for (column, codec) in codecs {
                set_codec(&mut table, column, Some(*codec))?;
            }
            for (column, geometry) in geometries {
                set_geometry(&mut table, column, *geometry)?;
            }
            Ok(vec![put_table(existing, table)])
        }
        Definition::SetCodec { database, table, column, codec } => {
            let (existing, found) = find_table(catalog, database, table)?;
            let mut changed = TableSchema::clone(found);
            set_codec(&mut changed, column, *codec)?;
            if changed == **found { Ok(Vec::new()) } else { Ok(vec![put_table(existing, changed)]) }
        }
        Definition::CreateExternal { database, if_not_exists, table } => {
            let existing = find_database(catalog, database)?;
            if existing.table(&table.name).is_some() || existing.external.contains_key(&table.name) {
                return nothing_if(*if_not_exists, || CatalogError::TableExists(table.name.to_string()));
            }
            check_name(&table.name)?;
            if table.columns.len() > TABLE_COLUMNS_MAX {
                let columns = table.columns.len();
                return Err(CatalogError::TooManyColumns { table: table.name.to_string(), columns });
            }
            Ok(vec![Edit::External { database: existing.name.clone(), table: table.clone() }])
        }
        Definition::DropTable { database, name, .. } if external(catalog, database, name).is_some() => {
            Ok(vec![Edit::DropExternal { database: database.as_str().into(), table: name.as_str().into() }])
        }
        Definition::DropTable { database, name, if_exists } => match find_table(catalog, database, name) {
            Ok((existing, table)) => Ok(vec![drop_table(existing, &existing.default_policy, table)]),
            Err(refusal) => nothing_if(*if_exists, || refusal),
        },
        Definition::AlterDatabase { name, change } => alter_database(catalog, name, *change),
        Definition::AlterTable { database, name, change } => {
            let (existing, table) = find_table(catalog, database, name)?;
            Ok(vec![put_table(existing, alter::alter(table, change)?)])
        }
        Definition::EnsureDatabase { .. }
        | Definition::CreatePolicy { .. }
        | Definition::AlterPolicy { .. }
        | Definition::DropPolicy { .. }
        | Definition::DropMeasurement { .. }
        | Definition::CreateContinuousQuery { .. }
        | Definition::DropContinuousQuery { .. }
        | Definition::CreateSubscription { .. }
        | Definition::DropSubscription { .. } => define_influx(catalog, definition),
    }
}

/// What InfluxQL defines.
fn define_influx(catalog: &Catalog, definition: &Definition) -> Decided {
    match definition {
        Definition::EnsureDatabase { name, policy } => match catalog.databases.get(name) {
            Some(existing) => policy::check_existing(existing, policy.as_ref()).map(|()| Vec::new()),
            None => {
                tenant::check_database_key(catalog, name)?;
                if is_reserved(name) {
                    return Err(CatalogError::BadName { name: name.clone(), fault: NameFault::Reserved });
                }
                Ok(vec![put(&policy::new_database(name, policy.as_ref())?)])
            }
        },
        Definition::CreatePolicy { database, name, options } => {
            let changed = policy::create(find_database(catalog, database)?, name, options)?;
            Ok(changed.iter().map(put).collect())
        }
        Definition::AlterPolicy { database, name, options } => {
            Ok(vec![put(&policy::alter(find_database(catalog, database)?, name, options)?)])
        }
        Definition::DropPolicy { database, name } => {
            let existing = catalog.databases.get(database);
            Ok(existing.and_then(|existing| policy::drop(existing, name)).iter().map(put).collect())
        }
        Definition::DropMeasurement { database, name } => {
            let existing = find_database(catalog, database)?;
            let drop = |policy: &RetentionPolicy| Some(drop_table(existing, &policy.name, policy.tables.get(name)?));
            Ok(existing.policies.iter().filter_map(drop).collect())
        }
        Definition::CreateContinuousQuery { database, name, text } => {
            let existing = find_database(catalog, database)?;
            let is_name = |known: &&ContinuousQuery| *known.name == **name;
            match existing.continuous_queries.iter().find(is_name) {
                Some(known) if known.text.eq_ignore_ascii_case(text) => Ok(Vec::new()),
                Some(_) => Err(CatalogError::ContinuousQueryExists),
                None => {
                    check_name(name)?;
                    let mut queries = existing.continuous_queries.clone();
                    queries.push(ContinuousQuery { name: name.as_str().into(), text: text.as_str().into() });
                    Ok(vec![Edit::ContinuousQueries { database: existing.name.clone(), queries }])
                }
            }
        }
        Definition::DropContinuousQuery { database, name } => {
            let existing = find_database(catalog, database)?;
            let mut queries = existing.continuous_queries.clone();
            queries.retain(|known| *known.name != **name);
            match queries.len() == existing.continuous_queries.len() {
                true => Ok(Vec::new()),
                false => Ok(vec![Edit::ContinuousQueries { database: existing.name.clone(), queries }]),
            }
        }
        Definition::CreateSubscription { database, policy, name, any, destinations } => {
            let existing = find_database(catalog, database)?;
            let policy = find_policy(existing, policy)?.name.clone();
            let destinations = destinations.iter().map(|url| url.as_str().into()).collect();
            let made = Subscription { name: name.as_str().into(), policy, any: *any, destinations };
            subscription::create(catalog, existing, made)
        }
        Definition::DropSubscription { database, policy, name } => {
            subscription::drop(find_database(catalog, database)?, policy, name)
        }
        _ => Ok(Vec::new()),
    }
}

/// The reference's TTL and partition length are those of the default policy.
fn alter_database(catalog: &Catalog, name: &str, change: DatabaseChange) -> Decided {
    let mut changed = Database::clone(find_database(catalog, name)?);
    let default = changed.default_policy.clone();
    find_policy(&changed, &default)?;
    for policy in changed.policies.iter_mut().filter(|policy| policy.name == default) {
        match change {
            DatabaseChange::Ttl(ttl_ns) => policy.ttl_ns = ttl_ns,
            DatabaseChange::PartitionLength { partition_ns, .. } => policy.partition_ns = partition_ns,
            DatabaseChange::Shard(_) | DatabaseChange::Replica(_) => {}
        }
    }
    match change {
        DatabaseChange::PartitionLength { asked_ns, .. } => changed.stored.vnode_ns = Some(asked_ns),
        DatabaseChange::Shard(count) => changed.stored.shard = count,
        DatabaseChange::Replica(count) => changed.stored.replica = count,
        DatabaseChange::Ttl(_) => {}
    }
    tenant::check_changed_database(catalog, &changed)?;
    Ok(vec![put(&changed)])
}

/// What a write needs: all of it or nothing.
fn ensure(
    catalog: &Catalog,
    database: &str,
    policy: &str,
    tables: &BTreeMap<String, Vec<(String, ColumnKind)>>,
) -> Decided {
    let database = find_database(catalog, database)?;
    let policy = find_policy(database, policy)?;
    let mut ids = TableIds::after(catalog);
    let mut edits = Vec::new();
    for (name, columns) in tables {
        let found = policy.tables.get(name);
        let mut missing = missing(found, name, columns)?;
        if missing.is_empty() && found.is_some() {
            continue;
        }
        if found.is_none() && *policy.name == *database.default_policy && database.external.contains_key(name) {
            return Err(CatalogError::ExternalTable(name.clone()));
        }
        missing.sort_by(|(a, a_kind), (b, b_kind)| {
            let tag_first = |kind: &ColumnKind| !matches!(kind, ColumnKind::Tag);
            (tag_first(a_kind), a).cmp(&(tag_first(b_kind), b))
        });
        let (database_name, policy_name) = (database.name.clone(), policy.name.clone());
        edits.push(match found {
            None => {
                let table = with_columns(new_table(&mut ids, database, policy, name)?, &missing)?;
                Edit::Table { database: database_name, policy: policy_name, table: Arc::new(table) }
            }
            Some(found) => {
                let columns =
                    with_columns(TableSchema::clone(found), &missing)?.columns.into_later(found.columns.len());
                Edit::Columns { database: database_name, policy: policy_name, table: found.name.clone(), columns }
            }
        });
    }
    Ok(edits)
}

/// Columns that a table lacks, which may not exist.
fn missing(
    found: Option<&Arc<TableSchema>>,
    table: &str,
    columns: &[(String, ColumnKind)],
) -> Result<Vec<(String, ColumnKind)>, CatalogError> {
    let mut missing = Vec::new();
    for (name, kind) in columns {
        match found.and_then(|table| table.column_like(name, *kind)) {
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
    Ok(missing)
}

fn find_policy<'a>(database: &'a Database, name: &str) -> Result<&'a RetentionPolicy, CatalogError> {
    database.policy(name).ok_or_else(|| CatalogError::PolicyNotFound(name.to_owned()))
}

/// A table of the default policy, and its database.
fn find_table<'a>(
    catalog: &'a Catalog,
    database: &str,
    name: &str,
) -> Result<(&'a Database, &'a Arc<TableSchema>), CatalogError> {
    let existing = find_database(catalog, database)?;
    let missing = || CatalogError::TableNotFound { database: database.to_owned(), table: name.to_owned() };
    Ok((existing, existing.table(name).ok_or_else(missing)?))
}

/// A table over files.
fn external<'a>(catalog: &'a Catalog, database: &str, name: &str) -> Option<&'a Arc<ExternalTable>> {
    catalog.databases.get(database)?.external.get(name)
}

fn put(database: &Database) -> Edit {
    Edit::Database(DatabaseTerms::of(database))
}

/// Puts a table into the default policy.
fn put_table(database: &Database, table: TableSchema) -> Edit {
    let (database, policy) = (database.name.clone(), database.default_policy.clone());
    Edit::Table { database, policy, table: Arc::new(table) }
}

fn drop_table(database: &Database, policy: &Arc<str>, table: &TableSchema) -> Edit {
    Edit::DropTable { database: database.name.clone(), policy: policy.clone(), table: table.name.clone() }
}

#[cfg(test)]
mod tests {
    use tidewire_storage::schema::{Codec, DatabaseOptions, FieldType};

    use super::*;
    use crate::catalog::edit::{Effects, replay, snapshot};
    use crate::catalog::initial::initial;

    const INT: ColumnKind = ColumnKind::Field(FieldType::Int);
    const FLOAT: ColumnKind = ColumnKind::Field(FieldType::Float);

    fn ensure(columns: &[(&str, ColumnKind)]) -> SchemaChange {
        let columns = columns.iter().map(|(n, k)| ((*n).to_owned(), *k)).collect();
        let tables = [("cpu".to_owned(), columns)].into();
        SchemaChange::Ensure { database: "public".into(), policy: "autogen".into(), tables }
    }

    /// The catalog after a change and what else it does; `None` when nothing has to change.
    fn apply(catalog: &Catalog, change: &SchemaChange) -> Result<Option<(Catalog, Effects)>, CatalogError> {
        let edits = decide(catalog, change)?;
        let mut next = Catalog { version: catalog.version + 1, ..catalog.clone() };
        let mut effects = Effects::default();
        edits.iter().for_each(|edit| replay(&mut next, edit, &mut effects).unwrap());
        // As a file has it.
        let json = serde_json::to_string(&snapshot(&next).collect::<Vec<_>>()).unwrap();
        let mut read = Catalog { version: next.version, ..Catalog::default() };
        for edit in serde_json::from_str::<Vec<Edit>>(&json).unwrap() {
            replay(&mut read, &edit, &mut Effects::default()).unwrap();
        }
        assert_eq!(read, next);
        Ok((!edits.is_empty()).then_some((next, effects)))
    }

    fn names(catalog: &Catalog) -> Vec<String> {
        let table = catalog.table("public", "cpu").unwrap();
        table.columns.iter().map(|c| format!("{}:{}", c.name, c.id.0)).collect()
    }

    #[test]
    fn a_write_makes_the_table_with_tags_then_fields_by_name() {
        let change = ensure(&[("z", INT), ("host", ColumnKind::Tag), ("a", FLOAT), ("dc", ColumnKind::Tag)]);
        let catalog = apply(&initial(), &change).unwrap().unwrap().0;
        assert_eq!(names(&catalog), ["dc:0", "host:1", "a:2", "z:3"]);
        assert!(apply(&catalog, &change).unwrap().is_none(), "nothing is left to do");
    }

    #[test]
    fn later_columns_stand_at_the_end_and_a_conflict_names_both_types() {
        let catalog = apply(&initial(), &ensure(&[("v", INT)])).unwrap().unwrap().0;
        let catalog = apply(&catalog, &ensure(&[("v", INT), ("host", ColumnKind::Tag)])).unwrap().unwrap().0;
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
        let first = apply(&initial(), &ensure(&[("v", INT)])).unwrap().unwrap().0;
        let id = first.table("public", "cpu").unwrap().id;
        let (dropped, effects) = apply(&first, &drop).unwrap().unwrap();
        assert_eq!((effects.dropped, effects.stale), (vec![id], ["public".into()].into()));
        assert!(matches!(apply(&dropped, &drop), Err(CatalogError::TableNotFound { .. })));
        let again = apply(&dropped, &ensure(&[("v", INT)])).unwrap().unwrap().0;
        assert_ne!(again.table("public", "cpu").unwrap().id, id);
    }

    #[test]
    fn what_a_body_needs_is_made_at_once_or_not_at_all() {
        let wanted = |tables: &[(&str, &[(&str, ColumnKind)])]| {
            let columns = |columns: &[(&str, ColumnKind)]| columns.iter().map(|(n, k)| ((*n).to_owned(), *k)).collect();
            let tables = tables.iter().map(|(name, wanted)| ((*name).to_owned(), columns(wanted))).collect();
            SchemaChange::Ensure { database: "public".into(), policy: "autogen".into(), tables }
        };
        let first = apply(&initial(), &wanted(&[("a", &[("v", INT)]), ("b", &[("v", INT)])])).unwrap().unwrap().0;
        let ids = |catalog: &Catalog| ["a", "b", "c"].map(|name| catalog.table("public", name).map(|table| table.id.0));
        assert_eq!(ids(&first), [Some(1), Some(2), None]);
        let more = wanted(&[("a", &[("w", INT)]), ("b", &[("v", INT)]), ("c", &[("v", FLOAT)])]);
        let (second, effects) = apply(&first, &more).unwrap().unwrap();
        assert_eq!((ids(&second), effects.changed.len()), ([Some(1), Some(2), Some(3)], 2));
        assert!(effects.stale.is_empty() && effects.dropped.is_empty());
        let conflict = wanted(&[("d", &[("v", INT)]), ("c", &[("v", INT)])]);
        assert!(matches!(decide(&second, &conflict), Err(CatalogError::ColumnConflict { .. })));
    }

    #[test]
    fn policies_go_with_their_tables() {
        let options = tidewire_sql::PolicyOptions::default();
        let create = Definition::CreatePolicy { database: "public".into(), name: "p".into(), options };
        let catalog = apply(&initial(), &SchemaChange::Define(create)).unwrap().unwrap().0;
        let tables = [("m".to_owned(), vec![("v".to_owned(), INT)])].into();
        let ensure = SchemaChange::Ensure { database: "public".into(), policy: "p".into(), tables };
        let catalog = apply(&catalog, &ensure).unwrap().unwrap().0;
        let id = catalog.table_of("public", "p", "m").unwrap().id;
        let drop = Definition::DropPolicy { database: "public".into(), name: "p".into() };
        let (gone, effects) = apply(&catalog, &SchemaChange::Define(drop.clone())).unwrap().unwrap();
        assert!(gone.databases["public"].policy("p").is_none());
        assert_eq!((effects.dropped, effects.stale), (vec![id], ["public".into()].into()));
        assert!(apply(&gone, &SchemaChange::Define(drop)).unwrap().is_none());
        assert_eq!(gone.next_table, 2, "ids do not come back");
    }

    #[test]
    fn continuous_queries_stay_until_they_or_their_database_are_dropped() {
        let create = |name: &str, text: &str| {
            let (database, name, text) = ("public".into(), name.into(), text.into());
            SchemaChange::Define(Definition::CreateContinuousQuery { database, name, text })
        };
        let catalog = apply(&initial(), &create("b", "B")).unwrap().unwrap().0;
        let catalog = apply(&catalog, &create("a", "A")).unwrap().unwrap().0;
        assert!(apply(&catalog, &create("a", "a")).unwrap().is_none(), "the same but for the case");
        assert_eq!(apply(&catalog, &create("a", "B")).unwrap_err(), CatalogError::ContinuousQueryExists);
        let ttl = Definition::AlterDatabase { name: "public".into(), change: DatabaseChange::Ttl(Some(1 << 60)) };
        let catalog = apply(&catalog, &SchemaChange::Define(ttl)).unwrap().unwrap().0;
        let names = |catalog: &Catalog| -> Vec<String> {
            catalog.databases["public"].continuous_queries.iter().map(|query| query.name.to_string()).collect()
        };
        assert_eq!(names(&catalog), ["b", "a"]);
        let drop = |name: &str| {
            SchemaChange::Define(Definition::DropContinuousQuery { database: "public".into(), name: name.into() })
        };
        assert_eq!(names(&apply(&catalog, &drop("b")).unwrap().unwrap().0), ["a"]);
        assert!(apply(&catalog, &drop("c")).unwrap().is_none());
    }

    #[test]
    fn subscriptions_stay_until_they_or_their_policy_are_dropped() {
        let create = |policy: &str, name: &str, destinations: usize| {
            let (database, policy, name) = ("public".into(), policy.into(), name.into());
            let destinations = (0..destinations).map(|at| format!("http://h:{at}")).collect();
            SchemaChange::Define(Definition::CreateSubscription { database, policy, name, any: true, destinations })
        };
        let drop = |policy: &str, name: &str| {
            let (database, policy, name) = ("public".into(), policy.into(), name.into());
            SchemaChange::Define(Definition::DropSubscription { database, policy, name })
        };
        let names = |catalog: &Catalog| -> Vec<String> {
            let known = catalog.databases["public"].subscriptions.iter();
            known.map(|known| format!("{}.{}", known.policy, known.name)).collect()
        };
        let options = tidewire_sql::PolicyOptions::default();
        let policy = Definition::CreatePolicy { database: "public".into(), name: "p".into(), options };
        let mut catalog = apply(&initial(), &SchemaChange::Define(policy)).unwrap().unwrap().0;
        for (policy, name, destinations) in [("p", "a", 1), ("autogen", "a", 2), ("autogen", "b", 60)] {
            catalog = apply(&catalog, &create(policy, name, destinations)).unwrap().unwrap().0;
        }
        assert_eq!(names(&catalog), ["p.a", "autogen.a", "autogen.b"]);
        assert_eq!(apply(&catalog, &create("p", "a", 1)).unwrap_err(), CatalogError::SubscriptionExists);
        assert_eq!(apply(&catalog, &create("q", "a", 1)).unwrap_err(), CatalogError::PolicyNotFound("q".into()));
        let many = CatalogError::TooManyDestinations { destinations: 65, max: 64 };
        assert_eq!(apply(&catalog, &create("p", "c", 2)).unwrap_err(), many);
        assert!(apply(&catalog, &create("p", "c", 1)).is_ok());
        let ttl = Definition::AlterDatabase { name: "public".into(), change: DatabaseChange::Ttl(Some(1 << 60)) };
        let catalog = apply(&catalog, &SchemaChange::Define(ttl)).unwrap().unwrap().0;
        let fewer = apply(&catalog, &drop("autogen", "a")).unwrap().unwrap().0;
        assert_eq!(names(&fewer), ["p.a", "autogen.b"]);
        let gone = CatalogError::SubscriptionNotFound("a".into());
        assert_eq!(apply(&fewer, &drop("autogen", "a")).unwrap_err(), gone);
        let policy = Definition::DropPolicy { database: "public".into(), name: "p".into() };
        assert_eq!(names(&apply(&fewer, &SchemaChange::Define(policy)).unwrap().unwrap().0), ["autogen.b"]);
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
        let catalog = apply(&initial(), &create(false)).unwrap().unwrap().0;
        assert_eq!(apply(&catalog, &create(false)).unwrap_err(), CatalogError::DatabaseExists("d".into()));
        assert!(apply(&catalog, &create(true)).unwrap().is_none());
        let drop = |if_exists| SchemaChange::Define(Definition::DropDatabase { name: "d".into(), if_exists });
        let default = SchemaChange::Define(Definition::DropDatabase { name: DEFAULT_DATABASE.into(), if_exists: true });
        assert_eq!(apply(&catalog, &default).unwrap_err(), CatalogError::DatabaseProtected("public".into()));
        let gone = apply(&catalog, &drop(false)).unwrap().unwrap().0;
        assert_eq!(apply(&gone, &drop(false)).unwrap_err(), CatalogError::DatabaseNotFound("d".into()));
        assert!(apply(&gone, &drop(true)).unwrap().is_none());
    }

    #[test]
    fn tables_over_files_share_names_with_no_other() {
        let table = ExternalTable {
            name: "cpu".into(),
            columns: Vec::new(),
            format: tidewire_storage::schema::FileFormat::Parquet,
            location: "/x".into(),
        };
        let create = |if_not_exists| {
            let table = Arc::new(table.clone());
            SchemaChange::Define(Definition::CreateExternal { database: "public".into(), if_not_exists, table })
        };
        let catalog = apply(&initial(), &create(false)).unwrap().unwrap().0;
        assert_eq!(catalog.databases["public"].external["cpu"].location, table.location);
        assert_eq!(apply(&catalog, &create(false)).unwrap_err(), CatalogError::TableExists("cpu".into()));
        assert!(apply(&catalog, &create(true)).unwrap().is_none());
        let rows = ensure(&[("v", INT)]);
        assert_eq!(apply(&catalog, &rows).unwrap_err(), CatalogError::ExternalTable("cpu".into()));
        let with_table = apply(&initial(), &rows).unwrap().unwrap().0;
        assert_eq!(apply(&with_table, &create(false)).unwrap_err(), CatalogError::TableExists("cpu".into()));
        // It stays when its database changes, and goes without a table of ours going.
        let shard = Definition::AlterDatabase { name: "public".into(), change: DatabaseChange::Shard(7) };
        let changed = apply(&catalog, &SchemaChange::Define(shard)).unwrap().unwrap().0;
        let public = &changed.databases["public"];
        assert_eq!((public.stored.shard, public.external.len()), (7, 1));
        let drop = |if_exists| {
            let (database, name) = ("public".into(), "cpu".into());
            SchemaChange::Define(Definition::DropTable { database, name, if_exists })
        };
        let (gone, effects) = apply(&changed, &drop(false)).unwrap().unwrap();
        assert!(gone.databases["public"].external.is_empty() && effects == Effects::default());
        assert!(apply(&gone, &drop(true)).unwrap().is_none());
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
            geometries: Vec::new(),
        };
        let catalog = apply(&initial(), &SchemaChange::Define(create)).unwrap().unwrap().0;
        let codec = |catalog: &Catalog, name: &str| catalog.table("public", "cpu").unwrap().column(name).unwrap().codec;
        assert_eq!((codec(&catalog, "v"), codec(&catalog, "f")), (Some(Codec::Delta), None));
        let set = |catalog: &Catalog, column: &str, codec: Option<Codec>| {
            let (database, table) = ("public".into(), "cpu".into());
            apply(
                catalog,
                &SchemaChange::Define(Definition::SetCodec { database, table, column: column.into(), codec }),
            )
        };
        let changed = set(&catalog, "f", Some(Codec::Gorilla)).unwrap().unwrap().0;
        assert_eq!(codec(&changed, "f"), Some(Codec::Gorilla));
        assert!(set(&changed, "f", Some(Codec::Gorilla)).unwrap().is_none(), "nothing is left to do");
        let back = set(&changed, "v", None).unwrap().unwrap().0;
        assert_eq!((codec(&back, "v"), back.version), (None, changed.version + 1));
        for (column, codec) in [("f", Codec::Delta), ("host", Codec::Zstd), ("nosuch", Codec::Null)] {
            let missing = CatalogError::ColumnNotFound { table: "cpu".into(), column: column.into() };
            assert_eq!(set(&catalog, column, Some(codec)).unwrap_err(), missing);
        }
        // The document of a server that knew no codecs: the same text without them.
        let json = serde_json::to_string(&changed).unwrap();
        assert_eq!(serde_json::from_str::<Catalog>(&json).unwrap(), changed);
        let old = json.replace(",\"codec\":\"Delta\"", "").replace(",\"codec\":\"Gorilla\"", "");
        assert!(!old.contains("codec"), "{old}");
        assert_eq!(codec(&serde_json::from_str(&old).unwrap(), "f"), None);
    }
}
