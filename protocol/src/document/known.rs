//! Documents that are like one before: programs write the same names in the same order, again and again.
//!
//! A document that was read by the book leaves its *shape*: the texts between its values, and what became of each
//! value. The next document is compared with these texts piece by piece, and its values are read where they stand; no
//! name is looked at again, and no parser is asked. Whatever is not just so (an escape, another type, a number that is
//! not plain) is read by the book, which also says what is wrong with it.
//!
//! ```text
//!   {"time":  1667456411  ,"host":"  a  ","load":  0.5  }
//!   piece 0   a time      piece 1   a tag  piece 2 a float   the end
//! ```

use super::rule::{DocumentRule, Numbers, Times};
use crate::bytescan::plain::Plain;
use crate::row::{FieldKind, RawValue, RowDraft, parse_date};
use crate::shapes::Shapes;

/// Documents that fit no shape, of which one leaves its own where there are as many as there may be.
const MISSES: usize = 64;

/// A longer document leaves no shape.
const DOCUMENT_BYTES_MAX: usize = 16 << 10;

/// What becomes of a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Role {
    /// The time that the request names, or `time`.
    Time,
    /// The time that counts where the other one is missing.
    Timestamp,
    /// The tag with this place among those of the request.
    Tag(usize),
    /// A field of this type.
    Field(FieldKind),
    /// Nothing: it is `null`.
    Null,
}

/// What a value is by its text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Token {
    Text,
    Number,
    Word,
}

#[derive(Debug, PartialEq, Eq)]
struct Shape {
    /// Texts before, between and behind the values, end to end.
    pieces: Vec<u8>,
    /// For each value the end of the piece before it, and what becomes of it.
    values: Vec<(usize, Role, Token)>,
    /// The names of the fields, as a draft has them.
    layout: Vec<u8>,
}

/// The shapes that documents had.
#[derive(Debug, Default)]
pub(super) struct DocumentShapes(Shapes<Shape, MISSES>);

impl DocumentShapes {
    /// Fills `draft` with the row of `document`, if that has a shape that is known. Gives its times.
    pub(super) fn fill(
        &mut self,
        document: &[u8],
        table: &str,
        rule: &DocumentRule,
        draft: &mut RowDraft,
    ) -> Option<Times> {
        if self.0.kept().is_empty() {
            return None;
        }
        let document = std::str::from_utf8(document).ok()?;
        for at in self.0.order() {
            let found = self.0.at(at).and_then(|shape| shape.fill(document, table, rule, draft));
            if found.is_some() {
                self.0.has_fitted(at);
                return found;
            }
        }
        None
    }

    /// Keeps the shape of a document that was read by the book into `draft`, with what became of its values.
    pub(super) fn learn(&mut self, document: &[u8], roles: &[Role], draft: &RowDraft) {
        let Some(place) = self.0.room().filter(|_| document.len() <= DOCUMENT_BYTES_MAX) else { return };
        // One that has its shape and is not read by it has a value of another form: the shape is there.
        let is_new = |shape: &Shape| self.0.kept().iter().all(|known| known != shape);
        if let Some(shape) = Shape::of(document, roles, draft).filter(is_new) {
            self.0.put(place, shape);
        }
    }
}

