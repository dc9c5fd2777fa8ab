//! What a thread is while it is a core: its tasks, what they wait on, and memory and a helper for their calls.
//!
//! Files, sockets, timers and tasks find the core that they belong to by [`current`]. What runs the tasks is the
//! [`executor`](super::executor).

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use slab::Slab;

use super::arena::Arena;
use super::event::event;
use super::features::RingFeatures;
use super::helper::Helper;
use super::host;
use super::panic::caught;
use super::queue::Queue;
use super::reactor::{Reactor, Source};
use super::run_queues::RunQueues;
use super::wake::{self, Handle, ReadyTasks, Remote};

/// How a core is built.
#[derive(Debug, Clone)]
pub struct CoreOptions {
    /// Name of the thread.
    pub name: String,
    /// Processor to pin to; `None` leaves the thread to the scheduler (tests).
    pub cpu: Option<usize>,
    /// Memory registered with the ring for transfers of files, see [`super::host::io_memory_bytes`].
    pub io_memory_bytes: usize,
    /// Entries of the ring.
    pub ring_depth: usize,
    /// Longest time one task queue keeps the core while another waits.
    pub preempt: Duration,
    /// What the ring may use of its kernel: all of it, but for tests.
    pub features: RingFeatures,
}

/// A poll as long as this is reported: a hundred times what the contract allows between two yields, and what a user
/// who writes one row begins to feel.
pub(super) const LONG_POLL: Duration = Duration::from_millis(10);

/// A calculation shares the processor with its core. Where both want all of it, it gets a quarter, as queries do under
/// full load from all.
pub(super) const CALCULATOR_NICENESS: i32 = 5;

pub(super) type BoxedFuture = Pin<Box<dyn Future<Output = ()>>>;

thread_local! {
    static CURRENT: RefCell<Option<Rc<Core>>> = const { RefCell::new(None) };
}

/// The core that the calling thread is.
///
/// # Panics
///
/// On a thread that is none: files, sockets, timers and tasks belong to a running core, and using them elsewhere is a
/// mistake of ours.
pub(super) fn current() -> Rc<Core> {
    core_here().unwrap_or_else(|| unreachable!("invariant: this thread is a running core"))
}

/// The core that the calling thread is, if it is one.
pub(super) fn core_here() -> Option<Rc<Core>> {
    CURRENT.with_borrow(Option::clone)
}

/// Says what the running task does from here on, for the report of a [long poll](LongPoll).
pub fn name_task(what: &'static str) {
    current().name_running(what);
}

/// How many tasks of the running core do the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct TaskCount {
    /// The queue they are in, by its place among all.
    pub queue: Queue,
    /// What they were [said](name_task) to do.
    pub what: &'static str,
    /// How many there are.
    pub count: usize,
}

/// The tasks of the running core, counted by queue and by what they do.
pub fn task_counts() -> Vec<TaskCount> {
    let core = current();
    let mut counts: BTreeMap<(Queue, &'static str), usize> = BTreeMap::new();
    for (_, slot) in core.tasks.borrow().iter() {
        *counts.entry((slot.handle.queue(), slot.what)).or_default() += 1;
    }
    counts.into_iter().map(|((queue, what), count)| TaskCount { queue, what, count }).collect()
}

/// Drops a task of the current core, if it has not ended.
pub(super) fn cancel(handle: &Arc<Handle>) {
    // Where the core has ended, so have its tasks.
    if let Some(core) = core_here() {
        drop(core.remove(handle));
    }
}

/// What a thread is while it is a core.
pub(super) struct Core {
    id: u64,
    /// Tasks woken from other threads.
    pub(super) remote: Arc<Remote>,
    /// Length of a slice.
    pub(super) preempt: Duration,
    /// What tasks wait for.
    pub(super) reactor: Rc<Reactor>,
    /// Ends the sleep when a task was woken from another thread.
    _woken: Source,
    /// Runs what blocks.
    pub(super) helper: Helper,
    /// Runs what works long and cannot yield.
    pub(super) calculator: Helper,
    /// Reads and writes files that are not the data folder's.
    pub(super) files: Helper,
    /// Memory registered with the ring.
    pub(super) arena: Rc<Arena>,
    /// Tasks that can run.
    pub(super) ready: Rc<ReadyTasks>,
    tasks: RefCell<Slab<TaskSlot>>,
    /// Slot of the task that is being polled, or was last.
    running: Cell<usize>,
    /// What the task that was polled last did at the end of the poll.
    polled: Cell<&'static str>,
    slice_start: Cell<Instant>,
    on_long_poll: RefCell<Option<OnLongPoll>>,
}

/// A task kept a core for longer than [`LONG_POLL`] without yielding.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LongPoll {
    /// The queue the task was in.
    pub queue: Queue,
    /// What the task was [said](name_task) to do.
    pub what: &'static str,
    /// How long, by the clock: where others want the processor too, their time is in it.
    pub time: Duration,
    /// How long the thread had the processor meanwhile, at most: up to a slice of other tasks may be in it.
    pub processor: Duration,
}

