//! The reply of `/query` under way: whole while it is small, streamed beyond, or one document a chunk.

use std::rc::Rc;

use tidewire_protocol::encode::influx::{Options, QueryWriter, Tail, UnsupportedValue, Value, write_error};
use tidewire_protocol::http::{ContentEncoder, Encoding};
use tidewire_sql::exec::{ExecError, Reservation};

use super::headers::headers;
use crate::api::context::RequestContext;
use crate::api::fault::Fault;
use crate::api::patience::Patience;
use crate::api::queries::bounds;
use crate::core::running::Registered;
use crate::net::Reply;
use crate::ring::yield_if_needed;

/// Bytes that are kept back before the reply is streamed.
const WHOLE_BYTES_MAX: usize = 1 << 20;

/// Bytes of a part of a streamed reply.
const PART_BYTES: usize = 64 << 10;

/// Bytes that are compressed at one time, in less than half a millisecond.
const COMPRESS_BYTES: usize = 16 << 10;

/// How a client wants its reply.
#[derive(Debug, Clone, Copy)]
pub(super) struct Manner {
    pub(super) options: Options,
    pub(super) content_type: &'static str,
    pub(super) gzip: bool,
    /// Rows of a document of a chunked reply.
    pub(super) chunk_rows: Option<usize>,
    /// Rows of a reply that is not chunked; those beyond are left out.
    pub(super) rows_max: Option<u64>,
    /// The client has its reply already: what statements answer goes nowhere.
    pub(super) is_detached: bool,
}

/// A reply.
pub(super) struct Answer<'r> {
    context: &'r RequestContext<'r>,
    reply: &'r mut Reply,
    manner: Manner,
    writer: QueryWriter,
    compress: Option<ContentEncoder>,
    /// What the writer keeps back.
    kept: Reservation,
    /// Written, not yet sent.
    body: Vec<u8>,
    statement: usize,
    series: Option<Series>,
    /// Values of the tags of the series that was begun last.
    tags: Vec<String>,
    /// A series of this document has ended.
    has_series: bool,
    /// Rows so far, and those that are counted.
    rows: u64,
    counted: u64,
    /// A row was left out.
    is_cut: bool,
    /// Of the query that runs.
    patience: Option<Patience>,
    registered: Registered,
}

/// What the series of a SELECT have in common.
pub(super) struct Heading {
    pub(super) name: String,
    /// Names of the tags.
    pub(super) tags: Vec<String>,
    pub(super) columns: Vec<String>,
}

/// The series whose rows are written.
struct Series {
    heading: Rc<Heading>,
    /// Rows of it in the document at hand.
    rows: usize,
}

impl<'r> Answer<'r> {
    /// A reply without results.
    pub(super) fn new(
        context: &'r RequestContext<'r>,
        reply: &'r mut Reply,
        manner: Manner,
        registered: Registered,
    ) -> Result<Self, Fault> {
        let compress = manner.gzip.then(|| ContentEncoder::new(Encoding::Gzip)).transpose();
        Ok(Self {
            context,
            reply,
            writer: QueryWriter::new(manner.options),
            compress: compress.map_err(Fault::Compress)?,
            kept: bounds(context.core).reservation(),
            manner,
            body: Vec::new(),
            statement: 0,
            series: None,
            tags: Vec::new(),
            has_series: false,
            rows: 0,
            counted: 0,
            is_cut: false,
            patience: None,
            registered,
        })
    }

    /// What follows are rows of a query that must not pay for its client's slowness; of none, with `None`.
    pub(super) fn of_query(&mut self, patience: Option<Patience>) {
        self.patience = patience;
    }

    /// The request in the list of those that run.
    pub(super) fn registered(&self) -> &Registered {
        &self.registered
    }

    /// Whether some of it is sent.
    pub(super) fn is_begun(&self) -> bool {
        self.reply.is_begun() && !self.manner.is_detached
    }

    /// Whether it has as many rows as it may.
    pub(super) fn is_full(&self) -> bool {
        self.is_cut || self.rows_left() == Some(0)
    }

