//! Columns to bytes: the rows of a query become a reply, whole or streamed.
//!
//! Rows are encoded as they come. Up to [`WHOLE_BYTES_MAX`] they are kept back, so that a small result has a
//! Content-Length and an error that comes late still gets its own status. Beyond it, or at once with `chunked=true`,
//! the reply streams; an error then breaks the stream off, so that a client never takes a part for the whole. Where
//! streaming was asked for, what the API puts behind rows comes before the break.
//!
//! A batch can be megabytes of text. It is encoded in parts ([`next_part`]), and compressed in parts; between two of
//! them the core is given to others when they are due.

use std::ops::Range;
use std::sync::Arc;

use arrow_array::RecordBatch;
use arrow_schema::{Field, Schema, SchemaRef};
use tidewire_protocol::encode::{EncodeError, Encoder, Format};
use tidewire_protocol::http::{ContentEncoder, Encoding, ResponseHead};
use tidewire_sql::exec::{ExecError, QueryContext, Reservation};

use crate::api::fault::Fault;
use crate::api::patience::Patience;
use crate::net::Reply;
use crate::query::run::RowsOut;
use crate::ring::yield_if_needed;

/// Encoded bytes kept back before the reply starts to stream.
const WHOLE_BYTES_MAX: usize = 1 << 20;

/// Text that a part of a batch is to give: some 200 µs of encoding.
const PART_BYTES: usize = 256 << 10;

/// Room for pending text that is kept while it is being sent.
const PENDING_BYTES_KEPT: usize = 2 * PART_BYTES;

/// Rows of the first part, of which nobody knows yet how long they are.
const FIRST_PART_ROWS: usize = 256;

/// Bytes that are compressed at one time. The slowest coding takes half a millisecond for them.
const PACKED_BYTES: usize = 32 << 10;

/// How a client wants its rows.
#[derive(Debug, Clone, Copy)]
pub struct RowsForm {
    /// The format.
    pub format: Format,
    /// The coding of the reply; `None` leaves out the header that names it.
    pub encoding: Option<Encoding>,
    /// Rows are sent as they come.
    pub chunked: bool,
    /// What the API puts behind the rows that are sent when an error comes after them.
    pub behind_rows: fn(&Fault) -> Vec<u8>,
}

impl RowsForm {
    fn headers<'o>(&self, head: ResponseHead<'o>) -> ResponseHead<'o> {
        let head = head.content_type(self.format.content_type());
        match self.encoding {
            Some(encoding) => head.header("Content-Encoding", encoding.token()),
            None => head,
        }
    }
}

/// A query's reply under way.
pub struct RowsReply<'r> {
    reply: &'r mut Reply,
    form: RowsForm,
    /// Names and types as bound. In memory a text column may be a dictionary, which only the first batch tells.
    schema: SchemaRef,
    /// Made with the first batch, or at the end when none came.
    encoder: Option<Encoder>,
    compress: Option<ContentEncoder>,
    /// Why a batch could not be encoded, which ended the query.
    unwritten: Option<EncodeError>,
    /// Encoded, not yet sent.
    pending: Vec<u8>,
    /// Rows that are encoded at one time.
    part_rows: usize,
    /// Rows taken.
    pub rows: u64,
    /// The query's, where it has a deadline or a place to think of.
    patience: Option<Patience>,
    /// Memory of the rows that the encoder holds, in the account of the query.
    held: Option<Reservation>,
}

impl<'r> RowsReply<'r> {
    /// A reply of rows of `schema`. Fails where the format cannot show a column.
    pub fn new(reply: &'r mut Reply, form: RowsForm, schema: SchemaRef) -> Result<Self, Fault> {
        // Whether the format can show the columns is known before anything runs.
        new_encoder(&form, schema.clone())?;
        let encoding = form.encoding.filter(|encoding| *encoding != Encoding::Identity);
        let compress = encoding.map(ContentEncoder::new).transpose().map_err(Fault::Compress)?;
        Ok(Self {
            reply,
            form,
            schema,
            encoder: None,
            compress,
            unwritten: None,
            pending: Vec::new(),
            part_rows: FIRST_PART_ROWS,
            rows: 0,
            patience: None,
            held: None,
        })
    }

