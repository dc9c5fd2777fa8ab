//! The catalog as builds before this one kept it: one JSON document with a format number, 1 or 2, and a checksum.
//!
//! It is read where there is nothing newer, and goes with the first change.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use serde::Deserialize;
use tidewire_storage::schema::{Catalog, Database, DatabaseOptions, TableSchema};
use tidewire_storage::{Error, Result};

/// Name of the file.
pub(super) const FILE: &str = "catalog.json";

/// The newest format of a document. Format 1 knew no retention policies.
const FORMAT: u32 = 2;

/// The file's content. `catalog` is JSON text of its own so that the checksum covers exactly its bytes.
#[derive(Deserialize)]
struct Document {
    format: u32,
    crc32c: u32,
    catalog: String,
}

/// The catalog of format 1: one policy a database, named and nothing more, with the database's TTL.
#[derive(Deserialize)]
struct Catalog1 {
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
        Self { version: old.version, databases, next_table: old.next_table, ..Self::default() }
    }
}

/// The catalog of a document; `path` is for what is said of damage.
pub(super) fn decode(path: &Path, bytes: &[u8]) -> Result<Catalog> {
    let damaged = |reason: String| Error::corrupt(path, 0, reason);
    let document: Document = serde_json::from_slice(bytes).map_err(|error| damaged(error.to_string()))?;
    if !(1..=FORMAT).contains(&document.format) {
        let reason = format!("format {} is none of 1 to {FORMAT}, which this build reads", document.format);
        return Err(damaged(reason));
    }
    let found = crc32c::crc32c(document.catalog.as_bytes());
    if found != document.crc32c {
        return Err(damaged(format!("checksum {found:08x} is not {:08x}", document.crc32c)));
    }
    let catalog = match document.format {
        1 => serde_json::from_str::<Catalog1>(&document.catalog).map(Catalog::from),
        _ => serde_json::from_str(&document.catalog),
    };
    catalog.map_err(|error| damaged(error.to_string()))
}
