//! A request of a door that has its rows by name, from its body to its acknowledgement.
//!
//! As for lines: where a table or column of its rows is dropped before they are written, nothing is. A body that is
//! there whole is then read anew ([`write_rows`], and [`write_body`] for one that came in one piece).

use tidewire_protocol::line::Dialect;
use tidewire_protocol::protobuf::split;
use tidewire_protocol::row::{
    BadRows, Halt, Next, Position, RawValue, RowDraft, RowError, RowSink, RowTaker, SeriesText,
};

use super::error::WriteError;
use super::host::WriteHost;
use super::session::{Session, Target, Written};
use super::sink::{RowRules, SharedNames, TimeField};
use crate::core::state::CoreState;
use crate::net::Body;

/// Bounds how much of a message that is there at once is read before others get their turn.
const STEP_BYTES: usize = 64 << 10;

/// And of a text: a document that is not there whole is looked for from its start again.
const STEP_BYTES_MIN: usize = 4 << 10;

/// Values that rows may add before what is held is counted, those that they lack included.
const UNCOUNTED_VALUES_MAX: usize = 1 << 18;

/// Items between two looks at the time: some µs of small ones.
const TURN_ITEMS: usize = 32;

/// Rows between two looks at how wide their tables are.
const UNCOUNTED_ROWS_MIN: usize = 64;
/// Times that a request is read, each time after a table or column of its rows was dropped. A client that drops tables
/// as fast as another one writes them is not to keep the core busy.
pub(super) const TRIES_MAX: u32 = 4;

/// Where the rows of a door go: to the default policy of a database.
#[derive(Debug, Clone, Copy)]
pub struct RowTarget<'a> {
    /// Database, as written.
    pub database: &'a str,
    /// What a bad row means for the others. A field called `time` makes a row a bad one.
    pub bad_rows: BadRows,
    /// The request's present.
    pub now_ns: i64,
}

impl<'a> From<RowTarget<'a>> for Target<'a> {
    fn from(RowTarget { database, bad_rows, now_ns }: RowTarget<'a>) -> Self {
        let rules = RowRules { bad_rows, time_field: TimeField::Refused, shared_names: SharedNames::Refused };
        Self { database, policy: None, dialect: Dialect::Cnos, rules, now_ns }
    }
}

/// The rows of a request, being collected.
pub struct RowWriter<'a, H: WriteHost = CoreState> {
    session: Session<'a, H>,
    /// Bytes that the door holds beside its rows.
    held: usize,
    /// Rows since that was counted.
    uncounted: usize,
    /// Items since others could have their turn.
    since_turn: usize,
    /// Why nothing of the request is written.
    failure: Option<WriteError>,
    /// That is because a table or column of its rows is gone: read anew it will pass.
    is_overtaken: bool,
}

