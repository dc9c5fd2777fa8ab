//! Which segments to merge next. Pure: numbers in, a choice out.
//!
//! Only neighbours in age are merged, since what is newer wins. A quarantined segment is a wall between neighbours.
//! Rules, the most urgent first:
//!
//! 1. [`Reason::Overlap`]: where segments cover the same series and times, newer ones may have overwritten older ones.
//!    What may be dead that way stays below 45 % of a partition: beyond, all that overlaps becomes one segment. A
//!    segment counts by the share of its times and series that older ones cover.
//! 2. [`Reason::Deletes`]: a segment that a tombstone has emptied by a tenth, or of which a tenth is dropped columns,
//!    is written anew; so are all others that a tombstone touches once the partition is cold, so that the tombstone can
//!    go.
//! 3. [`Reason::Count`]: more than [`SEGMENTS_MAX`] small segments, which chance arrangements of sizes could leave.
//! 4. [`Reason::Tier`]: sizes fall into tiers, each [`FAN_IN`] times as large as the one below. [`FAN_IN`] segments of
//!    a tier that have no larger one between them are merged, with the smaller ones among them. The output lies in a
//!    higher tier, so a row is written once for each tier it climbs: about log4 of (largest / flushed) times.
//! 5. [`Reason::Cold`]: a partition that is not written any more becomes one segment, packed harder; again only when
//!    late rows make up an eighth of it.

use std::ops::Range;

use crate::codec::Effort;
use crate::work;

/// Work for a segment: a handful of rules look at each.
const PICK: u64 = 20 * work::LOOK;

/// Segments of a tier that are merged. More would write less and leave more segments to read.
pub const FAN_IN: usize = 4;

/// Small segments of a partition above which any are merged: what a scan of one series opens at worst.
pub const SEGMENTS_MAX: usize = 24;

/// Segments of one merge: each holds a group and some blocks in memory.
pub const INPUTS_MAX: usize = 32;

/// A tombstone that hits less waits until the partition is cold, lest each small delete rewrites everything; columns
/// that take less go when the segment is merged for another reason.
const DEAD_SHARE: u64 = 10;

/// Late rows below this share of a cold partition are not worth writing it anew.
const LATE_SHARE: u64 = 8;

/// What the picker knows of a segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SegmentInfo {
    /// Size of the file.
    pub bytes: u64,
    /// Least and greatest time.
    pub time: (i64, i64),
    /// Least and greatest series.
    pub series: (u32, u32),
    /// Bytes of rows that tombstones have deleted, about.
    pub dead_bytes: u64,
    /// A tombstone touches it.
    pub deleted_from: bool,
    /// Bytes of columns that a merge would leave out.
    pub dropped_bytes: u64,
    /// It was packed hard.
    pub hard: bool,
    /// It is damaged: never read it, never merge across it.
    pub quarantined: bool,
}

/// Why segments are merged, the least urgent first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reason {
    /// The partition is not written any more.
    Cold,
    /// Enough segments of one size.
    Tier,
    /// Too many segments.
    Count,
    /// Deleted rows or dropped columns take space.
    Deletes,
    /// Overwritten rows may take space.
    Overlap,
}

/// What to merge.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Choice {
    /// Positions among the partition's segments.
    pub segments: Range<usize>,
    /// Why.
    pub reason: Reason,
    /// How hard to pack the output.
    pub effort: Effort,
    /// Bytes to read.
    pub bytes: u64,
}

impl Choice {
    fn new(segments: &[SegmentInfo], range: Range<usize>, reason: Reason, effort: Effort) -> Self {
        let bytes = segments[range.clone()].iter().map(|segment| segment.bytes).sum();
        Self { segments: range, reason, effort, bytes }
    }

    /// What comes first over all partitions: by reason, then what removes most segments for its bytes.
    pub fn priority(&self) -> (Reason, u64) {
        let removed = self.segments.len() as u64;
        (self.reason, (removed << 32) / (self.bytes >> 12).max(1))
    }
}

/// The next merge of a partition whose `segments` stand in order of age, the oldest first; `None` when it is in order.
pub fn pick(segments: &[SegmentInfo], cold: bool, segment_bytes_max: u64) -> Option<Choice> {
    work::charge_each(segments.len() + 1, PICK);
    let mut best: Option<Choice> = None;
    let mut start = 0;
    for stretch in segments.split(|segment| segment.quarantined) {
        let found = pick_stretch(stretch, cold, segment_bytes_max)
            .map(|choice| Choice { segments: start + choice.segments.start..start + choice.segments.end, ..choice });
        if let Some(found) = found
            && best.as_ref().is_none_or(|best| best.priority() < found.priority())
        {
            best = Some(found);
        }
        start += stretch.len() + 1;
    }
    best
}

fn pick_stretch(segments: &[SegmentInfo], cold: bool, segment_bytes_max: u64) -> Option<Choice> {
    overlap(segments)
        .or_else(|| deletes(segments, cold))
        .or_else(|| count(segments, segment_bytes_max))
        .or_else(|| tier(segments, segment_bytes_max))
        .or_else(|| if cold { self::cold(segments) } else { None })
}

/// The share of `inner` that `outer` covers.
fn share(inner: (i64, i64), outer: (i64, i64)) -> f64 {
    let length = |(from, to): (i64, i64)| (i128::from(to) - i128::from(from) + 1).max(0) as f64;
    length((inner.0.max(outer.0), inner.1.min(outer.1))) / length(inner).max(1.0)
}

