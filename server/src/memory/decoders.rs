//! Memory of the decoders of compressed bodies, of all cores together.
//!
//! A few bytes make a decoder take megabytes, and hold them until the client goes on. What a decoder takes is taken
//! from here first. Large windows leave a part to small ones: those of gzip, which nearly all clients use.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// A decoder that takes no more than this is a small one.
const SMALL_BYTES_MAX: u64 = 256 << 10;

/// The part of the memory that is left to small ones.
const SMALL_PART: u64 = 4;

/// See the module.
#[derive(Debug)]
pub struct DecoderMemory {
    held: AtomicU64,
    bytes_max: u64,
}

/// What one decoder may take; given back when dropped.
#[derive(Debug)]
pub struct DecoderShare {
    memory: Arc<DecoderMemory>,
    bytes: u64,
}

/// Why a decoder gets no memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum DecoderRefusal {
    /// There is none left now.
    #[error("the body asks for a decoder of {bytes} bytes, and those of other bodies hold {held} of {bytes_max} bytes")]
    Busy {
        /// What it takes.
        bytes: u64,
        /// What others hold.
        held: u64,
        /// What there is for all.
        bytes_max: u64,
    },
    /// It is more than there ever is.
    #[error(
        "the body asks for a decoder of {bytes} bytes, and one may have {bytes_max}; compress with a smaller window"
    )]
    TooLarge {
        /// What it takes.
        bytes: u64,
        /// What there is at most.
        bytes_max: u64,
    },
}

/// Whether `bytes` may be taken by a decoder where `held` of `bytes_max` are taken by others.
fn check(bytes: u64, held: u64, bytes_max: u64) -> Result<(), DecoderRefusal> {
    let most = if bytes <= SMALL_BYTES_MAX { bytes_max } else { bytes_max - bytes_max / SMALL_PART };
    match bytes {
        _ if bytes > most => Err(DecoderRefusal::TooLarge { bytes, bytes_max: most }),
        _ if held + bytes > most => Err(DecoderRefusal::Busy { bytes, held, bytes_max: most }),
        _ => Ok(()),
    }
}

impl DecoderMemory {
    /// None taken of `bytes_max`.
    pub fn new(bytes_max: u64) -> Arc<Self> {
        Arc::new(Self { held: AtomicU64::new(0), bytes_max })
    }

    #[cfg(test)]
    fn held(&self) -> u64 {
        self.held.load(Ordering::Relaxed)
    }

    /// A share of nothing yet.
    pub fn share(self: &Arc<Self>) -> DecoderShare {
        DecoderShare { memory: self.clone(), bytes: 0 }
    }
}

impl DecoderShare {
    /// What it has taken.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Takes what is missing to `bytes`.
    pub fn grow(&mut self, bytes: u64) -> Result<(), DecoderRefusal> {
        let own = self.bytes;
        let mut refusal = None;
        let taken = self.memory.held.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |held| {
            let others = held - own;
            refusal = check(bytes, others, self.memory.bytes_max).err();
            refusal.is_none().then_some(others + bytes)
        });
        if taken.is_ok() {
            self.bytes = bytes;
        }
        refusal.map_or(Ok(()), Err)
    }
}

impl Drop for DecoderShare {
    fn drop(&mut self) {
        self.memory.held.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_there_is_refused_and_comes_back() {
        let memory = DecoderMemory::new(32 << 20);
        let mut shares: Vec<DecoderShare> = Vec::new();
        let busy = loop {
            let mut share = memory.share();
            match share.grow(9 << 20) {
                Ok(()) => shares.push(share),
                Err(refusal) => break refusal,
            }
        };
        let (bytes, held, bytes_max) = (9 << 20, 18 << 20, 24 << 20);
        assert_eq!(busy, DecoderRefusal::Busy { bytes, held, bytes_max });
        assert_eq!((shares.len(), memory.held()), (2, 18 << 20));
        // Small ones are served all the same.
        let mut small = memory.share();
        assert_eq!(small.grow(64 << 10), Ok(()));
        // One that grows takes the difference, and one that is refused keeps what it has.
        assert_eq!(small.grow(1 << 20), Ok(()));
        assert_eq!(memory.held(), 19 << 20);
        assert!(matches!(small.grow(20 << 20), Err(DecoderRefusal::Busy { .. })));
        assert!(matches!(small.grow(30 << 20), Err(DecoderRefusal::TooLarge { .. })));
        assert_eq!(memory.held(), 19 << 20);
        shares.pop();
        assert_eq!((small.grow(8 << 20), memory.held()), (Ok(()), 17 << 20));
        drop((shares, small));
        assert_eq!(memory.held(), 0);
    }
}
