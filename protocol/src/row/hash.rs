//! Hashes of what clients send.

use std::hash::{BuildHasher, RandomState};

use rapidhash::v3::{RapidSecrets, rapidhash_v3_seeded};

/// Spreads 32 bits of a hash over the 64 that a table looks at.
pub(super) const SPREAD: u64 = 0x9E37_79B9_7F4A_7C15;

/// Hashes with a seed of its own, so that nobody can send keys that collide.
pub(super) struct Hasher(RapidSecrets);

impl std::fmt::Debug for Hasher {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Hasher").finish_non_exhaustive()
    }
}

impl Hasher {
    pub(super) fn new() -> Self {
        Self(RapidSecrets::seed(RandomState::new().hash_one(0)))
    }

    pub(super) fn hash(&self, bytes: &[u8]) -> u32 {
        rapidhash_v3_seeded(bytes, &self.0) as u32
    }
}
