//! The end of a `Vec<u8>` as a place to write small fixed blocks quickly.
//!
//! `Vec::extend_from_slice` costs a capacity check, a length update and a call to memcpy per cell. Here the vector is
//! made longer ahead of the writing, a block of constant size is stored where the last cell ended, and the position
//! moves by the part of the block that counts; what lies beyond is overwritten by the next cell. [`Sink::finish`]
//! cuts the vector back to what was written. A block that does not fit makes the vector longer first, so no caller
//! has to know how large a row can be.

/// Room added at once, at most: small enough to stay in the first-level cache while it is zeroed and filled.
const STEP_MAX: usize = 16 * 1024;

/// Room added at first. A sink that writes a single row must not pay for zeroing what it will not fill.
const STEP_MIN: usize = 256;

pub(super) struct Sink<'o> {
    out: &'o mut Vec<u8>,
    start: usize,
    at: usize,
}

impl<'o> Sink<'o> {
    /// Writes after what `out` holds already.
    pub(super) fn new(out: &'o mut Vec<u8>) -> Self {
        let at = out.len();
        Sink { out, start: at, at }
    }

    /// Writes from `at` on, over what `out` holds there. Without [`Sink::finish`] the room behind stays.
    pub(super) fn at(out: &'o mut Vec<u8>, at: usize) -> Self {
        Sink { out, start: at, at }
    }

    /// Ends the writing.
    pub(super) fn finish(self) {
        self.out.truncate(self.at);
    }

    /// Where the next byte will stand.
    #[inline]
    pub(super) fn position(&self) -> usize {
        self.at
    }

    /// Writes the first `length` bytes of `block`.
    #[inline(always)]
    pub(super) fn block<const N: usize>(&mut self, block: &[u8; N], length: usize) {
        if let Some(place) = self.out.get_mut(self.at..).and_then(|room| room.first_chunk_mut::<N>()) {
            *place = *block;
        } else {
            self.grow(N);
            self.out[self.at..self.at + N].copy_from_slice(block);
        }
        self.at += length;
    }

    /// Writes one byte.
    #[inline(always)]
    pub(super) fn byte(&mut self, byte: u8) {
        self.block(&[byte], 1);
    }

    /// Writes bytes of any length.
    #[inline]
    pub(super) fn bytes(&mut self, bytes: &[u8]) {
        if self.out.len() - self.at < bytes.len() {
            self.grow(bytes.len());
        }
        self.out[self.at..self.at + bytes.len()].copy_from_slice(bytes);
        self.at += bytes.len();
    }

    /// Writes a prepared text.
    #[inline(always)]
    pub(super) fn padded(&mut self, text: &Padded) {
        let (blocks, _) = text.bytes.as_chunks::<PAD>();
        let mut left = text.length;
        for block in blocks {
            self.block(block, left.min(PAD));
            left = left.saturating_sub(PAD);
        }
    }

    /// Takes back the last byte.
    #[inline]
    pub(super) fn unwrite(&mut self) {
        self.at -= 1;
    }

    /// Replaces a byte that was written earlier.
    #[inline(always)]
    pub(super) fn patch(&mut self, position: usize, byte: u8) {
        self.out[position] = byte;
    }

    #[cold]
    #[inline(never)]
    fn grow(&mut self, more: usize) {
        let step = (self.at - self.start).clamp(STEP_MIN, STEP_MAX);
        self.out.resize(self.at + more.max(step), 0);
    }
}

/// Size of the blocks of [`Padded`] text: two SSE or one AVX register; most column names and tag values fit.
pub(super) const PAD: usize = 32;

/// A text stored with room behind it, so that it can be copied in whole blocks.
#[derive(Clone, Debug, Default)]
pub(super) struct Padded {
    bytes: Vec<u8>,
    length: usize,
}

impl Padded {
    pub(super) fn new(mut bytes: Vec<u8>) -> Self {
        let length = bytes.len();
        bytes.resize(length.div_ceil(PAD) * PAD, 0);
        Padded { bytes, length }
    }
}
