//! Intervals: text, print, and the sum with a time.

use arrow_schema::TimeUnit;

use super::calendar::{Date, date_of, days_in_month, days_of};
use super::error::IntervalError;
use super::unit::{DAY_NS, HOUR_NS, MINUTE_NS, SECOND_NS, unit_ns};

/// An INTERVAL: calendar months, calendar days and nanoseconds, which do not convert into each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Interval {
    /// Months.
    pub(crate) months: i32,
    /// Days.
    pub(crate) days: i32,
    /// Nanoseconds.
    pub(crate) nanoseconds: i64,
}

impl Interval {
    /// Length in nanoseconds, days taken as 24 hours; `None` where it has months or overflows.
    pub(crate) fn fixed_ns(self) -> Option<i64> {
        if self.months != 0 {
            return None;
        }
        i64::from(self.days).checked_mul(DAY_NS)?.checked_add(self.nanoseconds)
    }

    /// The opposite interval; `None` on overflow.
    pub(crate) fn negated(self) -> Option<Self> {
        Some(Self {
            months: self.months.checked_neg()?,
            days: self.days.checked_neg()?,
            nanoseconds: self.nanoseconds.checked_neg()?,
        })
    }

    /// The sum, part by part; `None` on overflow.
    pub(crate) fn plus(self, other: Self) -> Option<Self> {
        Some(Self {
            months: self.months.checked_add(other.months)?,
            days: self.days.checked_add(other.days)?,
            nanoseconds: self.nanoseconds.checked_add(other.nanoseconds)?,
        })
    }
}

/// `time` (in `unit`) plus `interval`: months first, the day at most the last of the month, then days and nanoseconds.
/// Fractions of the unit are rounded towards the past. `None` where the result does not fit.
pub(crate) fn add_interval(time: i64, unit: TimeUnit, interval: Interval) -> Option<i64> {
    let unit = i128::from(unit_ns(unit));
    let mut ns = i128::from(time) * unit;
    if interval.months != 0 {
        let days = i64::try_from(ns.div_euclid(i128::from(DAY_NS))).ok()?;
        let of_day = ns.rem_euclid(i128::from(DAY_NS));
        let Date { year, month, day } = date_of(days);
        let months = year.checked_mul(12)?.checked_add(month - 1)?.checked_add(i64::from(interval.months))?;
        let (year, month) = (months.div_euclid(12), months.rem_euclid(12) + 1);
        let days = days_of(Date { year, month, day: day.min(days_in_month(year, month)) });
        ns = i128::from(days) * i128::from(DAY_NS) + of_day;
    }
    ns += i128::from(interval.days) * i128::from(DAY_NS) + i128::from(interval.nanoseconds);
    i64::try_from(ns.div_euclid(unit)).ok()
}

/// What an interval's unit counts.
#[derive(Clone, Copy)]
enum IntervalUnit {
    Months(i64),
    Days(i64),
    Nanoseconds(i64),
}

fn interval_unit(name: &str) -> Option<IntervalUnit> {
    use IntervalUnit::{Days, Months, Nanoseconds};
    Some(match name.to_ascii_lowercase().as_str() {
        "century" | "centuries" => Months(1_200),
        "decade" | "decades" => Months(120),
        "year" | "years" | "y" | "yr" | "yrs" => Months(12),
        "quarter" | "quarters" => Months(3),
        "month" | "months" | "mon" | "mons" => Months(1),
        "week" | "weeks" | "w" => Days(7),
        "day" | "days" | "d" => Days(1),
        "hour" | "hours" | "h" | "hr" | "hrs" => Nanoseconds(HOUR_NS),
        "minute" | "minutes" | "min" | "mins" | "m" => Nanoseconds(MINUTE_NS),
        "second" | "seconds" | "sec" | "secs" | "s" => Nanoseconds(SECOND_NS),
        "millisecond" | "milliseconds" | "ms" => Nanoseconds(1_000_000),
        "microsecond" | "microseconds" | "us" | "µs" => Nanoseconds(1_000),
        "nanosecond" | "nanoseconds" | "ns" => Nanoseconds(1),
        _ => return None,
    })
}

