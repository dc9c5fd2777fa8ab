//! Where a segment's rows are cut into groups. Pure.

use std::ops::Range;

use crate::run::Run;

/// Most rows of a group. One field of a group, decoded, is 32 KiB: ten of them and their packed form stay in a
/// second-level cache.
pub const GROUP_ROWS_MAX: usize = 4096;

/// From this size on a group is closed rather than have the next series cut in two.
const GROUP_ROWS_FULL: usize = GROUP_ROWS_MAX / 2;

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
}
