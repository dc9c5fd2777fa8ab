//! Parameters of a query string or of an `application/x-www-form-urlencoded` body.
//!
//! Nothing is decoded until it is asked for, and a value without escapes is borrowed. `+` is a space, `%41` is `A`;
//! an escape that is not two hex digits, or bytes that are not UTF-8 after decoding, are errors that name the
//! parameter. Of several values with one name the first counts.

use std::borrow::Cow;

use percent_encoding::percent_decode;

/// A parameter that cannot be decoded.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadQuery {
    /// A `%` without two hex digits after it.
    #[error("bad percent escape in parameter {name:?}")]
    Escape {
        /// The parameter's name as it stands in the text.
        name: String,
    },
    /// Not UTF-8 after decoding.
    #[error("parameter {name:?} is not UTF-8")]
    Utf8 {
        /// The parameter's name as it stands in the text.
        name: String,
    },
}

/// `name=value` pairs joined by `&`.
#[derive(Clone, Copy, Debug, Default)]
pub struct Query<'a> {
    text: &'a [u8],
}

impl<'a> Query<'a> {
    /// Over a query string without its `?`, or the body of a form.
    pub fn new(text: &'a (impl AsRef<[u8]> + ?Sized)) -> Self {
        Query { text: text.as_ref() }
    }

    /// The first value of the parameter; empty for a name without `=`.
    pub fn get(&self, name: &str) -> Result<Option<Cow<'a, str>>, BadQuery> {
        for pair in self.raw_pairs() {
            if pair.is_named(name) {
                return decode(pair.value, pair.name).map(Some);
            }
        }
        Ok(None)
    }

    /// All pairs, decoded, in the order they stand.
    pub fn pairs(&self) -> Pairs<'a> {
        Pairs { rest: RawPairs { rest: self.text } }
    }

    fn raw_pairs(&self) -> RawPairs<'a> {
        RawPairs { rest: self.text }
    }
}

/// Iterator of [`Query::pairs`].
#[derive(Clone, Debug)]
pub struct Pairs<'a> {
    rest: RawPairs<'a>,
}

impl<'a> Iterator for Pairs<'a> {
    type Item = Result<(Cow<'a, str>, Cow<'a, str>), BadQuery>;

    fn next(&mut self) -> Option<Self::Item> {
        let pair = self.rest.next()?;
        Some(decode(pair.name, pair.name).and_then(|name| Ok((name, decode(pair.value, pair.name)?))))
    }
}

#[derive(Clone, Copy)]
struct RawPair<'a> {
    name: &'a [u8],
    value: &'a [u8],
}

impl RawPair<'_> {
    fn is_named(&self, name: &str) -> bool {
        // Clients that escape names are rare; only then is the name decoded.
        match memchr::memchr2(b'%', b'+', self.name) {
            None => self.name == name.as_bytes(),
            Some(_) => decode(self.name, self.name).is_ok_and(|own| own == name),
        }
    }
}

#[derive(Clone, Copy, Debug)]
struct RawPairs<'a> {
    rest: &'a [u8],
}

impl<'a> Iterator for RawPairs<'a> {
    type Item = RawPair<'a>;

    fn next(&mut self) -> Option<RawPair<'a>> {
        while !self.rest.is_empty() {
            let (pair, rest) = match memchr::memchr(b'&', self.rest) {
                Some(at) => (&self.rest[..at], &self.rest[at + 1..]),
                None => (self.rest, &[][..]),
            };
            self.rest = rest;
            if pair.is_empty() {
                continue;
            }
            return Some(match memchr::memchr(b'=', pair) {
                Some(at) => RawPair { name: &pair[..at], value: &pair[at + 1..] },
                None => RawPair { name: pair, value: &[] },
            });
        }
        None
    }
}

/// A segment of a path, which is `name` in an error. A `+` is itself there.
pub fn decode_segment<'a>(segment: &'a str, name: &str) -> Result<Cow<'a, str>, BadQuery> {
    match segment.contains('%') {
        false => Ok(Cow::Borrowed(segment)),
        true => {
            decode(segment.replace('+', "%2B").as_bytes(), name.as_bytes()).map(|text| Cow::Owned(text.into_owned()))
        }
    }
}

fn decode<'a>(text: &'a [u8], name: &[u8]) -> Result<Cow<'a, str>, BadQuery> {
    let label = || String::from_utf8_lossy(name).into_owned();
    let mut escapes = false;
    let mut pluses = false;
    for at in memchr::memchr2_iter(b'%', b'+', text) {
        if text[at] == b'+' {
            pluses = true;
        } else if matches!(text.get(at + 1..at + 3), Some(digits) if digits.iter().all(u8::is_ascii_hexdigit)) {
            escapes = true;
        } else {
            return Err(BadQuery::Escape { name: label() });
        }
    }
    let utf8 = |_| BadQuery::Utf8 { name: label() };
    if !escapes && !pluses {
        return std::str::from_utf8(text).map(Cow::Borrowed).map_err(|_| BadQuery::Utf8 { name: label() });
    }
    let spaced: Cow<'a, [u8]> = if pluses {
        text.iter().map(|&byte| if byte == b'+' { b' ' } else { byte }).collect::<Vec<u8>>().into()
    } else {
        text.into()
    };
    let plain = if escapes { percent_decode(&spaced).collect() } else { spaced.into_owned() };
    String::from_utf8(plain).map(Cow::Owned).map_err(utf8)
}
