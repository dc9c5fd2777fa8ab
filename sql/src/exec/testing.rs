//! Shared by the unit tests of this crate.

/// The seed of random tests: `TIDEWIRE_SEED`, or a fixed one.
pub(crate) fn seed() -> u64 {
    std::env::var("TIDEWIRE_SEED").ok().and_then(|text| text.parse().ok()).unwrap_or(20_261_121)
}
