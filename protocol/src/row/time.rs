//! Times as formats write them, and nanoseconds.

use super::RowError;

/// What the integers of a format's times count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TimeScale {
    /// This many nanoseconds each.
    Unit(i64),
    /// Seconds, milliseconds, microseconds or nanoseconds, by the number of their digits: up to 11, 14, 17 or more.
    /// That leaves no doubt about any time between 1973 and 5138.
    Digits,
}

const SECOND: i64 = 1_000_000_000;

impl TimeScale {
    /// `time` in nanoseconds.
    pub fn nanoseconds(self, time: i64) -> Result<i64, RowError> {
        time.checked_mul(self.unit(time)).ok_or(RowError::TimeOutOfRange)
    }

    /// The same of a number with a fraction, to the microsecond: a float of seconds says no more of the present.
    pub fn nanoseconds_of_float(self, time: f64) -> Result<i64, RowError> {
        // NaN is in no range.
        if !(i64::MIN as f64..i64::MAX as f64).contains(&time) {
            return Err(RowError::TimeOutOfRange);
        }
        let whole = time.floor();
        let unit = self.unit(whole as i64);
        let fraction = ((time - whole) * unit as f64 / 1e3).round() as i64 * 1_000;
        self.nanoseconds(whole as i64)?.checked_add(fraction).ok_or(RowError::TimeOutOfRange)
    }

    /// Nanoseconds of what `time` counts.
    fn unit(self, time: i64) -> i64 {
        match self {
            Self::Unit(unit) => unit,
            Self::Digits => match time.unsigned_abs() {
                0..100_000_000_000 => SECOND,
                100_000_000_000..100_000_000_000_000 => 1_000_000,
                100_000_000_000_000..100_000_000_000_000_000 => 1_000,
                _ => 1,
            },
        }
    }
}

/// A time as text: an integer in `scale`, or seconds with a fraction.
pub fn parse_time(text: &str, scale: TimeScale) -> Result<i64, RowError> {
    let invalid = || RowError::invalid("the timestamp", text);
    let Some((whole, fraction)) = text.split_once('.') else {
        let time = text.parse().map_err(|_| invalid())?;
        return scale.nanoseconds(time);
    };
    let is_digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    if !is_digits(whole) || !is_digits(fraction) || fraction.len() > 9 {
        return Err(invalid());
    }
    let whole: i64 = whole.parse().map_err(|_| invalid())?;
    let digits: i64 = fraction.parse().map_err(|_| invalid())?;
    let fraction = digits * 10_i64.pow(9 - fraction.len() as u32);
    whole.checked_mul(SECOND).and_then(|time| time.checked_add(fraction)).ok_or(RowError::TimeOutOfRange)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_say_the_unit() {
        for (text, expected) in [
            ("1667456411", 1_667_456_411_000_000_000),
            ("1667456411001", 1_667_456_411_001_000_000),
            ("1667456411000001", 1_667_456_411_000_001_000),
            ("1667456411000000001", 1_667_456_411_000_000_001),
            ("-1", -SECOND),
            ("1364410924.250", 1_364_410_924_250_000_000),
            ("0.000000001", 1),
        ] {
            assert_eq!(parse_time(text, TimeScale::Digits), Ok(expected), "{text}");
        }
        assert_eq!(parse_time("7", TimeScale::Unit(1_000)), Ok(7_000));
    }

    #[test]
    fn a_float_is_a_time_to_the_microsecond() {
        for (time, expected) in [
            (1_667_456_411.123, 1_667_456_411_123_000_000),
            (1_667_456_411_001.5, 1_667_456_411_001_500_000),
            (-0.25, -250_000_000),
            (0.000_001, 1_000),
            (1.0, SECOND),
        ] {
            assert_eq!(TimeScale::Digits.nanoseconds_of_float(time), Ok(expected), "{time}");
        }
        assert_eq!(TimeScale::Unit(1_000_000).nanoseconds_of_float(1.5), Ok(1_500_000));
        for time in [f64::NAN, f64::INFINITY, f64::MIN] {
            let found = TimeScale::Unit(SECOND).nanoseconds_of_float(time);
            assert_eq!(found, Err(RowError::TimeOutOfRange), "{time}");
        }
    }

    #[test]
    fn what_is_no_time_is_refused() {
        for text in ["", "x", "1.", ".5", "1.x", "1.0123456789", "-1.5", "1e3", "99999999999999999999", "1 "] {
            let found = parse_time(text, TimeScale::Digits);
            assert!(matches!(found, Err(RowError::Invalid { .. })), "{text:?}: {found:?}");
        }
        assert_eq!(parse_time("9223372036854775807", TimeScale::Unit(1_000)), Err(RowError::TimeOutOfRange));
        assert_eq!(parse_time("99999999999.5", TimeScale::Digits), Err(RowError::TimeOutOfRange));
    }
}
