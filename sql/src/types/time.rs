//! Text to time and back: timestamps, intervals and durations, by integer arithmetic on the proleptic Gregorian
//! calendar in UTC.
//!
//! Texts are read into nanoseconds as `i128`, which holds every year of four digits, so that a comparison with a time
//! out of a column's range can still be decided exactly.

use std::fmt::Write as _;

use arrow_schema::TimeUnit;

/// Nanoseconds of a second.
pub const SECOND_NS: i64 = 1_000_000_000;
/// Nanoseconds of a day; UTC as Unix counts it has no leap seconds.
pub const DAY_NS: i64 = 86_400 * SECOND_NS;

/// An INTERVAL: calendar months, calendar days and nanoseconds, which do not convert into each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Interval {
    /// Months.
    pub months: i32,
    /// Days.
    pub days: i32,
    /// Nanoseconds.
    pub nanoseconds: i64,
}

impl Interval {
    /// Length in nanoseconds, days taken as 24 hours; `None` where it has months or overflows.
    pub fn fixed_ns(self) -> Option<i64> {
        if self.months != 0 {
            return None;
        }
        i64::from(self.days).checked_mul(DAY_NS)?.checked_add(self.nanoseconds)
    }

    /// The opposite interval; `None` on overflow.
    pub fn negated(self) -> Option<Self> {
        Some(Self {
            months: self.months.checked_neg()?,
            days: self.days.checked_neg()?,
            nanoseconds: self.nanoseconds.checked_neg()?,
        })
    }

    /// The sum, part by part; `None` on overflow.
    pub fn plus(self, other: Self) -> Option<Self> {
        Some(Self {
            months: self.months.checked_add(other.months)?,
            days: self.days.checked_add(other.days)?,
            nanoseconds: self.nanoseconds.checked_add(other.nanoseconds)?,
        })
    }
}

/// Nanoseconds in one `unit`.
pub const fn unit_ns(unit: TimeUnit) -> i64 {
    match unit {
        TimeUnit::Second => SECOND_NS,
        TimeUnit::Millisecond => 1_000_000,
        TimeUnit::Microsecond => 1_000,
        TimeUnit::Nanosecond => 1,
    }
}

/// A table's unit of time in arrow's words.
pub const fn arrow_unit(unit: tidewire_storage::schema::TimeUnit) -> TimeUnit {
    match unit {
        tidewire_storage::schema::TimeUnit::Millisecond => TimeUnit::Millisecond,
        tidewire_storage::schema::TimeUnit::Microsecond => TimeUnit::Microsecond,
        tidewire_storage::schema::TimeUnit::Nanosecond => TimeUnit::Nanosecond,
    }
}

/// Days from 1970-01-01 to the given date. Months from 1, any `day`.
pub fn days_from_civil(year: i64, month: i64, day: i64) -> i64 {
    // The year starts in March, so that the leap day is its last and the month lengths follow one linear formula; an
    // era is 400 years, after which the calendar repeats.
    let shifted_year = if month <= 2 { year - 1 } else { year };
    let era = shifted_year.div_euclid(400);
    let year_of_era = shifted_year.rem_euclid(400);
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    era * 146_097 + day_of_era - 719_468
}

/// Year, month (from 1) and day (from 1) of a count of days since 1970-01-01.
pub fn civil_from_days(days: i64) -> (i64, i64, i64) {
    let shifted = days + 719_468;
    let era = shifted.div_euclid(146_097);
    let day_of_era = shifted.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    (year, month, day)
}

/// Days of a month.
pub fn days_in_month(year: i64, month: i64) -> i64 {
    days_from_civil(year, month + 1, 1) - days_from_civil(year, month, 1)
}

