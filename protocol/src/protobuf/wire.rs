//! The wire format: tags, varints, fixed words, and what has a length.

use crate::row::RowError;

/// A field of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Field<'a> {
    /// Its number.
    pub number: u32,
    /// Its value.
    pub value: Value<'a>,
}

/// What a field holds, as far as the wire says it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Value<'a> {
    /// An integer, a boolean or an enum.
    Varint(u64),
    /// 64 bits.
    Fixed64(u64),
    /// 32 bits.
    Fixed32(u32),
    /// A string, bytes, a message, or numbers end to end.
    Bytes(&'a [u8]),
}

/// The fields of a message.
#[derive(Debug, Clone, Copy)]
pub struct Fields<'a> {
    rest: &'a [u8],
}

fn broken(what: &'static str) -> RowError {
    RowError::Protobuf(what)
}

impl<'a> Fields<'a> {
    /// Of the message in `bytes`.
    pub fn of(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    /// The next field; `None` at the end.
    #[inline]
    pub fn next_field(&mut self) -> Result<Option<Field<'a>>, RowError> {
        if self.rest.is_empty() {
            return Ok(None);
        }
        let tag = varint(&mut self.rest)?;
        let number = u32::try_from(tag >> 3).ok().filter(|number| (1..1 << 29).contains(number));
        let number = number.ok_or(broken("a field has no number"))?;
        let value = match tag & 7 {
            0 => Value::Varint(varint(&mut self.rest)?),
            1 => Value::Fixed64(u64::from_le_bytes(*self.take()?)),
            5 => Value::Fixed32(u32::from_le_bytes(*self.take()?)),
            2 => {
                let len = varint(&mut self.rest)?;
                let len = usize::try_from(len).map_err(|_| broken("a length is beyond the end"))?;
                let (bytes, rest) = self.rest.split_at_checked(len).ok_or(broken("a length is beyond the end"))?;
                self.rest = rest;
                Value::Bytes(bytes)
            }
            3 | 4 => return Err(broken("groups are not known")),
            _ => return Err(broken("a field is of no type")),
        };
        Ok(Some(Field { number, value }))
    }

    /// What is not read yet.
    pub(crate) fn rest(&self) -> &'a [u8] {
        self.rest
    }

    fn take<const N: usize>(&mut self) -> Result<&'a [u8; N], RowError> {
        let (word, rest) = self.rest.split_first_chunk().ok_or(broken("the message ends within a field"))?;
        self.rest = rest;
        Ok(word)
    }
}

/// Bytes of the first fields of a message that together have at least `bytes_min`. Whatever a message holds, its fields
/// can be read in parts: a large one need not be read in one go.
pub fn split(message: &[u8], bytes_min: usize) -> Result<usize, RowError> {
    let mut fields = Fields::of(message);
    loop {
        let read = message.len() - fields.rest.len();
        if read >= bytes_min || fields.next_field()?.is_none() {
            return Ok(read);
        }
    }
}

impl<'a> Value<'a> {
    /// The bytes of a message, a string or bytes.
    pub fn bytes(self) -> Result<&'a [u8], RowError> {
        match self {
            Self::Bytes(bytes) => Ok(bytes),
            _ => Err(broken("a field is a number and should have a length")),
        }
    }

    /// An integer that is a varint.
    pub fn varint(self) -> Result<u64, RowError> {
        match self {
            Self::Varint(value) => Ok(value),
            _ => Err(broken("a field should be a varint")),
        }
    }

    /// 64 bits.
    pub fn fixed64(self) -> Result<u64, RowError> {
        match self {
            Self::Fixed64(value) => Ok(value),
            _ => Err(broken("a field should have 64 bits")),
        }
    }

    /// 32 bits.
    pub fn fixed32(self) -> Result<u32, RowError> {
        match self {
            Self::Fixed32(value) => Ok(value),
            _ => Err(broken("a field should have 32 bits")),
        }
    }

    /// A string.
    pub fn text(self) -> Result<&'a str, RowError> {
        text(self.bytes()?)
    }
}