/// The bytes of `segment` that may repeat rows within `time` and `series`.
fn covered(segment: &SegmentInfo, time: (i64, i64), series: (u32, u32)) -> u64 {
    let wide = |(from, to): (u32, u32)| (i64::from(from), i64::from(to));
    (segment.bytes as f64 * share(segment.time, time) * share(wide(segment.series), wide(series))) as u64
}

fn overlap(segments: &[SegmentInfo]) -> Option<Choice> {
    let (mut time, mut series) = (segments.first()?.time, segments.first()?.series);
    let (mut total, mut doubled) = (0u64, 0u64);
    let mut last = 0;
    for (position, segment) in segments.iter().enumerate() {
        total += segment.bytes;
        if position > 0 {
            let bytes = covered(segment, time, series);
            if bytes > 0 {
                last = position;
            }
            doubled += bytes;
        }
        time = (time.0.min(segment.time.0), time.1.max(segment.time.1));
        series = (series.0.min(segment.series.0), series.1.max(segment.series.1));
    }
    if doubled * 20 < total * 9 {
        return None;
    }
    // Old segments that no newer one touches need not be read.
    let touched = |position: &usize| {
        segments[*position + 1..]
            .iter()
            .any(|newer| covered(newer, segments[*position].time, segments[*position].series) > 0)
    };
    let first = (0..last).find(touched)?;
    // Where there are too many to read at once, the newest first: they cost least.
    let first = first.max((last + 1).saturating_sub(INPUTS_MAX));
    Some(Choice::new(segments, first..last + 1, Reason::Overlap, Effort::Fast))
}

fn deletes(segments: &[SegmentInfo], cold: bool) -> Option<Choice> {
    let worth = |dead: u64, segment: &SegmentInfo| dead.saturating_mul(DEAD_SHARE) >= segment.bytes.max(1);
    let due = |segment: &SegmentInfo| {
        segment.deleted_from && (cold || worth(segment.dead_bytes, segment)) || worth(segment.dropped_bytes, segment)
    };
    let first = segments.iter().position(due)?;
    // Neighbours that are due go along: one pass, one segment.
    let count = segments[first..].iter().take(INPUTS_MAX).take_while(|segment| due(segment)).count();
    // What was packed hard stays so.
    let range = first..first + count;
    let hard = segments[range.clone()].iter().all(|segment| segment.hard);
    let effort = if hard { Effort::Hard } else { Effort::Fast };
    Some(Choice::new(segments, range, Reason::Deletes, effort))
}

/// Stretches of segments that `fits` holds for.
fn runs<'a>(
    segments: &'a [SegmentInfo],
    fits: impl Fn(&SegmentInfo) -> bool + 'a,
) -> impl Iterator<Item = Range<usize>> + 'a {
    let mut at = 0;
    std::iter::from_fn(move || {
        at += segments[at..].iter().take_while(|segment| !fits(segment)).count();
        let start = at;
        at += segments[at..].iter().take_while(|segment| fits(segment)).count();
        (at > start).then_some(start..at)
    })
}

fn is_small(segment: &SegmentInfo, segment_bytes_max: u64) -> bool {
    segment.bytes <= segment_bytes_max / 2
}

fn count(segments: &[SegmentInfo], segment_bytes_max: u64) -> Option<Choice> {
    let small = |segment: &SegmentInfo| is_small(segment, segment_bytes_max);
    if segments.iter().filter(|segment| small(segment)).count() <= SEGMENTS_MAX {
        return None;
    }
    // Of all windows the one that removes a segment for the fewest bytes.
    let windows = runs(segments, small).flat_map(|run| {
        let length = run.len().min(2 * FAN_IN);
        (run.start..=run.end - length).map(move |start| start..start + length)
    });
    let cost = |range: &Range<usize>| {
        let bytes: u64 = segments[range.clone()].iter().map(|segment| segment.bytes).sum();
        bytes / (range.len() as u64 - 1)
    };
    let range = windows.filter(|range| range.len() > 1).min_by_key(cost)?;
    Some(Choice::new(segments, range, Reason::Count, Effort::Fast))
}

/// The tier of a size: 0 up to 16 KiB, one more for each factor of [`FAN_IN`].
fn tier_of(bytes: u64) -> u32 {
    const _: () = assert!(FAN_IN == 4, "two bits a tier");
    (bytes.max(1).ilog2() / 2).saturating_sub(6)
}

fn tier(segments: &[SegmentInfo], segment_bytes_max: u64) -> Option<Choice> {
    let small = |segment: &SegmentInfo| is_small(segment, segment_bytes_max);
    let highest = segments.iter().filter(|segment| small(segment)).map(|segment| tier_of(segment.bytes)).max()?;
    for tier in 0..=highest {
        let within = |segment: &SegmentInfo| small(segment) && tier_of(segment.bytes) <= tier;
        let of_tier = |range: &Range<usize>| {
            segments[range.clone()].iter().filter(|segment| tier_of(segment.bytes) == tier).count()
        };
        if let Some(run) = runs(segments, within).find(|range| of_tier(range) >= FAN_IN) {
            let run = run.start..run.end.min(run.start + INPUTS_MAX);
            return Some(Choice::new(segments, run, Reason::Tier, Effort::Fast));
        }
    }
    None
}

fn cold(segments: &[SegmentInfo]) -> Option<Choice> {
    let total: u64 = segments.iter().map(|segment| segment.bytes).sum();
    let loose: u64 = segments.iter().filter(|segment| !segment.hard).map(|segment| segment.bytes).sum();
    if loose == 0 || loose * LATE_SHARE < total {
        return None;
    }
    let range = 0..segments.len().min(INPUTS_MAX);
    Some(Choice::new(segments, range, Reason::Cold, Effort::Hard))
}
