//! Floats: decimals as scaled integers, anything else as the integer of its bits.
//!
//! Guarantee: every bit pattern comes back: -0.0, infinities, NaN payloads.
//!
//! Most measured floats were decimals once. Following ALP (Afroozeh, Kuffo, Boncz 2023), a vector has exponents
//! `e >= f` such that for nearly all its values
//!
//! ```text
//! d = round(v * 10^e * 10^-f)     and     d * 10^f * 10^-e == v, bit for bit
//! ```
//!
//! so `d`, a small integer, is stored by [`integer`](super::integer), and decoding is one conversion and two
//! multiplications. Values for which it does not hold are exceptions, kept as they are. Where too many do not hold,
//! the bits of the values are stored as integers: neighbours share sign, exponent and the top of the mantissa.
//!
//! A vector is `e u8 (or 255: bits) | f u8 | 0 u16 | exceptions u32`, the integer vector, then for ALP the exceptions:
//! positions as u16 padded to 8, and values of 8 bytes.
//!
//! Which `(e, f)` fits is found by trial on a sample; neighbouring vectors mostly share it, so [`Search`] remembers the
//! last hit, and after misses looks only now and then.
#![cfg_attr(
    target_arch = "x86_64",
    expect(unsafe_code, reason = "entering a function compiled for CPU features found at run time")
)]

use std::ops::Range;

use super::integer::{Scratch, encode_vector, skip_vector};
use super::vectors::{decode_vectors, pick_vectors};
use super::{Cursor, Damaged, Decoded, Effort, Transform, VECTOR, integer};

/// Powers of ten that are exact as f64 reach 10^22; products beyond 10^18 leave i64.
const EXPONENT_MAX: usize = 18;

/// In place of `e`: the integers are the bits of the values.
pub(super) const BITS: u8 = 255;

const POWERS: [f64; EXPONENT_MAX + 1] =
    [1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18];
const INVERSES: [f64; EXPONENT_MAX + 1] = [
    1e0, 1e-1, 1e-2, 1e-3, 1e-4, 1e-5, 1e-6, 1e-7, 1e-8, 1e-9, 1e-10, 1e-11, 1e-12, 1e-13, 1e-14, 1e-15, 1e-16, 1e-17,
    1e-18,
];

/// Adding and taking off 1.5 * 2^52 rounds to an integer, for magnitudes below 2^51.
const ROUND: f64 = 6_755_399_441_055_744.0;
const ROUND_MAX: f64 = 2_251_799_813_685_248.0;

/// A pair of exponents.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Scale {
    e: u8,
    f: u8,
}

impl Scale {
    #[inline(always)]
    fn encode(self, value: f64) -> f64 {
        let scaled = value * POWERS[usize::from(self.e)] * INVERSES[usize::from(self.f)];
        (scaled + ROUND) - ROUND
    }

    #[inline(always)]
    fn decode(self, digits: i64) -> f64 {
        digits as f64 * POWERS[usize::from(self.f)] * INVERSES[usize::from(self.e)]
    }

    /// The integer that stands for `value`, if one does.
    #[inline(always)]
    fn digits(self, value: f64) -> Option<i64> {
        let rounded = self.encode(value);
        let digits = rounded as i64;
        (rounded.abs() < ROUND_MAX && self.decode(digits).to_bits() == value.to_bits()).then_some(digits)
    }
}

/// What one vector says about the next of the same column.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Hints {
    last: Option<Scale>,
    misses: u32,
}

/// What is remembered from vector to vector of one column.
#[derive(Debug, Default)]
pub struct Search {
    pub(crate) hints: Hints,
    pub(crate) effort: Effort,
    digits: Vec<u64>,
    exceptions: Vec<(u16, u64)>,
    encoded: Vec<u8>,
}

