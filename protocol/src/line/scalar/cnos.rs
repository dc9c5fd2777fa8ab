//! One line by the rules of CnosDB 2.4.
//!
//! - A backslash must stand before one of `,` ` ` `=` `\` `"` `'` (in a measurement not `=`, in a value only the last
//!   three). Names lose it before `,` ` ` `=` and keep it before the others, as the reference does; strings lose it
//!   before `"` and `\`.
//! - A tag or field that comes twice with the same value counts once; with another value the line is refused, where
//!   the reference takes the first and says nothing of the other. A tag with an empty value is no tag.
//! - Where the reference reads on over an unescaped comma or space in a key, and only fails later or not at all, the
//!   line is refused here, with the words that the reference has for a key without its `=`.

use std::borrow::Cow;

use super::{ParsedField, ParsedLine, drop_repeated, unescape};
use crate::line::error::{Fault, LineReason};
use crate::line::split::is_blank;
use crate::line::{Dialect, TimeRule, escape, number};
use crate::row::{FieldKind, RawValue};

const IN_MEASUREMENT: &[u8] = b", \\\"'";
const IN_NAME: &[u8] = b", =\\\"'";
const IN_STRING: &[u8] = b"\\\"'";

/// `terminated` says that a blank or newline follows the line.
pub(super) fn parse<'t>(line: &'t str, terminated: bool, rule: &TimeRule) -> Result<ParsedLine<'t>, Fault> {
    let bytes = line.as_bytes();
    let (series_end, measurement, tags) = series(line)?;
    let start = series_end + bytes[series_end..].iter().take_while(|&&byte| byte == b' ').count();
    let (mut fields, end) = fields(line, start)?;
    let repeated = drop_repeated(&mut fields, bytes)?;
    let time = time(bytes, end, terminated, rule)?;
    Ok(ParsedLine { series_end, measurement, tags, fields, repeated, time })
}

/// The first unescaped byte of `set` from `from` on, and whether a backslash was passed. An escape of a byte outside
/// `escapable` is a fault.
fn find(bytes: &[u8], from: usize, set: &[u8], escapable: &[u8]) -> Result<(Option<usize>, bool), Fault> {
    let mut has_escapes = false;
    let mut at = from;
    while let Some(&byte) = bytes.get(at) {
        if byte == b'\\' {
            has_escapes = true;
            match bytes.get(at + 1) {
                Some(next) if escapable.contains(next) => at += 1,
                Some(&next) => {
                    return Err(Fault::new(
                        at + 1,
                        LineReason::UnexpectedToken { token: char::from(next), at: at + 1 },
                    ));
                }
                None => return Ok((None, true)),
            }
        } else if set.contains(&byte) {
            return Ok((Some(at), has_escapes));
        }
        at += 1;
    }
    Ok((None, has_escapes))
}

fn unexpected_end<T>(at: usize) -> Result<T, Fault> {
    Err(Fault::new(at, LineReason::UnexpectedEnd { at }))
}

/// A name may not be empty: the byte that should follow it stands in its place.
fn not_empty(bytes: &[u8], start: usize, end: usize) -> Result<(), Fault> {
    if start < end {
        return Ok(());
    }
    let token = char::from(bytes[end]);
    Err(Fault::new(end, LineReason::UnexpectedToken { token, at: end }))
}

type Tags<'t> = Vec<(Cow<'t, str>, Cow<'t, str>)>;

