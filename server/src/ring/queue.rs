//! The three task queues of a core.
//!
//! A queue is chosen in proportion to its shares whenever several have work, so that a long query cannot starve an ack
//! and a flush cannot starve a query. A queue with work alone gets the whole core.

use std::time::Duration;

use super::executor;
use super::task::Task;

/// How many queues there are.
pub(super) const QUEUES: usize = 3;

/// Which kind of work a task is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Queue {
    /// Connections, writes, log flushes, messages between cores, acks.
    Ingest,
    /// Scans and operators of queries.
    Query,
    /// Flushes to segments, compaction, retention.
    Maintenance,
}

impl Queue {
    /// All queues, each at its index.
    pub(super) const ALL: [Self; QUEUES] = [Self::Ingest, Self::Query, Self::Maintenance];

    /// Shares of the queue that has most.
    pub(super) const SHARES_MAX: u64 = 1000;

    /// Under full load from all three, writes get about 60 % of the core, queries 30 %, the rest goes to flushes and
    /// compaction, which need only keep up with the writes that feed them.
    pub(super) const fn shares(self) -> u64 {
        match self {
            Self::Ingest => Self::SHARES_MAX,
            Self::Query => 500,
            Self::Maintenance => 170,
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

    /// Time each queue has had the core, for the metrics.
    pub fn runtime(&self, queue: Queue) -> Duration {
        executor::current().runtime(queue)
    }
}
