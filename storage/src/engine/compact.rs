//! Merging segments beside everything else.
//!
//! 1. The picker is asked for each partition that has changed ([`look`](super::look)); the most urgent choice of all is
//!    carried out.
//! 2. The merge reads immutable segments and writes new files, without the right to change the manifest, so that
//!    flushes go on meanwhile. A flush only adds newer segments; a drop or an expiry may take inputs away, and then the
//!    output is thrown away.
//! 3. With the right to change the manifest, one edit puts the new files in the place of the old ones.
//! 4. Scans that hold the old segments read on; their files are removed when the last reader has gone.
//!
//! A merge applies the deletes up to the flushed LSN, not later ones: those up to there are in the manifest, so that
//! the output cannot outlive a delete that was lost with an unsynced log. Columns that the catalog has dropped are left
//! out; they never come back. A segment that turns out to be damaged is not read by any merge again.

use std::collections::{BTreeSet, HashSet};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::Duration;

use super::Shard;
use super::state::TableState;
use crate::compaction::picker::Choice;
use crate::compaction::{Input, MergeTarget, merge};
use crate::disk::Disk;
use crate::error::{Error, Result};
use crate::manifest::{Edit, SegmentEntry};
use crate::schema::TableId;
use crate::segment::{Origin, Segment};
use crate::tombstone::Deletes;

/// A merge to be done.
pub(super) struct Job<D: Disk> {
    pub(super) table: TableId,
    pub(super) partition_start: i64,
    pub(super) inputs: Vec<Rc<Segment<D>>>,
    pub(super) choice: Choice,
}

impl<D: Disk> Shard<D> {
    /// The task that compacts: polled until [`Shard::close`]. After an error it may be polled anew, with a pause that
    /// is the caller's to choose; nothing was changed. A damaged segment is no error: it is left alone from then on.
    pub async fn run_compaction(&self) -> Result<()> {
        enum Task {
            Remove,
            Merge,
            End,
        }
        let next = || match () {
            () if self.closing.get() => Some(Task::End),
            () if self.has_unread() => Some(Task::Remove),
            () => (!self.compacting.get() && !self.agenda.borrow().is_empty()).then_some(Task::Merge),
        };
        loop {
            match self.changed.until(next).await {
                Task::Remove => self.remove_unread().await,
                Task::Merge => drop(self.merge_next(None).await?),
                Task::End => return Ok(()),
            }
        }
    }

    /// Merges until nothing is left to merge.
    pub async fn compact(&self) -> Result<()> {
        self.note_all();
        self.merge_all(None).await
    }

    /// Merges until nothing of these tables is left to merge.
    pub async fn compact_tables(&self, tables: &BTreeSet<TableId>) -> Result<()> {
        tables.iter().for_each(|table| self.note_table(*table));
        self.merge_all(Some(tables)).await
    }

    async fn merge_all(&self, of: Option<&BTreeSet<TableId>>) -> Result<()> {
        loop {
            self.changed.until(|| (!self.compacting.get()).then_some(())).await;
            if !self.merge_next(of).await? {
                self.remove_unread().await;
                return Ok(());
            }
        }
    }

    /// Carries out the most urgent merge, or the most urgent of some tables; false where there is none. Nobody else
    /// merges meanwhile.
    async fn merge_next(&self, of: Option<&BTreeSet<TableId>>) -> Result<bool> {
        self.compacting.set(true);
        let _compacting = Compacting(self);
        match self.next_job(of).await {
            Some(job) => self.carry_out(job).await.map(|()| true),
            None => Ok(false),
        }
    }

    /// Says what time it is, on any clock that does not go back. To be called some times a second: it is the clock of
    /// the bandwidth budget, and of what is cold.
    pub fn tick(&self, now: Duration) {
        /// Partitions need not turn cold to the second, and looking at all of them takes a while.
        const LOOK: Duration = Duration::from_secs(1);
        self.pace.tick(now);
        let since = self.clock.get().map_or(now, |clock| clock.since);
        let looked = self.clock.get().map_or(now, |clock| clock.looked);
        let look = now.saturating_sub(looked) >= LOOK;
        self.clock.set(Some(Clock { now, since, looked: if look { now } else { looked } }));
        if look {
            self.note_cold(now);
            if !self.agenda.borrow().is_empty() {
                self.changed.notify();
            }
        }
    }

    /// Bytes of the merges that are due.
    pub fn merge_debt_bytes(&self) -> u64 {
        self.agenda.borrow().debt_bytes()
    }