    /// Whether rows were left out, so that no more are wanted.
    pub(super) fn is_cut(&self) -> bool {
        self.is_cut
    }

    fn rows_left(&self) -> Option<u64> {
        let rows_max = self.manner.rows_max.filter(|_| self.manner.chunk_rows.is_none())?;
        Some(rows_max.saturating_sub(self.rows))
    }

    /// A whole series, which is small.
    pub(super) fn whole_series<'v>(
        &mut self,
        name: &str,
        columns: &[&str],
        rows: impl IntoIterator<Item = Vec<Value<'v>>>,
    ) -> Result<(), Fault> {
        self.whole_series_of(name, &[], columns, rows)
    }

    /// The same with tags.
    pub(super) fn whole_series_of<'v>(
        &mut self,
        name: &str,
        tags: &[(&str, &str)],
        columns: &[&str],
        rows: impl IntoIterator<Item = Vec<Value<'v>>>,
    ) -> Result<(), Fault> {
        if self.is_full() {
            self.is_cut = true;
            return Ok(());
        }
        self.writer.series(&mut self.body, name, tags.iter().copied(), columns);
        for row in rows {
            if self.rows_left() == Some(0) {
                self.is_cut = true;
                break;
            }
            self.rows += 1;
            self.writer.row(&mut self.body, row)?;
        }
        self.writer.end_series(&mut self.body, self.is_cut);
        Ok(())
    }

    /// Begins the result of a statement.
    pub(super) fn begin_result(&mut self, statement: usize) {
        self.statement = statement;
        self.has_series = false;
        self.writer.result(&mut self.body, statement);
    }

    /// Begins a series with these values of its tags, and ends the one before.
    pub(super) async fn series<'t>(
        &mut self,
        heading: &Rc<Heading>,
        tags: impl Iterator<Item = &'t str>,
    ) -> Result<(), Fault> {
        if self.series.take().is_some() {
            self.writer.end_series(&mut self.body, false);
            self.has_series = true;
        }
        if self.is_full() {
            self.is_cut = true;
            return Ok(());
        }
        if self.has_series && self.manner.chunk_rows.is_some() {
            self.next_document().await?;
        }
        // A reply may have a million series: their texts take the places of those before.
        self.tags.resize(heading.tags.len(), String::new());
        for (known, value) in self.tags.iter_mut().zip(tags) {
            known.clear();
            known.push_str(value);
        }
        self.open(Rc::clone(heading));
        Ok(())
    }

    /// Values of the tags of the series that was begun last.
    pub(super) fn tags(&self) -> &[String] {
        &self.tags
    }

    fn open(&mut self, heading: Rc<Heading>) {
        let Heading { name, tags, columns } = &*heading;
        let tags = tags.iter().map(String::as_str).zip(self.tags.iter().map(String::as_str));
        self.writer.series(&mut self.body, name, tags, columns);
        self.series = Some(Series { heading, rows: 0 });
    }

    /// Ends a document of a chunked reply whose result goes on in the next.
    async fn next_document(&mut self) -> Result<(), Fault> {
        self.writer.end_result(&mut self.body, Tail { partial: true, ..Tail::default() });
        self.writer.end(&mut self.body);
        self.has_series = false;
        self.send_part().await?;
        self.writer.result(&mut self.body, self.statement);
        Ok(())
    }

    /// Whether the next row can be written as it is.
    pub(super) fn takes_a_row(&self) -> bool {
        let is_due = |series: &Series| self.manner.chunk_rows.is_some_and(|chunk_rows| series.rows >= chunk_rows);
        self.rows_left() != Some(0) && !self.series.as_ref().is_some_and(is_due)
    }

    /// Ends what must end before the next row is written: a document of a chunked reply, or the reply, which is cut
    /// then.
    pub(super) async fn make_way(&mut self) -> Result<(), Fault> {
        if self.rows_left() == Some(0) {
            self.is_cut = true;
            if self.series.take().is_some() {
                self.writer.end_series(&mut self.body, true);
            }
        } else if let Some(series) = self.series.take() {
            self.writer.end_series(&mut self.body, true);
            self.next_document().await?;
            self.open(series.heading);
        }
        Ok(())
    }

    /// A row of the series.
    pub(super) fn row<'v>(&mut self, values: impl Iterator<Item = Value<'v>>) -> Result<(), UnsupportedValue> {
        self.rows += 1;
        if let Some(series) = &mut self.series {
            series.rows += 1;
        }
        self.writer.row(&mut self.body, values)
    }

    /// Sends what is there, if that is much.
    pub(super) async fn send_if_due(&mut self) -> Result<(), Fault> {
        self.kept.resize(self.writer.kept_bytes())?;
        let is_due = match self.is_begun() {
            true => self.body.len() > PART_BYTES,
            false => self.body.len() > WHOLE_BYTES_MAX,
        };
        if is_due { self.send_part().await } else { Ok(()) }
    }

    /// Compresses what is to be sent. A part is made complete, so that the client can use it at once.
    async fn pack(&mut self, is_last: bool) -> Result<(), Fault> {
        let Some(compress) = &mut self.compress else { return Ok(()) };
        let mut packed = Vec::new();
        for piece in self.body.chunks(COMPRESS_BYTES) {
            compress.push(piece, &mut packed).map_err(Fault::Compress)?;
            yield_if_needed().await;
        }
        if !is_last {
            compress.flush(&mut packed).map_err(Fault::Compress)?;
        } else if let Some(compress) = self.compress.take() {
            compress.finish(&mut packed).map_err(Fault::Compress)?;
        }
        self.body = packed;
        Ok(())
    }

    async fn send_part(&mut self) -> Result<(), Fault> {
        self.send(false).await
    }

    /// Sends what is there as a part of a streamed reply.
    async fn send(&mut self, is_last: bool) -> Result<(), Fault> {
        if self.manner.is_detached {
            self.body.clear();
            return Ok(());
        }
        self.pack(is_last).await?;
        let (id, Manner { content_type, gzip, .. }) = (&self.context.id, self.manner);
        if !self.is_begun() {
            self.reply.stream(200, |head| {
                let head = headers(head, Some(id)).content_type(content_type);
                if gzip { head.header("Content-Encoding", "gzip") } else { head }
            });
        }
        let sending = self.reply.write(&self.body);
        let sent = match &mut self.patience {
            Some(patience) => patience.during(sending).await,
            None => sending.await,
        };
        self.body.clear();
        sent.map_err(|_| Fault::Query(ExecError::Cancelled))
    }

    /// Ends the result of a statement.
    pub(super) async fn end_result(&mut self, warnings: &[&str], error: Option<&str>) -> Result<(), Fault> {
        if self.series.take().is_some() {
            self.writer.end_series(&mut self.body, false);
        }
        self.context.count_read(self.rows - std::mem::replace(&mut self.counted, self.rows));
        self.writer.end_result(&mut self.body, Tail { warnings, error, partial: false });
        if self.manner.chunk_rows.is_some() {
            self.writer.end(&mut self.body);
            return self.send_part().await;
        }
        self.send_if_due().await
    }

    /// Ends the reply.
    pub(super) async fn end(mut self) -> Result<(), Fault> {
        if self.manner.chunk_rows.is_none() || !self.is_begun() {
            self.writer.end(&mut self.body);
        }
        self.finish().await
    }

    /// The reply is an error and nothing else.
    pub(super) async fn end_with(mut self, error: &str) -> Result<(), Fault> {
        self.body.clear();
        write_error(&mut self.body, error, None, self.manner.options);
        self.finish().await
    }

    async fn finish(mut self) -> Result<(), Fault> {
        if self.manner.is_detached {
            return Ok(());
        }
        if self.is_begun() {
            self.send(true).await?;
            self.reply.finish();
            return Ok(());
        }
        self.pack(true).await?;
        let (id, Manner { content_type, gzip, .. }) = (&self.context.id, self.manner);
        let body = &self.body;
        self.reply.send(
            200,
            |head| {
                let head = headers(head, Some(id)).content_type(content_type);
                if gzip { head.header("Content-Encoding", "gzip") } else { head }
            },
            body,
        );
        Ok(())
    }
}
