//! Compressed bodies: what comes out, within its bound, is the same in any pieces, and so is whether it is refused.

#![cfg_attr(fuzzing, no_main)]

mod shared;

use shared::{Choices, sizes};
use tidewire_protocol::http::{ContentDecoder, DecodeError, STEP_BYTES_MAX};
use tidewire_protocol::protobuf::{decode_snappy_block, snappy_block_bytes};

const BYTES_MAX: u64 = 1 << 20;
/// More memory than this no decoder is given.
const MEMORY_MAX: u64 = 16 << 20;

/// What comes out; `None` where it wants too much memory.
fn decode(token: &str, body: &[u8], mut piece_bytes: impl FnMut() -> usize) -> Option<Result<Vec<u8>, DecodeError>> {
    let mut decoder = ContentDecoder::new(token, BYTES_MAX).expect("a coding that is known");
    decoder.allow(0);
    let (mut out, mut start, mut end) = (Vec::new(), 0, 0);
    loop {
        end = body.len().min(end + piece_bytes());
        let last = end == body.len();
        loop {
            let before = out.len();
            let pushed = match decoder.push(&body[start..end], last, &mut out) {
                Ok(pushed) => pushed,
                Err(error) => return Some(Err(error)),
            };
            start += pushed.consumed;
            assert!(start <= end && out.len() - before <= STEP_BYTES_MAX && out.len() as u64 <= BYTES_MAX);
            match pushed.needs {
                Some(needs) if needs > MEMORY_MAX => return None,
                Some(needs) => decoder.allow(needs),
                None if !pushed.more => break,
                None => {}
            }
        }
        if last {
            return Some(Ok(out));
        }
    }
}

shared::entry::target!(|data| {
    let mut choices = Choices::of(data);
    let (coding, seed) = (choices.number(6), choices.number(u8::MAX));
    let body = choices.rest();
    let Some(token) = ["gzip", "deflate", "br", "zstd", "snappy"].get(usize::from(coding)) else {
        let bytes = snappy_block_bytes(body, BYTES_MAX);
        if let Ok(decoded) = decode_snappy_block(body, BYTES_MAX) {
            assert_eq!(bytes.ok(), Some(decoded.len()));
        }
        return;
    };
    let (whole, pieces) = (decode(token, body, || usize::MAX / 2), decode(token, body, sizes(seed)));
    match (whole, pieces) {
        (Some(Ok(whole)), Some(Ok(pieces))) => assert!(whole == pieces, "{token}: other bytes in pieces"),
        (Some(Err(_)), Some(Err(_))) | (None, _) | (_, None) => {}
        (whole, pieces) => panic!("{token}: {:?} whole, {:?} in pieces", whole.map(drop_ok), pieces.map(drop_ok)),
    }
});

fn drop_ok(decoded: Result<Vec<u8>, DecodeError>) -> Result<usize, DecodeError> {
    decoded.map(|bytes| bytes.len())
}
