//! Strings with escapes, `\"` and `\\` in both dialects.
//!
//! While a line is read a string is the place where it stands, marked when a backslash in it may mean something. Before
//! the row is given out, [`without_escapes`] writes the strings of a line that has such a one to a place of their own,
//! so that nobody behind the parser has to know about escapes. Few lines need it.

use crate::row::{FieldKind, RawValue};

use super::LINE_BYTES_MAX;

/// Set in a string's value until it is unescaped; no length of a string reaches so far.
const ESCAPED: u64 = 1 << 63;

/// A string of `len` bytes at `offset` of its line, quotes left out.
pub(super) fn string(offset: usize, len: usize, is_escaped: bool) -> RawValue {
    debug_assert!(offset <= LINE_BYTES_MAX && len <= LINE_BYTES_MAX);
    let mark = if is_escaped { ESCAPED } else { 0 };
    RawValue(RawValue::from_string_at(offset as u32, len as u32).0 | mark)
}

/// What the strings among `values`, which stand in `line`, are places in from now on: the line itself, or `strings`
/// when one of them has escapes.
#[inline(never)]
pub(super) fn without_escapes<'t>(
    kinds: impl Iterator<Item = FieldKind> + Clone,
    values: &mut [RawValue],
    line: &'t [u8],
    strings: &'t mut Vec<u8>,
) -> &'t [u8] {
    let is_escaped = |(kind, value): (FieldKind, &RawValue)| kind == FieldKind::String && value.0 & ESCAPED != 0;
    if !kinds.clone().zip(values.iter()).any(is_escaped) {
        return line;
    }
    strings.clear();
    for (_, value) in kinds.zip(values).filter(|(kind, _)| *kind == FieldKind::String) {
        let start = strings.len();
        push_unescaped(RawValue(value.0 & !ESCAPED).string(line), strings);
        // Together they are no longer than the line.
        *value = RawValue::from_string_at(start as u32, (strings.len() - start) as u32);
    }
    strings
}

/// The text of one string that stands in `line`.
pub(super) fn unescaped(value: RawValue, line: &[u8]) -> Vec<u8> {
    let text = RawValue(value.0 & !ESCAPED).string(line);
    if value.0 & ESCAPED == 0 {
        return text.to_vec();
    }
    let mut out = Vec::with_capacity(text.len());
    push_unescaped(text, &mut out);
    out
}

fn push_unescaped(mut text: &[u8], out: &mut Vec<u8>) {
    while let Some(backslash) = memchr::memchr(b'\\', text) {
        let is_escape = matches!(text.get(backslash + 1), Some(b'"' | b'\\'));
        // Of an escape the byte behind the backslash stays, of any other backslash the backslash.
        let (before, rest) = text.split_at(backslash);
        out.extend_from_slice(before);
        let (kept, rest) = rest.split_at(usize::from(is_escape)).1.split_at(1);
        out.extend_from_slice(kept);
        text = rest;
    }
    out.extend_from_slice(text);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_quotes_and_backslashes_lose_a_backslash() {
        for (text, expected) in [
            ("", ""),
            ("plain", "plain"),
            (r#"\"x\""#, r#""x""#),
            (r"\\", r"\"),
            (r"a\\\\b", r"a\\b"),
            (r"\n\\n", r"\n\n"),
            (r"end\", r"end\"),
            (r#"\\\""#, r#"\""#),
        ] {
            let mut out = Vec::new();
            push_unescaped(text.as_bytes(), &mut out);
            assert_eq!(String::from_utf8(out).unwrap(), expected, "{text}");
        }
    }

    #[test]
    fn all_strings_of_a_line_move_and_nothing_else_does() {
        let line = br#"m a="x\"y",b=1i,c="z""#;
        let mut values = [string(5, 4, true), RawValue::from_int(-1), string(19, 1, false)];
        let kinds = [FieldKind::String, FieldKind::Int, FieldKind::String];
        let mut strings = b"of an earlier line".to_vec();
        let text = without_escapes(kinds.into_iter(), &mut values, line, &mut strings);
        assert_eq!((values[0].string(text), values[2].string(text)), (&b"x\"y"[..], &b"z"[..]));
        assert_eq!(values[1].int(), -1);
        // The number has the bit that marks a string.
        let mut plain = [RawValue::from_int(-1), string(19, 1, false)];
        let kinds = [FieldKind::Int, FieldKind::String];
        let text = without_escapes(kinds.into_iter(), &mut plain, line, &mut strings);
        assert_eq!((text, plain[1].string(text)), (&line[..], &b"z"[..]));
    }
}
