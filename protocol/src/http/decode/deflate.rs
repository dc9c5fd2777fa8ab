//! gzip (RFC 1952, members one after the other) and deflate (RFC 1950 or bare RFC 1951), on zlib-rs.

use flate2::{Decompress, FlushDecompress, Status};

use super::{Codec, Step};

/// The window every encoder uses; gzip and HTTP allow no larger one.
const WINDOW_BITS: u8 = 15;

/// Memory of a decoder: the window, and the tables and states of zlib-rs.
const MEMORY_BYTES: u64 = 64 << 10;

/// Members that one body may have. Writers that flush by starting a new member make hundreds; each costs the set-up
/// of a decoder, so millions of empty ones are an attack.
const MEMBERS_MAX: u32 = 4_096;

pub(super) struct Gzip {
    inflate: Option<Decompress>,
    members: u32,
}

impl Gzip {
    pub(super) fn new() -> Self {
        Gzip { inflate: None, members: 1 }
    }
}

impl Codec for Gzip {
    fn step(&mut self, input: &[u8], room: &mut [u8], memory_bytes_max: u64) -> Result<Step, String> {
        if MEMORY_BYTES > memory_bytes_max {
            return Ok(Step::needs(MEMORY_BYTES));
        }
        inflate(self.inflate.get_or_insert_with(|| Decompress::new_gzip(WINDOW_BITS)), input, room)
    }

    fn restart(&mut self) -> bool {
        self.members += 1;
        self.inflate = None;
        self.members <= MEMBERS_MAX
    }
}

/// "deflate" means the zlib format, but CnosDB and old browsers mean the bare one. The first byte tells: in a zlib
/// header its low half is 8, which as bare deflate would be a stored block with padding that no encoder writes.
pub(super) struct Deflate {
    inflate: Option<Decompress>,
}

impl Deflate {
    pub(super) fn new() -> Self {
        Deflate { inflate: None }
    }
}

impl Codec for Deflate {
    fn step(&mut self, input: &[u8], room: &mut [u8], memory_bytes_max: u64) -> Result<Step, String> {
        let Some(first) = input.first() else {
            return match &mut self.inflate {
                Some(decompress) => inflate(decompress, input, room),
                None => Ok(Step { read: 0, wrote: 0, ended: false, needs: None }),
            };
        };
        if MEMORY_BYTES > memory_bytes_max {
            return Ok(Step::needs(MEMORY_BYTES));
        }
        let zlib_header = first & 0x8f == 8;
        inflate(self.inflate.get_or_insert_with(|| Decompress::new(zlib_header)), input, room)
    }

    fn restart(&mut self) -> bool {
        false
    }
}

fn inflate(decompress: &mut Decompress, input: &[u8], room: &mut [u8]) -> Result<Step, String> {
    let (read, wrote) = (decompress.total_in(), decompress.total_out());
    let status = decompress
        .decompress(input, room, FlushDecompress::None)
        .map_err(|error| error.message().unwrap_or("bad data").to_owned())?;
    Ok(Step {
        // Both differences are bounded by the lengths of the slices.
        read: (decompress.total_in() - read) as usize,
        wrote: (decompress.total_out() - wrote) as usize,
        ended: status == Status::StreamEnd,
        needs: None,
    })
}
