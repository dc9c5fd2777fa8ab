//! Cutting a text into lines without parsing them: for who passes lines on.

use std::ops::Range;

use super::Dialect;
use super::split::{Piece, Split, is_blank, next_piece};

/// What stands at a place of a text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TextLine {
    /// A line that should be a row, without the newline that ends it. Newlines in strings are part of it.
    Row(Range<usize>),
    /// A comment, from its `#` on, without the newline.
    Comment(Range<usize>),
    /// Nothing.
    Blank,
}

/// The line that begins at `at`, and where the next one does; `None` at the end of the text, and where the line goes on
/// behind the end of the text unless it is the `last`.
pub fn next_line(dialect: Dialect, text: &[u8], at: usize, last: bool) -> Option<(TextLine, usize)> {
    match next_piece(dialect, text, at, last, &mut Split::default()) {
        Piece::Line { start, end, next, .. } => Some((TextLine::Row(start..end), next)),
        Piece::Nothing { next } => {
            let line = text.get(at..next).unwrap_or_default();
            let start = at + line.iter().take_while(|byte| is_blank(dialect, **byte)).count();
            let end = if line.last() == Some(&b'\n') { next - 1 } else { next };
            let is_comment = text.get(start) == Some(&b'#');
            Some((if is_comment { TextLine::Comment(start..end) } else { TextLine::Blank }, next))
        }
        Piece::More { .. } | Piece::End => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_comments_and_blanks_are_told_apart() {
        let text = b"# one\n\n  a,b=c d=\"x\n# not a comment\",e=1 5\n\t#two\na f=1";
        let mut found = Vec::new();
        let mut at = 0;
        while let Some((line, next)) = next_line(Dialect::Influx, text, at, true) {
            found.push(match line {
                TextLine::Row(range) => format!("row {}", String::from_utf8_lossy(&text[range])),
                TextLine::Comment(range) => format!("comment {}", String::from_utf8_lossy(&text[range])),
                TextLine::Blank => "blank".to_owned(),
            });
            at = next;
        }
        assert_eq!(
            found,
            ["comment # one", "blank", "row a,b=c d=\"x\n# not a comment\",e=1 5", "comment #two", "row a f=1"]
        );
        assert_eq!(next_line(Dialect::Influx, b"a f=1", 0, false), None);
        assert_eq!(next_line(Dialect::Cnos, b"# unfinished", 0, false), None);
        assert_eq!(next_line(Dialect::Cnos, b"", 0, true), None);
    }
}