/// `time` (in `unit`) plus `interval`: months first, the day cut to the month's length, then days and nanoseconds.
/// Fractions of the unit are cut towards the past. `None` where the result does not fit.
pub fn add_interval(time: i64, unit: TimeUnit, interval: Interval) -> Option<i64> {
    let unit = i128::from(unit_ns(unit));
    let mut ns = i128::from(time) * unit;
    if interval.months != 0 {
        let days = i64::try_from(ns.div_euclid(i128::from(DAY_NS))).ok()?;
        let of_day = ns.rem_euclid(i128::from(DAY_NS));
        let (year, month, day) = civil_from_days(days);
        let months = year.checked_mul(12)?.checked_add(month - 1)?.checked_add(i64::from(interval.months))?;
        let (year, month) = (months.div_euclid(12), months.rem_euclid(12) + 1);
        let days = days_from_civil(year, month, day.min(days_in_month(year, month)));
        ns = i128::from(days) * i128::from(DAY_NS) + of_day;
    }
    ns += i128::from(interval.days) * i128::from(DAY_NS) + i128::from(interval.nanoseconds);
    i64::try_from(ns.div_euclid(unit)).ok()
}

/// Reads RFC 3339 and its looser kin: `YYYY-MM-DD`, then optionally `T` or blank, `HH:MM[:SS[.f]]` and a zone (`Z`,
/// `±HH[[:]MM]`, `UTC`); without zone it is UTC. Digits beyond nanoseconds are dropped. The error is the reason.
pub fn parse_timestamp(text: &str) -> Result<i128, String> {
    let fail = |reason: &str| format!("Parser error: Error parsing timestamp from '{text}': {reason}");
    let trimmed = text.trim();
    if trimmed.len() < 10 {
        return Err(fail("timestamp must contain at least 10 characters"));
    }
    let mut cursor = Cursor { rest: trimmed.as_bytes() };
    let days = cursor.date().ok_or_else(|| fail("error parsing date"))?;
    let midnight = i128::from(days) * i128::from(DAY_NS);
    if cursor.rest.is_empty() {
        return Ok(midnight);
    }
    if !cursor.eat(b'T') && !cursor.eat(b't') && !cursor.eat(b' ') {
        return Err(fail("invalid timestamp separator"));
    }
    let of_day = cursor.time_of_day().ok_or_else(|| fail("error parsing time"))?;
    let offset = cursor.zone().ok_or_else(|| fail("error parsing timezone"))?;
    Ok(midnight + i128::from(of_day) - i128::from(offset) * i128::from(SECOND_NS))
}

struct Cursor<'a> {
    rest: &'a [u8],
}

impl Cursor<'_> {
    fn eat(&mut self, byte: u8) -> bool {
        let found = self.rest.first() == Some(&byte);
        if found {
            self.rest = &self.rest[1..];
        }
        found
    }

    /// Exactly `count` digits.
    fn digits(&mut self, count: usize) -> Option<i64> {
        let (digits, rest) = self.rest.split_at_checked(count)?;
        if !digits.iter().all(u8::is_ascii_digit) {
            return None;
        }
        self.rest = rest;
        Some(digits.iter().fold(0, |value, digit| value * 10 + i64::from(digit - b'0')))
    }

    fn date(&mut self) -> Option<i64> {
        let year = self.digits(4)?;
        let month = self.eat(b'-').then(|| self.digits(2))??;
        let day = self.eat(b'-').then(|| self.digits(2))??;
        let valid = (1..=12).contains(&month) && day >= 1 && day <= days_in_month(year, month);
        valid.then(|| days_from_civil(year, month, day))
    }

    /// Nanoseconds since midnight. A leap second is taken as the one that follows.
    fn time_of_day(&mut self) -> Option<i64> {
        let hour = self.digits(2)?;
        let minute = self.eat(b':').then(|| self.digits(2))??;
        let second = if self.eat(b':') { self.digits(2)? } else { 0 };
        if hour > 23 || minute > 59 || second > 60 {
            return None;
        }
        let mut fraction = 0;
        if self.eat(b'.') {
            let count = self.rest.iter().take_while(|b| b.is_ascii_digit()).count();
            if count == 0 {
                return None;
            }
            for place in 0..9 {
                fraction = fraction * 10 + if place < count { i64::from(self.rest[place] - b'0') } else { 0 };
            }
            self.rest = &self.rest[count..];
        }
        Some(((hour * 60 + minute) * 60 + second) * SECOND_NS + fraction)
    }

    /// Seconds east of UTC.
    fn zone(&mut self) -> Option<i64> {
        self.rest = self.rest.trim_ascii_start();
        if self.rest.is_empty() || self.rest.eq_ignore_ascii_case(b"z") || self.rest.eq_ignore_ascii_case(b"utc") {
            return Some(0);
        }
        let sign = match self.rest.split_first()? {
            (b'+', rest) => {
                self.rest = rest;
                1
            }
            (b'-', rest) => {
                self.rest = rest;
                -1
            }
            _ => return None,
        };
        let hour = self.digits(2)?;
        let minute = if self.rest.is_empty() {
            0
        } else {
            let _ = self.eat(b':');
            self.digits(2)?
        };
        (self.rest.is_empty() && hour <= 23 && minute <= 59).then_some(sign * (hour * 60 + minute) * 60)
    }
}

