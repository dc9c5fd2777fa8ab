//! The task queues of a core.
//!
//! A queue is chosen in proportion to its shares whenever several have work, so that a long query cannot starve an ack
//! and a flush cannot starve a query. A queue with work alone gets the whole core.

use std::time::Duration;

use super::executor;
use super::task::Task;

/// How many queues there are.
pub(super) const QUEUES: usize = 4;

/// Which kind of work a task is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Queue {
    /// Connections, writes, log flushes, messages between cores, acks.
    Ingest,
    /// Scans and operators of queries.
    Query,
    /// Flushes to segments, retention, what looks after the clock.
    Maintenance,
    /// Merges of segments. Beside flushes in one queue they would get one read for each slice of a flush, and fall behind
    /// for good where flushes always have something to do.
    Compaction,
}

impl Queue {
    /// All queues, each at its index.
    pub(super) const ALL: [Self; QUEUES] = [Self::Ingest, Self::Query, Self::Maintenance, Self::Compaction];

    /// Shares of the queue that has most.
    pub(super) const SHARES_MAX: u64 = 1000;

    /// Shares at the start. Under full load from all, writes get about half of the core, queries a quarter. Flushes need
    /// about a third of what the writes that feed them take; merges get more when they fall behind
    /// ([`Queues::set_shares`]).
    pub(super) const fn shares(self) -> u64 {
        match self {
            Self::Ingest => Self::SHARES_MAX,
            Self::Query => 500,
            Self::Maintenance => 350,
            Self::Compaction => 200,
        }
    }
}

/// The queues of the core that the calling thread is.
#[derive(Debug, Clone, Copy, Default)]
pub struct Queues(());

impl Queues {
    /// The queues of the running core.
    pub fn new() -> Self {
        Self(())
    }

    /// Starts a task on one of the queues. Dropping the task cancels it; `detach` lets it run on.
    pub fn spawn<T: 'static>(&self, queue: Queue, future: impl Future<Output = T> + 'static) -> Task<T> {
        executor::spawn(queue, future)
    }

    /// Gives a queue other shares from now on, of which writes have 1000; at least 1.
    pub fn set_shares(&self, queue: Queue, shares: u64) {
        executor::current().set_shares(queue, shares.max(1));
    }

    /// Time each queue has had the core, for the metrics.
    pub fn runtime(&self, queue: Queue) -> Duration {
        executor::current().runtime(queue)
    }
}