impl Search {
    /// The scale that suits most of a sample of `words` (bits of floats), if any suits enough.
    fn scale(&mut self, words: &[u64]) -> Option<Scale> {
        /// Enough to tell a scale that holds for nine values in ten from one that does not.
        const SAMPLE: usize = 32;
        /// After misses, only each eighth vector is searched: the search costs as much as encoding the vector.
        const RETRY: u32 = 8;
        let mut sample = [0f64; SAMPLE];
        let taken = words.len().min(SAMPLE);
        for (i, slot) in sample[..taken].iter_mut().enumerate() {
            *slot = f64::from_bits(words[i * words.len() / taken]);
        }
        let sample = &sample[..taken];
        let misfits = |scale: Scale, bound: usize| {
            let mut misfits = 0;
            for value in sample {
                misfits += usize::from(scale.digits(*value).is_none());
                if misfits > bound {
                    break;
                }
            }
            misfits
        };
        let bound = taken / 8;
        if let Some(last) = self.hints.last
            && misfits(last, bound) <= taken / 16
        {
            return Some(last);
        }
        if !self.hints.misses.is_multiple_of(RETRY) && self.effort == Effort::Fast {
            self.hints.misses += 1;
            return None;
        }
        let mut best = None;
        let mut least = bound + 1;
        // High exponents first: they hold for the longest decimals, and `f` then takes the zeros off again, the more
        // the better, so that digits are small.
        for e in (0..=EXPONENT_MAX as u8).rev() {
            for f in (0..=e).rev() {
                let scale = Scale { e, f };
                let found = misfits(scale, least);
                let better = found < least
                    || found == least && best.is_some_and(|best: Scale| scale.e - scale.f < best.e - best.f);
                if better && found <= bound {
                    least = found;
                    best = Some(scale);
                }
            }
        }
        self.hints.misses = if best.is_some() { 0 } else { self.hints.misses + 1 };
        self.hints.last = best;
        best
    }

    /// Fills `digits` and `exceptions`.
    fn split(&mut self, words: &[u64], scale: Scale) {
        self.digits.clear();
        self.exceptions.clear();
        let mut previous = 0;
        for (position, word) in words.iter().enumerate() {
            match scale.digits(f64::from_bits(*word)) {
                Some(digits) => previous = digits as u64,
                None => self.exceptions.push((position as u16, *word)),
            }
            self.digits.push(previous);
        }
    }
}

/// Appends a block of floats, given as bits.
pub fn encode(words: &[u64], search: &mut Search, scratch: &mut Scratch, out: &mut Vec<u8>) {
    for vector in words.chunks(VECTOR) {
        let header = out.len();
        out.extend_from_slice(&[BITS, 0, 0, 0, 0, 0, 0, 0]);
        let as_bits = matches!(scratch.transform, Transform::FloatBits | Transform::Stored);
        let scale = if as_bits { None } else { search.scale(vector) };
        let Some(scale) = scale else {
            encode_vector(vector, scratch, out);
            continue;
        };
        search.split(vector, scale);
        out[header..header + 2].copy_from_slice(&[scale.e, scale.f]);
        out[header + 4..header + 8].copy_from_slice(&(search.exceptions.len() as u32).to_le_bytes());
        encode_vector(&search.digits, scratch, out);
        for (position, _) in &search.exceptions {
            out.extend_from_slice(&position.to_le_bytes());
        }
        super::pad(out, header);
        for (_, word) in &search.exceptions {
            out.extend_from_slice(&word.to_le_bytes());
        }
        let decimal = out.len() - header;
        if decimal > vector.len() * 6 {
            // Long digits or many exceptions: perhaps the plain bits are smaller.
            search.encoded.clear();
            search.encoded.extend_from_slice(&[BITS, 0, 0, 0, 0, 0, 0, 0]);
            encode_vector(vector, scratch, &mut search.encoded);
            if search.encoded.len() < decimal {
                out.truncate(header);
                out.extend_from_slice(&search.encoded);
            }
        }
    }
}

