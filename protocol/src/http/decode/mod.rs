//! Request bodies out of their content coding, as a stream with bounded output.
//!
//! A few kilobytes can decode to gigabytes, so [`ContentDecoder::push`] appends at most [`STEP_BYTES_MAX`] a call and
//! tells the caller to come again, and the sum of all output is bounded by what the constructor was given. What has
//! been appended when an error comes is part of a body that is refused, and worth nothing.
//!
//! What a decoder itself takes is megabytes where a stream asks for a large window, and a client that sends no more
//! holds it. So a decoder takes nothing before it may: it says what it needs ([`Pushed::needs`]), and goes on when that
//! is [allowed](ContentDecoder::allow).
//!
//! Each coding is a file of its own behind one small trait: *read some input, fill some room, say whether a stream
//! ended*. This module owns what is common: room, bounds, what may follow an ended stream, and truncation.

mod brotli;
mod deflate;
mod snappy;
mod zstd;

use super::encoding::{Encoding, UnknownEncoding};

/// Bytes that one call of [`ContentDecoder::push`] appends at most. The caller parses them while they are in the
/// second-level cache; a larger step gains nothing.
pub const STEP_BYTES_MAX: usize = 256 * 1024;

/// Room offered to a codec first: text usually shrinks to an eighth or less, and a body of one row should not cost
/// the zeroing of a whole step.
const ROOM_FACTOR: usize = 8;
const ROOM_BYTES_MIN: usize = 4 * 1024;

/// A body that does not decode.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// More than the bound comes out; 413.
    #[error("decoded request body too large")]
    TooLarge,
    /// Not a valid stream of the coding; 400.
    #[error("corrupt {} stream: {reason}", .encoding.token())]
    Corrupt {
        /// The coding.
        encoding: Encoding,
        /// What the codec said.
        reason: String,
    },
    /// The body ended before the stream did; 400.
    #[error("truncated {} stream", .encoding.token())]
    Truncated {
        /// The coding.
        encoding: Encoding,
    },
}

impl DecodeError {
    /// Status of the reply.
    pub fn status(&self) -> u16 {
        match self {
            DecodeError::TooLarge => 413,
            DecodeError::Corrupt { .. } | DecodeError::Truncated { .. } => 400,
        }
    }
}

/// What [`ContentDecoder::push`] did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pushed {
    /// Bytes of the input that are done with.
    pub consumed: usize,
    /// Call again with the rest of the input, also when that is empty: output is waiting.
    pub more: bool,
    /// Memory, in all, that the decoder must be allowed before it goes on.
    pub needs: Option<u64>,
}

/// What a codec did with its input.
struct Step {
    read: usize,
    wrote: usize,
    /// A stream ended here; `read` stops behind it.
    ended: bool,
    /// It takes this much memory to go on, which is more than it may.
    needs: Option<u64>,
}

impl Step {
    /// Nothing can be done before more memory is allowed.
    fn needs(bytes: u64) -> Self {
        Self { read: 0, wrote: 0, ended: false, needs: Some(bytes) }
    }
}

/// A stream decoder.
trait Codec {
    /// Reads from `input` and writes to `room` until one of them is used up or a stream ends. Holds no more than
    /// `memory_bytes_max`. The error is the reason.
    fn step(&mut self, input: &[u8], room: &mut [u8], memory_bytes_max: u64) -> Result<Step, String>;

    /// Makes ready for another stream after one that ended; false where there may be none.
    fn restart(&mut self) -> bool;

    /// Whether an empty body is a valid one.
    fn may_be_empty(&self) -> bool {
        false
    }
}

/// Decodes one request body.
pub struct ContentDecoder {
    encoding: Encoding,
    codec: Option<Box<dyn Codec>>,
    /// Output that may still come before the bound is passed.
    allowance: u64,
    memory_bytes_max: u64,
    place: Place,
}

/// Where in the body the decoder stands.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    /// Nothing read yet.
    Start,
    /// Inside a stream.
    Stream,
    /// Behind a complete stream.
    Between,
}

impl std::fmt::Debug for ContentDecoder {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("ContentDecoder")
            .field("encoding", &self.encoding)
            .field("allowance", &self.allowance)
            .finish_non_exhaustive()
    }
}

impl ContentDecoder {
    /// For the value of a `Content-Encoding` header; an empty one is identity.
    pub fn new(token: &str, decoded_bytes_max: u64) -> Result<Self, UnknownEncoding> {
        Encoding::from_content_encoding(token).map(|encoding| Self::with_encoding(encoding, decoded_bytes_max))
    }

