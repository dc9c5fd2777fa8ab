//! What a core does at each tick: it reports its memtables to the admission counters, moves the clock of its shards'
//! merges, and sets the share of the core that merges get. A task of its own, for anything that waits for a disk would
//! hold the clock up.

use std::rc::Rc;
use std::time::{Duration, Instant};

use super::merge::merge_shares;
use crate::core::shards::Shards;
use crate::ring::{self, Queue, Queues};

/// Time between two ticks.
pub(crate) const TICK: Duration = Duration::from_millis(20);

/// Ticks.
pub(crate) async fn tick(shards: Rc<Shards>, queues: Queues) {
    let started = Instant::now();
    loop {
        ring::sleep(TICK).await;
        shards.look_for_unsound();
        shards.report_memtables();
        let mut debt_bytes = 0;
        for (_, shard) in shards.iter() {
            shard.tick(started.elapsed());
            debt_bytes += shard.merge_debt_bytes();
        }
        queues.set_shares(Queue::Compaction, merge_shares(debt_bytes));
    }
}
