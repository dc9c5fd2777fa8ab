//! The snappy framing format: chunks of at most 64 KiB, each with the masked CRC-32C of its content.
//!
//! ```text
//!   chunk = kind (1) | length (3, little endian) | length bytes
//!   0xff "sNaPpY"     begins a stream and may come again
//!   0x00 compressed   crc (4) + snappy block
//!   0x01 plain        crc (4) + bytes
//!   0x02..=0x7f       unknown, an error;  0x80..=0xfe unknown or padding, passed over
//! ```
//!
//! A chunk is collected whole, then decoded whole, then handed out as there is room.

use super::{Codec, Step};

const CHUNK_HEADER: usize = 4;
const CHECKSUM: usize = 4;

/// Decoded bytes of a chunk, as the format has it.
const BLOCK_BYTES_MAX: usize = 64 * 1024;

/// Compressed bytes of a chunk: what `snap::raw::max_compress_len` says of a block.
const COMPRESSED_BYTES_MAX: usize = 76_490;

/// Memory of a decoder: a chunk and what it decodes to.
const MEMORY_BYTES: u64 = (CHUNK_HEADER + CHECKSUM + COMPRESSED_BYTES_MAX + BLOCK_BYTES_MAX + (16 << 10)) as u64;

const STREAM_IDENTIFIER: &[u8] = b"sNaPpY";

pub(super) struct Snappy {
    decoder: snap::raw::Decoder,
    /// Header and content of the chunk being collected.
    chunk: Vec<u8>,
    /// Bytes of a skippable chunk still to pass over.
    skip: usize,
    /// Decoded bytes and how many of them were handed out.
    block: Vec<u8>,
    given: usize,
    identified: bool,
}

impl Snappy {
    pub(super) fn new() -> Self {
        Snappy {
            decoder: snap::raw::Decoder::new(),
            chunk: Vec::new(),
            skip: 0,
            block: Vec::new(),
            given: 0,
            identified: false,
        }
    }

    /// Takes input until the chunk has `length` bytes. Returns how many were taken.
    fn collect(&mut self, input: &[u8], length: usize) -> usize {
        let take = input.len().min(length - self.chunk.len());
        self.chunk.extend_from_slice(&input[..take]);
        take
    }

    /// Kind and content length of the chunk, when its header is complete.
    fn header(&self) -> Option<(u8, usize)> {
        match *self.chunk.first_chunk::<CHUNK_HEADER>()? {
            [kind, low, middle, high] => Some((kind, u32::from_le_bytes([low, middle, high, 0]) as usize)),
        }
    }

    /// Decodes a chunk that has been collected.
    fn decode(&mut self, kind: u8) -> Result<(), String> {
        let content = &self.chunk[CHUNK_HEADER..];
        self.block.clear();
        self.given = 0;
        if kind == 0xff {
            if content != STREAM_IDENTIFIER {
                return Err("bad stream identifier".to_owned());
            }
            self.identified = true;
            return Ok(());
        }
        let Some((checksum, data)) = content.split_first_chunk::<CHECKSUM>() else {
            return Err("chunk too short".to_owned());
        };
        if kind == 1 {
            self.block.extend_from_slice(data);
        } else {
            let length = snap::raw::decompress_len(data).map_err(|error| error.to_string())?;
            if length > BLOCK_BYTES_MAX {
                return Err("chunk too large".to_owned());
            }
            self.block.resize(length, 0);
            self.decoder.decompress(data, &mut self.block).map_err(|error| error.to_string())?;
        }
        if masked(crc32c::crc32c(&self.block)) != u32::from_le_bytes(*checksum) {
            return Err("checksum mismatch".to_owned());
        }
        Ok(())
    }
}

/// The format stores checksums rotated and shifted, since data that contains its own CRC makes CRCs weak.
fn masked(checksum: u32) -> u32 {
    checksum.rotate_right(15).wrapping_add(0xa282_ead8)
}

impl Codec for Snappy {
    fn step(&mut self, input: &[u8], room: &mut [u8], memory_bytes_max: u64) -> Result<Step, String> {
        if MEMORY_BYTES > memory_bytes_max {
            return Ok(Step::needs(MEMORY_BYTES));
        }
        let (mut read, mut wrote) = (0, 0);
        loop {
            let ready = &self.block[self.given..];
            let give = ready.len().min(room.len() - wrote);
            room[wrote..wrote + give].copy_from_slice(&ready[..give]);
            wrote += give;
            self.given += give;
            if self.given < self.block.len() || read == input.len() {
                break;
            }
            if self.skip > 0 {
                let pass = self.skip.min(input.len() - read);
                self.skip -= pass;
                read += pass;
                continue;
            }
            if self.chunk.len() < CHUNK_HEADER {
                read += self.collect(&input[read..], CHUNK_HEADER);
            }
            let Some((kind, length)) = self.header() else { continue };
            let longest = match kind {
                _ if kind != 0xff && !self.identified => return Err("missing stream identifier".to_owned()),
                0xff => STREAM_IDENTIFIER.len(),
                0 => CHECKSUM + COMPRESSED_BYTES_MAX,
                1 => CHECKSUM + BLOCK_BYTES_MAX,
                0x80.. => {
                    self.skip = length;
                    self.chunk.clear();
                    continue;
                }
                _ => return Err("unknown chunk".to_owned()),
            };
            if length > longest {
                return Err("chunk too large".to_owned());
            }
            read += self.collect(&input[read..], CHUNK_HEADER + length);
            if self.chunk.len() == CHUNK_HEADER + length {
                self.decode(kind)?;
                self.chunk.clear();
            }
        }
        // The format has no end of its own: any end of a chunk may be it.
        let whole = self.chunk.is_empty() && self.skip == 0 && self.identified && self.given == self.block.len();
        Ok(Step { read, wrote, ended: whole && read == input.len(), needs: None })
    }

    fn restart(&mut self) -> bool {
        true
    }

    fn may_be_empty(&self) -> bool {
        true
    }
}