pub(super) fn series(line: &str) -> Result<(usize, Cow<'_, str>, Tags<'_>), Fault> {
    let bytes = line.as_bytes();
    let (Some(mut at), _) = find(bytes, 0, b", ", IN_MEASUREMENT)? else { return unexpected_end(0) };
    not_empty(bytes, 0, at)?;
    let measurement = unescape(&line[..at], b", =");
    let mut tags: Tags<'_> = Vec::new();
    while bytes[at] == b',' {
        let key_start = at + 1;
        let equals = match find(bytes, key_start, b"=, ", IN_NAME)? {
            (Some(equals), _) if bytes[equals] == b'=' => equals,
            _ => return unexpected_end(key_start),
        };
        not_empty(bytes, key_start, equals)?;
        let value_start = equals + 1;
        let (Some(end), has_escapes) = find(bytes, value_start, b", ", IN_NAME)? else {
            return unexpected_end(key_start);
        };
        if has_escapes && let (Some(inner), _) = find(&bytes[..end], value_start, b"=", IN_NAME)? {
            return Err(Fault::new(inner, LineReason::InvalidSyntax));
        }
        tags.push((unescape(&line[key_start..equals], b", ="), unescape(&line[value_start..end], b", =")));
        at = end;
    }
    tags.sort_by(|left, right| left.0.cmp(&right.0));
    if let Some(pair) = tags.windows(2).find(|pair| pair[0].0 == pair[1].0 && pair[0].1 != pair[1].1) {
        return Err(Fault::new(at, LineReason::TagTwice(pair[0].0.clone().into_owned())));
    }
    tags.dedup_by(|later, kept| later.0 == kept.0);
    tags.retain(|tag| !tag.1.is_empty());
    Ok((at, measurement, tags))
}

/// The fields from `start` on and where they end: at a space or at the end of the line.
fn fields(line: &str, start: usize) -> Result<(Vec<ParsedField<'_>>, usize), Fault> {
    let bytes = line.as_bytes();
    let mut fields = Vec::new();
    let mut at = start;
    loop {
        let key_start = at;
        let equals = match find(bytes, key_start, b"=, ", IN_NAME)? {
            (Some(equals), _) if bytes[equals] == b'=' => equals,
            _ => return unexpected_end(key_start),
        };
        not_empty(bytes, key_start, equals)?;
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
    let rest = &bytes[start..];
    let token_from = |from: usize| {
        let len = rest[from..].iter().position(|byte| matches!(byte, b',' | b' ')).unwrap_or(rest.len() - from);
        &rest[..from + len]
    };
    let invalid =
        |token: &[u8]| Fault::new(start, LineReason::InvalidValue(String::from_utf8_lossy(token).into_owned()));
    match rest.first() {
        None | Some(b',' | b' ') => Err(Fault::new(start, LineReason::EmptyValue)),
        Some(b'"') => {
            let (Some(close), has_escapes) = find(bytes, start + 1, b"\"", IN_STRING)? else {
                return unexpected_end(start);
            };
            let end = close + 1;
            if !matches!(bytes.get(end), None | Some(b',' | b' ')) {
                return Err(invalid(token_from(end - start)));
            }
            Ok((FieldKind::String, escape::string(start + 1, close - start - 1, has_escapes), end))
        }
        Some(first) => {
            let token = token_from(0);
            let value = match first {
                b'0'..=b'9' | b'+' | b'-' => number::cnos_number(token),
                _ => number::boolean(token).map(|value| (FieldKind::Bool, u64::from(value))),
            };
            let (kind, bits) = value.ok_or_else(|| invalid(token))?;
            Ok((kind, RawValue(bits), start + token.len()))
        }
    }
}

fn time(bytes: &[u8], end: usize, terminated: bool, rule: &TimeRule) -> Result<i64, Fault> {
    let start = end + bytes[end..].iter().take_while(|&&byte| is_blank(Dialect::Cnos, byte)).count();
    let rest = &bytes[start..];
    if rest.is_empty() {
        return Ok(rule.now);
    }
    let len = rest.iter().position(|&byte| is_blank(Dialect::Cnos, byte)).unwrap_or(rest.len());
    let Some(time) = number::cnos_timestamp(&rest[..len]) else {
        let at = if terminated || len < rest.len() { start + len } else { start };
        return Err(Fault::new(start, LineReason::InvalidTimestamp { at }));
    };
    if let Some(junk) = rest[len..].iter().position(|&byte| !is_blank(Dialect::Cnos, byte)) {
        return unexpected_end(start + len + junk);
    }
    rule.scale(Dialect::Cnos, time).ok_or(Fault::new(start, LineReason::TimestampOverflow))
}
