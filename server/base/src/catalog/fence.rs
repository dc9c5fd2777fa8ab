//! What two catalogs have in common: what may be shown while it is open which of them is on disk.
//!
//! A change whose save failed may be in force after the next start, or not. Until that is known, nothing may be
//! acknowledged that would be gone with either of the two: no table, column or continuous query is shown that one of
//! them lacks, and rows are kept for the shorter time of both.

use std::sync::Arc;

use tidewire_storage::names::NameMap;
use tidewire_storage::schema::{Catalog, ContinuousQuery, Database, RetentionPolicy, TableSchema};

/// What `known` and `other` have in common, in `known`'s words.
pub(super) fn common(known: &Catalog, other: &Catalog) -> Catalog {
    let mut catalog = known.clone();
    for (name, database) in known.databases.iter() {
        match other.databases.get(name) {
            Some(other) if Arc::ptr_eq(database, other) => {}
            Some(other) => {
                catalog.databases.insert(name.clone(), Arc::new(common_database(database, other)));
            }
            None => {
                catalog.databases.remove(name);
            }
        }
    }
    catalog.next_table = known.next_table.max(other.next_table);
    catalog
}

fn common_database(known: &Database, other: &Database) -> Database {
    let policy = |known: &RetentionPolicy| Some(common_policy(known, other.policy(&known.name)?));
    let is_common = |query: &&ContinuousQuery| other.continuous_queries.contains(query);
    Database {
        policies: known.policies.iter().filter_map(policy).collect(),
        continuous_queries: known.continuous_queries.iter().filter(is_common).cloned().collect(),
        ..known.clone()
    }
}

fn common_policy(known: &RetentionPolicy, other: &RetentionPolicy) -> RetentionPolicy {
    let ttl_ns = match (known.ttl_ns, other.ttl_ns) {
        (Some(one), Some(other)) => Some(one.min(other)),
        (one, other) => one.or(other),
    };
    let table = |(name, known): (&Arc<str>, &Arc<TableSchema>)| {
        let other = other.tables.get(name).filter(|other| other.id == known.id)?;
        Some((name.clone(), common_table(known, other)))
    };
    let tables: NameMap<_> = known.tables.iter().filter_map(table).collect();
    RetentionPolicy { ttl_ns, tables, ..known.clone() }
}

fn common_table(known: &Arc<TableSchema>, other: &Arc<TableSchema>) -> Arc<TableSchema> {
    if known.columns.iter().all(|column| other.column_by_id(column.id).is_some()) {
        return known.clone();
    }
    let mut table = TableSchema::clone(known);
    table.columns.retain(|column| other.column_by_id(column.id).is_some());
    Arc::new(table)
}
