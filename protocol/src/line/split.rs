//! Where a line ends. A newline inside a quoted string is data, and quotes mean something only in a field value, so
//! finding the end takes a small reading of the line:
//!
//! 1. Up to the first separating space lie measurement and tags, where quotes are ordinary.
//! 2. From there on `=` and `,` outside strings are counted; while there are more `=` than `,` a value is being read,
//!    and there a `"` opens or closes a string.
//! 3. The first newline outside a string ends the line. A backslash takes the meaning of the byte behind it.
//!
//! The reading can stop at the end of a piece of text and go on in the next, so that a line that comes in many pieces
//! is read once.

use super::Dialect;

/// How far a line has been read. The default is: not at all.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Split {
    /// Bytes of the line read.
    read: usize,
    in_fields: bool,
    quoted: bool,
    /// `=` less `,` in the fields.
    open: i64,
}

impl Split {
    /// Whether nothing of the line has been read yet.
    pub(super) fn is_fresh(&self) -> bool {
        self.read == 0
    }

    /// Offset of the newline that ends the line, or `None` when `line`, which goes on to the end of the text, has
    /// none; then the next call must bring the same bytes and more.
    pub(super) fn end(&mut self, dialect: Dialect, line: &[u8]) -> Option<usize> {
        // A line without quotes and backslashes ends at its first newline.
        if self.is_fresh()
            && let Some(first) = memchr::memchr3(b'\n', b'"', b'\\', line)
            && line.get(first) == Some(&b'\n')
        {
            return Some(first);
        }
        let mut at = self.read;
        while let Some(&byte) = line.get(at) {
            match byte {
                b'\\' => {
                    let Some(&next) = line.get(at + 1) else { break };
                    // CnosDB lets no newline be escaped outside a string, so there it ends the (bad) line.
                    if next == b'\n' && dialect == Dialect::Cnos && !self.quoted {
                        return Some(at + 1);
                    }
                    at += 2;
                    continue;
                }
                b'\n' if !self.quoted => return Some(at),
                // InfluxDB looks only at the byte before: in `a\\ b` the space is escaped, for CnosDB it separates.
                b' ' if !self.in_fields => {
                    self.in_fields = dialect == Dialect::Cnos || at == 0 || line.get(at - 1) != Some(&b'\\');
                }
                b'=' if self.in_fields && !self.quoted => self.open += 1,
                b',' if self.in_fields && !self.quoted => self.open -= 1,
                b'"' if self.in_fields && self.open > 0 => self.quoted = !self.quoted,
                _ => {}
            }
            at += 1;
        }
        self.read = at;
        None
    }
}

/// What comes next in a text.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Piece {
    /// A blank line or a comment; the next piece begins at `next`.
    Nothing { next: usize },
    /// A line at `start..end`.
    Line { start: usize, end: usize, next: usize, terminated: bool },
    /// No whole line any more. What is before `keep` is done with; `comment` says that `keep` is the end of the text
    /// and lies inside a comment.
    More { keep: usize, comment: bool },
    /// The text is used up.
    End,
}

/// Whether `byte` may stand before a line or, for CnosDB, behind it.
pub(super) fn is_blank(dialect: Dialect, byte: u8) -> bool {
    match dialect {
        Dialect::Influx => matches!(byte, b' ' | b'\t' | 0),
        Dialect::Cnos => matches!(byte, b' ' | b'\t' | b'\r' | b'\x0c'),
    }
}

/// The piece at `at`, which is the start of a line. `last` says that no text follows; `split` holds what has been read
/// of the line before and is reset when the line is found whole.
pub(super) fn next_piece(dialect: Dialect, text: &[u8], at: usize, last: bool, split: &mut Split) -> Piece {
    let blanks = |part: &[u8]| part.iter().take_while(|&&byte| is_blank(dialect, byte)).count();
    let rest = text.get(at..).unwrap_or_default();
    let start = at + blanks(rest);
    let line = text.get(start..).unwrap_or_default();
    match line.first() {
        None if last || line.len() == rest.len() => Piece::End,
        None => Piece::More { keep: start, comment: false },
        Some(b'\n') => Piece::Nothing { next: start + 1 },
        Some(b'#') => match memchr::memchr(b'\n', line) {
            Some(end) => Piece::Nothing { next: start + end + 1 },
            None if last => Piece::Nothing { next: text.len() },
            None => Piece::More { keep: text.len(), comment: true },
        },
        Some(_) => {
            let found = split.end(dialect, line);
            let (end, next) = match found {
                Some(end) => (end, start + end + 1),
                None if last => (line.len(), text.len()),
                None => return Piece::More { keep: start, comment: false },
            };
            *split = Split::default();
            let trimmed = match dialect {
                Dialect::Influx => end,
                Dialect::Cnos => end - line[..end].iter().rev().take_while(|&&byte| is_blank(dialect, byte)).count(),
            };
            let terminated = found.is_some() || trimmed < end;
            Piece::Line { start, end: start + trimmed, next, terminated }
        }
    }
}
