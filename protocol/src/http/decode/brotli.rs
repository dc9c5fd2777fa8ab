//! Brotli (RFC 7932), without the large-window extension, which would let a body ask for a gigabyte of history.

use brotli::enc::StandardAlloc;
use brotli::{BrotliDecompressStream, BrotliResult, BrotliState};

use super::{Codec, Step};

pub(super) struct Brotli {
    state: Box<BrotliState<StandardAlloc, StandardAlloc, StandardAlloc>>,
}

impl Brotli {
    pub(super) fn new() -> Self {
        Brotli {
            state: Box::new(BrotliState::new_strict(
                StandardAlloc::default(),
                StandardAlloc::default(),
                StandardAlloc::default(),
            )),
        }
    }
}

impl Codec for Brotli {
    fn step(&mut self, input: &[u8], room: &mut [u8]) -> Result<Step, String> {
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
            &mut self.state,
        );
        match result {
            BrotliResult::ResultFailure => Err("bad data".to_owned()),
            result => Ok(Step { read, wrote, ended: matches!(result, BrotliResult::ResultSuccess) }),
        }
    }

    fn restart(&mut self) -> bool {
        false
    }
}