/// Appends the values `wanted` of a block of `total` floats to `out`, as bits.
pub(crate) fn decode(cursor: &mut Cursor<'_>, total: usize, wanted: Range<usize>, out: &mut Vec<u64>) -> Decoded<()> {
    decode_vectors(total, wanted, out, |slice| {
        let [e, f, ..] = cursor.array::<4>()?;
        let exceptions = cursor.u32()? as usize;
        let values = slice.as_ref().map_or(VECTOR, |slice| slice.len());
        if exceptions > values || e != BITS && (usize::from(e) > EXPONENT_MAX || f > e) {
            return Err(Damaged("float vector has an impossible header"));
        }
        let Some(slice) = slice else {
            skip_vector(cursor, values)?;
            cursor.take((exceptions * 2).next_multiple_of(8) + exceptions * 8)?;
            return Ok(());
        };
        integer::decode_vector(cursor, slice)?;
        if e == BITS {
            return Ok(());
        }
        to_floats(Scale { e, f }, slice);
        let positions = cursor.take((exceptions * 2).next_multiple_of(8))?;
        let (values, _) = cursor.take(exceptions * 8)?.as_chunks::<8>();
        let (positions, _) = positions.as_chunks::<2>();
        for (position, value) in positions.iter().zip(values) {
            let word = slice
                .get_mut(usize::from(u16::from_le_bytes(*position)))
                .ok_or(Damaged("float vector has an exception past its end"))?;
            *word = u64::from_le_bytes(*value);
        }
        Ok(())
    })
}

/// Appends the values at the ascending `rows` of a block of `total` floats to `out`, as bits.
pub(crate) fn pick(cursor: &mut Cursor<'_>, total: usize, rows: &[u32], out: &mut Vec<u64>) -> Decoded<()> {
    let mut buffer = [0; VECTOR];
    pick_vectors(total, rows, |length, start, here| {
        let [e, f, ..] = cursor.array::<4>()?;
        let exceptions = cursor.u32()? as usize;
        if exceptions > length || e != BITS && (usize::from(e) > EXPONENT_MAX || f > e) {
            return Err(Damaged("float vector has an impossible header"));
        }
        let picked = out.len();
        integer::pick_vector(cursor, length, here.iter().map(|row| *row as usize - start), &mut buffer, out)?;
        let positions = cursor.take((exceptions * 2).next_multiple_of(8))?;
        let (values, _) = cursor.take(exceptions * 8)?.as_chunks::<8>();
        if e == BITS {
            return Ok(());
        }
        to_floats(Scale { e, f }, &mut out[picked..]);
        let (positions, _) = positions.as_chunks::<2>();
        for (position, value) in positions.iter().zip(values) {
            let row = start as u32 + u32::from(u16::from_le_bytes(*position));
            if let Ok(at) = here.binary_search(&row) {
                out[picked + at] = u64::from_le_bytes(*value);
            }
        }
        Ok(())
    })
}

/// Digits to the bits of their values, in place.
fn to_floats(scale: Scale, words: &mut [u64]) {
    #[cfg(target_arch = "x86_64")]
    if is_x86_feature_detected!("avx512f") && is_x86_feature_detected!("avx512dq") {
        // SAFETY: the CPU has AVX-512F and DQ, the only requirement of the callee.
        return unsafe { to_floats_avx512(scale, words) };
    }
    to_floats_anywhere(scale, words);
}

/// AVX-512DQ converts 64-bit integers in one instruction, which halves the cost.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f,avx512dq")]
fn to_floats_avx512(scale: Scale, words: &mut [u64]) {
    to_floats_anywhere(scale, words);
}

