//! Where a segment's rows are cut into groups. Pure.
//!
//! Groups are cut by rows ([`groups`]), and those with long strings once more, by what the strings of each column take
//! ([`Cuts`]): a group is what is read, squeezed and held in memory at once.

use std::collections::BTreeSet;
use std::ops::Range;

use crate::run::Run;

/// Most rows of a group. One field of a group, decoded, is 32 KiB: ten of them and their packed form stay in a
/// second-level cache.
pub const GROUP_ROWS_MAX: usize = 4096;

/// From this size on a group is closed rather than have the next series cut in two.
const GROUP_ROWS_FULL: usize = GROUP_ROWS_MAX / 2;

/// Most that the strings of one column of a group take, but where one alone takes more.
pub const GROUP_TEXT_BYTES_MAX: u64 = 1 << 20;

/// Where a group is to be cut so that no column has more bytes of strings than [`GROUP_TEXT_BYTES_MAX`] in one piece.
#[derive(Debug, Default)]
pub(crate) struct Cuts {
    /// Rows that begin a piece.
    starts: BTreeSet<usize>,
    /// The next row of the column in work.
    row: usize,
    /// Bytes in its piece so far.
    bytes: u64,
}

impl Cuts {
    /// Goes on with another column, from row `row` on.
    pub(crate) fn begin_column(&mut self, row: usize) {
        (self.row, self.bytes) = (row, 0);
    }

    /// The next `rows` rows of the column have strings of at most `longest` bytes, all together at most `bytes`.
    pub(crate) fn push(&mut self, mut rows: usize, bytes: u64, longest: u64) {
        while rows > 0 {
            let all = bytes.min(longest.saturating_mul(rows as u64));
            let room = GROUP_TEXT_BYTES_MAX.saturating_sub(self.bytes);
            let fitting = match all <= room {
                true => rows,
                // A piece has a row at least.
                false => ((room / longest.max(1)) as usize).max(usize::from(self.bytes == 0)).min(rows),
            };
            self.bytes += bytes.min(longest.saturating_mul(fitting as u64));
            self.row += fitting;
            rows -= fitting;
            if rows > 0 {
                self.starts.insert(self.row);
                self.bytes = 0;
            }
        }
    }

    /// The pieces of `group`. Begins anew.
    pub(crate) fn take(&mut self, group: Range<usize>) -> impl Iterator<Item = Range<usize>> + use<> {
        let mut starts = std::mem::take(&mut self.starts).into_iter().filter(move |start| *start < group.end);
        let (mut start, end) = (group.start, group.end);
        std::iter::from_fn(move || {
            let to = starts.next().unwrap_or(end);
            let piece = start..to;
            start = to;
            (!piece.is_empty()).then_some(piece)
        })
    }
}

