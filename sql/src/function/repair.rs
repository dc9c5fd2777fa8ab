//! Series of times and values made whole: see [`Repair`]. NaN stands for what is missing, in and out.
//!
//! 1. `timestamp_repair` puts times on a grid. Of all ways to give each time a place on it, in order, with as few
//!    places left empty or times left out as there must be, it takes the one with the least sum of distances: by
//!    dynamic programming over a band as wide as the two numbers differ.
//! 2. `value_fill` makes up values from those around them.
//! 3. `value_repair` first fills by time, then either keeps speeds within bounds, each value moved to the middle of
//!    what the values behind it allow (SCREEN), or takes the greatest change of speed again and again and halves the
//!    point out of it.

use std::cmp::Ordering;
use std::collections::BinaryHeap;

use crate::plan::repair::{Bound, Distance, Fill, Repair, Start};
use crate::types::float;

/// Rows of a series: sorting its distances is one step of some milliseconds.
pub(crate) const ROWS_MAX: usize = 1 << 16;

/// Cells of the band: a byte each, some nanoseconds each.
const CELLS_MAX: usize = 1 << 24;

/// Rows that a value is compared with.
const WINDOW_MAX: usize = 64;

/// Values moved for each row there is, before what is left is left.
const MOVES_A_ROW: usize = 32;

/// Why a series is not repaired.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum RepairError {
    /// Times that are all one.
    #[error("times that have no distance")]
    NoDistance,
    /// A grid that is too fine for its times.
    #[error("a grid of more places than rows and gaps may be")]
    TooFine,
}

/// The series repaired. Times ascend.
pub(crate) fn repaired(times: &[i64], values: &[f64], by: Repair) -> Result<(Vec<i64>, Vec<f64>), RepairError> {
    match by {
        Repair::Times { distance, start } => on_grid(times, values, distance, start),
        Repair::Fill(fill) => Ok((times.to_vec(), filled(values, fill))),
        Repair::Values(bound) => {
            let mut whole = filled_by_time(times, values);
            match bound {
                Bound::Speed { min, max } => screen(times, &mut whole, min, max),
                Bound::Acceleration { center, sigma } => calm(times, &mut whole, center, sigma),
            }
            Ok((times.to_vec(), whole))
        }
    }
}

fn median(mut values: Vec<f64>) -> Option<f64> {
    values.retain(|value| !value.is_nan());
    values.sort_unstable_by(|a, b| float::order(*a, *b));
    let middle = values.len() / 2;
    let upper = *values.get(middle)?;
    Some(if values.len() % 2 == 1 { upper } else { values[middle - 1].midpoint(upper) })
}

/// The median, and the median of how far values are from it, as a standard deviation.
fn usual(values: &[f64]) -> (f64, f64) {
    /// Of normally distributed values.
    const DEVIATIONS: f64 = 1.4826;
    let center = median(values.to_vec()).unwrap_or(0.0);
    let far = values.iter().map(|value| (value - center).abs()).collect();
    (center, DEVIATIONS * median(far).unwrap_or(0.0))
}

fn most_frequent(mut values: Vec<i64>) -> Option<i64> {
    values.sort_unstable();
    let mut best: Option<(usize, i64)> = None;
    for same in values.chunk_by(|a, b| a == b) {
        if best.is_none_or(|(count, _)| same.len() > count) {
            best = Some((same.len(), same[0]));
        }
    }
    best.map(|(_, value)| value)
}

fn distance_of(times: &[i64], by: Distance) -> Option<i64> {
    let apart: Vec<i64> = times.windows(2).map(|pair| pair[1].saturating_sub(pair[0])).collect();
    let distance = match by {
        Distance::Given(distance) => Some(distance),
        Distance::Median => median(apart.iter().map(|apart| *apart as f64).collect()).map(|middle| middle as i64),
        Distance::Mode => most_frequent(apart),
        Distance::Cluster => largest_cluster(&apart),
    };
    distance.filter(|distance| *distance > 0)
}

