//! Integers (and anything that is 64 bits wide): vectors of up to [`VECTOR`] words, each stored as it packs best.
//!
//! Guarantee: any sequence of words comes back exactly; all arithmetic wraps, so i64 and u64 are the same here.
//!
//! One vector is
//!
//! ```text
//! order u8 | width u8 | exception bytes u8 | 0 | exceptions u16 | 0 u16 | first u64 | base u64
//! packed words, `width` bits for each value
//! position u16 of each exception, then the value of each in `exception bytes` bytes, padded to 8
//! ```
//!
//! 1. `order` says what is packed: the words (0), their differences (1) or the differences of those (2). Differencing
//!    starts anew in every vector from `first`, so vectors decode independently.
//! 2. What is packed is `word - base`, `width` bits of it. Words that do not fit (a counter's reset, the first row of
//!    the next series among small differences) are exceptions, kept apart as signed distance to `base`.
//! 3. Constants need no codec of their own: they are width 0 with order 0.
//! 4. Order 3 is words that seldom change, as [`runs`].
//!
//! [`fit`] decides base, width and exceptions, [`choose`] the order. Plain words win unless differences save an
//! eighth: they decode faster and a single row can be had alone.

use std::ops::Range;

use super::pack::{bits, pack, packed_bytes, unpack, unpack_one};
use super::runs::{self, Runs};
use super::vectors::{HEADER_BYTES, VectorBuffer, decode_vectors, pick_vectors};
use super::{Cursor, Damaged, Decoded, Effort, Transform, VECTOR};

/// How one vector's words are packed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fit {
    /// Taken off every word.
    pub base: u64,
    /// Bits kept of each word.
    pub width: u32,
    /// Words that do not fit.
    pub exceptions: usize,
    /// Bytes of one exception's distance to `base`.
    pub exception_bytes: u32,
    /// Size of the vector.
    pub bytes: usize,
}

/// How one vector is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Packing {
    /// How often differences are taken.
    pub order: u8,
    /// How what remains is packed.
    pub fit: Fit,
}

/// Memory for the differences of a vector, kept between calls.
#[derive(Debug, Default)]
pub struct Scratch {
    /// How dear decoding may become for size.
    pub(crate) effort: Effort,
    /// What is asked for instead of the smallest.
    pub(crate) transform: Transform,
    first_order: Vec<u64>,
    second_order: Vec<u64>,
    runs: runs::RunLengths,
}

fn zigzag(value: u64) -> u64 {
    (value << 1) ^ (((value as i64) >> 63) as u64)
}

fn vector_bytes(values: usize, width: u32, exceptions: usize, exception_bytes: u32) -> usize {
    HEADER_BYTES + packed_bytes(values, width) + (exceptions * (2 + exception_bytes as usize)).next_multiple_of(8)
}

/// The cheapest packing of `words`: the exact range, or a window around the middle with exceptions outside.
pub fn fit(words: &[u64]) -> Fit {
    let (mut min, mut max) = (i64::MAX, i64::MIN);
    for &word in words {
        min = min.min(word as i64);
        max = max.max(word as i64);
    }
    if words.is_empty() {
        return Fit { base: 0, width: 0, exceptions: 0, exception_bytes: 0, bytes: HEADER_BYTES };
    }
    let width = bits(max.wrapping_sub(min) as u64);
    let range = Fit {
        base: min as u64,
        width,
        exceptions: 0,
        exception_bytes: 0,
        bytes: vector_bytes(words.len(), width, 0, 0),
    };
    if width == 0 {
        return range;
    }
    let center = middle(words);
    // counts[w]: words whose distance to the centre needs exactly w bits as a signed number.
    let mut counts = [0usize; 65];
    for word in words {
        counts[bits(zigzag(word.wrapping_sub(center))) as usize] += 1;
    }
    let widest = (0..=64u32).rev().find(|&w| counts[w as usize] > 0).unwrap_or(0);
    // The distance to `base` = centre - 2^(w - 1) can need one bit more than the distance to the centre.
    let exception_bytes = (widest + 1).div_ceil(8).min(8);
    let mut best = range;
    let mut exceptions = 0;
    for width in (0..widest).rev() {
        exceptions += counts[width as usize + 1];
        if exceptions * 2 > words.len() {
            break;
        }
        let bytes = vector_bytes(words.len(), width, exceptions, exception_bytes);
        if bytes < best.bytes {
            let half = if width == 0 { 0 } else { 1u64 << (width - 1) };
            best = Fit { base: center.wrapping_sub(half), width, exceptions, exception_bytes, bytes };
        }
    }
    best
}

