//! A request in line protocol, from its body to its acknowledgement: body pieces are parsed as they arrive, and a line
//! cut by a piece's end is kept and completed by the next. The rest is as for all doors (`session.rs`).

use tidewire_protocol::line::{BodyState, Progress, State, TimeRule};
use tidewire_storage::schema::TimeUnit;

use super::error::WriteError;
use super::session::{Session, Target, Written};
use crate::core::state::CoreState;
use crate::net::Body;

/// Unit of the timestamps of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Precision {
    /// Hours.
    Hour,
    /// Minutes.
    Minute,
    /// Seconds.
    Second,
    /// Milliseconds.
    Millisecond,
    /// Microseconds.
    Microsecond,
    /// Nanoseconds.
    Nanosecond,
}

impl Precision {
    /// How many nanoseconds the unit has.
    pub const fn nanoseconds(self) -> i64 {
        match self {
            Self::Hour => 3_600_000_000_000,
            Self::Minute => 60_000_000_000,
            Self::Second => 1_000_000_000,
            Self::Millisecond => 1_000_000,
            Self::Microsecond => 1_000,
            Self::Nanosecond => 1,
        }
    }
}

/// A write request without its body.
#[derive(Debug, Clone, Copy)]
pub struct WriteRequest<'a> {
    /// Where the rows go. Its present is the time of lines without one.
    pub target: Target<'a>,
    /// Unit of the timestamps.
    pub precision: Precision,
}

/// Reads, parses and writes a request.
pub async fn write_lines(core: &CoreState, request: WriteRequest<'_>, body: &mut Body) -> Result<Written, WriteError> {
    let mut session = Session::begin(core, request.target)?;
    let rule = time_rule(request.precision, session.unit, request.target.now_ns);
    let mut state = BodyState::default();
    while let Some(piece) = body.chunk().await? {
        let consumed = parse(&mut session, &mut state, &rule, piece.bytes, piece.is_last)?;
        let left = piece.bytes.len() - consumed;
        body.keep(left);
        session.account(left)?;
    }
    session.commit().await
}

fn time_rule(precision: Precision, unit: TimeUnit, now_ns: i64) -> TimeRule {
    let (from, to) = (precision.nanoseconds(), unit.nanoseconds());
    TimeRule { multiply: (from / to).max(1), divide: (to / from).max(1), now: now_ns / to }
}

/// Parses complete lines of `text`; returns the bytes consumed.
fn parse(
    session: &mut Session<'_>,
    state: &mut BodyState,
    rule: &TimeRule,
    text: &[u8],
    last: bool,
) -> Result<usize, WriteError> {
    let mut consumed = 0;
    loop {
        let progress = parse_some(session, state, rule, &text[consumed..], last);
        consumed += progress.consumed;
        session.refusal()?;
        match progress.state {
            State::Done | State::NeedMore | State::Stopped => return Ok(consumed),
            State::Paused => session.resume()?,
        }
    }
}

fn parse_some(session: &mut Session<'_>, state: &mut BodyState, rule: &TimeRule, text: &[u8], last: bool) -> Progress {
    let progress = session.with_sink(|caches, sink| {
        // Requests of one database take turns on its parser.
        caches.parser.swap_body(state);
        let progress = caches.parser.parse(text, last, rule, sink);
        caches.parser.swap_body(state);
        progress
    });
    session.count_cache();
    progress
}
