//! A message in either form, protobuf or JSON, by the numbers and the names of its fields.
//!
//! Logs and metrics are walked once for both forms. Each field asked for is looked for anew, which is good enough for
//! messages of a dozen fields; spans, of which there are most, have walks of their own.

use super::attribute::{write_json, write_message};
use super::id::Id;
use crate::json::{JsonTape, JsonValue, Scalar};
use crate::protobuf::{Fields, Value};
use crate::row::RowError;

/// A field: its number, and its name in JSON.
pub(super) type Key = (u32, &'static str);

/// A message.
pub(super) trait Node<'t>: Copy {
    /// The messages of a list, none behind an error.
    fn list(self, key: Key) -> impl Iterator<Item = Result<Self, RowError>>;

    /// The message in a field.
    fn node(self, key: Key) -> Result<Option<Self>, RowError>;

    /// A string; empty where it is missing.
    fn text(self, key: Key) -> Result<&'t str, RowError>;

    /// An integer of any kind, as the 64 bits that it has.
    fn integer(self, key: Key) -> Result<Option<u64>, RowError>;

    /// A double.
    fn float(self, key: Key) -> Result<Option<f64>, RowError>;

    /// An id; empty where it is missing.
    fn id(self, key: Key) -> Result<Id<'t>, RowError>;

    /// Doubles.
    fn floats(self, key: Key) -> Result<Vec<f64>, RowError>;

    /// Integers that have 64 bits each in protobuf.
    fn integers(self, key: Key) -> Result<Vec<u64>, RowError>;

    /// The string that this value is, if it is one and nothing else.
    fn string(self) -> Option<Result<&'t str, RowError>>;

    /// Writes the value that this is as text.
    fn write_value(self, text: &mut String) -> Result<(), RowError>;
}

/// An export in JSON. The error is one of the whole body.
pub(super) fn export_of<'n, 't>(tape: &'n JsonTape<'t>) -> Result<JsonValue<'n, 't>, RowError> {
    let export = tape.root();
    let wrong = || RowError::Type { part: "an export", found: export.kind(), wanted: "an object" };
    export.object().map(|_| export).ok_or_else(wrong)
}

impl<'t> Node<'t> for &'t [u8] {
    fn list(self, key: Key) -> impl Iterator<Item = Result<Self, RowError>> {
        let mut fields = Some(Fields::of(self));
        std::iter::from_fn(move || {
            loop {
                match fields.as_mut()?.next_field() {
                    Ok(Some(field)) if field.number == key.0 => return Some(field.value.bytes()),
                    Ok(Some(_)) => {}
                    Ok(None) => return None,
                    Err(error) => {
                        fields = None;
                        return Some(Err(error));
                    }
                }
            }
        })
    }

    fn node(self, key: Key) -> Result<Option<Self>, RowError> {
        last(self, key)?.map(Value::bytes).transpose()
    }

    fn text(self, key: Key) -> Result<&'t str, RowError> {
        last(self, key)?.map_or(Ok(""), Value::text)
    }

    fn integer(self, key: Key) -> Result<Option<u64>, RowError> {
        Ok(match last(self, key)? {
            None => None,
            Some(Value::Varint(value) | Value::Fixed64(value)) => Some(value),
            Some(Value::Fixed32(value)) => Some(u64::from(value)),
            Some(Value::Bytes(_)) => return Err(RowError::Protobuf("a field should be an integer")),
        })
    }

    fn float(self, key: Key) -> Result<Option<f64>, RowError> {
        Ok(last(self, key)?.map(Value::fixed64).transpose()?.map(f64::from_bits))
    }

    fn id(self, key: Key) -> Result<Id<'t>, RowError> {
        Ok(Id::Bytes(last(self, key)?.map_or(Ok(&[][..]), Value::bytes)?))
    }

    fn floats(self, key: Key) -> Result<Vec<f64>, RowError> {
        Ok(self.integers(key)?.into_iter().map(f64::from_bits).collect())
    }

    fn integers(self, key: Key) -> Result<Vec<u64>, RowError> {
        let mut found = Vec::new();
        let mut fields = Fields::of(self);
        while let Some(field) = fields.next_field()? {
            match field.value {
                _ if field.number != key.0 => {}
                Value::Fixed64(word) => found.push(word),
                value => {
                    let (words, rest) = value.bytes()?.as_chunks();
                    if !rest.is_empty() {
                        return Err(RowError::Protobuf("the message ends within a field"));
                    }
                    found.extend(words.iter().map(|word| u64::from_le_bytes(*word)));
                }
            }
        }
        Ok(found)
    }

    #[inline]
    fn string(self) -> Option<Result<&'t str, RowError>> {
        let mut fields = Fields::of(self);
        let field = fields.next_field().ok()??;
        (field.number == 1 && fields.rest().is_empty()).then(|| field.value.text())
    }

    fn write_value(self, text: &mut String) -> Result<(), RowError> {
        write_message(self, text)
    }
}

