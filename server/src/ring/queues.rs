//! The task queues of the running core, as its tasks use them.

use std::time::Duration;

use super::current::{LongPoll, current};
use super::queue::Queue;
use super::task::{Task, joined};

/// The queues of the core that the calling thread is.
#[derive(Debug, Clone, Copy, Default)]
pub struct Queues(());

impl Queues {
    /// The queues of the running core.
    pub fn new() -> Self {
        Self(())
    }

    /// Starts a task on one of the queues; `what` it does is named where it [holds the core](LongPoll). Dropping the
    /// task cancels it; `detach` lets it run on.
    pub fn spawn<T: 'static>(
        &self,
        queue: Queue,
        what: &'static str,
        future: impl Future<Output = T> + 'static,
    ) -> Task<T> {
        let (future, mut task) = joined(future);
        task.set_handle(current().add(queue, what, future));
        task
    }

    /// Gives a queue other shares from now on, of which writes have 1000; at least 1.
    pub fn set_shares(&self, queue: Queue, shares: u64) {
        current().ready.set_shares(queue, shares.max(1));
    }

    /// Calls `report` after each poll of a task that took longer than it may. Not from within a poll: it may log and
    /// count, but not spawn.
    pub fn on_long_poll(&self, report: impl Fn(LongPoll) + 'static) {
        current().set_on_long_poll(Box::new(report));
    }

    /// Time each queue has had the core, for the metrics.
    pub fn runtime(&self, queue: Queue) -> Duration {
        current().ready.runtime(queue)
    }
}
