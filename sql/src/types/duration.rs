//! Durations of a database's options: `10d`, `1h30m`, `1year`, `INF`.

use super::error::DurationError;
use super::unit::{DAY_NS, HOUR_NS, MINUTE_NS, SECOND_NS};

/// Mean length of a year.
pub(crate) const YEAR_NS: i64 = 31_557_600 * SECOND_NS;

/// Mean length of a month, as the reference has it.
const MONTH_NS: i64 = 2_630_016 * SECOND_NS;

/// Duration units of database options with their lengths; years and months are the calendar's means, as CnosDB prints
/// its default of `1year`.
const DURATION_UNITS: [(&str, &str, i64); 9] = [
    ("year", "years", YEAR_NS),
    ("month", "months", MONTH_NS),
    ("day", "days", DAY_NS),
    ("h", "h", HOUR_NS),
    ("m", "m", MINUTE_NS),
    ("s", "s", SECOND_NS),
    ("ms", "ms", 1_000_000),
    ("us", "us", 1_000),
    ("ns", "ns", 1),
];

/// Reads a duration of a database option: `INF` (`None`), numbers with units (`10d`, `1h30m`, `1year`), or a bare
/// number of days. One that is longer than nanoseconds can count is the longest that they can.
pub(crate) fn parse_duration(text: &str) -> Result<Option<i64>, DurationError> {
    let trimmed = text.trim();
    if trimmed.eq_ignore_ascii_case("inf") {
        return Ok(None);
    }
    let mut total: i128 = 0;
    let mut rest = trimmed;
    if rest.is_empty() {
        return Err(DurationError);
    }
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
        let (number, after) = rest.split_at(digits);
        let number: i64 = number.parse().map_err(|_| DurationError)?;
        let letters = after.find(|c: char| !c.is_alphabetic()).unwrap_or(after.len());
        let (name, after) = after.split_at(letters);
        // `M` is a month and `m` a minute: of no other unit but `y` does the case tell.
        let unit = match name {
            "" | "d" | "D" => DAY_NS,
            "M" => MONTH_NS,
            // As the reference has it.
            "Y" => return Err(DurationError),
            _ => match name.to_ascii_lowercase().as_str() {
                "y" | "year" | "years" => YEAR_NS,
                "month" | "months" => MONTH_NS,
                "w" | "week" | "weeks" => 7 * DAY_NS,
                "day" | "days" => DAY_NS,
                "h" | "hr" | "hour" | "hours" => HOUR_NS,
                "m" | "min" | "minute" | "minutes" => MINUTE_NS,
                "s" | "sec" | "second" | "seconds" => SECOND_NS,
                "ms" | "msec" => 1_000_000,
                "us" | "usec" => 1_000,
                "ns" | "nsec" => 1,
                _ => return Err(DurationError),
            },
        };
        // No product of an i64 with a unit comes near the bound.
        total = total.saturating_add(i128::from(number) * i128::from(unit));
        rest = after.trim_start();
    }
    // The reference counts seconds in 64 bits.
    if total / i128::from(SECOND_NS) > i128::from(u64::MAX) {
        return Err(DurationError);
    }
    Ok(Some(i64::try_from(total).unwrap_or(i64::MAX)))
}

/// Prints a duration of a database option: `INF`, `1year`, `10days 2h`.
pub(crate) fn format_duration(duration_ns: Option<i64>) -> String {
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
    fn durations_are_read_and_printed() {
        assert_eq!(parse_duration("INF"), Ok(None));
        assert_eq!(parse_duration("7"), Ok(Some(7 * DAY_NS)));
        assert_eq!(parse_duration("1h30m"), Ok(Some(5_400 * SECOND_NS)));
        assert_eq!(parse_duration("5x"), Err(DurationError));
        assert_eq!(parse_duration("1000000d"), Ok(Some(i64::MAX)), "more years than nanoseconds can count");
        for text in ["18446744073709551615d", "9223372036854775807d"] {
            assert_eq!(parse_duration(text), Err(DurationError));
        }
        assert_eq!(format_duration(None), "INF");
        assert_eq!(format_duration(Some(365 * DAY_NS + DAY_NS / 4)), "1year");
        assert_eq!(format_duration(Some(10 * DAY_NS + 7_200 * SECOND_NS)), "10days 2h");
    }
}