/// Bytes that must be text.
pub fn text(bytes: &[u8]) -> Result<&str, RowError> {
    std::str::from_utf8(bytes).map_err(|_| RowError::Utf8)
}

/// An `int64` or `int32` as the wire has it.
pub fn signed(value: u64) -> i64 {
    value.cast_signed()
}

/// The integers of a repeated field, which stand alone or end to end.
pub fn packed_varints(value: Value<'_>, mut see: impl FnMut(u64) -> Result<(), RowError>) -> Result<(), RowError> {
    match value {
        Value::Varint(value) => see(value),
        _ => {
            let mut rest = value.bytes()?;
            while !rest.is_empty() {
                see(varint(&mut rest)?)?;
            }
            Ok(())
        }
    }
}

/// Appends a varint.
pub fn push_varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// Bytes of a varint.
pub fn varint_bytes(value: u64) -> usize {
    (64 - (value | 1).leading_zeros()).div_ceil(7) as usize
}

/// Appends what stands before a field that has a length.
pub fn push_header(out: &mut Vec<u8>, number: u32, len: usize) {
    push_varint(out, u64::from(number) << 3 | 2);
    push_varint(out, len as u64);
}

/// Bytes of a field that has a length, and a number below 16.
pub fn field_bytes(len: usize) -> usize {
    1 + varint_bytes(len as u64) + len
}

/// Reads a varint of at most ten bytes, of which the last holds one bit.
#[inline]
fn varint(rest: &mut &[u8]) -> Result<u64, RowError> {
    // Most have one byte.
    if let Some((&byte, behind)) = rest.split_first()
        && byte < 0x80
    {
        *rest = behind;
        return Ok(u64::from(byte));
    }
    let mut value = 0;
    for (at, &byte) in rest.iter().take(10).enumerate() {
        value |= u64::from(byte & 0x7f) << (7 * at);
        if at == 9 && byte > 1 {
            return Err(broken("a number has more than 64 bits"));
        }
        if byte < 0x80 {
            *rest = rest.get(at + 1..).unwrap_or_default();
            return Ok(value);
        }
    }
    Err(broken("the message ends within a number"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_read_as_they_were_written() {
        let message = b"\x08\x96\x01\x12\x02hi\x19\x01\0\0\0\0\0\0\0\x25\x02\0\0\0\xf8\xff\xff\xff\x0f\x00";
        let mut fields = Fields::of(message);
        let mut found = Vec::new();
        while let Some(field) = fields.next_field().unwrap() {
            found.push((field.number, field.value));
        }
        assert_eq!(
            found,
            [
                (1, Value::Varint(150)),
                (2, Value::Bytes(b"hi")),
                (3, Value::Fixed64(1)),
                (4, Value::Fixed32(2)),
                ((1 << 29) - 1, Value::Varint(0)),
            ]
        );
    }

    #[test]
    fn a_length_is_known_before_it_is_written() {
        for shift in 0..64 {
            for value in [1_u64 << shift, (1 << shift) - 1, u64::MAX >> shift] {
                let mut out = Vec::new();
                push_varint(&mut out, value);
                assert_eq!(varint_bytes(value), out.len(), "{value}");
            }
        }
        for len in [0, 1, 127, 128, 300] {
            let mut out = Vec::new();
            push_header(&mut out, 15, len);
            assert_eq!(field_bytes(len), out.len() + len);
        }
    }

    #[test]
    fn broken_messages_are_refused() {
        for message in [
            &b"\x00\x01"[..],
            b"\x08",
            b"\x08\x80",
            b"\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01",
            b"\x12\x05hi",
            b"\x12\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01",
            b"\x19\x01",
            b"\x25\x01",
            b"\x0b",
            b"\x0c",
            b"\x0e",
            b"\x0f",
        ] {
            let mut fields = Fields::of(message);
            let end = std::iter::from_fn(|| Some(fields.next_field())).find(|field| !matches!(field, Ok(Some(_))));
            assert!(matches!(end, Some(Err(_))), "{}: {end:?}", message.escape_ascii());
        }
    }
}
