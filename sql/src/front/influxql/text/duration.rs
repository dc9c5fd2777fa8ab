//! Durations as InfluxQL writes them (`90m`, `1h30m`) and as InfluxDB prints them (`1h30m0s`).

use std::fmt;

use crate::types::unit::{DAY_NS, HOUR_NS, MINUTE_NS, SECOND_NS};

/// Why a text is no duration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DurationError {
    /// No numbers with units.
    Invalid,
    /// More nanoseconds than can be counted; the text.
    Overflow(String),
}

impl fmt::Display for DurationError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Invalid => f.write_str("invalid duration"),
            Self::Overflow(text) => write!(f, "overflowed duration {text}: choose a smaller duration or INF"),
        }
    }
}

/// Units by their letters, in nanoseconds.
const UNITS: [(&str, i64); 10] = [
    ("ns", 1),
    ("u", 1_000),
    ("us", 1_000),
    ("µ", 1_000),
    ("ms", 1_000_000),
    ("s", SECOND_NS),
    ("m", MINUTE_NS),
    ("h", HOUR_NS),
    ("d", DAY_NS),
    ("w", 7 * DAY_NS),
];

/// Reads whole numbers with units.
pub(in crate::front::influxql) fn parse_duration(text: &str) -> Result<i64, DurationError> {
    let mut total: i64 = 0;
    let mut rest = text;
    if rest.is_empty() {
        return Err(DurationError::Invalid);
    }
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
        let (number, after) = rest.split_at(digits);
        let letters = after.find(|c: char| !c.is_alphabetic()).unwrap_or(after.len());
        let (unit, after) = after.split_at(letters);
        let unit_ns = UNITS.iter().find(|(name, _)| *name == unit).map(|(_, ns)| *ns);
        let (Some(unit_ns), false) = (unit_ns, number.is_empty()) else {
            return Err(DurationError::Invalid);
        };
        let part = number.parse::<i64>().ok().and_then(|number| number.checked_mul(unit_ns));
        total = part.and_then(|ns| total.checked_add(ns)).ok_or_else(|| DurationError::Overflow(text.to_owned()))?;
        rest = after;
    }
    Ok(total)
}

/// Prints a duration as InfluxQL writes it: a whole number of the largest unit that it is a multiple of.
pub(in crate::front::influxql) fn duration_text(duration_ns: i64) -> String {
    const WHOLE: [(&str, i64); 8] = [
        ("w", 7 * DAY_NS),
        ("d", DAY_NS),
        ("h", HOUR_NS),
        ("m", MINUTE_NS),
        ("s", SECOND_NS),
        ("ms", 1_000_000),
        ("u", 1_000),
        ("ns", 1),
    ];
    match WHOLE.iter().find(|(_, unit_ns)| duration_ns % unit_ns == 0).filter(|_| duration_ns != 0) {
        Some((unit, unit_ns)) => format!("{}{unit}", duration_ns / unit_ns),
        None => "0s".to_owned(),
    }
}

/// Prints a duration as Go does: `168h0m0s`, `1m30s`, `0s`; below a second in the unit that fits.
pub fn format_duration(duration_ns: i64) -> String {
    let decimal = |unit_ns: i64, ns: i64| {
        let (whole, part) = (ns / unit_ns, ns % unit_ns);
        let width = unit_ns.ilog10() as usize;
        let text = format!("{whole}.{part:0width$}");
        text.trim_end_matches('0').trim_end_matches('.').to_owned()
    };
    match duration_ns {
        ns if ns <= 0 => "0s".to_owned(),
        ns if ns < 1_000 => format!("{ns}ns"),
        ns if ns < 1_000_000 => format!("{}µs", decimal(1_000, ns)),
        ns if ns < SECOND_NS => format!("{}ms", decimal(1_000_000, ns)),
        ns => {
            let (minutes, seconds) = (ns / MINUTE_NS, decimal(SECOND_NS, ns % MINUTE_NS));
            match (minutes / 60, minutes % 60) {
                (0, 0) => format!("{seconds}s"),
                (0, minutes) => format!("{minutes}m{seconds}s"),
                (hours, minutes) => format!("{hours}h{minutes}m{seconds}s"),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_and_printed() {
        for (text, printed) in [
            ("1w", "168h0m0s"),
            ("90m", "1h30m0s"),
            ("1h30m", "1h30m0s"),
            ("90s", "1m30s"),
            ("1500ms", "1.5s"),
            ("1500u", "1.5ms"),
            ("15µ", "15µs"),
            ("7ns", "7ns"),
            ("0s", "0s"),
        ] {
            assert_eq!(format_duration(parse_duration(text).unwrap()), printed, "{text}");
        }
    }

    #[test]
    fn what_is_no_duration_is_told() {
        for text in ["", "1", "h", "1x", "1h2", "1.5h"] {
            assert_eq!(parse_duration(text), Err(DurationError::Invalid), "{text}");
        }
        assert_eq!(parse_duration("15251w"), Err(DurationError::Overflow("15251w".to_owned())));
    }
}
