//! The catalog of a new data directory.

use std::sync::Arc;

use tidewire_storage::schema::{Catalog, Database, DatabaseOptions};

/// The database that exists from the start and that requests without `db` mean.
pub const DEFAULT_DATABASE: &str = "public";

/// The catalog of a new data directory.
pub fn initial() -> Catalog {
    let public = Database::new(DEFAULT_DATABASE, &DatabaseOptions::default(), []);
    Catalog {
        version: 1,
        databases: [(DEFAULT_DATABASE, Arc::new(public))].into_iter().collect(),
        next_table: 1,
        ..Catalog::default()
    }
}
