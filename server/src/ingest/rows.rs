//! A request of a door that has its rows by name, from its body to its acknowledgement.

use tidewire_protocol::line::Dialect;
use tidewire_protocol::protobuf::split;
use tidewire_protocol::row::{BadRows, Halt, Next, Position, RowDraft, RowError, RowSink, RowTaker};

use super::error::WriteError;
use super::session::{Session, Target, Written};
use super::sink::{RowRules, TimeField};
use crate::core::state::CoreState;
use crate::net::Body;
use crate::ring::yield_if_needed;

/// Bounds how much of a message that is there at once is read before others get their turn.
const STEP_BYTES: usize = 64 << 10;

/// And of a text: a document that is not there whole is looked for from its start again.
const STEP_BYTES_MIN: usize = 4 << 10;

/// Values that rows may add before what is held is counted, those that they lack included.
const UNCOUNTED_VALUES_MAX: usize = 1 << 18;

/// Rows between two looks at how wide their tables are.
const UNCOUNTED_ROWS_MIN: usize = 64;

/// The rows of a request, being collected.
pub struct RowWriter<'a> {
    session: Session<'a>,
    /// Bytes that the door holds beside its rows.
    held: usize,
    /// Rows since that was counted.
    uncounted: usize,
    /// Why nothing of the request is written.
    failure: Option<WriteError>,
}

impl<'a> RowWriter<'a> {
    /// For rows that go to the default policy of `database`. A field called `time` makes a row a bad one.
    pub fn begin(core: &'a CoreState, database: &'a str, bad_rows: BadRows, now_ns: i64) -> Result<Self, WriteError> {
        let rules = RowRules { bad_rows, time_field: TimeField::Refused };
        let session = Session::begin(core, Target { database, policy: None, dialect: Dialect::Cnos, rules, now_ns })?;
        Ok(Self { session, held: 0, uncounted: 0, failure: None })
    }

    /// Gives a body that arrives in pieces to a door. `read` gets a piece, whether it is the last, and where rows go,
    /// and returns the bytes that it has consumed; the others come again in front of the next piece.
    pub async fn read<E: From<WriteError>>(
        &mut self,
        body: &mut Body,
        mut read: impl FnMut(&[u8], bool, &mut Self) -> Result<usize, E>,
    ) -> Result<(), E> {
        let mut is_last_read = false;
        while let Some(piece) = body.chunk().await.map_err(WriteError::from)? {
            let (mut consumed, mut end) = (0, 0);
            while end < piece.bytes.len() {
                end = piece.bytes.len().min(end + self.session.step_bytes().max(STEP_BYTES_MIN));
                is_last_read = piece.is_last && end == piece.bytes.len();
                self.session.catch_up()?;
                consumed += read(piece.bytes.get(consumed..end).unwrap_or_default(), is_last_read, self)?;
                self.check()?;
                yield_if_needed().await;
            }
            let left = piece.bytes.len() - consumed;
            body.keep(left);
            self.session.account(self.held + left)?;
        }
        if !is_last_read {
            self.session.catch_up()?;
            read(&[], true, self)?;
        }
        Ok(self.check()?)
    }

    /// Gives a message to a door in parts, which others' work may come between.
    pub async fn read_message<E: From<WriteError> + From<RowError>>(
        &mut self,
        message: &[u8],
        mut read: impl FnMut(&[u8], &mut Self) -> Result<Next, E>,
    ) -> Result<(), E> {
        let mut rest = message;
        while !rest.is_empty() {
            let (part, behind) = rest.split_at(split(rest, STEP_BYTES)?);
            rest = behind;
            self.session.catch_up()?;
            let next = read(part, self)?;
            self.check()?;
            self.session.account(self.held)?;
            if next == Next::Stop {
                return Ok(());
            }
            yield_if_needed().await;
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

    fn check(&mut self) -> Result<(), WriteError> {
        match self.failure.take() {
            Some(failure) => Err(failure),
            None => self.session.refusal(),
        }
    }

    /// Makes the rows durable.
    pub async fn commit(mut self) -> Result<Written, WriteError> {
        self.check()?;
        self.session.count_cache();
        self.session.commit().await
    }

    /// Counts what is held once rows may have added much.
    fn count_row(&mut self) -> Result<(), Next> {
        self.uncounted += 1;
        // Looked at every so often, since there may be a batch for each of many tables.
        let is_looked_at = self.uncounted.is_multiple_of(UNCOUNTED_ROWS_MIN);
        if !is_looked_at || self.uncounted * self.session.columns_max() < UNCOUNTED_VALUES_MAX {
            return Ok(());
        }
        self.uncounted = 0;
        self.session.account(self.held).map_err(|failure| {
            self.failure = Some(failure);
            Next::Stop
        })
    }

    /// Gives a row to the sink, pauses included.
    fn put(&mut self, position: Position, draft: &mut RowDraft) -> Result<(), Next> {
        loop {
            let put = self.session.with_sink(|caches, sink| match caches.names.put(draft, sink) {
                Ok(()) => Ok(true),
                Err(Halt::Pause) => Ok(false),
                Err(Halt::Refuse(fault)) => Err(sink.refuse(position, fault)),
            });
            match put {
                Ok(true) => return Ok(()),
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

impl RowTaker for RowWriter<'_> {
    fn take(&mut self, position: Position, draft: &mut RowDraft) -> Result<(), Next> {
        // The draft is not used again for the same row.
        draft.time = draft.time.div_euclid(self.session.unit().nanoseconds());
        self.put(position, draft)?;
        self.count_row()
    }

    fn fault(&mut self, position: Position, error: RowError) -> Next {
        self.session.with_sink(|_, sink| sink.unread(position, error))
    }
}
