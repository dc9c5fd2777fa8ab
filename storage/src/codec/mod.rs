//! Codecs: pure functions between a slice of values and the bytes of a block.
//!
//! A block holds up to [`BLOCK_VALUES_MAX`] values and is cut into vectors of [`VECTOR`] values that decode
//! independently, so that a few rows of a block cost a few vectors. From the bottom up:
//!
//! * [`pack`]: bit-packing, the vectorised kernel (the crate's only unsafe code besides buffers);
//! * [`vectors`]: which vectors of a block hold the values that are wanted;
//! * [`integer`]: frame of reference, delta or delta of delta with patched exceptions, over wrapping 64-bit words;
//! * [`runs`]: words that seldom change;
//! * [`float`]: decimals as scaled integers (ALP), anything else as the integer of its bits;
//! * [`bitmap`]: booleans and validity; [`text`]: strings, by dictionary or plain, zstd where it pays;
//! * [`column`]: one field's block: validity, then values; [`describe`] says how one is coded.
//!
//! Deciding is apart from doing: `fit` and `choose` functions return a choice that encoders carry out. A decoder
//! believes nothing: every length is checked against the bytes at hand before anything of that length is made, and
//! what does not hold is [`Damaged`], never a panic.

use crate::schema::Codec;

pub mod bitmap;
pub mod column;
pub mod describe;
pub mod float;
pub mod integer;
pub mod pack;
mod runs;
pub mod text;
mod vectors;

/// How much time an encoder may take.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Effort {
    /// Keeps up with writers.
    #[default]
    Fast,
    /// For data that is written once more and then read only.
    Hard,
}

/// How the values of a column are to be prepared before they are packed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Transform {
    /// As samples say.
    #[default]
    Sampled,
    /// Not at all: 64 bits a number, a bit a boolean, strings as they are.
    Stored,
    /// Integers as their differences.
    Differences,
    /// Integers as the differences of their differences.
    SecondDifferences,
    /// Floats as the integers of their bits, never as decimals.
    FloatBits,
    /// Booleans as a bit each, never as the rows where they change.
    Bits,
}

/// What a column's owner asks of its blocks.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct CodecPreference {
    /// How values are prepared.
    pub transform: Transform,
    /// How much time their encoder takes; `None` for what suits the age of the data.
    pub effort: Option<Effort>,
}

impl From<Codec> for CodecPreference {
    /// What a codec's name stands for here. Packing by frame of reference, with exceptions, follows in each case.
    fn from(codec: Codec) -> Self {
        let (transform, effort) = match codec {
            Codec::Null => (Transform::Stored, None),
            Codec::Delta => (Transform::Differences, None),
            Codec::DeltaTs => (Transform::SecondDifferences, None),
            Codec::Gorilla => (Transform::FloatBits, None),
            Codec::BitPack => (Transform::Bits, None),
            Codec::Quantile | Codec::Gzip | Codec::Bzip | Codec::Zlib | Codec::Zstd => {
                (Transform::Sampled, Some(Effort::Hard))
            }
            Codec::Snappy => (Transform::Sampled, Some(Effort::Fast)),
        };
        Self { transform, effort }
    }
}

/// Values that decode together. Small enough that the vector (8 KiB) and its packed form stay in the first-level
/// cache, large enough that a vector's header (24 bytes) is below 0.03 bytes a value.
pub const VECTOR: usize = 1024;

/// Most values of one block: positions fit u16, and a hostile header cannot ask for more than half a megabyte.
pub const BLOCK_VALUES_MAX: usize = 1 << 16;

/// Bytes that no encoder here has written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Damaged(pub &'static str);

/// Result of decoders.
pub type Decoded<T> = Result<T, Damaged>;

/// Takes typed pieces off the front of a block, checking that they are there.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Cursor<'a> {
    rest: &'a [u8],
}

impl<'a> Cursor<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    #[cfg(test)]
    pub(crate) fn rest(&self) -> &'a [u8] {
        self.rest
    }

    pub(crate) fn take(&mut self, length: usize) -> Decoded<&'a [u8]> {
        let (head, rest) = self.rest.split_at_checked(length).ok_or(Damaged("block ends early"))?;
        self.rest = rest;
        Ok(head)
    }

    pub(crate) fn array<const N: usize>(&mut self) -> Decoded<[u8; N]> {
        let (head, rest) = self.rest.split_first_chunk::<N>().ok_or(Damaged("block ends early"))?;
        self.rest = rest;
        Ok(*head)
    }

    pub(crate) fn u32(&mut self) -> Decoded<u32> {
        self.array().map(u32::from_le_bytes)
    }

    pub(crate) fn u64(&mut self) -> Decoded<u64> {
        self.array().map(u64::from_le_bytes)
    }
}

/// Pads `out` so that its length since `start` is a multiple of 8: parts of a block begin on words.
pub(crate) fn pad(out: &mut Vec<u8>, start: usize) {
    let length = (out.len() - start).next_multiple_of(8);
    out.resize(start + length, 0);
}

#[cfg(test)]
mod tests;
