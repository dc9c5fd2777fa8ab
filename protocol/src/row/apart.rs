//! Log entries of one series that name one time, kept apart.
//!
//! Rows of one series and one time are one row, but entries with one time are as many entries: shippers of logs name
//! times of a microsecond or a millisecond, in which several fall. So of entries of a request that follow each other
//! with one time, each next one of a series comes a nanosecond later. Where the door says what an entry says, one that
//! says the same again is the same row.
//!
//! Entries are known by hashes. What one who knows how to make these collide gets is another nanosecond, or one of his
//! own entries instead of two.

use std::collections::HashMap;

use rapidhash::v3::rapidhash_v3;

/// Series and entries of one time that are known apart. What comes after as many, all with one time, begins anew.
const KNOWN_MAX: usize = 1 << 16;

/// The entries of a request that have named the time that the last one did.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Apart {
    time: Option<i64>,
    /// How many there were of each series.
    counts: HashMap<u64, i64>,
    /// The times of those that say what they say.
    taken: HashMap<u64, i64>,
}

impl Apart {
    /// The time of an entry of `series` that names `time`, and says `line` if the door knows of that.
    pub fn time(&mut self, time: i64, series: &[u8], line: Option<&str>) -> i64 {
        if self.time != Some(time) || self.counts.len().max(self.taken.len()) >= KNOWN_MAX {
            self.time = Some(time);
            self.counts.clear();
            self.taken.clear();
        }
        let series = rapidhash_v3(series);
        let entry = line.map(|line| rapidhash_v3(line.as_bytes()) ^ series.rotate_left(1));
        if let Some(known) = entry.and_then(|entry| self.taken.get(&entry)) {
            return *known;
        }
        let count = self.counts.entry(series).or_default();
        let taken = time.saturating_add(*count);
        *count += 1;
        if let Some(entry) = entry {
            self.taken.insert(entry, taken);
        }
        taken
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_of_a_series_come_one_after_the_other() {
        let mut apart = Apart::default();
        let given =
            [(5, "a"), (5, "a"), (5, "b"), (5, "b"), (5, "a"), (6, "a"), (5, "a"), (i64::MAX, "a"), (i64::MAX, "a")];
        let times: Vec<i64> =
            given.into_iter().map(|(time, series)| apart.time(time, series.as_bytes(), None)).collect();
        assert_eq!(times, [5, 6, 5, 6, 7, 6, 5, i64::MAX, i64::MAX]);
    }

    #[test]
    fn what_says_the_same_is_the_same() {
        let mut apart = Apart::default();
        let given = [("a", "x"), ("a", "y"), ("b", "x"), ("a", "x"), ("b", "y"), ("a", "y"), ("a", "z")];
        let times: Vec<i64> =
            given.into_iter().map(|(series, line)| apart.time(5, series.as_bytes(), Some(line))).collect();
        assert_eq!(times, [5, 6, 5, 5, 6, 6, 7]);
    }

    #[test]
    fn what_is_known_is_bounded() {
        let mut apart = Apart::default();
        for at in 0..3 * KNOWN_MAX as u64 {
            apart.time(5, &at.to_le_bytes(), Some("x"));
        }
        assert!(apart.counts.len() <= KNOWN_MAX && apart.taken.len() <= KNOWN_MAX);
    }
}
