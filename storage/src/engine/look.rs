//! What there is to merge: partitions are looked at when something of them has changed, and now and then for whether
//! they have turned cold; what was found is kept in the [`Agenda`](crate::compaction::agenda::Agenda).

use std::collections::BTreeSet;
use std::ops::Bound;
use std::rc::Rc;
use std::time::Duration;

use super::Shard;
use super::compact::Job;
use super::state::{State, TableState};
use crate::compaction::agenda::Spot;
use crate::compaction::picker::{self, Choice, SegmentInfo};
use crate::disk::Disk;
use crate::partition::partition_of;
use crate::schema::{ColumnId, TableId};
use crate::segment::Segment;
use crate::tombstone::Tombstone;
use crate::wal::Lsn;

/// Partitions that are looked at for whether they are cold, at a time: each of a hundred thousand within half a minute.
const COLD_SPOTS: usize = 4096;

/// Tombstones that are held against segments between two yields.
const TOMBSTONES_AT_ONCE: usize = 1 << 12;

/// What tombstones have left of a segment.
#[derive(Debug, Clone, Copy, Default)]
struct Dead {
    /// The share of its rows that is gone, about.
    share: f64,
    /// Tombstones that touch it.
    tombstones: usize,
}

impl<D: Disk> Shard<D> {
    /// Every partition is to be looked at.
    pub(super) fn note_all(&self) {
        let (state, mut agenda) = (self.state.borrow(), self.agenda.borrow_mut());
        for (table, known) in &state.tables {
            known.partitions.keys().for_each(|start| agenda.note((*table, *start)));
        }
    }

    /// Every partition of a table is to be looked at.
    pub(super) fn note_table(&self, table: TableId) {
        let (state, mut agenda) = (self.state.borrow(), self.agenda.borrow_mut());
        let known = state.tables.get(&table).into_iter().flat_map(|known| known.partitions.keys());
        known.for_each(|start| agenda.note((table, *start)));
    }

    /// The partitions are to be looked at that tombstones after `before` may touch, up to the flushed ones.
    pub(super) fn note_deletes(&self, before: Lsn) {
        let (state, mut agenda) = (self.state.borrow(), self.agenda.borrow_mut());
        let flushed = Lsn(state.manifest.flushed_lsn);
        for (table, known) in state.with_tombstones() {
            for tombstone in known.tombstones.between(before, flushed) {
                let from = partition_of(tombstone.time_min, known.partition_length);
                let within = known.partitions.range(from..=tombstone.time_max.max(from));
                within.for_each(|(start, _)| agenda.note((table, *start)));
            }
        }
    }

    /// Some more partitions, in turn, are to be looked at if they may be cold and were not merged for it.
    pub(super) fn note_cold(&self, now: Duration) {
        let (state, mut agenda) = (self.state.borrow(), self.agenda.borrow_mut());
        let from = self.cold_from.get();
        let mut spots = spots_after(&state, from).take(COLD_SPOTS);
        let mut last = None;
        for (spot, known, segments) in &mut spots {
            last = Some(spot);
            let changed = known.changed.get(&spot.1).copied();
            let is_cold =
                self.clock.get().is_some_and(|clock| clock.is_cold(now, changed, self.config.compaction.cold_after));
            let is_deleted_from = !known.tombstones.as_slice().is_empty();
            if is_cold && (is_deleted_from || segments.len() > 1 || segments.iter().any(|segment| !segment.meta().hard))
            {
                agenda.note(spot);
            }
        }
        // At the end it begins anew.
        self.cold_from.set(last);
    }

    /// Looks at all that is noted, and gives the most urgent merge of all, or of some tables.
    pub(super) async fn next_job(&self, of: Option<&BTreeSet<TableId>>) -> Option<Job<D>> {
        loop {
            loop {
                let spot = self.agenda.borrow_mut().take_noted();
                let Some(spot) = spot.filter(|_| !self.closing.get()) else { break };
                self.look(spot).await;
                self.disk.yield_if_needed().await;
            }
            if self.closing.get() {
                return None;
            }
            let (spot, choice) = {
                let agenda = self.agenda.borrow();
                let (spot, choice) = match of {
                    Some(tables) => agenda.most_urgent_of(tables)?,
                    None => agenda.most_urgent()?,
                };
                (spot, choice.clone())
            };
            let state = self.state.borrow();
            let segments = state.tables.get(&spot.0).and_then(|known| known.partitions.get(&spot.1));
            if let Some(inputs) = segments.and_then(|segments| segments.get(choice.segments.clone())) {
                return Some(Job { table: spot.0, partition_start: spot.1, inputs: inputs.to_vec(), choice });
            }
            // It has gone since.
            self.agenda.borrow_mut().set(spot, None);
        }
    }