/// A typical word: the median of a sample.
fn middle(words: &[u64]) -> u64 {
    /// Enough that a few outliers do not carry the median away.
    const SAMPLE: usize = 33;
    let mut sample = [0u64; SAMPLE];
    let taken = words.len().min(SAMPLE);
    for (i, slot) in sample[..taken].iter_mut().enumerate() {
        *slot = words[i * words.len() / taken];
    }
    let sample = &mut sample[..taken];
    sample.sort_unstable_by_key(|word| *word as i64);
    sample[taken / 2]
}

fn differences(words: &[u64], out: &mut Vec<u64>) {
    out.clear();
    out.push(0);
    out.extend(words.windows(2).map(|pair| pair[1].wrapping_sub(pair[0])));
}

/// Whether differences of `bytes` are worth their slower decoding against `plain`: for an eighth less, and for a
/// sixteenth where data is cold. (A quarter left two-decimal walks plain once a merge had put a vector's worth of a
/// series side by side, a seventh larger than they need be.)
fn pays(effort: Effort, bytes: usize, plain: usize) -> bool {
    match effort {
        Effort::Fast => bytes * 8 <= plain * 7,
        Effort::Hard => bytes * 16 <= plain * 15,
    }
}

/// Decides how to store `words`; leaves what is to be packed in `scratch` when the order is not 0.
pub fn choose(words: &[u64], scratch: &mut Scratch) -> Packing {
    match scratch.transform {
        Transform::Stored => {
            let bytes = vector_bytes(words.len(), 64, 0, 0);
            return Packing { order: 0, fit: Fit { base: 0, width: 64, exceptions: 0, exception_bytes: 0, bytes } };
        }
        Transform::Differences => {
            differences(words, &mut scratch.first_order);
            return Packing { order: 1, fit: fit(&scratch.first_order) };
        }
        Transform::SecondDifferences => {
            differences(words, &mut scratch.first_order);
            differences(&scratch.first_order, &mut scratch.second_order);
            return Packing { order: 2, fit: fit(&scratch.second_order) };
        }
        Transform::Sampled | Transform::FloatBits | Transform::Bits => {}
    }
    let plain = Packing { order: 0, fit: fit(words) };
    if words.len() < 4 || plain.fit.width == 0 && plain.fit.exceptions == 0 {
        return plain;
    }
    let packed = choose_packed(words, plain, scratch);
    match scratch.runs.look(words) {
        // As for cold data: runs decode as fast.
        Some(bytes) if pays(Effort::Hard, bytes, packed.fit.bytes) => {
            Packing { order: runs::ORDER, fit: Fit { base: 0, width: 0, exceptions: 0, exception_bytes: 0, bytes } }
        }
        _ => packed,
    }
}

/// The best of the words themselves, which would be packed as `plain`, and their differences.
fn choose_packed(words: &[u64], plain: Packing, scratch: &mut Scratch) -> Packing {
    differences(words, &mut scratch.first_order);
    let first_order = Packing { order: 1, fit: fit(&scratch.first_order) };
    let best = if pays(scratch.effort, first_order.fit.bytes, plain.fit.bytes) { first_order } else { plain };
    if first_order.fit.width < 4 {
        // Second differences of small first differences are wider than they: noise, not a trend.
        return best;
    }
    differences(&scratch.first_order, &mut scratch.second_order);
    let second_order = Packing { order: 2, fit: fit(&scratch.second_order) };
    if pays(scratch.effort, second_order.fit.bytes, best.fit.bytes) { second_order } else { best }
}

/// Appends a block of any number of words.
pub fn encode(words: &[u64], scratch: &mut Scratch, out: &mut Vec<u8>) {
    for vector in words.chunks(VECTOR) {
        encode_vector(vector, scratch, out);
    }
}

