//! Expiry: whole partitions go when they are older than their retention policy keeps them.

use std::rc::Rc;
use std::time::Duration;

use crate::core::shards::Shards;
use crate::core::state::CoreState;
use crate::ring;
use crate::runtime::clock::now_ns;

/// How often a core looks. Partitions are hours long at least.
const INTERVAL: Duration = Duration::from_secs(30);

/// Drops what is older than its retention policy keeps it.
pub(crate) async fn expire(core: Rc<CoreState>, shards: Rc<Shards>) {
    loop {
        ring::sleep(INTERVAL).await;
        let (catalog, now_ns) = (core.catalog(), now_ns());
        let policies = catalog.databases.values().flat_map(|database| &database.policies);
        for policy in policies.filter(|policy| policy.ttl_ns.is_some()) {
            for table in policy.tables.values() {
                let oldest = policy.time_min(now_ns, table.time_unit);
                for (number, shard) in shards.iter() {
                    if let Err(error) = shard.expire(table.id, oldest).await {
                        log::error!("shard {number}: table {} cannot lose its old partitions: {error}", table.name);
                    }
                }
            }
        }
    }
}
