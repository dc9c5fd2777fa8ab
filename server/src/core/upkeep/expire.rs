//! Expiry: whole partitions go when they are older than their retention policy keeps them.
//!
//! What is too old follows from the policies as they are now and from the clock; nothing of it is remembered. A clock
//! that is new or has jumped deletes nothing before it has been consistent for `retention.clock_settle_s`
//! ([`ClockWatch`]).

use std::rc::Rc;
use std::time::{Duration, Instant};

use tidewire_storage::disk::Disk;
use tidewire_storage::engine::Shard;
use tidewire_storage::schema::Catalog;

use crate::core::shards::Shards;
use crate::core::state::CoreState;
use crate::metrics::registry::{Counter, Gauge, Registry};
use crate::ring;
use crate::runtime::clock::{ClockState, ClockWatch, now_ns};

/// How often a core looks at least. Partitions are hours long at least.
const INTERVAL_MAX: Duration = Duration::from_secs(30);
/// Looks while the clock settles, at least.
const SETTLE_LOOKS: u32 = 4;

/// What is counted of the clock.
#[derive(Clone)]
pub(crate) struct Counts {
    jumps: Rc<Counter>,
    settled: Rc<Gauge>,
}

impl Counts {
    /// In `registry`.
    pub(crate) fn new(registry: &Registry) -> Self {
        let help = "Jumps of the host's clock that a core has seen.";
        let jumps = registry.counter("tidewire_clock_jumps_total", help, &[]);
        let help = "Cores that take the host's clock for settled, so that rows expire.";
        Self { jumps, settled: registry.gauge("tidewire_clock_settled", help, &[]) }
    }
}

/// Drops what is older than its retention policy keeps it.
pub(crate) async fn expire(core: Rc<CoreState>, shards: Rc<Shards>, Counts { jumps, settled }: Counts) {
    let settle = Duration::from_secs(core.config.retention.clock_settle_s);
    // 0 waits for nothing.
    let interval = if settle.is_zero() { INTERVAL_MAX } else { INTERVAL_MAX.min(settle / SETTLE_LOOKS) };
    let (started, mut watch) = (Instant::now(), ClockWatch::new(settle));
    watch.look(now_ns(), started.elapsed());
    loop {
        ring::sleep(interval).await;
        let now_ns = now_ns();
        let state = watch.look(now_ns, started.elapsed());
        settled.set(i64::from(state == ClockState::Settled));
        if let ClockState::Jumped { by_ns } = state {
            jumps.add(1);
            if core.number == 0 {
                let by_s = by_ns as f64 / 1e9;
                log::warn!(
                    "the clock has jumped by {by_s:.3} s: nothing expires before it has kept still for {settle:?}"
                );
            }
        }
        if state == ClockState::Settled {
            drop_expired(&core.catalog(), &shards.iter().collect::<Vec<_>>(), now_ns).await;
        }
    }
}

/// Drops from the shards what the policies of `catalog` keep no longer at `now_ns`.
pub(crate) async fn drop_expired<D: Disk>(catalog: &Catalog, shards: &[(u32, &Rc<Shard<D>>)], now_ns: i64) {
    let policies = catalog.databases.values().flat_map(|database| &database.policies);
    for policy in policies.filter(|policy| policy.ttl_ns.is_some()) {
        for table in policy.tables.values() {
            let oldest = policy.time_min(now_ns, table.time_unit);
            for (number, shard) in shards {
                if let Err(error) = shard.expire(table.id, oldest).await {
                    log::error!("shard {number}: table {} cannot lose its old partitions: {error}", table.name);
                }
                shard.yield_if_needed().await;
            }
        }
    }
}

#[cfg(test)]
mod simulation;