/// Appends one vector of at most [`VECTOR`] words.
pub fn encode_vector(words: &[u64], scratch: &mut Scratch, out: &mut Vec<u8>) {
    debug_assert!(words.len() <= VECTOR, "one vector at a time");
    let choice = choose(words, scratch);
    let start = out.len();
    if choice.order == runs::ORDER {
        scratch.runs.encode(out);
        debug_assert_eq!(out.len() - start, choice.fit.bytes, "looking promised this size");
        return;
    }
    let Fit { base, width, exceptions, exception_bytes, bytes } = choice.fit;
    out.extend_from_slice(&[choice.order, width as u8, exception_bytes as u8, 0]);
    out.extend_from_slice(&(exceptions as u32).to_le_bytes());
    out.extend_from_slice(&words.first().copied().unwrap_or(0).to_le_bytes());
    out.extend_from_slice(&base.to_le_bytes());
    let packed = match choice.order {
        0 => words,
        1 => &scratch.first_order,
        _ => &scratch.second_order,
    };
    pack(packed, base, width, out);
    if exceptions > 0 {
        let fits = |word: u64| width >= 64 || word.wrapping_sub(base) >> width == 0;
        for (position, word) in packed.iter().enumerate() {
            if !fits(*word) {
                out.extend_from_slice(&(position as u16).to_le_bytes());
            }
        }
        for word in packed {
            if !fits(*word) {
                out.extend_from_slice(&word.wrapping_sub(base).to_le_bytes()[..exception_bytes as usize]);
            }
        }
        super::pad(out, start);
    }
    debug_assert_eq!(out.len() - start, bytes, "fit promised this size");
}

/// One vector as it stands in a block.
#[derive(Debug, Clone, Copy)]
enum Stored<'a> {
    Packed(Vector<'a>),
    Runs(Runs<'a>),
}

impl<'a> Stored<'a> {
    fn read(cursor: &mut Cursor<'a>, values: usize) -> Decoded<Self> {
        match cursor.rest.first() {
            Some(&runs::ORDER) => Runs::read(cursor, values).map(Self::Runs),
            _ => Vector::read(cursor, values).map(Self::Packed),
        }
    }
}

/// One vector of packed words.
#[derive(Debug, Clone, Copy)]
struct Vector<'a> {
    order: u8,
    width: u32,
    first: u64,
    base: u64,
    packed: &'a [u8],
    positions: &'a [u8],
    distances: &'a [u8],
    exception_bytes: usize,
}

impl<'a> Vector<'a> {
    fn read(cursor: &mut Cursor<'a>, values: usize) -> Decoded<Self> {
        let [order, width, exception_bytes, _] = cursor.array()?;
        let exceptions = cursor.u32()? as usize;
        let first = cursor.u64()?;
        let base = cursor.u64()?;
        let (width, exception_bytes) = (u32::from(width), usize::from(exception_bytes));
        if order > 2 || width > 64 || exception_bytes > 8 || exceptions > values {
            return Err(Damaged("integer vector has an impossible header"));
        }
        let packed = cursor.take(packed_bytes(values, width))?;
        let tail = cursor.take((exceptions * (2 + exception_bytes)).next_multiple_of(8))?;
        let (positions, rest) = tail.split_at(exceptions * 2);
        let distances = &rest[..exceptions * exception_bytes];
        Ok(Self { order, width, first, base, packed, positions, distances, exception_bytes })
    }

    fn decode(&self, out: &mut [u64]) -> Decoded<()> {
        unpack(self.packed, self.base, self.width, out)?;
        if !self.positions.is_empty() {
            self.patch(out)?;
        }
        for left in (0..self.order).rev() {
            // The first difference of every order is 0; the last sum starts from the first word itself.
            if let (0, Some(start)) = (left, out.first_mut()) {
                *start = self.first;
            }
            prefix_sums(out);
        }
        Ok(())
    }

    fn patch(&self, out: &mut [u64]) -> Decoded<()> {
        let (positions, _) = self.positions.as_chunks::<2>();
        let spare = 64 - 8 * self.exception_bytes as u32;
        for (i, position) in positions.iter().enumerate() {
            let mut distance = [0u8; 8];
            let from = i * self.exception_bytes;
            distance[..self.exception_bytes].copy_from_slice(&self.distances[from..from + self.exception_bytes]);
            let distance = if spare >= 64 { 0 } else { (u64::from_le_bytes(distance) << spare) as i64 >> spare };
            let word = out
                .get_mut(usize::from(u16::from_le_bytes(*position)))
                .ok_or(Damaged("integer vector has an exception past its end"))?;
            *word = self.base.wrapping_add(distance as u64);
        }
        Ok(())
    }
}

