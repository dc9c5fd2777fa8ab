//! Points whose metric and tags were seen before: between these texts only two numbers have to be read. A number that
//! is not of the plainest form is read by the book, as is any point that is new.

use crate::bytescan::plain::Plain;
use crate::json::nested_len;
use crate::row::{RawValue, SeriesText, TextForm, TimeScale};

/// A point whose series is known.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct KnownPoint {
    pub(super) time_ns: i64,
    pub(super) value: RawValue,
    /// Bytes of its text.
    pub(super) len: usize,
}

/// The point at the start of `text`, if its series is the one that `known` names.
#[inline]
pub(super) fn read_known(text: &[u8], known: SeriesText<'_>, scale: TimeScale) -> Option<KnownPoint> {
    let [before, between, behind] = known.parts;
    let (first, rest) = Plain::read(text.strip_prefix(before)?)?;
    let (second, rest) = Plain::read(rest.strip_prefix(between)?)?;
    let rest = rest.strip_prefix(behind)?;
    let (time, value) = if known.form == TextForm::ValueFirst { (second, first) } else { (first, second) };
    let time = time.integer().filter(|time| *time >= 0)?;
    let value = RawValue::from_float(value.float()?);
    Some(KnownPoint { time_ns: scale.nanoseconds(time).ok()?, value, len: text.len() - rest.len() })
}

/// The text that names the series of a point in JSON at the start of `text`, if the point is of a simple kind: without
/// escapes, and with a time and a value that are numbers. `text` may be any.
pub(super) fn json_text(text: &[u8]) -> Option<SeriesText<'_>> {
    let mut scan = Scan { text, at: 0 };
    scan.expect(b'{')?;
    let (mut time, mut value) = (None, None);
    loop {
        scan.skip_blanks();
        let name = scan.string()?;
        scan.skip_blanks();
        scan.expect(b':')?;
        scan.skip_blanks();
        let number = scan.value()?;
        match name {
            b"timestamp" if time.replace(number?).is_some() => return None,
            b"value" if value.replace(number?).is_some() => return None,
            _ => {}
        }
        scan.skip_blanks();
        match scan.next()? {
            b',' => {}
            b'}' => break,
            _ => return None,
        }
    }
    let (time, value) = (time?, value?);
    let (form, first, second) = match time < value {
        true => (TextForm::TimeFirst, time, value),
        false => (TextForm::ValueFirst, value, time),
    };
    Some(SeriesText { form, parts: around(text.get(..scan.at)?, first, second)? })
}

/// The text that names the series of a point in a line: `metric timestamp value tags`, behind `put` if `is_put`.
pub(super) fn line_text(line: &[u8], is_put: bool) -> Option<SeriesText<'_>> {
    let mut words = Words { line, at: 0 };
    let first = words.next()?;
    let mut time = words.next()?;
    let is_word = |(from, to): (usize, usize), word: &[u8]| line.get(from..to) == Some(word);
    let is_number =
        |(from, _): (usize, usize)| line.get(from).is_some_and(|byte| byte.is_ascii_digit() || *byte == b'-');
    if is_put || is_word(first, b"put") && !is_number(time) {
        time = words.next()?;
    }
    let value = words.next()?;
    let form = if is_put { TextForm::PutLine } else { TextForm::Line };
    Some(SeriesText { form, parts: around(line, time, value)? })
}

/// What is before, between and behind two pieces of a text.
fn around(text: &[u8], first: (usize, usize), second: (usize, usize)) -> Option<[&[u8]; 3]> {
    Some([text.get(..first.0)?, text.get(first.1..second.0)?, text.get(second.1..)?])
}

/// Words between blanks: where they begin and end.
struct Words<'l> {
    line: &'l [u8],
    at: usize,
}

impl Iterator for Words<'_> {
    type Item = (usize, usize);

    fn next(&mut self) -> Option<(usize, usize)> {
        let is_blank = |byte: &u8| matches!(byte, b' ' | b'\t' | b'\r');
        let from = self.at + self.line.get(self.at..)?.iter().position(|byte| !is_blank(byte))?;
        let rest = self.line.get(from..)?;
        self.at = from + rest.iter().position(is_blank).unwrap_or(rest.len());
        Some((from, self.at))
    }
}

