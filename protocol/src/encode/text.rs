//! Pieces of text that several formats write or look for alike.

use super::sink::Sink;

#[inline(always)]
pub(super) fn write_bool(value: bool, sink: &mut Sink<'_>) {
    if value { sink.block(b"true", 4) } else { sink.block(b"false", 5) }
}

/// Index of the first special byte. Sixteen bytes are asked at once, which compiles to vector compares.
#[inline]
pub(super) fn find(bytes: &[u8], special: impl Fn(u8) -> bool) -> Option<usize> {
    let (chunks, _) = bytes.as_chunks::<16>();
    let clean = chunks.iter().take_while(|chunk| !chunk.iter().fold(false, |any, &byte| any | special(byte))).count();
    let start = clean * 16;
    bytes.get(start..)?.iter().position(|&byte| special(byte)).map(|at| start + at)
}