impl Vector<'_> {
    /// Appends the words at `rows`, ascending places in the vector, of which `buffer` has the length.
    fn pick(&self, rows: impl Iterator<Item = usize>, buffer: &mut [u64], out: &mut Vec<u64>) -> Decoded<()> {
        const PAST: Damaged = Damaged("row wanted past the end of a vector");
        if self.order == 0 && self.positions.is_empty() {
            for row in rows {
                out.push(unpack_one(self.packed, self.base, self.width, buffer.len(), row)?);
            }
            return Ok(());
        }
        if self.order != 1 {
            self.decode(buffer)?;
            for row in rows {
                out.push(*buffer.get(row).ok_or(PAST)?);
            }
            return Ok(());
        }
        // Sums from one wanted row to the next are cheaper than all running sums.
        unpack(self.packed, self.base, self.width, buffer)?;
        self.patch(buffer)?;
        let (mut word, mut next) = (self.first, 1);
        for row in rows {
            if row >= next {
                let gaps = buffer.get(next..=row).ok_or(PAST)?;
                word = gaps.iter().fold(word, |sum, gap| sum.wrapping_add(*gap));
                next = row + 1;
            }
            out.push(word);
        }
        Ok(())
    }
}

/// Reads one vector of `values` words and appends those at `rows`, ascending places in it.
pub(crate) fn pick_vector(
    cursor: &mut Cursor<'_>,
    values: usize,
    rows: impl Iterator<Item = usize>,
    buffer: &mut VectorBuffer,
    out: &mut Vec<u64>,
) -> Decoded<()> {
    let buffer = buffer.get_mut(..values).ok_or(Damaged("vector is too long"))?;
    match Stored::read(cursor, values)? {
        Stored::Packed(vector) => vector.pick(rows, buffer, out),
        Stored::Runs(runs) => runs.pick(values, rows, out),
    }
}

/// Appends the words at the ascending `rows` of a block of `total` to `out`.
pub(crate) fn pick(cursor: &mut Cursor<'_>, total: usize, rows: &[u32], out: &mut Vec<u64>) -> Decoded<()> {
    let mut buffer = [0; VECTOR];
    pick_vectors(total, rows, |length, start, here| match here {
        [] => skip_vector(cursor, length),
        _ => pick_vector(cursor, length, here.iter().map(|row| *row as usize - start), &mut buffer, out),
    })
}

/// Running sums, wrapping, in place.
fn prefix_sums(words: &mut [u64]) {
    let mut sum = 0u64;
    for word in words {
        sum = sum.wrapping_add(*word);
        *word = sum;
    }
}

/// Decodes one vector of `out.len()` words.
pub(crate) fn decode_vector(cursor: &mut Cursor<'_>, out: &mut [u64]) -> Decoded<()> {
    match Stored::read(cursor, out.len())? {
        Stored::Packed(vector) => vector.decode(out),
        Stored::Runs(runs) => runs.decode(out),
    }
}

/// Skips one vector of `values` words.
pub(crate) fn skip_vector(cursor: &mut Cursor<'_>, values: usize) -> Decoded<()> {
    Stored::read(cursor, values).map(|_| ())
}