/// Writes a request whose body is there: `fill` reads it into the writer that it gets. Where a table or column of its
/// rows is dropped before they are written, nothing is, and it is read anew. Gives what `fill` gave, too.
pub async fn write_rows<H: WriteHost, T, E: From<WriteError>>(
    host: &H,
    target: RowTarget<'_>,
    mut fill: impl AsyncFnMut(&mut RowWriter<'_, H>) -> Result<T, E>,
) -> Result<(Written, T), E> {
    let mut tries = 1;
    loop {
        let mut rows = RowWriter::begin(host, target)?;
        match fill(&mut rows).await {
            Ok(read) => match rows.commit().await {
                Ok(written) => return Ok((written, read)),
                Err(WriteError::TableChanged) => {}
                Err(error) => return Err(error.into()),
            },
            Err(error) if !rows.is_overtaken => return Err(error),
            Err(_) => {}
        }
        if tries == TRIES_MAX {
            return Err(WriteError::TableChanged.into());
        }
        tries += 1;
    }
}

/// Writes a request whose body arrives in pieces. `door` begins to read it; `read` gives a door a piece, says whether
/// it is the last and where rows go, and returns the bytes that it has consumed; the others come again in front of the
/// next piece. A body that comes in one piece is read anew as in [`write_rows`]; of a longer one the beginning is there
/// no longer, and it is refused. Gives the door, too.
pub async fn write_body<D, E: From<WriteError>>(
    core: &CoreState,
    target: RowTarget<'_>,
    body: &mut Body,
    door: impl Fn() -> D,
    mut read: impl FnMut(&mut D, &[u8], bool, &mut RowWriter<'_>) -> Result<usize, E>,
) -> Result<(Written, D), E> {
    let mut rows = RowWriter::begin(core, target)?;
    let mut state = door();
    let mut is_first = true;
    let mut is_last_read = false;
    while let Some(piece) = body.chunk().await.map_err(WriteError::from)? {
        if is_first && piece.is_last {
            drop(rows);
            let fill = async |rows: &mut RowWriter<'_>| {
                let mut state = door();
                rows.read_piece(piece.bytes, true, |text, last, rows| read(&mut state, text, last, rows)).await?;
                if piece.bytes.is_empty() {
                    read(&mut state, &[], true, rows)?;
                    rows.check()?;
                }
                Ok::<_, E>(state)
            };
            let written = write_rows(core, target, fill).await?;
            // Consumes the piece.
            body.chunk().await.map_err(WriteError::from)?;
            return Ok(written);
        }
        is_first = false;
        is_last_read = piece.is_last && !piece.bytes.is_empty();
        let read = |text: &[u8], last, rows: &mut RowWriter<'_>| read(&mut state, text, last, rows);
        let left = piece.bytes.len() - rows.read_piece(piece.bytes, piece.is_last, read).await?;
        body.keep(left);
        rows.account_beside(left)?;
    }
    if !is_last_read {
        rows.catch_up()?;
        read(&mut state, &[], true, &mut rows)?;
    }
    Ok((rows.commit().await?, state))
}

impl<'a, H: WriteHost> RowWriter<'a, H> {
    fn begin(host: &'a H, target: RowTarget<'a>) -> Result<Self, WriteError> {
        let session = Session::begin(host, target.into())?;
        Ok(Self { session, held: 0, uncounted: 0, since_turn: 0, failure: None, is_overtaken: false })
    }

    /// Gives a piece of a body to a door, in steps that others' work may come between; gives the bytes consumed.
    pub async fn read_piece<E: From<WriteError>>(
        &mut self,
        bytes: &[u8],
        is_last: bool,
        mut read: impl FnMut(&[u8], bool, &mut Self) -> Result<usize, E>,
    ) -> Result<usize, E> {
        let (mut consumed, mut end) = (0, 0);
        while end < bytes.len() {
            end = bytes.len().min(end + self.session.step_bytes(end).max(STEP_BYTES_MIN));
            self.catch_up()?;
            let is_end = is_last && end == bytes.len();
            consumed += read(bytes.get(consumed..end).unwrap_or_default(), is_end, self)?;
            self.check()?;
            H::yield_if_needed().await;
        }
        Ok(consumed)
    }

    fn catch_up(&mut self) -> Result<(), WriteError> {
        let caught_up = self.session.catch_up();
        self.is_overtaken |= matches!(caught_up, Err(WriteError::TableChanged));
        caught_up
    }

    /// Gives a message to a door in parts, which others' work may come between.
    pub async fn read_message<E: From<WriteError> + From<RowError>>(
        &mut self,
        message: &[u8],
        mut read: impl AsyncFnMut(&[u8], &mut Self) -> Result<Next, E>,
    ) -> Result<(), E> {
        let mut rest = message;
        while !rest.is_empty() {
            let (part, behind) = rest.split_at(split(rest, STEP_BYTES)?);
            rest = behind;
            self.catch_up()?;
            let next = read(part, self).await?;
            self.check()?;
            self.session.account(self.held)?;
            if next == Next::Stop {
                return Ok(());
            }
            H::yield_if_needed().await;
        }
        Ok(())
    }

    /// The door holds this many bytes beside its rows: they are counted with these from now on.
    pub fn hold(&mut self, bytes: usize) {
        self.held = bytes;
    }

    /// Counts what is held now, before more of the body is taken in.
    pub fn account(&mut self) -> Result<(), WriteError> {
        self.session.account(self.held)
    }

    fn account_beside(&mut self, more: usize) -> Result<(), WriteError> {
        self.session.account(self.held + more)
    }

    fn check(&mut self) -> Result<(), WriteError> {
        let checked = self.failure.take().map_or_else(|| self.session.refusal(), Err);
        self.is_overtaken |= matches!(checked, Err(WriteError::TableChanged));
        checked
    }

    /// Makes the rows durable.
    async fn commit(mut self) -> Result<Written, WriteError> {
        self.check()?;
        self.session.count_cache();
        self.session.commit().await
    }

    /// Counts what is held once rows may have added much.
    fn count_rows(&mut self, rows: usize) -> Result<(), Next> {
        let before = self.uncounted / UNCOUNTED_ROWS_MIN;
        self.uncounted += rows;
        // Looked at every so often, since there may be a batch for each of many tables.
        if self.uncounted / UNCOUNTED_ROWS_MIN == before
            || self.uncounted * self.session.columns_max() < UNCOUNTED_VALUES_MAX
        {
            return Ok(());
        }
        self.uncounted = 0;
        self.session.part_full();
        self.session.account(self.held).map_err(|failure| {
            self.failure = Some(failure);
            Next::Stop
        })
    }

    /// Gives a row to the sink, pauses included; by its names, or by the text that it was read from.
    fn put(&mut self, position: Position, text: Option<SeriesText<'_>>, draft: &mut RowDraft) -> Result<(), Next> {
        // The draft is not used again for the same row.
        draft.time = self.session.unit().of_nanoseconds(draft.time);
        loop {
            let put = self.session.with_sink(|caches, sink| {
                let put = match text {
                    Some(text) => caches.names.put_as(text, draft, sink),
                    None => caches.names.put(draft, sink),
                };
                match put {
                    Ok(()) => Ok(true),
                    Err(Halt::Pause) => Ok(false),
                    Err(Halt::Refuse(fault)) => Err(sink.refuse(position, fault)),
                }
            });
            match put {
                Ok(true) => return self.count_rows(1),
                Err(next) => return Err(next),
                Ok(false) => {
                    if let Err(failure) = self.session.resume() {
                        self.failure = Some(failure);
                        return Err(Next::Stop);
                    }
                }
            }
        }
    }
}

impl<H: WriteHost> RowTaker for RowWriter<'_, H> {
    fn take(&mut self, position: Position, draft: &mut RowDraft) -> Result<(), Next> {
        self.put(position, None, draft)
    }

    fn take_as(&mut self, position: Position, text: SeriesText<'_>, draft: &mut RowDraft) -> Result<(), Next> {
        self.put(position, Some(text), draft)
    }

    fn expects<T>(&mut self, is_it: impl FnOnce(SeriesText<'_>) -> Option<T>) -> Option<T> {
        self.session.with_sink(|caches, _| caches.names.expected().and_then(is_it))
    }

    fn expect(&mut self, text: SeriesText<'_>) -> bool {
        self.session.with_sink(|caches, _| caches.names.expect(text))
    }

    fn take_expected(&mut self, position: Position, rows: &mut [(i64, RawValue)]) -> Result<(), Next> {
        let unit = self.session.unit();
        rows.iter_mut().for_each(|(time, _)| *time = unit.of_nanoseconds(*time));
        let taken = self.session.with_sink(|caches, sink| caches.names.put_expected(position, rows, sink));
        self.count_rows(rows.len())?;
        taken
    }

    fn fault(&mut self, position: Position, error: RowError) -> Next {
        self.session.with_sink(|_, sink| sink.unread(position, error))
    }

    async fn turn(&mut self) -> Next {
        self.since_turn += 1;
        if self.since_turn < TURN_ITEMS {
            return Next::Continue;
        }
        self.since_turn = 0;
        H::yield_if_needed().await;
        match self.catch_up() {
            Ok(()) => Next::Continue,
            Err(failure) => {
                self.failure = Some(failure);
                Next::Stop
            }
        }
    }
}
