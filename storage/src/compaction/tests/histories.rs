//! Partitions as sets of keys: flushed to in many ways, compacted as the picker says, and measured.

use roaring::RoaringBitmap;

use crate::codec::Effort;
use crate::compaction::picker::{Choice, FAN_IN, Reason, SEGMENTS_MAX, SegmentInfo, pick};
use crate::testing::seeds;

const ROW_BYTES: u64 = 1 << 10;
const SEGMENT_BYTES_MAX: u64 = 16 << 20;

/// A segment as the times of its rows; all are of one series.
#[derive(Debug, Clone)]
struct Keys {
    rows: RoaringBitmap,
    hard: bool,
}

impl Keys {
    fn info(&self) -> SegmentInfo {
        SegmentInfo {
            bytes: self.rows.len() * ROW_BYTES,
            time: (self.rows.min().unwrap().into(), self.rows.max().unwrap().into()),
            series: (0, 0),
            dead_bytes: 0,
            deleted_from: false,
            dropped_bytes: 0,
            hard: self.hard,
            quarantined: false,
        }
    }
}

#[derive(Debug, Default)]
struct Partition {
    segments: Vec<Keys>,
    flushed_rows: u64,
    written_rows: u64,
    live: RoaringBitmap,
}

impl Partition {
    fn flush(&mut self, rows: RoaringBitmap) {
        self.flushed_rows += rows.len();
        self.written_rows += rows.len();
        self.live |= &rows;
        self.segments.push(Keys { rows, hard: false });
    }

    fn choice(&self, cold: bool) -> Option<Choice> {
        let infos: Vec<SegmentInfo> = self.segments.iter().map(Keys::info).collect();
        pick(&infos, cold, SEGMENT_BYTES_MAX)
    }

    /// Compacts until there is nothing to do; says how many merges that took.
    fn settle(&mut self, cold: bool, seed: u64) -> usize {
        for merges in 0..200 {
            let Some(choice) = self.choice(cold) else { return merges };
            let mut rows = RoaringBitmap::new();
            for segment in &self.segments[choice.segments.clone()] {
                rows |= &segment.rows;
            }
            self.written_rows += rows.len();
            // As a merge cuts its output; of one series, it would not.
            let files = (rows.len() * ROW_BYTES).div_ceil(SEGMENT_BYTES_MAX);
            let file_rows = rows.len().div_ceil(files) as usize;
            let all: Vec<u32> = rows.iter().collect();
            let hard = choice.effort == Effort::Hard;
            let outputs: Vec<Keys> =
                all.chunks(file_rows).map(|rows| Keys { rows: rows.iter().copied().collect(), hard }).collect();
            assert!(outputs.len() <= choice.segments.len(), "seed {seed}: {choice:?} makes {}", outputs.len());
            self.segments.splice(choice.segments, outputs);
        }
        panic!("seed {seed}: it never ends: {:?}", self.segments.iter().map(Keys::info).collect::<Vec<_>>());
    }

    fn rows(&self) -> u64 {
        self.segments.iter().map(|segment| segment.rows.len()).sum()
    }
}

/// What a flush brings.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Pattern {
    /// Rows in order of time.
    Ordered,
    /// The same rows again and again.
    Overwriting,
    /// In order, and now and then something from any time before.
    Late,
}

fn flush_rows(random: &mut fastrand::Rng, pattern: Pattern, now: &mut u32, sizes: (u32, u32)) -> RoaringBitmap {
    let count = random.u32(sizes.0..=sizes.1);
    let mut rows = RoaringBitmap::new();
    match pattern {
        Pattern::Overwriting => {
            let from = random.u32(0..20_000);
            rows.insert_range(from..from + count);
        }
        Pattern::Ordered | Pattern::Late => {
            // Neighbours overlap a little, as writers are not in step.
            let from = now.saturating_sub(count / 50);
            rows.insert_range(from..*now + count);
            *now += count;
            if pattern == Pattern::Late && random.u8(0..4) == 0 {
                for _ in 0..random.u32(1..20) {
                    rows.insert(random.u32(0..*now));
                }
            }
        }
    }
    rows
}

#[test]
fn space_files_and_writes_are_bounded_whatever_is_flushed() {
    for seed in seeds() {
        for pattern in [Pattern::Ordered, Pattern::Overwriting, Pattern::Late] {
            let mut random = fastrand::Rng::with_seed(seed);
            let sizes = [(200, 200), (20, 2000), (500, 1500)][random.usize(0..3)];
            let (mut partition, mut now) = (Partition::default(), 0);
            for _ in 0..150 {
                partition.flush(flush_rows(&mut random, pattern, &mut now, sizes));
                partition.settle(false, seed);
                let full = 2 * partition.rows() * ROW_BYTES / SEGMENT_BYTES_MAX + 1;
                let count = partition.segments.len();
                assert!(count as u64 <= SEGMENTS_MAX as u64 + full, "seed {seed} {pattern:?}: {count} segments");
                let (held, live) = (partition.rows(), partition.live.len());
                assert!(held < 2 * live, "seed {seed} {pattern:?}: {held} rows held for {live}");
            }
            let amplification = partition.written_rows as f64 / partition.flushed_rows as f64;
            let climbed = (partition.live.len() as f64 / f64::from(sizes.0)).log(FAN_IN as f64);
            // Once by the flush, once for each tier; rows that may be overwritten are merged at the latest when they
            // are 45 % of all, so each stands for at most 1 / 0.45 rows that are written.
            let bound = 2.0 + climbed.max(1.0 / 0.45) + if pattern == Pattern::Late { 1.0 / 0.45 } else { 0.0 };
            assert!(amplification <= bound, "seed {seed} {pattern:?} {sizes:?}: {amplification:.2} of {bound:.2}");

            partition.settle(true, seed);
            let loose: u64 = partition.segments.iter().filter(|s| !s.hard).map(|s| s.rows.len()).sum();
            assert!(loose * 8 <= partition.rows(), "seed {seed}: a cold partition is packed");
            assert_eq!(partition.choice(true), None);
        }
    }
}

