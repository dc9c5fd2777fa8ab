//! zstd (RFC 8878), frames one after the other, with the window that RFC 9659 allows in HTTP.

use zstd::stream::raw::{DParameter, Decoder, InBuffer, Operation, OutBuffer};

use super::{Codec, Step};

/// 8 MiB: a frame may ask the decoder to keep up to 2 GiB of history otherwise.
const WINDOW_LOG_MAX: u32 = 23;

pub(super) struct Zstd {
    decoder: Option<Decoder<'static>>,
}

impl Zstd {
    pub(super) fn new() -> Self {
        Zstd { decoder: None }
    }
}

impl Codec for Zstd {
    fn step(&mut self, input: &[u8], room: &mut [u8]) -> Result<Step, String> {
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
        Ok(Step { read: source.pos(), wrote: target.pos(), ended: hint == 0 })
    }

    fn restart(&mut self) -> bool {
        // The decoder begins the next frame by itself.
        true
    }
}