/// What is done about long polls.
pub(super) type OnLongPoll = Box<dyn Fn(LongPoll)>;

/// A task, where its core keeps it.
pub(super) struct TaskSlot {
    handle: Arc<Handle>,
    /// What it does at present.
    what: &'static str,
    /// How often it is [held](super::hold).
    holds: u32,
    /// `None` while it is being polled.
    future: Option<BoxedFuture>,
}

impl Core {
    pub(super) fn new(options: &CoreOptions) -> io::Result<Rc<Self>> {
        static NEXT_ID: AtomicU64 = AtomicU64::new(1);
        let depth = u32::try_from(options.ring_depth).unwrap_or(u32::MAX);
        let reactor = Reactor::new(depth, options.features)
            .map_err(|error| io::Error::new(error.kind(), host::why_no_ring(&error)))?;
        let reactor = Rc::new(reactor);
        let arena = Arena::new(options.io_memory_bytes, &reactor);
        let (signal, listener) = event()?;
        let woken = reactor.watch(listener.into());
        Ok(Rc::new(Self {
            id: NEXT_ID.fetch_add(1, Ordering::Relaxed),
            remote: Arc::new(Remote::new(signal)),
            preempt: options.preempt,
            reactor,
            _woken: woken,
            helper: Helper::new(format!("{}-helper", options.name), 0),
            calculator: Helper::new(format!("{}-calc", options.name), CALCULATOR_NICENESS),
            files: Helper::new(format!("{}-files", options.name), CALCULATOR_NICENESS),
            arena,
            ready: Rc::new(RunQueues::new()),
            tasks: RefCell::default(),
            running: Cell::default(),
            polled: Cell::default(),
            slice_start: Cell::new(Instant::now()),
            on_long_poll: RefCell::default(),
        }))
    }

    /// Makes the calling thread this core, until [`leave`].
    pub(super) fn enter(self: &Rc<Self>) {
        wake::enter(self.id, Rc::clone(&self.ready));
        CURRENT.set(Some(Rc::clone(self)));
    }

    /// Adds a task, which is queued for its first poll.
    pub(super) fn add(&self, queue: Queue, what: &'static str, future: BoxedFuture) -> Arc<Handle> {
        let mut tasks = self.tasks.borrow_mut();
        let entry = tasks.vacant_entry();
        let handle = Handle::new(self.id, queue, entry.key(), Arc::clone(&self.remote));
        entry.insert(TaskSlot { handle: Arc::clone(&handle), what, holds: 0, future: Some(future) });
        self.make_ready(Arc::clone(&handle));
        handle
    }

    /// Takes a task out; to be dropped by the caller, since dropping it may run anything.
    pub(super) fn remove(&self, handle: &Arc<Handle>) -> Option<TaskSlot> {
        let mut tasks = self.tasks.borrow_mut();
        let is_there = tasks.get(handle.slot).is_some_and(|slot| Arc::ptr_eq(&slot.handle, handle));
        is_there.then(|| tasks.remove(handle.slot))
    }

