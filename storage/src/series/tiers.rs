//! Which series files a flush writes anew, together with the series that are new. Pure: counts in, a position out.
//!
//! Files stand in the order of the series in them, so it is always those from some position on that become one. Sizes
//! fall into tiers, each [`FAN_IN`] times as large as the one below.
//!
//! 1. From where more than half of the series are of dropped tables, files are written anew without those: what that
//!    writes is less than what it frees.
//! 2. Files right before the output that are of a lower tier become part of it.
//! 3. So do those of its own tier, when they are [`FAN_IN`] with the output. Both again, until nothing changes.
//!
//! So tiers never rise from file to file, and there are less than [`FAN_IN`] files of each. A series is written once
//! for each tier that its file climbs, and some more times while its file is of the lowest tier, where a file takes a
//! page or two: about log4 of (all series / 1,024) times.

/// Files of a tier that become one. More would write less, and leave more files for a start to read.
const FAN_IN: usize = 4;

/// Files beyond which all become one. Rules 2 and 3 keep below by themselves, with up to 2^32 series; they do not know
/// what wrote the files that are there.
const SERIES_FILES_MAX: usize = 40;

/// Series of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct FileSize {
    /// All of them.
    pub(crate) series: u64,
    /// Those of tables that are not dropped.
    pub(crate) live: u64,
}

/// The position from which on `files` are written anew together with `new` series; their number where none is.
pub(crate) fn first_to_rewrite(files: &[FileSize], new: u64) -> usize {
    let mut first = first_mostly_dead(files).unwrap_or(files.len());
    let mut series = new + live(&files[first..]);
    while series > 0 {
        let before = &files[..first];
        let tier = tier_of(series);
        let lower = before.iter().rev().take_while(|file| tier_of(file.series) < tier).count();
        let alike = before.iter().rev().skip(lower).take_while(|file| tier_of(file.series) == tier).count();
        let taken = if alike + 1 >= FAN_IN { lower + alike } else { lower };
        if taken == 0 {
            break;
        }
        first -= taken;
        series += live(&before[first..]);
    }
    if first >= SERIES_FILES_MAX { 0 } else { first }
}

fn live(files: &[FileSize]) -> u64 {
    files.iter().map(|file| file.live).sum()
}

fn first_mostly_dead(files: &[FileSize]) -> Option<usize> {
    let (mut series, mut live, mut first) = (0, 0, None);
    for (position, file) in files.iter().enumerate().rev() {
        series += file.series;
        live += file.live;
        if live * 2 < series {
            first = Some(position);
        }
    }
    first
}

/// The tier of a size: 0 below 1,024 series, one more for each factor of [`FAN_IN`].
fn tier_of(series: u64) -> u32 {
    const _: () = assert!(FAN_IN == 4, "two bits a tier");
    (series.max(1).ilog2() / 2).saturating_sub(4)
}

#[cfg(test)]
mod tests {
    use fastrand::Rng;

    use super::*;

    /// Tiers of `series` series in all, the lowest included.
    fn tiers(series: u64) -> u64 {
        u64::from(tier_of(series)) + 1
    }

    fn sizes(series: &[u64]) -> Vec<FileSize> {
        series.iter().map(|&series| FileSize { series, live: series }).collect()
    }

    #[test]
    fn files_of_a_size_become_one() {
        for (files, new, first) in [
            (&[][..], 10, 0),
            (&[10, 10], 10, 2),
            (&[10, 10, 10], 10, 0),
            (&[9_000_000, 10, 10, 10], 10, 1),
            // What comes of the small ones makes four of the next size.
            (&[9_000_000, 2000, 2000, 2000, 600, 600, 600], 600, 1),
            // A large flush takes the small files before it along.
            (&[9_000_000, 2000, 10], 100_000, 1),
            (&[100_000, 10], 1_000_000, 0),
            // Nothing is new.
            (&[10, 10, 10], 0, 3),
            (&[10, 10, 10, 10, 10], 0, 5),
        ] {
            assert_eq!(first_to_rewrite(&sizes(files), new), first, "{files:?} {new}");
        }
        assert_eq!(first_to_rewrite(&sizes(&[1 << 40; SERIES_FILES_MAX]), 1), 0);
    }

