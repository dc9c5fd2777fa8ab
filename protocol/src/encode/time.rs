//! Timestamps as naive UTC text, by integer arithmetic.
//!
//! Rows of a result are mostly near each other in time. The text of the last timestamp is kept as a template: within
//! the same second only the fraction is new, within the same day only the clock, and the calendar is computed once
//! a day. Years outside 0000 to 9999 (possible in milli- and microseconds) take a slow path with a signed year. Every
//! number has a text: what is stored can be shown.

use super::number::ascii_8;
use super::sink::Sink;

const SECONDS_PER_DAY: i64 = 86_400;

/// `YYYY-MM-DDTHH:MM:SS.nnnnnnnnn`
const FULL: usize = 29;
const WHOLE_SECONDS: usize = 19;

/// Days that `year 0` and `year 9999` begin and end on, counted from 1970-01-01.
const DAY_FIRST: i64 = -719_528;
const DAY_LAST: i64 = 2_932_896;

/// Formats the timestamps of one column; see the module.
#[derive(Clone, Debug)]
pub(super) struct TimeWriter {
    units_per_second: i64,
    nanoseconds_per_unit: i64,
    second: i64,
    day: i64,
    text: [u8; 32],
}

impl TimeWriter {
    /// For timestamps that count this many units a second: 1, 10^3, 10^6 or 10^9.
    pub(super) fn new(units_per_second: i64) -> Self {
        let mut text = [0; 32];
        text[..20].copy_from_slice(b"1970-01-01T00:00:00.");
        TimeWriter { units_per_second, nanoseconds_per_unit: 1_000_000_000 / units_per_second, second: 0, day: 0, text }
    }

    /// Writes all nine digits of the fraction.
    #[inline]
    pub(super) fn write_full(&mut self, sink: &mut Sink<'_>, time: i64) {
        let nanosecond = self.advance(time);
        if nanosecond < 0 {
            return self.write_far(sink, time, true);
        }
        let hundreds = ascii_8(nanosecond as u64 / 10);
        self.text[20..28].copy_from_slice(&hundreds);
        self.text[28] = b'0' + (nanosecond % 10) as u8;
        sink.block(&self.text, FULL);
    }

    /// Writes 0, 3, 6 or 9 digits of the fraction, as many as it needs.
    #[inline]
    pub(super) fn write_short(&mut self, sink: &mut Sink<'_>, time: i64) {
        let nanosecond = self.advance(time);
        if nanosecond < 0 {
            return self.write_far(sink, time, false);
        }
        let length = if nanosecond == 0 {
            WHOLE_SECONDS
        } else {
            let hundreds = ascii_8(nanosecond as u64 / 10);
            self.text[20..28].copy_from_slice(&hundreds);
            self.text[28] = b'0' + (nanosecond % 10) as u8;
            WHOLE_SECONDS + 1 + fraction_digits(nanosecond)
        };
        sink.block(&self.text, length);
    }

    /// Brings the template to this time's second and returns the nanosecond in it; negative for the slow path.
    #[inline]
    fn advance(&mut self, time: i64) -> i64 {
        // Constants, so that the divisions become multiplications.
        let (second, unit) = match self.units_per_second {
            1_000_000_000 => (time.div_euclid(1_000_000_000), time.rem_euclid(1_000_000_000)),
            1_000_000 => (time.div_euclid(1_000_000), time.rem_euclid(1_000_000)),
            1_000 => (time.div_euclid(1_000), time.rem_euclid(1_000)),
            _ => (time, 0),
        };
        if second != self.second && !self.set_second(second) {
            return -1;
        }
        unit * self.nanoseconds_per_unit
    }

    fn set_second(&mut self, second: i64) -> bool {
        let day = second.div_euclid(SECONDS_PER_DAY);
        if day != self.day {
            if !(DAY_FIRST..=DAY_LAST).contains(&day) {
                return false;
            }
            let (year, month, day_of_month) = civil(day);
            let year = ascii_8(year as u64);
            self.text[..4].copy_from_slice(&year[4..]);
            self.text[5..7].copy_from_slice(&two(month));
            self.text[8..10].copy_from_slice(&two(day_of_month));
            self.day = day;
        }
        let clock = second.rem_euclid(SECONDS_PER_DAY) as u64;
        self.text[11..13].copy_from_slice(&two(clock / 3600));
        self.text[14..16].copy_from_slice(&two(clock / 60 % 60));
        self.text[17..19].copy_from_slice(&two(clock % 60));
        self.second = second;
        true
    }

    /// Years of more than four digits or below zero.
    #[cold]
    fn write_far(&self, sink: &mut Sink<'_>, time: i64, full: bool) {
        let second = time.div_euclid(self.units_per_second);
        let nanosecond = time.rem_euclid(self.units_per_second) * self.nanoseconds_per_unit;
        let clock = second.rem_euclid(SECONDS_PER_DAY);
        let (year, month, day) = civil(second.div_euclid(SECONDS_PER_DAY));
        let (hour, minute, second) = (clock / 3600, clock / 60 % 60, clock % 60);
        let fraction = format!(".{nanosecond:09}");
        let digits = match (full, nanosecond) {
            (true, _) => 10,
            (false, 0) => 0,
            (false, _) => 1 + fraction_digits(nanosecond),
        };
        let text = format!("{year:+05}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}{}", &fraction[..digits]);
        sink.bytes(text.as_bytes());
    }
}