    async fn carry_out(&self, job: Job<D>) -> Result<()> {
        // Whatever becomes of it, the partition is to be looked at again.
        self.agenda.borrow_mut().note((job.table, job.partition_start));
        let rows: u64 = job.inputs.iter().map(|segment| segment.meta().rows).sum();
        match self.with_reserve(job.choice.bytes, async || self.merge(&job).await).await {
            Ok(()) => {
                self.count(|counts| {
                    counts.merges += 1;
                    counts.rows_merged += rows;
                });
                Ok(())
            }
            Err(Error::Closed) if self.closing.get() => Ok(()),
            Err(error) => {
                self.count(|counts| counts.merge_failures += 1);
                match damaged(&job, &error) {
                    Some(file) => {
                        log::error!("shard {}: {error}; it is not merged any more", self.config.shard);
                        self.quarantined.borrow_mut().insert(file);
                        Ok(())
                    }
                    None => Err(error),
                }
            }
        }
    }

    async fn merge(&self, job: &Job<D>) -> Result<()> {
        let lsn = self.flushed_lsn();
        let cover = Rc::new(self.deletes_up_to(job.table, lsn).await);
        let input = |segment: &Rc<Segment<D>>| Input {
            segment: segment.clone(),
            deletes: Deletes::after(&cover, segment.meta().lsn),
        };
        let inputs = job.inputs.iter().map(input).collect();
        let stored = self.state.borrow().tables.get(&job.table).map(|table| table.series_stored);
        let Some(stored) = stored else { return Ok(()) };
        let series = self.series_mark(job.table, stored).await;
        let columns = self.columns(job.table);
        let target = MergeTarget {
            table: job.table,
            partition_start: job.partition_start,
            effort: job.choice.effort,
            segment_bytes: even_share(job.choice.bytes, self.config.compaction.segment_bytes_max),
            band_rows_max: self.config.compaction.band_rows_max,
            origin: Origin { lsn: lsn.0, series },
            codecs: &columns.codecs,
            dropped: &columns.dropped,
        };
        let metas = merge(&self.disk, inputs, &target, || self.next_path("seg"), &self.pace).await?;
        let mut outputs = Vec::with_capacity(metas.len());
        for meta in &metas {
            let path = self.folders.segments.join(&meta.file);
            match Segment::open(&self.disk, &path, meta, self.cache.clone()).await {
                Ok(segment) => outputs.push(segment),
                Err(error) => {
                    self.discard(metas.iter().map(|meta| self.folders.segments.join(&meta.file))).await;
                    return Err(error);
                }
            }
        }
        self.swap(job, outputs).await
    }

    /// Puts `outputs` in the place of the job's inputs.
    async fn swap(&self, job: &Job<D>, outputs: Vec<Rc<Segment<D>>>) -> Result<()> {
        let _edit = self.edit().await;
        let output_paths = || outputs.iter().map(|segment| segment.path().to_owned());
        let edit = {
            let state = self.state.borrow();
            let entry = |segment: &Rc<Segment<D>>| SegmentEntry {
                table: job.table.0,
                partition_start: job.partition_start,
                meta: segment.meta().clone(),
            };
            let there = state.tables.get(&job.table).and_then(|table| place(table, job));
            there.map(|_| Edit {
                next_file: state.next_file,
                remove_segments: job.inputs.iter().map(|segment| entry(segment).removed()).collect(),
                add_segments: outputs.iter().map(entry).collect(),
                ..Edit::default()
            })
        };
        let Some(edit) = edit else {
            // Inputs were dropped meanwhile, and their rows with them.
            self.discard(output_paths()).await;
            return Ok(());
        };
        if let Err(not_stored) = self.store(&edit).await {
            match not_stored.may_count {
                true => self.state.borrow_mut().unnamed.extend(output_paths()),
                false => self.discard(output_paths()).await,
            }
            return Err(not_stored.error);
        }
        let mut gone = Vec::new();
        {
            let mut state = self.state.borrow_mut();
            state.manifest.apply(edit);
            if let Some(table) = state.tables.get_mut(&job.table)
                && let Some(range) = place(table, job)
                && let Some(segments) = table.partitions.get_mut(&job.partition_start)
            {
                gone.extend(segments.splice(range, outputs));
                if segments.is_empty() {
                    table.partitions.remove(&job.partition_start);
                }
            }
        }
        self.prune_tombstones(vec![job.table]).await;
        self.sweep().await;
        let paths = job.inputs.iter().map(|segment| segment.path().to_owned());
        // The job has them too, and ends with this.
        self.remove_segments(gone, 1, paths).await;
        Ok(())
    }

