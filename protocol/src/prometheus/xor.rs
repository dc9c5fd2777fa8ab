//! Prometheus' XOR chunks: samples of a series as differences, bit by bit.
//!
//! ```text
//!   chunk   [count: 16 bits, big-endian] first, second, further …
//!   first   [time: zigzag varint] [value: 64 bits]
//!   second  [time since the first: varint] value
//!   further change of the distance of times: 0 | 10 and 14 bits | 110 and 17 | 1110 and 20 | 1111 and 64, value
//!   value   0 for the same bits as before; else the XOR with them:
//!           10 and its bits between the zeros that the last window left out, or
//!           11, zeros before (5 bits), length (6 bits, 0 for 64), and the bits: a new window
//! ```

use crate::protobuf::push_varint;

/// Samples of a chunk: more would make a reader of one sample decode much, fewer cost room.
const SAMPLES_MAX: u16 = 120;

/// Zeros before a window, as far as 5 bits say it.
const LEADING_MAX: u32 = 31;

/// Widths in which the change of a distance is written, and what stands before it.
const WIDTHS: [(u32, u64, u32); 3] = [(14, 0b10, 2), (17, 0b110, 3), (20, 0b1110, 4)];

/// Encoded samples.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct XorChunk {
    /// Time of the first sample.
    pub time_min: i64,
    /// Time of the last sample.
    pub time_max: i64,
    /// As Prometheus reads them.
    pub bytes: Box<[u8]>,
}

/// The window of bits that was written last; none before the first.
type Window = Option<(u32, u32)>;

/// A chunk being written.
#[derive(Debug)]
pub struct XorWriter {
    bytes: Vec<u8>,
    /// Bits of the last byte that are free.
    free: u32,
    count: u16,
    time_min: i64,
    time: i64,
    distance: u64,
    bits: u64,
    window: Window,
}

impl XorWriter {
    /// A chunk that begins with a sample.
    pub fn begin(time: i64, bits: u64) -> Self {
        let mut bytes = vec![0, 0];
        push_varint(&mut bytes, (time << 1 ^ time >> 63).cast_unsigned());
        bytes.extend_from_slice(&bits.to_be_bytes());
        Self { bytes, free: 0, count: 1, time_min: time, time, distance: 0, bits, window: None }
    }

    /// Whether it has as many samples as a chunk is to have.
    pub fn is_full(&self) -> bool {
        self.count >= SAMPLES_MAX
    }

    /// Bytes that it takes.
    pub fn bytes(&self) -> usize {
        self.bytes.capacity()
    }

    /// Adds a sample, which is later than those before. Not to be called on a full chunk.
    pub fn push(&mut self, time: i64, bits: u64) {
        let distance = time.wrapping_sub(self.time).cast_unsigned();
        if self.count == 1 {
            let mut first = Vec::with_capacity(10);
            push_varint(&mut first, distance);
            for byte in first {
                self.write(u64::from(byte), 8);
            }
        } else {
            let change = distance.wrapping_sub(self.distance).cast_signed();
            match WIDTHS.into_iter().find(|(width, ..)| fits(change, *width)) {
                _ if change == 0 => self.write(0, 1),
                Some((width, mark, mark_width)) => {
                    self.write(mark, mark_width);
                    self.write(change.cast_unsigned(), width);
                }
                None => {
                    self.write(0b1111, 4);
                    self.write(change.cast_unsigned(), 64);
                }
            }
        }
        self.value(bits);
        self.count = self.count.saturating_add(1);
        (self.time, self.distance, self.bits) = (time, distance, bits);
    }

    fn value(&mut self, bits: u64) {
        let changed = bits ^ self.bits;
        if changed == 0 {
            return self.write(0, 1);
        }
        let (leading, trailing) = (changed.leading_zeros().min(LEADING_MAX), changed.trailing_zeros());
        match self.window {
            Some((left, right)) if leading >= left && trailing >= right => {
                self.write(0b10, 2);
                self.write(changed >> right, 64 - left - right);
            }
            _ => {
                let length = 64 - leading - trailing;
                self.window = Some((leading, trailing));
                self.write(0b11, 2);
                self.write(u64::from(leading), 5);
                self.write(u64::from(length), 6);
                self.write(changed >> trailing, length);
            }
        }
    }

    /// Appends the last `count` bits of `value`.
    fn write(&mut self, value: u64, mut count: u32) {
        while count > 0 {
            if self.free == 0 {
                self.bytes.push(0);
                self.free = 8;
            }
            let taken = count.min(self.free);
            let part = value >> (count - taken) & ((1 << taken) - 1);
            if let Some(last) = self.bytes.last_mut() {
                *last |= (part << (self.free - taken)) as u8;
            }
            self.free -= taken;
            count -= taken;
        }
    }

