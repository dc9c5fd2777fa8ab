//! A document a line. Empty lines are none.

use super::DocumentRule;
use super::flatten::flatten;
use crate::json::JsonReader;
use crate::row::{Next, Position, RowDraft, RowTaker};

/// How far a body has been read.
#[derive(Debug)]
pub struct JsonLines {
    table: String,
    rule: DocumentRule,
    /// Lines read.
    lines: u64,
    reader: JsonReader,
    draft: RowDraft,
}

impl JsonLines {
    /// Of a body whose documents are rows of `table`.
    pub fn new(table: String, rule: DocumentRule) -> Self {
        Self { table, rule, lines: 0, reader: JsonReader::default(), draft: RowDraft::default() }
    }

    /// Reads the lines of `text`, and what is behind them if nothing comes after it. Returns the bytes consumed; the
    /// others must stand at the start of the next piece.
    pub fn read(&mut self, text: &[u8], last: bool, rows: &mut impl RowTaker) -> usize {
        let mut consumed = 0;
        while let Some((line, length)) = next_line(text.get(consumed..).unwrap_or_default(), last) {
            consumed += length;
            self.lines += 1;
            if line.is_empty() {
                continue;
            }
            let position = Position::Line(self.lines);
            let Self { table, rule, reader, draft, .. } = self;
            let taken = match reader.read(line, |document| flatten(document, table, rule, draft)).and_then(|read| read)
            {
                Ok(()) => rows.take(position, draft),
                Err(error) => Err(rows.fault(position, error)),
            };
            if taken == Err(Next::Stop) {
                return text.len();
            }
        }
        consumed
    }
}

/// The first line of `text` without blanks around it, and its length with its end; `None` where it is not complete.
pub(super) fn next_line(text: &[u8], last: bool) -> Option<(&[u8], usize)> {
    let (line, length) = match memchr::memchr(b'\n', text) {
        Some(end) => (text.get(..end)?, end + 1),
        None if last && !text.is_empty() => (text, text.len()),
        None => return None,
    };
    Some((line.trim_ascii(), length))
}
