//! Deletes: rows of some series and times that were written before the delete are gone.
//!
//! A tombstone takes its place in the order of the log ([`Lsn`]): rows logged before it are dead if it covers them,
//! rows logged after it live. Where it still matters follows from the LSN in
//! [`SegmentMeta`](crate::segment::SegmentMeta): a segment's rows are all as old as that, and every delete up to it has
//! been applied to them.
//!
//! There may be very many, and rows to be held against them too. So rows never meet them one by one but by what they
//! [cover] together; [`Deletes`] is that as the rows of one segment see it, [`Tombstones`] what is known of a table.

mod cover;
mod deletes;
mod intervals;
mod list;

use std::rc::Rc;

use roaring::RoaringBitmap;

use crate::segment::SegmentMeta;
use crate::wal::Lsn;
use crate::work;
pub(crate) use cover::Cover;
pub(crate) use deletes::Deletes;
pub(crate) use list::Tombstones;

/// A delete.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Tombstone {
    pub(crate) lsn: Lsn,
    /// First time deleted.
    pub(crate) time_min: i64,
    /// Last time deleted.
    pub(crate) time_max: i64,
    /// Series deleted; `None` for all.
    pub(crate) series: Option<RoaringBitmap>,
}

impl Tombstone {
    /// Whether nothing that came before it is left of its series.
    pub(crate) fn empties(&self) -> bool {
        (self.time_min, self.time_max) == (i64::MIN, i64::MAX)
    }

    /// Memory taken, about.
    pub(crate) fn bytes(&self) -> u64 {
        64 + self.series.as_ref().map_or(0, |series| series.serialized_size() as u64)
    }

    /// Whether rows with such times and series may be deleted.
    pub(crate) fn overlaps(&self, time: (i64, i64), series: (u32, u32)) -> bool {
        work::charge(work::LOOK);
        self.time_min <= time.1
            && time.0 <= self.time_max
            && self.series.as_ref().is_none_or(|set| set.range_cardinality(series.0..=series.1) > 0)
    }

    /// Whether it has still to be applied to rows of a segment.
    pub(crate) fn touches(&self, meta: &SegmentMeta) -> bool {
        self.lsn.0 > meta.lsn && self.overlaps((meta.time_min, meta.time_max), (meta.series_min, meta.series_max))
    }

    /// Whether it covers every row that a segment can have, so that none of them is wanted.
    pub(crate) fn covers_all_of(&self, meta: &SegmentMeta) -> bool {
        self.lsn.0 > meta.lsn
            && self.time_min <= meta.time_min
            && meta.time_max <= self.time_max
            && self.series.as_ref().is_none_or(|set| set.contains_range(meta.series_min..=meta.series_max))
    }

    /// First and last time deleted.
    pub(crate) fn times(&self) -> (i64, i64) {
        (self.time_min, self.time_max)
    }

    /// The share of a segment's rows that it covers, were they spread evenly over times and series.
    pub(crate) fn share(&self, meta: &SegmentMeta) -> f64 {
        let length = |from: i64, to: i64| (i128::from(to) - i128::from(from) + 1).max(0) as f64;
        let time = length(meta.time_min.max(self.time_min), meta.time_max.min(self.time_max));
        let series = u64::from(meta.series_max - meta.series_min) + 1;
        let covered =
            self.series.as_ref().map_or(series, |set| set.range_cardinality(meta.series_min..=meta.series_max));
        time / length(meta.time_min, meta.time_max).max(1.0) * (covered as f64 / series as f64)
    }
}