    #[test]
    fn what_is_mostly_dead_is_written_anew() {
        let file = |series, live| FileSize { series, live };
        let large = file(1 << 20, 1 << 20);
        assert_eq!(first_to_rewrite(&[large, file(10_000, 5000)], 0), 2);
        assert_eq!(first_to_rewrite(&[large, file(10_000, 4999)], 0), 1);
        assert_eq!(first_to_rewrite(&[large, file(10_000, 0), file(10, 10)], 1), 1);
        // Writing a million series anew would free less than that.
        assert_eq!(first_to_rewrite(&[file(10_000, 0), large], 0), 2);
        assert_eq!(first_to_rewrite(&[file(1 << 20, 0), file(10_000, 10_000)], 0), 0);
        assert_eq!(first_to_rewrite(&[file(10, 0)], 0), 0);
    }

    /// Random flushes and drops of tables: no series of a live table is lost, files are few, what is dead is less than
    /// what lives, and what is written is bounded.
    #[test]
    fn random_histories_keep_their_bounds() {
        const TABLES: usize = 8;
        let seed = Rng::new().u64(..);
        let mut random = Rng::with_seed(seed);
        for round in 0..200 {
            // Series of each table.
            let mut files: Vec<[u64; TABLES]> = Vec::new();
            let (mut made, mut is_live) = ([0; TABLES], [true; TABLES]);
            let (mut written, mut dropped) = (0, 0);
            let bits = random.u32(1..24);
            let flushes = random.u64(1..300);
            for _ in 0..flushes {
                let table = random.usize(0..TABLES);
                // Some histories are without drops.
                if round % 2 == 0 && random.u8(..) < 8 && is_live.iter().filter(|live| **live).count() > 1 {
                    is_live[table] = false;
                }
                let live_sum =
                    |file: &[u64; TABLES]| file.iter().zip(&is_live).filter(|(_, live)| **live).map(|(n, _)| n).sum();
                let size = |file: &[u64; TABLES]| FileSize { series: file.iter().sum(), live: live_sum(file) };
                let mut file = [0; TABLES];
                let new_max = 1 << random.u32(0..=bits);
                if is_live[table] {
                    file[table] = random.u64(0..new_max);
                    made[table] += file[table];
                }
                let sizes: Vec<_> = files.iter().map(size).collect();
                let first = first_to_rewrite(&sizes, file[table]);
                for old in files.drain(first..) {
                    for table in 0..TABLES {
                        match is_live[table] {
                            true => file[table] += old[table],
                            false => dropped += old[table],
                        }
                    }
                }
                written += size(&file).series;
                if size(&file).series > 0 {
                    files.push(file);
                }

                let stored = |table: usize| files.iter().map(|file| file[table]).sum::<u64>();
                assert!((0..TABLES).all(|table| !is_live[table] || stored(table) == made[table]), "seed {seed}");
                let (series, live): (u64, u64) =
                    files.iter().map(size).fold((0, 0), |sum, file| (sum.0 + file.series, sum.1 + file.live));
                assert!(series <= 2 * live, "seed {seed}: {series} series are stored, of which {live} live");
                let made = made.iter().sum();
                assert!((files.len() as u64) < FAN_IN as u64 * tiers(made), "seed {seed}: {} files", files.len());
            }
            let made: u64 = made.iter().sum();
            let written_max = made * tiers(made) + dropped + 1023 * flushes;
            assert!(written <= written_max, "seed {seed}: {written} written of {made}, {written_max} expected");
        }
    }

    #[test]
    fn four_billion_series_take_less_files_than_the_bound() {
        // One flush after another of the same size is what leaves the most files.
        for flush in [1, 700, 1024, 5000, 1 << 20] {
            let (mut files, mut made, mut written, mut most) = (Vec::new(), 0, 0, 0);
            for _ in 0..5000 {
                if made + flush > 1 << 32 {
                    break;
                }
                made += flush;
                let first = first_to_rewrite(&sizes(&files), flush);
                let file = files.drain(first..).sum::<u64>() + flush;
                written += file;
                files.push(file);
                most = most.max(files.len());
            }
            assert!(most < (FAN_IN * tiers(made) as usize).min(SERIES_FILES_MAX));
            assert!(written <= made * tiers(made) + 5000 * 1023, "{flush}: {written} written of {made}");
        }
    }
}