/// The mean of the largest of three clusters, which begin at the least value, the greatest, and between.
fn largest_cluster(values: &[i64]) -> Option<i64> {
    let (least, greatest) = (*values.iter().min()? as f64, *values.iter().max()? as f64);
    let mut centers = [least, least.midpoint(greatest), greatest];
    let mut counts = [0_usize; 3];
    for _ in 0..16 {
        let mut sums = [0.0; 3];
        counts = [0; 3];
        for value in values.iter().map(|value| *value as f64) {
            let far = centers.map(|center| (center - value).abs());
            let nearest = (0..3).min_by(|a, b| far[*a].total_cmp(&far[*b])).unwrap_or(0);
            sums[nearest] += value;
            counts[nearest] += 1;
        }
        let before = centers;
        for at in 0..3 {
            if counts[at] > 0 {
                centers[at] = sums[at] / counts[at] as f64;
            }
        }
        if centers == before {
            break;
        }
    }
    let largest = (0..3).max_by_key(|at| (counts[*at], 3 - at))?;
    Some(centers[largest].round() as i64)
}

fn start_of(times: &[i64], distance: i64, start: Start) -> i64 {
    let Some(first) = times.first().copied() else { return 0 };
    match start {
        Start::Linear => {
            let asked = |(at, time): (usize, &i64)| i128::from(*time) - at as i128 * i128::from(distance);
            let sum: i128 = times.iter().enumerate().map(asked).sum();
            i64::try_from(sum.div_euclid(times.len() as i128)).unwrap_or(first)
        }
        Start::Mode => {
            let over = most_frequent(times.iter().map(|time| time.rem_euclid(distance)).collect()).unwrap_or(0);
            // The last time of the grid that is not behind the first of the series.
            first.saturating_sub((first.rem_euclid(distance) - over).rem_euclid(distance))
        }
    }
}

fn on_grid(
    times: &[i64],
    values: &[f64],
    distance: Distance,
    start: Start,
) -> Result<(Vec<i64>, Vec<f64>), RepairError> {
    let (Some(last), true) = (times.last().copied(), times.len() > 1) else {
        return Ok((times.to_vec(), values.to_vec()));
    };
    let distance = distance_of(times, distance).ok_or(RepairError::NoDistance)?;
    let start = start_of(times, distance, start);
    let span = i128::from(last) - i128::from(start);
    let steps = (span.max(0) + i128::from(distance) - 1) / i128::from(distance);
    let places = usize::try_from(steps + 1).map_err(|_| RepairError::TooFine)?;
    let gaps = places.abs_diff(times.len());
    if times.len().max(places).saturating_mul(gaps + 1) > CELLS_MAX {
        return Err(RepairError::TooFine);
    }
    let place = |at: usize| start.saturating_add(distance.saturating_mul(at as i64));
    let far = |at: usize, time: usize| u128::from(place(at).abs_diff(times[time]));
    // The longer of the two goes by rows, the other skips: skipped[r][s] is the least sum once `r` rows of the longer
    // are done, `s` of which have no partner.
    let is_finer = places >= times.len();
    let rows = places.max(times.len());
    let cost = |row: usize, skipped: usize| {
        let partner = row - skipped;
        if is_finer { far(row, partner) } else { far(partner, row) }
    };
    let mut best = vec![u128::MAX; gaps + 1];
    best[0] = 0;
    // Whether the row is skipped on the best way to a cell.
    let mut skips = vec![false; rows * (gaps + 1)];
    for row in 0..rows {
        let mut next = vec![u128::MAX; gaps + 1];
        for skipped in 0..=gaps.min(row + 1) {
            let met = match best[skipped] {
                u128::MAX => u128::MAX,
                sum if skipped <= row && row - skipped < rows - gaps => sum + cost(row, skipped),
                _ => u128::MAX,
            };
            let skip = if skipped > 0 { best[skipped - 1] } else { u128::MAX };
            skips[row * (gaps + 1) + skipped] = skip < met;
            next[skipped] = met.min(skip);
        }
        best = next;
    }
    let mut found = vec![f64::NAN; places];
    let mut skipped = gaps;
    for row in (0..rows).rev() {
        if skips[row * (gaps + 1) + skipped] {
            skipped -= 1;
        } else if is_finer {
            found[row] = values[row - skipped];
        } else {
            found[row - skipped] = values[row];
        }
    }
    Ok(((0..places).map(place).collect(), found))
}

