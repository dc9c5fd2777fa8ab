//! Opening the shards of a core at the start: its data folder is as the catalog says, each shard is recovered, and one
//! that is damaged goes offline while the others serve.

use std::cell::Cell;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::path::PathBuf;
use std::rc::Rc;
use std::time::{Duration, Instant};

use tidewire_storage::Error;
use tidewire_storage::compaction::CompactionConfig;
use tidewire_storage::engine::{Shard, ShardConfig};
use tidewire_storage::recovery::Recovery;
use tidewire_storage::schema::{ColumnId, TableId};
use tidewire_storage::wal::WalSync;

use super::offline::OfflineShards;
use super::shards::CoreShard;
use crate::metrics::registry::Registry;
use crate::metrics::shard::{report_recovery, show_offline};
use crate::ring::host;
use crate::runtime::timed_disk::CoreDisk;
use tidewire_base::catalog::handover::Found;
use tidewire_base::catalog::read::CATALOG_FOLDER;
use tidewire_base::config::{self, Config};
use tidewire_base::datadir::DataDir;

/// What shards are opened with.
pub(crate) struct Opening<'a> {
    /// The core's disk.
    pub(crate) disk: &'a CoreDisk,
    /// Where the shards are.
    pub(crate) data_dir: &'a DataDir,
    /// Settings.
    pub(crate) config: &'a Config,
    /// The catalog.
    pub(crate) catalog: &'a Found,
    /// Counters of this core.
    pub(crate) registry: &'a Registry,
}

impl Opening<'_> {
    /// Opens the shards of these numbers; those that damage keeps from opening go into `offline`.
    pub(crate) async fn open(
        &self,
        numbers: &[usize],
        offline: &OfflineShards,
    ) -> Result<BTreeMap<u32, Rc<CoreShard>>, String> {
        let tables = self.catalog.catalog.databases.values().flat_map(|database| database.all_tables());
        let live: HashSet<TableId> = tables.map(|table| table.id).collect();
        let mut open = BTreeMap::new();
        for &number in numbers {
            let folder = self.data_dir.shard_folder(number);
            // Tables are made when every shard has a folder that is there to stay.
            let opened = match self.catalog.is_saved && !folder.exists() {
                true => Err(Error::corrupt(&folder, 0, "the folder is missing")),
                false => self.open_shard(folder, number as u32, &live).await,
            };
            match opened {
                Ok(shard) => {
                    open.insert(number as u32, shard);
                }
                Err(error) => {
                    let reason = format!("shard {number} cannot be opened: {error}");
                    if !error.is_damage() {
                        return Err(reason);
                    }
                    let reason = format!("{reason} (`tidewire repair --shard {number}` says what can be done)");
                    if !offline.add(number as u32, error.to_string()) {
                        return Err(reason);
                    }
                    log::error!("{reason}; the server runs without it: its rows are neither taken nor given");
                }
            }
        }
        // Those that are open are shown by `Shards`.
        for shard in numbers.iter().map(|number| *number as u32).filter(|number| !open.contains_key(number)) {
            show_offline(shard, true, self.registry);
        }
        Ok(open)
    }

    async fn open_shard(&self, folder: PathBuf, number: u32, live: &HashSet<TableId>) -> Result<Rc<CoreShard>, Error> {
        // Of a table that the catalog does not know yet nothing may be removed: it is the catalog that is wrong.
        let (next, unknown) = (self.catalog.catalog.next_table, Cell::new(None));
        let live = |table: TableId| {
            let is_unknown = table.0 >= next;
            if is_unknown {
                unknown.set(Some(table.0));
            }
            is_unknown || live.contains(&table)
        };
        let started = Instant::now();
        let opened =
            Shard::open(self.disk.clone(), &folder, shard_config(self.config, number, self.data_dir.shards()), &live)
                .await;
        let (shard, recovery) = opened?;
        let tables = self.catalog.catalog.databases.values().flat_map(|database| database.all_tables());
        let columns: HashMap<TableId, ColumnId> = tables.map(|table| (table.id, ColumnId(table.next_column))).collect();
        let is_older = |what: String| {
            let folder = self.data_dir.root().join(CATALOG_FOLDER);
            Error::Rejected(format!(
                "the catalog in {} is older than the shard, which has {what}: put a newer one in place, or take every \
                 shard from the backup that it is of (`tidewire repair --shard {number} --from-backup DIR`)",
                folder.display()
            ))
        };
        if let Some(table) = unknown.get() {
            let last = next.saturating_sub(1);
            return Err(is_older(format!(
                "rows of table {table}, and the last one that the catalog has made is {last}"
            )));
        }
        if let Some((table, column)) = shard.column_beyond(&|table| columns.get(&table).copied()) {
            return Err(is_older(format!(
                "values of column {} of table {}, which the catalog lacks",
                column.0, table.0
            )));
        }
        let time = started.elapsed();
        log::info!("shard {number} {}", recovered(&recovery, time));
        report_recovery(number, &recovery, time, self.registry);
        Ok(shard)
    }
}

