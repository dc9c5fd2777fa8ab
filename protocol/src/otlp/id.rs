//! Ids of traces and spans.

use crate::row::RowError;

/// An id, as bytes or as hex digits.
#[derive(Debug, Clone, Copy)]
pub(super) enum Id<'s> {
    Bytes(&'s [u8]),
    Hex(&'s str),
}

impl Default for Id<'_> {
    fn default() -> Self {
        Self::Bytes(&[])
    }
}

impl Id<'_> {
    /// Whether there is none.
    pub(super) fn is_empty(self) -> bool {
        match self {
            Self::Bytes(id) => id.is_empty(),
            Self::Hex(id) => id.is_empty(),
        }
    }

    /// Writes the hex digits of an id of `bytes` bytes; none if it is empty.
    pub(super) fn write(self, bytes: usize, part: &'static str, text: &mut String) -> Result<(), RowError> {
        text.clear();
        match self {
            Self::Bytes(id) => {
                if !id.is_empty() && id.len() != bytes {
                    return Err(RowError::invalid(part, id.escape_ascii()));
                }
                for byte in id {
                    text.push(char::from(b"0123456789abcdef"[usize::from(byte >> 4)]));
                    text.push(char::from(b"0123456789abcdef"[usize::from(byte & 15)]));
                }
            }
            Self::Hex(id) => {
                if !id.is_empty() && (id.len() != 2 * bytes || !id.bytes().all(|digit| digit.is_ascii_hexdigit())) {
                    return Err(RowError::invalid(part, id));
                }
                text.push_str(id);
                text.make_ascii_lowercase();
            }
        }
        Ok(())
    }
}