fn filled(values: &[f64], by: Fill) -> Vec<f64> {
    let known: Vec<f64> = values.iter().copied().filter(|value| !value.is_nan()).collect();
    let mean = known.iter().sum::<f64>() / known.len() as f64;
    let mut out = values.to_vec();
    match by {
        Fill::Mean => out.iter_mut().filter(|value| value.is_nan()).for_each(|value| *value = mean),
        Fill::Previous => {
            for at in 1..out.len() {
                if out[at].is_nan() {
                    out[at] = out[at - 1];
                }
            }
        }
        Fill::Linear => between(&mut out, |at| at as f64, false),
        Fill::AutoRegression => {
            let pairs = || values.windows(2).filter(|pair| !pair[0].is_nan());
            let both = || pairs().filter(|pair| !pair[1].is_nan());
            let slope =
                both().map(|pair| pair[0] * pair[1]).sum::<f64>() / pairs().map(|pair| pair[0] * pair[0]).sum::<f64>();
            let rest = both().map(|pair| pair[1] - slope * pair[0]).sum::<f64>() / both().count() as f64;
            for at in 0..out.len() {
                if out[at].is_nan() {
                    out[at] = if at == 0 { mean } else { slope * out[at - 1] + rest };
                }
            }
        }
        Fill::MovingAverage => {
            for at in 0..out.len() {
                if out[at].is_nan() {
                    let around = &values[at.saturating_sub(2)..values.len().min(at + 3)];
                    let around = || around.iter().filter(|value| !value.is_nan());
                    out[at] = around().sum::<f64>() / around().count() as f64;
                }
            }
        }
    }
    out
}

fn filled_by_time(times: &[i64], values: &[f64]) -> Vec<f64> {
    let mut out = values.to_vec();
    let first = times.first().copied().unwrap_or(0);
    between(&mut out, |at| (i128::from(times[at]) - i128::from(first)) as f64, true);
    out
}

/// Puts what is missing on the line between the values around it. Before the first value and behind the last it is
/// that value, or on the line of the two nearest.
fn between(values: &mut [f64], place: impl Fn(usize) -> f64, goes_on: bool) {
    let known: Vec<usize> = (0..values.len()).filter(|at| !values[*at].is_nan()).collect();
    let line = |values: &[f64], a: usize, b: usize, at: usize| {
        let slope = (values[b] - values[a]) / (place(b) - place(a));
        values[a] + slope * (place(at) - place(a))
    };
    let (Some(first), Some(last)) = (known.first().copied(), known.last().copied()) else { return };
    for pair in known.windows(2) {
        for at in pair[0] + 1..pair[1] {
            values[at] = line(values, pair[0], pair[1], at);
        }
    }
    let outside = (0..first).chain(last + 1..values.len());
    for at in outside {
        values[at] = match (goes_on, known.as_slice(), at < first) {
            (true, [a, b, ..], true) | (true, [.., a, b], false) => line(values, *a, *b, at),
            (_, _, true) => values[first],
            (_, _, false) => values[last],
        };
    }
}

fn speeds(times: &[i64], values: &[f64]) -> Vec<f64> {
    let speed = |at: usize| (values[at + 1] - values[at]) / apart(times, at, at + 1);
    (0..values.len().saturating_sub(1)).map(speed).collect()
}

fn apart(times: &[i64], a: usize, b: usize) -> f64 {
    (i128::from(times[b]) - i128::from(times[a])) as f64
}

