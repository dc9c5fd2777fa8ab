//! The catalog as builds of format 1 wrote it: one policy a database, named and nothing more, with the database's TTL.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::Deserialize;
use tidewire_storage::schema::{Catalog, Database, DatabaseOptions, TableSchema};

#[derive(Deserialize)]
pub(super) struct Catalog1 {
    version: u64,
    databases: BTreeMap<Arc<str>, Database1>,
    next_table: u32,
}

/// Its list of policies held `autogen` alone.
#[derive(Deserialize)]
struct Database1 {
    name: Arc<str>,
    options: DatabaseOptions,
    tables: BTreeMap<Arc<str>, Arc<TableSchema>>,
}

impl From<Catalog1> for Catalog {
    fn from(old: Catalog1) -> Self {
        let database = |old: Database1| Database::new(&old.name, &old.options, old.tables.into_values());
        let databases = old.databases.into_iter().map(|(name, old)| (name, Arc::new(database(old)))).collect();
        Self { version: old.version, databases, next_table: old.next_table }
    }
}