    /// The same for the rows of a query that must not pay for its client's slowness.
    pub fn with_patience(self, patience: Patience) -> Self {
        Self { patience: Some(patience), ..self }
    }

    /// The same, with what the encoder holds of its rows in the account of the query.
    pub fn within(self, bounds: &QueryContext) -> Self {
        Self { held: Some(bounds.reservation()), ..self }
    }

    /// The encoder, made for the columns of `first` if it is not there yet.
    fn encoder(&mut self, first: Option<&RecordBatch>) -> Result<&mut Encoder, EncodeError> {
        let made = match self.encoder.take() {
            Some(encoder) => encoder,
            None => {
                let fields = self.schema.fields().iter().enumerate().map(|(index, field)| {
                    let data_type = first.map_or(field.data_type(), |batch| batch.column(index).data_type());
                    Field::new(field.name(), data_type.clone(), true)
                });
                let schema = Arc::new(Schema::new(fields.collect::<Vec<_>>()));
                new_encoder(&self.form, schema)?
            }
        };
        Ok(self.encoder.insert(made))
    }

    fn begin_stream(&mut self) {
        let form = self.form;
        self.reply.stream(200, |head| form.headers(head));
    }

    /// Compresses what is pending; a streamed part is made complete, so that the client can use it at once.
    async fn pack(&mut self, last: bool) -> std::io::Result<()> {
        let Some(compress) = &mut self.compress else { return Ok(()) };
        let mut packed = Vec::new();
        for piece in self.pending.chunks(PACKED_BYTES) {
            compress.push(piece, &mut packed)?;
            yield_if_needed().await;
        }
        if !last {
            compress.flush(&mut packed)?;
        } else if let Some(compress) = self.compress.take() {
            compress.finish(&mut packed)?;
        }
        self.pending = packed;
        Ok(())
    }

    async fn send_pending(&mut self, last: bool) -> std::io::Result<()> {
        self.pack(last).await?;
        let pending = std::mem::take(&mut self.pending);
        if pending.capacity() > PENDING_BYTES_KEPT {
            // Its client may be slow, and what was copied is not to be held beside the copy.
            let sending = self.reply.write_with(move |out| out.extend_from_slice(&pending));
            return wait(&mut self.patience, sending).await;
        }
        let sent = wait(&mut self.patience, self.reply.write(&pending)).await;
        self.pending = pending;
        self.pending.clear();
        sent
    }

    /// An error while it can be told, where there is no memory to hold what its client has not read.
    fn check_room(&self) -> Result<(), ExecError> {
        match self.reply.is_begun() || self.reply.has_room(self.pending.len()) {
            true => Ok(()),
            false => {
                let (used_bytes, limit_bytes) = self.reply.memory();
                Err(ExecError::ServerMemory { used_bytes, limit_bytes })
            }
        }
    }

    /// Sends what is pending, if that is enough or was asked for.
    async fn send_if_due(&mut self) -> Result<(), ExecError> {
        if self.reply.is_begun() || self.form.chunked || self.pending.len() > WHOLE_BYTES_MAX {
            self.check_room()?;
            if !self.reply.is_begun() {
                self.begin_stream();
            }
            self.send_pending(false).await.map_err(|_| ExecError::Cancelled)?;
        }
        Ok(())
    }

    /// Encodes some rows of a batch. Of a stream that is under way they are sent at once: while they are in the cache
    /// the socket takes them at half the cost. What is compressed is packed by the batch, and with `chunked` each batch
    /// is a whole.
    async fn part(&mut self, batch: &RecordBatch, rows: Range<usize>) -> Result<(), ExecError> {
        let count = rows.len();
        let is_direct =
            self.reply.is_begun() && self.compress.is_none() && !self.form.chunked && self.pending.is_empty();
        if let Err(error) = self.encoder(Some(batch)) {
            return Err(self.give_up(error));
        }
        let Some(encoder) = &mut self.encoder else { return Ok(()) };
        if let Some(held) = &mut self.held {
            // What is full grows to twice its size.
            held.resize(2 * encoder.held_bytes())?;
        }
        let (mut encoded, mut bytes) = (Ok(()), 0);
        let fill = |out: &mut Vec<u8>| {
            let before = out.len();
            encoded = encoder.part(batch, rows, out);
            bytes = out.len() - before;
        };
        let sent = match is_direct {
            true => wait(&mut self.patience, self.reply.write_with(fill)).await,
            false => {
                fill(&mut self.pending);
                Ok(())
            }
        };
        if let Err(error) = encoded {
            return Err(self.give_up(error));
        }
        if count > 0 {
            self.part_rows = next_part(count, bytes);
        }
        sent.map_err(|_| ExecError::Cancelled)
    }

