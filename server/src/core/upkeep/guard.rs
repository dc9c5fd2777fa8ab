//! What becomes of the upkeep when it panics.

use std::rc::Rc;
use std::time::Duration;

use crate::core::shards::Shards;
use crate::ring::{self, Caught, Queue, Queues};

/// Before what has panicked is begun anew: a fault that is always there must not hold the core.
const PAUSE: Duration = Duration::from_secs(1);

/// Starts the upkeep of a core.
pub(crate) struct Upkeep<'a> {
    queues: Queues,
    shards: &'a Rc<Shards>,
}

impl<'a> Upkeep<'a> {
    /// The upkeep of these shards.
    pub(crate) fn new(queues: Queues, shards: &'a Rc<Shards>) -> Self {
        Self { queues, shards }
    }

    /// Starts the upkeep of one shard, which goes offline where it panics: what it was doing is half done.
    pub(crate) fn of_shard(
        &self,
        number: u32,
        queue: Queue,
        what: &'static str,
        upkeep: impl Future<Output = ()> + 'static,
    ) {
        let shards = self.shards.clone();
        let guarded = async move {
            if let Err(panicked) = Caught::new(upkeep).await {
                shards.take_offline(number, &format!("{what} has ended by {panicked}"));
            }
        };
        self.queues.spawn(queue, what, guarded).detach();
    }

    /// Starts the upkeep of all shards, which is begun anew where it panics: where that was within a change of a shard,
    /// without that shard.
    pub(crate) fn of_core<F: Future<Output = ()> + 'static>(
        &self,
        queue: Queue,
        what: &'static str,
        upkeep: impl Fn(Rc<Shards>) -> F + 'static,
    ) {
        let shards = self.shards.clone();
        self.queues.spawn(queue, what, again(what, move || upkeep(shards.clone()))).detach();
    }
}

/// Begins upkeep anew until it ends without a panic.
async fn again<F: Future<Output = ()>>(what: &'static str, upkeep: impl Fn() -> F) {
    while let Err(panicked) = Caught::new(upkeep()).await {
        log::error!("{what} has ended by {panicked}; it begins anew");
        ring::sleep(PAUSE).await;
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use std::cell::Cell;

    use super::*;
    use crate::ring::testing::on_a_core;

    #[test]
    fn upkeep_that_panics_begins_anew_until_it_ends() {
        let begun = on_a_core(async || {
            let begun = Cell::new(0);
            again("upkeep", || async {
                begun.set(begun.get() + 1);
                assert!(begun.get() > 1, "the first time");
            })
            .await;
            begun.get()
        });
        assert_eq!(begun, 2);
    }
}
