//! Snappy blocks, which some protocols have for a body: one block of a known size, without frames.

use super::{push_varint, varint_bytes};
use crate::row::RowError;

/// What a block says it comes to; refused if that is more than `bytes_max`.
pub fn snappy_block_bytes(block: &[u8], bytes_max: u64) -> Result<usize, RowError> {
    let bytes = snap::raw::decompress_len(block).map_err(|error| RowError::Compression(error.to_string()))?;
    // A byte can stand for 64 at most; a block that promises more has no right to the memory.
    if bytes as u64 > bytes_max || bytes > block.len().saturating_mul(64) {
        return Err(RowError::Compression(format!("{bytes} bytes, and {bytes_max} at most")));
    }
    Ok(bytes)
}

/// Decompresses a block that must not come to more than `bytes_max`.
pub fn decode_snappy_block(block: &[u8], bytes_max: u64) -> Result<Vec<u8>, RowError> {
    let mut message = Vec::new();
    decode_snappy_block_into(block, bytes_max, &mut message).map(|()| message)
}

/// The same into memory that is there. It is not cleared before, which takes a while: what is in it is replaced.
pub fn decode_snappy_block_into(block: &[u8], bytes_max: u64, message: &mut Vec<u8>) -> Result<(), RowError> {
    message.resize(snappy_block_bytes(block, bytes_max)?, 0);
    let decoded = snap::raw::Decoder::new().decompress(block, message);
    decoded.map(|bytes| message.truncate(bytes)).map_err(|error| RowError::Compression(error.to_string()))
}

/// What compression looks back over at most: a block is made of parts of so much that know nothing of each other.
const PART_BYTES: usize = 64 << 10;

/// Writes a block piece by piece, so that what it holds need never be there whole.
pub struct SnappyWriter {
    encoder: snap::raw::Encoder,
    part: Vec<u8>,
    packed: Vec<u8>,
}

impl std::fmt::Debug for SnappyWriter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SnappyWriter").field("part_bytes", &self.part.len()).finish_non_exhaustive()
    }
}

impl SnappyWriter {
    /// Begins in `out` a block of what comes to `bytes`, less than 4 GiB as the format has it.
    pub fn begin(bytes: u32, out: &mut Vec<u8>) -> Self {
        push_varint(out, u64::from(bytes));
        Self { encoder: snap::raw::Encoder::new(), part: Vec::new(), packed: Vec::new() }
    }

    /// Adds what `fill` appends.
    pub fn write(&mut self, fill: impl FnOnce(&mut Vec<u8>), out: &mut Vec<u8>) -> Result<(), RowError> {
        fill(&mut self.part);
        while self.part.len() >= PART_BYTES {
            self.pack(PART_BYTES, out)?;
        }
        Ok(())
    }

    /// Ends the block.
    pub fn end(mut self, out: &mut Vec<u8>) -> Result<(), RowError> {
        match self.part.len() {
            0 => Ok(()),
            bytes => self.pack(bytes, out),
        }
    }

    fn pack(&mut self, bytes: usize, out: &mut Vec<u8>) -> Result<(), RowError> {
        let part = self.part.get(..bytes).unwrap_or_default();
        self.packed.resize(snap::raw::max_compress_len(part.len()), 0);
        let packed = self.encoder.compress(part, &mut self.packed);
        let packed = packed.map_err(|error| RowError::Compression(error.to_string()))?;
        // A part says its length as if it were a block of its own.
        let head = varint_bytes(bytes as u64);
        out.extend_from_slice(self.packed.get(head..packed).unwrap_or_default());
        self.part.drain(..bytes);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_block_in_pieces_is_what_a_block_at_once_comes_to() {
        for len in [0_usize, 1, 1000, PART_BYTES - 1, PART_BYTES, PART_BYTES + 1, 5 * PART_BYTES + 77] {
            let bytes: Vec<u8> = (0..len).map(|at| (at / 7 % 251) as u8).collect();
            let mut out = Vec::new();
            let mut writer = SnappyWriter::begin(len as u32, &mut out);
            for piece in bytes.chunks(997) {
                writer.write(|part| part.extend_from_slice(piece), &mut out).unwrap();
            }
            writer.end(&mut out).unwrap();
            assert!(len < 10_000 || out.len() < len / 4, "{len}: {}", out.len());
            assert_eq!(decode_snappy_block(&out, len as u64).unwrap(), bytes);
        }
    }
}
