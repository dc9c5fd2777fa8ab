//! JSON on its way in: no tree of values is made of it.
//!
//! `reader.rs` reads one document into a tape, a flat list of nodes that is used again for the next, and `value.rs`
//! walks it; strings are borrowed from the document, numbers keep their type. `split.rs` cuts the elements out of an
//! array as its text arrives, so that each can be read alone.

mod reader;
mod split;
mod value;

pub use reader::{JsonDocument, JsonReader, JsonTape, reading_bytes_max};
pub use split::Elements;
pub(crate) use split::{Found, nested_len};
pub use value::{Entries, Items, JsonValue, Scalar};