    /// For a coding that is known already, as [`super::Head::content_encoding`] tells it.
    pub fn with_encoding(encoding: Encoding, decoded_bytes_max: u64) -> Self {
        let codec: Option<Box<dyn Codec>> = match encoding {
            Encoding::Identity => None,
            Encoding::Gzip => Some(Box::new(deflate::Gzip::new())),
            Encoding::Deflate => Some(Box::new(deflate::Deflate::new())),
            Encoding::Brotli => Some(Box::new(brotli::Brotli::new())),
            Encoding::Zstd => Some(Box::new(zstd::Zstd::new())),
            Encoding::Snappy => Some(Box::new(snappy::Snappy::new())),
        };
        let (allowance, memory_bytes_max) = (decoded_bytes_max, u64::MAX);
        ContentDecoder { encoding, codec, allowance, memory_bytes_max, place: Place::Start }
    }

    /// Bounds the memory that the decoder takes; without a call it takes what a stream asks for.
    pub fn allow(&mut self, memory_bytes_max: u64) {
        self.memory_bytes_max = memory_bytes_max;
    }

    /// Whether the body is not coded; its bytes can then be used where they are, without a copy through `push`.
    pub fn is_identity(&self) -> bool {
        self.codec.is_none()
    }

    /// Decodes from the start of `input` and appends to `out`, at most [`STEP_BYTES_MAX`] bytes. `last`: no input will
    /// follow. The body is complete when `last` was given and the answer says there is no more.
    pub fn push(&mut self, input: &[u8], last: bool, out: &mut Vec<u8>) -> Result<Pushed, DecodeError> {
        let mut consumed = 0;
        let mut left = STEP_BYTES_MAX;
        let mut room = input.len().saturating_mul(ROOM_FACTOR).max(ROOM_BYTES_MIN);
        loop {
            let rest = &input[consumed..];
            if self.place == Place::Between && !rest.is_empty() && !self.restart() {
                return Err(self.corrupt("data after the end".to_owned()));
            }
            if self.place == Place::Start && !rest.is_empty() {
                self.place = Place::Stream;
            }
            if left == 0 {
                return Ok(Pushed { consumed, more: true, needs: None });
            }
            room = room.min(left);
            let step = self.step(rest, room, out)?;
            consumed += step.read;
            left -= step.wrote;
            self.allowance = self.allowance.checked_sub(step.wrote as u64).ok_or(DecodeError::TooLarge)?;
            if step.ended {
                self.place = Place::Between;
            }
            if step.needs.is_some() {
                return Ok(Pushed { consumed, more: true, needs: step.needs });
            }
            let stuck = step.read == 0 && step.wrote == 0 && !step.ended;
            let idle = consumed == input.len() && step.wrote < room;
            if idle || stuck {
                return self.settle(consumed, input.len(), last);
            }
            room *= 2;
        }
    }

    /// The codec wants more input: is there none because the body is complete, or because it was cut?
    fn settle(&self, consumed: usize, available: usize, last: bool) -> Result<Pushed, DecodeError> {
        if consumed < available {
            return Err(self.corrupt("no progress".to_owned()));
        }
        let complete = match self.place {
            Place::Between => true,
            Place::Start => self.codec.as_ref().is_none_or(|codec| codec.may_be_empty()),
            Place::Stream => self.codec.is_none(),
        };
        if last && !complete {
            return Err(DecodeError::Truncated { encoding: self.encoding });
        }
        Ok(Pushed { consumed, more: false, needs: None })
    }

    fn step(&mut self, input: &[u8], room: usize, out: &mut Vec<u8>) -> Result<Step, DecodeError> {
        let Some(codec) = &mut self.codec else {
            let data = &input[..input.len().min(room)];
            out.extend_from_slice(data);
            return Ok(Step { read: data.len(), wrote: data.len(), ended: false, needs: None });
        };
        if self.place != Place::Stream {
            return Ok(Step { read: 0, wrote: 0, ended: false, needs: None });
        }
        let start = out.len();
        out.resize(start + room, 0);
        let result = codec.step(input, &mut out[start..], self.memory_bytes_max);
        out.truncate(start + result.as_ref().map_or(0, |step| step.wrote));
        result.map_err(|reason| self.corrupt(reason))
    }

    fn restart(&mut self) -> bool {
        let ready = self.codec.as_mut().is_some_and(|codec| codec.restart());
        if ready {
            self.place = Place::Stream;
        }
        ready
    }

    fn corrupt(&self, reason: String) -> DecodeError {
        DecodeError::Corrupt { encoding: self.encoding, reason }
    }
}
