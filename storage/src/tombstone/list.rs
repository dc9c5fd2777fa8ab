//! The deletes of one table that are not yet applied to every segment: in the order of the log, for the manifest, and
//! as a [`Cover`], for rows.

use std::rc::Rc;

use super::{Cover, Deletes, Tombstone};
use crate::segment::SegmentMeta;
use crate::wal::Lsn;

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Tombstones {
    list: Vec<Rc<Tombstone>>,
    /// Of the list; some that were forgotten may be in it, which cover nothing that is left.
    cover: Rc<Cover>,
    bytes: u64,
}

impl Tombstones {
    /// Adds one that is newer than those before.
    pub(crate) fn push(&mut self, tombstone: Rc<Tombstone>) {
        debug_assert!(self.list.last().is_none_or(|last| last.lsn <= tombstone.lsn), "deletes come in their order");
        self.bytes += tombstone.bytes();
        Rc::make_mut(&mut self.cover).add(tombstone.series.as_ref(), tombstone.times(), tombstone.lsn.0);
        self.list.push(tombstone);
    }

    /// All of them, in the order of the log.
    pub(crate) fn as_slice(&self) -> &[Rc<Tombstone>] {
        &self.list
    }

    /// Those of the log records `after..=to`.
    pub(crate) fn between(&self, after: Lsn, to: Lsn) -> &[Rc<Tombstone>] {
        let from = self.list.partition_point(|tombstone| tombstone.lsn <= after);
        let to = self.list.partition_point(|tombstone| tombstone.lsn <= to);
        &self.list[from..to.max(from)]
    }

    /// Memory taken, about.
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Those of log records after `lsn`, as rows meet them.
    pub(crate) fn after(&self, lsn: Lsn) -> Deletes {
        Deletes::after(&self.cover, lsn.0)
    }

    /// Those that have to be applied to the rows of a segment.
    pub(crate) fn of(&self, meta: &SegmentMeta) -> Deletes {
        let deletes = self.after(Lsn(meta.lsn));
        let touch = deletes.overlaps((meta.time_min, meta.time_max), (meta.series_min, meta.series_max));
        if touch { deletes } else { Deletes::default() }
    }

    /// Of the first ones from `at` on, forgets those that `keep` does not want, until `looks_max` looks were taken; how
    /// many looks one took is what it says beside. Gives where to go on.
    pub(crate) fn retain_some(
        &mut self,
        at: usize,
        looks_max: usize,
        mut keep: impl FnMut(&Tombstone) -> (bool, usize),
    ) -> usize {
        let (mut looks, mut to, mut kept) = (0, at, at);
        while to < self.list.len() && looks < looks_max {
            let (is_kept, taken) = keep(&self.list[to]);
            looks += taken + 1;
            if is_kept {
                self.list.swap(kept, to);
                kept += 1;
            } else {
                self.bytes -= self.list[to].bytes();
            }
            to += 1;
        }
        self.list.drain(kept..to);
        kept
    }

    /// Takes over a cover that was made of the first `count` of the list.
    pub(crate) fn set_cover(&mut self, mut cover: Cover, count: usize) {
        for tombstone in &self.list[count.min(self.list.len())..] {
            cover.add(tombstone.series.as_ref(), tombstone.times(), tombstone.lsn.0);
        }
        self.cover = Rc::new(cover);
    }
}
