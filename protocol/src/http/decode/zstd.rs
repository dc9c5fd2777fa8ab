//! zstd (RFC 8878), frames one after the other, with the window that RFC 9659 allows in HTTP.
//!
//! A frame's header is looked at before the decoder sees it, for the window that it asks for.

use zstd::stream::raw::{DParameter, Decoder, InBuffer, Operation, OutBuffer};

use super::{Codec, Step};

/// 8 MiB: a frame may ask the decoder to keep up to 2 GiB of history otherwise.
const WINDOW_LOG_MAX: u32 = 23;

/// Memory of a decoder beside its buffers.
const CONTEXT_BYTES: u64 = 192 << 10;

/// Bytes of a block at most, for which there is room twice.
const BLOCK_BYTES_MAX: u64 = 128 << 10;

/// First bytes of a frame. One that is to be passed over has others, and no window.
const MAGIC: u32 = 0xFD2F_B528;

pub(super) struct Zstd {
    decoder: Option<Decoder<'static>>,
    /// Within a frame, behind its header.
    in_frame: bool,
    /// What has come of a header that is not there whole.
    head: Vec<u8>,
}

/// What the first bytes of a frame say.
#[derive(Debug, PartialEq, Eq)]
enum Header {
    /// Nothing before there are this many of them.
    More(usize),
    /// Memory of the decoder.
    Takes(u64),
}

/// Reads a header as far as it is there. What is none, or asks for more than may be, the decoder refuses.
fn header(bytes: &[u8]) -> Header {
    let Some(magic) = bytes.first_chunk().map(|magic| u32::from_le_bytes(*magic)) else { return Header::More(4) };
    if magic != MAGIC {
        return Header::Takes(CONTEXT_BYTES);
    }
    let Some(&descriptor) = bytes.get(4) else { return Header::More(5) };
    let is_single = descriptor & 0x20 != 0;
    let window = if is_single {
        let dictionary = [0, 1, 2, 4][usize::from(descriptor & 3)];
        let (start, size) = (5 + dictionary, [1, 2, 4, 8][usize::from(descriptor >> 6)]);
        let Some(field) = bytes.get(start..start + size) else { return Header::More(start + size) };
        let content = field.iter().rev().fold(0, |number, byte| number << 8 | u64::from(*byte));
        if size == 2 { content + 256 } else { content }
    } else {
        let Some(&window) = bytes.get(5) else { return Header::More(6) };
        let base = 1_u64 << (10 + (window >> 3));
        base + base / 8 * u64::from(window & 7)
    };
    match window <= 1 << WINDOW_LOG_MAX {
        true => Header::Takes(CONTEXT_BYTES + window + 2 * window.min(BLOCK_BYTES_MAX)),
        false => Header::Takes(CONTEXT_BYTES),
    }
}

impl Zstd {
    pub(super) fn new() -> Self {
        Zstd { decoder: None, in_frame: false, head: Vec::new() }
    }

    /// Gives the decoder `input`: what was read, what was written, and whether a frame ended.
    fn run(&mut self, input: &[u8], room: &mut [u8]) -> Result<Step, String> {
        let decoder = match &mut self.decoder {
            Some(decoder) => decoder,
            empty => {
                let mut decoder = Decoder::new().map_err(|error| error.to_string())?;
                decoder.set_parameter(DParameter::WindowLogMax(WINDOW_LOG_MAX)).map_err(|error| error.to_string())?;
                empty.insert(decoder)
            }
        };
        let mut source = InBuffer::around(input);
        let mut target = OutBuffer::around(room);
        let hint = decoder.run(&mut source, &mut target).map_err(|error| error.to_string())?;
        self.in_frame = hint != 0;
        Ok(Step { read: source.pos(), wrote: target.pos(), ended: hint == 0, needs: None })
    }
}

impl Codec for Zstd {
    fn step(&mut self, input: &[u8], room: &mut [u8], memory_bytes_max: u64) -> Result<Step, String> {
        if self.in_frame {
            return self.run(input, room);
        }
        if self.head.is_empty()
            && let Header::Takes(bytes) = header(input)
        {
            return if bytes > memory_bytes_max { Ok(Step::needs(bytes)) } else { self.run(input, room) };
        }
        // The header comes in pieces.
        let mut read = 0;
        loop {
            match header(&self.head) {
                Header::More(count) => {
                    let missing = count - self.head.len();
                    let piece = input.get(read..).unwrap_or_default();
                    let piece = piece.get(..missing).unwrap_or(piece);
                    if piece.is_empty() {
                        return Ok(Step { read, wrote: 0, ended: false, needs: None });
                    }
                    self.head.extend_from_slice(piece);
                    read += piece.len();
                }
                Header::Takes(bytes) if bytes > memory_bytes_max => return Ok(Step { read, ..Step::needs(bytes) }),
                Header::Takes(_) => break,
            }
        }
        let head = std::mem::take(&mut self.head);
        let step = self.run(&head, room)?;
        if step.read < head.len() {
            return Err("a frame ends within its header".to_owned());
        }
        let rest = input.get(read..).unwrap_or_default();
        if rest.is_empty() || step.ended {
            return Ok(Step { read, ..step });
        }
        let more = self.run(rest, room.get_mut(step.wrote..).unwrap_or_default())?;
        Ok(Step { read: read + more.read, wrote: step.wrote + more.wrote, ..more })
    }

    fn restart(&mut self) -> bool {
        // The decoder begins the next frame by itself.
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_says_what_its_frame_takes() {
        let takes = |window: u64| Header::Takes(CONTEXT_BYTES + window + 2 * window.min(BLOCK_BYTES_MAX));
        let magic = MAGIC.to_le_bytes();
        let frame = |rest: &[u8]| header(&[&magic, rest].concat());
        assert_eq!((header(&magic[..3]), header(b"plain")), (Header::More(4), Header::Takes(CONTEXT_BYTES)));
        assert_eq!((frame(&[]), frame(&[0])), (Header::More(5), Header::More(6)));
        assert_eq!((frame(&[0, 0]), frame(&[0, 13 << 3]), frame(&[4, 7])), (takes(1024), takes(8 << 20), takes(1920)));
        assert_eq!(frame(&[0, 13 << 3 | 1]), Header::Takes(CONTEXT_BYTES), "refused by the decoder");
        assert_eq!((frame(&[0x20]), frame(&[0x20, 200])), (Header::More(6), takes(200)));
        assert_eq!((frame(&[0x60, 1]), frame(&[0x60, 1, 1])), (Header::More(7), takes(513)));
        assert_eq!(frame(&[0xa1, 9, 0, 0, 1, 0]), takes(1 << 16));
        assert_eq!(header(&0x184D_2A5F_u32.to_le_bytes()), Header::Takes(CONTEXT_BYTES));
    }
}
