//! The text of statements: its tokens, a cursor over them, durations as they are written and printed.

pub(super) mod cursor;
pub(super) mod duration;
pub(super) mod lexer;