/// Prints a time as `2022-11-03T06:20:11`, with 3, 6 or 9 digits of a fraction where it has one.
pub fn format_timestamp(time: i64, unit: TimeUnit) -> String {
    let ns = i128::from(time) * i128::from(unit_ns(unit));
    let days = i64::try_from(ns.div_euclid(i128::from(DAY_NS))).unwrap_or(0);
    let of_day = i64::try_from(ns.rem_euclid(i128::from(DAY_NS))).unwrap_or(0);
    let (year, month, day) = civil_from_days(days);
    let seconds = of_day / SECOND_NS;
    let mut text =
        format!("{year:04}-{month:02}-{day:02}T{:02}:{:02}:{:02}", seconds / 3600, seconds / 60 % 60, seconds % 60);
    let fraction = of_day % SECOND_NS;
    let _ = match fraction {
        0 => Ok(()),
        f if f % 1_000_000 == 0 => write!(text, ".{:03}", f / 1_000_000),
        f if f % 1_000 == 0 => write!(text, ".{:06}", f / 1_000),
        f => write!(text, ".{f:09}"),
    };
    text
}

/// Prints an interval as `0 years 1 mons 2 days 3 hours 0 mins 0.000000000 secs`.
pub fn format_interval(interval: Interval) -> String {
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
        "hour" | "hours" | "h" | "hr" | "hrs" => Nanoseconds(3_600 * SECOND_NS),
        "minute" | "minutes" | "min" | "mins" | "m" => Nanoseconds(60 * SECOND_NS),
        "second" | "seconds" | "sec" | "secs" | "s" => Nanoseconds(SECOND_NS),
        "millisecond" | "milliseconds" | "ms" => Nanoseconds(1_000_000),
        "microsecond" | "microseconds" | "us" | "µs" => Nanoseconds(1_000),
        "nanosecond" | "nanoseconds" | "ns" => Nanoseconds(1),
        _ => return None,
    })
}

