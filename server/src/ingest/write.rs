//! A request in line protocol, from its body to its acknowledgement: body pieces are parsed as they arrive, and a line
//! cut by a piece's end is kept and completed by the next. The rest is as for all doors (`session.rs`).
//!
//! Where a table or column of its rows is dropped before they are written, nothing is. A body that came in one piece is
//! then parsed wholly anew; of a longer one the beginning is there no longer, and it is refused.

use tidewire_protocol::line::{BodyState, Progress, State, TimeRule};
use tidewire_storage::schema::TimeUnit;

use super::error::WriteError;
use super::host::WriteHost;
use super::rows::TRIES_MAX;
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

/// The byte-order mark that some programs put at the head of a text, of which it is no part.
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// Reads, parses and writes a request.
pub async fn write_lines(core: &CoreState, request: WriteRequest<'_>, body: &mut Body) -> Result<Written, WriteError> {
    let mut session = Session::begin(core, request.target)?;
    let mut state = BodyState::default();
    let mut is_first = true;
    while let Some(piece) = body.chunk().await? {
        let mut text = piece.bytes;
        if is_first {
            if !piece.is_last && text.len() < BYTE_ORDER_MARK.len() && BYTE_ORDER_MARK.starts_with(text) {
                let left = text.len();
                body.keep(left);
                continue;
            }
            text = text.strip_prefix(BYTE_ORDER_MARK).unwrap_or(text);
        }
        if is_first && piece.is_last {
            let written = write_whole(core, session, &request, text).await?;
            // Consumes the piece.
            body.chunk().await?;
            return Ok(written);
        }
        is_first = false;
        let left = text.len() - parse(&mut session, &mut state, &request, text, piece.is_last)?;
        body.keep(left);
        session.account(left)?;
    }
    session.commit().await
}

/// Parses and writes lines that are here.
pub async fn write_text(core: &CoreState, request: WriteRequest<'_>, lines: &[u8]) -> Result<Written, WriteError> {
    write_whole(core, Session::begin(core, request.target)?, &request, lines).await
}

/// Writes a request whose body is `text`.
pub(super) async fn write_whole<H: WriteHost>(
    host: &H,
    mut session: Session<'_, H>,
    request: &WriteRequest<'_>,
    text: &[u8],
) -> Result<Written, WriteError> {
    for _ in 1..TRIES_MAX {
        match write_once(session, request, text).await {
            Err(WriteError::TableChanged) => session = Session::begin(host, request.target)?,
            outcome => return outcome,
        }
    }
    write_once(session, request, text).await
}

async fn write_once<H: WriteHost>(
    mut session: Session<'_, H>,
    request: &WriteRequest<'_>,
    text: &[u8],
) -> Result<Written, WriteError> {
    let left = text.len() - parse(&mut session, &mut BodyState::default(), request, text, true)?;
    session.account(left)?;
    session.commit().await
}

fn time_rule(precision: Precision, unit: TimeUnit, now_ns: i64) -> TimeRule {
    let (from, to) = (precision.nanoseconds(), unit.nanoseconds());
    TimeRule { multiply: (from / to).max(1), divide: (to / from).max(1), now: now_ns / to }
}

/// Parses complete lines of `text`, by the terms that hold now; returns the bytes consumed.
pub(super) fn parse<H: WriteHost>(
    session: &mut Session<'_, H>,
    state: &mut BodyState,
    request: &WriteRequest<'_>,
    text: &[u8],
    last: bool,
) -> Result<usize, WriteError> {
    session.catch_up()?;
    let rule = time_rule(request.precision, session.unit(), request.target.now_ns);
    let mut consumed = 0;
    loop {
        let progress = parse_some(session, state, &rule, &text[consumed..], last);
        consumed += progress.consumed;
        session.refusal()?;
        match progress.state {
            State::Done | State::NeedMore | State::Stopped => return Ok(consumed),
            State::Paused => session.resume()?,
        }
    }
}

fn parse_some<H: WriteHost>(
    session: &mut Session<'_, H>,
    state: &mut BodyState,
    rule: &TimeRule,
    text: &[u8],
    last: bool,
) -> Progress {
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
