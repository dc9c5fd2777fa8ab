//! Bitmaps: one bit a row, least significant first, in 64-bit words. Booleans and validity.
//!
//! A block is `kind u8` and 7 bytes of zeros, then
//!
//! * [`ALL`], [`NONE`]: nothing;
//! * [`TOGGLES`]: `count u64`, then the rows where the bit changes as u16, padded to 8; the row before the first is 0;
//! * [`WORDS`]: the words.
//!
//! Bits past the last row are zero in what [`decode`] yields, whatever the bytes say.

use std::ops::Range;

use super::{Cursor, Damaged, Decoded};

pub(super) const NONE: u8 = 0;
pub(super) const ALL: u8 = 1;
pub(super) const TOGGLES: u8 = 2;
const WORDS: u8 = 3;

/// Words that `rows` bits take.
pub const fn words(rows: usize) -> usize {
    rows.div_ceil(64)
}

/// The bits of the last word that belong to rows.
const fn last_mask(rows: usize) -> u64 {
    if rows.is_multiple_of(64) { u64::MAX } else { (1 << (rows % 64)) - 1 }
}

/// Number of set bits among the first `rows`.
pub fn count(bits: &[u64], rows: usize) -> usize {
    let Some((last, full)) = bits.get(..words(rows)).and_then(<[u64]>::split_last) else { return 0 };
    let full: u32 = full.iter().map(|word| word.count_ones()).sum();
    (full + (last & last_mask(rows)).count_ones()) as usize
}

/// Appends the first `rows` bits. `bits` has at least [`words`]`(rows)` words.
pub fn encode(bits: &[u64], rows: usize, out: &mut Vec<u8>) {
    let start = out.len();
    let set = count(bits, rows);
    if set == 0 || set == rows {
        out.extend_from_slice(&[if set == 0 { NONE } else { ALL }, 0, 0, 0, 0, 0, 0, 0]);
        return;
    }
    let word = |i: usize| if i + 1 == words(rows) { bits[i] & last_mask(rows) } else { bits[i] };
    let changes = |i: usize| {
        let before = if i == 0 { 0 } else { word(i - 1) >> 63 };
        let changed = word(i) ^ (word(i) << 1 | before);
        if i + 1 == words(rows) { changed & last_mask(rows) } else { changed }
    };
    let toggles: u32 = (0..words(rows)).map(|i| changes(i).count_ones()).sum();
    if 8 + 2 * toggles as usize <= rows / 16 {
        out.extend_from_slice(&[TOGGLES, 0, 0, 0, 0, 0, 0, 0]);
        out.extend_from_slice(&u64::from(toggles).to_le_bytes());
        for i in 0..words(rows) {
            let mut left = changes(i);
            while left != 0 {
                out.extend_from_slice(&((i * 64) as u16 + left.trailing_zeros() as u16).to_le_bytes());
                left &= left - 1;
            }
        }
        super::pad(out, start);
    } else {
        encode_words(bits, rows, out);
    }
}

/// Appends the first `rows` bits as they are.
pub(crate) fn encode_words(bits: &[u64], rows: usize, out: &mut Vec<u8>) {
    out.extend_from_slice(&[WORDS, 0, 0, 0, 0, 0, 0, 0]);
    for (i, word) in bits[..words(rows)].iter().enumerate() {
        let word = if i + 1 == words(rows) { word & last_mask(rows) } else { *word };
        out.extend_from_slice(&word.to_le_bytes());
    }
}

/// The bits of a block of `rows` rows.
pub(crate) fn decode(cursor: &mut Cursor<'_>, rows: usize) -> Decoded<Vec<u64>> {
    let [kind, ..] = cursor.array::<8>()?;
    let mut bits = match kind {
        NONE => vec![0; words(rows)],
        ALL => vec![u64::MAX; words(rows)],
        TOGGLES => {
            let toggles = cursor.u64()?;
            if toggles > rows as u64 {
                return Err(Damaged("bitmap toggles more often than it has rows"));
            }
            let bytes = cursor.take((toggles as usize * 2).next_multiple_of(8))?;
            toggled(&bytes[..toggles as usize * 2], rows)?
        }
        WORDS => {
            let (words, _) = cursor.take(words(rows) * 8)?.as_chunks::<8>();
            words.iter().map(|word| u64::from_le_bytes(*word)).collect()
        }
        _ => return Err(Damaged("bitmap of an unknown kind")),
    };
    if let Some(last) = bits.last_mut() {
        *last &= last_mask(rows);
    }
    Ok(bits)
}

fn toggled(positions: &[u8], rows: usize) -> Decoded<Vec<u64>> {
    let mut bits = vec![0u64; words(rows)];
    let (positions, _) = positions.as_chunks::<2>();
    for position in positions {
        let position = usize::from(u16::from_le_bytes(*position));
        let word = bits.get_mut(position / 64).ok_or(Damaged("bitmap toggles past its end"))?;
        *word ^= 1 << (position % 64);
    }
    // Each bit becomes the parity of itself and all before it.
    let mut carry = 0u64;
    for word in &mut bits {
        let mut parity = *word;
        for shift in [1, 2, 4, 8, 16, 32] {
            parity ^= parity << shift;
        }
        *word = parity ^ carry;
        carry = ((*word >> 63) as i64).wrapping_neg() as u64;
    }
    Ok(bits)
}