/// Reads the text of an INTERVAL literal: numbers with units in any order (`1 hour 30 minutes`, `1.5 days`, `-10m`),
/// and clock time (`01:30:00`). A number without unit counts `default_unit`s. The error is the reason.
pub fn parse_interval(text: &str, default_unit: &str) -> Result<Interval, String> {
    let invalid = || format!("Invalid input syntax for type interval: {text:?}");
    let overflow = || format!("Interval {text:?} is out of range");
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

/// Duration units of database options with their lengths; years and months are the calendar's means, as CnosDB prints
/// its default of `1year`.
const DURATION_UNITS: [(&str, &str, i64); 9] = [
    ("year", "years", 31_557_600 * SECOND_NS),
    ("month", "months", 2_630_016 * SECOND_NS),
    ("day", "days", DAY_NS),
    ("h", "h", 3_600 * SECOND_NS),
    ("m", "m", 60 * SECOND_NS),
    ("s", "s", SECOND_NS),
    ("ms", "ms", 1_000_000),
    ("us", "us", 1_000),
    ("ns", "ns", 1),
];

/// Reads a duration of a database option: `INF` (`None`), numbers with units (`10d`, `1h30m`, `1year`), or a bare number
/// of days. One that is longer than nanoseconds can count is the longest that they can. The error is the reason.
pub fn parse_duration(text: &str) -> Result<Option<i64>, String> {
    let invalid = || format!("{text} is not a valid duration or duration overflow");
    let trimmed = text.trim();
    if trimmed.eq_ignore_ascii_case("inf") {
        return Ok(None);
    }
    let mut total: i128 = 0;
    let mut rest = trimmed;
    if rest.is_empty() {
        return Err(invalid());
    }
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
        let (number, after) = rest.split_at(digits);
        let number: i64 = number.parse().map_err(|_| invalid())?;
        let letters = after.find(|c: char| !c.is_alphabetic()).unwrap_or(after.len());
        let (name, after) = after.split_at(letters);
        // `M` is a month and `m` a minute: the only unit whose case tells.
        let unit = match name {
            "" | "d" | "D" => DAY_NS,
            "M" => 2_630_016 * SECOND_NS,
            _ => match name.to_ascii_lowercase().as_str() {
                "y" | "year" | "years" => 31_557_600 * SECOND_NS,
                "month" | "months" => 2_630_016 * SECOND_NS,
                "w" | "week" | "weeks" => 7 * DAY_NS,
                "day" | "days" => DAY_NS,
                "h" | "hr" | "hour" | "hours" => 3_600 * SECOND_NS,
                "m" | "min" | "minute" | "minutes" => 60 * SECOND_NS,
                "s" | "sec" | "second" | "seconds" => SECOND_NS,
                "ms" | "msec" => 1_000_000,
                "us" | "usec" => 1_000,
                "ns" | "nsec" => 1,
                _ => return Err(invalid()),
            },
        };
        // No product of an i64 with a unit comes near the bound.
        total = total.saturating_add(i128::from(number) * i128::from(unit));
        rest = after.trim_start();
    }
    // The reference counts seconds in 64 bits.
    if total / i128::from(SECOND_NS) > i128::from(u64::MAX) {
        return Err(invalid());
    }
    Ok(Some(i64::try_from(total).unwrap_or(i64::MAX)))
}

