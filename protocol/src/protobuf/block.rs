//! Snappy blocks, which some protocols have for a body: one block of a known size, without frames.

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
    snappy_block_bytes(block, bytes_max)?;
    snap::raw::Decoder::new().decompress_vec(block).map_err(|error| RowError::Compression(error.to_string()))
}
