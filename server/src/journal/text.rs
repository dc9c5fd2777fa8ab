//! What comes from a client, in plain form: on one line, cut, without what moves a terminal's cursor or turns the
//! direction of writing.

use std::fmt::Write as _;

/// Characters of a client's text, or of a reason, that a line has.
pub const TEXT_CHARS_MAX: usize = 300;

/// Characters of a statement.
pub const STATEMENT_CHARS_MAX: usize = 1_000;

/// Bytes of a statement that are kept for the log.
pub const STATEMENT_BYTES_MAX: usize = 4 * STATEMENT_CHARS_MAX;

/// A text on one line, without control characters, cut.
pub fn plain(text: &str, chars_max: usize) -> String {
    let mut chars = text.trim().chars();
    let mut out = String::new();
    for c in chars.by_ref().take(chars_max) {
        match c {
            '\n' | '\r' | '\t' => out.push(' '),
            c => push_visible(c, &mut out),
        }
    }
    if chars.next().is_some() {
        out.push('…');
    }
    out
}

/// Appends a character, or what it is called where it does not show.
pub fn push_visible(c: char, out: &mut String) {
    if is_hidden(c) {
        // Writing to a String cannot fail.
        let _ = write!(out, "{}", c.escape_unicode());
    } else {
        out.push(c);
    }
}

/// Control characters, separators of lines, and what hides or turns the text around it.
pub fn is_hidden(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}')
        || matches!(c, '\u{61c}' | '\u{feff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_on_one_line_and_shows() {
        assert_eq!(plain(" bad\n2026 ERROR forged \u{1b}[2J ", 100), "bad 2026 ERROR forged \\u{1b}[2J");
        assert_eq!(plain("a\u{202e}b\u{9b}c\u{2028}d", 100), "a\\u{202e}b\\u{9b}c\\u{2028}d");
        assert_eq!(plain("ééé", 2), "éé…");
        assert_eq!(plain("", 2), "");
    }
}
