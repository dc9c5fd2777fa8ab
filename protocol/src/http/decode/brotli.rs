//! Brotli (RFC 7932), without the large-window extension, which would let a body ask for a gigabyte of history.

use brotli::enc::StandardAlloc;
use brotli::{BrotliDecompressStream, BrotliResult, BrotliState};

use super::{Codec, Step};

type State = BrotliState<StandardAlloc, StandardAlloc, StandardAlloc>;

/// Memory of a decoder beside its window: three groups of up to 256 prefix codes, 4,320 bytes each.
const TABLES_BYTES: u64 = 3 * 256 * 4_320 + (64 << 10);

pub(super) struct Brotli {
    /// Made when the stream's first byte has come, which tells the window.
    state: Option<Box<State>>,
}

impl Brotli {
    pub(super) fn new() -> Self {
        Brotli { state: None }
    }
}

/// The window of a stream that begins with `first`, in bytes (section 9.1).
fn window_bytes(first: u8) -> u64 {
    let bits = match (first & 1, first >> 1 & 7, first >> 4 & 7) {
        (0, ..) => 16,
        (_, 0, 0) => 17,
        (_, 0, more) => 8 + more,
        (_, more, _) => 17 + more,
    };
    1 << bits
}

impl Codec for Brotli {
    fn step(&mut self, input: &[u8], room: &mut [u8], memory_bytes_max: u64) -> Result<Step, String> {
        let state = match (&mut self.state, input.first()) {
            (Some(state), _) => state,
            (None, None) => return Ok(Step { read: 0, wrote: 0, ended: false, needs: None }),
            (empty, Some(first)) => {
                let bytes = window_bytes(*first) + TABLES_BYTES;
                if bytes > memory_bytes_max {
                    return Ok(Step::needs(bytes));
                }
                let alloc = StandardAlloc::default;
                empty.insert(Box::new(BrotliState::new_strict(alloc(), alloc(), alloc())))
            }
        };
        let (mut available_in, mut read) = (input.len(), 0);
        let (mut available_out, mut wrote) = (room.len(), 0);
        let mut total = 0;
        let result = BrotliDecompressStream(
            &mut available_in,
            &mut read,
            input,
            &mut available_out,
            &mut wrote,
            room,
            &mut total,
            state,
        );
        match result {
            BrotliResult::ResultFailure => Err("bad data".to_owned()),
            result => Ok(Step { read, wrote, ended: matches!(result, BrotliResult::ResultSuccess), needs: None }),
        }
    }

    fn restart(&mut self) -> bool {
        false
    }
}