    /// From now on `report` is called after each long poll.
    pub(super) fn set_on_long_poll(&self, report: OnLongPoll) {
        *self.on_long_poll.borrow_mut() = Some(report);
    }

    /// The task that was polled last, one of `queue`, took `time` for it, and `processor` at most of the processor's.
    pub(super) fn long_poll(&self, queue: Queue, time: Duration, processor: Duration) {
        if let Some(report) = &*self.on_long_poll.borrow() {
            report(LongPoll { queue, what: self.polled.get(), time, processor: processor.min(time) });
        }
    }

    /// Queues a task that can run.
    pub(super) fn make_ready(&self, handle: Arc<Handle>) {
        let (queue, is_long) = (handle.queue(), handle.is_long());
        self.ready.push(queue, handle, is_long);
    }

    /// Polls a task, which goes when it has ended.
    pub(super) fn poll(&self, handle: &Arc<Handle>) {
        let taken = match self.tasks.borrow_mut().get_mut(handle.slot) {
            Some(slot) if Arc::ptr_eq(&slot.handle, handle) => slot.future.take(),
            // The task has ended, and another may be in its place.
            _ => return,
        };
        let Some(mut future) = taken else { return };
        self.running.set(handle.slot);
        handle.begin();
        let waker = Waker::from(Arc::clone(handle));
        // A task that panics is gone, as if it had been cancelled: see `task` for those who wait for it.
        let polled = caught(|| future.as_mut().poll(&mut Context::from_waker(&waker)));
        if matches!(polled, Ok(Poll::Pending)) {
            let mut tasks = self.tasks.borrow_mut();
            // Where it is not there any more, it has cancelled itself.
            if let Some(slot) = tasks.get_mut(handle.slot).filter(|slot| Arc::ptr_eq(&slot.handle, handle)) {
                slot.future = Some(future);
                self.polled.set(slot.what);
                return;
            }
        }
        let ended = self.remove(handle);
        let what = ended.as_ref().map_or("", |slot| slot.what);
        self.polled.set(what);
        let dropped = caught(|| drop((ended, future)));
        if let Some(panicked) = polled.err().or(dropped.err()) {
            log::error!("{} has ended by {panicked}", if what.is_empty() { "a task" } else { what });
        }
    }

    /// Says what the task that is being polled does from here on.
    pub(super) fn name_running(&self, what: &'static str) {
        if let Some(slot) = self.tasks.borrow_mut().get_mut(self.running.get()) {
            slot.what = what;
        }
    }

    /// The task that is being polled. `None` where it has cancelled itself.
    pub(super) fn running(&self) -> Option<Arc<Handle>> {
        self.tasks.borrow().get(self.running.get()).map(|slot| Arc::clone(&slot.handle))
    }

    /// Counts how often a task is held. One that has ended is not.
    pub(super) fn change_holds(&self, handle: &Arc<Handle>, by: i32) {
        let mut tasks = self.tasks.borrow_mut();
        if let Some(slot) = tasks.get_mut(handle.slot).filter(|slot| Arc::ptr_eq(&slot.handle, handle)) {
            slot.holds = slot.holds.saturating_add_signed(by);
        }
    }

    /// Whether the task that is being polled is held.
    pub(super) fn is_running_held(&self) -> bool {
        self.tasks.borrow().get(self.running.get()).is_some_and(|slot| slot.holds > 0)
    }

    /// Drops every task.
    pub(super) fn drop_tasks(&self) {
        loop {
            // Dropping one may drop or spawn others.
            let first = self.tasks.borrow().iter().next().map(|(key, _)| key);
            let Some(key) = first else { return };
            let task = self.tasks.borrow_mut().remove(key);
            drop(task);
        }
    }

    /// Begins a slice.
    pub(super) fn begin_slice(&self) -> Instant {
        let start = Instant::now();
        self.slice_start.set(start);
        start
    }

    /// Whether the running slice has used its time.
    pub(super) fn is_slice_over(&self) -> bool {
        self.slice_start.get().elapsed() >= self.preempt
    }
}

/// The calling thread is no core any more.
pub(super) fn leave() {
    CURRENT.set(None);
    wake::leave();
}
