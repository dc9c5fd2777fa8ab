//! Which groups can still hold the first or the last row of a series, for scans that want no more than those.
//!
//! Guarantee: a group is passed over only if of each of its series a row further out, with a value in every column, is
//! known. So the cost of last rows is that of the newest groups that have them, however many older ones there are.
//!
//! How: partitions are visited from the wanted end, and so are the sources of one and the groups of a source. Each
//! visited group teaches the outermost row of its series: by the footer alone where the group holds one series, else by
//! its index. The rows themselves are read afterwards, by the walk in [`partition`](super::partition), among the groups
//! that are left, and no further in than the row that is known.

use std::ops::RangeInclusive;

use roaring::RoaringBitmap;

use super::mode::ScanMode;

/// The outermost row known of each series that has a value in every column.
///
/// Times are held as keys that are greater the further out they are: themselves towards the last row, their bitwise
/// complement towards the first.
#[derive(Debug)]
pub(super) struct Ends {
    towards_first: bool,
    /// By series; `i64::MIN` where no row is known, `i64::MAX` where the series is not asked for.
    known: Vec<i64>,
    /// What holds for series past the end of `known`.
    beyond: i64,
}

impl Ends {
    /// For a scan of `series` (`None` for all); `None` where the mode wants more than ends.
    pub(super) fn new(mode: &ScanMode, series: Option<&RoaringBitmap>) -> Option<Self> {
        let towards_first = match mode {
            ScanMode::FirstRow => true,
            ScanMode::LastRow => false,
            ScanMode::Rows | ScanMode::Summaries(_) => return None,
        };
        let Some(series) = series else { return Some(Self { towards_first, known: Vec::new(), beyond: i64::MIN }) };
        let mut known = vec![i64::MAX; series.max().map_or(0, |last| last as usize + 1)];
        for wanted in series {
            known[wanted as usize] = i64::MIN;
        }
        Some(Self { towards_first, known, beyond: i64::MAX })
    }

    /// Whether the first row is wanted, not the last.
    pub(super) fn towards_first(&self) -> bool {
        self.towards_first
    }

    /// Memory of it.
    pub(super) fn bytes(&self) -> u64 {
        self.known.capacity() as u64 * 8
    }

    /// The end of a stretch of time that counts here.
    pub(super) fn outer(&self, time_min: i64, time_max: i64) -> i64 {
        if self.towards_first { time_min } else { time_max }
    }

    /// How far out a time is.
    pub(super) fn key(&self, time: i64) -> i64 {
        if self.towards_first { !time } else { time }
    }

    /// Whether rows of `series` with times within `time_min..=time_max` are of no use.
    pub(super) fn are_past(&self, series: RangeInclusive<u32>, time_min: i64, time_max: i64) -> bool {
        let key = self.key(self.outer(time_min, time_max));
        let (from, past) = (*series.start() as usize, *series.end() as usize + 1);
        let known = &self.known[from.min(self.known.len())..past.min(self.known.len())];
        (past <= self.known.len() || self.beyond > key) && known.iter().all(|known| *known > key)
    }

    /// What of the times `asked` for is left of a series: the known row and what lies further out. Groups that were
    /// passed over have no row there.
    pub(super) fn left_of(&self, series: u32, asked: (i64, i64)) -> (i64, i64) {
        let known = self.known.get(series as usize).copied().unwrap_or(self.beyond);
        if self.towards_first { (asked.0, asked.1.min(!known)) } else { (asked.0.max(known), asked.1) }
    }

    /// Takes in that `series` has a row at `time` with a value in every column.
    pub(super) fn learn(&mut self, series: u32, time: i64) {
        let at = series as usize;
        if at >= self.known.len() {
            if self.beyond == i64::MAX {
                return;
            }
            self.known.resize(at + 1, self.beyond);
        }
        self.known[at] = self.known[at].max(self.key(time));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_row_known_makes_older_ones_useless() {
        let mut ends = Ends::new(&ScanMode::LastRow, None).unwrap();
        assert!(!ends.are_past(3..=3, 0, 10), "nothing is known");
        ends.learn(3, 11);
        assert!(ends.are_past(3..=3, 0, 10));
        assert!(!ends.are_past(3..=3, 0, 11), "a newer source may have the same row");
        assert!(!ends.are_past(2..=3, 0, 10) && !ends.are_past(3..=4, 0, 10), "neighbours are not known");
        ends.learn(3, 5);
        assert!(ends.are_past(3..=3, 0, 10), "an older row takes nothing away");
        assert_eq!((ends.left_of(3, (0, 20)), ends.left_of(2, (0, 20))), ((11, 20), (0, 20)));
    }

    #[test]
    fn towards_the_first_row_everything_is_mirrored() {
        let mut ends = Ends::new(&ScanMode::FirstRow, None).unwrap();
        ends.learn(0, i64::MIN + 1);
        assert!(ends.are_past(0..=0, i64::MIN + 2, i64::MAX) && !ends.are_past(0..=0, i64::MIN + 1, 0));
        assert_eq!(ends.left_of(0, (i64::MIN, i64::MAX)), (i64::MIN, i64::MIN + 1));
        assert_eq!(ends.left_of(7, (i64::MIN, i64::MAX)), (i64::MIN, i64::MAX));
    }

    #[test]
    fn series_that_nobody_asked_for_hold_nothing_up() {
        let wanted = RoaringBitmap::from([5]);
        let mut ends = Ends::new(&ScanMode::LastRow, Some(&wanted)).unwrap();
        assert!(ends.are_past(0..=4, 0, 10) && ends.are_past(6..=900, 0, 10) && !ends.are_past(0..=900, 0, 10));
        ends.learn(900, 50);
        ends.learn(5, 50);
        assert!(ends.are_past(0..=900, 0, 10));
        assert!(Ends::new(&ScanMode::Rows, None).is_none());
    }
}
