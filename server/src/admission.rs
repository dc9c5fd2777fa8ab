//! Backpressure: how many bytes of rows each shard will hold before it says 429.
//!
//! A shard's occupancy is what requests have been granted and not yet given back (rows on their way through queues and
//! the log) plus what its memtables hold. A request takes credits from **all** its owner shards before any of its rows
//! is sent, or from none: so a refused request has written nothing, and memory is bounded by the sum of the bounds
//! whatever the load. The counters are shared by all cores; they are the only thing of the data path that is, and each
//! is touched once a request, not once a row. Rows that pass from a grant into a memtable are counted there before the
//! grant ends, and a core that sees the grant's end sees them there (release and acquire on `granted`); checked with
//! loom (`server/loom`).
//!
//! A second, per-core bound covers rows that are parsed but not yet granted: see [`BuildBudget`].

use std::cell::Cell;
use std::rc::Rc;
use std::sync::Arc;
#[cfg(not(loom))]
use std::sync::atomic::{AtomicU64, Ordering};

#[cfg(loom)]
use loom::sync::atomic::{AtomicU64, Ordering};

/// Counters of one shard, on a cache line of their own.
#[derive(Debug, Default)]
#[repr(align(128))]
struct ShardCredits {
    granted: AtomicU64,
    memtable: AtomicU64,
    refused: AtomicU64,
}

/// The credits of all shards.
#[derive(Debug)]
pub struct Admission {
    shards: Vec<ShardCredits>,
    bounds: Bounds,
    queries: AtomicU64,
}

/// What one shard may hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds {
    /// Rows granted and not yet durable. A request that is alone may pass it, so that none is always refused.
    pub granted_bytes_max: u64,
    /// Granted rows and memtables together.
    pub held_bytes_max: u64,
}

/// Credits taken for one request; given back when dropped.
#[derive(Debug)]
pub struct Grant {
    admission: Arc<Admission>,
    granted: Vec<(u32, u64)>,
}

impl Drop for Grant {
    fn drop(&mut self) {
        self.admission.give_back(&self.granted);
    }
}

/// A running query's place; given back when dropped.
#[derive(Debug)]
pub struct QueryPlace(Arc<Admission>);

impl Drop for QueryPlace {
    fn drop(&mut self) {
        self.0.queries.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Why no credits were given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// The shard holds too much now; later it will not.
    Overloaded {
        /// Which shard.
        shard: u32,
    },
    /// The request alone is larger than the shard's bound and can never be granted.
    TooLarge {
        /// Bytes wanted of one shard.
        bytes: u64,
        /// The bound.
        bytes_max: u64,
    },
}

impl Admission {
    /// Credits for `shards` shards within these bounds each.
    pub fn new(shards: usize, bounds: Bounds) -> Self {
        Self { shards: (0..shards).map(|_| ShardCredits::default()).collect(), bounds, queries: AtomicU64::default() }
    }

    /// Takes all of `wanted` (shard, bytes), or nothing. The credits go back when the grant is dropped: once the rows
    /// are durable and counted in the memtable, or refused, or the request is abandoned.
    pub fn take(self: &Arc<Self>, wanted: Vec<(u32, u64)>) -> Result<Grant, Refusal> {
        self.take_all(&wanted)?;
        Ok(Grant { admission: self.clone(), granted: wanted })
    }

    fn take_all(&self, wanted: &[(u32, u64)]) -> Result<(), Refusal> {
        for (taken, &(shard, bytes)) in wanted.iter().enumerate() {
            let credits = &self.shards[shard as usize];
            let granted = credits.granted.fetch_add(bytes, Ordering::Acquire) + bytes;
            let held = granted + credits.memtable.load(Ordering::Relaxed);
            let alone = granted == bytes;
            if held > self.bounds.held_bytes_max || (granted > self.bounds.granted_bytes_max && !alone) {
                self.give_back(&wanted[..=taken]);
                credits.refused.fetch_add(1, Ordering::Relaxed);
                return Err(if bytes > self.bounds.held_bytes_max {
                    Refusal::TooLarge { bytes, bytes_max: self.bounds.held_bytes_max }
                } else {
                    Refusal::Overloaded { shard }
                });
            }
        }
        Ok(())
    }

    fn give_back(&self, granted: &[(u32, u64)]) {
        for &(shard, bytes) in granted {
            let before = self.shards[shard as usize].granted.fetch_sub(bytes, Ordering::Release);
            debug_assert!(before >= bytes, "more credits came back than were taken");
        }
    }

    /// A place among the queries that run at once; `None` when `queries_max` run already.
    pub fn query(self: &Arc<Self>, queries_max: u64) -> Option<QueryPlace> {
        let place = QueryPlace(self.clone());
        (self.queries.fetch_add(1, Ordering::Relaxed) < queries_max).then_some(place)
    }

    /// The place of a query that gave up its own while its client did not read: there is one, whatever runs meanwhile,
    /// for it has been let in.
    pub fn query_again(self: &Arc<Self>) -> QueryPlace {
        self.queries.fetch_add(1, Ordering::Relaxed);
        QueryPlace(self.clone())
    }

