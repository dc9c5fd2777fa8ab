//! What tests of this crate share.

/// Seeds of random tests: `TIDEWIRE_SEED` alone, if set, else a fixed few.
pub(crate) fn seeds() -> Vec<u64> {
    match std::env::var("TIDEWIRE_SEED").ok().and_then(|seed| seed.parse().ok()) {
        Some(seed) => vec![seed],
        None => vec![1, 2, 3],
    }
}
