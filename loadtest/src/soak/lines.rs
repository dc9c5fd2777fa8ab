//! The lines of a fleet's batches, made before the run: a request is then a copy, with its times written over.

use std::io::Write;

use super::fleet::{Batch, LAP, Size, VERSION_TICKS, time_of, value};
use crate::http::Target;
use crate::workload::{CPU_FIELDS, START_NS, Shape, Workload};

/// Digits of a time in nanoseconds.
const STAMP_BYTES: usize = 19;

/// The lines of one tick.
struct Slot {
    body: Vec<u8>,
    /// Offsets of the timestamps.
    stamps: Vec<u32>,
}

/// The lines of a lap.
pub(super) struct Lines {
    size: Size,
    slots: Vec<Slot>,
}

impl Lines {
    pub(super) fn make(size: Size) -> Self {
        // Tags are those of TSBS; the values are this module's own.
        let shape =
            Shape { workload: Workload::Devops, hosts: size.hosts, fields: 0, seed: size.seed, start_ns: START_NS };
        let mut source = shape.rows();
        let tags: Vec<Vec<u8>> = (0..size.hosts)
            .map(|_| {
                let mut line = Vec::new();
                source.next_row(&mut line);
                line.truncate(line.iter().position(|&byte| byte == b' ').map_or(0, |space| space + 1));
                line
            })
            .collect();
        let slots = (0..LAP).map(|tick| Slot::make(&tags, tick, size.seed)).collect();
        Self { size, slots }
    }

    /// Writes the whole request of a batch into `out`.
    pub(super) fn request(&self, target: &Target, path: &str, batch: Batch, out: &mut Vec<u8>) {
        let slot = |tick: u64| &self.slots[((tick + u64::from(batch.version) * VERSION_TICKS) % LAP) as usize];
        let ticks = || self.size.ticks_of(batch.number..batch.number + 1);
        let length = ticks().map(|tick| slot(tick).body.len()).sum();
        out.clear();
        target.post_head(path, None, length, out);
        let mut buffer = itoa::Buffer::new();
        for tick in ticks() {
            let (slot, at) = (slot(tick), out.len());
            out.extend_from_slice(&slot.body);
            let digits = buffer.format(time_of(tick)).as_bytes();
            for &stamp in &slot.stamps {
                let stamp = at + stamp as usize;
                out[stamp..stamp + STAMP_BYTES].copy_from_slice(digits);
            }
        }
    }
}

impl Slot {
    fn make(tags: &[Vec<u8>], tick: u64, seed: u64) -> Self {
        let (mut body, mut stamps) = (Vec::new(), Vec::new());
        for (host, tags) in tags.iter().enumerate() {
            body.extend_from_slice(tags);
            for (field, name) in CPU_FIELDS.iter().enumerate() {
                let comma = if field == 0 { "" } else { "," };
                // Writing into a Vec cannot fail.
                let _ = write!(body, "{comma}{name}={}i", value(seed, host as u64, field, tick, 0));
            }
            body.push(b' ');
            stamps.push(body.len() as u32);
            body.extend_from_slice(&[b'0'; STAMP_BYTES]);
            body.push(b'\n');
        }
        Self { body, stamps }
    }
}