/// The rows of each group, for rows that `runs` covers.
///
/// A run longer than a group is divided evenly into groups of its own, so that statistics of its groups are statistics
/// of one series. Shorter runs share groups and are cut only where a group would otherwise stay less than half full.
pub fn groups(runs: &[Run]) -> Vec<Range<usize>> {
    let mut groups = Vec::new();
    let (mut start, mut end) = (0, 0);
    for run in runs {
        let run_end = end + run.len as usize;
        let held = end - start;
        if run_end - start > GROUP_ROWS_MAX {
            if held > 0 && (held >= GROUP_ROWS_FULL || run.len as usize >= GROUP_ROWS_FULL) {
                groups.push(start..end);
                start = end;
            }
            let left = run_end - start;
            let parts = left.div_ceil(GROUP_ROWS_MAX);
            let rows = left.div_ceil(parts);
            for _ in 1..parts {
                groups.push(start..start + rows);
                start += rows;
            }
            if run.len as usize > GROUP_ROWS_MAX {
                groups.push(start..run_end);
                start = run_end;
            }
        }
        end = run_end;
    }
    if end > start {
        groups.push(start..end);
    }
    groups
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schema::SeriesId;

    fn lengths(runs: &[u32]) -> Vec<usize> {
        let mut start = 0;
        let runs: Vec<Run> = runs
            .iter()
            .enumerate()
            .map(|(i, len)| {
                let run = Run { series: SeriesId(i as u32), start, len: *len };
                start += len;
                run
            })
            .collect();
        let groups = groups(&runs);
        let mut next = 0;
        for group in &groups {
            assert_eq!(group.start, next, "no gap, no overlap");
            assert!(!group.is_empty() && group.len() <= GROUP_ROWS_MAX);
            next = group.end;
        }
        assert_eq!(next, start as usize, "every row is in a group");
        groups.iter().map(ExactSizeIterator::len).collect()
    }

    #[test]
    fn cuts() {
        assert_eq!(lengths(&[]), []);
        assert_eq!(lengths(&[1]), [1]);
        assert_eq!(lengths(&[4096]), [4096]);
        assert_eq!(lengths(&[4097]), [2049, 2048], "a long run is divided evenly");
        assert_eq!(lengths(&[8640, 8640]), [2880, 2880, 2880, 2880, 2880, 2880]);
        assert_eq!(lengths(&[500; 10]), [4000, 1000], "cut between series");
        assert_eq!(lengths(&[100, 4000, 50]), [100, 4050], "a run that fills a group begins one");
        assert_eq!(lengths(&[1; 5000]), [4096, 904]);
        assert_eq!(lengths(&[10, 9000, 10]), [10, 3000, 3000, 3000, 10]);
    }

    #[test]
    fn any_runs_are_covered() {
        for seed in crate::testing::seeds() {
            let mut rng = fastrand::Rng::with_seed(seed);
            for _ in 0..200 {
                let longest = [3, 300, 3000, 20_000][rng.usize(0..4)];
                let runs: Vec<u32> = (0..rng.usize(0..60)).map(|_| rng.u32(1..=longest)).collect();
                lengths(&runs);
            }
        }
    }

    #[test]
    fn pieces_have_no_more_bytes_than_they_may_but_where_a_string_has() {
        for seed in crate::testing::seeds() {
            let mut rng = fastrand::Rng::with_seed(seed);
            for _ in 0..200 {
                let (first, rows) = (rng.usize(0..50), rng.usize(1..300));
                let columns: Vec<Vec<u64>> = (0..rng.usize(1..4))
                    .map(|_| {
                        let longest = [10, 20_000, GROUP_TEXT_BYTES_MAX, 3 * GROUP_TEXT_BYTES_MAX][rng.usize(0..4)];
                        (0..rows).map(|_| rng.u64(0..longest)).collect()
                    })
                    .collect();
                let mut cuts = Cuts::default();
                for lengths in &columns {
                    cuts.begin_column(first);
                    let mut at = 0;
                    while at < rows {
                        // What is known of some rows together.
                        let some = &lengths[at..(at + rng.usize(1..60)).min(rows)];
                        let (bytes, longest) = (some.iter().sum(), some.iter().max().copied().unwrap_or(0));
                        cuts.push(some.len(), bytes, longest);
                        at += some.len();
                    }
                }
                let pieces: Vec<_> = cuts.take(first..first + rows).collect();
                let mut next = first;
                for piece in &pieces {
                    assert_eq!(piece.start, next, "seed {seed}");
                    next = piece.end;
                    for lengths in &columns {
                        let bytes: u64 = lengths[piece.start - first..piece.end - first].iter().sum();
                        assert!(bytes <= GROUP_TEXT_BYTES_MAX || piece.len() == 1, "seed {seed} {piece:?}: {bytes}");
                    }
                }
                assert_eq!(next, first + rows, "seed {seed}");
            }
        }
    }

    #[test]
    fn short_strings_cut_nothing() {
        let mut cuts = Cuts::default();
        cuts.begin_column(0);
        cuts.push(4096, 4096 * 100, 250);
        assert_eq!((cuts.take(0..4096).next(), cuts.take(0..4096).count()), (Some(0..4096), 1));
        cuts.begin_column(0);
        (0..10).for_each(|_| cuts.push(1, GROUP_TEXT_BYTES_MAX / 4, GROUP_TEXT_BYTES_MAX / 4));
        assert_eq!(cuts.take(0..10).collect::<Vec<_>>(), [0..4, 4..8, 8..10]);
    }
}