impl FromIterator<Rc<Tombstone>> for Deletes {
    /// Deletes in the order of the log, of which all count.
    fn from_iter<T: IntoIterator<Item = Rc<Tombstone>>>(tombstones: T) -> Self {
        let mut deletes = Self::default();
        for tombstone in tombstones {
            deletes.add(tombstone.series.as_ref(), tombstone.times(), tombstone.lsn.0);
        }
        deletes
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schema::SeriesId;
    use crate::segment::index::IndexRun;

    fn any(random: &mut fastrand::Rng, lsn: u64) -> Rc<Tombstone> {
        let time_min = if random.u8(0..5) == 0 { i64::MIN } else { random.i64(0..100) };
        let time_max = if random.u8(0..5) == 0 { i64::MAX } else { random.i64(0..100) };
        // Few series, many, or all.
        let series = random.bool().then(|| (0..[3, 30][random.usize(0..2)]).map(|_| random.u32(0..30)).collect());
        Rc::new(Tombstone { lsn: Lsn(lsn), time_min, time_max, series })
    }

    fn covers(delete: &Tombstone, series: u32, time: i64) -> bool {
        (delete.time_min..=delete.time_max).contains(&time)
            && delete.series.as_ref().is_none_or(|set| set.contains(series))
    }

    #[test]
    fn what_is_left_of_runs_is_what_no_delete_covers() {
        for seed in crate::testing::seeds() {
            let mut random = fastrand::Rng::with_seed(seed);
            for _ in 0..500 {
                let (mut runs, mut times) = (Vec::new(), Vec::new());
                for series in 0..random.u32(1..12) {
                    let start = times.len();
                    let (mut time, even) = (random.i64(0..50), random.bool());
                    for _ in 0..random.usize(1..30) {
                        times.push(time);
                        time += if even { 3 } else { random.i64(1..6) };
                    }
                    runs.push(IndexRun::of(SeriesId(series * 2), start, &times[start..]));
                }
                let list: Vec<_> = (1..=random.u64(0..9)).map(|lsn| any(&mut random, lsn)).collect();
                let mut tombstones = Tombstones::default();
                list.iter().for_each(|delete| tombstones.push(delete.clone()));
                let after = random.u64(0..4);
                let deletes = tombstones.after(Lsn(after));
                let is_dead =
                    |series, time| list.iter().any(|delete| delete.lsn.0 > after && covers(delete, series, time));
                let expected: Vec<(u32, i64)> = runs
                    .iter()
                    .flat_map(|run| (run.start..run.start + run.len).map(|row| (row, run.series.0)))
                    .map(|(row, series)| (series, times[row as usize]))
                    .filter(|(series, time)| !is_dead(*series, *time))
                    .collect();
                for run in &runs {
                    for row in run.start..run.start + run.len {
                        let (series, time) = (run.series.0, times[row as usize]);
                        assert_eq!(deletes.covers(series, time), is_dead(series, time), "seed {seed}");
                    }
                }
                let known = (deletes.need_times(&runs) || random.bool()).then_some(times.as_slice());
                deletes.remove_from(&mut runs, known);
                let mut found = Vec::new();
                for run in &runs {
                    let rows = &times[run.start as usize..(run.start + run.len) as usize];
                    assert_eq!((rows.first(), rows.last()), (Some(&run.time_min), Some(&run.time_max)), "seed {seed}");
                    found.extend(rows.iter().map(|time| (run.series.0, *time)));
                }
                assert_eq!(found, expected, "seed {seed} {list:?}");
            }
        }
    }

    #[test]
    fn what_is_forgotten_is_what_nobody_keeps() {
        for seed in crate::testing::seeds() {
            let mut random = fastrand::Rng::with_seed(seed);
            let mut tombstones = Tombstones::default();
            (1..200).for_each(|lsn| tombstones.push(any(&mut random, lsn)));
            let mut at = 0;
            while at < tombstones.as_slice().len() {
                at = tombstones.retain_some(at, 20, |delete| (delete.lsn.0 % 3 == 0, 2));
            }
            let left: Vec<u64> = tombstones.as_slice().iter().map(|delete| delete.lsn.0).collect();
            assert_eq!(left, (1..200).filter(|lsn| lsn % 3 == 0).collect::<Vec<_>>(), "seed {seed}");
            let bytes: u64 = tombstones.as_slice().iter().map(|delete| delete.bytes()).sum();
            assert_eq!(tombstones.bytes(), bytes);
            assert_eq!(tombstones.between(Lsn(3), Lsn(9)).len(), 2);
            // Made of a part of the list, it is of all of it.
            let mut cover = Cover::default();
            for delete in &tombstones.as_slice()[..20] {
                cover.add(delete.series.as_ref(), delete.times(), delete.lsn.0);
            }
            tombstones.set_cover(cover, 20);
            for (series, time) in (0..30).flat_map(|series| (0..100).map(move |time| (series, time))) {
                let expected = tombstones.as_slice().iter().any(|delete| covers(delete, series, time));
                assert_eq!(tombstones.after(Lsn(0)).covers(series, time), expected, "seed {seed}");
            }
        }
    }

    /// Single rows of one series, one delete each: a row is looked up in as many steps as a search takes.
    #[test]
    fn thousands_of_deletes_cost_a_look_each() {
        let mut tombstones = Tombstones::default();
        for number in 0..4000 {
            let series = Some([7].into_iter().collect());
            let (lsn, time) = (Lsn(number + 1), number as i64 * 2);
            tombstones.push(Rc::new(Tombstone { lsn, time_min: time, time_max: time, series }));
        }
        let deletes = tombstones.after(Lsn(0));
        let times: Vec<i64> = (0..4000).collect();
        let mut runs = vec![IndexRun::of(SeriesId(7), 0, &times)];
        work::take();
        deletes.remove_from(&mut runs, Some(&times));
        assert_eq!(runs.len(), 2000, "every second row is gone");
        assert!(work::take() < 4000 * 10);
    }
}
