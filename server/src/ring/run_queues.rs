//! Which task of a core runs next: the tasks that can run, in queues with shares.
//!
//! The queue with the least virtual runtime (time had, divided by shares) runs next, so that queues with work get the
//! core in proportion to their shares. A queue that had nothing to do is set to the present when it has, so that it
//! cannot save time up. Within a queue short tasks run before long ones ([`lanes`](super::lanes)).

use std::cell::{Cell, RefCell};
use std::time::Duration;

use super::lanes::Lanes;
use super::queue::{QUEUES, Queue};

/// The run queues of one core, of tasks named by `T`.
pub(super) struct RunQueues<T> {
    queues: [RunQueue<T>; QUEUES],
    /// Virtual runtime of the queue that ran last.
    virtual_now_ns: Cell<u64>,
}

/// Tasks of one queue that can run.
struct RunQueue<T> {
    ready: RefCell<Lanes<T>>,
    shares: Cell<u64>,
    virtual_ns: Cell<u64>,
    runtime: Cell<Duration>,
}

impl<T> RunQueues<T> {
    /// No task can run, and each queue has its first shares.
    pub(super) fn new() -> Self {
        Self {
            queues: Queue::ALL.map(|queue| RunQueue {
                ready: RefCell::default(),
                shares: Cell::new(queue.shares()),
                virtual_ns: Cell::default(),
                runtime: Cell::default(),
            }),
            virtual_now_ns: Cell::default(),
        }
    }

    /// Queues a task that can run; a long one has had the core for a while.
    pub(super) fn push(&self, queue: Queue, task: T, is_long: bool) {
        let queue = &self.queues[queue as usize];
        let mut ready = queue.ready.borrow_mut();
        if ready.is_empty() {
            queue.virtual_ns.set(queue.virtual_ns.get().max(self.virtual_now_ns.get()));
        }
        ready.push(task, is_long);
    }

    /// The queue whose turn it is; `None` when no task can run.
    pub(super) fn next(&self) -> Option<Queue> {
        let has_work = |queue: &Queue| !self.queues[*queue as usize].ready.borrow().is_empty();
        let virtual_ns = |queue: &Queue| self.queues[*queue as usize].virtual_ns.get();
        Queue::ALL.into_iter().filter(has_work).min_by_key(virtual_ns)
    }

    /// Begins a slice of `queue`: its virtual runtime is the present.
    pub(super) fn begin(&self, queue: Queue) {
        self.virtual_now_ns.set(self.queues[queue as usize].virtual_ns.get());
    }

    /// Takes the task of `queue` whose turn it is.
    pub(super) fn pop(&self, queue: Queue) -> Option<T> {
        self.queues[queue as usize].ready.borrow_mut().pop()
    }

    /// Says how long the task that was taken last from `queue` had the core.
    pub(super) fn ran(&self, queue: Queue, time: Duration) {
        self.queues[queue as usize].ready.borrow_mut().ran(time);
    }

    /// Says how long a slice of `queue` was.
    pub(super) fn end(&self, queue: Queue, time: Duration) {
        let queue = &self.queues[queue as usize];
        let ns = u64::try_from(time.as_nanos()).unwrap_or(u64::MAX).saturating_mul(Queue::SHARES_MAX);
        queue.virtual_ns.set(queue.virtual_ns.get().saturating_add(ns / queue.shares.get()));
        queue.runtime.set(queue.runtime.get() + time);
    }

    /// Gives a queue `shares`, which are not 0.
    pub(super) fn set_shares(&self, queue: Queue, shares: u64) {
        self.queues[queue as usize].shares.set(shares);
    }

    /// Time that a queue has had.
    pub(super) fn runtime(&self, queue: Queue) -> Duration {
        self.queues[queue as usize].runtime.get()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Runs 900 slices of 1 ms over the queues, which always have something to do, and counts those of each.
    fn slices(queues: &RunQueues<()>) -> [u32; QUEUES] {
        let mut counts = [0; QUEUES];
        for _ in 0..900 {
            let Some(queue) = queues.next() else { break };
            queues.begin(queue);
            counts[queue as usize] += 1;
            queues.pop(queue);
            queues.push(queue, (), false);
            queues.end(queue, Duration::from_millis(1));
        }
        counts
    }

    #[test]
    fn queues_with_work_run_in_proportion_to_their_shares() {
        let queues = RunQueues::new();
        assert_eq!(queues.next(), None);
        queues.push(Queue::Ingest, (), false);
        queues.push(Queue::Query, (), false);
        assert_eq!(slices(&queues), [600, 300, 0, 0]);
        assert_eq!(queues.runtime(Queue::Query), Duration::from_millis(300));
    }

    #[test]
    fn a_queue_that_had_nothing_to_do_has_saved_nothing_up() {
        let queues = RunQueues::new();
        queues.push(Queue::Ingest, (), false);
        assert_eq!(slices(&queues), [900, 0, 0, 0]);
        queues.push(Queue::Query, (), false);
        let after = slices(&queues);
        assert!((599..=601).contains(&after[0]), "{after:?}");
    }
}