/// Prints a duration of a database option: `INF`, `1year`, `10days 2h`.
pub fn format_duration(duration_ns: Option<i64>) -> String {
    let Some(mut rest) = duration_ns else {
        return "INF".to_owned();
    };
    let mut parts = Vec::new();
    for (one, many, length) in DURATION_UNITS {
        let count = rest / length;
        rest %= length;
        if count > 0 {
            parts.push(format!("{count}{}", if count == 1 { one } else { many }));
        }
    }
    if parts.is_empty() { "0s".to_owned() } else { parts.join(" ") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timestamps_are_read() {
        let ns = 1_667_456_411_000_000_000_i128;
        for (text, expected) in [
            ("2022-11-03T06:20:11Z", ns),
            ("2022-11-03 06:20:11", ns),
            ("2022-11-03T14:20:11+08:00", ns),
            ("2022-11-03T14:20:11+0800", ns),
            ("2022-11-03 01:20:11 -05", ns),
            ("2022-11-03T06:20:11.5", ns + 500_000_000),
            ("2022-11-03T06:20:11.0000000079Z", ns + 7),
            ("2022-11-03 06:20", ns - 11_000_000_000),
            ("2022-11-03", ns - 22_811_000_000_000),
            ("1970-01-01", 0),
            ("1969-12-31T23:59:59", -1_000_000_000),
            ("2000-02-29", 951_782_400_000_000_000),
        ] {
            assert_eq!(parse_timestamp(text), Ok(expected), "{text}");
        }
    }

    #[test]
    fn bad_timestamps_say_why() {
        for (text, reason) in [
            ("garbage", "timestamp must contain at least 10 characters"),
            ("2022-13-01", "error parsing date"),
            ("2022-02-29", "error parsing date"),
            ("not a date!", "error parsing date"),
            ("2022-11-03x06:20:11", "invalid timestamp separator"),
            ("2022-11-03T25:20:11", "error parsing time"),
            ("2022-11-03T06:20:11.", "error parsing time"),
            ("2022-11-03T06:20:11 Mars", "error parsing timezone"),
            ("2022-11-03T06:20:11é", "error parsing timezone"),
        ] {
            let expected = format!("Parser error: Error parsing timestamp from '{text}': {reason}");
            assert_eq!(parse_timestamp(text), Err(expected));
        }
    }

    #[test]
    fn civil_days_run_both_ways() {
        for days in (-800_000..3_000_000).step_by(97) {
            let (year, month, day) = civil_from_days(days);
            assert_eq!(days_from_civil(year, month, day), days);
        }
        assert_eq!(civil_from_days(0), (1970, 1, 1));
        assert_eq!(days_in_month(2024, 2), 29);
        assert_eq!(days_in_month(1900, 2), 28);
        assert_eq!(days_in_month(2023, 12), 31);
    }

    #[test]
    fn timestamps_are_printed_with_the_digits_they_need() {
        assert_eq!(format_timestamp(1_667_456_411, TimeUnit::Second), "2022-11-03T06:20:11");
        assert_eq!(format_timestamp(1_667_456_411_123, TimeUnit::Millisecond), "2022-11-03T06:20:11.123");
        assert_eq!(format_timestamp(-1, TimeUnit::Nanosecond), "1969-12-31T23:59:59.999999999");
        assert_eq!(format_timestamp(1_000, TimeUnit::Nanosecond), "1970-01-01T00:00:00.000001");
    }

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
        let january_31 = days_from_civil(2024, 1, 31) * 86_400;
        let add = |months| {
            add_interval(january_31, TimeUnit::Second, Interval { months, ..Interval::default() })
                .map(|time| format_timestamp(time, TimeUnit::Second))
        };
        assert_eq!(add(1).as_deref(), Some("2024-02-29T00:00:00"));
        assert_eq!(add(13).as_deref(), Some("2025-02-28T00:00:00"));
        assert_eq!(add(-2).as_deref(), Some("2023-11-30T00:00:00"));
        assert_eq!(add_interval(i64::MAX, TimeUnit::Nanosecond, Interval { days: 1, ..Interval::default() }), None);
    }

    #[test]
    fn durations_are_read_and_printed() {
        assert_eq!(parse_duration("INF"), Ok(None));
        assert_eq!(parse_duration("7"), Ok(Some(7 * DAY_NS)));
        assert_eq!(parse_duration("1h30m"), Ok(Some(5_400 * SECOND_NS)));
        assert_eq!(parse_duration("5x"), Err("5x is not a valid duration or duration overflow".to_owned()));
        assert_eq!(parse_duration("1000000d"), Ok(Some(i64::MAX)), "more years than nanoseconds can count");
        for text in ["18446744073709551615d", "9223372036854775807d"] {
            assert_eq!(parse_duration(text), Err(format!("{text} is not a valid duration or duration overflow")));
        }
        assert_eq!(format_duration(None), "INF");
        assert_eq!(format_duration(Some(365 * DAY_NS + DAY_NS / 4)), "1year");
        assert_eq!(format_duration(Some(10 * DAY_NS + 7_200 * SECOND_NS)), "10days 2h");
    }
}
