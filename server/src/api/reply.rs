//! Columns to bytes: the rows of a query become a reply, whole or streamed.
//!
//! Rows are encoded as they come. Up to [`WHOLE_BYTES_MAX`] they are kept back, so that a small result has a
//! Content-Length and an error that comes late still gets its own status. Beyond it, or at once with `chunked=true`,
//! the reply streams; an error then ends the stream early: with the error's text, as CnosDB appends it, when streaming
//! was asked for, and by breaking off otherwise, so that a client never takes a part for the whole.

use std::sync::Arc;

use arrow_array::RecordBatch;
use arrow_schema::{Field, Schema, SchemaRef};
use serde_json::json;
use tidewire_protocol::encode::{EncodeError, Encoder, Format};
use tidewire_protocol::http::{ContentEncoder, Encoding};
use tidewire_sql::exec::ExecError;

use crate::api::cnos::sql_error::execution_words;
use crate::api::fault::{self, Failure};
use crate::net::Reply;
use crate::query::run::RowsOut;

/// Encoded bytes kept back before the reply starts to stream.
const WHOLE_BYTES_MAX: usize = 1 << 20;

/// A query's reply under way.
pub struct RowsReply<'r> {
    reply: &'r mut Reply,
    /// Names and types as bound. In memory a text column may be a dictionary, which only the first batch tells.
    schema: SchemaRef,
    /// Made with the first batch, or at the end when none came.
    encoder: Option<Encoder>,
    format: Format,
    encoding: Option<Encoding>,
    compress: Option<ContentEncoder>,
    /// Encoded, not yet sent.
    pending: Vec<u8>,
    asked_for_chunks: bool,
    /// Rows taken.
    pub rows: u64,
}

impl<'r> RowsReply<'r> {
    /// A reply of rows of `schema`. Fails where the format cannot show a column.
    pub fn new(
        reply: &'r mut Reply,
        format: Format,
        schema: SchemaRef,
        encoding: Option<Encoding>,
        chunked: bool,
    ) -> Result<Self, Failure> {
        // Whether the format can show the columns is known before anything runs.
        new_encoder(format, schema.clone(), chunked)
            .map_err(|error| fault::cnos(422, "040007", &format!("Fetch result: {error}")))?;
        let compress = encoding
            .filter(|e| *e != Encoding::Identity)
            .map(ContentEncoder::new)
            .transpose()
            .map_err(|error| fault::cnos(500, "040014", &format!("cannot compress the reply: {error}")))?;
        Ok(Self {
            reply,
            schema,
            encoder: None,
            format,
            encoding,
            compress,
            pending: Vec::new(),
            asked_for_chunks: chunked,
            rows: 0,
        })
    }

    /// The encoder, made for the columns of `first` if it is not there yet.
    fn encoder(&mut self, first: Option<&RecordBatch>) -> Result<&mut Encoder, ExecError> {
        let made = match self.encoder.take() {
            Some(encoder) => encoder,
            None => {
                let fields = self.schema.fields().iter().enumerate().map(|(index, field)| {
                    let data_type = first.map_or(field.data_type(), |batch| batch.column(index).data_type());
                    Field::new(field.name(), data_type.clone(), true)
                });
                let schema = Arc::new(Schema::new(fields.collect::<Vec<_>>()));
                new_encoder(self.format, schema, self.asked_for_chunks).map_err(|error| encode_error(&error))?
            }
        };
        Ok(self.encoder.insert(made))
    }

    fn begin_stream(&mut self) {
        let (format, encoding) = (self.format, self.encoding);
        self.reply.stream(200, |head| {
            let head = head.content_type(format.content_type());
            match encoding {
                Some(encoding) => head.header("Content-Encoding", encoding.token()),
                None => head,
            }
        });
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
    pub async fn end(mut self, outcome: Result<(), ExecError>) -> Result<(), Failure> {
        if let Err(error) = outcome {
            if !self.reply.is_begun() {
                return Err(fault::exec(&error));
            }
            if self.asked_for_chunks {
                let text = format!("Fetch result: {}", execution_words(&error).1);
                // CnosDB's own spacing.
                self.pending =
                    format!("{{\"error_code\": \"040007\", \"error_message\": {}}}", json!(text)).into_bytes();
                if self.send_pending(true).await.is_ok() {
                    self.reply.finish();
                }
            }
            return Ok(());
        }
        let mut pending = std::mem::take(&mut self.pending);
        self.encoder(None).map_err(|error| fault::exec(&error))?.finish(&mut pending);
        self.pending = pending;
        if self.reply.is_begun() || self.asked_for_chunks {
            if !self.reply.is_begun() {
                self.begin_stream();
            }
            if self.send_pending(true).await.is_ok() {
                self.reply.finish();
            }
            return Ok(());
        }
        self.pack(true).map_err(|error| fault::cnos(500, "040014", &format!("cannot compress the reply: {error}")))?;
        let (format, encoding) = (self.format, self.encoding);
        self.reply.send(
            200,
            |head| {
                let head = head.content_type(format.content_type());
                match encoding {
                    Some(encoding) => head.header("Content-Encoding", encoding.token()),
                    None => head,
                }
            },
            &self.pending,
        );
        Ok(())
    }
}

fn new_encoder(format: Format, schema: SchemaRef, chunked: bool) -> Result<Encoder, EncodeError> {
    let encoder = Encoder::new(format, schema)?;
    Ok(if chunked { encoder.array_per_batch() } else { encoder })
}

fn encode_error(error: &EncodeError) -> ExecError {
    ExecError::Execution(format!("cannot write the result: {error}"))
}

impl RowsOut for RowsReply<'_> {
    async fn rows(&mut self, batch: &RecordBatch) -> Result<(), ExecError> {
        self.rows += batch.num_rows() as u64;
        let mut pending = std::mem::take(&mut self.pending);
        let encoded = self.encoder(Some(batch))?.batch(batch, &mut pending).map_err(|error| encode_error(&error));
        self.pending = pending;
        encoded?;
        if self.reply.is_begun() || self.asked_for_chunks || self.pending.len() > WHOLE_BYTES_MAX {
            if !self.reply.is_begun() {
                self.begin_stream();
            }
            self.send_pending(false).await.map_err(|_| ExecError::Cancelled)?;
        }
        Ok(())
    }
}
