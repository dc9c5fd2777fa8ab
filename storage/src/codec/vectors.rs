//! A block as the vectors that it is cut into: which of them hold the values that are wanted.
//!
//! What a vector's bytes mean is the caller's: it is called for every vector in turn, since none says where the next
//! one begins before it was read or skipped.

use std::ops::Range;

use super::{Damaged, Decoded, VECTOR};

/// Bytes of a vector before its packed words, whatever is packed.
pub(super) const HEADER_BYTES: usize = 24;

/// Memory for one decoded vector.
pub(crate) type VectorBuffer = [u64; VECTOR];

/// The vectors of a block of `total` values that hold the values `wanted`: calls `each` with a cursor and the length
/// of every vector in turn, and whether it is wanted.
pub(crate) fn for_vectors(
    total: usize,
    wanted: &Range<usize>,
    mut each: impl FnMut(usize, bool) -> Decoded<()>,
) -> Decoded<()> {
    let mut start = 0;
    while start < wanted.end {
        let length = VECTOR.min(total - start);
        each(length, start + length > wanted.start)?;
        start += length;
    }
    Ok(())
}

/// Drives a vector decoder over a block and leaves exactly `wanted` appended to `out`. `vector` gets the slice to
/// fill, or `None` for a whole vector to skip.
pub(crate) fn decode_vectors(
    total: usize,
    wanted: Range<usize>,
    out: &mut Vec<u64>,
    mut vector: impl FnMut(Option<&mut [u64]>) -> Decoded<()>,
) -> Decoded<()> {
    if wanted.end > total || wanted.start > wanted.end {
        return Err(Damaged("values wanted past the end of a block"));
    }
    if wanted.is_empty() {
        return Ok(());
    }
    let first = wanted.start / VECTOR * VECTOR;
    let kept = out.len();
    let decoded = wanted.end.next_multiple_of(VECTOR).min(total) - first;
    out.resize(kept + decoded, 0);
    let mut filled = kept;
    for_vectors(total, &wanted, |length, hit| {
        if !hit {
            return vector(None);
        }
        filled += length;
        vector(Some(&mut out[filled - length..filled]))
    })?;
    let skip = wanted.start - first;
    if skip > 0 {
        out.copy_within(kept + skip.., kept);
    }
    out.truncate(kept + wanted.len());
    Ok(())
}

/// Drives a vector picker over a block of `total` values for the ascending `rows`. `vector` gets the vector's length
/// and its wanted rows, which can be none, as places in the block, with the place of the vector's first.
pub(crate) fn pick_vectors(
    total: usize,
    rows: &[u32],
    mut vector: impl FnMut(usize, usize, &[u32]) -> Decoded<()>,
) -> Decoded<()> {
    let (mut start, mut rest) = (0, rows);
    while !rest.is_empty() {
        let length = VECTOR.min(total - start);
        if length == 0 {
            return Err(Damaged("rows wanted past the end of a block"));
        }
        let (here, later) = rest.split_at(rest.partition_point(|row| (*row as usize) < start + length));
        vector(length, start, here)?;
        start += length;
        rest = later;
    }
    Ok(())
}
