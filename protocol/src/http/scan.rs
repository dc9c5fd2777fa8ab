//! Scans over the bytes of a head: token characters, numbers, the end of a line, the first byte that may not stand
//! there.

use super::error::{HeadError, refuse};

/// Bytes of an RFC 9110 token.
const TOKEN: [bool; 256] = {
    let mut table = [false; 256];
    let mut byte = 0;
    while byte < 256 {
        table[byte] = matches!(byte as u8,
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9'
            | b'!' | b'#' | b'$' | b'%' | b'&' | b'\'' | b'*' | b'+' | b'-' | b'.' | b'^' | b'_' | b'`' | b'|' | b'~');
        byte += 1;
    }
    table
};

/// Whether the byte may stand in a token, a header name for one.
#[inline]
pub(super) fn is_token(byte: u8) -> bool {
    TOKEN[byte as usize]
}

const ONES: u64 = 0x0101_0101_0101_0101;
const HIGHS: u64 = 0x8080_8080_8080_8080;

/// Index of the first byte at or after `from` that is below `LOW` or is DEL; `bytes.len()` without one.
///
/// Eight bytes at a time: subtracting borrows into a byte's top bit exactly where the byte was smaller. A borrow can
/// reach a neighbour, but only one above a true hit, so the lowest set bit is right.
#[inline]
pub(super) fn find_below<const LOW: u8>(bytes: &[u8], from: usize) -> usize {
    let mut at = from;
    while let Some(chunk) = bytes.get(at..).and_then(|rest| rest.first_chunk::<8>()) {
        let word = u64::from_le_bytes(*chunk);
        let below = word.wrapping_sub(ONES * u64::from(LOW)) & !word;
        let del = word ^ (ONES * 0x7f);
        let hits = (below | (del.wrapping_sub(ONES) & !del)) & HIGHS;
        if hits != 0 {
            return at + (hits.trailing_zeros() / 8) as usize;
        }
        at += 8;
    }
    while let Some(&byte) = bytes.get(at) {
        if byte < LOW || byte == 0x7f {
            break;
        }
        at += 1;
    }
    at
}

/// Where a line's content ends: the CR of its CRLF. `None` while the CRLF has not arrived.
#[inline]
pub(super) fn line_end(bytes: &[u8], from: usize) -> Result<Option<usize>, HeadError> {
    let mut at = from;
    loop {
        at = find_below::<0x20>(bytes, at);
        match bytes.get(at) {
            None => return Ok(None),
            Some(b'\t') => at += 1,
            Some(b'\r') => {
                return match bytes.get(at + 1) {
                    None => Ok(None),
                    Some(b'\n') => Ok(Some(at)),
                    Some(_) => refuse(400, "CR without LF"),
                };
            }
            Some(b'\n') => return refuse(400, "LF without CR"),
            Some(_) => return refuse(400, "control character in the head"),
        }
    }
}

/// A decimal number of digits only: no sign, no blank, no overflow.
pub(super) fn parse_decimal(text: &[u8]) -> Option<u64> {
    if text.is_empty() {
        return None;
    }
    text.iter().try_fold(0u64, |number, &byte| {
        let digit = byte.wrapping_sub(b'0');
        if digit > 9 { None } else { number.checked_mul(10)?.checked_add(u64::from(digit)) }
    })
}
