//! The three task queues of a core.
//!
//! A queue is chosen by the scheduler in proportion to its shares whenever several have work, so that a long query
//! cannot starve an ack and a flush cannot starve a query. A queue with work alone gets the whole core.

use std::time::Duration;

use glommio::{Latency, Shares, Task, TaskQueueHandle};

/// Shares of each queue: under full load from all three, writes get about 60 % of the core, queries 30 %, the rest
/// goes to flushes and compaction, which need only keep up with the writes that feed them.
const INGEST_SHARES: usize = 1000;
const QUERY_SHARES: usize = 500;
const MAINTENANCE_SHARES: usize = 170;

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

/// Handles of the queues of the running executor.
#[derive(Debug, Clone, Copy)]
pub struct Queues {
    ingest: TaskQueueHandle,
    query: TaskQueueHandle,
    maintenance: TaskQueueHandle,
}

impl Queues {
    /// Makes the queues on the executor of the calling thread.
    pub fn new() -> Self {
        // No latency class: see `ring`, point 8. The preemption timer of the executor is short enough for all.
        let queue =
            |shares, name| glommio::executor().create_task_queue(Shares::Static(shares), Latency::NotImportant, name);
        Self {
            ingest: queue(INGEST_SHARES, "ingest"),
            query: queue(QUERY_SHARES, "query"),
            maintenance: queue(MAINTENANCE_SHARES, "maintenance"),
        }
    }

    /// Starts a task on one of the queues. Dropping the task cancels it; `detach` lets it run on.
    pub fn spawn<T: 'static>(&self, queue: Queue, future: impl Future<Output = T> + 'static) -> Task<T> {
        match glommio::spawn_local_into(future, self.handle(queue)) {
            Ok(task) => task,
            // Queues are never removed, so the handle is known to the executor that made it.
            Err(error) => unreachable!("invariant: task queue {queue:?} exists on this core ({error})"),
        }
    }

    /// Time each queue has had the core, for the metrics.
    pub fn runtime(&self, queue: Queue) -> Duration {
        glommio::executor().task_queue_stats(self.handle(queue)).map_or(Duration::ZERO, |stats| stats.runtime())
    }

    fn handle(&self, queue: Queue) -> TaskQueueHandle {
        match queue {
            Queue::Ingest => self.ingest,
            Queue::Query => self.query,
            Queue::Maintenance => self.maintenance,
        }
    }
}

impl Default for Queues {
    fn default() -> Self {
        Self::new()
    }
}
