//! The value of an attribute as text: strings as they are, numbers and booleans as they are written, lists and maps as
//! JSON, bytes as the base64 that OTLP's JSON has for them.

use std::fmt::Write;

use crate::json::{JsonValue, Scalar};
use crate::protobuf::{Fields, Value, signed};
use crate::row::RowError;

/// Nesting of lists and maps in a value.
const DEPTH_MAX: usize = 32;

/// `AnyValue 1 string 2 bool 3 int 4 double 5 array 6 map 7 bytes`
pub(super) fn write_message(value: &[u8], text: &mut String) -> Result<(), RowError> {
    write_value(value, text, 0)
}

/// `depth` is 0 outside of lists and maps, where strings need no quotes.
fn write_value(value: &[u8], text: &mut String, depth: usize) -> Result<(), RowError> {
    if depth > DEPTH_MAX {
        return Err(RowError::Protobuf("a value is nested too deep"));
    }
    let mut fields = Fields::of(value);
    let mut last = None;
    while let Some(field) = fields.next_field()? {
        if (1..=7).contains(&field.number) {
            last = Some(field);
        }
    }
    let Some(field) = last else {
        if depth > 0 {
            text.push_str("null");
        }
        return Ok(());
    };
    match (field.number, field.value) {
        (1, value) => push_text(text, value.text()?, depth),
        (2, Value::Varint(value)) => text.push_str(if value != 0 { "true" } else { "false" }),
        (3, Value::Varint(value)) => text.push_str(itoa::Buffer::new().format(signed(value))),
        (4, Value::Fixed64(bits)) => push_float(text, f64::from_bits(bits), depth),
        (5, value) => {
            text.push('[');
            let mut items = Fields::of(value.bytes()?);
            let mut count = 0;
            while let Some(item) = items.next_field()? {
                if item.number == 1 {
                    comma(text, &mut count);
                    write_value(item.value.bytes()?, text, depth + 1)?;
                }
            }
            text.push(']');
        }
        (6, value) => {
            text.push('{');
            let mut entries = Fields::of(value.bytes()?);
            let mut count = 0;
            while let Some(entry) = entries.next_field()? {
                if entry.number == 1 {
                    let (name, value) = read_pair(entry.value.bytes()?)?;
                    comma(text, &mut count);
                    push_text(text, name, depth + 1);
                    text.push(':');
                    write_value(value, text, depth + 1)?;
                }
            }
            text.push('}');
        }
        (7, value) => {
            let mut encoded = String::new();
            push_base64(&mut encoded, value.bytes()?);
            push_text(text, &encoded, depth);
        }
        _ => return Err(RowError::Protobuf("the value of an attribute has another type than its field")),
    }
    Ok(())
}

/// `KeyValue 1 key 2 value`, the value as its message.
pub(super) fn read_pair(pair: &[u8]) -> Result<(&str, &[u8]), RowError> {
    let (mut name, mut value) = ("", &[][..]);
    let mut fields = Fields::of(pair);
    while let Some(field) = fields.next_field()? {
        match field.number {
            1 => name = field.value.text()?,
            2 => value = field.value.bytes()?,
            _ => {}
        }
    }
    Ok((name, value))
}

/// `{"stringValue":"…"}` and the like. The depth is bounded by the reader of the document.
pub(super) fn write_json(value: JsonValue<'_, '_>, text: &mut String) -> Result<(), RowError> {
    write_json_value(value, text, 0)
}

fn write_json_value(value: JsonValue<'_, '_>, text: &mut String, depth: usize) -> Result<(), RowError> {
    let invalid = |what: JsonValue<'_, '_>| RowError::Type {
        part: "the value of an attribute",
        found: what.kind(),
        wanted: "what its name says",
    };
    let Some((kind, inner)) = value.object().ok_or_else(|| invalid(value))?.last() else {
        if depth > 0 {
            text.push_str("null");
        }
        return Ok(());
    };
    match (kind, inner.scalar()) {
        ("stringValue" | "bytesValue", Some(Scalar::Text(found))) => push_text(text, found, depth),
        ("boolValue", Some(Scalar::Bool(found))) => text.push_str(if found { "true" } else { "false" }),
        ("intValue", Some(Scalar::Int(found))) => text.push_str(itoa::Buffer::new().format(found)),
        ("intValue", Some(Scalar::Text(found))) => {
            let number: i64 = found.parse().map_err(|_| RowError::invalid("an intValue", found))?;
            text.push_str(itoa::Buffer::new().format(number));
        }
        ("doubleValue", Some(Scalar::Float(found))) => push_float(text, found, depth),
        ("doubleValue", Some(Scalar::Int(found))) => push_float(text, found as f64, depth),
        // NaN and the infinities, as protobuf's JSON has them.
        ("doubleValue", Some(Scalar::Text(found))) => push_text(text, found, depth),
        ("arrayValue", None) => {
            text.push('[');
            let mut count = 0;
            for item in inner.get("values").and_then(JsonValue::array).into_iter().flatten() {
                comma(text, &mut count);
                write_json_value(item, text, depth + 1)?;
            }
            text.push(']');
        }
        ("kvlistValue", None) => {
            text.push('{');
            let mut count = 0;
            for entry in inner.get("values").and_then(JsonValue::array).into_iter().flatten() {
                comma(text, &mut count);
                push_text(text, entry.get("key").and_then(JsonValue::text).unwrap_or_default(), depth + 1);
                text.push(':');
                match entry.get("value") {
                    Some(value) => write_json_value(value, text, depth + 1)?,
                    None => text.push_str("null"),
                }
            }
            text.push('}');
        }
        _ => return Err(invalid(inner)),
    }
    Ok(())
}

fn comma(text: &mut String, count: &mut usize) {
    if *count > 0 {
        text.push(',');
    }
    *count += 1;
}

/// A string; in quotes within lists and maps.
fn push_text(text: &mut String, value: &str, depth: usize) {
    if depth == 0 {
        text.push_str(value);
        return;
    }
    text.push('"');
    for character in value.chars() {
        match character {
            '"' => text.push_str("\\\""),
            '\\' => text.push_str("\\\\"),
            '\n' => text.push_str("\\n"),
            '\r' => text.push_str("\\r"),
            '\t' => text.push_str("\\t"),
            control if control < ' ' => {
                // Writing to a string does not fail.
                let _ = write!(text, "\\u{:04x}", u32::from(control));
            }
            other => text.push(other),
        }
    }
    text.push('"');
}

fn push_float(text: &mut String, value: f64, depth: usize) {
    match value.is_finite() {
        true => text.push_str(zmij::Buffer::new().format_finite(value)),
        false => push_text(text, &value.to_string(), depth),
    }
}

fn push_base64(text: &mut String, bytes: &[u8]) {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    for group in bytes.chunks(3) {
        let word = group.iter().enumerate().fold(0, |word, (at, byte)| word | u32::from(*byte) << (16 - 8 * at));
        for place in 0..4 {
            match place <= group.len() {
                true => text.push(char::from(DIGITS[(word >> (18 - 6 * place)) as usize & 63])),
                false => text.push('='),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_base64() {
        for (bytes, expected) in [("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v"), ("foob", "Zm9vYg==")] {
            let mut text = String::new();
            push_base64(&mut text, bytes.as_bytes());
            assert_eq!(text, expected);
        }
    }
}
