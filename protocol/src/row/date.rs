//! Dates as RFC 3339 has them, and a little looser: the zone, the time of day or its seconds may be missing.

use super::RowError;

const SECOND: i64 = 1_000_000_000;

/// Nanoseconds since 1970 of a date such as `2024-03-27T02:51:11.687Z`. Without a zone it is UTC.
pub fn parse_date(text: &str) -> Result<i64, RowError> {
    let invalid = || RowError::invalid("the time", text);
    let (seconds, nanoseconds) = read(text.as_bytes()).ok_or_else(invalid)?;
    seconds.checked_mul(SECOND).and_then(|time| time.checked_add(nanoseconds)).ok_or(RowError::TimeOutOfRange)
}

/// Seconds since 1970, and nanoseconds of the second.
fn read(text: &[u8]) -> Option<(i64, i64)> {
    let mut rest = text;
    let year = number(&mut rest, 4)?;
    expect(&mut rest, b"-")?;
    let month = number(&mut rest, 2)?;
    expect(&mut rest, b"-")?;
    let day = number(&mut rest, 2)?;
    if !(1..=12).contains(&month) || !(1..=days_of_month(year, month)).contains(&day) {
        return None;
    }
    let midnight = days_since_1970(year, month, day) * 86_400;
    if rest.is_empty() {
        return Some((midnight, 0));
    }
    expect(&mut rest, b"Tt ")?;
    let hour = number(&mut rest, 2)?;
    expect(&mut rest, b":")?;
    let minute = number(&mut rest, 2)?;
    let (mut second, mut nanoseconds) = (0, 0);
    if expect(&mut rest, b":").is_some() {
        second = number(&mut rest, 2)?;
        if expect(&mut rest, b".,").is_some() {
            nanoseconds = fraction(&mut rest)?;
        }
    }
    // A leap second is the next one, as Unix time has it.
    if hour > 23 || minute > 59 || second > 60 {
        return None;
    }
    let offset = zone(rest)?;
    Some((midnight + hour * 3600 + minute * 60 + second - offset, nanoseconds))
}

/// Seconds east of UTC.
fn zone(mut rest: &[u8]) -> Option<i64> {
    if rest.is_empty() {
        return Some(0);
    }
    if expect(&mut rest, b"Zz").is_some() {
        return rest.is_empty().then_some(0);
    }
    let sign = if expect(&mut rest, b"+").is_some() { 1 } else { expect(&mut rest, b"-").map(|()| -1)? };
    let hour = number(&mut rest, 2)?;
    let minute = match rest {
        [] => 0,
        _ => {
            let _ = expect(&mut rest, b":");
            number(&mut rest, 2)?
        }
    };
    (rest.is_empty() && hour < 24 && minute < 60).then_some(sign * (hour * 3600 + minute * 60))
}

fn number(rest: &mut &[u8], digits: usize) -> Option<i64> {
    let (text, behind) = rest.split_at_checked(digits)?;
    let value =
        text.iter().try_fold(0, |value, byte| byte.is_ascii_digit().then(|| value * 10 + i64::from(byte - b'0')))?;
    *rest = behind;
    Some(value)
}

fn expect(rest: &mut &[u8], any: &[u8]) -> Option<()> {
    let (first, behind) = rest.split_first()?;
    any.contains(first).then(|| *rest = behind)
}

/// Digits behind the point, as nanoseconds; those beyond the ninth are passed over.
fn fraction(rest: &mut &[u8]) -> Option<i64> {
    let count = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let (digits, behind) = rest.split_at_checked(count)?;
    *rest = behind;
    let value = digits.iter().take(9).fold(0, |value, byte| value * 10 + i64::from(byte - b'0'));
    (count > 0).then(|| value * 10_i64.pow(9 - count.min(9) as u32))
}

fn days_of_month(year: i64, month: i64) -> i64 {
    match month {
        4 | 6 | 9 | 11 => 30,
        2 if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) => 29,
        2 => 28,
        _ => 31,
    }
}

/// Days from 1970-01-01 to a date of the Gregorian calendar, years counted from March.
fn days_since_1970(year: i64, month: i64, day: i64) -> i64 {
    let year = year - i64::from(month <= 2);
    let era = year.div_euclid(400);
    let of_era = year.rem_euclid(400);
    let of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_nanoseconds() {
        for (text, expected) in [
            ("1970-01-01T00:00:00Z", 0),
            ("2024-03-27T02:51:11.687Z", 1_711_507_871_687_000_000),
            ("2024-03-27T04:51:11.687+02:00", 1_711_507_871_687_000_000),
            ("2024-03-26T21:21:11.687-0530", 1_711_507_871_687_000_000),
            ("2024-03-27 02:51:11,687000000999", 1_711_507_871_687_000_000),
            ("2024-02-29", 1_709_164_800_000_000_000),
            ("2024-02-29T12:30", 1_709_209_800_000_000_000),
            ("1969-12-31T23:59:59.999999999z", -1),
            ("2000-12-31T23:59:60Z", 978_307_200_000_000_000),
        ] {
            assert_eq!(parse_date(text), Ok(expected), "{text}");
        }
    }

    #[test]
    fn what_is_no_date_is_refused() {
        for text in [
            "",
            "now",
            "2024",
            "2024-13-01",
            "2024-00-01",
            "2023-02-29",
            "2024-03-27T",
            "2024-03-27T24:00:00Z",
            "2024-03-27T02:51:11.Z",
            "2024-03-27T02:51:11+",
            "2024-03-27T02:51:11+2",
            "2024-03-27T02:51:11Zx",
            "2024-03-27x02:51:11",
            "20240327",
            "+024-03-27",
        ] {
            assert!(matches!(parse_date(text), Err(RowError::Invalid { .. })), "{text}");
        }
        assert_eq!(parse_date("9999-01-01T00:00:00Z"), Err(RowError::TimeOutOfRange));
    }
}
