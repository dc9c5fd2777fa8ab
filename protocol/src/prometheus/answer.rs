//! Remote read's answers.
//!
//! ```text
//!   samples  one block of snappy: ReadResponse 1 results*, QueryResult 1 series*, TimeSeries 1 labels* 2 samples*
//!   chunks   frames of [length: varint] [crc32c of the message, big-endian] [message]
//!            ChunkedReadResponse 1 series 2 number of the query, ChunkedSeries 1 labels* 2 chunks*,
//!            Chunk 1 first time 2 last time 3 encoding 4 bytes
//! ```

use super::labels::LabelKey;
use super::series::SampleSeries;
use super::xor::XorChunk;
use crate::protobuf::{field_bytes, push_header, push_varint, varint_bytes};

/// Type of an answer with samples, and its coding.
pub const SAMPLES_TYPE: &str = "application/x-protobuf";
/// Type of an answer with chunks.
pub const CHUNKS_TYPE: &str = "application/x-streamed-protobuf; proto=prometheus.ChunkedReadResponse";

/// Bytes of a frame, about: what Prometheus has, and its clients take.
const FRAME_BYTES: usize = 1 << 20;

/// The number by which messages name XOR chunks.
const XOR: u64 = 1;

/// A series as a message of samples: what it takes.
pub fn series_bytes(labels: &[u8], series: &SampleSeries) -> usize {
    labels.len() + series.samples().map(|(time, _)| field_bytes(sample_bytes(time))).sum::<usize>()
}

/// `1 value 2 time`
fn sample_bytes(time: i64) -> usize {
    1 + 8 + 1 + varint_bytes(time.cast_unsigned())
}

/// Appends a sample of a series.
pub fn push_sample(out: &mut Vec<u8>, time: i64, bits: u64) {
    push_header(out, 2, sample_bytes(time));
    out.push(1 << 3 | 1);
    out.extend_from_slice(&bits.to_le_bytes());
    out.push(2 << 3);
    push_varint(out, time.cast_unsigned());
}

/// How many of a series' chunks stand in one frame, beside labels of this length: at least one.
pub fn frame_chunks(label_bytes: usize, chunks: &[XorChunk]) -> usize {
    let mut left = FRAME_BYTES.saturating_sub(label_bytes);
    let fits = chunks.iter().take_while(|chunk| {
        let bytes = chunk.bytes.len() + 32;
        let fits = bytes <= left;
        left = left.saturating_sub(bytes);
        fits
    });
    fits.count().clamp(1, chunks.len().max(1))
}

/// Appends a frame with chunks of one series.
pub fn push_frame(out: &mut Vec<u8>, labels: &LabelKey, chunks: &[XorChunk], query: usize) {
    let labels = labels.message();
    let bytes = |chunk: &XorChunk| {
        let (first, last) = (chunk.time_min.cast_unsigned(), chunk.time_max.cast_unsigned());
        1 + varint_bytes(first) + 1 + varint_bytes(last) + 2 + field_bytes(chunk.bytes.len())
    };
    let series = labels.len() + chunks.iter().map(|chunk| field_bytes(bytes(chunk))).sum::<usize>();
    let mut message = Vec::with_capacity(series + 32);
    push_header(&mut message, 1, series);
    message.extend_from_slice(&labels);
    for chunk in chunks {
        push_header(&mut message, 2, bytes(chunk));
        message.push(1 << 3);
        push_varint(&mut message, chunk.time_min.cast_unsigned());
        message.push(2 << 3);
        push_varint(&mut message, chunk.time_max.cast_unsigned());
        message.push(3 << 3);
        push_varint(&mut message, XOR);
        push_header(&mut message, 4, chunk.bytes.len());
        message.extend_from_slice(&chunk.bytes);
    }
    message.push(2 << 3);
    push_varint(&mut message, query as u64);
    push_varint(out, message.len() as u64);
    out.extend_from_slice(&crc32c::crc32c(&message).to_be_bytes());
    out.append(&mut message);
}
