//! Time kernels: buckets (`date_bin`, `date_trunc`, `time_window`), differences and parts of times.
//!
//! All bucket functions reduce to one [`Bucket`]: a tiling of the time line by half-open intervals, each with a number.
//! Numbers and bounds are exact on both sides of the epoch (a time before it belongs to the bucket that begins at or
//! before it), and saturate at the ends of i64.

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::{
    TimestampMicrosecondType, TimestampMillisecondType, TimestampNanosecondType, TimestampSecondType,
};
use arrow_array::{
    Array, ArrayRef, Float64Array, IntervalMonthDayNanoArray, TimestampMicrosecondArray, TimestampMillisecondArray,
    TimestampNanosecondArray, TimestampSecondArray,
};
use arrow_buffer::{IntervalMonthDayNano, NullBuffer, ScalarBuffer};
use arrow_schema::{ArrowError, DataType, TimeUnit};

use crate::exec::error::{ExecError, Result};
use crate::expr::{Expr, Scalar, ScalarFunction};
use crate::types::calendar::{date_of, day_of_year, first_day_of_month, iso_week, month_of, weekday};

const NANOSECONDS_PER_DAY: i64 = 86_400_000_000_000;

/// Nanoseconds in one `unit`.
pub(crate) const fn nanoseconds(unit: TimeUnit) -> i64 {
    match unit {
        TimeUnit::Second => 1_000_000_000,
        TimeUnit::Millisecond => 1_000_000,
        TimeUnit::Microsecond => 1_000,
        TimeUnit::Nanosecond => 1,
    }
}

/// A tiling of the time line, in one unit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Bucket {
    /// Equal widths; a bucket begins at every `origin + k * width`, with `0 <= origin < width`.
    Fixed { width: i64, origin: i64 },
    /// `count` calendar months each, from January 1970 on.
    Months { count: i64, units_per_day: i64 },
}

