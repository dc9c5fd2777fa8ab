//! A document a line, or all in one array. Empty lines are none.
//!
//! Which of both a body is its first byte that is no blank says. Elements of an array are cut out as they arrive.

use super::DocumentRule;
use super::flatten::Documents;
use crate::json::{Elements, Found};
use crate::row::{Next, Position, RowError, RowTaker};

/// How far a body has been read.
#[derive(Debug)]
pub struct JsonLines {
    table: String,
    documents: Documents,
    form: Form,
    /// Lines or elements read.
    count: u64,
}

/// What a body is.
#[derive(Debug, Default)]
enum Form {
    /// Nothing but blanks has come.
    #[default]
    Unknown,
    Lines,
    Array(Elements),
}

impl JsonLines {
    /// Of a body whose documents are rows of `table`.
    pub fn new(table: String, rule: DocumentRule) -> Self {
        Self { table, documents: Documents::new(rule), form: Form::default(), count: 0 }
    }

    /// Reads every document with the parser, as if it were like none before: what the others are compared with.
    #[must_use]
    pub fn by_the_book(mut self) -> Self {
        self.documents.by_the_book();
        self
    }

    /// Reads the documents of `text`, and what is behind the last line if nothing comes after it. Returns the bytes
    /// consumed; the others must stand at the start of the next piece. The error is one of the whole body.
    pub fn read(&mut self, text: &[u8], last: bool, rows: &mut impl RowTaker) -> Result<usize, RowError> {
        if matches!(self.form, Form::Unknown) {
            match text.iter().find(|byte| !byte.is_ascii_whitespace()) {
                Some(b'[') => {
                    self.form = Form::Array(Elements::default());
                    self.count = 0;
                }
                Some(_) => self.form = Form::Lines,
                // Empty lines, which count.
                None => {}
            }
        }
        let mut consumed = 0;
        loop {
            let rest = text.get(consumed..).unwrap_or_default();
            let (document, length, position) = match &mut self.form {
                Form::Array(elements) => match elements.next(text, consumed, last)? {
                    Found::NeedMore(from) => return Ok(from),
                    Found::Element(start, end) => {
                        self.count += 1;
                        (text.get(start..end).unwrap_or_default(), end - consumed, Position::Item(self.count))
                    }
                },
                Form::Unknown | Form::Lines => match next_line(rest, last) {
                    None => return Ok(consumed),
                    Some((line, length)) => {
                        self.count += 1;
                        (line, length, Position::Line(self.count))
                    }
                },
            };
            consumed += length;
            if document.is_empty() {
                continue;
            }
            let taken = match self.documents.read(document, &self.table) {
                Ok(()) => rows.take(position, &mut self.documents.draft),
                Err(error) => Err(rows.fault(position, error)),
            };
            if taken == Err(Next::Stop) {
                return Ok(text.len());
            }
        }
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
