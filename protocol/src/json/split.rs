//! The elements of an array, or a document that is none, cut out of a text that arrives in pieces.
//!
//! Only strings and brackets are looked at; whether an element is JSON its reader says. What stands between elements
//! is judged here.

use crate::row::RowError;

/// How far the text of a request has been cut.
#[derive(Debug, Default)]
pub struct Elements {
    state: State,
    /// The element that the end of the last piece cut.
    cut: Cut,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum State {
    /// Nothing but blanks has come.
    #[default]
    Start,
    /// In the array; an element or its end must come.
    First,
    /// Behind a comma.
    Element,
    /// Behind an element.
    Behind,
    /// The one document is in its place, or the array has ended.
    End,
}

#[derive(Debug, Clone, Copy, Default)]
struct Cut {
    /// Bytes of it that were looked at.
    seen: usize,
    depth: u32,
    in_string: bool,
    is_escaped: bool,
}

/// What [`Elements::next`] found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Found {
    /// An element between these bytes of the text.
    Element(usize, usize),
    /// The text ends at these bytes, or within an element that begins there.
    NeedMore(usize),
}

impl Elements {
    /// The next element of `text` at or behind `from`. When more is needed, `text` must begin with what was not
    /// consumed when the next piece comes. With `last` nothing comes.
    pub(crate) fn next(&mut self, text: &[u8], mut from: usize, last: bool) -> Result<Found, RowError> {
        loop {
            let rest = text.get(from..).unwrap_or_default();
            from += rest.iter().position(|byte| !byte.is_ascii_whitespace()).unwrap_or(rest.len());
            let Some(&byte) = text.get(from) else {
                return match self.state {
                    State::End => Ok(Found::NeedMore(from)),
                    State::Start if last => Err(RowError::Json("the body is empty".to_owned())),
                    _ if last => Err(RowError::Json("the array does not end".to_owned())),
                    _ => Ok(Found::NeedMore(from)),
                };
            };
            match (self.state, byte) {
                (State::Start, b'[') => (self.state, from) = (State::First, from + 1),
                (State::First | State::Behind, b']') => (self.state, from) = (State::End, from + 1),
                (State::Behind, b',') => (self.state, from) = (State::Element, from + 1),
                (State::Behind | State::End, _) => {
                    return Err(RowError::Json("more text behind an element".to_owned()));
                }
                (State::Start | State::First | State::Element, _) => {
                    let len = match self.cut.end(text.get(from..).unwrap_or_default()) {
                        Some(len) => len,
                        None if !last => return Ok(Found::NeedMore(from)),
                        // Whatever it is, its reader says what it lacks.
                        None => text.len() - from,
                    };
                    self.cut = Cut::default();
                    self.state = if self.state == State::Start { State::End } else { State::Behind };
                    return Ok(Found::Element(from, from + len));
                }
            }
        }
    }

    /// Where behind `from` an element begins that is neither the first nor cut. One that is read from there without
    /// [`Self::next`] must be a whole object.
    pub(crate) fn next_object(&self, text: &[u8], from: usize) -> Option<usize> {
        if self.state != State::Behind {
            return None;
        }
        let skip = |at: usize| Some(at + text.get(at..)?.iter().position(|byte| !byte.is_ascii_whitespace())?);
        let comma = skip(from).filter(|at| text.get(*at) == Some(&b','))?;
        skip(comma + 1).filter(|at| text.get(*at) == Some(&b'{'))
    }
}

/// The length of the object or array at the start of `text`, if its end is there.
pub(crate) fn nested_len(text: &[u8]) -> Option<usize> {
    Cut::default().end(text)
}

impl Cut {
    /// The length of the element at the start of `text`, if its end is there.
    fn end(&mut self, text: &[u8]) -> Option<usize> {
        let from = self.seen;
        for (at, &byte) in text.iter().enumerate().skip(from) {
            if self.in_string {
                match byte {
                    _ if self.is_escaped => self.is_escaped = false,
                    b'\\' => self.is_escaped = true,
                    b'"' => {
                        self.in_string = false;
                        if self.depth == 0 {
                            return Some(at + 1);
                        }
                    }
                    _ => {}
                }
                continue;
            }
            match byte {
                b'"' => self.in_string = true,
                b'{' | b'[' => self.depth += 1,
                b'}' | b']' if self.depth > 1 => self.depth -= 1,
                b'}' | b']' if self.depth == 1 => return Some(at + 1),
                // The end of a number or a word, or a bracket too many, which is not the element's.
                b',' | b']' | b'}' if self.depth == 0 => return Some(at.max(1)),
                _ => {}
            }
        }
        self.seen = text.len();
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The elements of a text that comes in pieces of `size` bytes.
    fn elements(text: &str, size: usize) -> Result<Vec<String>, RowError> {
        let mut found = Vec::new();
        let mut elements = Elements::default();
        let (mut start, mut end) = (0, 0);
        while end < text.len() || end == 0 {
            end = (end + size).min(text.len());
            let piece = &text.as_bytes()[start..end];
            let mut at = 0;
            loop {
                match elements.next(piece, at, end == text.len())? {
                    Found::Element(from, to) => {
                        found.push(String::from_utf8_lossy(&piece[from..to]).into_owned());
                        at = to;
                    }
                    Found::NeedMore(from) => break start += from,
                }
            }
            if text.is_empty() {
                break;
            }
        }
        Ok(found)
    }

    #[test]
    fn elements_are_cut_the_same_from_any_pieces() {
        let cases: [(&str, &[&str]); 6] = [
            (r#" [{"a":"]}\"\\"},[1,[2]] , 3,"x,y" ] "#, &[r#"{"a":"]}\"\\"}"#, "[1,[2]]", "3", r#""x,y""#]),
            (r#"{"a":[1,2]}"#, &[r#"{"a":[1,2]}"#]),
            ("[]", &[]),
            ("[ ]\n", &[]),
            ("[nonsense]", &["nonsense"]),
            ("17", &["17"]),
        ];
        for (text, expected) in cases {
            for size in 1..=text.len() {
                assert_eq!(elements(text, size).unwrap(), expected, "{text} in pieces of {size}");
            }
        }
    }

    #[test]
    fn what_is_no_list_of_elements_is_refused() {
        for text in ["", "  ", "[", "[1", "[1,", "[1 2]", "[1]2", "{} {}", "[1,]", "[,1]", "]", "[}]"] {
            for size in 1..=text.len().max(1) {
                let found = elements(text, size);
                let is_bad = match &found {
                    Err(_) => true,
                    Ok(found) => found.iter().any(|text| is_refused(text)),
                };
                assert!(is_bad, "{text:?} in pieces of {size}: {found:?}");
            }
        }
    }

    /// Whether the reader refuses it.
    fn is_refused(text: &str) -> bool {
        crate::json::JsonReader::default().read(text.as_bytes(), |_| ()).is_err()
    }
}
