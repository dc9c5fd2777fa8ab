//! The samples of one series, kept encoded while they are collected.
//!
//! They come in runs that are each in order; a run may be earlier than one that came before it. Chunks that lie across
//! each other for that reason are written anew at the end.

use super::xor::{XorChunk, XorSamples, XorWriter};

/// See the module.
#[derive(Debug, Default)]
pub struct SampleSeries {
    chunks: Vec<XorChunk>,
    open: Option<XorWriter>,
    /// The last sample, which one of the same time replaces: times are cut to milliseconds.
    last: Option<(i64, u64)>,
    /// Chunks may lie across each other.
    is_disordered: bool,
    bytes: usize,
    samples: u64,
}

impl SampleSeries {
    /// Adds a sample: its time in milliseconds, and the bits of its value.
    pub fn push(&mut self, time: i64, bits: u64) {
        match self.last {
            Some((last, _)) if last == time => self.last = Some((time, bits)),
            Some((last, _)) if last < time => {
                self.write_last();
                self.last = Some((time, bits));
            }
            Some(_) => {
                self.write_last();
                self.cut();
                self.is_disordered = true;
                self.last = Some((time, bits));
            }
            None => self.last = Some((time, bits)),
        }
    }

    fn write_last(&mut self) {
        let Some((time, bits)) = self.last.take() else { return };
        self.samples += 1;
        match &mut self.open {
            Some(open) => open.push(time, bits),
            None => self.open = Some(XorWriter::begin(time, bits)),
        }
        if self.open.as_ref().is_some_and(XorWriter::is_full) {
            self.cut();
        }
    }

    fn cut(&mut self) {
        if let Some(open) = self.open.take() {
            let chunk = open.end();
            self.bytes += chunk.bytes.len() + size_of::<XorChunk>();
            self.chunks.push(chunk);
        }
    }

    /// Bytes that the samples take.
    pub fn bytes(&self) -> usize {
        self.bytes + self.open.as_ref().map_or(0, XorWriter::bytes)
    }

    /// Bytes that [`Self::end`] takes beside these, for a moment.
    pub fn bytes_to_end(&self) -> usize {
        if self.is_disordered { 2 * size_of::<(i64, u64)>() * self.samples as usize + self.bytes } else { 0 }
    }

    /// No more samples come: puts them in order.
    pub fn end(&mut self) {
        self.write_last();
        self.cut();
        if !std::mem::take(&mut self.is_disordered) {
            return;
        }
        self.chunks.sort_by_key(|chunk| chunk.time_min);
        let mut chunks = std::mem::take(&mut self.chunks).into_iter().peekable();
        self.bytes = 0;
        while let Some(chunk) = chunks.next() {
            let mut time_max = chunk.time_max;
            let mut across = Vec::new();
            while let Some(next) = chunks.next_if(|next| next.time_min <= time_max) {
                time_max = time_max.max(next.time_max);
                across.push(next);
            }
            if across.is_empty() {
                self.bytes += chunk.bytes.len() + size_of::<XorChunk>();
                self.chunks.push(chunk);
                continue;
            }
            let all = std::iter::once(&chunk).chain(&across);
            let mut samples: Vec<(i64, u64)> = all.flat_map(|chunk| XorSamples::of(&chunk.bytes)).collect();
            samples.sort_by_key(|(time, _)| *time);
            self.samples = self.samples.saturating_sub(samples.len() as u64);
            for (time, bits) in samples {
                self.push(time, bits);
            }
            self.write_last();
            self.cut();
        }
    }

    /// The chunks, in order; all of them after [`Self::end`].
    pub fn chunks(&self) -> &[XorChunk] {
        &self.chunks
    }

    /// The samples, in order; all of them after [`Self::end`].
    pub fn samples(&self) -> impl Iterator<Item = (i64, u64)> {
        self.chunks.iter().flat_map(|chunk| XorSamples::of(&chunk.bytes))
    }
}