    /// The query ends; [`Self::end`] tells what it ended of.
    fn give_up(&mut self, error: EncodeError) -> ExecError {
        self.unwritten = Some(error);
        ExecError::Cancelled
    }

    /// Ends the reply after the last row, or gives the error that stopped the query. Where the reply has begun by then,
    /// it stays without its end.
    pub async fn end(mut self, outcome: Result<(), ExecError>) -> Result<(), Fault> {
        if let Err(error) = outcome {
            let fault = match self.unwritten.take() {
                Some(unwritten) => Fault::Unwritten(unwritten),
                None => Fault::Query(error),
            };
            if self.reply.is_begun() && self.form.chunked {
                self.pending = (self.form.behind_rows)(&fault);
                // If it cannot be sent, there is nobody to tell.
                let _ = self.send_pending(true).await;
            }
            return Err(fault);
        }
        loop {
            let mut pending = std::mem::take(&mut self.pending);
            let is_more = self.encoder(None).and_then(|encoder| encoder.finish_part(&mut pending));
            self.pending = pending;
            let is_more = is_more.map_err(Fault::Unwritten)?;
            if !is_more {
                break;
            }
            yield_if_needed().await;
            if self.pending.len() > WHOLE_BYTES_MAX
                && let Err(error) = self.send_if_due().await
            {
                return if self.reply.is_begun() { Ok(()) } else { Err(Fault::Query(error)) };
            }
        }
        self.check_room().map_err(Fault::Query)?;
        if self.reply.is_begun() || self.form.chunked {
            if !self.reply.is_begun() {
                self.begin_stream();
            }
            if self.send_pending(true).await.is_ok() {
                self.reply.finish();
            }
            return Ok(());
        }
        self.pack(true).await.map_err(Fault::Compress)?;
        let form = self.form;
        self.reply.send(200, |head| form.headers(head), &self.pending);
        Ok(())
    }
}

/// Waits for the client, for as long as the query may.
async fn wait(
    patience: &mut Option<Patience>,
    sending: impl Future<Output = std::io::Result<()>>,
) -> std::io::Result<()> {
    match patience {
        Some(patience) => patience.during(sending).await,
        None => sending.await,
    }
}

fn new_encoder(form: &RowsForm, schema: SchemaRef) -> Result<Encoder, EncodeError> {
    let encoder = Encoder::new(form.format, schema)?;
    Ok(if form.chunked { encoder.array_per_batch() } else { encoder })
}

/// Rows of the next part, after `rows` gave this many bytes of text.
fn next_part(rows: usize, bytes: usize) -> usize {
    (rows * PART_BYTES / bytes.max(1)).clamp(1, rows.saturating_mul(4).max(1))
}

impl RowsOut for RowsReply<'_> {
    async fn rows(&mut self, batch: &RecordBatch) -> Result<(), ExecError> {
        self.rows += batch.num_rows() as u64;
        let mut start = 0;
        loop {
            let rows = self.part_rows.min(batch.num_rows() - start);
            let is_last = start + rows == batch.num_rows();
            self.part(batch, start..start + rows).await?;
            yield_if_needed().await;
            if is_last {
                break;
            }
            start += rows;
        }
        self.send_if_due().await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_give_about_as_much_text_however_long_rows_are() {
        assert_eq!(next_part(256, 256 * 256), PART_BYTES / 256);
        assert_eq!(next_part(256, 256 * (1 << 20)), 1);
        // What gives no text at all (a table, nulls of JSON) grows by steps.
        assert_eq!(next_part(256, 0), 1024);
        assert_eq!(next_part(1, 1), 4);
    }
}