fn info(mib: u64, time: (i64, i64)) -> SegmentInfo {
    SegmentInfo {
        bytes: mib << 20,
        time,
        series: (0, 9),
        dead_bytes: 0,
        deleted_from: false,
        dropped_bytes: 0,
        hard: false,
        quarantined: false,
    }
}

/// Segments one after the other in time.
fn in_order(mib: &[u64]) -> Vec<SegmentInfo> {
    mib.iter().enumerate().map(|(at, mib)| info(*mib, (at as i64 * 10, at as i64 * 10 + 9))).collect()
}

fn picked(segments: &[SegmentInfo], cold: bool) -> Option<(std::ops::Range<usize>, Reason, Effort)> {
    pick(segments, cold, 1 << 30).map(|choice| (choice.segments, choice.reason, choice.effort))
}

#[test]
fn choices() {
    let fast = |range, reason| Some((range, reason, Effort::Fast));
    assert_eq!(picked(&[], false), None);
    assert_eq!(picked(&in_order(&[5, 5, 5]), false), None, "three of a tier");
    assert_eq!(picked(&in_order(&[5, 5, 5, 5]), false), fast(0..4, Reason::Tier));
    assert_eq!(picked(&in_order(&[90, 5, 1, 5, 5, 5]), false), fast(1..6, Reason::Tier), "with the smaller one");
    assert_eq!(picked(&in_order(&[5, 5, 90, 5, 5]), false), None, "a larger one between");
    assert_eq!(picked(&in_order(&[900, 900, 900, 900, 900]), false), None, "large enough");

    // Half of what is there may be there twice.
    let mut doubled = in_order(&[500, 90, 200]);
    doubled[2].time = doubled[1].time;
    assert_eq!(picked(&doubled, false), None);
    doubled.push(SegmentInfo { bytes: 600 << 20, ..doubled[2] });
    assert_eq!(picked(&doubled, false), fast(1..4, Reason::Overlap), "the first is touched by none");
    doubled[3].series = (10, 19);
    assert_eq!(picked(&doubled, false), None, "other series");

    let mut deleted = in_order(&[50, 5, 20]);
    deleted[1].deleted_from = true;
    assert_eq!(picked(&deleted, false), None, "not worth it");
    assert_eq!(picked(&deleted, true), fast(1..2, Reason::Deletes), "so that the tombstone goes");
    deleted[1].dead_bytes = 1 << 20;
    assert_eq!(picked(&deleted, false), fast(1..2, Reason::Deletes));

    let mut narrowed = in_order(&[50, 5, 20]);
    narrowed.iter_mut().for_each(|segment| segment.hard = true);
    narrowed[1].dropped_bytes = 500 << 10;
    assert_eq!(picked(&narrowed, true), None, "not worth it, and cold is no reason");
    narrowed[1].dropped_bytes = 600 << 10;
    assert_eq!(picked(&narrowed, false), Some((1..2, Reason::Deletes, Effort::Hard)));

    let hard = |at: usize, segments: &mut Vec<SegmentInfo>| segments[at].hard = true;
    let mut cold = in_order(&[5]);
    assert_eq!(picked(&cold, true), Some((0..1, Reason::Cold, Effort::Hard)));
    hard(0, &mut cold);
    assert_eq!(picked(&cold, true), None, "packed already");
    let mut late = in_order(&[80, 1]);
    hard(0, &mut late);
    assert_eq!(picked(&late, true), None, "too little came late");
    late[1].bytes = 12 << 20;
    assert_eq!(picked(&late, true), Some((0..2, Reason::Cold, Effort::Hard)));

    // Tiers that no rule joins, but too many of them.
    let many = in_order(&[200, 40, 10, 200, 40, 10, 200].repeat(4)[..25]);
    assert!(picked(&many, false).is_some());
}

#[test]
fn nothing_is_merged_across_or_with_what_is_quarantined() {
    let mut segments = in_order(&[5, 5, 5, 5, 5, 5, 5]);
    segments[3].quarantined = true;
    assert_eq!(picked(&segments, false), None);
    assert_eq!(picked(&segments, true).map(|(range, ..)| range), Some(0..3));
    segments.push(info(5, (100, 109)));
    assert_eq!(picked(&segments, false).map(|(range, ..)| range), Some(4..8));
    for seed in seeds() {
        let mut random = fastrand::Rng::with_seed(seed);
        for _ in 0..300 {
            let segments: Vec<SegmentInfo> = (0..random.usize(0..40))
                .map(|_| {
                    let time = random.i64(0..1000);
                    let bytes = 1 << random.u32(12..31);
                    SegmentInfo {
                        bytes,
                        time: (time, time + random.i64(0..200)),
                        series: (random.u32(0..10), random.u32(10..20)),
                        dead_bytes: if random.bool() { random.u64(0..bytes) } else { 0 },
                        deleted_from: random.bool(),
                        dropped_bytes: if random.bool() { random.u64(0..bytes) } else { 0 },
                        hard: random.bool(),
                        quarantined: random.u8(0..10) == 0,
                    }
                })
                .collect();
            let Some(choice) = pick(&segments, random.bool(), 1 << 30) else { continue };
            let chosen = &segments[choice.segments.clone()];
            assert!(!chosen.is_empty() && chosen.iter().all(|segment| !segment.quarantined), "seed {seed}");
            assert_eq!(choice.bytes, chosen.iter().map(|segment| segment.bytes).sum::<u64>());
        }
    }
}
