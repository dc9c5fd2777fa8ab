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

/// A step of this size takes no time worth speaking of, whatever its line holds.
const SHORT_STEP_BYTES: usize = 4 << 10;

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
        let left = text.len() - parse(&mut session, &mut state, &request, text, piece.is_last).await?;
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
    let left = text.len() - parse(&mut session, &mut BodyState::default(), request, text, true).await?;
    session.account(left)?;
    session.commit().await
}

fn time_rule(precision: Precision, unit: TimeUnit, now_ns: i64) -> TimeRule {
    let (from, to) = (precision.nanoseconds(), unit.nanoseconds());
    TimeRule { multiply: (from / to).max(1), divide: (to / from).max(1), now: now_ns / to }
}

/// Parses complete lines of `text`, by the terms that hold now; returns the bytes consumed. Others get their turn, and
/// what is held is counted, between two steps.
pub(super) async fn parse<H: WriteHost>(
    session: &mut Session<'_, H>,
    state: &mut BodyState,
    request: &WriteRequest<'_>,
    text: &[u8],
    last: bool,
) -> Result<usize, WriteError> {
    let (mut consumed, mut end) = (0, 0);
    loop {
        session.catch_up()?;
        let rule = time_rule(request.precision, session.unit(), request.target.now_ns);
        end = text.len().min(end.max(consumed + session.step_bytes(end)));
        let progress = parse_some(session, state, &rule, &text[consumed..end], last && end == text.len());
        consumed += progress.consumed;
        session.refusal()?;
        session.part_full();
        match progress.state {
            State::Stopped => return Ok(consumed),
            State::Done | State::NeedMore if end == text.len() => return Ok(consumed),
            // The line that the end of the step cuts is read on where its reading stopped.
            State::NeedMore => end += session.step_bytes(end),
            // What has been read may have made tables so wide that a step is shorter now.
            State::Done | State::Yielded => end = consumed,
            State::Paused => {
                session.resume()?;
                // The same line again. A short one is read in no time.
                if end - consumed <= SHORT_STEP_BYTES {
                    continue;
                }
            }
        }
        session.account(text.len() - consumed)?;
        session.turn().await;
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

#[cfg(test)]
mod tests {
    use std::cell::{Cell, RefCell};
    use std::sync::Arc;

    use futures_lite::future::block_on;
    use tidewire_protocol::line::Dialect;
    use tidewire_protocol::loki::LokiPush;
    use tidewire_protocol::otlp::SpanReader;
    use tidewire_protocol::row::BadRows;
    use tidewire_storage::schema::{Catalog, Database, DatabaseOptions};

    use super::*;
    use crate::core::message::{Append, Appended};
    use crate::core::recycled::RecycledBatches;
    use crate::ingest::batch::ShardRows;
    use crate::ingest::caches::DatabaseCaches;
    use crate::ingest::rows::{RowTarget, RowWriter, write_rows};
    use crate::ingest::sink::{RowRules, SharedNames, TimeField};
    use crate::ingest::target::Place;
    use crate::memory::budget::{Keys, divide};
    use crate::memory::{CoreMemory, Memory};
    use tidewire_base::catalog::SchemaChange;
    use tidewire_base::catalog::owner::Outcome;

    thread_local! {
        /// Turns that others got.
        static TURNS: Cell<usize> = const { Cell::new(0) };
    }

    /// A core that counts turns and what requests hold, and lets nothing be written.
    struct Host {
        catalog: Arc<Catalog>,
        caches: DatabaseCaches,
        recycled: RecycledBatches,
        held: RefCell<Vec<u64>>,
        bytes_max: u64,
    }

    impl Host {
        fn new(bytes_max: u64) -> Self {
            let database = Arc::new(Database::new("public", &DatabaseOptions::default(), []));
            let databases = [(database.name.clone(), database)].into_iter().collect();
            let budget = divide(256 << 20, 1, 1, Keys::default()).unwrap();
            Self {
                catalog: Arc::new(Catalog { version: 1, databases, next_table: 1, ..Catalog::default() }),
                caches: DatabaseCaches::new(CoreMemory::new(0, Memory::new(budget, None, 1))),
                recycled: RecycledBatches::default(),
                held: RefCell::default(),
                bytes_max,
            }
        }

        /// Parses a body that is there whole.
        fn parse(&self, text: &[u8]) -> Result<usize, WriteError> {
            let rules = RowRules {
                bad_rows: BadRows::KeepOthers,
                time_field: TimeField::Refused,
                shared_names: SharedNames::Refused,
            };
            let target = Target { database: "public", policy: None, dialect: Dialect::Cnos, rules, now_ns: 0 };
            let mut session = Session::begin(self, target)?;
            let request = WriteRequest { target, precision: Precision::Nanosecond };
            block_on(parse(&mut session, &mut BodyState::default(), &request, text, true))
        }
    }

    impl WriteHost for Host {
        type Grant = ();
        type Share = ();

        fn begin(&self) -> Result<(), WriteError> {
            Ok(())
        }

        fn account(&self, _: &mut (), bytes: u64) -> Result<(), WriteError> {
            self.held.borrow_mut().push(bytes);
            match bytes > self.bytes_max {
                true => Err(WriteError::TooLarge { bytes, bytes_max: self.bytes_max }),
                false => Ok(()),
            }
        }

        fn catalog(&self) -> Arc<Catalog> {
            self.catalog.clone()
        }

        fn caches(&self) -> &DatabaseCaches {
            &self.caches
        }

        fn recycled(&self) -> &RecycledBatches {
            &self.recycled
        }

        async fn yield_if_needed() {
            TURNS.set(TURNS.get() + 1);
        }

        fn shard_count(&self) -> u32 {
            1
        }

        async fn admit(&self, _: Place<'_>, _: &[ShardRows]) -> Result<(), WriteError> {
            Err(WriteError::TooMuchInFlight)
        }

        async fn change(&self, _: SchemaChange) -> Outcome {
            unreachable!("nothing is written")
        }

        async fn append(&self, _: Append) -> impl Future<Output = Appended> {
            std::future::pending()
        }
    }

    /// A megabyte of any text is not read in one go.
    #[test]
    fn others_get_their_turn_however_little_a_body_says() {
        let row = |at: usize| format!("m,h=a v={at} {at}\n");
        for (what, text) in [
            ("blank lines", "\n".repeat(1 << 20)),
            ("lines that are none", "x\n".repeat(1 << 19)),
            ("rows", (0..60_000).map(row).collect()),
            ("one string", format!("m s=\"{}\" 1\n", "x".repeat(1 << 20))),
        ] {
            let host = Host::new(u64::MAX);
            TURNS.set(0);
            assert_eq!(host.parse(text.as_bytes()).unwrap(), text.len(), "{what}");
            assert!(TURNS.get() >= (text.len() >> 16), "{what}: {} turns", TURNS.get());
        }
    }

    /// Rows of a few bytes that bring a column each make each other a hundred kilobytes long.
    #[test]
    fn what_short_rows_with_columns_of_their_own_take_is_counted_before_it_is_much() {
        let bytes_max = 32 << 20;
        let text: String = (0..20_000).map(|at| format!("m field_{:08}=1 {at}\n", at % 4_000)).collect();
        let host = Host::new(bytes_max);
        assert!(matches!(host.parse(text.as_bytes()), Err(WriteError::TooLarge { .. })));
        let held = host.held.borrow();
        let growth = held.windows(2).map(|pair| pair[1].saturating_sub(pair[0])).max();
        assert!(growth.is_some_and(|growth| growth <= 12 << 20), "{growth:?}");
        assert!(held.last().is_some_and(|last| *last <= bytes_max + (12 << 20)), "{held:?}");
    }

    /// Rows that lack most columns of a wide table take no more than they bring, however wide another is.
    #[test]
    fn short_rows_beside_a_wide_one_take_little() {
        let fields: Vec<String> = (0..4_000).map(|at| format!("field_{at:08}=1")).collect();
        let wide = format!("m {} 1\n", fields.join(","));
        let short = "m field_00000001=1 2\n".repeat(20_000);
        for text in [format!("{wide}{short}"), format!("{short}{wide}{short}{wide}")] {
            let host = Host::new(u64::MAX);
            assert_eq!(host.parse(text.as_bytes()).unwrap(), text.len());
            let held = host.held.borrow().iter().copied().max();
            assert!(held.is_some_and(|held| held <= 2 << 20), "{held:?}");
        }
    }

    /// An export often has all its spans in one list, and a push all its entries.
    #[test]
    fn others_get_their_turn_within_a_list_of_a_document() {
        const ITEMS: usize = 10_000;
        let entries: Vec<String> = (0..ITEMS).map(|at| format!("[\"{at}\",\"line\"]")).collect();
        let push = format!("{{\"streams\":[{{\"stream\":{{\"h\":\"a\"}},\"values\":[{}]}}]}}", entries.join(","));
        let spans = format!("{{\"resourceSpans\":[{{\"scopeSpans\":[{{\"spans\":[{}{{}}]}}]}}]}}", "{},".repeat(ITEMS));
        let host = Host::new(u64::MAX);
        let target = RowTarget { database: "public", bad_rows: BadRows::KeepOthers, now_ns: 0 };
        let fill = async |rows: &mut RowWriter<'_, Host>| {
            LokiPush::new("m".to_owned()).read_json(push.as_bytes(), rows).await.map_err(|_| WriteError::TableChanged)
        };
        // This host lets nothing be written.
        assert!(matches!(block_on(write_rows(&host, target, fill)), Err(WriteError::TooMuchInFlight)));
        assert!(TURNS.replace(0) >= ITEMS / 64);
        let fill = async |rows: &mut RowWriter<'_, Host>| {
            SpanReader::new("m".to_owned())
                .read_json(spans.as_bytes(), rows)
                .await
                .map_err(|_| WriteError::TableChanged)
        };
        assert!(matches!(block_on(write_rows(&host, target, fill)), Err(WriteError::TooMuchInFlight)));
        assert!(TURNS.get() >= ITEMS / 64);
    }

    /// 16,000 tags or fields in a line, of which all are new, all are known, or the line is one of many.
    #[test]
    fn lines_as_wide_as_a_table_may_be_are_read() {
        let tags: String = (0..16_000).map(|at| format!(",t{at}=a")).collect();
        let fields: Vec<String> = (0..16_000).map(|at| format!("f{at}=1")).collect();
        let host = Host::new(u64::MAX);
        let lines = [format!("m{tags} v=1 1\n"), format!("m{tags} v=1 2\n"), format!("n {} 1\n", fields.join(","))];
        let text = lines.concat();
        assert_eq!(host.parse(text.as_bytes()).unwrap(), text.len());
    }
}
