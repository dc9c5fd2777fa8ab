//! Durations as InfluxQL writes them (`90m`, `1h30m`) and as InfluxDB prints them (`1h30m0s`).

/// Units by their letters, in nanoseconds.
const UNITS: [(&str, i64); 10] = [
    ("ns", 1),
    ("u", 1_000),
    ("us", 1_000),
    ("µ", 1_000),
    ("ms", 1_000_000),
    ("s", 1_000_000_000),
    ("m", 60_000_000_000),
    ("h", 3_600_000_000_000),
    ("d", 86_400_000_000_000),
    ("w", 604_800_000_000_000),
];

/// Reads whole numbers with units; the error is InfluxDB's reason.
pub(super) fn parse_duration(text: &str) -> Result<i64, String> {
    let mut total: i64 = 0;
    let mut rest = text;
    if rest.is_empty() {
        return Err("invalid duration".to_owned());
    }
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
        let (number, after) = rest.split_at(digits);
        let letters = after.find(|c: char| !c.is_alphabetic()).unwrap_or(after.len());
        let (unit, after) = after.split_at(letters);
        let unit_ns = UNITS.iter().find(|(name, _)| *name == unit).map(|(_, ns)| *ns);
        let (Some(unit_ns), false) = (unit_ns, number.is_empty()) else {
            return Err("invalid duration".to_owned());
        };
        let part = number.parse::<i64>().ok().and_then(|number| number.checked_mul(unit_ns));
        total = part
            .and_then(|ns| total.checked_add(ns))
            .ok_or_else(|| format!("overflowed duration {text}: choose a smaller duration or INF"))?;
        rest = after;
    }
    Ok(total)
}

/// Prints a duration as Go does: `168h0m0s`, `1m30s`, `0s`; below a second in the unit that fits.
pub fn format_duration(duration_ns: i64) -> String {
    const SECOND_NS: i64 = 1_000_000_000;
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
            let (minutes, seconds) = (ns / (60 * SECOND_NS), decimal(SECOND_NS, ns % (60 * SECOND_NS)));
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
            assert_eq!(parse_duration(text).unwrap_err(), "invalid duration", "{text}");
        }
        let refusal = parse_duration("15251w").unwrap_err();
        assert_eq!(refusal, "overflowed duration 15251w: choose a smaller duration or INF");
    }
}
