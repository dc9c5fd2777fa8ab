//! The catalog's file: one JSON document with a format number and a checksum, replaced atomically.
//!
//! Written to a temporary name, synced, renamed over the old one, folder synced: after a crash at any moment the file
//! holds the catalog before or after the change. JSON, because it is small, rarely written, and an operator in trouble
//! can read it.

use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use tidewire_storage::schema::Catalog;

use super::format1::Catalog1;
use super::initial::initial;

/// Name of the folder in the data folder.
pub const CATALOG_FOLDER: &str = "meta";

/// Name of the file in that folder.
pub const CATALOG_FILE: &str = "catalog.json";

/// Version of the file's layout. Format 1, which [`format1`](super::format1) reads, knew no retention policies.
const FORMAT: u32 = 2;

/// Where the catalog is kept.
#[derive(Debug, Clone)]
pub struct CatalogStore {
    folder: PathBuf,
}

/// The file's content. `catalog` is JSON text of its own so that the checksum covers exactly its bytes.
#[derive(Serialize, Deserialize)]
struct Document {
    format: u32,
    crc32c: u32,
    catalog: String,
}

/// Why the catalog cannot be read or written.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The operating system refused.
    #[error("cannot {operation} {}: {source}", path.display())]
    Io {
        /// What was tried.
        operation: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// The cause.
        source: std::io::Error,
    },
    /// The file is not what was written.
    #[error("{} is damaged: {reason}", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What does not hold.
        reason: String,
    },
}

impl CatalogStore {
    /// A store in `folder`, which is made if it is missing.
    pub fn new(folder: &Path) -> Result<Self, StoreError> {
        std::fs::create_dir_all(folder).map_err(|source| io("make folder", folder, source))?;
        Ok(Self { folder: folder.to_owned() })
    }

    /// The file.
    pub fn path(&self) -> PathBuf {
        self.folder.join(CATALOG_FILE)
    }

    /// Whether a catalog was ever saved.
    pub fn exists(&self) -> bool {
        self.path().exists()
    }

    /// The saved catalog, or the one of a new data directory.
    pub fn load(&self) -> Result<Catalog, StoreError> {
        Ok(Self::read(&self.folder)?.unwrap_or_else(initial))
    }

    /// The catalog that is saved in `folder`, in which nothing is changed or made; `None` where there is none.
    pub fn read(folder: &Path) -> Result<Option<Catalog>, StoreError> {
        let path = folder.join(CATALOG_FILE);
        match std::fs::read(&path) {
            Ok(bytes) => Self::decode(&path, &bytes).map(Some),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(io("read", &path, error)),
        }
    }

