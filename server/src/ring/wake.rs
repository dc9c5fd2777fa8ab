//! Wakers of a core's tasks, usable from any thread.
//!
//! A wake-up on the core pushes the task to its run queue. One from another thread leaves it in the core's [`Remote`]
//! and raises an eventfd that the core's ring watches: the raise comes after the push, and the core looks into the
//! [`Remote`] after each wait, so none is lost.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::Wake;
use std::time::Duration;

use super::event::Signal;
use super::lanes::SHORT_MAX;
use super::queue::Queue;
use super::run_queues::RunQueues;

/// The tasks of a core that can run.
pub(super) type ReadyTasks = RunQueues<Arc<Handle>>;

thread_local! {
    /// Number of the core that this thread is; 0 is no core's.
    static HERE: Cell<u64> = const { Cell::new(0) };
    /// Its tasks that can run.
    static READY: RefCell<Option<Rc<ReadyTasks>>> = const { RefCell::new(None) };
}

/// Makes this thread the core of this number, whose tasks are woken into `ready`.
pub(super) fn enter(core: u64, ready: Rc<ReadyTasks>) {
    HERE.set(core);
    READY.set(Some(ready));
}

/// This thread is no core any more.
pub(super) fn leave() {
    HERE.set(0);
    READY.set(None);
}

/// Names a task to its wakers.
pub(super) struct Handle {
    /// Number of the core.
    core: u64,
    /// Where the task waits for its turn: the index of a queue. Only the core itself reads and changes it.
    queue: AtomicU8,
    /// Microseconds of the core that it has had since it came to the queue. Only the core itself reads and changes it.
    ran_us: AtomicU32,
    /// Where the core keeps it.
    pub(super) slot: usize,
    /// The task will be polled after this was set, and it is unset before the poll.
    is_queued: AtomicBool,
    remote: Arc<Remote>,
}

/// The way into a core from other threads.
pub(super) struct Remote {
    woken: Mutex<Vec<Arc<Handle>>>,
    /// There is something in `woken`, and `signal` was raised for it.
    is_raised: AtomicBool,
    signal: Signal,
}

impl Remote {
    pub(super) fn new(signal: Signal) -> Self {
        Self { woken: Mutex::default(), is_raised: AtomicBool::new(false), signal }
    }

    fn push(&self, task: Arc<Handle>) {
        self.woken.lock().unwrap_or_else(PoisonError::into_inner).push(task);
        if !self.is_raised.swap(true, Ordering::SeqCst) {
            self.signal.raise();
        }
    }

    /// What was woken from other threads since the last call.
    pub(super) fn take(&self) -> Vec<Arc<Handle>> {
        if !self.is_raised.load(Ordering::Relaxed) || !self.is_raised.swap(false, Ordering::SeqCst) {
            return Vec::new();
        }
        std::mem::take(&mut *self.woken.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Handle {
    /// A task that is about to be queued for its first poll.
    pub(super) fn new(core: u64, queue: Queue, slot: usize, remote: Arc<Remote>) -> Arc<Self> {
        let (queue, ran_us) = (AtomicU8::new(queue as u8), AtomicU32::new(0));
        Arc::new(Self { core, queue, ran_us, slot, is_queued: AtomicBool::new(true), remote })
    }

    /// Where the task waits for its turn.
    pub(super) fn queue(&self) -> Queue {
        Queue::ALL[usize::from(self.queue.load(Ordering::Relaxed))]
    }

    /// Moves the task to another queue: from its next turn on.
    pub(super) fn set_queue(&self, queue: Queue) {
        self.queue.store(queue as u8, Ordering::Relaxed);
        self.ran_us.store(0, Ordering::Relaxed);
    }

    /// Notes that the task had the core for `time`.
    pub(super) fn add_time(&self, time: Duration) {
        let us = u32::try_from(time.as_micros()).unwrap_or(u32::MAX);
        self.ran_us.store(self.ran_us.load(Ordering::Relaxed).saturating_add(us), Ordering::Relaxed);
    }

    /// Whether short tasks of the queue go before this one.
    pub(super) fn is_long(&self) -> bool {
        self.queue().has_short_tasks() && u128::from(self.ran_us.load(Ordering::Relaxed)) >= SHORT_MAX.as_micros()
    }

    /// To be called before a poll: wake-ups from now on queue the task again.
    pub(super) fn begin(&self) {
        // What the waker wrote before it woke the task must be seen by the poll.
        self.is_queued.swap(false, Ordering::AcqRel);
    }
}

impl Wake for Handle {
    fn wake(self: Arc<Self>) {
        if self.is_queued.swap(true, Ordering::AcqRel) {
            return;
        }
        if HERE.get() == self.core {
            READY.with_borrow(|ready| {
                if let Some(ready) = ready {
                    let (queue, is_long) = (self.queue(), self.is_long());
                    ready.push(queue, self, is_long);
                }
            });
        } else {
            let remote = Arc::clone(&self.remote);
            remote.push(self);
        }
    }

    fn wake_by_ref(self: &Arc<Self>) {
        Arc::clone(self).wake();
    }
}
