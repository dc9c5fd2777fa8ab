//! What is wrong with something that should have been a row.

use std::fmt::Display;

/// Bytes of a client's text that an error quotes.
const QUOTED_BYTES_MAX: usize = 64;

/// Why a door finds no row where one should be. `part` names what is meant in the door's own terms.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RowError {
    /// Something that every row has is not there.
    #[error("{0} is missing")]
    Missing(&'static str),
    /// A text that cannot be what it stands for.
    #[error("{part} cannot be read: {text:?}")]
    Invalid {
        /// What it stands for.
        part: &'static str,
        /// Its first bytes.
        text: String,
    },
    /// A value of another type than it must have.
    #[error("{part} is {found}, not {wanted}")]
    Type {
        /// Which value.
        part: &'static str,
        /// What it is.
        found: &'static str,
        /// What it must be.
        wanted: &'static str,
    },
    /// Something that is not done here.
    #[error("{0} is not supported")]
    NotSupported(&'static str),
    /// A time that nanoseconds in 64 bits cannot say.
    #[error("the time is out of range")]
    TimeOutOfRange,
    /// A row without a value.
    #[error("there is no field")]
    NoField,
    /// More fields than a row may have, or longer names of them together.
    #[error(
        "there are more than {} fields, or their names have more than {} bytes",
        super::FIELDS_MAX,
        super::FIELD_NAMES_BYTES_MAX
    )]
    TooManyFields,
    /// More of something than a request may bring.
    #[error("there are more than {count_max} {what}")]
    TooMany {
        /// What there is too much of.
        what: &'static str,
        /// How much of it there may be.
        count_max: usize,
    },
    /// A series or the name of a field is too long.
    #[error("a table with its tags, or a name, is longer than {} bytes", super::NAME_BYTES_MAX)]
    NameTooLong,
    /// Strings that are together longer than a row can have.
    #[error("the strings of a row have more than 4 GiB")]
    TextTooLong,
    /// Not UTF-8.
    #[error("the text is not UTF-8")]
    Utf8,
    /// Not JSON.
    #[error("not JSON: {0}")]
    Json(String),
    /// Not the message that it must be.
    #[error("not a protobuf message: {0}")]
    Protobuf(&'static str),
    /// It cannot be decompressed.
    #[error("cannot decompress: {0}")]
    Compression(String),
}

impl RowError {
    /// An error about a text, quoting the start of it.
    pub fn invalid(part: &'static str, text: impl Display) -> Self {
        let mut text = text.to_string();
        text.truncate(text.floor_char_boundary(QUOTED_BYTES_MAX));
        Self::Invalid { part, text }
    }
}