/// Digits that a fraction above zero needs, in steps of three.
#[inline]
fn fraction_digits(nanosecond: i64) -> usize {
    if nanosecond % 1_000_000 == 0 {
        3
    } else if nanosecond % 1_000 == 0 {
        6
    } else {
        9
    }
}

#[inline]
fn two(number: u64) -> [u8; 2] {
    [b'0' + (number / 10) as u8, b'0' + (number % 10) as u8]
}

/// Year, month and day of a day counted from 1970-01-01, in the proleptic Gregorian calendar.
///
/// Counts in eras of 400 years that begin on 1 March, so that the leap day is the last of its year.
fn civil(day: i64) -> (i64, u64, u64) {
    let shifted = day + 719_468;
    let era = shifted.div_euclid(146_097);
    let day_of_era = shifted.rem_euclid(146_097) as u64;
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day_of_month = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    let year = year_of_era as i64 + era * 400 + i64::from(month <= 2);
    (year, month, day_of_month)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(units_per_second: i64, times: &[i64]) -> Vec<(String, String)> {
        let mut writer = TimeWriter::new(units_per_second);
        let mut one = |time, full| {
            let mut out = Vec::new();
            let mut sink = Sink::new(&mut out);
            if full {
                writer.write_full(&mut sink, time);
            } else {
                writer.write_short(&mut sink, time);
            }
            sink.finish();
            String::from_utf8(out).unwrap()
        };
        times.iter().map(|&time| (one(time, true), one(time, false))).collect()
    }

    #[test]
    fn known_times() {
        let pair = |full: &str, short: &str| (full.to_owned(), short.to_owned());
        assert_eq!(
            texts(
                1_000_000_000,
                &[
                    0,
                    1_667_456_411_000_000_007,
                    1_667_456_411_000_000_000,
                    1_667_456_411_120_000_000,
                    1_667_456_411_000_001_000,
                    -1,
                    951_868_799_999_999_999,
                    i64::MAX,
                    i64::MIN,
                    1
                ]
            ),
            [
                pair("1970-01-01T00:00:00.000000000", "1970-01-01T00:00:00"),
                pair("2022-11-03T06:20:11.000000007", "2022-11-03T06:20:11.000000007"),
                pair("2022-11-03T06:20:11.000000000", "2022-11-03T06:20:11"),
                pair("2022-11-03T06:20:11.120000000", "2022-11-03T06:20:11.120"),
                pair("2022-11-03T06:20:11.000001000", "2022-11-03T06:20:11.000001"),
                pair("1969-12-31T23:59:59.999999999", "1969-12-31T23:59:59.999999999"),
                pair("2000-02-29T23:59:59.999999999", "2000-02-29T23:59:59.999999999"),
                pair("2262-04-11T23:47:16.854775807", "2262-04-11T23:47:16.854775807"),
                pair("1677-09-21T00:12:43.145224192", "1677-09-21T00:12:43.145224192"),
                pair("1970-01-01T00:00:00.000000001", "1970-01-01T00:00:00.000000001"),
            ]
        );
        assert_eq!(
            texts(1_000, &[1_667_456_411_123]),
            [pair("2022-11-03T06:20:11.123000000", "2022-11-03T06:20:11.123")]
        );
        assert_eq!(
            texts(1_000_000, &[1_667_456_411_000_001]),
            [pair("2022-11-03T06:20:11.000001000", "2022-11-03T06:20:11.000001")]
        );
        assert_eq!(
            texts(1, &[253_402_300_799, -62_167_219_200]),
            [
                pair("9999-12-31T23:59:59.000000000", "9999-12-31T23:59:59"),
                pair("0000-01-01T00:00:00.000000000", "0000-01-01T00:00:00"),
            ]
        );
    }

    #[test]
    fn far_years_have_a_sign() {
        let short = |units_per_second, times: &[i64]| -> Vec<String> {
            texts(units_per_second, times).into_iter().map(|(_, short)| short).collect()
        };
        assert_eq!(
            short(1, &[253_402_300_800, -62_167_219_201, 0, i64::MAX, i64::MIN]),
            [
                "+10000-01-01T00:00:00",
                "-0001-12-31T23:59:59",
                "1970-01-01T00:00:00",
                "+292277026596-12-04T15:30:07",
                "-292277022657-01-27T08:29:52"
            ]
        );
        assert_eq!(
            short(1_000, &[i64::MAX, i64::MIN]),
            ["+292278994-08-17T07:12:55.807", "-292275055-05-16T16:47:04.192"]
        );
        assert_eq!(
            short(1_000_000, &[i64::MAX, i64::MIN]),
            ["+294247-01-10T04:00:54.775807", "-290308-12-21T19:59:05.224192"]
        );
    }

    #[test]
    fn every_day_of_four_centuries_follows_the_one_before() {
        let (mut year, mut month, mut day) = civil(-200_000);
        for number in -199_999..200_000 {
            let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
            let length = [31, if leap { 29 } else { 28 }, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31][month as usize - 1];
            if day < length {
                day += 1;
            } else if month < 12 {
                (month, day) = (month + 1, 1);
            } else {
                (year, month, day) = (year + 1, 1, 1);
            }
            assert_eq!(civil(number), (year, month, day));
        }
        assert_eq!(civil(0), (1970, 1, 1));
    }
}