/// Appends the values `wanted` of a block of `total` words to `out`; other vectors are not decoded.
pub(crate) fn decode(cursor: &mut Cursor<'_>, total: usize, wanted: Range<usize>, out: &mut Vec<u64>) -> Decoded<()> {
    decode_vectors(total, wanted, out, |slice| match slice {
        Some(out) => decode_vector(cursor, out),
        None => skip_vector(cursor, VECTOR),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn round_trip(words: &[u64]) -> usize {
        let mut bytes = vec![0xee; 3];
        encode(words, &mut Scratch::default(), &mut bytes);
        let bytes = &bytes[3..];
        let mut cursor = Cursor::new(bytes);
        let mut back = Vec::new();
        decode(&mut cursor, words.len(), 0..words.len(), &mut back).unwrap();
        assert_eq!(back, words);
        assert!(cursor.rest().is_empty());
        bytes.len()
    }

    fn shapes(rng: &mut fastrand::Rng, length: usize) -> Vec<Vec<u64>> {
        let walk = |rng: &mut fastrand::Rng, step: i64| {
            let mut at = rng.i64(..);
            (0..length)
                .map(|_| {
                    at = at.wrapping_add(rng.i64(-step..=step));
                    at as u64
                })
                .collect::<Vec<_>>()
        };
        vec![
            vec![rng.u64(..); length],
            (0..length).map(|_| rng.u64(..)).collect(),
            (0..length).map(|_| rng.u64(0..100)).collect(),
            (0..length as u64).map(|i| i * 10_000_000_000).collect(),
            (0..length as u64).map(|i| u64::MAX - i * i).collect(),
            walk(rng, 2),
            walk(rng, 1 << 40),
            (0..length).map(|_| if rng.u8(..) == 0 { rng.u64(..) } else { 7 }).collect(),
            (0..length).map(|i| if i % 300 == 0 { i as u64 } else { (i / 300) as u64 }).collect(),
            (0..length).map(|_| [i64::MIN, i64::MAX, 0, -1][rng.usize(0..4)] as u64).collect(),
        ]
    }

    #[test]
    fn shapes_round_trip() {
        for seed in crate::testing::seeds() {
            let mut rng = fastrand::Rng::with_seed(seed);
            for length in [0, 1, 2, 3, 17, 255, 256, 1023, 1024, 1025, 4096, 5000] {
                for (shape, words) in shapes(&mut rng, length).iter().enumerate() {
                    let bytes = round_trip(words);
                    assert!(
                        bytes <= words.len() * 8 + 24 * length.div_ceil(VECTOR) + 128,
                        "seed {seed} shape {shape} length {length}: {bytes} bytes"
                    );
                }
            }
        }
    }

    #[test]
    fn sizes_follow_the_shape() {
        let constant = round_trip(&[42; 4096]);
        assert_eq!(constant, 4 * HEADER_BYTES);
        let line: Vec<u64> = (0..4096).map(|i| 1_600_000_000 + i * 10).collect();
        assert!(round_trip(&line) <= 4 * (HEADER_BYTES + 16));
        // A random walk by 16 series of 256 rows: differences of 3 bits, series starts as exceptions.
        let mut rng = fastrand::Rng::with_seed(1);
        let mut walk = Vec::new();
        for _ in 0..16 {
            let mut at = rng.i64(0..100);
            for _ in 0..256 {
                walk.push(at as u64);
                at = (at + rng.i64(-3..=3)).clamp(0, 100);
            }
        }
        assert!(round_trip(&walk) < 4096 / 2);
        // Uniform values have no differences worth taking: random access stays.
        let uniform: Vec<u64> = (0..1024).map(|_| rng.u64(0..100)).collect();
        assert_eq!(choose(&uniform, &mut Scratch::default()).order, 0);
    }

    #[test]
    fn any_range_decodes_alone() {
        let mut rng = fastrand::Rng::with_seed(2);
        for words in shapes(&mut rng, 4000) {
            let mut bytes = Vec::new();
            encode(&words, &mut Scratch::default(), &mut bytes);
            for _ in 0..50 {
                let from = rng.usize(0..=4000);
                let to = rng.usize(from..=4000);
                let mut back = vec![9];
                decode(&mut Cursor::new(&bytes), 4000, from..to, &mut back).unwrap();
                assert_eq!(back[0], 9);
                assert_eq!(back[1..], words[from..to]);
            }
            for wanted in [1, 10, 1000] {
                let mut rows: Vec<u32> = (0..wanted).map(|_| rng.u32(0..4000)).collect();
                rows.sort_unstable();
                rows.dedup();
                let mut picked = Vec::new();
                pick(&mut Cursor::new(&bytes), 4000, &rows, &mut picked).unwrap();
                assert_eq!(picked, rows.iter().map(|row| words[*row as usize]).collect::<Vec<_>>());
            }
            assert!(pick(&mut Cursor::new(&bytes), 4000, &[4000], &mut Vec::new()).is_err());
            assert!(decode(&mut Cursor::new(&bytes), 4000, 10..4001, &mut Vec::new()).is_err());
        }
    }

    #[test]
    fn damage_is_an_error_or_other_values_never_a_panic() {
        for seed in crate::testing::seeds() {
            let mut rng = fastrand::Rng::with_seed(seed);
            for words in shapes(&mut rng, 1500) {
                let mut bytes = Vec::new();
                encode(&words, &mut Scratch::default(), &mut bytes);
                for _ in 0..40 {
                    let mut hurt = bytes.clone();
                    // Headers are where damage hurts; aim half of the flips there.
                    let at = if rng.bool() { rng.usize(0..HEADER_BYTES) } else { rng.usize(0..hurt.len()) };
                    hurt[at] ^= 1 << rng.u32(0..8);
                    let mut back = Vec::new();
                    let _ = decode(&mut Cursor::new(&hurt), words.len(), 0..words.len(), &mut back);
                    hurt.truncate(rng.usize(0..hurt.len()));
                    back.clear();
                    let short = decode(&mut Cursor::new(&hurt), words.len(), 0..words.len(), &mut back);
                    assert!(short.is_err() || back.len() == words.len(), "seed {seed}");
                }
            }
        }
    }
}
