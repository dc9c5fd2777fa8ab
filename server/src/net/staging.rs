//! A body that is put together from chunks, or decompressed, step by step.

use std::sync::Arc;

use tidewire_protocol::http::{BodyFramer, ContentDecoder, Encoding};

use super::body_error::BodyError;
use crate::memory::decoders::{DecoderMemory, DecoderRefusal, DecoderShare};

/// A body that is put together from chunks, or decompressed.
#[derive(Debug)]
pub(super) struct Staging {
    framer: BodyFramer,
    decoder: Option<ContentDecoder>,
    /// Memory of the decoder.
    share: Option<DecoderShare>,
    /// What it needs in all before it goes on.
    pub(super) needs: Option<u64>,
    /// Payload that the framer found at the start of the buffer and the decoder has not taken.
    piece: usize,
    /// The decoder must be called again, with or without payload.
    is_pushing: bool,
    /// Everything has come out.
    pub(super) is_complete: bool,
    /// A piece was handed out as the last.
    pub(super) is_last_given: bool,
}

impl Staging {
    /// Nothing yet of a body of `encoding`, which comes to at most `bytes_max`.
    pub(super) fn new(framer: BodyFramer, encoding: Encoding, bytes_max: u64) -> Self {
        Self {
            framer,
            decoder: (encoding != Encoding::Identity).then(|| new_decoder(encoding, bytes_max)),
            share: None,
            needs: None,
            piece: 0,
            is_pushing: false,
            is_complete: false,
            is_last_given: false,
        }
    }

    /// Memory that the decoder has taken.
    pub(super) fn decoder_bytes(&self) -> u64 {
        self.share.as_ref().map_or(0, DecoderShare::bytes)
    }

    /// Takes one step over `input`, which begins with what is not consumed yet; appends what comes out.
    pub(super) fn advance(&mut self, input: &[u8], out: &mut Vec<u8>) -> Result<usize, BodyError> {
        if self.is_complete {
            return Ok(0);
        }
        let mut framing = 0;
        if !self.is_pushing {
            let framed = self.framer.next(input)?;
            framing = framed.consumed - framed.data.len();
            self.piece = framed.data.len();
            self.is_pushing = self.piece > 0 || framed.done;
        }
        if !self.is_pushing {
            return Ok(framing);
        }
        let payload = &input[framing..framing + self.piece];
        let taken = match &mut self.decoder {
            None => {
                out.extend_from_slice(payload);
                self.is_pushing = false;
                payload.len()
            }
            Some(decoder) => {
                let pushed = decoder.push(payload, self.framer.is_done(), out)?;
                (self.is_pushing, self.needs) = (pushed.more, pushed.needs);
                pushed.consumed
            }
        };
        self.piece -= taken;
        self.is_complete = !self.is_pushing && self.framer.is_done();
        Ok(framing + taken)
    }

    /// Takes the memory that the decoder needs.
    pub(super) fn allow(&mut self, bytes: u64, memory: &Arc<DecoderMemory>) -> Result<(), DecoderRefusal> {
        self.share.get_or_insert_with(|| memory.share()).grow(bytes)?;
        if let Some(decoder) = &mut self.decoder {
            decoder.allow(bytes);
        }
        Ok(())
    }

    /// Whether nothing comes out before more is received.
    pub(super) fn is_dry(&self) -> bool {
        !self.is_pushing
    }
}

/// A decoder that must ask for the memory it takes.
fn new_decoder(encoding: Encoding, bytes_max: u64) -> ContentDecoder {
    let mut decoder = ContentDecoder::with_encoding(encoding, bytes_max);
    decoder.allow(0);
    decoder
}
