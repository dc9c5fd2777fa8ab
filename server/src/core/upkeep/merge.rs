//! Merges of segments, and how much of the core they get.

use std::rc::Rc;
use std::time::Duration;

use crate::core::shards::CoreShard;
use crate::ring;

/// Merges segments until the shard is closed.
pub(crate) async fn merge(number: u32, shard: Rc<CoreShard>) {
    /// A disk that fails or is full is seldom well at once, and a merge that fails has read and written for nothing.
    const REST: Duration = Duration::from_secs(10);
    while let Err(error) = shard.run_compaction().await {
        log::error!("shard {number}: segments cannot be merged: {error}");
        ring::sleep(REST).await;
    }
}

/// Shares of the core for merges that `debt_bytes` wait for. Few at first, so that writes keep nine tenths of their
/// rate beside merges that are in time; up to half of what writes have, which is what merges take that go as fast as
/// rows come in (0.2 of 0.4 µs a row): then writes wait for them, and segments do not pile up.
pub(super) fn merge_shares(debt_bytes: u64) -> u64 {
    const SHARES: (u64, u64) = (200, 450);
    /// From a few merges of what is flushed in a minute to as much as a large segment.
    const DEBT_BYTES: (u64, u64) = (256 << 20, 1 << 30);
    let behind = debt_bytes.clamp(DEBT_BYTES.0, DEBT_BYTES.1) - DEBT_BYTES.0;
    SHARES.0 + (SHARES.1 - SHARES.0) * behind / (DEBT_BYTES.1 - DEBT_BYTES.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn merges_get_more_the_further_they_are_behind() {
        assert_eq!([0, 256 << 20, 640 << 20, 1 << 30, u64::MAX].map(merge_shares), [200, 200, 325, 450, 450]);
    }
}