    /// The segments `gone` are in no manifest any more, and the caller has each of them `held` times more; `files` are
    /// theirs and others. Removes the files, but those of segments that somebody still reads: these go when the last
    /// reader has gone.
    pub(super) async fn remove_segments(
        &self,
        gone: Vec<Rc<Segment<D>>>,
        held: usize,
        files: impl Iterator<Item = PathBuf>,
    ) {
        let in_use: Vec<_> = gone.into_iter().filter(|segment| Rc::strong_count(segment) > 1 + held).collect();
        let used: HashSet<&Path> = in_use.iter().map(|segment| segment.path()).collect();
        let free: Vec<PathBuf> = files.filter(|path| !used.contains(path.as_path())).collect();
        self.state.borrow_mut().condemned.extend(in_use);
        self.discard(free.into_iter()).await;
    }

    /// Whether the last reader of a segment has gone that no manifest names.
    fn has_unread(&self) -> bool {
        self.state.borrow().condemned.iter().any(|segment| Rc::strong_count(segment) == 1)
    }

    /// Removes the files of such segments.
    pub(super) async fn remove_unread(&self) {
        let unread: Vec<_> = {
            let mut state = self.state.borrow_mut();
            state.condemned.extract_if(.., |segment| Rc::strong_count(segment) == 1).collect()
        };
        let paths: Vec<PathBuf> = unread.iter().map(|segment| segment.path().to_owned()).collect();
        drop(unread);
        self.discard(paths.into_iter()).await;
    }

    /// Removes files that no manifest names that can be on the disk. One that cannot be removed is tried again after
    /// the next manifest, and at the next start.
    pub(super) async fn discard(&self, paths: impl Iterator<Item = PathBuf>) {
        for path in paths {
            if let Err(error) = self.disk.remove(&path).await
                && !error.is_not_found()
            {
                log::warn!("shard {}: {error}", self.config.shard);
                self.state.borrow_mut().unnamed.push(path);
            }
        }
    }

    /// Removes the files of edits that are settled now: a manifest has just been stored, and it does not name them.
    pub(super) async fn sweep(&self) {
        let paths = std::mem::take(&mut self.state.borrow_mut().unnamed);
        self.discard(paths.into_iter()).await;
    }
}

/// Where the inputs of a job stand among the segments of their partition, if all of them still do.
fn place<D: Disk>(table: &TableState<D>, job: &Job<D>) -> Option<Range<usize>> {
    let segments = table.partitions.get(&job.partition_start)?;
    let first = job.inputs.first()?;
    let start = segments.iter().position(|segment| Rc::ptr_eq(segment, first))?;
    let found = segments.get(start..start + job.inputs.len())?;
    let same = found.iter().zip(&job.inputs).all(|(a, b)| Rc::ptr_eq(a, b));
    same.then_some(start..start + job.inputs.len())
}

/// The file of the input that an error says is damaged, or that cannot be merged with the others.
fn damaged<D: Disk>(job: &Job<D>, error: &Error) -> Option<String> {
    let of = |segment: &&Rc<Segment<D>>| match error {
        Error::Corrupt { path, .. } => segment.path() == path,
        _ => false,
    };
    let segment = job.inputs.iter().find(of)?;
    Some(segment.meta().file.clone())
}

/// The size of each of the fewest files of at most `bytes_max` that `bytes` make, all of about one size.
fn even_share(bytes: u64, bytes_max: u64) -> u64 {
    bytes.div_ceil(bytes.div_ceil(bytes_max.max(1)).max(1))
}

/// What time it is.
#[derive(Debug, Clone, Copy)]
pub(super) struct Clock {
    now: Duration,
    /// The first time given: what was not touched since then may be as old as that.
    since: Duration,
    /// When all partitions were last looked at for its sake.
    looked: Duration,
}

impl Clock {
    pub(super) fn now(self) -> Duration {
        self.now
    }

    /// Whether a partition is cold at `now` that was last flushed to at `changed`, or not since the first time given.
    pub(super) fn is_cold(self, now: Duration, changed: Option<Duration>, after: Duration) -> bool {
        now.saturating_sub(changed.unwrap_or(self.since)) >= after
    }
}

/// A merge is under way.
struct Compacting<'a, D: Disk>(&'a Shard<D>);

impl<D: Disk> Drop for Compacting<'_, D> {
    fn drop(&mut self) {
        self.0.compacting.set(false);
        self.0.changed.notify();
    }
}