#[inline(always)]
fn to_floats_anywhere(scale: Scale, words: &mut [u64]) {
    let (power, inverse) = (POWERS[usize::from(scale.f)], INVERSES[usize::from(scale.e)]);
    for word in words {
        *word = (*word as i64 as f64 * power * inverse).to_bits();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn round_trip(values: &[f64]) -> usize {
        let words: Vec<u64> = values.iter().map(|v| v.to_bits()).collect();
        let mut bytes = Vec::new();
        encode(&words, &mut Search::default(), &mut Scratch::default(), &mut bytes);
        let mut cursor = Cursor::new(&bytes);
        let mut back = Vec::new();
        decode(&mut cursor, words.len(), 0..words.len(), &mut back).unwrap();
        assert_eq!(back, words);
        assert!(cursor.rest().is_empty());
        bytes.len()
    }

    #[test]
    fn decimals_become_small_and_everything_comes_back() {
        for seed in crate::testing::seeds() {
            let mut rng = fastrand::Rng::with_seed(seed);
            let decimals: Vec<f64> = (0..4000).map(|_| f64::from(rng.i32(0..10_000)) / 100.0).collect();
            let bytes = round_trip(&decimals);
            assert!(bytes < 4000 * 2, "seed {seed}: 14 bits a value, got {bytes} bytes");
            let mixed: Vec<f64> = (0..3000)
                .map(|i| match rng.u32(0..12) {
                    0 => f64::NAN,
                    1 => f64::from_bits(0x7ff0_0000_0000_0001 | rng.u64(..) >> 12),
                    2 => -0.0,
                    3 => f64::INFINITY,
                    4 => f64::NEG_INFINITY,
                    5 => f64::MIN_POSITIVE / 4.0,
                    6 => f64::MAX,
                    _ => f64::from(i) * 0.125,
                })
                .collect();
            round_trip(&mixed);
            let rare: Vec<f64> =
                (0..3000).map(|i| if i % 100 == 3 { -0.0 } else { f64::from(rng.i32(-999..999)) / 10.0 }).collect();
            assert!(round_trip(&rare) < 3000 * 2, "seed {seed}");
            let long: Vec<f64> = (0..5000).map(|_| rng.f64() * 100.0).collect();
            assert!(round_trip(&long) <= 5000 * 8 + 5 * 32 + 64, "seed {seed}");
            round_trip(&(0..2000).map(|_| f64::from_bits(rng.u64(..))).collect::<Vec<_>>());
        }
        assert_eq!(round_trip(&[]), 0);
        round_trip(&[1e300]);
        assert!(round_trip(&[0.1; 1024]) < 64);
    }

    #[test]
    fn instruction_sets_agree() {
        let mut rng = fastrand::Rng::with_seed(9);
        let words: Vec<u64> = (0..VECTOR + 5).map(|_| rng.i64(-(1 << 51)..1 << 51) as u64).collect();
        for (e, f) in [(0, 0), (2, 0), (14, 12), (18, 18), (18, 0)] {
            let (mut chosen, mut portable) = (words.clone(), words.clone());
            to_floats(Scale { e, f }, &mut chosen);
            to_floats_anywhere(Scale { e, f }, &mut portable);
            assert_eq!(chosen, portable, "10^{e}, 10^{f}");
        }
    }

    #[test]
    fn ranges_decode_alone_and_damage_is_an_error() {
        let mut rng = fastrand::Rng::with_seed(11);
        let words: Vec<u64> = (0..3500)
            .map(|i| if i % 97 == 0 { f64::NAN } else { f64::from(rng.i32(0..10_000)) / 100.0 })
            .map(f64::to_bits)
            .collect();
        let mut bytes = Vec::new();
        encode(&words, &mut Search::default(), &mut Scratch::default(), &mut bytes);
        for _ in 0..100 {
            let from = rng.usize(0..3500);
            let to = rng.usize(from..=3500);
            let mut back = Vec::new();
            decode(&mut Cursor::new(&bytes), 3500, from..to, &mut back).unwrap();
            assert_eq!(back, words[from..to]);
            let rows: Vec<u32> = (from as u32..to as u32).step_by(1 + rng.usize(0..200)).collect();
            let mut picked = Vec::new();
            pick(&mut Cursor::new(&bytes), 3500, &rows, &mut picked).unwrap();
            assert_eq!(picked, rows.iter().map(|row| words[*row as usize]).collect::<Vec<_>>());
        }
        for _ in 0..500 {
            let mut hurt = bytes.clone();
            let at = if rng.bool() { rng.usize(0..32) } else { rng.usize(0..hurt.len()) };
            hurt[at] ^= 1 << rng.u32(0..8);
            let _ = decode(&mut Cursor::new(&hurt), 3500, 0..3500, &mut Vec::new());
            hurt.truncate(rng.usize(0..bytes.len() - 1));
            assert!(decode(&mut Cursor::new(&hurt), 3500, 0..3500, &mut Vec::new()).is_err());
        }
    }
}