fn screen(times: &[i64], values: &mut [f64], min: Option<f64>, max: Option<f64>) {
    let (center, sigma) = usual(&speeds(times, values));
    let (min, max) = (min.unwrap_or(center - 3.0 * sigma), max.unwrap_or(center + 3.0 * sigma));
    let window = 5.0 * median(times.windows(2).map(|pair| (pair[1] - pair[0]) as f64).collect()).unwrap_or(0.0);
    for at in 0..values.len() {
        let behind = (at + 1..values.len().min(at + WINDOW_MAX)).take_while(|other| apart(times, at, *other) <= window);
        let mut asked = vec![values[at]];
        for other in behind {
            let far = apart(times, at, other);
            asked.extend([values[other] - min * far, values[other] - max * far]);
        }
        let middle = median(asked).unwrap_or(values[at]);
        values[at] = match at.checked_sub(1) {
            Some(before) => {
                let far = apart(times, before, at);
                let (low, high) = (values[before] + min * far, values[before] + max * far);
                middle.max(low.min(high)).min(high.max(low))
            }
            None => middle,
        };
    }
}

/// A point and how far its change of speed is beyond what is usual.
#[derive(Debug, Clone, Copy)]
struct Bend {
    beyond: f64,
    at: usize,
}

impl PartialEq for Bend {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Bend {}

impl PartialOrd for Bend {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Bend {
    fn cmp(&self, other: &Self) -> Ordering {
        self.beyond.total_cmp(&other.beyond).then(other.at.cmp(&self.at))
    }
}

fn calm(times: &[i64], values: &mut [f64], center: Option<f64>, sigma: Option<f64>) {
    let change = |values: &[f64], at: usize| {
        (values[at + 1] - values[at]) / apart(times, at, at + 1)
            - (values[at] - values[at - 1]) / apart(times, at - 1, at)
    };
    let inner = 1..values.len().saturating_sub(1);
    let (usual_center, usual_sigma) = usual(&inner.clone().map(|at| change(values, at)).collect::<Vec<_>>());
    let (center, bound) = (center.unwrap_or(usual_center), 3.0 * sigma.unwrap_or(usual_sigma).max(0.0));
    let bend = |values: &[f64], at: usize| Bend { beyond: (change(values, at) - center).abs() - bound, at };
    // What is less is a matter of rounding.
    let least = 1e-9;
    let mut bends: BinaryHeap<Bend> =
        inner.clone().map(|at| bend(values, at)).filter(|bend| bend.beyond > least).collect();
    for _ in 0..values.len().saturating_mul(MOVES_A_ROW) {
        let Some(Bend { beyond, at }) = bends.pop() else { return };
        let now = bend(values, at);
        // Points around it have moved since.
        if (now.beyond - beyond).abs() > least {
            continue;
        }
        let (before, behind) = (apart(times, at - 1, at), apart(times, at, at + 1));
        let off = change(values, at) - center;
        values[at] += off.signum() * now.beyond * before * behind / (before + behind);
        for near in at.saturating_sub(1)..=at + 1 {
            if inner.contains(&near) && near != at {
                let bend = bend(values, near);
                if bend.beyond > least {
                    bends.push(bend);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NAN: f64 = f64::NAN;

    fn shown(values: &[f64]) -> Vec<String> {
        values.iter().map(|value| format!("{value:.3}")).collect()
    }

    #[test]
    fn times_go_to_the_places_next_to_them() {
        let times = [0, 10, 19, 30, 40, 50, 61, 71, 81, 91];
        let values: Vec<f64> = (1..=10).map(f64::from).collect();
        for distance in [Distance::Median, Distance::Mode, Distance::Cluster, Distance::Given(10)] {
            let by = Repair::Times { distance, start: Start::Mode };
            let (grid, found) = repaired(&times, &values, by).unwrap();
            assert_eq!(grid, (0..=10).map(|at| 10 * at).collect::<Vec<_>>(), "{distance:?}");
            assert_eq!(found[..10], values[..]);
            assert!(found[10].is_nan());
        }
        let by = Repair::Times { distance: Distance::Given(10), start: Start::Mode };
        // A gap stays empty, of two times for one place the nearer is kept.
        let (grid, found) = repaired(&[0, 11, 42], &[1.0, 2.0, 3.0], by).unwrap();
        assert_eq!((grid.len(), shown(&found)), (6, shown(&[1.0, 2.0, NAN, NAN, 3.0, NAN])));
        let (grid, found) = repaired(&[0, 1, 10, 14, 20], &[1.0, 2.0, 3.0, 4.0, 5.0], by).unwrap();
        assert_eq!((grid, shown(&found)), (vec![0, 10, 20], shown(&[1.0, 3.0, 5.0])));
        assert_eq!(
            repaired(&[1, 1], &[1.0, 2.0], Repair::Times { distance: Distance::Median, start: Start::Mode }),
            Err(RepairError::NoDistance)
        );
        let fine = Repair::Times { distance: Distance::Given(1), start: Start::Mode };
        assert_eq!(repaired(&[i64::MIN, i64::MAX], &[1.0, 2.0], fine), Err(RepairError::TooFine));
        assert_eq!(repaired(&[], &[], fine), Ok((vec![], vec![])));
    }

    #[test]
    fn values_are_filled() {
        let values = [NAN, 1.0, 2.0, NAN, NAN, 5.0, NAN];
        let of = |by| shown(&filled(&values, by));
        assert_eq!(of(Fill::Mean), shown(&[8.0 / 3.0, 1.0, 2.0, 8.0 / 3.0, 8.0 / 3.0, 5.0, 8.0 / 3.0]));
        assert_eq!(of(Fill::Previous), shown(&[NAN, 1.0, 2.0, 2.0, 2.0, 5.0, 5.0]));
        assert_eq!(of(Fill::Linear), shown(&[1.0, 1.0, 2.0, 3.0, 4.0, 5.0, 5.0]));
        assert_eq!(of(Fill::MovingAverage), shown(&[1.5, 1.0, 2.0, 8.0 / 3.0, 3.5, 5.0, 5.0]));
        // Two on one: 2 / (1 + 4 + 25), and the rest of it.
        let (slope, rest) = (2.0 / 30.0, 2.0 - 2.0 / 30.0);
        let third = slope * 2.0 + rest;
        let expected = [8.0 / 3.0, 1.0, 2.0, third, slope * third + rest, 5.0, slope * 5.0 + rest];
        assert_eq!(of(Fill::AutoRegression), shown(&expected));
        assert!(filled(&[NAN, NAN], Fill::Linear).iter().all(|value| value.is_nan()));
    }

    #[test]
    fn values_that_cannot_be_are_moved() {
        let times = [2, 3, 4, 6, 8, 10, 14, 15, 16, 18, 20, 22, 26, 28, 30];
        let values = [NAN, 101.0, 102.0, 104.0, 126.0, 108.0, NAN, 113.0, 114.0, 116.0, NAN, NAN, 124.0, 126.0, 128.0];
        let line: Vec<f64> = times.iter().map(|time| (time + 98) as f64).collect();
        for bound in [
            Bound::Speed { min: None, max: None },
            Bound::Speed { min: Some(1.0), max: Some(1.0) },
            Bound::Acceleration { center: None, sigma: None },
            Bound::Acceleration { center: Some(0.0), sigma: Some(0.0) },
        ] {
            let (_, found) = repaired(&times, &values, Repair::Values(bound)).unwrap();
            assert_eq!(shown(&found), shown(&line), "{bound:?}");
        }
        for bound in [Bound::Speed { min: None, max: None }, Bound::Acceleration { center: None, sigma: None }] {
            assert_eq!(repaired(&[1], &[5.0], Repair::Values(bound)).unwrap().1, [5.0]);
            assert_eq!(repaired(&[], &[], Repair::Values(bound)).unwrap().1, [0.0; 0]);
        }
    }
}
