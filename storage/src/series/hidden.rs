//! Hidden series: those whose rows were all deleted.
//!
//! Ids are positions, so a series never leaves the index. A delete over all times *hides* its series instead: nothing
//! that lists or counts series shows it, and the next row of it, which finds its id as ever, shows it again. A series
//! that lost its rows by other ways (deletes of some times after each other, retention) is not hidden.
//!
//! Which series are hidden follows from the records of the log in their order. The manifest keeps what it was at the
//! flushed record, and a replay goes on from there, so both sides call the same two functions:
//! [`SeriesIndex::hide`] for a delete and [`SeriesIndex::show`] for rows.
//!
//! In memory they are a bit a series, and not a compressed bitmap as in the manifest: each row of a write is looked up
//! while any series of its table is hidden, and one load does it: 0.6 ns a row in a loop of its own, where roaring took
//! 7 to 19.

use roaring::RoaringBitmap;

use super::SeriesIndex;
use crate::schema::SeriesId;

/// Ids of hidden series.
#[derive(Debug, Clone, Default)]
pub(crate) struct Hidden {
    /// A bit an id, the least first; those after the end are 0.
    words: Vec<u64>,
    /// Bits that are 1.
    count: u64,
}

impl Hidden {
    pub(crate) fn is_empty(&self) -> bool {
        self.count == 0
    }

    pub(super) fn contains(&self, id: u32) -> bool {
        self.words.get((id / 64) as usize).is_some_and(|word| word >> (id % 64) & 1 == 1)
    }

    /// As a bitmap.
    pub(crate) fn to_bitmap(&self) -> RoaringBitmap {
        let bytes: Vec<u8> = self.words.iter().flat_map(|word| word.to_le_bytes()).collect();
        RoaringBitmap::from_lsb0_bytes(0, &bytes)
    }

    pub(super) fn memory_bytes(&self) -> usize {
        self.words.capacity() * size_of::<u64>()
    }

    fn insert(&mut self, id: u32) {
        let at = (id / 64) as usize;
        if at >= self.words.len() {
            self.words.resize(at + 1, 0);
        }
        self.count += u64::from(!self.contains(id));
        self.words[at] |= 1 << (id % 64);
    }

    fn insert_all_below(&mut self, end: u32) {
        self.words = vec![u64::MAX; (end / 64) as usize];
        self.words.extend((!end.is_multiple_of(64)).then(|| (1 << (end % 64)) - 1));
        self.count = end.into();
    }

    fn remove(&mut self, id: u32) {
        if self.contains(id) {
            self.words[(id / 64) as usize] &= !(1 << (id % 64));
            self.count -= 1;
        }
    }
}

impl SeriesIndex {
    /// Number of series that are not hidden.
    pub fn live_len(&self) -> usize {
        self.len() - self.hidden.count as usize
    }

    /// Number of series that are hidden.
    pub fn hidden_len(&self) -> usize {
        self.hidden.count as usize
    }

    /// The series that are not hidden, ascending.
    pub fn live(&self) -> impl Iterator<Item = SeriesId> {
        (0..self.len() as u32).filter(|id| !self.hidden.contains(*id)).map(SeriesId)
    }

    /// The series that are hidden.
    pub(crate) fn hidden(&self) -> &Hidden {
        &self.hidden
    }

    /// Hides some series, or all that there are now; such as there are none of are passed over.
    pub(crate) fn hide(&mut self, series: Option<&RoaringBitmap>) {
        let len = self.len() as u32;
        match series {
            None => self.hidden.insert_all_below(len),
            Some(series) => series.iter().take_while(|id| *id < len).for_each(|id| self.hidden.insert(id)),
        }
    }

    /// A record came with keys alone: their series, those from `first_new` on, have no rows yet.
    pub(crate) fn hide_new(&mut self, first_new: u32) {
        (first_new..self.len() as u32).for_each(|id| self.hidden.insert(id));
    }

    /// A record with rows of `series` came. Where nothing is hidden, as nearly always, this is one test.
    #[inline]
    pub(crate) fn show(&mut self, series: &[u32]) {
        if !self.hidden.is_empty() {
            self.show_each(series);
        }
    }

