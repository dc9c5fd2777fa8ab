//! How far a call of a parser came.

/// How a call of [`super::LineParser::parse`] ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    /// Bytes of the text that are done with; the next call's text begins behind them.
    pub consumed: usize,
    /// Lines done with, blank ones and comments included. A newline in a string starts no line.
    pub lines: u64,
    /// Rows that the sink took.
    pub rows: u64,
    /// Why it ended.
    pub state: State,
}

/// Why a call of [`super::LineParser::parse`] ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// The text is used up.
    Done,
    /// What is left is the start of a line.
    NeedMore,
    /// The sink asked for a pause; what is left begins with the line it asked at.
    Paused,
    /// The call has worked for long enough, so that others may get their turn; what is left begins with a new line.
    Yielded,
    /// The sink stopped at a refused line, which is consumed.
    Stopped,
}
