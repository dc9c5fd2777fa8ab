//! Chunked bodies: what they hold, where they end and why they are refused is the same in any pieces.

#![cfg_attr(fuzzing, no_main)]

mod shared;

use shared::{Choices, sizes};
use tidewire_protocol::http::{BodyError, BodyFramer, BodyLength};

const BYTES_MAX: u64 = 1 << 10;

/// The payload, what is left behind the body, and whether it ended; or the error.
fn read(body: &[u8], mut piece_bytes: impl FnMut() -> usize) -> Result<(Vec<u8>, usize, bool), BodyError> {
    let mut framer = BodyFramer::new(BodyLength::Chunked, BYTES_MAX)?;
    let (mut payload, mut start, mut end) = (Vec::new(), 0, 0);
    loop {
        end = body.len().min(end + piece_bytes());
        loop {
            let framed = framer.next(&body[start..end])?;
            payload.extend_from_slice(framed.data);
            start += framed.consumed;
            assert!(start <= end && payload.len() as u64 <= BYTES_MAX);
            assert_eq!(framed.done, framer.is_done());
            if framed.done {
                return Ok((payload, body.len() - start, true));
            }
            if framed.consumed == 0 || start == end {
                break;
            }
        }
        if end == body.len() {
            return Ok((payload, body.len() - start, false));
        }
    }
}

shared::entry::target!(|data| {
    let mut choices = Choices::of(data);
    let seed = choices.number(u8::MAX);
    let body = choices.rest();
    assert_eq!(read(body, || usize::MAX / 2), read(body, sizes(seed)));
});
