//! Hidden series: those whose rows were all deleted.
//!
//! Ids are positions, so a series never leaves the index. A delete over all times *hides* its series instead: nothing that
//! lists or counts series shows it, and the next row of it, which finds its id as ever, shows it again. A series that
//! lost its rows by other ways (deletes of some times after each other, retention) is not hidden.
//!
//! Which series are hidden follows from the records of the log in their order. The manifest keeps what it was at the
//! flushed record, and a replay goes on from there, so both sides call the same two functions:
//! [`SeriesIndex::hide`] for a delete and [`SeriesIndex::show`] for rows.
//!
//! In memory the set has no runs: taking members out of the middle of one costs as much as there are runs by then.

use roaring::RoaringBitmap;

use super::SeriesIndex;
use crate::schema::SeriesId;

impl SeriesIndex {
    /// Number of series that are not hidden.
    pub fn live_len(&self) -> usize {
        self.len() - self.hidden.len() as usize
    }

    /// The series that are not hidden, ascending.
    pub fn live(&self) -> impl Iterator<Item = SeriesId> {
        let mut hidden = self.hidden.iter().peekable();
        (0..self.len() as u32).filter(move |id| hidden.next_if_eq(id).is_none()).map(SeriesId)
    }

    /// The series that are hidden.
    pub fn hidden(&self) -> &RoaringBitmap {
        &self.hidden
    }

    /// Hides some series, or all that there are now; such as there are none of are passed over.
    pub(crate) fn hide(&mut self, series: Option<&RoaringBitmap>) {
        let len = self.len() as u32;
        match series {
            None => {
                self.hidden.insert_range(0..len);
            }
            Some(series) => {
                self.hidden |= series;
                self.hidden.remove_range(len..);
            }
        }
        self.hidden.remove_run_compression();
    }

    /// A record with rows of `series` came, and with the keys of the series from `first_new` on, of which none is hidden
    /// now. Where nothing is, as nearly always, this is one test.
    #[inline]
    pub(crate) fn show(&mut self, first_new: u32, series: &[u32]) {
        if !self.hidden.is_empty() {
            self.show_each(first_new, series);
        }
    }

    #[cold]
    fn show_each(&mut self, first_new: u32, series: &[u32]) {
        self.hidden.remove_range(first_new..);
        let (Some(first), Some(last)) = (self.hidden.min(), self.hidden.max()) else { return };
        let mut before = None;
        for &id in series {
            // Rows of a series mostly follow each other, and most series of a table that was emptied for good are new.
            if before != Some(id) && first <= id && id <= last {
                self.hidden.remove(id);
            }
            before = Some(id);
        }
    }

    /// Takes over what was kept; says what is wrong where it names series that there are none of.
    pub(crate) fn restore_hidden(&mut self, hidden: RoaringBitmap) -> Result<(), String> {
        match hidden.max() {
            Some(last) if last as usize >= self.len() => {
                Err(format!("series {last} of {} is hidden, and their ids begin with 0", self.len()))
            }
            _ => {
                self.hidden = hidden;
                self.hidden.remove_run_compression();
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
                        index.show(known, rows);
                        live.extend((known..end).chain(rows.iter().copied()));
                    }
                }
                assert_eq!(index.live().map(|id| id.0).collect::<BTreeSet<_>>(), live, "seed {seed}");
                assert_eq!(index.live_len(), live.len(), "seed {seed}");
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
        let wrong = index.restore_hidden([1, 3].into()).unwrap_err();
        assert_eq!(wrong, "series 3 of 3 is hidden, and their ids begin with 0");
        assert_eq!(index.live_len(), 3);
        index.restore_hidden([1].into()).unwrap();
        assert_eq!(index.live().collect::<Vec<_>>(), [SeriesId(0), SeriesId(2)]);
        assert_eq!(index.find(index.keys.get(1)), Some(SeriesId(1)), "its id stays its own");
    }
}