    /// Looks at a partition.
    async fn look(&self, spot: Spot) {
        let Some(segments) = self.segments_at(spot) else { return self.agenda.borrow_mut().set(spot, None) };
        let flushed = self.flushed_lsn();
        let mut dead = Vec::with_capacity(segments.len());
        for segment in &segments {
            dead.push(self.dead(spot.0, segment, flushed).await);
        }
        let is_same = self
            .segments_at(spot)
            .is_some_and(|now| now.len() == segments.len() && now.iter().zip(&segments).all(|(a, b)| Rc::ptr_eq(a, b)));
        match is_same {
            true => {
                let choice = self.choose(spot, &segments, &dead);
                self.agenda.borrow_mut().set(spot, choice);
            }
            false => self.agenda.borrow_mut().note(spot),
        }
    }

    /// The segments of a partition that may be merged.
    fn segments_at(&self, (table, start): Spot) -> Option<Vec<Rc<Segment<D>>>> {
        let state = self.state.borrow();
        let known = state.tables.get(&table)?;
        // Where one cannot be opened, what is older and what is newer than its rows must stay apart.
        known.partitions.get(&start).filter(|_| !known.unreadable.contains_key(&start)).cloned()
    }

    fn choose(&self, (table, start): Spot, segments: &[Rc<Segment<D>>], dead: &[Dead]) -> Option<Choice> {
        let config = &self.config.compaction;
        let dropped = self.columns(table).dropped;
        let infos: Vec<_> =
            segments.iter().zip(dead).map(|(segment, dead)| self.info(segment, *dead, &dropped)).collect();
        let changed = self.state.borrow().tables.get(&table).and_then(|known| known.changed.get(&start).copied());
        let cold = self.clock.get().is_some_and(|clock| clock.is_cold(clock.now(), changed, config.cold_after));
        picker::pick(&infos, cold, config.segment_bytes_max)
    }

    /// What tombstones up to `flushed` have left of a segment.
    async fn dead(&self, table: TableId, segment: &Segment<D>, flushed: Lsn) -> Dead {
        let (mut dead, mut after) = (Dead::default(), Lsn(segment.meta().lsn));
        loop {
            {
                let state = self.state.borrow();
                let Some(known) = state.tables.get(&table) else { return dead };
                let due = known.tombstones.between(after, flushed);
                let some = &due[..due.len().min(TOMBSTONES_AT_ONCE)];
                let touch = some.iter().filter(|tombstone: &&Rc<Tombstone>| tombstone.touches(segment.meta()));
                for tombstone in touch {
                    dead.share += tombstone.share(segment.meta());
                    dead.tombstones += 1;
                }
                match some.last() {
                    Some(last) if some.len() < due.len() => after = last.lsn,
                    _ => return dead,
                }
            }
            self.disk.yield_if_needed().await;
        }
    }

    fn info(&self, segment: &Segment<D>, dead: Dead, dropped: &[ColumnId]) -> SegmentInfo {
        let meta = segment.meta();
        SegmentInfo {
            bytes: meta.bytes,
            time: (meta.time_min, meta.time_max),
            series: (meta.series_min, meta.series_max),
            dead_bytes: (meta.bytes as f64 * f64::min(dead.share, 1.0)) as u64,
            deleted_from: dead.tombstones > 0,
            dropped_bytes: segment.bytes_without(dropped),
            hard: meta.hard,
            quarantined: self.quarantined.borrow().contains(&meta.file) || !segment.damage().is_empty(),
        }
    }
}

/// A partition with its table and its segments.
type Place<'a, D> = (Spot, &'a TableState<D>, &'a [Rc<Segment<D>>]);

/// All partitions after one.
fn spots_after<D: Disk>(state: &State<D>, after: Option<Spot>) -> impl Iterator<Item = Place<'_, D>> {
    let first = after.map_or(TableId(0), |spot| spot.0);
    state.tables.range(first..).flat_map(move |(table, known)| {
        let from = match after {
            Some((last, start)) if last == *table => Bound::Excluded(start),
            _ => Bound::Unbounded,
        };
        let partitions = known.partitions.range((from, Bound::Unbounded));
        partitions.map(move |(start, segments)| ((*table, *start), known, segments.as_slice()))
    })
}