/// The bits `from..from + rows` of `bits`, moved to the front.
pub fn slice(bits: &[u64], from: usize, rows: usize) -> Vec<u64> {
    let (word, shift) = (from / 64, from % 64);
    let at = |i: usize| bits.get(i).copied().unwrap_or(0);
    let mut out: Vec<u64> = (word..word + words(rows))
        .map(|i| if shift == 0 { at(i) } else { at(i) >> shift | at(i + 1) << (64 - shift) })
        .collect();
    if let Some(last) = out.last_mut() {
        *last &= last_mask(rows);
    }
    out
}

/// The bits of the rows `ranges`, one range after the other.
pub fn keep(bits: &[u64], ranges: &[Range<usize>]) -> Vec<u64> {
    let rows = ranges.iter().map(ExactSizeIterator::len).sum();
    let mut out = vec![0u64; words(rows)];
    let mut at = 0;
    for range in ranges {
        for part in slice(bits, range.start, range.len()) {
            // The words of one slice follow each other 64 rows apart; its last is zero past the slice's end.
            out[at / 64] |= part << (at % 64);
            if at % 64 > 0
                && let Some(next) = out.get_mut(at / 64 + 1)
            {
                *next |= part >> (64 - at % 64);
            }
            at += 64;
        }
        at -= words(range.len()) * 64;
        at += range.len();
    }
    out
}

/// Sets bits `start..start + count`; there are words for the bits before.
pub(crate) fn append_ones(words: &mut Vec<u64>, start: usize, count: usize) {
    let end = start + count;
    words.resize(end.div_ceil(64), u64::MAX);
    if count == 0 {
        return;
    }
    // The word that `start` lies in, if it was there before.
    if !start.is_multiple_of(64) {
        words[start / 64] |= u64::MAX << (start % 64);
    }
    if !end.is_multiple_of(64) {
        words[end / 64] &= u64::MAX >> (64 - end % 64);
    }
}

/// Copies bits `rows` of `bits` to bit `start` on; there are words for the bits before, zero after them.
pub(crate) fn append(words: &mut Vec<u64>, start: usize, bits: &[u64], rows: Range<usize>) {
    words.resize((start + rows.len()).div_ceil(64), 0);
    let mut done = 0;
    while done < rows.len() {
        // As many bits as one source word and one target word have left.
        let (from, to) = (rows.start + done, start + done);
        let count = (64 - from % 64).min(64 - to % 64).min(rows.len() - done);
        let mask = u64::MAX >> (64 - count);
        words[to / 64] |= (bits[from / 64] >> (from % 64) & mask) << (to % 64);
        done += count;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn to_words(bits: &[bool]) -> Vec<u64> {
        let mut out = vec![0; words(bits.len())];
        for (i, bit) in bits.iter().enumerate() {
            out[i / 64] |= u64::from(*bit) << (i % 64);
        }
        out
    }

    #[test]
    fn bitmaps_round_trip_and_slice() {
        for seed in crate::testing::seeds() {
            let mut rng = fastrand::Rng::with_seed(seed);
            for rows in [0, 1, 63, 64, 65, 1000, 4096, 65_536] {
                for stay in [0, 1, 2, 50, 1000, usize::MAX] {
                    let mut bit = rng.bool();
                    let bits: Vec<bool> = (0..rows)
                        .map(|_| {
                            bit ^= stay != usize::MAX && rng.usize(0..=stay) == 0;
                            bit
                        })
                        .collect();
                    let plain = to_words(&bits);
                    let mut dirty = plain.clone();
                    if let Some(last) = dirty.last_mut() {
                        *last |= !last_mask(rows);
                    }
                    let mut bytes = Vec::new();
                    encode(&dirty, rows, &mut bytes);
                    assert_eq!(decode(&mut Cursor::new(&bytes), rows).unwrap(), plain, "seed {seed} rows {rows}");
                    assert_eq!(count(&dirty, rows), bits.iter().filter(|b| **b).count());
                    if stay == usize::MAX {
                        assert_eq!(bytes.len(), 8);
                    }
                    let from = rng.usize(0..=rows);
                    let length = rng.usize(0..=rows - from);
                    assert_eq!(slice(&dirty, from, length), to_words(&bits[from..from + length]));
                    let ranges = [0..from / 2, from..from + length, rows..rows];
                    let kept: Vec<bool> = ranges.iter().flat_map(|range| bits[range.clone()].to_vec()).collect();
                    assert_eq!(keep(&dirty, &ranges), to_words(&kept), "seed {seed} {ranges:?}");
                    let cut = rng.usize(0..bytes.len());
                    assert!(decode(&mut Cursor::new(&bytes[..cut]), rows).is_err());
                }
            }
        }
        assert!(decode(&mut Cursor::new(&[9, 0, 0, 0, 0, 0, 0, 0]), 3).is_err());
        let past = [TOGGLES, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 200, 0, 0, 0, 0, 0, 0, 0];
        assert!(decode(&mut Cursor::new(&past), 3).is_err());
    }
}