    /// The chunk.
    pub fn end(mut self) -> XorChunk {
        self.bytes[..2].copy_from_slice(&self.count.to_be_bytes());
        XorChunk { time_min: self.time_min, time_max: self.time, bytes: self.bytes.into_boxed_slice() }
    }
}

/// Whether Prometheus writes `change` in `width` bits: from one more than the least number that they hold in two's
/// complement, to one more than the greatest.
fn fits(change: i64, width: u32) -> bool {
    let half = 1_i64 << (width - 1);
    (1 - half..=half).contains(&change)
}

/// The samples of a chunk: times, and the bits of values. Ends at the first thing that cannot be read.
#[derive(Debug, Clone)]
pub struct XorSamples<'c> {
    bytes: &'c [u8],
    /// Bits read.
    at: usize,
    /// Samples still to come, and whether the first is among them.
    left: u16,
    read: u16,
    time: i64,
    distance: u64,
    bits: u64,
    window: Window,
}

impl<'c> XorSamples<'c> {
    /// Of the chunk in `bytes`.
    pub fn of(bytes: &'c [u8]) -> Self {
        let left = bytes.first_chunk().map_or(0, |count| u16::from_be_bytes(*count));
        Self { bytes, at: 16, left, read: 0, time: 0, distance: 0, bits: 0, window: None }
    }

    /// How many samples are still to come.
    pub fn left(&self) -> u16 {
        self.left
    }

    fn read(&mut self, mut count: u32) -> Option<u64> {
        let mut value = 0;
        while count > 0 {
            let (byte, used) = (*self.bytes.get(self.at / 8)?, (self.at % 8) as u32);
            let taken = count.min(8 - used);
            let part = u64::from(byte) >> (8 - used - taken) & ((1 << taken) - 1);
            value = value << taken | part;
            self.at += taken as usize;
            count -= taken;
        }
        Some(value)
    }

    fn varint(&mut self) -> Option<u64> {
        let mut value = 0;
        for shift in (0..64).step_by(7) {
            let byte = self.read(8)?;
            value |= (byte & 0x7f) << shift;
            if byte < 0x80 {
                return Some(value);
            }
        }
        None
    }

    fn change(&mut self) -> Option<i64> {
        let mut ones = 0;
        while ones < 4 && self.read(1)? == 1 {
            ones += 1;
        }
        let Some(wide) = usize::checked_sub(ones, 1) else { return Some(0) };
        let Some(&(width, ..)) = WIDTHS.get(wide) else { return self.read(64).map(u64::cast_signed) };
        let bits = self.read(width)?;
        let is_negative = bits > 1 << (width - 1);
        Some(if is_negative { bits.cast_signed() - (1 << width) } else { bits.cast_signed() })
    }

    fn value(&mut self) -> Option<u64> {
        if self.read(1)? == 0 {
            return Some(self.bits);
        }
        if self.read(1)? == 1 {
            let (leading, length) = (self.read(5)? as u32, self.read(6)? as u32);
            let length = if length == 0 { 64 } else { length };
            self.window = Some((leading, 64_u32.checked_sub(leading + length)?));
        }
        let (left, right) = self.window?;
        Some(self.bits ^ self.read(64 - left - right)? << right)
    }

    fn sample(&mut self) -> Option<(i64, u64)> {
        match self.read {
            0 => {
                let zigzag = self.varint()?;
                self.time = (zigzag >> 1).cast_signed() ^ -(zigzag & 1).cast_signed();
                self.bits = self.read(64)?;
            }
            1 => {
                self.distance = self.varint()?;
                self.time = self.time.wrapping_add(self.distance.cast_signed());
                self.bits = self.value()?;
            }
            _ => {
                let change = self.change()?;
                self.distance = self.distance.wrapping_add(change.cast_unsigned());
                self.time = self.time.wrapping_add(self.distance.cast_signed());
                self.bits = self.value()?;
            }
        }
        self.read = 2.min(self.read + 1);
        Some((self.time, self.bits))
    }
}

impl Iterator for XorSamples<'_> {
    type Item = (i64, u64);

    fn next(&mut self) -> Option<(i64, u64)> {
        self.left = self.left.checked_sub(1)?;
        let sample = self.sample();
        if sample.is_none() {
            self.left = 0;
        }
        sample
    }
}
