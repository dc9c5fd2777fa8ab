//! Tilings of the time line by half-open intervals, the buckets, each with a number.
//!
//! Numbers and bounds are exact on both sides of the epoch (a time before it belongs to the bucket that begins at or
//! before it), and saturate at the ends of i64.

use arrow_array::{Array, ArrayRef};
use arrow_buffer::ScalarBuffer;

use super::array::{time_array, time_parts};
use super::calendar::{first_day_of_month, month_of};
use crate::error::execution::Result;

/// A tiling of the time line, in one unit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Tiling {
    /// Equal widths; a bucket begins at every `origin + k * width`, with `0 <= origin < width`.
    Fixed { width: i64, origin: i64 },
    /// `count` calendar months each, from January 1970 on.
    Months { count: i64, units_per_day: i64 },
}

impl Tiling {
    /// Buckets of fixed `width` aligned with `origin`.
    pub(crate) fn fixed(width: i64, origin: i64) -> Self {
        let width = width.max(1);
        Self::Fixed { width, origin: origin.rem_euclid(width) }
    }

    /// The bucket that holds `time`.
    pub(crate) fn index(&self, time: i64) -> i64 {
        match *self {
            Self::Fixed { width, origin } => {
                // Written so that nothing overflows at the ends of i64.
                time.div_euclid(width) - i64::from(time.rem_euclid(width) < origin)
            }
            Self::Months { count, units_per_day } => month_of(time.div_euclid(units_per_day)).div_euclid(count),
        }
    }

    /// First time of bucket `index`.
    pub(crate) fn start(&self, index: i64) -> i64 {
        let wide = match *self {
            Self::Fixed { width, origin } => i128::from(index) * i128::from(width) + i128::from(origin),
            Self::Months { count, units_per_day } => {
                i128::from(first_day_of_month(index.saturating_mul(count))) * i128::from(units_per_day)
            }
        };
        wide.clamp(i128::from(i64::MIN), i128::from(i64::MAX)) as i64
    }

    /// Last time of bucket `index`.
    pub(crate) fn last(&self, index: i64) -> i64 {
        let next = self.start(index.saturating_add(1));
        if next == i64::MAX { next } else { next - 1 }
    }

    /// Start of the bucket of each time.
    fn starts(&self, times: &[i64]) -> ScalarBuffer<i64> {
        // Neighbours mostly share a bucket, so its bounds are kept and the division is done once a bucket.
        let (mut first, mut last) = (i64::MAX, i64::MIN);
        times
            .iter()
            .map(|&time| {
                if time < first || time > last {
                    let index = self.index(time);
                    (first, last) = (self.start(index), self.last(index));
                }
                first
            })
            .collect()
    }
}

/// Start of each time's bucket; `times` is a timestamp column.
pub(crate) fn bin(tiling: &Tiling, times: &dyn Array) -> Result<ArrayRef> {
    let (values, nulls, unit) = time_parts(times)?;
    Ok(time_array(tiling.starts(&values), nulls, unit))
}

#[cfg(test)]
mod tests {
    use arrow_schema::TimeUnit;

    use super::*;

    const HOUR: i64 = 3_600_000_000_000;

    #[test]
    fn fixed_buckets_floor_on_both_sides_of_the_epoch() {
        let bucket = Tiling::fixed(HOUR, 0);
        let starts = |times: &[i64]| bucket.starts(times).to_vec();
        assert_eq!(starts(&[-1, 0, 1, HOUR - 1, HOUR]), [-HOUR, 0, 0, 0, HOUR]);
        assert_eq!(starts(&[-HOUR, -HOUR - 1]), [-HOUR, -2 * HOUR], "an exact multiple begins its own bucket");
        let shifted = Tiling::fixed(HOUR, -HOUR / 4);
        let starts = shifted.starts(&[0, HOUR * 3 / 4 - 1, HOUR * 3 / 4]);
        assert_eq!(starts.to_vec(), [-HOUR / 4, -HOUR / 4, HOUR * 3 / 4]);
    }

    #[test]
    fn every_time_lies_in_its_bucket() {
        let buckets = [
            Tiling::fixed(7, 3),
            Tiling::fixed(HOUR, HOUR / 2),
            Tiling::Months { count: 1, units_per_day: 24 * HOUR },
            Tiling::Months { count: 3, units_per_day: 86_400 },
        ];
        let seed = crate::exec::testing::seed();
        let mut random = fastrand::Rng::with_seed(seed);
        for bucket in &buckets {
            for _ in 0..2_000 {
                let time = random.i64(..) >> random.u32(0..60);
                let index = bucket.index(time);
                assert!(
                    bucket.start(index) <= time && time <= bucket.last(index),
                    "{bucket:?} time {time} TIDEWIRE_SEED={seed}"
                );
                if bucket.last(index) < i64::MAX {
                    assert_eq!(bucket.index(bucket.last(index) + 1), index + 1, "{bucket:?} TIDEWIRE_SEED={seed}");
                }
            }
        }
        assert_eq!(Tiling::fixed(10, 0).start(i64::MAX / 2), i64::MAX, "saturates");
    }

    #[test]
    fn months_begin_on_the_first() {
        let times = time_array(vec![-1, 0, 31 * 24 * HOUR, 59 * 24 * HOUR - 1].into(), None, TimeUnit::Nanosecond);
        let months = Tiling::Months { count: 1, units_per_day: 24 * HOUR };
        let (starts, ..) = time_parts(&bin(&months, &times).unwrap()).unwrap();
        assert_eq!(starts.to_vec(), [-31 * 24 * HOUR, 0, 31 * 24 * HOUR, 31 * 24 * HOUR]);
    }
}
