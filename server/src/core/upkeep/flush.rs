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

/// How often the rest is that rows wait at most, while others follow them.
const AGE_RESTS: u32 = 4;

/// Flushes memtables that have rested for `memtable.flush_idle_s`, or whose oldest rows have waited for [`AGE_RESTS`]
/// times as long; none where that is 0. Apart from [`log::sync`](super::log::sync), which no flush may hold up.
pub(crate) async fn flush_idle(shards: Rc<Shards>, flush_idle_s: u64) {
    let patience = Duration::from_secs(flush_idle_s);
    if patience.is_zero() {
        return;
    }
    let started = Instant::now();
    let mut waiting: BTreeMap<u32, Waiting> = BTreeMap::new();
    loop {
        ring::sleep(IDLE_TICK).await;
        for (number, shard) in shards.iter() {
            let (seen, now) = ((shard.lsn(), shard.generation()), started.elapsed());
            let waiting = waiting.entry(number).or_insert_with(|| Waiting::new(seen, now));
            if !waiting.is_due(seen, now, patience) || !shard.has_unflushed() {
                continue;
            }
            if let Err(error) = shard.flush().await {
                log::error!("shard {number}: an idle memtable cannot be flushed: {error}");
                // Another try after as long a rest.
                *waiting = Waiting::new(seen, started.elapsed());
            }
            shards.report_memtables();
        }
    }
}

/// How long a shard's rows have waited.
#[derive(Debug, Clone, Copy)]
struct Waiting {
    /// The last record that was appended, and the memtable that takes records.
    seen: (Lsn, u64),
    /// Since when it is the last.
    rested: Duration,
    /// Since when there are rows behind those of the memtable before.
    filled: Duration,
}

impl Waiting {
    fn new(seen: (Lsn, u64), now: Duration) -> Self {
        Self { seen, rested: now, filled: now }
    }

    /// Looks at `now` at what a shard has `seen` by then; whether its rows have waited long enough, if it has any.
    fn is_due(&mut self, seen: (Lsn, u64), now: Duration, patience: Duration) -> bool {
        if self.seen.1 != seen.1 {
            *self = Self::new(seen, now);
        } else if self.seen.0 != seen.0 {
            (self.seen, self.rested) = (seen, now);
        }
        now.saturating_sub(self.rested) >= patience || now.saturating_sub(self.filled) >= patience * AGE_RESTS
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_due_when_none_follow_and_when_they_have_waited_for_long() {
        let at = Duration::from_secs;
        let mut waiting = Waiting::new((Lsn(1), 0), at(0));
        let mut due = |lsn, generation, now| waiting.is_due((Lsn(lsn), generation), at(now), at(5));
        assert!(!due(1, 0, 4) && due(1, 0, 5), "a rest");
        assert!(!due(2, 0, 6) && !due(2, 0, 10) && due(2, 0, 11), "a rest after another row");
        assert!(!due(3, 1, 12), "a flush has taken them up");
        // A row a second.
        assert!((13..32).all(|now| !due(now, 1, now)), "less than four rests");
        assert!(due(32, 1, 32), "the oldest has waited for four");
        assert!(!due(33, 2, 33), "which the flush has ended");
    }
}
