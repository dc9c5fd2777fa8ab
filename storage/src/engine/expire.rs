//! Retention: partitions that are too old go as a whole.
//!
//! What is too old is the caller's to say, each time anew: nothing is remembered of it. So a row is either there, or
//! was there when a partition of its time expired; rows that come later for the same time are kept like any others, and
//! a time that was asked for by mistake takes nothing of what is written afterwards.
//!
//! Segments go with an edit of the manifest. Rows in memory are deleted like by [`Shard::delete`], with a record in the
//! log, since they would come back from there. Within the partition that a retention time lies in, rows stay until all
//! of it is too old; a reader that must not see them asks for later times.

use std::collections::BTreeMap;

use super::Shard;
use crate::disk::Disk;
use crate::error::{Error, Result};
use crate::manifest::{Edit, SegmentEntry};
use crate::partition::partition_of;
use crate::schema::TableId;
use crate::tombstone::Deletes;
use crate::wal::Lsn;

/// What [`Shard::expire`] has done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Expired {
    /// Segments removed.
    pub segments: u64,
    /// Rows of later records have stayed; `None` where the log took no record, so that rows in memory have stayed too.
    pub lsn: Option<Lsn>,
}

impl<D: Disk> Shard<D> {
    /// Drops the partitions of a table that end at or before `time`: rows that were appended before are gone when this
    /// returns. Cheap to be called often: it waits and writes only where there are such rows. Where the log takes no
    /// record, for want of space or after a failure, segments go all the same and rows in memory at a later call.
    pub async fn expire(&self, table: TableId, time: i64) -> Result<Expired> {
        let nothing = || Expired { segments: 0, lsn: Some(self.wal.appended()) };
        if self.start_after(table, time).is_none() {
            return Ok(nothing());
        }
        let _edit = self.edit().await;
        // A drop may have come first.
        let Some(start) = self.start_after(table, time) else { return Ok(nothing()) };
        let lsn = self.expire_in_memory(table, start);
        let edit = {
            let state = self.state.borrow();
            // As the manifest has them: those that cannot be opened go too.
            let old = state.manifest.segments_before(table, start).map(SegmentEntry::removed);
            Edit { next_file: state.next_file, remove_segments: old.collect(), ..Edit::default() }
        };
        if edit.remove_segments.is_empty() {
            return Ok(Expired { segments: 0, lsn });
        }
        self.with_reserve(0, async || self.store(&edit).await.map_err(Error::from)).await?;
        let paths: Vec<_> = edit.remove_segments.iter().map(|gone| self.folders.segments.join(&gone.file)).collect();
        let gone: Vec<_> = {
            let mut state = self.state.borrow_mut();
            state.manifest.apply(edit);
            let mut gone = BTreeMap::new();
            if let Some(known) = state.tables.get_mut(&table) {
                let later = known.partitions.split_off(&start);
                gone = std::mem::replace(&mut known.partitions, later);
                let mut agenda = self.agenda.borrow_mut();
                gone.keys().for_each(|start| agenda.set((table, *start), None));
                known.unreadable = known.unreadable.split_off(&start);
                known.changed = known.changed.split_off(&start);
            }
            gone.into_values().flatten().collect()
        };
        self.prune_tombstones(vec![table]).await;
        let segments = paths.len() as u64;
        self.count(|counts| counts.segments_expired += segments);
        self.sweep().await;
        self.remove_segments(gone, 0, paths.into_iter()).await;
        Ok(Expired { segments, lsn })
    }

    /// Length of a time partition of a table, as it was when the shard first saw the table.
    pub fn partition_length(&self, table: TableId) -> Option<i64> {
        self.state.borrow().tables.get(&table).map(|known| known.partition_length)
    }

    /// The start of the partition that `time` lies in, where there is anything before it.
    fn start_after(&self, table: TableId, time: i64) -> Option<i64> {
        let state = self.state.borrow();
        let known = state.tables.get(&table)?;
        let start = partition_of(time, known.partition_length);
        let is_before = |first: Option<(&i64, _)>| first.is_some_and(|(first, ())| *first < start);
        let in_segments = is_before(known.partitions.first_key_value().map(|(first, _)| (first, ())))
            || is_before(known.unreadable.first_key_value().map(|(first, _)| (first, ())));
        (in_segments || self.has_in_memory(table, start)).then_some(start)
    }

    /// Whether rows in memory are before `start` and not deleted.
    fn has_in_memory(&self, table: TableId, start: i64) -> bool {
        let state = self.state.borrow();
        let Some(known) = state.tables.get(&table) else { return false };
        let flushing = state.frozen.iter().map(|frozen| (&frozen.memtable, known.tombstones.after(frozen.lsn())));
        let mut memtables = flushing.chain([(&state.active, Deletes::default())]);
        memtables.any(|(memtable, later)| {
            let Some(rows) = memtable.table(table).filter(|rows| rows.time_bounds().0 < start) else { return false };
            let deletes = rows.deletes(later);
            let mut old = (0..rows.rows() as u32).filter(|row| rows.time()[*row as usize] < start);
            old.any(|row| rows.is_live(row, &deletes))
        })
    }

    /// Deletes rows in memory before `start`. `None` where the log takes no record of it.
    fn expire_in_memory(&self, table: TableId, start: i64) -> Option<Lsn> {
        if !self.has_in_memory(table, start) {
            return Some(self.wal.appended());
        }
        let time_max = start.checked_sub(1)?;
        match self.delete_logged(table, None, i64::MIN, time_max) {
            Ok(lsn) => Some(lsn),
            Err(error) => {
                log::warn!("shard {}: rows in memory do not expire yet: {error}", self.config.shard);
                None
            }
        }
    }
}
