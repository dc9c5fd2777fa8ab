//! The log of each shard: written until the shard is closed, healed when it has failed, and synced at intervals where
//! it is not at each commit.

use std::rc::Rc;
use std::time::{Duration, Instant};

use tidewire_storage::Error;

use super::pauses::Pauses;
use super::tick::TICK;
use crate::core::shards::{CoreShard, Shards};
use crate::ring;

/// Writes the log until the shard is closed. When it fails, the shard refuses writes until it is healed.
pub(crate) async fn write(number: u32, shard: Rc<CoreShard>) {
    while let Err(error) = shard.run_wal().await {
        log::error!("shard {number} takes no writes, its log has failed: {error}");
        let mut pauses = Pauses::new();
        loop {
            let pause = pauses.next();
            log::info!("shard {number}: healing is tried in {pause:?}");
            ring::sleep(pause).await;
            match shard.heal().await {
                Ok(()) => break,
                Err(Error::Closed) => return,
                Err(error) => log::error!("shard {number} cannot be healed: {error}"),
            }
        }
        log::warn!("shard {number} takes writes again");
    }
}

/// Syncs the logs of all shards every `interval`, for `wal.sync = "interval"`.
pub(crate) async fn sync(shards: Rc<Shards>, interval: Duration) {
    let mut synced = Instant::now();
    loop {
        ring::sleep(TICK).await;
        if synced.elapsed() < interval {
            continue;
        }
        synced = Instant::now();
        for (number, shard) in shards.iter() {
            if let Err(error) = shard.sync_wal().await {
                log::error!("shard {number}: the log cannot be synced: {error}");
            }
        }
    }
}
