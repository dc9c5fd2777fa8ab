//! Reading a data folder, or a backup, as a start of the server would see it, without changing a byte of it.
//!
//! Every shard is opened at once, each log replayed into memory, as in the server; deletes, retention and dropped
//! tables are applied. Rows then come in the order of tables, shards, partitions, series and time.

use std::collections::HashSet;
use std::fs::File;
use std::path::Path;
use std::rc::Rc;
use std::sync::Arc;

use tidewire_storage::disk::readonly::ReadOnlyDisk;
use tidewire_storage::engine::{Shard, ShardConfig};
use tidewire_storage::scan::{Scan, ScanRequest, series_between};
use tidewire_storage::schema::{Catalog, ColumnId, ColumnKind, FieldType, TableId, TableSchema};

use super::folder::saved_catalog;
use super::generation;
use tidewire_base::catalog::initial::initial;
use tidewire_base::datadir::{DataDir, shard_folder};

/// What one scan may hold: groups of all segments that overlap in one partition. Far above what merged data needs.
const SCAN_BYTES_MAX: u64 = 1 << 30;

/// Each block is read once, so that the cache need hold only what one step looks at twice.
const CACHE_BYTES_MAX: u64 = 16 << 20;

/// A shard that is only read.
pub type ReadShard = Shard<ReadOnlyDisk>;

/// An open data folder.
pub struct Source {
    /// What has a name in it.
    pub catalog: Arc<Catalog>,
    /// Its shards, by number.
    pub shards: Vec<Rc<ReadShard>>,
    lock: Option<File>,
}

impl Source {
    /// Opens a folder that no server uses, and keeps servers out of it, or the newest complete backup in a folder.
    pub async fn open(root: &Path) -> Result<Self, String> {
        Self::open_with(root, None).await
    }

    /// The same without shards that damage keeps closed: `unreadable` takes in which they are and why.
    pub async fn open_readable(root: &Path, unreadable: &mut Vec<String>) -> Result<Self, String> {
        Self::open_with(root, Some(unreadable)).await
    }

    async fn open_with(root: &Path, unreadable: Option<&mut Vec<String>>) -> Result<Self, String> {
        let (root, shards, lock) = match generation::newest(root)? {
            Some((folder, backup)) => (folder, backup.shards, None),
            None => {
                let (shards, lock) = DataDir::look(root).map_err(|error| error.to_string())?;
                (root.to_owned(), shards, lock)
            }
        };
        let catalog = load_catalog(&root)?;
        let shards = open_all(&root, shards, &catalog, unreadable).await?;
        Ok(Self { catalog, shards, lock })
    }

    /// Rows in its files and logs, about: one that was written twice may count twice, deleted ones count.
    pub fn rows(&self) -> u64 {
        rows(&self.shards)
    }
}

impl Drop for Source {
    fn drop(&mut self) {
        // As for a [`DataDir`]: not left to closing. Where it fails, closing does it.
        if let Some(lock) = &self.lock {
            let _ = lock.unlock();
        }
    }
}

/// The catalog of a data folder, or of a new one where none was saved.
pub fn load_catalog(root: &Path) -> Result<Arc<Catalog>, String> {
    let saved = saved_catalog(root).map_err(|error| error.to_string())?;
    Ok(Arc::new(saved.map_or_else(initial, |saved| saved.catalog)))
}

/// Opens the shards in a folder for reading.
pub async fn open_shards(root: &Path, shards: usize, catalog: &Catalog) -> Result<Vec<Rc<ReadShard>>, String> {
    open_all(root, shards, catalog, None).await
}

/// Opens shards; those that damage keeps closed are left out where `unreadable` takes in what it is.
async fn open_all(
    root: &Path,
    shards: usize,
    catalog: &Catalog,
    mut unreadable: Option<&mut Vec<String>>,
) -> Result<Vec<Rc<ReadShard>>, String> {
    let ids: HashSet<TableId> = tables(catalog).map(|table| table.id).collect();
    let live = |table: TableId| ids.contains(&table);
    let mut opened = Vec::with_capacity(shards);
    for number in 0..shards {
        let folder = shard_folder(root, number);
        let config =
            ShardConfig { cache_bytes_max: CACHE_BYTES_MAX, reserve_bytes: 0, ..ShardConfig::new(number as u32) };
        let shard = match folder.exists() {
            true => Shard::open(ReadOnlyDisk, &folder, config, &live).await,
            false => Err(tidewire_storage::Error::corrupt(&folder, 0, "the folder is missing")),
        };
        match (shard, &mut unreadable) {
            (Ok((shard, _)), _) => opened.push(shard),
            (Err(error), Some(unreadable)) if error.is_damage() => {
                unreadable.push(format!("all of shard {number}: {error}"));
            }
            (Err(error), _) => return Err(format!("shard {number} cannot be opened: {error}")),
        }
    }
    Ok(opened)
}

/// Rows of shards, about.
pub fn rows(shards: &[Rc<ReadShard>]) -> u64 {
    shards.iter().map(|shard| shard.stats()).map(|stats| stats.segment_rows + stats.memtable_rows).sum()
}

/// All tables of all databases.
pub fn tables(catalog: &Catalog) -> impl Iterator<Item = &Arc<TableSchema>> {
    catalog.databases.values().flat_map(|database| database.all_tables())
}

/// The fields of a table, in its order.
pub fn fields(table: &TableSchema) -> Vec<(ColumnId, FieldType)> {
    let field = |kind: ColumnKind| match kind {
        ColumnKind::Field(kind) => Some(kind),
        ColumnKind::Tag => None,
    };
    table.columns.iter().filter_map(|column| Some((column.id, field(column.kind)?))).collect()
}

/// Some series of a table in a shard, and the times between two, both included.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Region {
    /// The first and the last series; `None` for all.
    pub series: Option<(u32, u32)>,
    /// The first time.
    pub min: i64,
    /// The last time.
    pub max: i64,
}

/// A scan of all fields of a region of a table.
pub fn scan_region(
    shard: &ReadShard,
    table: &TableSchema,
    region: &Region,
) -> tidewire_storage::Result<Scan<ReadOnlyDisk>> {
    let request = ScanRequest {
        table: table.id,
        time_min: region.min,
        time_max: region.max,
        series: region.series.map(|(first, last)| series_between(first, last)),
        columns: fields(table),
        prune: Vec::new(),
    };
    shard.scan(request, SCAN_BYTES_MAX)
}

/// A scan of all fields of a table between two times, both included.
pub fn scan(
    shard: &ReadShard,
    table: &TableSchema,
    time_min: i64,
    time_max: i64,
) -> tidewire_storage::Result<Scan<ReadOnlyDisk>> {
    scan_region(shard, table, &Region { series: None, min: time_min, max: time_max })
}
