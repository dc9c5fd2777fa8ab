//! The clock of the world, and what expires by it.
//!
//! Rows go by a clock that has been consistent for as long as is wanted. What is consistent is counted here from the
//! jumps themselves, and not by the code under test.

use std::rc::Rc;
use std::time::Duration;

use futures_lite::future::yield_now;
use tidewire_sql::{DatabaseChange, Definition, PolicyOptions};

use super::model::Scope;
use super::names::DATABASES;
use super::world::World;
use crate::core::upkeep::expire::drop_expired;
use crate::runtime::clock::{ClockState, ClockWatch};

pub(super) const SECOND_NS: i64 = 1_000_000_000;
pub(super) const HOUR_NS: i64 = 3600 * SECOND_NS;

/// The clock must be consistent for so long.
const SETTLE: Duration = Duration::from_secs(600);
/// Between two looks of a core.
const INTERVAL: Duration = Duration::from_secs(500);

/// Time passes, and now and then somebody sets the clock of the world.
pub(super) async fn time(world: Rc<World<'_>>) {
    loop {
        world.pause(8).await;
        let (passed_s, jumps) = {
            let mut random = world.random.borrow_mut();
            (random.u64(1..60), random.u8(0..100) == 0)
        };
        world.clocks.pass(Duration::from_secs(passed_s));
        if jumps {
            let by_s = [-40_000, -3600, -10, 10, 3600, 40_000][world.random.borrow_mut().usize(0..6)];
            world.clocks.set(by_s * SECOND_NS);
            world.tally.borrow_mut().jumps += 1;
        }
    }
}

/// As [`expire`](crate::core::upkeep::expire), for all cores.
pub(super) async fn expiry(world: Rc<World<'_>>) {
    let clocks = &world.clocks;
    let mut watch = ClockWatch::new(SETTLE);
    watch.look(clocks.world_ns.get(), clocks.elapsed.get());
    // What the clocks differ by, and since which look.
    let (mut difference, mut since) = (clocks.difference(), clocks.elapsed.get());
    let mut next = clocks.elapsed.get() + INTERVAL;
    loop {
        yield_now().await;
        if clocks.elapsed.get() < next {
            continue;
        }
        next = clocks.elapsed.get() + INTERVAL;
        let now_ns = clocks.world_ns.get();
        if clocks.difference() != difference {
            (difference, since) = (clocks.difference(), clocks.elapsed.get());
        }
        if watch.look(now_ns, clocks.elapsed.get()) != ClockState::Settled {
            continue;
        }
        let seed = world.model.borrow().seed;
        assert!(clocks.elapsed.get() - since >= SETTLE, "seed {seed}: a clock is believed that was set of late");
        for core in 0..world.cores.len() {
            let catalog = world.cores[core].catalog();
            let mut takings = Vec::new();
            for database in catalog.databases.values() {
                for policy in &database.policies {
                    let Some(ttl_ns) = policy.ttl_ns else { continue };
                    let names = (database.name.to_string(), policy.name.to_string());
                    let scope = Scope::Expired(names.0, names.1, now_ns - ttl_ns);
                    takings.push(world.model.borrow_mut().begin_taking(scope));
                }
            }
            drop_expired(&catalog, &world.shards_of(core).collect::<Vec<_>>(), now_ns).await;
            takings.into_iter().for_each(|taking| world.model.borrow_mut().end_taking(taking, true));
            world.tally.borrow_mut().expiries += 1;
        }
    }
}

/// A change of how long rows are kept.
pub(super) fn another_ttl(world: &World<'_>) -> Definition {
    let mut random = world.random.borrow_mut();
    let database = DATABASES[random.usize(0..2)].to_owned();
    match random.bool() {
        true => {
            let ttl_s = [None, Some(1500), Some(5000), Some(20_000)][random.usize(0..4)];
            let change = DatabaseChange::Ttl(ttl_s.map(|ttl_s: i64| ttl_s * SECOND_NS));
            Definition::AlterDatabase { name: database, change }
        }
        false => {
            let duration_ns = Some([0, HOUR_NS, 4 * HOUR_NS][random.usize(0..3)]);
            let options = PolicyOptions { duration_ns, ..PolicyOptions::default() };
            Definition::AlterPolicy { database, name: "p0".to_owned(), options }
        }
    }
}