impl Bucket {
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

/// The tiling that a bucket function means for times in `unit`, and its time argument; `None` for other functions and
/// for arguments in another form than the binder's.
pub(crate) fn bucket_of(function: ScalarFunction, args: &[Expr], unit: TimeUnit) -> Option<(Bucket, &Expr)> {
    match (function, args) {
        (ScalarFunction::DateBin, [Expr::Literal(width), time, Expr::Literal(origin)]) => {
            let &Scalar::Interval { months: 0, days: 0, nanoseconds: width } = width else { return None };
            let &Scalar::Time(origin, origin_unit) = origin else { return None };
            // Exact in `unit`, or not a tiling of it.
            let width = (width > 0 && width % nanoseconds(unit) == 0).then(|| width / nanoseconds(unit))?;
            let origin_ns = i128::from(origin) * i128::from(nanoseconds(origin_unit));
            let unit_ns = i128::from(nanoseconds(unit));
            let origin = (origin_ns % unit_ns == 0).then(|| (origin_ns / unit_ns).rem_euclid(i128::from(width)))?;
            Some((Bucket::fixed(width, origin as i64), time))
        }
        (ScalarFunction::DateTrunc, [Expr::Literal(Scalar::Str(part)), time]) => {
            let count = match &**part {
                "month" => 1,
                "quarter" => 3,
                "year" => 12,
                _ => return None,
            };
            Some((Bucket::Months { count, units_per_day: NANOSECONDS_PER_DAY / nanoseconds(unit) }, time))
        }
        _ => None,
    }
}

/// Values, nulls and unit of a timestamp column.
pub(crate) fn time_parts(array: &dyn Array) -> Result<(ScalarBuffer<i64>, Option<NullBuffer>, TimeUnit)> {
    let DataType::Timestamp(unit, _) = array.data_type() else {
        return Err(ExecError::Internal(format!("expected times, found {}", array.data_type())));
    };
    let values = match unit {
        TimeUnit::Second => array.as_primitive::<TimestampSecondType>().values(),
        TimeUnit::Millisecond => array.as_primitive::<TimestampMillisecondType>().values(),
        TimeUnit::Microsecond => array.as_primitive::<TimestampMicrosecondType>().values(),
        TimeUnit::Nanosecond => array.as_primitive::<TimestampNanosecondType>().values(),
    };
    Ok((values.clone(), array.nulls().cloned(), *unit))
}

/// A timestamp column without zone.
pub(crate) fn time_array(values: ScalarBuffer<i64>, nulls: Option<NullBuffer>, unit: TimeUnit) -> ArrayRef {
    match unit {
        TimeUnit::Second => Arc::new(TimestampSecondArray::new(values, nulls)),
        TimeUnit::Millisecond => Arc::new(TimestampMillisecondArray::new(values, nulls)),
        TimeUnit::Microsecond => Arc::new(TimestampMicrosecondArray::new(values, nulls)),
        TimeUnit::Nanosecond => Arc::new(TimestampNanosecondArray::new(values, nulls)),
    }
}

/// Start of each time's bucket; `times` is a timestamp column.
pub(crate) fn bin(bucket: &Bucket, times: &dyn Array) -> Result<ArrayRef> {
    let (values, nulls, unit) = time_parts(times)?;
    Ok(time_array(bucket.starts(&values), nulls, unit))
}

/// Time less time: an interval of whole days and the nanoseconds left over, both of the sign of the difference.
pub(crate) fn difference(later: &dyn Array, earlier: &dyn Array) -> Result<ArrayRef> {
    let ((a, a_nulls, a_unit), (b, b_nulls, b_unit)) = (time_parts(later)?, time_parts(earlier)?);
    let wide = |value: i64, unit| i128::from(value) * i128::from(nanoseconds(unit));
    let intervals = a
        .iter()
        .zip(b.iter())
        .map(|(&a, &b)| {
            let ns = wide(a, a_unit) - wide(b, b_unit);
            let day = i128::from(NANOSECONDS_PER_DAY);
            let days = i32::try_from(ns / day)
                .map_err(|_| ArrowError::ArithmeticOverflow("Overflow happened on: time - time".into()))?;
            Ok(IntervalMonthDayNano::new(0, days, (ns % day) as i64))
        })
        .collect::<Result<Vec<_>>>()?;
    let nulls = NullBuffer::union(a_nulls.as_ref(), b_nulls.as_ref());
    Ok(Arc::new(IntervalMonthDayNanoArray::new(intervals.into(), nulls)))
}

/// `date_part(part, time)` as DOUBLE; seconds and smaller carry their fraction.
pub(crate) fn date_part(part: &str, times: &dyn Array) -> Result<ArrayRef> {
    let (values, nulls, unit) = time_parts(times)?;
    let unit_ns = nanoseconds(unit);
    let per_day = NANOSECONDS_PER_DAY / unit_ns;
    let per_second = per_day / 86_400;
    let day = move |t: i64| t.div_euclid(per_day);
    let second_of_day = move |t: i64| t.rem_euclid(per_day) / per_second;
    // Units within the minute, with the fraction of a second.
    let of_minute = move |t: i64| (t.rem_euclid(per_day) % (60 * per_second)) as f64;
    let second = per_second as f64;
    let kernel: Box<dyn Fn(i64) -> f64> = match part {
        "year" => Box::new(move |t| date_of(day(t)).year as f64),
        "quarter" => Box::new(move |t| ((date_of(day(t)).month + 2) / 3) as f64),
        "month" => Box::new(move |t| date_of(day(t)).month as f64),
        "week" => Box::new(move |t| iso_week(day(t)) as f64),
        "day" => Box::new(move |t| date_of(day(t)).day as f64),
        "doy" => Box::new(move |t| day_of_year(day(t)) as f64),
        "dow" => Box::new(move |t| ((weekday(day(t)) + 1) % 7) as f64),
        "hour" => Box::new(move |t| (second_of_day(t) / 3_600) as f64),
        "minute" => Box::new(move |t| (second_of_day(t) / 60 % 60) as f64),
        "second" => Box::new(move |t| of_minute(t) / second),
        "millisecond" => Box::new(move |t| of_minute(t) / second * 1e3),
        "microsecond" => Box::new(move |t| of_minute(t) / second * 1e6),
        "nanosecond" => Box::new(move |t| of_minute(t) / second * 1e9),
        "epoch" => Box::new(move |t| t as f64 / second),
        other => return Err(ExecError::Execution(format!("Date part '{other}' not supported"))),
    };
    let parts: ScalarBuffer<f64> = values.iter().map(|&t| kernel(t)).collect();
    Ok(Arc::new(Float64Array::new(parts, nulls)))
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: i64 = 3_600_000_000_000;

    #[test]
    fn fixed_buckets_floor_on_both_sides_of_the_epoch() {
        let bucket = Bucket::fixed(HOUR, 0);
        let starts = |times: &[i64]| bucket.starts(times).to_vec();
        assert_eq!(starts(&[-1, 0, 1, HOUR - 1, HOUR]), [-HOUR, 0, 0, 0, HOUR]);
        assert_eq!(starts(&[-HOUR, -HOUR - 1]), [-HOUR, -2 * HOUR], "an exact multiple begins its own bucket");
        let shifted = Bucket::fixed(HOUR, -HOUR / 4);
        let starts = shifted.starts(&[0, HOUR * 3 / 4 - 1, HOUR * 3 / 4]);
        assert_eq!(starts.to_vec(), [-HOUR / 4, -HOUR / 4, HOUR * 3 / 4]);
    }

    #[test]
    fn every_time_lies_in_its_bucket() {
        let buckets = [
            Bucket::fixed(7, 3),
            Bucket::fixed(HOUR, HOUR / 2),
            Bucket::Months { count: 1, units_per_day: 24 * HOUR },
            Bucket::Months { count: 3, units_per_day: 86_400 },
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
        assert_eq!(Bucket::fixed(10, 0).start(i64::MAX / 2), i64::MAX, "saturates");
    }

    #[test]
    fn months_begin_on_the_first() {
        let times = time_array(vec![-1, 0, 31 * 24 * HOUR, 59 * 24 * HOUR - 1].into(), None, TimeUnit::Nanosecond);
        let months = Bucket::Months { count: 1, units_per_day: 24 * HOUR };
        let (starts, ..) = time_parts(&bin(&months, &times).unwrap()).unwrap();
        assert_eq!(starts.to_vec(), [-31 * 24 * HOUR, 0, 31 * 24 * HOUR, 31 * 24 * HOUR]);
    }

    #[test]
    fn parts_of_a_known_time() {
        // 2022-11-03T06:20:11.5Z, a Thursday of ISO week 44.
        let times = time_array(vec![1_667_456_411_500].into(), None, TimeUnit::Millisecond);
        let part =
            |name: &str| date_part(name, &times).unwrap().as_primitive::<arrow_array::types::Float64Type>().value(0);
        let expected = [
            ("year", 2022.0),
            ("quarter", 4.0),
            ("month", 11.0),
            ("week", 44.0),
            ("day", 3.0),
            ("doy", 307.0),
            ("dow", 4.0),
            ("hour", 6.0),
            ("minute", 20.0),
            ("second", 11.5),
            ("millisecond", 11_500.0),
            ("epoch", 1_667_456_411.5),
        ];
        for (name, value) in expected {
            assert_eq!(part(name), value, "{name}");
        }
        assert!(date_part("fortnight", &times).is_err());
    }

    #[test]
    fn a_difference_is_days_and_the_rest() {
        let later = time_array(vec![0, 25 * HOUR].into(), None, TimeUnit::Nanosecond);
        let earlier = time_array(vec![25 * HOUR, 0].into(), None, TimeUnit::Nanosecond);
        let difference = difference(&later, &earlier).unwrap();
        let values = difference.as_primitive::<arrow_array::types::IntervalMonthDayNanoType>().values().to_vec();
        assert_eq!(values, [IntervalMonthDayNano::new(0, -1, -HOUR), IntervalMonthDayNano::new(0, 1, HOUR)]);
    }
}
