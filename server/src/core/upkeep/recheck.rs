//! Damaged segments are looked at again, so that a copy that somebody has put in place is read without a start.

use std::rc::Rc;
use std::time::Duration;

use crate::core::shards::Shards;
use crate::ring;

/// How often a core looks: seldom enough that what is damaged for long costs nothing, and soon for somebody who waits.
const INTERVAL: Duration = Duration::from_secs(1);

/// Looks again at what is damaged.
pub(crate) async fn recheck(shards: Rc<Shards>) {
    loop {
        ring::sleep(INTERVAL).await;
        for (number, shard) in shards.iter() {
            if let Err(error) = shard.recheck().await {
                log::error!("shard {number}: damaged segments cannot be looked at again: {error}");
            }
        }
    }
}
