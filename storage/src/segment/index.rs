//! A group's runs and times.
//!
//! The index block is five integer blocks over the runs: series, rows, first time, last time less first, and 1 where
//! the times in between are evenly spaced. Where all are, the time block is empty; else it is the integer block of
//! every row's distance to the row before (0 at the start of a run).

use crate::codec::integer::{self, Scratch};
use crate::codec::{Cursor, Damaged, Decoded};
use crate::schema::SeriesId;

/// Consecutive rows of a group that belong to one series.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct IndexRun {
    /// The series.
    pub series: SeriesId,
    /// First row in the group.
    pub start: u32,
    /// Rows, at least 1.
    pub len: u32,
    /// Time of the first row.
    pub time_min: i64,
    /// Time of the last row.
    pub time_max: i64,
    /// Whether the rows are evenly spaced in time.
    pub regular: bool,
}

impl IndexRun {
    /// Describes rows of one series with these times, which are not empty.
    pub(crate) fn of(series: SeriesId, start: usize, times: &[i64]) -> Self {
        let (time_min, time_max) = (times.first().copied().unwrap_or(0), times.last().copied().unwrap_or(0));
        let run = Self { series, start: start as u32, len: times.len() as u32, time_min, time_max, regular: true };
        let step = run.step();
        let regular =
            times.iter().enumerate().all(|(i, time)| *time == time_min.wrapping_add(step.wrapping_mul(i as i64)));
        Self { regular, ..run }
    }

    /// Distance of neighbouring rows, if they are evenly spaced.
    fn step(&self) -> i64 {
        match i64::from(self.len) - 1 {
            0 => 0,
            // The distance can exceed i64 in theory; then the run just does not look regular.
            gaps => (self.time_max.wrapping_sub(self.time_min) as u64 / gaps as u64) as i64,
        }
    }

    /// Time of the `row`-th row of a regular run, or of either end of any.
    pub fn time_at(&self, row: u32) -> i64 {
        if row + 1 == self.len {
            return self.time_max;
        }
        self.time_min.wrapping_add(self.step().wrapping_mul(i64::from(row)))
    }

    /// Rows of the run before the first with a time of at least `time`. `times` are those of the group, needed only
    /// where the run is not regular.
    pub fn rows_before(&self, time: i64, times: Option<&[i64]>) -> u32 {
        if time <= self.time_min {
            return 0;
        }
        if time > self.time_max {
            return self.len;
        }
        if self.regular {
            let step = self.step() as u64;
            let distance = time.wrapping_sub(self.time_min) as u64;
            return distance.div_ceil(step.max(1)).min(u64::from(self.len)) as u32;
        }
        let rows = times.and_then(|times| times.get(self.start as usize..(self.start + self.len) as usize));
        rows.map_or(0, |rows| rows.partition_point(|t| *t < time) as u32)
    }
}

/// Appends the index block.
pub(super) fn encode(runs: &[IndexRun], scratch: &mut Scratch, out: &mut Vec<u8>) {
    let mut words = Vec::with_capacity(runs.len());
    let parts: [fn(&IndexRun) -> u64; 5] = [
        |run| u64::from(run.series.0),
        |run| u64::from(run.len),
        |run| run.time_min as u64,
        |run| run.time_max.wrapping_sub(run.time_min) as u64,
        |run| u64::from(run.regular),
    ];
    for part in parts {
        words.clear();
        words.extend(runs.iter().map(part));
        integer::encode(&words, scratch, out);
    }
}

/// The runs of a group that has `runs` runs over `rows` rows.
pub(super) fn decode(bytes: &[u8], runs: usize, rows: usize) -> Decoded<Vec<IndexRun>> {
    let mut cursor = Cursor::new(bytes);
    let mut words = Vec::with_capacity(runs * 5);
    for _ in 0..5 {
        integer::decode(&mut cursor, runs, 0..runs, &mut words)?;
    }
    let mut start = 0u64;
    let mut out: Vec<IndexRun> = Vec::with_capacity(runs);
    for i in 0..runs {
        let [series, len, first, length, regular] = [0, 1, 2, 3, 4].map(|part| words[part * runs + i]);
        let ascending = out.last().is_none_or(|last| u64::from(last.series.0) < series);
        if !ascending || series > u64::from(u32::MAX) || len == 0 || len > rows as u64 - start {
            return Err(Damaged("index block has runs that do not fit together"));
        }
        let time_max = first.wrapping_add(length) as i64;
        if (time_max < first as i64) || regular == 0 && len < 3 {
            return Err(Damaged("index block has a run that ends before it begins"));
        }
        out.push(IndexRun {
            series: SeriesId(series as u32),
            start: start as u32,
            len: len as u32,
            time_min: first as i64,
            time_max,
            regular: regular != 0,
        });
        start += len;
    }
    if start != rows as u64 {
        return Err(Damaged("index block covers another number of rows than its group has"));
    }
    Ok(out)
}

