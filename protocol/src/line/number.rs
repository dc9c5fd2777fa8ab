//! Numbers and timestamps, by the book: every byte is looked at, the standard library converts.

use super::error::LineReason;
use crate::row::FieldKind;

/// `-` and digits, at least one of these.
fn is_integer(text: &[u8]) -> bool {
    let digits = text.strip_prefix(b"-").unwrap_or(text);
    !digits.is_empty() && digits.iter().all(u8::is_ascii_digit)
}

fn is_unsigned(text: &[u8]) -> bool {
    !text.is_empty() && text.iter().all(u8::is_ascii_digit)
}

fn parse<T: std::str::FromStr>(text: &[u8]) -> Option<T> {
    std::str::from_utf8(text).ok()?.parse().ok()
}

fn owned(text: &[u8]) -> String {
    String::from_utf8_lossy(text).into_owned()
}

/// A float64 that is finite.
fn parse_float(text: &[u8]) -> Option<f64> {
    parse(text).filter(|value: &f64| value.is_finite())
}

/// A number as InfluxDB takes it. `text` begins with a digit, `.`, `-`, `n` or `N` and goes to the next comma, space
/// or end.
pub(super) fn influx_number(text: &[u8]) -> Result<(FieldKind, u64), LineReason> {
    match text {
        [digits @ .., b'i'] if is_integer(digits) => match parse::<i64>(digits) {
            Some(value) => Ok((FieldKind::Int, value.cast_unsigned())),
            None => Err(LineReason::IntegerRange(owned(digits))),
        },
        [digits @ .., b'u'] if is_unsigned(digits) => match parse::<u64>(digits) {
            Some(value) => Ok((FieldKind::UInt, value)),
            None => Err(LineReason::UnsignedRange(owned(digits))),
        },
        _ if !has_float_bytes(text) => Err(LineReason::InvalidNumber),
        _ => match parse_float(text) {
            Some(value) => Ok((FieldKind::Float, value.to_bits())),
            None => Err(LineReason::InvalidFloat),
        },
    }
}

/// InfluxDB's first look at a float: which bytes stand where. What passes here and is still no float is an
/// `invalid float`, what does not an `invalid number`.
fn has_float_bytes(text: &[u8]) -> bool {
    let unsigned = text.strip_prefix(b"-").unwrap_or(text);
    let mut points = 0;
    let mut previous = 0;
    for (index, &byte) in unsigned.iter().enumerate() {
        let fits = match byte {
            b'0'..=b'9' => true,
            b'.' => {
                points += 1;
                points == 1
            }
            b'e' | b'E' => index > 0 || text.len() > unsigned.len(),
            b'+' | b'-' => matches!(previous, b'e' | b'E'),
            _ => false,
        };
        if !fits {
            return false;
        }
        previous = byte;
    }
    unsigned.len() > points
}

/// A number as CnosDB takes it. `text` begins with a digit, `+` or `-` and goes to the next comma, space or end.
pub(super) fn cnos_number(text: &[u8]) -> Option<(FieldKind, u64)> {
    let digits = |text: &[u8]| text.iter().all(|byte| matches!(byte, b'0'..=b'9' | b'.' | b'e' | b'E' | b'+' | b'-'));
    match text {
        [digits @ .., b'i'] if is_integer(digits.strip_prefix(b"+").unwrap_or(digits)) => {
            // `+-1` has passed the check above; the standard library refuses it.
            parse::<i64>(digits).map(|value| (FieldKind::Int, value.cast_unsigned()))
        }
        [digits @ .., b'u'] if is_unsigned(digits) => parse::<u64>(digits).map(|value| (FieldKind::UInt, value)),
        _ if digits(text) => parse_float(text).map(|value| (FieldKind::Float, value.to_bits())),
        _ => None,
    }
}

/// The spellings of true and false that both systems take.
pub(super) fn boolean(text: &[u8]) -> Option<bool> {
    match text {
        b"t" | b"T" | b"true" | b"True" | b"TRUE" => Some(true),
        b"f" | b"F" | b"false" | b"False" | b"FALSE" => Some(false),
        _ => None,
    }
}

/// A timestamp as it stands, before scaling. `text` is `-` and digits, or less.
pub(super) fn influx_timestamp(text: &[u8]) -> Result<i64, LineReason> {
    if text == b"-" {
        return Err(LineReason::TimestampSign);
    }
    if !is_integer(text) {
        return Err(LineReason::BadTimestamp);
    }
    parse(text).ok_or_else(|| LineReason::TimestampRange(owned(text)))
}

/// A timestamp as it stands, before scaling.
pub(super) fn cnos_timestamp(text: &[u8]) -> Option<i64> {
    if is_integer(text) { parse(text) } else { None }
}
