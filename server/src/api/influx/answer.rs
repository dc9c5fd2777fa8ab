//! The reply of `/query` under way: whole while it is small, streamed beyond, or one document a chunk.

use tidewire_protocol::encode::influx::{Options, QueryWriter, Tail, UnsupportedValue, Value};

use super::headers::{headers, send};
use crate::api::context::RequestContext;
use crate::api::fault::Fault;
use crate::api::patience::Patience;
use crate::net::Reply;

/// Bytes that are kept back before the reply is streamed.
const WHOLE_BYTES_MAX: usize = 1 << 20;

/// Bytes of a part of a streamed reply.
const PART_BYTES: usize = 64 << 10;

/// A reply.
pub(super) struct Answer<'r> {
    context: &'r RequestContext<'r>,
    reply: &'r mut Reply,
    writer: QueryWriter,
    /// Written, not yet sent.
    body: Vec<u8>,
    /// Rows of a document of a chunked reply.
    chunk_rows: Option<usize>,
    statement: usize,
    series: Option<Series>,
    /// A series of this document has ended.
    has_series: bool,
    /// Of the query that runs.
    patience: Option<Patience>,
}

/// The series whose rows are written.
struct Series {
    name: String,
    tags: Vec<(String, String)>,
    columns: Vec<String>,
    /// Rows of it in the document at hand.
    rows: usize,
}

impl<'r> Answer<'r> {
    /// A reply without results.
    pub(super) fn new(
        context: &'r RequestContext<'r>,
        reply: &'r mut Reply,
        options: Options,
        chunk_rows: Option<usize>,
    ) -> Self {
        let writer = QueryWriter::new(options);
        Self {
            context,
            reply,
            writer,
            body: Vec::new(),
            chunk_rows,
            statement: 0,
            series: None,
            has_series: false,
            patience: None,
        }
    }

    /// What follows are rows of a query that must not pay for its client's slowness; of none, with `None`.
    pub(super) fn of_query(&mut self, patience: Option<Patience>) {
        self.patience = patience;
    }

    /// Whether some of it is sent.
    pub(super) fn is_begun(&self) -> bool {
        self.reply.is_begun()
    }

    /// The writer and its text, for series that are small.
    pub(super) fn parts(&mut self) -> (&mut QueryWriter, &mut Vec<u8>) {
        (&mut self.writer, &mut self.body)
    }

    /// Begins the result of a statement.
    pub(super) fn begin_result(&mut self, statement: usize) {
        self.statement = statement;
        self.has_series = false;
        self.writer.result(&mut self.body, statement);
    }

    /// Begins a series, and ends the one before.
    pub(super) async fn series(
        &mut self,
        name: &str,
        tags: Vec<(String, String)>,
        columns: &[String],
    ) -> Result<(), Fault> {
        if self.series.take().is_some() {
            self.writer.end_series(&mut self.body, false);
            self.has_series = true;
        }
        if self.has_series && self.chunk_rows.is_some() {
            self.next_document().await?;
        }
        let series = Series { name: name.to_owned(), tags, columns: columns.to_vec(), rows: 0 };
        self.open(series);
        Ok(())
    }

    fn open(&mut self, series: Series) {
        let tags: Vec<(&str, &str)> = series.tags.iter().map(|(tag, value)| (tag.as_str(), value.as_str())).collect();
        let columns: Vec<&str> = series.columns.iter().map(String::as_str).collect();
        self.writer.series(&mut self.body, &series.name, &tags, &columns);
        self.series = Some(series);
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

    /// A row of the series.
    pub(super) async fn row(&mut self, values: &[Value<'_>]) -> Result<(), Fault> {
        if let Some(chunk_rows) = self.chunk_rows
            && let Some(series) = self.series.take_if(|series| series.rows >= chunk_rows)
        {
            self.writer.end_series(&mut self.body, true);
            self.next_document().await?;
            self.open(Series { rows: 0, ..series });
        }
        let written: Result<(), UnsupportedValue> = self.writer.row(&mut self.body, values.iter().copied());
        if let Some(series) = &mut self.series {
            series.rows += 1;
        }
        Ok(written?)
    }

    /// Sends what is there, if that is much.
    pub(super) async fn send_if_due(&mut self) -> Result<(), Fault> {
        let is_due = match self.is_begun() {
            true => self.body.len() > PART_BYTES,
            false => self.body.len() > WHOLE_BYTES_MAX,
        };
        if is_due { self.send_part().await } else { Ok(()) }
    }

    async fn send_part(&mut self) -> Result<(), Fault> {
        if !self.is_begun() {
            let id = &self.context.id;
            self.reply.stream(200, |head| headers(head, Some(id)).content_type("application/json"));
        }
        let sending = self.reply.write(&self.body);
        let sent = match &mut self.patience {
            Some(patience) => patience.during(sending).await,
            None => sending.await,
        };
        self.body.clear();
        sent.map_err(|_| Fault::Query(tidewire_sql::exec::ExecError::Cancelled))
    }

    /// Ends the result of a statement.
    pub(super) async fn end_result(&mut self, error: Option<&str>) -> Result<(), Fault> {
        if self.series.take().is_some() {
            self.writer.end_series(&mut self.body, false);
        }
        self.writer.end_result(&mut self.body, Tail { error, ..Tail::default() });
        if self.chunk_rows.is_some() {
            self.writer.end(&mut self.body);
            return self.send_part().await;
        }
        self.send_if_due().await
    }

    /// Ends the reply.
    pub(super) async fn end(mut self) -> Result<(), Fault> {
        if self.chunk_rows.is_none() || !self.is_begun() {
            self.writer.end(&mut self.body);
        }
        if self.is_begun() {
            self.send_part().await?;
            self.reply.finish();
        } else {
            send(self.context, 200, &self.body, self.reply);
        }
        Ok(())
    }
}
