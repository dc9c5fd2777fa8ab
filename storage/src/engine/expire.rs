//! Retention: partitions that are too old go as a whole.
//!
//! What goes is told by a time that only moves on, the table's *horizon*: always the start of a partition, kept in the
//! manifest. Rows before it do not exist: scans begin at it, a flush leaves such rows out, whether they came late or
//! back from the log, and their segments were removed with the edit that moved it. Within the partition that a
//! retention time lies in, rows stay until all of it is too old; whoever must not see them asks for later times.

use std::path::PathBuf;

use super::Shard;
use crate::disk::Disk;
use crate::error::Result;
use crate::manifest::{Edit, SegmentEntry, TableEntry};
use crate::memtable::partition_of;
use crate::schema::TableId;

impl<D: Disk> Shard<D> {
    /// Drops the partitions of a table that end at or before `time`, now and for ever: rows in them are gone when this
    /// returns, and such as come later are taken and not kept. Gives the number of segments removed. Cheap to be
    /// called often: it waits and writes only when a partition has become too old.
    pub async fn expire(&self, table: TableId, time: i64) -> Result<u64> {
        if self.horizon_after(table, time).is_none() {
            return Ok(0);
        }
        let _edit = self.edit().await;
        // A drop may have come first.
        let Some((horizon, entry)) = self.horizon_after(table, time) else { return Ok(0) };
        let (manifest, files) = {
            let state = self.state.borrow();
            // As the manifest has them: those that cannot be opened go too.
            let old = |entry: &&SegmentEntry| entry.table == table.0 && entry.partition_start < horizon;
            let old = state.manifest.segments.iter().filter(old);
            let files: Vec<String> = old.map(|entry| entry.meta.file.clone()).collect();
            let edit = Edit {
                next_file: state.next_file,
                add_tables: vec![entry],
                remove_segments: files.clone(),
                ..Edit::default()
            };
            (state.manifest.apply(edit), files)
        };
        let store = async || manifest.store(&self.disk, &self.folders.root, self.config.shard).await;
        self.with_reserve(0, store).await?;
        {
            let mut state = self.state.borrow_mut();
            state.manifest = manifest;
            if let Some(known) = state.tables.get_mut(&table) {
                known.horizon = horizon;
                known.partitions = known.partitions.split_off(&horizon);
                known.unreadable = known.unreadable.split_off(&horizon);
                known.changed = known.changed.split_off(&horizon);
            }
            state.prune_tombstones();
        }
        self.count(|counts| counts.segments_expired += files.len() as u64);
        self.sweep().await;
        let paths: Vec<PathBuf> = files.iter().map(|file| self.folders.segments.join(file)).collect();
        self.discard(paths.into_iter()).await;
        Ok(files.len() as u64)
    }

    /// Rows of a table before this time do not exist: the start of the partition up to which it has expired. `None` when
    /// nothing of it has, or the shard does not know the table.
    pub fn horizon(&self, table: TableId) -> Option<i64> {
        let state = self.state.borrow();
        state.tables.get(&table).map(|known| known.horizon).filter(|horizon| *horizon > i64::MIN)
    }

    /// Length of a time partition of a table, as it was when the shard first saw the table.
    pub fn partition_length(&self, table: TableId) -> Option<i64> {
        self.state.borrow().tables.get(&table).map(|known| known.partition_length)
    }

    /// The horizon that `time` asks for, and the table's entry with it, if that moves it.
    fn horizon_after(&self, table: TableId, time: i64) -> Option<(i64, TableEntry)> {
        let state = self.state.borrow();
        let known = state.tables.get(&table)?;
        let horizon = partition_of(time, known.partition_length);
        let entry = TableEntry { horizon, ..known.entry(table) };
        (horizon > known.horizon).then_some((horizon, entry))
    }
}