/// The last field of a number.
fn last(message: &[u8], key: Key) -> Result<Option<Value<'_>>, RowError> {
    let mut found = None;
    let mut fields = Fields::of(message);
    while let Some(field) = fields.next_field()? {
        if field.number == key.0 {
            found = Some(field.value);
        }
    }
    Ok(found)
}

impl<'t> Node<'t> for JsonValue<'_, 't> {
    fn list(self, key: Key) -> impl Iterator<Item = Result<Self, RowError>> {
        let (items, error) = match items(self, key) {
            Ok(items) => (Some(items), None),
            Err(error) => (None, Some(Err(error))),
        };
        error.into_iter().chain(items.into_iter().flatten().map(Ok))
    }

    fn node(self, key: Key) -> Result<Option<Self>, RowError> {
        match member(self, key) {
            Some(value) if value.object().is_none() => Err(wrong(key, value, "an object")),
            found => Ok(found),
        }
    }

    fn text(self, key: Key) -> Result<&'t str, RowError> {
        member(self, key).map_or(Ok(""), |value| value.text().ok_or_else(|| wrong(key, value, "a string")))
    }

    fn integer(self, key: Key) -> Result<Option<u64>, RowError> {
        member(self, key).map(|value| integer(key, value)).transpose()
    }

    fn float(self, key: Key) -> Result<Option<f64>, RowError> {
        member(self, key).map(|value| float(key, value)).transpose()
    }

    fn id(self, key: Key) -> Result<Id<'t>, RowError> {
        Ok(Id::Hex(Node::text(self, key)?))
    }

    fn floats(self, key: Key) -> Result<Vec<f64>, RowError> {
        items(self, key)?.map(|value| float(key, value)).collect()
    }

    fn integers(self, key: Key) -> Result<Vec<u64>, RowError> {
        items(self, key)?.map(|value| integer(key, value)).collect()
    }

    fn string(self) -> Option<Result<&'t str, RowError>> {
        let mut members = self.object()?;
        let text = members.next().filter(|(kind, _)| *kind == "stringValue")?.1.text()?;
        members.next().is_none().then_some(Ok(text))
    }

    fn write_value(self, text: &mut String) -> Result<(), RowError> {
        write_json(self, text)
    }
}

fn wrong(key: Key, found: JsonValue<'_, '_>, wanted: &'static str) -> RowError {
    RowError::Type { part: key.1, found: found.kind(), wanted }
}

/// A member that is there and not null.
fn member<'n, 't>(of: JsonValue<'n, 't>, key: Key) -> Option<JsonValue<'n, 't>> {
    of.get(key.1).filter(|value| value.scalar() != Some(Scalar::Null))
}

/// The items of a list; none where it is missing.
fn items<'n, 't>(
    of: JsonValue<'n, 't>,
    key: Key,
) -> Result<impl Iterator<Item = JsonValue<'n, 't>> + use<'n, 't>, RowError> {
    let items = member(of, key).map(|value| value.array().ok_or_else(|| wrong(key, value, "an array")));
    Ok(items.transpose()?.into_iter().flatten())
}

fn integer(key: Key, value: JsonValue<'_, '_>) -> Result<u64, RowError> {
    match value.scalar() {
        Some(Scalar::UInt(value)) => Ok(value),
        Some(Scalar::Int(value)) => Ok(value.cast_unsigned()),
        // 64 bits are strings in protobuf's JSON.
        Some(Scalar::Text(text)) => {
            let signed = || text.parse::<i64>().map(i64::cast_unsigned);
            text.parse().or_else(|_| signed()).map_err(|_| RowError::invalid(key.1, text))
        }
        _ => Err(wrong(key, value, "an integer")),
    }
}

fn float(key: Key, value: JsonValue<'_, '_>) -> Result<f64, RowError> {
    match value.scalar() {
        Some(Scalar::Float(value)) => Ok(value),
        Some(Scalar::Int(value)) => Ok(value as f64),
        Some(Scalar::UInt(value)) => Ok(value as f64),
        // NaN and the infinities are words in protobuf's JSON.
        Some(Scalar::Text(text)) => text.parse().map_err(|_| RowError::invalid(key.1, text)),
        _ => Err(wrong(key, value, "a number")),
    }
}
