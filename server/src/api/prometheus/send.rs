//! Series as the answer to a read.
//!
//! Samples are one block of snappy, whose length stands at its head: so all are found before the first is sent, but a
//! long block is written, compressed and sent piece by piece. Chunks are sent query by query.

use tidewire_protocol::http::ResponseHead;
use tidewire_protocol::prometheus::{
    CHUNKS_TYPE, LabelKey, SAMPLES_TYPE, XorChunk, XorSamples, frame_chunks, push_frame, push_sample, series_bytes,
};
use tidewire_protocol::protobuf::{SnappyWriter, field_bytes, push_header};
use tidewire_sql::exec::ExecError;

use super::found::Found;
use crate::api::fault::Fault;
use crate::api::patience::Patience;
use crate::net::Reply;
use crate::ring::yield_if_needed;

/// A message up to this long is sent whole, so that the reply says how long it is.
const WHOLE_BYTES_MAX: usize = 1 << 20;

/// What is sent at one time of a stream.
const PIECE_BYTES: usize = 64 << 10;

/// The headers of samples: the block is the body's coding.
fn of_samples(head: ResponseHead<'_>) -> ResponseHead<'_> {
    head.content_type(SAMPLES_TYPE).header("Content-Encoding", "snappy")
}

/// An answer under way.
pub(super) struct Sending<'r> {
    reply: &'r mut Reply,
    patience: Patience,
    /// Not sent yet.
    pending: Vec<u8>,
}

/// The lengths of the series of a query's result.
struct Lengths {
    series: Vec<usize>,
    /// Of the whole.
    result: usize,
}

impl<'r> Sending<'r> {
    /// An answer to be sent as `reply`.
    pub(super) fn new(reply: &'r mut Reply, patience: Patience) -> Self {
        Self { reply, patience, pending: Vec::new() }
    }

    /// Sends the samples of all queries.
    pub(super) async fn samples(mut self, results: &[Found]) -> Result<(), Fault> {
        let mut lengths = Vec::with_capacity(results.len());
        for found in results {
            let mut of_series = Vec::new();
            for (labels, series) in found.series() {
                of_series.push(series_bytes(&labels.message(), series));
                yield_if_needed().await;
            }
            let result = of_series.iter().copied().map(field_bytes).sum();
            lengths.push(Lengths { series: of_series, result });
        }
        let bytes = lengths.iter().map(|of| field_bytes(of.result)).sum::<usize>();
        let too_long = |_| ExecError::Execution("the samples come to more than 4 GiB; chunks can be more".to_owned());
        let mut block = SnappyWriter::begin(u32::try_from(bytes).map_err(too_long)?, &mut self.pending);
        let is_whole = bytes <= WHOLE_BYTES_MAX;
        if !is_whole {
            self.reply.stream(200, of_samples);
        }
        for (found, of) in results.iter().zip(&lengths) {
            block.write(|out| push_header(out, 1, of.result), &mut self.pending)?;
            for ((labels, series), length) in found.series().zip(&of.series) {
                let head = |out: &mut Vec<u8>| {
                    push_header(out, 1, *length);
                    out.extend_from_slice(&labels.message());
                };
                block.write(head, &mut self.pending)?;
                for chunk in series.chunks() {
                    let samples = |out: &mut Vec<u8>| {
                        XorSamples::of(&chunk.bytes).for_each(|(time, bits)| push_sample(out, time, bits));
                    };
                    block.write(samples, &mut self.pending)?;
                    if !is_whole {
                        self.send_if_due().await?;
                    }
                    yield_if_needed().await;
                }
            }
        }
        block.end(&mut self.pending)?;
        if !is_whole {
            return self.end().await;
        }
        if !self.reply.has_room(self.pending.len()) {
            let (used_bytes, limit_bytes) = self.reply.memory();
            return Err(ExecError::ServerMemory { used_bytes, limit_bytes }.into());
        }
        self.reply.send(200, of_samples, &self.pending);
        Ok(())
    }

    /// Sends what a query has found, as chunks.
    pub(super) async fn chunks(&mut self, found: &Found, query: usize) -> Result<(), Fault> {
        self.begin_chunks();
        for (labels, series) in found.series() {
            self.frames(labels, series.chunks(), query).await?;
        }
        Ok(())
    }

    /// Begins a stream of chunks, if it is not begun.
    fn begin_chunks(&mut self) {
        if !self.reply.is_begun() {
            self.reply.stream(200, |head| head.content_type(CHUNKS_TYPE));
        }
    }

    async fn frames(&mut self, labels: &LabelKey, mut chunks: &[XorChunk], query: usize) -> Result<(), Fault> {
        while !chunks.is_empty() {
            let (frame, rest) = chunks.split_at(frame_chunks(labels.bytes(), chunks));
            push_frame(&mut self.pending, labels, frame, query);
            chunks = rest;
            self.send_if_due().await?;
            yield_if_needed().await;
        }
        Ok(())
    }

    async fn send_if_due(&mut self) -> Result<(), Fault> {
        if self.pending.len() >= PIECE_BYTES { self.flush().await } else { Ok(()) }
    }

    async fn flush(&mut self) -> Result<(), Fault> {
        let sent = self.patience.during(self.reply.write(&self.pending)).await;
        self.pending.clear();
        sent.map_err(|_| Fault::Query(ExecError::Cancelled))
    }

    /// Ends a stream.
    pub(super) async fn end(mut self) -> Result<(), Fault> {
        self.begin_chunks();
        self.flush().await?;
        self.reply.finish();
        Ok(())
    }
}