    /// The shard's owner reports what its memtables hold.
    pub fn set_memtable(&self, shard: u32, bytes: u64) {
        self.shards[shard as usize].memtable.store(bytes, Ordering::Relaxed);
    }

    /// Granted bytes, memtable bytes and refusals of a shard.
    pub fn counters(&self, shard: u32) -> (u64, u64, u64) {
        let credits = &self.shards[shard as usize];
        (
            credits.granted.load(Ordering::Relaxed),
            credits.memtable.load(Ordering::Relaxed),
            credits.refused.load(Ordering::Relaxed),
        )
    }

    /// The bounds of every shard.
    pub fn bounds(&self) -> Bounds {
        self.bounds
    }
}

/// Bytes of rows that the requests of one core have parsed and not yet been granted credits for.
#[derive(Debug, Clone)]
pub struct BuildBudget {
    used: Rc<Cell<u64>>,
    bytes_max: u64,
}

/// One request's share of a [`BuildBudget`]; given back when dropped.
#[derive(Debug)]
pub struct BuildShare {
    budget: BuildBudget,
    held: u64,
}

impl BuildBudget {
    /// A budget of `bytes_max` bytes.
    pub fn new(bytes_max: u64) -> Self {
        Self { used: Rc::default(), bytes_max }
    }

    /// An empty share.
    pub fn share(&self) -> BuildShare {
        BuildShare { budget: self.clone(), held: 0 }
    }

    /// Bytes held by all shares.
    pub fn used(&self) -> u64 {
        self.used.get()
    }
}

impl BuildShare {
    /// Sets what the request holds. `false`: the core's budget does not allow it, and the share stays as it was. A
    /// request that is alone may always go on, so that one large request is not always refused.
    pub fn set(&mut self, bytes: u64) -> bool {
        let others = self.budget.used.get() - self.held;
        if others > 0 && others + bytes > self.budget.bytes_max {
            return false;
        }
        self.budget.used.set(others + bytes);
        self.held = bytes;
        true
    }
}

impl Drop for BuildShare {
    fn drop(&mut self) {
        self.budget.used.set(self.budget.used.get() - self.held);
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    fn within(held_bytes_max: u64) -> Bounds {
        Bounds { granted_bytes_max: held_bytes_max, held_bytes_max }
    }

    #[test]
    fn what_is_on_its_way_has_a_bound_of_its_own() {
        let bounds = Bounds { granted_bytes_max: 10, held_bytes_max: 100 };
        let admission = Arc::new(Admission::new(1, bounds));
        let alone = admission.take(vec![(0, 50)]).unwrap();
        assert_eq!(admission.take(vec![(0, 1)]).unwrap_err(), Refusal::Overloaded { shard: 0 });
        drop(alone);
        let _one = admission.take(vec![(0, 5)]).unwrap();
        assert!(admission.take(vec![(0, 5)]).is_ok());
    }

    #[test]
    fn credits_are_taken_from_all_owners_or_from_none() {
        let admission = Arc::new(Admission::new(2, within(100)));
        let grant = admission.take(vec![(0, 60), (1, 60)]).unwrap();
        assert_eq!(admission.take(vec![(0, 30), (1, 50)]).unwrap_err(), Refusal::Overloaded { shard: 1 });
        assert_eq!(admission.counters(0), (60, 0, 0), "shard 0 got its 30 back");
        assert_eq!(admission.counters(1), (60, 0, 1));
        drop(grant);
        assert!(admission.take(vec![(0, 100), (1, 100)]).is_ok());
        assert_eq!(admission.counters(1), (0, 0, 1));
    }

    #[test]
    fn memtables_count_and_a_request_over_the_bound_is_told_apart() {
        let admission = Arc::new(Admission::new(1, within(100)));
        admission.set_memtable(0, 90);
        assert_eq!(admission.take(vec![(0, 11)]).unwrap_err(), Refusal::Overloaded { shard: 0 });
        assert!(admission.take(vec![(0, 10)]).is_ok());
        assert_eq!(admission.take(vec![(0, 101)]).unwrap_err(), Refusal::TooLarge { bytes: 101, bytes_max: 100 });
    }

    #[test]
    fn queries_take_places_and_give_them_back() {
        let admission = Arc::new(Admission::new(1, within(1)));
        let first = admission.query(2).unwrap();
        let _second = admission.query(2).unwrap();
        assert!(admission.query(2).is_none());
        drop(first);
        assert!(admission.query(2).is_some());
    }

    #[test]
    fn a_build_budget_bounds_the_sum_but_lets_one_request_through() {
        let budget = BuildBudget::new(100);
        let mut one = budget.share();
        assert!(one.set(150), "alone, it may pass the bound");
        let mut two = budget.share();
        assert!(!two.set(1));
        drop(one);
        assert!(two.set(60));
        assert!(two.set(100));
        assert_eq!(budget.used(), 100);
        drop(two);
        assert_eq!(budget.used(), 0);
    }
}
