//! Where a request body ends: Content-Length or chunked transfer coding, fed in any pieces.
//!
//! [`BodyFramer::next`] looks at what has been received and hands back payload as a slice of it, so no byte is
//! copied. The chunked reader is a state machine that can stop after any byte:
//!
//! ```text
//!   Size ──hex──> Size ──;──> Extension ──CR──┐
//!     └────────CR────────────────────────────>SizeLf ──LF──> Data{left} ──> DataCr ──> DataLf ──> Size
//!                                                   └─ size 0 ─> TrailerStart ──CR──> LastLf ──LF──> Done
//!                                                                  └─ name: value CRLF, read and dropped
//! ```
//!
//! Bounds: payload (413), hex digits of a size, bytes of extensions and of trailers over the whole body (400/431).
//! A bare LF, a bare CR, a blank in a chunk size or a folded trailer is refused: those are the places where two
//! readers of chunked coding have been made to disagree.

use super::head::BodyLength;
use super::scan::is_token;

/// Bytes of chunk extensions in a whole body. Nobody sends them except attackers who want work done without payload.
const EXTENSION_BYTES_MAX: u32 = 4 * 1024;

/// Bytes of the trailer section; it is read and dropped.
const TRAILER_BYTES_MAX: u32 = 8 * 1024;

/// Hex digits of a chunk size: what a `u64` holds.
const SIZE_DIGITS_MAX: u8 = 16;

/// A body that is refused. The reply carries `status` and the connection closes after it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{status}: {reason}")]
pub struct BodyError {
    /// 400, 413 or 431.
    pub status: u16,
    /// What was wrong, for the reply and the log.
    pub reason: &'static str,
}

/// What [`BodyFramer::next`] found at the start of its input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Framed<'b> {
    /// Payload; may be empty when only framing was read.
    pub data: &'b [u8],
    /// Bytes of the input that are done with, framing and `data` together.
    pub consumed: usize,
    /// The body is complete; what follows `consumed` is the next request.
    pub done: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Length { left: u64 },
    Size { size: u64, digits: u8 },
    Extension { size: u64 },
    SizeLf { size: u64 },
    Data { left: u64 },
    DataCr,
    DataLf,
    TrailerStart,
    TrailerName,
    TrailerValue,
    TrailerLf,
    LastLf,
    Done,
}

/// Splits the bytes after a head into payload and framing.
#[derive(Debug)]
pub struct BodyFramer {
    state: State,
    /// Payload bytes that may still come before the bound is hit.
    allowance: u64,
    extension_bytes: u32,
    trailer_bytes: u32,
}

impl BodyFramer {
    /// A framer for a body of this length. Refuses a Content-Length above `body_bytes_max` before a byte of it is
    /// read, so that a client that asked `Expect: 100-continue` need not send it.
    pub fn new(length: BodyLength, body_bytes_max: u64) -> Result<Self, BodyError> {
        let state = match length {
            BodyLength::None | BodyLength::Length(0) => State::Done,
            BodyLength::Length(length) if length > body_bytes_max => return Err(TOO_LARGE),
            BodyLength::Length(left) => State::Length { left },
            BodyLength::Chunked => State::Size { size: 0, digits: 0 },
        };
        Ok(BodyFramer { state, allowance: body_bytes_max, extension_bytes: 0, trailer_bytes: 0 })
    }

    /// Whether the whole body has been read.
    pub fn is_done(&self) -> bool {
        self.state == State::Done
    }

    /// Reads from the start of `input` until payload is found, the body ends or the input does.
    pub fn next<'b>(&mut self, input: &'b [u8]) -> Result<Framed<'b>, BodyError> {
        let mut at = 0;
        while self.state != State::Done {
            if let State::Length { left } | State::Data { left } = self.state {
                let available = input.len() - at;
                let take = usize::try_from(left).map_or(available, |left| left.min(available));
                let rest = left - take as u64;
                self.state = match self.state {
                    State::Length { .. } if rest == 0 => State::Done,
                    State::Length { .. } => State::Length { left: rest },
                    _ if rest == 0 => State::DataCr,
                    _ => State::Data { left: rest },
                };
                let data = &input[at..at + take];
                at += take;
                // The CRLF after a chunk waits for the next call; payload goes out first.
                return Ok(Framed { data, consumed: at, done: self.is_done() });
            }
            let Some(&byte) = input.get(at) else { break };
            self.state = self.step(byte)?;
            at += 1;
        }
        Ok(Framed { data: &[], consumed: at, done: self.is_done() })
    }

    /// One byte of chunked framing.
    fn step(&mut self, byte: u8) -> Result<State, BodyError> {
        Ok(match (self.state, byte) {
            (State::Size { size, digits }, _) => match (hex_digit(byte), byte) {
                (Some(_), _) if digits == SIZE_DIGITS_MAX => return Err(bad("chunk size too long")),
                (Some(digit), _) => State::Size { size: (size << 4) | u64::from(digit), digits: digits + 1 },
                (None, b';') if digits > 0 => State::Extension { size },
                (None, b'\r') if digits > 0 => State::SizeLf { size },
                _ => return Err(bad("bad chunk size")),
            },
            (State::Extension { size }, b'\r') => State::SizeLf { size },
            (State::Extension { size }, b'\t' | 0x20..=0x7e | 0x80..) => {
                self.extension_bytes += 1;
                if self.extension_bytes > EXTENSION_BYTES_MAX {
                    return Err(bad("chunk extensions too long"));
                }
                State::Extension { size }
            }
            (State::Extension { .. }, _) => return Err(bad("bad chunk extension")),
            (State::SizeLf { size: 0 }, b'\n') => State::TrailerStart,
            (State::SizeLf { size }, b'\n') => {
                self.allowance = self.allowance.checked_sub(size).ok_or(TOO_LARGE)?;
                State::Data { left: size }
            }
            (State::DataCr, b'\r') => State::DataLf,
            (State::DataLf, b'\n') => State::Size { size: 0, digits: 0 },
            (State::DataCr | State::DataLf, _) => return Err(bad("chunk longer than its size")),
            (State::TrailerStart, b'\r') => State::LastLf,
            (State::LastLf, b'\n') => State::Done,
            (State::TrailerStart | State::TrailerName | State::TrailerValue | State::TrailerLf, _) => {
                self.trailer(byte)?
            }
            _ => return Err(bad("CR without LF in chunked framing")),
        })
    }

    /// One byte of the trailer section: `name ":" value CRLF`, under the rules of the head.
    fn trailer(&mut self, byte: u8) -> Result<State, BodyError> {
        self.trailer_bytes += 1;
        if self.trailer_bytes > TRAILER_BYTES_MAX {
            return Err(BodyError { status: 431, reason: "trailer section too large" });
        }
        match (self.state, byte) {
            (State::TrailerStart | State::TrailerName, byte) if is_token(byte) => Ok(State::TrailerName),
            (State::TrailerName, b':') => Ok(State::TrailerValue),
            (State::TrailerValue, b'\t' | 0x20..=0x7e | 0x80..) => Ok(State::TrailerValue),
            (State::TrailerValue, b'\r') => Ok(State::TrailerLf),
            (State::TrailerLf, b'\n') => Ok(State::TrailerStart),
            _ => Err(bad("bad trailer")),
        }
    }
}

const TOO_LARGE: BodyError = BodyError { status: 413, reason: "request body too large" };

const fn bad(reason: &'static str) -> BodyError {
    BodyError { status: 400, reason }
}

fn hex_digit(byte: u8) -> Option<u8> {
    match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        b'A'..=b'F' => Some(byte - b'A' + 10),
        _ => None,
    }
}