/// A walk over JSON that looks for values at the top.
struct Scan<'t> {
    text: &'t [u8],
    at: usize,
}

impl<'t> Scan<'t> {
    fn next(&mut self) -> Option<u8> {
        let byte = *self.text.get(self.at)?;
        self.at += 1;
        Some(byte)
    }

    fn expect(&mut self, byte: u8) -> Option<()> {
        (self.next()? == byte).then_some(())
    }

    fn skip_blanks(&mut self) {
        while self.text.get(self.at).is_some_and(u8::is_ascii_whitespace) {
            self.at += 1;
        }
    }

    /// A string without escapes.
    fn string(&mut self) -> Option<&'t [u8]> {
        self.expect(b'"')?;
        let rest = self.text.get(self.at..)?;
        let len = rest.iter().position(|byte| matches!(byte, b'"' | b'\\'))?;
        self.at += len;
        self.expect(b'"')?;
        rest.get(..len)
    }

    /// A value. Gives where it begins and ends if it is a number.
    fn value(&mut self) -> Option<Option<(usize, usize)>> {
        let from = self.at;
        match *self.text.get(from)? {
            b'"' => self.string().map(|_| None),
            b'{' | b'[' => {
                self.at += nested_len(self.text.get(from..)?)?;
                Some(None)
            }
            b'-' | b'0'..=b'9' => {
                let is_in = |byte: &u8| matches!(byte, b'0'..=b'9' | b'+' | b'-' | b'.' | b'e' | b'E');
                let rest = self.text.get(from..)?;
                self.at = from + rest.iter().position(|byte| !is_in(byte))?;
                Some(Some((from, self.at)))
            }
            b'a'..=b'z' => {
                let rest = self.text.get(from..)?;
                self.at = from + rest.iter().position(|byte| !byte.is_ascii_lowercase())?;
                Some(None)
            }
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts(text: SeriesText<'_>) -> (TextForm, [&str; 3]) {
        (text.form, text.parts.map(|part| std::str::from_utf8(part).unwrap_or_default()))
    }

    #[test]
    fn texts_are_what_stands_around_the_numbers() {
        let point = br#"{"metric":"m","value": -1.5e3 ,"tags":{"a":"}"},"x":[1,{}],"timestamp":17}, "#;
        let expected = [r#"{"metric":"m","value": "#, r#" ,"tags":{"a":"}"},"x":[1,{}],"timestamp":"#, "}"];
        assert_eq!(json_text(point).map(parts), Some((TextForm::ValueFirst, expected)));
        for text in [
            r#"{"metric":"m","value":1,"timestamp":"17"}"#,
            r#"{"metric":"m","value":1,"timestamp":1,"value":2}"#,
            r#"{"metric":"m\n","value":1,"timestamp":1}"#,
            r#"{"metric":"m","value":1}"#,
            r#"{"metric":"m","value":1,"timestamp":1"#,
            r#"{"metric":"m","value":1,"timestamp":1 "x"}"#,
            "[1]",
            "",
        ] {
            assert_eq!(json_text(text.as_bytes()), None, "{text}");
        }
        assert_eq!(line_text(b"m 1  2 a=b\r", false).map(parts), Some((TextForm::Line, ["m ", "  ", " a=b\r"])));
        assert_eq!(line_text(b"put m 1 2 a=b", false).map(parts), Some((TextForm::Line, ["put m ", " ", " a=b"])));
        assert_eq!(line_text(b"put 1 2 3 a=b", false).map(parts), Some((TextForm::Line, ["put ", " ", " 3 a=b"])));
        assert_eq!(line_text(b"put 1 2 3 a=b", true).map(parts), Some((TextForm::PutLine, ["put 1 ", " ", " a=b"])));
        assert_eq!(line_text(b"m 1", false), None);
    }
}
