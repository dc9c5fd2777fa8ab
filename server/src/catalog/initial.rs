//! The catalog of a new data directory.

use std::collections::BTreeMap;
use std::sync::Arc;

use tidewire_storage::schema::{Catalog, Database, DatabaseOptions};

/// The database that exists from the start and that requests without `db` mean.
pub const DEFAULT_DATABASE: &str = "public";

/// The catalog of a new data directory.
pub fn initial() -> Catalog {
    let mut catalog = Catalog { version: 1, databases: BTreeMap::new(), next_table: 1 };
    catalog
        .databases
        .insert(DEFAULT_DATABASE.into(), Arc::new(Database::new(DEFAULT_DATABASE, &DatabaseOptions::default(), [])));
    catalog
}
