//! Bit-packing of words below 2^width, for any width from 0 to 64.
//!
//! Layout: `lanes` streams stand side by side. Value `i` belongs to stream `i % lanes` and is its number `i / lanes`;
//! a stream is a little-endian bit string cut into 64-bit words; word `k` of all streams, in lane order, precedes word
//! `k + 1`. Unpacking one row of lanes therefore is the same shift and mask on neighbouring words:
//!
//! ```text
//! row r:  bit = r * width;  k = bit / 64;  s = bit % 64
//!         out[r * lanes + l] = (word[k * lanes + l] >> s | word[(k + 1) * lanes + l] << (64 - s)) & mask + base
//! ```
//!
//! which the compiler turns into full-width vector code for 16 lanes, the same source instantiated for AVX-512, AVX2
//! and the baseline. Short runs of values use one lane, which is plain sequential packing and wastes less at the end.
//! [`scalar`] is the specification.
#![cfg_attr(
    target_arch = "x86_64",
    expect(unsafe_code, reason = "entering functions compiled for CPU features found at run time")
)]

use super::{Damaged, Decoded};

/// Streams side by side: two AVX-512 or four AVX2 registers of words, so that independent operations overlap.
pub const LANES: usize = 16;

/// From this many values on, [`LANES`] lanes are used: their partly used last words cost 64 bytes on average.
const LANES_FROM: usize = 256;

const fn lanes(values: usize) -> usize {
    if values >= LANES_FROM { LANES } else { 1 }
}

/// Bytes that `values` values of `width` bits take.
pub const fn packed_bytes(values: usize, width: u32) -> usize {
    let lanes = lanes(values);
    (values.div_ceil(lanes) * width as usize).div_ceil(64) * lanes * 8
}

const fn mask(width: u32) -> u64 {
    if width >= 64 { u64::MAX } else { (1 << width) - 1 }
}

/// Bits that `value` needs.
pub(super) fn bits(value: u64) -> u32 {
    64 - value.leading_zeros()
}

/// Appends `value - base` (wrapping) for every value, cut to `width` bits.
pub fn pack(values: &[u64], base: u64, width: u32, out: &mut Vec<u8>) {
    debug_assert!(width <= 64, "a word has 64 bits");
    let start = out.len();
    out.resize(start + packed_bytes(values.len(), width), 0);
    if width == 0 {
        return;
    }
    let (words, _) = out[start..].as_chunks_mut::<8>();
    if lanes(values.len()) == LANES {
        pack_lanes::<LANES>(values, base, width, words);
    } else {
        pack_lanes::<1>(values, base, width, words);
    }
}

fn pack_lanes<const L: usize>(values: &[u64], base: u64, width: u32, words: &mut [[u8; 8]]) {
    let mask = mask(width);
    let mut pending = [0u64; L];
    let mut shift = 0;
    let mut rows = words.chunks_exact_mut(L);
    let mut store = |pending: &[u64; L]| {
        if let Some(row) = rows.next() {
            for (word, value) in row.iter_mut().zip(pending) {
                *word = value.to_le_bytes();
            }
        }
    };
    for row in values.chunks(L) {
        let mut cut = [0u64; L];
        for (cut, value) in cut.iter_mut().zip(row) {
            *cut = value.wrapping_sub(base) & mask;
        }
        for (pending, cut) in pending.iter_mut().zip(&cut) {
            *pending |= cut << shift;
        }
        shift += width;
        if shift >= 64 {
            store(&pending);
            shift -= 64;
            let kept = width - shift;
            for (pending, cut) in pending.iter_mut().zip(&cut) {
                *pending = cut.checked_shr(kept).unwrap_or(0);
            }
        }
    }
    if shift > 0 {
        store(&pending);
    }
}

/// Unpacks as many values as `out` holds and adds `base` (wrapping) to each.
pub fn unpack(bytes: &[u8], base: u64, width: u32, out: &mut [u64]) -> Decoded<()> {
    if width > 64 {
        return Err(Damaged("bit width above 64"));
    }
    let bytes = bytes.get(..packed_bytes(out.len(), width)).ok_or(Damaged("packed values end early"))?;
    if width == 0 {
        out.fill(base);
        return Ok(());
    }
    let (words, _) = bytes.as_chunks::<8>();
    if lanes(out.len()) == LANES {
        unpack_wide(words, base, width, out);
    } else {
        unpack_lanes::<1>(words, base, width, out);
    }
    Ok(())
}

/// The value number `index` of `values` packed ones, plus `base`: what [`unpack`] would put there.
pub fn unpack_one(bytes: &[u8], base: u64, width: u32, values: usize, index: usize) -> Decoded<u64> {
    if width > 64 || index >= values {
        return Err(Damaged("packed value past the end"));
    }
    let lanes = lanes(values);
    let (words, _) = bytes.as_chunks::<8>();
    let (row, lane) = (index / lanes, index % lanes);
    let bit = row * width as usize;
    let word = |k: usize| words.get(k * lanes + lane).map_or(0, |word| u64::from_le_bytes(*word));
    let (k, shift) = (bit / 64, (bit % 64) as u32);
    let low = word(k) >> shift;
    let high = if shift + width > 64 { word(k + 1) << (64 - shift) } else { 0 };
    Ok(((low | high) & mask(width)).wrapping_add(base))
}

