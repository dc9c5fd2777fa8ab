//! One line by the rules of InfluxDB 1.x.
//!
//! - In measurement and tags a separator is escaped when the byte before it is a backslash, whatever stands before
//!   that; in fields a backslash takes the meaning of the byte behind it.
//! - Unescaped are `\,` `\ ` in a measurement, `\,` `\ ` `\=` in tags and field keys, `\"` `\\` in strings. Every
//!   other backslash stays.
//! - A tag key or value may not be empty, no tag may come twice. A field that comes twice with the same value counts
//!   once; with another value the line is refused, where InfluxDB takes the last and says nothing of the other.
//! - A string ends with the last quote before a comma or space outside quotes: quotes within are part of it. Where
//!   something else stands behind that quote, of which InfluxDB drops the last byte, the line is refused.

use std::borrow::Cow;

use super::{ParsedField, ParsedLine, drop_repeated, unescape};
use crate::line::error::{Fault, LineReason};
use crate::line::rule::KEY_BYTES_MAX;
use crate::line::split::is_blank;
use crate::line::{Dialect, TimeRule, escape, number};
use crate::row::{FieldKind, RawValue};

/// What InfluxDB puts between a series and a field key when it measures the two: `#!~#`.
const FIELD_SEPARATOR_BYTES: usize = 4;

/// Where measurement and tags end and what they are.
pub(super) struct Series<'t> {
    pub(super) end: usize,
    pub(super) measurement: Cow<'t, str>,
    pub(super) tags: Vec<(Cow<'t, str>, Cow<'t, str>)>,
}

pub(super) fn parse<'t>(line: &'t str, rule: &TimeRule) -> Result<ParsedLine<'t>, Fault> {
    let series = series(line)?;
    if series.end > KEY_BYTES_MAX {
        return Err(Fault::new(0, key_too_long(series.end)));
    }
    let start = skip_blanks(line, series.end);
    let (mut fields, end) = fields(line, start)?;
    for field in &fields {
        let bytes = series.end + FIELD_SEPARATOR_BYTES + field.raw.len();
        if bytes > KEY_BYTES_MAX {
            return Err(Fault::new(0, key_too_long(bytes)));
        }
    }
    let repeated = drop_repeated(&mut fields, line.as_bytes())?;
    let time = time(line, end, rule)?;
    Ok(ParsedLine {
        series_end: series.end,
        measurement: series.measurement,
        tags: series.tags,
        fields,
        repeated,
        time,
    })
}

fn key_too_long(bytes: usize) -> LineReason {
    LineReason::KeyTooLong { bytes, bytes_max: KEY_BYTES_MAX }
}

fn skip_blanks(line: &str, at: usize) -> usize {
    at + line.as_bytes()[at..].iter().take_while(|&&byte| is_blank(Dialect::Influx, byte)).count()
}

/// Whether the byte at `at` is behind a backslash.
fn escaped(bytes: &[u8], at: usize) -> bool {
    at > 0 && bytes[at - 1] == b'\\'
}

pub(super) fn series(line: &str) -> Result<Series<'_>, Fault> {
    let bytes = line.as_bytes();
    let fault = |at, reason| Err(Fault::new(at, reason));
    if bytes.first() == Some(&b',') {
        return fault(0, LineReason::MissingMeasurement);
    }
    let separates = |at: usize, set: &[u8]| set.contains(&bytes[at]) && !escaped(bytes, at);
    let find = |from: usize, set: &[u8]| (from..bytes.len()).find(|&at| separates(at, set));

    let Some(mut at) = find(1.min(bytes.len()), b", ") else {
        return fault(bytes.len(), LineReason::MissingFields);
    };
    let measurement = unescape(&line[..at], b", ");
    let mut tags = Vec::new();
    while bytes[at] == b',' {
        let key_start = at + 1;
        // The first byte of a key or value is judged by itself, a backslash before it belongs to no one.
        if matches!(bytes.get(key_start), None | Some(b' ' | b',' | b'=')) {
            return fault(key_start, LineReason::MissingTagKey);
        }
        let equals = match find(key_start + 1, b"=, ") {
            Some(equals) if bytes[equals] == b'=' => equals,
            other => return fault(other.unwrap_or(bytes.len()), LineReason::MissingTagValue),
        };
        let value_start = equals + 1;
        if matches!(bytes.get(value_start), None | Some(b' ' | b',')) {
            return fault(value_start, LineReason::MissingTagValue);
        }
        at = match find(value_start + 1, b"=, ") {
            Some(end) if bytes[end] == b'=' => return fault(end, LineReason::InvalidTagFormat),
            Some(end) => end,
            None => return fault(bytes.len(), LineReason::MissingFields),
        };
        tags.push((unescape(&line[key_start..equals], b", ="), unescape(&line[value_start..at], b", =")));
    }
    tags.sort_by(|left, right| left.0.cmp(&right.0));
    if tags.windows(2).any(|pair| pair[0].0 == pair[1].0) {
        return fault(at, LineReason::DuplicateTags);
    }
    Ok(Series { end: at, measurement, tags })
}

