//! Flushes: memtables that are full, and memtables that have rested.

use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::{Duration, Instant};

use tidewire_storage::wal::Lsn;

use super::pauses::Pauses;
use crate::core::shards::{CoreShard, Shards};
use crate::ring;

/// How often a core looks for memtables that rest: a fraction of the least `memtable.flush_idle_s`.
const IDLE_TICK: Duration = Duration::from_millis(200);

/// Flushes what is full until the shard is closed. Rows whose flush fails stay in memory and in the log.
pub(crate) async fn flush_full(number: u32, shard: Rc<CoreShard>) {
    let mut pauses = Pauses::new();
    let mut flushes = shard.stats().flushes;
    while let Err(error) = shard.run_flush().await {
        if shard.stats().flushes > flushes {
            // It has worked since.
            (flushes, pauses) = (shard.stats().flushes, Pauses::new());
        }
        let pause = pauses.next();
        log::error!("shard {number}: rows cannot be flushed, tried again in {pause:?}: {error}");
        ring::sleep(pause).await;
    }
}

/// Flushes memtables that have rested for `memtable.flush_idle_s`; none where that is 0. Apart from
/// [`log::sync`](super::log::sync), which no flush may hold up.
pub(crate) async fn flush_idle(shards: Rc<Shards>, flush_idle_s: u64) {
    let patience = Duration::from_secs(flush_idle_s);
    if patience.is_zero() {
        return;
    }
    // By shard, the last record that was appended, and since when it is the last.
    let mut last_appended: BTreeMap<u32, (Lsn, Instant)> = BTreeMap::new();
    loop {
        ring::sleep(IDLE_TICK).await;
        for (number, shard) in shards.iter() {
            let (lsn, now) = (shard.lsn(), Instant::now());
            let last = last_appended.entry(number).or_insert((lsn, now));
            if last.0 != lsn {
                *last = (lsn, now);
            }
            if now.duration_since(last.1) < patience || !shard.has_unflushed() {
                continue;
            }
            if let Err(error) = shard.flush().await {
                log::error!("shard {number}: an idle memtable cannot be flushed: {error}");
                // Another try after as long a rest.
                *last = (lsn, Instant::now());
            }
            shards.report_memtables();
        }
    }
}