    #[inline(never)]
    fn show_each(&mut self, series: &[u32]) {
        series.iter().for_each(|id| self.hidden.remove(*id));
        if self.hidden.is_empty() {
            self.hidden = Hidden::default();
        }
    }

    /// Takes over what was kept; says what is wrong where it names series that there are none of.
    pub(crate) fn restore_hidden(&mut self, kept: &RoaringBitmap) -> Result<(), String> {
        match kept.max() {
            Some(last) if last as usize >= self.len() => {
                Err(format!("series {last} of {} is hidden, and their ids begin with 0", self.len()))
            }
            _ => {
                self.hidden = Hidden::default();
                self.hide(Some(kept));
                Ok(())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::super::SeriesSketch;
    use super::*;
    use crate::batch::NewSeries;
    use crate::schema::{ColumnId, TableId};
    use crate::testing::seeds;

    fn add(index: &mut SeriesIndex, count: u32) {
        let mut keys = NewSeries::default();
        for id in index.len() as u32..index.len() as u32 + count {
            keys.push([(ColumnId(0), format!("host{id}").as_bytes())]);
        }
        index.insert_all(&keys);
    }

    #[test]
    fn what_is_live_is_what_had_rows_since() {
        for seed in seeds() {
            let mut random = fastrand::Rng::with_seed(seed);
            let (mut index, mut live) = (SeriesIndex::default(), BTreeSet::new());
            for _ in 0..200 {
                let known = index.len() as u32;
                match random.u8(0..4) {
                    0 => {
                        index.hide(None);
                        live.clear();
                    }
                    1 => {
                        // Some of them do not exist.
                        let series: RoaringBitmap = (0..20).map(|_| random.u32(0..known + 20)).collect();
                        index.hide(Some(&series));
                        live.retain(|id| !series.contains(*id));
                    }
                    _ => {
                        let new = random.u32(0..5);
                        add(&mut index, new);
                        let end = known + new;
                        let rows: Vec<u32> = (0..random.u32(0..40)).map(|_| random.u32(0..end.max(1))).collect();
                        let rows = if end == 0 { &[][..] } else { &rows };
                        if rows.is_empty() && random.bool() {
                            index.hide_new(known);
                        } else {
                            index.show(rows);
                            live.extend((known..end).chain(rows.iter().copied()));
                        }
                    }
                }
                assert_eq!(index.live().map(|id| id.0).collect::<BTreeSet<_>>(), live, "seed {seed}");
                assert_eq!(index.live_len(), live.len(), "seed {seed}");
                let hidden: RoaringBitmap = (0..index.len() as u32).filter(|id| !live.contains(id)).collect();
                assert_eq!((index.hidden().to_bitmap(), index.hidden_len()), (hidden.clone(), hidden.len() as usize));
                let mut restored = SeriesIndex::default();
                add(&mut restored, index.len() as u32);
                restored.restore_hidden(&hidden).unwrap();
                assert!(restored.live().eq(index.live()), "seed {seed}");
                let mut counted = SeriesSketch::default();
                index.sketch(TableId(3), &mut counted);
                let mut expected = SeriesSketch::default();
                let mut alone = SeriesIndex::default();
                let mut keys = NewSeries::default();
                live.iter().for_each(|id| {
                    keys.push([(ColumnId(0), format!("host{id}").as_bytes())]);
                });
                alone.insert_all(&keys);
                alone.sketch(TableId(3), &mut expected);
                assert_eq!(counted, expected, "seed {seed}");
            }
        }
    }

    #[test]
    fn a_kept_set_must_be_of_series_that_there_are() {
        let mut index = SeriesIndex::default();
        add(&mut index, 3);
        let wrong = index.restore_hidden(&[1, 3].into()).unwrap_err();
        assert_eq!(wrong, "series 3 of 3 is hidden, and their ids begin with 0");
        assert_eq!(index.live_len(), 3);
        index.restore_hidden(&[1].into()).unwrap();
        assert_eq!(index.live().collect::<Vec<_>>(), [SeriesId(0), SeriesId(2)]);
        assert_eq!(index.find(index.keys.get(1)), Some(SeriesId(1)), "its id stays its own");
    }
}