/// Appends the time block of rows with these runs.
pub(super) fn encode_times(runs: &[IndexRun], times: &[i64], scratch: &mut Scratch, out: &mut Vec<u8>) {
    if runs.iter().all(|run| run.regular) {
        return;
    }
    let mut words = Vec::with_capacity(times.len());
    for run in runs {
        words.push(0);
        let rows = &times[run.start as usize..(run.start + run.len) as usize];
        words.extend(rows.windows(2).map(|pair| pair[1].wrapping_sub(pair[0]) as u64));
    }
    integer::encode(&words, scratch, out);
}

/// The times of the rows of `runs`, some or all runs of a group of `rows` rows, at the rows' places; in between is
/// anything. `bytes` may be empty where every run is regular.
pub(super) fn decode_times(bytes: &[u8], runs: &[IndexRun], rows: usize) -> Decoded<Vec<i64>> {
    let mut gaps = Vec::new();
    if runs.iter().any(|run| !run.regular) {
        integer::decode(&mut Cursor::new(bytes), rows, 0..rows, &mut gaps)?;
    }
    let mut times = Vec::with_capacity(rows);
    for run in runs {
        times.resize(run.start as usize, 0);
        if run.regular {
            let step = run.step();
            times.extend((0..i64::from(run.len)).map(|i| run.time_min.wrapping_add(step.wrapping_mul(i))));
        } else {
            let mut time = run.time_min;
            times.extend(gaps[run.start as usize..(run.start + run.len) as usize].iter().map(|gap| {
                time = time.wrapping_add(*gap as i64);
                time
            }));
        }
    }
    Ok(times)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_and_times_round_trip() {
        for seed in crate::testing::seeds() {
            let mut rng = fastrand::Rng::with_seed(seed);
            for _ in 0..50 {
                let mut times: Vec<i64> = Vec::new();
                let mut runs = Vec::new();
                let mut series = 0;
                for _ in 0..rng.usize(1..40) {
                    series += rng.u32(1..5);
                    let start = times.len();
                    let mut time = rng.i64(-1000..1_000_000_000_000);
                    let jitter = [1, 1, 50][rng.usize(0..3)];
                    for _ in 0..rng.usize(1..100) {
                        times.push(time);
                        time += 100 + rng.i64(0..jitter);
                    }
                    runs.push(IndexRun::of(SeriesId(series), start, &times[start..]));
                }
                let (mut index, mut time_block, mut scratch) = (Vec::new(), Vec::new(), Scratch::default());
                encode(&runs, &mut scratch, &mut index);
                encode_times(&runs, &times, &mut scratch, &mut time_block);
                assert_eq!(decode(&index, runs.len(), times.len()).unwrap(), runs, "seed {seed}");
                assert_eq!(decode_times(&time_block, &runs, times.len()).unwrap(), times, "seed {seed}");
                for run in &runs {
                    let rows = &times[run.start as usize..(run.start + run.len) as usize];
                    for time in [run.time_min - 1, run.time_min, run.time_min + 1, run.time_max, run.time_max + 1]
                        .into_iter()
                        .chain((0..5).map(|_| rng.i64(run.time_min..=run.time_max)))
                    {
                        let before = run.rows_before(time, Some(&times)) as usize;
                        assert_eq!(before, rows.partition_point(|t| *t < time), "seed {seed} {run:?} at {time}");
                    }
                }
                for _ in 0..20 {
                    let mut hurt = index.clone();
                    hurt[rng.usize(0..index.len())] ^= 1 << rng.u32(0..8);
                    if let Ok(back) = decode(&hurt, runs.len(), times.len()) {
                        assert_eq!(back.iter().map(|run| run.len as usize).sum::<usize>(), times.len());
                        let _ = decode_times(&time_block, &back, times.len());
                    }
                    hurt.truncate(rng.usize(0..index.len()));
                    assert!(decode(&hurt, runs.len(), times.len()).is_err());
                }
            }
        }
    }
}