/// Reads the text of an INTERVAL literal: numbers with units in any order (`1 hour 30 minutes`, `1.5 days`, `-10m`),
/// and clock time (`01:30:00`). A number without unit counts `default_unit`s.
pub(crate) fn parse_interval(text: &str, default_unit: &str) -> Result<Interval, IntervalError> {
    let invalid = || IntervalError::Invalid(text.to_owned());
    let overflow = || IntervalError::OutOfRange(text.to_owned());
    let mut total = Interval::default();
    let mut rest = text.trim();
    if rest.is_empty() {
        return Err(invalid());
    }
    while !rest.is_empty() {
        let number_length = rest
            .char_indices()
            .find(|&(at, c)| !(c.is_ascii_digit() || c == '.' || c == ':' || (at == 0 && (c == '-' || c == '+'))))
            .map_or(rest.len(), |(at, _)| at);
        let (number, after) = rest.split_at(number_length);
        let part = if number.contains(':') {
            rest = after.trim_start();
            Interval { nanoseconds: clock_ns(number).ok_or_else(invalid)?, ..Interval::default() }
        } else {
            let scaled = scaled_number(number).ok_or_else(invalid)?;
            let after = after.trim_start();
            let unit_length = after.find(|c: char| !c.is_alphabetic()).unwrap_or(after.len());
            let (name, after) = after.split_at(unit_length);
            rest = after.trim_start();
            let unit = interval_unit(if name.is_empty() { default_unit } else { name }).ok_or_else(invalid)?;
            interval_of(scaled, unit).ok_or_else(overflow)?
        };
        total = total.plus(part).ok_or_else(overflow)?;
    }
    Ok(total)
}

/// A decimal number times 10^9; digits beyond are dropped.
fn scaled_number(text: &str) -> Option<i128> {
    let (negative, digits) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    if (whole.is_empty() && fraction.is_empty()) || !fraction.bytes().all(|b| b.is_ascii_digit()) || whole.len() > 20 {
        return None;
    }
    let whole: i128 = if whole.is_empty() { 0 } else { whole.parse().ok()? };
    let mut value = whole;
    for place in 0..9 {
        value = value * 10 + fraction.as_bytes().get(place).map_or(0, |b| i128::from(b - b'0'));
    }
    Some(if negative { -value } else { value })
}

/// A number scaled by 10^9 in `unit`s: fractions of a month fall to days of a 30-day month, fractions of a day to
/// nanoseconds.
fn interval_of(scaled: i128, unit: IntervalUnit) -> Option<Interval> {
    const SCALE: i128 = 1_000_000_000;
    let (months, days, ns) = match unit {
        IntervalUnit::Months(count) => {
            let months = scaled.checked_mul(i128::from(count))?;
            (months / SCALE, months % SCALE * 30 / SCALE, 0)
        }
        IntervalUnit::Days(count) => {
            let days = scaled.checked_mul(i128::from(count))?;
            (0, days / SCALE, days % SCALE * i128::from(DAY_NS) / SCALE)
        }
        IntervalUnit::Nanoseconds(count) => (0, 0, scaled.checked_mul(i128::from(count))? / SCALE),
    };
    Some(Interval {
        months: i32::try_from(months).ok()?,
        days: i32::try_from(days).ok()?,
        nanoseconds: i64::try_from(ns).ok()?,
    })
}

