//! A line: its fields as text, or as JSON.
//!
//! ```text
//!   2026-11-29T05:02:58.123Z access id=7 user=ann tenant=cnosdb address=10.0.0.7:5000 method=POST path=/api/v1/sql
//!       kind=SELECT status=200 ms=1.250 rows=5
//!   {"time":"2026-11-29T05:02:58.123Z","log":"access","id":"7","user":"ann",…}
//! ```
//!
//! Text is cut and in plain form before it gets here. In text, what is not a plain word stands in quotes.

use std::fmt::Write as _;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tidewire_base::config::LogFormat;

use super::text::{is_hidden, push_visible};

/// What a line is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A request that was answered.
    Access,
    /// A statement of administration.
    Audit,
    /// A statement that took long.
    Slow,
}

impl Kind {
    /// All, in their order.
    pub const ALL: [Self; 3] = [Self::Access, Self::Audit, Self::Slow];

    /// The word for it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Access => "access",
            Self::Audit => "audit",
            Self::Slow => "slow",
        }
    }
}

/// The value of a field.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// Text; empty where there is none, and then the field is left out.
    Text(String),
    /// A number.
    Number(u64),
    /// A time, shown in milliseconds.
    Milliseconds(Duration),
}

/// A line.
#[derive(Debug)]
pub struct Record {
    /// What it is about.
    pub kind: Kind,
    /// Its fields in their order.
    pub fields: Vec<(&'static str, Value)>,
}

impl Record {
    /// The fields as text.
    pub fn text(&self) -> String {
        let mut out = self.kind.name().to_owned();
        for (name, value) in &self.fields {
            // Writing to a String cannot fail.
            let _ = match value {
                Value::Text(text) if text.is_empty() => Ok(()),
                Value::Text(text) if is_word(text) => write!(out, " {name}={text}"),
                Value::Text(text) => {
                    let _ = write!(out, " {name}=");
                    push_quoted(text, &mut out);
                    Ok(())
                }
                Value::Number(number) => write!(out, " {name}={number}"),
                Value::Milliseconds(time) => write!(out, " {name}={:.3}", time.as_secs_f64() * 1e3),
            };
        }
        out
    }

    /// The whole line in a format, without its end.
    pub fn line(&self, format: LogFormat, time: SystemTime) -> String {
        match format {
            LogFormat::Text => format!("{} {}", timestamp(time), self.text()),
            LogFormat::Json => {
                let mut out = format!("{{\"time\":\"{}\",\"log\":\"{}\"", timestamp(time), self.kind.name());
                for (name, value) in &self.fields {
                    let _ = match value {
                        Value::Text(text) if text.is_empty() => Ok(()),
                        Value::Text(text) => {
                            let _ = write!(out, ",\"{name}\":");
                            push_quoted(text, &mut out);
                            Ok(())
                        }
                        Value::Number(number) => write!(out, ",\"{name}\":{number}"),
                        Value::Milliseconds(time) => write!(out, ",\"{name}\":{:.3}", time.as_secs_f64() * 1e3),
                    };
                }
                out.push('}');
                out
            }
        }
    }
}

/// Whether a text needs no quotes.
fn is_word(text: &str) -> bool {
    text.chars().all(|c| !is_hidden(c) && !c.is_whitespace() && !matches!(c, '"' | '=' | '\\'))
}

/// Appends a text as JSON writes it.
pub fn push_quoted(text: &str, out: &mut String) {
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            // All of these lie in the first plane, so four digits name them.
            c if is_hidden(c) => {
                let _ = write!(out, "\\u{:04x}", u32::from(c));
            }
            c => push_visible(c, out),
        }
    }
    out.push('"');
}

/// A time in UTC with milliseconds.
pub fn timestamp(time: SystemTime) -> String {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    let (days, rest) = (since.as_secs() / 86_400, since.as_secs() % 86_400);
    let (year, month, day) = date(days);
    let (hour, minute, second) = (rest / 3_600, rest / 60 % 60, rest % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{:03}Z", since.subsec_millis())
}

/// The date that lies this many days after 1970-01-01: in years that begin in March, so that the odd day is the last
/// of one.
fn date(days: u64) -> (u64, u64, u64) {
    let days = days + 719_468;
    let (era, of_era) = (days / 146_097, days % 146_097);
    let year = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    (400 * era + year + u64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record() -> Record {
        let fields = vec![
            ("user", Value::Text("ann".to_owned())),
            ("tenant", Value::Text(String::new())),
            ("statement", Value::Text("SELECT \"a\"\n= \\ \u{9b}é".to_owned())),
            ("rows", Value::Number(5)),
            ("ms", Value::Milliseconds(Duration::from_micros(1_250))),
        ];
        Record { kind: Kind::Slow, fields }
    }

    #[test]
    fn fields_are_text_or_json() {
        let time = UNIX_EPOCH + Duration::from_millis(951_782_400_007);
        let statement = r#""SELECT \"a\"\n= \\ \u009bé""#;
        let text = format!("2000-02-29T00:00:00.007Z slow user=ann statement={statement} rows=5 ms=1.250");
        assert_eq!(record().line(LogFormat::Text, time), text);
        let json = record().line(LogFormat::Json, time);
        let read: serde_json::Value = serde_json::from_str(&json).unwrap();
        assert_eq!(read["statement"], "SELECT \"a\"\n= \\ \u{9b}é");
        assert_eq!((read["rows"].as_u64(), read["ms"].as_f64()), (Some(5), Some(1.25)));
        assert_eq!((&read["log"], &read["time"]), (&"slow".into(), &"2000-02-29T00:00:00.007Z".into()));
        assert!(read.get("tenant").is_none());
    }

    #[test]
    fn dates_are_those_of_the_calendar() {
        let shown = |seconds| timestamp(UNIX_EPOCH + Duration::from_secs(seconds));
        assert_eq!(shown(0), "1970-01-01T00:00:00.000Z");
        assert_eq!(shown(1_667_456_411), "2022-11-03T06:20:11.000Z");
        assert_eq!(shown(4_107_542_399), "2100-02-28T23:59:59.000Z");
        assert_eq!(shown(4_107_542_400), "2100-03-01T00:00:00.000Z");
    }
}
