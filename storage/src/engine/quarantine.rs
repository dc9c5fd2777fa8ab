//! Damaged segments: kept, listed, not merged, and never passed over in silence.
//!
//! 1. A segment whose footer cannot be read at a start, or whose file is missing, does not keep the shard from opening.
//!    A scan that may need rows of it fails with the error that names file and offset; others do not notice.
//! 2. A segment with a damaged block is read on: only scans that need the block fail.
//! 3. Neither is merged: a merge would have to leave out rows, or put newer rows before older ones.
//!
//! The files stay where they are, and in the manifest, until their table is dropped, they are too old, or somebody
//! accepts their loss ([`salvage`](crate::salvage)), so that a copy can be put in place. Deletes that touch them are
//! kept as long, for that copy. [`Shard::recheck`] sees it, and ends the quarantine.

use std::path::PathBuf;
use std::rc::Rc;

use super::Shard;
use super::state::{State, Unreadable};
use crate::disk::Disk;
use crate::error::{Error, Result};
use crate::schema::TableId;
use crate::segment::{Expected, Segment, SegmentMeta};

/// Partitions that are looked at before others have their turn.
const PARTITIONS_AT_ONCE: usize = 256;

/// A damaged segment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Quarantined {
    /// The table.
    pub table: TableId,
    /// The file.
    pub path: PathBuf,
    /// Where the damage is, and what does not hold there; empty where only a merge could say.
    pub damage: Vec<(u64, String)>,
    /// Nothing of it can be read.
    pub whole: bool,
}

impl<D: Disk> Shard<D> {
    /// The damaged segments that are known of.
    pub fn quarantined(&self) -> Vec<Quarantined> {
        let (state, set_aside) = (self.state.borrow(), self.quarantined.borrow());
        let mut out = Vec::new();
        for (&table, known) in &state.tables {
            for segment in known.unreadable.values().flatten() {
                let damage = vec![(segment.offset, segment.reason.clone())];
                out.push(Quarantined { table, path: segment.path.clone(), damage, whole: true });
            }
            for segment in known.segments() {
                let damage = segment.damage();
                if !damage.is_empty() || set_aside.contains(&segment.meta().file) {
                    let damage = damage.into_iter().map(|(offset, reason)| (offset, reason.to_owned())).collect();
                    out.push(Quarantined { table, path: segment.path().to_owned(), damage, whole: false });
                }
            }
        }
        out
    }

    /// The rows that an error of a scan is about, where it tells of a damaged segment: what cannot be read lies within.
    pub fn damaged_rows(&self, table: TableId, error: &Error) -> Option<DamagedRows> {
        let Error::Corrupt { path, offset, .. } = error else { return None };
        let state = self.state.borrow();
        let known = state.tables.get(&table)?;
        if let Some(Unreadable { meta, .. }) = known.unreadable.values().flatten().find(|segment| segment.path == *path)
        {
            let (series, time) = ((meta.series_min, meta.series_max), (meta.time_min, meta.time_max));
            return Some(DamagedRows { series, time, rows: meta.rows });
        }
        let segment = known.segments().find(|segment| segment.path() == path)?;
        let group = segment.group_at(*offset)?;
        let (series, time) = ((group.series_min, group.series_max), (group.time_min, group.time_max));
        Some(DamagedRows { series, time, rows: group.rows as u64 })
    }

    /// Looks again at damaged segments, and at the folder of detached files. A segment whose file can be read, because
    /// a copy has been put in its place, is no longer quarantined: scans read it, and merges take it. Gives how many.
    /// Cheap where nothing is damaged.
    pub async fn recheck(&self) -> Result<u64> {
        self.detached_files.set(self.disk.list(&self.folders.detached).await?.len() as u64);
        let mut mended = 0;
        for suspect in self.suspects().await {
            let Some(segment) = self.try_again(&suspect).await? else { continue };
            if self.end_quarantine(&suspect, segment).await {
                log::warn!("shard {}: {} can be read again", self.config.shard, suspect.path.display());
                mended += 1;
            }
        }
        if mended > 0 {
            self.note_all();
            self.changed.notify();
        }
        Ok(mended)
    }

    /// The damaged segments. Others have their turn in between, since there may be many that are well.
    async fn suspects(&self) -> Vec<Suspect<D>> {
        let tables: Vec<TableId> = self.state.borrow().tables.keys().copied().collect();
        let mut suspects = Vec::new();
        for table in tables {
            let mut from = Some(i64::MIN);
            while let Some(start) = from {
                from = self.suspects_of(table, start, &mut suspects);
                self.disk.yield_if_needed().await;
            }
        }
        suspects
    }