/// The fields from `start` on and where they end: at a space or at the end of the line.
fn fields(line: &str, start: usize) -> Result<(Vec<ParsedField<'_>>, usize), Fault> {
    let bytes = line.as_bytes();
    let mut fields = Vec::new();
    let mut at = start;
    loop {
        let key_start = at;
        let equals = loop {
            match bytes.get(at) {
                Some(b'=') => break at,
                Some(b'\\') => at += 2,
                Some(b' ' | b',') | None => {
                    return Err(Fault::new(at.min(bytes.len()), LineReason::InvalidFieldFormat));
                }
                Some(_) => at += 1,
            }
        };
        if equals == key_start {
            return Err(Fault::new(equals, LineReason::MissingFieldKey));
        }
        let raw = &line[key_start..equals];
        let (kind, value, end) = value(bytes, equals + 1)?;
        fields.push(ParsedField { at: key_start, raw, name: unescape(raw, b", ="), kind, value });
        at = end;
        if bytes.get(at) != Some(&b',') {
            return Ok((fields, at));
        }
        at += 1;
    }
}

/// The value at `start` and where it ends: at a comma, a space or the end of the line.
fn value(bytes: &[u8], start: usize) -> Result<(FieldKind, RawValue, usize), Fault> {
    let fault = |reason| Fault::new(start, reason);
    let rest = &bytes[start..];
    match rest.first() {
        None | Some(b',' | b' ') => Err(fault(LineReason::MissingFieldValue)),
        Some(b'"') => string(bytes, start),
        Some(first) => {
            let len = rest.iter().position(|byte| matches!(byte, b',' | b' ')).unwrap_or(rest.len());
            let token = &rest[..len];
            let (kind, bits) = match first {
                b'0'..=b'9' | b'.' | b'-' | b'n' | b'N' => number::influx_number(token).map_err(fault)?,
                _ => match number::boolean(token) {
                    Some(value) => (FieldKind::Bool, u64::from(value)),
                    None => return Err(fault(LineReason::InvalidBoolean)),
                },
            };
            Ok((kind, RawValue(bits), start + len))
        }
    }
}

fn string(bytes: &[u8], start: usize) -> Result<(FieldKind, RawValue, usize), Fault> {
    let mut has_escapes = false;
    let mut quoted = true;
    let mut last_quote = start;
    let mut at = start + 1;
    while let Some(&byte) = bytes.get(at) {
        match byte {
            b'\\' if at + 1 < bytes.len() => {
                has_escapes = true;
                at += 1;
            }
            b'"' => {
                last_quote = at;
                quoted = !quoted;
            }
            b',' | b' ' if !quoted => break,
            b'=' if !quoted => return Err(Fault::new(at, LineReason::InvalidFieldFormat)),
            _ => {}
        }
        at += 1;
    }
    if quoted {
        return Err(Fault::new(start, LineReason::UnbalancedQuotes));
    }
    if last_quote + 1 < at {
        return Err(Fault::new(last_quote + 1, LineReason::InvalidFieldFormat));
    }
    Ok((FieldKind::String, escape::string(start + 1, last_quote - start - 1, has_escapes), at))
}

fn time(line: &str, end: usize, rule: &TimeRule) -> Result<i64, Fault> {
    let bytes = line.as_bytes();
    let start = skip_blanks(line, end);
    let rest = &bytes[start..];
    let len = rest.iter().position(|&byte| byte == b' ').unwrap_or(rest.len());
    let token = &rest[..len];
    if token.is_empty() {
        return Ok(rule.now);
    }
    let time = number::influx_timestamp(token).map_err(|reason| Fault::new(start, reason))?;
    let time = rule.scale(Dialect::Influx, time).ok_or(Fault::new(start, LineReason::TimeOutsideRange))?;
    match rest[len..].iter().position(|&byte| byte != b' ') {
        Some(junk) => Err(Fault::new(start + len + junk, LineReason::InvalidPoint)),
        None => Ok(time),
    }
}
