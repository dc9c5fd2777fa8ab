//! The rate of a core's writes to its disk: `disk.write_bytes_per_s_max`.
//!
//! Guarantee: all shards of a core together, log and segments alike, write no more bytes in a second than the core's
//! share of the bound, give or take one [`TICK`]. Without a bound nothing waits and no task runs.
//!
//! How: every shard's disk lies behind one [`Throttle`] of the core, whose budget each write spends. One task refills
//! it by the clock. What nobody waited for is taken back, so that quiet time buys no burst; while a write waits, the
//! budget adds up until it fits, however large it is.

use std::rc::Rc;
use std::time::{Duration, Instant};

use tidewire_storage::disk::throttle::{Throttle, ThrottledDisk};

use crate::ring::{self, Queue, Queues, RingDisk};

/// How often the budget is refilled: often enough that a waiting log record is not held up noticeably, seldom enough
/// that the task costs nothing.
const TICK: Duration = Duration::from_millis(20);

/// `disk` with the write rate of one of `cores` cores; `bytes_per_s_max` is for all of them together, 0 for no bound.
pub(crate) fn limit_rate(
    disk: RingDisk,
    bytes_per_s_max: u64,
    cores: usize,
    queues: &Queues,
) -> ThrottledDisk<RingDisk> {
    if bytes_per_s_max == 0 {
        return ThrottledDisk::new(disk, Throttle::new(u64::MAX));
    }
    let throttle = Throttle::new(0);
    let share = Share::new((bytes_per_s_max / cores.max(1) as u64).max(1));
    queues.spawn(Queue::Maintenance, "the disk rate", refill(throttle.clone(), share)).detach();
    ThrottledDisk::new(disk, throttle)
}

async fn refill(throttle: Rc<Throttle>, mut share: Share) {
    let mut before = Instant::now();
    loop {
        let now = Instant::now();
        if throttle.waiting() == 0 {
            throttle.shut();
        }
        throttle.grant(share.of(now - before));
        before = now;
        ring::sleep(TICK).await;
    }
}

/// Turns time into bytes without losing fractions.
#[derive(Debug)]
struct Share {
    bytes_per_s: u64,
    /// Billionths of a byte that no grant has held yet.
    rest: u128,
}

impl Share {
    fn new(bytes_per_s: u64) -> Self {
        Self { bytes_per_s, rest: 0 }
    }

    /// Bytes for the time that has passed.
    fn of(&mut self, passed: Duration) -> u64 {
        const NS_PER_S: u128 = 1_000_000_000;
        let due = passed.as_nanos() * u128::from(self.bytes_per_s) + self.rest;
        self.rest = due % NS_PER_S;
        u64::try_from(due / NS_PER_S).unwrap_or(u64::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_of_a_second_add_up_to_it() {
        for bytes_per_s in [1, 3, 1_000_003, 1 << 40] {
            let mut share = Share::new(bytes_per_s);
            let mut random = fastrand::Rng::with_seed(1);
            let (mut left, mut granted) = (Duration::from_secs(1), 0);
            while !left.is_zero() {
                let step = Duration::from_nanos(random.u64(1..40_000_000)).min(left);
                left -= step;
                granted += share.of(step);
            }
            assert_eq!(granted, bytes_per_s);
        }
    }
}