/// What opening a shard has found, in words.
fn recovered(recovery: &Recovery, time: Duration) -> String {
    let Recovery {
        records,
        rows,
        log_bytes,
        torn,
        segments,
        unreadable_segments,
        series,
        removed_files,
        detached_files,
    } = recovery;
    let mut text = format!("is open after {:.1} s: {series} series, {segments} segments", time.as_secs_f64());
    match records {
        0 => text.push_str("; nothing of the log had to be replayed"),
        _ => text.push_str(&format!("; {rows} rows in {records} records of the log were replayed ({log_bytes} bytes)")),
    }
    if let Some((path, offset)) = torn {
        let path = path.display();
        text.push_str(&format!("; a commit that was never acknowledged is cut off at offset {offset} of {path}"));
    }
    if *unreadable_segments > 0 {
        text.push_str(&format!("; {unreadable_segments} segments cannot be opened, queries that need them fail"));
    }
    if *removed_files > 0 {
        text.push_str(&format!("; {removed_files} files of work that a crash cut short are removed"));
    }
    if *detached_files > 0 {
        text.push_str(&format!("; {detached_files} files that no manifest names are kept in the folder detached"));
    }
    text
}

fn shard_config(config: &Config, number: u32, shards: usize) -> ShardConfig {
    ShardConfig {
        wal_sync: match config.wal.sync {
            config::WalSync::Always => WalSync::Always,
            config::WalSync::Interval => WalSync::Interval,
            config::WalSync::Off => WalSync::Off,
        },
        wal_file_bytes: config.wal.file_bytes,
        flush_bytes: config.memtable.flush_bytes,
        flush_log_bytes: config.memtable.flush_log_bytes,
        // Admission comes first; this is the last bound behind it, with room for what it let through.
        memtable_bytes_max: config.memtable.bytes_max + config.admission.bytes_max,
        // The same for what waits for the log: a request that is alone may be as large as a memtable.
        wal_pending_bytes_max: config.memtable.bytes_max + config.admission.bytes_max,
        cache_bytes_max: config.cache.bytes_max,
        compaction: CompactionConfig {
            bytes_per_s: config.compaction.bytes_per_s_max,
            segment_bytes_max: config.compaction.segment_bytes_max,
            cold_after: Duration::from_secs(config.compaction.cold_after_s),
            ..CompactionConfig::default()
        },
        open_segments_max: host::open_segments_max(host::open_files(), shards),
        ..ShardConfig::new(number)
    }
}

/// An error when the catalog is missing and a shard has data: shards remove the data of tables that the catalog does
/// not name, and an empty one names none.
pub(crate) fn check_catalog(found: &Found, data_dir: &DataDir) -> Result<(), String> {
    let has_data = |shard: &usize| {
        let segments = std::fs::read_dir(data_dir.shard_folder(*shard).join("segments"));
        segments.is_ok_and(|mut segments| segments.next().is_some())
    };
    match found.is_saved {
        true => Ok(()),
        false => match (0..data_dir.shards()).find(has_data) {
            Some(shard) => Err(format!(
                "there is no catalog in {}, but shard {shard} has data; put a copy of it in place",
                data_dir.root().join(CATALOG_FOLDER).display()
            )),
            None => Ok(()),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn recovery_is_told_in_words_and_only_what_there_was() {
        let time = Duration::from_millis(1_260);
        let calm = Recovery { segments: 3, series: 50, ..Recovery::default() };
        let text = "is open after 1.3 s: 50 series, 3 segments; nothing of the log had to be replayed";
        assert_eq!(recovered(&calm, time), text);
        let crash = Recovery {
            records: 2,
            rows: 7,
            log_bytes: 4096,
            torn: Some((PathBuf::from("wal/1.log"), 512)),
            unreadable_segments: 1,
            removed_files: 4,
            detached_files: 5,
            ..calm
        };
        let text = "is open after 1.3 s: 50 series, 3 segments; 7 rows in 2 records of the log were replayed (4096 bytes); \
                    a commit that was never acknowledged is cut off at offset 512 of wal/1.log; 1 segments cannot be \
                    opened, queries that need them fail; 4 files of work that a crash cut short are removed; 5 files that \
                    no manifest names are kept in the folder detached";
        assert_eq!(recovered(&crash, time), text);
    }
}