impl Shape {
    /// `None` where it is not worth it: some value has escapes, or is a tag and no text.
    fn of(document: &[u8], roles: &[Role], draft: &RowDraft) -> Option<Self> {
        let mut shape = Self { pieces: Vec::new(), values: Vec::new(), layout: draft.layout_text().to_vec() };
        let mut roles = roles.iter();
        let (mut from, mut at) = (0, 0);
        // Whether the next string is a name, by what it stands in: a bit for each object.
        let (mut objects, mut depth, mut is_name) = (0_u64, 0_u32, false);
        while let Some(byte) = document.get(at) {
            let token = match byte {
                b'{' | b'[' => {
                    depth += 1;
                    let is_object = *byte == b'{';
                    objects = objects << 1 | u64::from(is_object);
                    is_name = is_object;
                    None
                }
                b'}' | b']' => {
                    (depth, objects) = (depth.checked_sub(1)?, objects >> 1);
                    None
                }
                b',' => {
                    is_name = objects & 1 == 1;
                    None
                }
                b'"' => {
                    let len = document.get(at + 1..)?.iter().position(|byte| matches!(byte, b'"' | b'\\'))?;
                    if document.get(at + 1 + len) != Some(&b'"') {
                        return None;
                    }
                    let name = std::mem::take(&mut is_name);
                    if name {
                        at += len + 2;
                        continue;
                    }
                    Some((Token::Text, at + 1, at + 1 + len))
                }
                b'-' | b'0'..=b'9' => Some((Token::Number, at, end_of(document, at))),
                b'a'..=b'z' => Some((Token::Word, at, end_of(document, at))),
                _ => None,
            };
            let Some((token, start, end)) = token else {
                at += 1;
                continue;
            };
            at = end + usize::from(token == Token::Text);
            let role = *roles.next()?;
            let fits = match role {
                // It is a part of the text around it.
                Role::Null => continue,
                Role::Tag(_) | Role::Field(FieldKind::String) => token == Token::Text,
                Role::Time | Role::Timestamp => token != Token::Word,
                Role::Field(FieldKind::Bool) => token == Token::Word,
                Role::Field(_) => token == Token::Number,
            };
            if !fits {
                return None;
            }
            shape.pieces.extend_from_slice(document.get(from..start)?);
            shape.values.push((shape.pieces.len(), role, token));
            from = end;
        }
        shape.pieces.extend_from_slice(document.get(from..)?);
        (roles.next().is_none() && depth == 0).then_some(shape)
    }

    fn fill(&self, document: &str, table: &str, rule: &DocumentRule, draft: &mut RowDraft) -> Option<Times> {
        let mut rest = document.as_bytes();
        // Before anything is done: most documents of another shape begin otherwise.
        rest.starts_with(self.pieces.get(..self.values.first()?.0)?).then_some(())?;
        draft.begin_with(table, &self.layout);
        let mut times = Times::default();
        let mut from = 0;
        for (end, role, token) in &self.values {
            rest = rest.strip_prefix(self.pieces.get(from..*end)?)?;
            from = *end;
            match token {
                Token::Text => {
                    let len = rest.iter().position(|byte| matches!(byte, b'"' | b'\\' | 0..0x20))?;
                    let start = document.len() - rest.len();
                    let text = document.get(start..start + len)?;
                    // That it ends with a quote the next piece says.
                    rest = rest.get(len..)?;
                    match role {
                        Role::Tag(at) => draft.tag(rule.tag_columns.get(*at)?, text),
                        Role::Field(_) => draft.push_string(text),
                        Role::Time => times.time = Some(parse_date(text).ok()?),
                        Role::Timestamp => times.timestamp = Some(parse_date(text).ok()?),
                        Role::Null => {}
                    }
                }
                Token::Number => {
                    let (number, behind) = Plain::read(rest)?;
                    rest = behind;
                    match role {
                        Role::Time => times.time = Some(rule.scale.nanoseconds(number.integer()?).ok()?),
                        Role::Timestamp => times.timestamp = Some(rule.scale.nanoseconds(number.integer()?).ok()?),
                        Role::Field(FieldKind::Int) => draft.push_value(RawValue::from_int(number.integer()?)),
                        Role::Field(FieldKind::Float) => {
                            let is_float = rule.numbers == Numbers::Floats || number.integer().is_none();
                            draft.push_value(RawValue::from_float(number.float().filter(|_| is_float)?));
                        }
                        Role::Field(_) | Role::Tag(_) | Role::Null => return None,
                    }
                }
                Token::Word => {
                    let (value, word) =
                        if rest.starts_with(b"t") { (true, &b"true"[..]) } else { (false, &b"false"[..]) };
                    rest = rest.strip_prefix(word)?;
                    draft.push_value(RawValue::from_bool(value));
                }
            }
        }
        (rest == self.pieces.get(from..)?).then_some(times)
    }
}

/// The end of the number or word that begins at `at`.
fn end_of(document: &[u8], at: usize) -> usize {
    let is_in = |byte: &&u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'-' | b'.');
    at + document.get(at..).unwrap_or_default().iter().take_while(is_in).count()
}