/// Nanoseconds of `[-]HH:MM[:SS[.f]]`.
fn clock_ns(text: &str) -> Option<i64> {
    let (sign, digits) = match text.strip_prefix('-') {
        Some(rest) => (-1, rest),
        None => (1, text.strip_prefix('+').unwrap_or(text)),
    };
    let mut parts = digits.split(':');
    let whole = |part: Option<&str>| part.filter(|p| p.len() <= 9)?.parse::<i64>().ok();
    let hours = whole(parts.next())?;
    let minutes = whole(parts.next())?;
    let seconds = match parts.next() {
        Some(part) if part.len() <= 20 => scaled_number(part)?,
        Some(_) => return None,
        None => 0,
    };
    if parts.next().is_some() || minutes > 59 {
        return None;
    }
    let clock = i128::from(hours * 60 + minutes) * 60 * i128::from(SECOND_NS) + seconds;
    i64::try_from(clock * sign).ok()
}

/// Prints an interval as `0 years 1 mons 2 days 3 hours 0 mins 0.000000000 secs`.
pub(crate) fn format_interval(interval: Interval) -> String {
    let Interval { months, days, nanoseconds } = interval;
    let sign = if nanoseconds < 0 { "-" } else { "" };
    let ns = nanoseconds.unsigned_abs();
    let seconds = ns / SECOND_NS.unsigned_abs();
    let signed = |value: u64| if value == 0 { "0".to_owned() } else { format!("{sign}{value}") };
    format!(
        "{} years {} mons {days} days {} hours {} mins {sign}{}.{:09} secs",
        months / 12,
        months % 12,
        signed(seconds / 3600),
        signed(seconds / 60 % 60),
        seconds % 60,
        ns % SECOND_NS.unsigned_abs()
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::timestamp::format_timestamp;

    #[test]
    fn intervals_are_read() {
        let of = |months, days, nanoseconds| Ok(Interval { months, days, nanoseconds });
        assert_eq!(parse_interval("1 hour", "second"), of(0, 0, 3_600 * SECOND_NS));
        assert_eq!(parse_interval("1 hour 30 minutes", "second"), of(0, 0, 5_400 * SECOND_NS));
        assert_eq!(parse_interval("10m", "second"), of(0, 0, 600 * SECOND_NS));
        assert_eq!(parse_interval("-1.5 days", "second"), of(0, -1, -DAY_NS / 2));
        assert_eq!(parse_interval("1 year 2 mons 3 days 04:05:06.5", "second"), of(14, 3, 14_706_500_000_000));
        assert_eq!(parse_interval("0.5 months", "second"), of(0, 15, 0));
        assert_eq!(parse_interval("7", "day"), of(0, 7, 0));
        for bad in ["", "hour", "1 parsec", "1 hour and", "1..2 s", "99999999999 years", "1e400 s", "é"] {
            assert!(parse_interval(bad, "second").is_err(), "{bad}");
        }
    }

    #[test]
    fn intervals_are_printed() {
        let one_month = Interval { months: 1, ..Interval::default() };
        assert_eq!(format_interval(one_month), "0 years 1 mons 0 days 0 hours 0 mins 0.000000000 secs");
        let back = Interval { months: 0, days: -2, nanoseconds: -3_661 * SECOND_NS - 5 };
        assert_eq!(format_interval(back), "0 years 0 mons -2 days -1 hours -1 mins -1.000000005 secs");
    }

    #[test]
    fn months_are_added_on_the_calendar() {
        let january_31 = days_of(Date { year: 2024, month: 1, day: 31 }) * 86_400;
        let add = |months| {
            add_interval(january_31, TimeUnit::Second, Interval { months, ..Interval::default() })
                .map(|time| format_timestamp(time, TimeUnit::Second))
        };
        assert_eq!(add(1).as_deref(), Some("2024-02-29T00:00:00"));
        assert_eq!(add(13).as_deref(), Some("2025-02-28T00:00:00"));
        assert_eq!(add(-2).as_deref(), Some("2023-11-30T00:00:00"));
        assert_eq!(add_interval(i64::MAX, TimeUnit::Nanosecond, Interval { days: 1, ..Interval::default() }), None);
    }
}