    /// The catalog of a file's bytes; `path` is for what is said of damage.
    pub fn decode(path: &Path, bytes: &[u8]) -> Result<Catalog, StoreError> {
        let damaged = |reason: String| StoreError::Damaged { path: path.to_owned(), reason };
        let document: Document = serde_json::from_slice(bytes).map_err(|error| damaged(error.to_string()))?;
        if !(1..=FORMAT).contains(&document.format) {
            return Err(damaged(format!(
                "format {} is none of 1 to {FORMAT}, which this build reads",
                document.format
            )));
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

    /// Makes `catalog` the saved one. Blocks; call it away from a shard's executor.
    pub fn save(&self, catalog: &Catalog) -> Result<(), StoreError> {
        let path = self.path();
        let text = serde_json::to_string(catalog).map_err(|error| io("encode", &path, std::io::Error::other(error)))?;
        let document = Document { format: FORMAT, crc32c: crc32c::crc32c(text.as_bytes()), catalog: text };
        let bytes = serde_json::to_vec(&document).map_err(|error| io("encode", &path, std::io::Error::other(error)))?;
        let temporary = self.folder.join("catalog.json.tmp");
        let mut file = File::create(&temporary).map_err(|source| io("create", &temporary, source))?;
        file.write_all(&bytes).map_err(|source| io("write", &temporary, source))?;
        file.sync_all().map_err(|source| io("sync", &temporary, source))?;
        std::fs::rename(&temporary, &path).map_err(|source| io("rename to", &path, source))?;
        let folder = File::open(&self.folder).map_err(|source| io("open", &self.folder, source))?;
        folder.sync_all().map_err(|source| io("sync", &self.folder, source))
    }
}

fn io(operation: &'static str, path: &Path, source: std::io::Error) -> StoreError {
    StoreError::Io { operation, path: path.to_owned(), source }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::apply::apply;
    use crate::catalog::change::SchemaChange;

    fn folder(name: &str) -> PathBuf {
        let folder = std::env::temp_dir().join(format!("tidewire-catalog-{name}-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&folder);
        folder
    }

    #[test]
    fn what_is_saved_is_loaded() {
        let folder = folder("round-trip");
        let store = CatalogStore::new(&folder).unwrap();
        let first = store.load().unwrap();
        assert_eq!(first, initial());
        let change = SchemaChange::EnsureColumns {
            database: "public".into(),
            policy: "autogen".into(),
            table: "weird \"name\"".into(),
            columns: vec![("h".into(), tidewire_storage::schema::ColumnKind::Tag)],
        };
        let second = apply(&first, &change).unwrap().catalog.unwrap();
        store.save(&second).unwrap();
        assert_eq!(CatalogStore::new(&folder).unwrap().load().unwrap(), second);
        std::fs::remove_dir_all(&folder).unwrap();
    }

    #[test]
    fn a_catalog_of_format_1_is_read_and_saved_anew() {
        // As the build before this one wrote it.
        let catalog = concat!(
            r#"{"version":7,"databases":{"public":{"name":"public","options":{"precision":"Millisecond","#,
            r#""ttl_ns":864000000000000,"partition_ns":86400000000000},"retention_policies":["autogen"],"#,
            r#""tables":{"cpu":{"id":3,"name":"cpu","columns":[{"id":0,"name":"host","kind":"Tag"},"#,
            r#"{"id":1,"name":"v","kind":{"Field":"Float"}}],"time_unit":"Millisecond","#,
            r#""partition_length":86400000,"next_column":2}}}},"next_table":4}"#
        );
        let folder = folder("format-1");
        let store = CatalogStore::new(&folder).unwrap();
        let document =
            serde_json::json!({ "format": 1, "crc32c": crc32c::crc32c(catalog.as_bytes()), "catalog": catalog });
        std::fs::write(store.path(), document.to_string()).unwrap();
        let loaded = store.load().unwrap();
        assert_eq!((loaded.version, loaded.next_table), (7, 4));
        let table = loaded.table("public", "cpu").unwrap();
        assert_eq!((table.id.0, table.columns.len(), table.next_column), (3, 2, 2));
        let database = &loaded.databases["public"];
        let policy = database.main_policy().unwrap();
        let kept = (&*policy.name, policy.ttl_ns, policy.partition_ns, policy.replication);
        assert_eq!(kept, ("autogen", Some(864_000_000_000_000), 86_400_000_000_000, 1));
        store.save(&loaded).unwrap();
        assert!(std::fs::read_to_string(store.path()).unwrap().contains("\"format\":2"));
        assert_eq!(store.load().unwrap(), loaded);
        std::fs::remove_dir_all(&folder).unwrap();
    }

    #[test]
    fn a_flipped_byte_is_damage_with_the_path() {
        let folder = folder("damage");
        let store = CatalogStore::new(&folder).unwrap();
        store.save(&initial()).unwrap();
        let path = store.path();
        let text = std::fs::read_to_string(&path).unwrap().replace("public", "publik");
        std::fs::write(&path, text).unwrap();
        let error = store.load().unwrap_err().to_string();
        assert!(error.contains("catalog.json is damaged: checksum"), "{error}");
        std::fs::remove_dir_all(&folder).unwrap();
    }
}