    /// Adds those of some partitions of a table, the first of which begins at or after `from`; gives where to go on.
    fn suspects_of(&self, table: TableId, from: i64, suspects: &mut Vec<Suspect<D>>) -> Option<i64> {
        let (state, set_aside) = (self.state.borrow(), self.quarantined.borrow());
        let known = state.tables.get(&table)?;
        let suspect = |start: i64, meta: &SegmentMeta, path: PathBuf, open: Option<Rc<Segment<D>>>| Suspect {
            table,
            start,
            length: known.partition_length,
            meta: meta.clone(),
            path,
            open,
        };
        if from == i64::MIN {
            for (&start, segments) in &known.unreadable {
                suspects.extend(segments.iter().map(|of| suspect(start, &of.meta, of.path.clone(), None)));
            }
        }
        let mut partitions = known.partitions.range(from..);
        for (&start, segments) in partitions.by_ref().take(PARTITIONS_AT_ONCE) {
            let is_suspect =
                |segment: &&Rc<Segment<D>>| segment.is_damaged() || set_aside.contains(&segment.meta().file);
            let open = |of: &Rc<Segment<D>>| suspect(start, of.meta(), of.path().to_owned(), Some(of.clone()));
            suspects.extend(segments.iter().filter(is_suspect).map(open));
        }
        partitions.next().map(|(start, _)| *start)
    }

    /// The segment as it is now, if it is well.
    async fn try_again(&self, suspect: &Suspect<D>) -> Result<Option<Rc<Segment<D>>>> {
        // Opened anew: the file that is open is still the damaged one where another has taken its name.
        let segment = match Segment::open(&self.disk, &suspect.path, &suspect.meta, self.cache.clone()).await {
            Ok(segment) => segment,
            Err(error) if error.is_damage() || error.is_not_found() => return Ok(None),
            Err(error) => return Err(error),
        };
        let Some(open) = &suspect.open else { return Ok(Some(segment)) };
        let damage = open.damage();
        if !damage.is_empty() {
            let is_well = segment.is_well_at(damage.iter().map(|(offset, _)| *offset)).await?;
            return Ok(is_well.then_some(segment));
        }
        // Only a merge has found it damaged, and where is forgotten, since a read has found that place well again.
        let Suspect { table, start: partition_start, length: partition_length, .. } = *suspect;
        let expected = Expected { table, partition_start, partition_length, series: None };
        let mut is_well = true;
        open.verify(&self.disk, &expected, &mut |_| is_well = false, &mut |_| {}).await?;
        Ok(is_well.then_some(segment))
    }

    /// Puts `segment` in the place of the one that was damaged; false where that is gone by now.
    async fn end_quarantine(&self, suspect: &Suspect<D>, segment: Rc<Segment<D>>) -> bool {
        let _edit = self.edit().await;
        let mut state = self.state.borrow_mut();
        let State { tables, manifest, .. } = &mut *state;
        let Some(known) = tables.get_mut(&suspect.table) else { return false };
        match &suspect.open {
            Some(open) => {
                let segments = known.partitions.get_mut(&suspect.start);
                let slot = segments.and_then(|segments| segments.iter_mut().find(|slot| Rc::ptr_eq(slot, open)));
                let Some(slot) = slot else { return false };
                *slot = segment;
            }
            None => {
                let Some(unreadable) = known.unreadable.get_mut(&suspect.start) else { return false };
                let before = unreadable.len();
                unreadable.retain(|other| other.path != suspect.path);
                if unreadable.len() == before {
                    return false;
                }
                if unreadable.is_empty() {
                    known.unreadable.remove(&suspect.start);
                }
                let segments = known.partitions.entry(suspect.start).or_default();
                segments.push(segment);
                let place = |file: &str| manifest.segments_of(suspect.table).position(|entry| entry.meta.file == file);
                segments.sort_by_cached_key(|segment| place(&segment.meta().file));
            }
        }
        self.quarantined.borrow_mut().remove(&suspect.meta.file);
        true
    }
}

/// Rows that a damaged segment or a damaged block keeps from being read, and others between them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DamagedRows {
    /// The least and the greatest series id.
    pub series: (u32, u32),
    /// The first and the last time.
    pub time: (i64, i64),
    /// How many there are in the segment or the block.
    pub rows: u64,
}

/// A damaged segment that may be well by now.
struct Suspect<D: Disk> {
    table: TableId,
    /// Its partition, and how long that is.
    start: i64,
    length: i64,
    meta: SegmentMeta,
    path: PathBuf,
    /// `None` where it could not be opened.
    open: Option<Rc<Segment<D>>>,
}
