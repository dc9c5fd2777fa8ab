//! One document after the other, into the same memory.

use simd_json::{Buffers, INPUT_PADDING, Tape};

use super::JsonValue;
use crate::row::RowError;

/// Nesting of objects and arrays in a document. Logs have a few levels.
const DEPTH_MAX: usize = 64;

/// Memory of a document longer than this is given back: a tape takes some ten times its text.
const KEPT_BYTES_MAX: usize = 1 << 20;

/// Memory that reading a document takes at most: its copy, and a node and an index for each value and name, of which
/// there is at least one mark of its own in the text.
pub fn reading_bytes_max(document: &[u8]) -> usize {
    const NODE_BYTES: usize = 2 * (size_of::<simd_json::Node<'_>>() + size_of::<u32>());
    // Counted in bytes, of parts that these have room for, so that the loop is one over vectors.
    let is_mark = |byte: &u8| u8::from(matches!(byte, b',' | b':' | b'[' | b'{'));
    let marks: usize = document.chunks(128).map(|part| usize::from(part.iter().map(is_mark).sum::<u8>())).sum();
    2 * document.len() + (marks + 1) * NODE_BYTES
}

/// A document of its own, for those who read it over several turns.
#[derive(Debug)]
pub struct JsonDocument {
    text: Vec<u8>,
    bytes: usize,
}

/// What a document says.
#[derive(Debug)]
pub struct JsonTape<'t>(Tape<'t>);

impl JsonDocument {
    /// A copy: the parser takes escapes out in place.
    pub fn of(document: &[u8]) -> Self {
        let mut text = Vec::new();
        pad(document, &mut text);
        Self { text, bytes: document.len() }
    }

    /// Reads it, whole.
    pub fn tape(&mut self) -> Result<JsonTape<'_>, RowError> {
        let mut tape = Tape(Vec::new());
        fill(&mut self.text, self.bytes, &mut Buffers::with_max_depth(0, DEPTH_MAX), &mut tape)?;
        Ok(JsonTape(tape))
    }
}

impl<'t> JsonTape<'t> {
    /// The value that the document is.
    pub fn root(&self) -> JsonValue<'_, 't> {
        JsonValue::of(&self.0.0)
    }
}

fn pad(document: &[u8], text: &mut Vec<u8>) {
    text.clear();
    text.extend_from_slice(document);
    // The parser may look at it.
    text.resize(document.len() + INPUT_PADDING, b' ');
}

fn fill<'t>(text: &'t mut [u8], bytes: usize, buffers: &mut Buffers, tape: &mut Tape<'t>) -> Result<(), RowError> {
    simd_json::fill_tape_padded(text, bytes, buffers, tape).map_err(|error| RowError::Json(error.to_string()))
}

/// See the module.
pub struct JsonReader {
    buffers: Buffers,
    tape: Tape<'static>,
    text: Vec<u8>,
}

impl std::fmt::Debug for JsonReader {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("JsonReader").finish_non_exhaustive()
    }
}

impl Default for JsonReader {
    fn default() -> Self {
        Self { buffers: Buffers::with_max_depth(0, DEPTH_MAX), tape: Tape(Vec::new()), text: Vec::new() }
    }
}

impl JsonReader {
    /// Reads a document, whole, and gives it to `see`.
    pub fn read<R>(&mut self, document: &[u8], see: impl FnOnce(JsonValue<'_, '_>) -> R) -> Result<R, RowError> {
        pad(document, &mut self.text);
        let mut tape = std::mem::replace(&mut self.tape, Tape(Vec::new())).reset();
        let filled = fill(&mut self.text, document.len(), &mut self.buffers, &mut tape);
        let seen = filled.map(|()| see(JsonValue::of(&tape.0)));
        self.tape = tape.reset();
        if document.len() > KEPT_BYTES_MAX {
            *self = Self::default();
        }
        seen
    }
}