fn unpack_wide(words: &[[u8; 8]], base: u64, width: u32, out: &mut [u64]) {
    #[cfg(target_arch = "x86_64")]
    {
        if is_x86_feature_detected!("avx512f") {
            // SAFETY: the CPU has AVX-512F, the only requirement of the callee.
            return unsafe { unpack_avx512(words, base, width, out) };
        }
        if is_x86_feature_detected!("avx2") {
            // SAFETY: the CPU has AVX2, the only requirement of the callee.
            return unsafe { unpack_avx2(words, base, width, out) };
        }
    }
    unpack_lanes::<LANES>(words, base, width, out);
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f")]
fn unpack_avx512(words: &[[u8; 8]], base: u64, width: u32, out: &mut [u64]) {
    unpack_lanes::<LANES>(words, base, width, out);
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2")]
fn unpack_avx2(words: &[[u8; 8]], base: u64, width: u32, out: &mut [u64]) {
    unpack_lanes::<LANES>(words, base, width, out);
}

/// The kernel. `words` holds exactly the packed words of `out.len()` values; `width` is 1 to 64.
#[inline(always)]
fn unpack_lanes<const L: usize>(words: &[[u8; 8]], base: u64, width: u32, out: &mut [u64]) {
    let mask = mask(width);
    let (words, _) = words.as_chunks::<L>();
    let (rows, tail) = out.as_chunks_mut::<L>();
    let mut bit = 0;
    for row in rows {
        unpack_row(words, bit, width, mask, base, row);
        bit += width as usize;
    }
    if !tail.is_empty() {
        let mut row = [0u64; L];
        unpack_row(words, bit, width, mask, base, &mut row);
        tail.copy_from_slice(&row[..tail.len()]);
    }
}

#[inline(always)]
fn unpack_row<const L: usize>(
    words: &[[[u8; 8]; L]],
    bit: usize,
    width: u32,
    mask: u64,
    base: u64,
    out: &mut [u64; L],
) {
    let shift = (bit % 64) as u32;
    let low = &words[bit / 64];
    if shift + width <= 64 {
        for (out, low) in out.iter_mut().zip(low) {
            *out = (u64::from_le_bytes(*low) >> shift & mask).wrapping_add(base);
        }
    } else {
        let high = &words[bit / 64 + 1];
        for ((out, low), high) in out.iter_mut().zip(low).zip(high) {
            let joined = u64::from_le_bytes(*low) >> shift | u64::from_le_bytes(*high) << (64 - shift);
            *out = (joined & mask).wrapping_add(base);
        }
    }
}

/// The specification: one value after the other, bit by bit of the layout above.
pub mod scalar {
    use super::{LANES, lanes};

    /// What [`unpack`](super::unpack) must equal; panics where `bytes` is too short.
    pub fn unpack(bytes: &[u8], base: u64, width: u32, out: &mut [u64]) {
        let lanes = lanes(out.len());
        debug_assert!(lanes == 1 || lanes == LANES, "two layouts");
        for (i, out) in out.iter_mut().enumerate() {
            let (lane, number) = (i % lanes, i / lanes);
            let mut value = 0u64;
            for b in 0..width as usize {
                let bit = number * width as usize + b;
                let byte = bytes[((bit / 64) * lanes + lane) * 8 + bit % 64 / 8];
                value |= u64::from(byte >> (bit % 8) & 1) << b;
            }
            *out = value.wrapping_add(base);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::VECTOR;

    #[test]
    fn every_width_and_many_lengths_round_trip_and_equal_the_scalar_twin() {
        let mut rng = fastrand::Rng::with_seed(7);
        for width in 0..=64 {
            for length in [0, 1, 2, 15, 16, 17, 63, 64, 65, 255, 256, 257, 271, 272, 1000, VECTOR] {
                let base = rng.u64(..);
                let values: Vec<u64> = (0..length).map(|_| base.wrapping_add(rng.u64(..) & mask(width))).collect();
                let mut bytes = Vec::new();
                pack(&values, base, width, &mut bytes);
                assert_eq!(bytes.len(), packed_bytes(length, width));
                let mut fast = vec![0; length];
                unpack(&bytes, base, width, &mut fast).unwrap();
                assert_eq!(fast, values, "width {width} length {length}");
                let mut slow = vec![0; length];
                scalar::unpack(&bytes, base, width, &mut slow);
                assert_eq!(slow, values, "scalar, width {width} length {length}");
                for (index, value) in values.iter().enumerate().step_by(37) {
                    assert_eq!(unpack_one(&bytes, base, width, length, index), Ok(*value));
                }
                if !bytes.is_empty() {
                    let cut = unpack(&bytes[..bytes.len() - 1], base, width, &mut fast);
                    assert_eq!(cut, Err(Damaged("packed values end early")));
                }
            }
        }
        assert!(unpack(&[0; 64], 0, 65, &mut [0]).is_err());
    }

    #[test]
    fn instruction_sets_agree() {
        let mut rng = fastrand::Rng::with_seed(8);
        for width in 1..=64 {
            let words: Vec<[u8; 8]> = (0..packed_bytes(VECTOR, width) / 8).map(|_| rng.u64(..).to_le_bytes()).collect();
            let mut portable = vec![0; VECTOR];
            unpack_lanes::<LANES>(&words, 3, width, &mut portable);
            let mut chosen = vec![0; VECTOR];
            unpack_wide(&words, 3, width, &mut chosen);
            assert_eq!(portable, chosen);
            #[cfg(target_arch = "x86_64")]
            if is_x86_feature_detected!("avx2") {
                let mut avx2 = vec![0; VECTOR];
                // SAFETY: AVX2 was found just above.
                unsafe { unpack_avx2(&words, 3, width, &mut avx2) };
                assert_eq!(portable, avx2);
            }
        }
    }
}
