//! Times: text to nanoseconds and back, by integer arithmetic in UTC.
//!
//! Texts are read into nanoseconds as `i128`, which holds every year of four digits, so that a comparison with a time
//! out of a column's range can still be decided exactly.

use std::fmt::Write as _;

use arrow_schema::TimeUnit;

use super::calendar::{Date, date_of, days_in_month, days_of};
use super::error::{TimestampError, TimestampPart};
use super::unit::{DAY_NS, SECOND_NS, unit_ns};

/// Reads RFC 3339 and its looser kin: `YYYY-MM-DD`, then optionally `T` or blank, `HH:MM[:SS[.f]]` and a zone (`Z`,
/// `±HH[[:]MM]`, `UTC`); without zone it is UTC. Digits beyond nanoseconds are dropped.
pub fn parse_timestamp(text: &str) -> Result<i128, TimestampError> {
    let fail = |part| TimestampError { text: text.to_owned(), part };
    let trimmed = text.trim();
    if trimmed.len() < 10 {
        return Err(fail(TimestampPart::Length));
    }
    let mut cursor = Cursor { rest: trimmed.as_bytes() };
    let days = cursor.date().ok_or_else(|| fail(TimestampPart::Date))?;
    let midnight = i128::from(days) * i128::from(DAY_NS);
    if cursor.rest.is_empty() {
        return Ok(midnight);
    }
    if !cursor.eat(b'T') && !cursor.eat(b't') && !cursor.eat(b' ') {
        return Err(fail(TimestampPart::Separator));
    }
    let of_day = cursor.time_of_day().ok_or_else(|| fail(TimestampPart::Clock))?;
    let offset = cursor.zone().ok_or_else(|| fail(TimestampPart::Zone))?;
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
        valid.then(|| days_of(Date { year, month, day }))
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
    let Date { year, month, day } = date_of(days);
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
        for (text, part) in [
            ("garbage", TimestampPart::Length),
            ("2022-13-01", TimestampPart::Date),
            ("2022-02-29", TimestampPart::Date),
            ("not a date!", TimestampPart::Date),
            ("2022-11-03x06:20:11", TimestampPart::Separator),
            ("2022-11-03T25:20:11", TimestampPart::Clock),
            ("2022-11-03T06:20:11.", TimestampPart::Clock),
            ("2022-11-03T06:20:11 Mars", TimestampPart::Zone),
            ("2022-11-03T06:20:11é", TimestampPart::Zone),
        ] {
            assert_eq!(parse_timestamp(text), Err(TimestampError { text: text.to_owned(), part }));
        }
    }

    #[test]
    fn timestamps_are_printed_with_the_digits_they_need() {
        assert_eq!(format_timestamp(1_667_456_411, TimeUnit::Second), "2022-11-03T06:20:11");
        assert_eq!(format_timestamp(1_667_456_411_123, TimeUnit::Millisecond), "2022-11-03T06:20:11.123");
        assert_eq!(format_timestamp(-1, TimeUnit::Nanosecond), "1969-12-31T23:59:59.999999999");
        assert_eq!(format_timestamp(1_000, TimeUnit::Nanosecond), "1970-01-01T00:00:00.000001");
    }
}
