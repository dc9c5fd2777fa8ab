//! Columns to bytes: the rows of a query become a reply, whole or streamed.
//!
//! Rows are encoded as they come. Up to [`WHOLE_BYTES_MAX`] they are kept back, so that a small result has a
//! Content-Length and an error that comes late still gets its own status. Beyond it, or at once with `chunked=true`,
//! the reply streams; an error then ends the stream early: with what the API puts behind rows when streaming was asked
//! for, and by breaking off otherwise, so that a client never takes a part for the whole.

use std::sync::Arc;

use arrow_array::RecordBatch;
use arrow_schema::{Field, Schema, SchemaRef};
use tidewire_protocol::encode::{EncodeError, Encoder, Format};
use tidewire_protocol::http::{ContentEncoder, Encoding, ResponseHead};
use tidewire_sql::exec::ExecError;

use crate::api::fault::Fault;
use crate::net::Reply;
use crate::query::run::RowsOut;

/// Encoded bytes kept back before the reply starts to stream.
const WHOLE_BYTES_MAX: usize = 1 << 20;

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
    /// Rows taken.
    pub rows: u64,
}

impl<'r> RowsReply<'r> {
    /// A reply of rows of `schema`. Fails where the format cannot show a column.
    pub fn new(reply: &'r mut Reply, form: RowsForm, schema: SchemaRef) -> Result<Self, Fault> {
        // Whether the format can show the columns is known before anything runs.
        new_encoder(&form, schema.clone())?;
        let encoding = form.encoding.filter(|encoding| *encoding != Encoding::Identity);
        let compress = encoding.map(ContentEncoder::new).transpose().map_err(Fault::Compress)?;
        Ok(Self { reply, form, schema, encoder: None, compress, unwritten: None, pending: Vec::new(), rows: 0 })
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
    fn pack(&mut self, last: bool) -> std::io::Result<()> {
        let Some(compress) = &mut self.compress else { return Ok(()) };
        let mut packed = Vec::new();
        compress.push(&self.pending, &mut packed)?;
        if !last {
            compress.flush(&mut packed)?;
        } else if let Some(compress) = self.compress.take() {
            compress.finish(&mut packed)?;
        }
        self.pending = packed;
        Ok(())
    }

    async fn send_pending(&mut self, last: bool) -> std::io::Result<()> {
        if self.compress.is_some() {
            self.pack(last)?;
        }
        let sent = self.reply.write(&self.pending).await;
        self.pending.clear();
        sent
    }

    /// Ends the reply after the last row, or after the error that stopped the query.
    pub async fn end(mut self, outcome: Result<(), ExecError>) -> Result<(), Fault> {
        if let Err(error) = outcome {
            let fault = match self.unwritten.take() {
                Some(unwritten) => Fault::Unwritten(unwritten),
                None => Fault::Query(error),
            };
            if !self.reply.is_begun() {
                return Err(fault);
            }
            if self.form.chunked {
                self.pending = (self.form.behind_rows)(&fault);
                if self.send_pending(true).await.is_ok() {
                    self.reply.finish();
                }
            }
            return Ok(());
        }
        let mut pending = std::mem::take(&mut self.pending);
        self.encoder(None).map_err(Fault::Unwritten)?.finish(&mut pending);
        self.pending = pending;
        if self.reply.is_begun() || self.form.chunked {
            if !self.reply.is_begun() {
                self.begin_stream();
            }
            if self.send_pending(true).await.is_ok() {
                self.reply.finish();
            }
            return Ok(());
        }
        self.pack(true).map_err(Fault::Compress)?;
        let form = self.form;
        self.reply.send(200, |head| form.headers(head), &self.pending);
        Ok(())
    }
}

fn new_encoder(form: &RowsForm, schema: SchemaRef) -> Result<Encoder, EncodeError> {
    let encoder = Encoder::new(form.format, schema)?;
    Ok(if form.chunked { encoder.array_per_batch() } else { encoder })
}

impl RowsOut for RowsReply<'_> {
    async fn rows(&mut self, batch: &RecordBatch) -> Result<(), ExecError> {
        self.rows += batch.num_rows() as u64;
        let mut pending = std::mem::take(&mut self.pending);
        let encoded = self.encoder(Some(batch)).and_then(|encoder| encoder.batch(batch, &mut pending));
        self.pending = pending;
        if let Err(error) = encoded {
            // The query ends; `end` tells what it ended of.
            self.unwritten = Some(error);
            return Err(ExecError::Cancelled);
        }
        if self.reply.is_begun() || self.form.chunked || self.pending.len() > WHOLE_BYTES_MAX {
            if !self.reply.is_begun() {
                self.begin_stream();
            }
            self.send_pending(false).await.map_err(|_| ExecError::Cancelled)?;
        }
        Ok(())
    }
}
