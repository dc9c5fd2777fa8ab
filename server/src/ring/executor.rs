//! One core: a thread, its tasks in queues, and the ring they wait on.
//!
//! Guarantees:
//!
//! 1. A task is polled only on its own core. Its waker may be used from any thread, and no wake-up is lost ([`wake`]).
//! 2. The core sleeps only when no task can run.
//! 3. When several queues have tasks that can run, each gets the core in proportion to its shares, in slices of
//!    [`CoreOptions::preempt`]; a task that works longer than its slice is asked to yield ([`yield_if_needed`]).
//! 4. The ring is looked at between two slices, so that whoever becomes ready is heard after one slice.
//!
//! How: the queue with the least virtual runtime (time had, divided by shares) runs next; a queue that had nothing to
//! do is set to the present when it has, so that it cannot save time up.
//!
//! [`wake`]: super::wake

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, Waker};
use std::thread::{Builder, JoinHandle};
use std::time::{Duration, Instant};

use slab::Slab;

use super::arena::Arena;
use super::blocking::Helper;
use super::event::event;
use super::queue::{QUEUES, Queue};
use super::reactor::{Reactor, Source};
use super::task::{Task, joined};
use super::wake::{self, Handle, Remote};

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
}

/// A running core.
#[derive(Debug)]
pub struct CoreHandle<T>(JoinHandle<io::Result<T>>);

impl<T> CoreHandle<T> {
    /// Waits for the core's main future to end. A panic on the core is reported as an error.
    pub fn join(self) -> io::Result<T> {
        self.0.join().unwrap_or_else(|_| Err(io::Error::other("the core panicked")))
    }
}

/// Starts a core in a new thread and runs there what `main` returns. Tasks that are left when it ends are dropped.
pub fn start_core<G, F, T>(options: CoreOptions, main: G) -> io::Result<CoreHandle<T>>
where
    G: FnOnce() -> F + Send + 'static,
    F: Future<Output = T> + 'static,
    T: Send + 'static,
{
    let name = options.name.clone();
    let run = move || {
        if let Some(cpu) = options.cpu
            && !core_affinity::set_for_current(core_affinity::CoreId { id: cpu })
        {
            return Err(io::Error::other(format!(
                "cannot start {}: processor {cpu} cannot be pinned to",
                options.name
            )));
        }
        let core = Core::new(&options)
            .map_err(|error| io::Error::new(error.kind(), format!("cannot start {}: {error}", options.name)))?;
        core.run(main)
    };
    Builder::new().name(name).spawn(run).map(CoreHandle)
}

/// Gives the core to other tasks if the running slice is over; else returns at once.
pub async fn yield_if_needed() {
    let mut has_yielded = false;
    std::future::poll_fn(|context| {
        if has_yielded || !current().is_slice_over() {
            return Poll::Ready(());
        }
        has_yielded = true;
        context.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

/// Memory that is registered with the ring of the core that the calling thread is.
pub fn registered_bytes() -> usize {
    current().arena.bytes()
}

/// Waits for `time`.
pub async fn sleep(time: Duration) {
    let reactor = Rc::clone(&current().reactor);
    reactor.sleep_until(Instant::now() + time).await;
}

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
    let core = CURRENT.with_borrow(Option::clone);
    core.unwrap_or_else(|| unreachable!("invariant: this thread is a running core"))
}

/// Starts a task on the current core.
pub(super) fn spawn<T: 'static>(queue: Queue, future: impl Future<Output = T> + 'static) -> Task<T> {
    let (future, mut task) = joined(future);
    task.set_handle(current().add(queue, future));
    task
}

/// Drops a task of the current core, if it has not ended.
pub(super) fn cancel(handle: &Arc<Handle>) {
    // Where the core has ended, so have its tasks.
    if let Some(core) = CURRENT.with_borrow(Option::clone) {
        drop(core.remove(handle));
    }
}

/// Queues a task of the current core.
pub(super) fn queue(handle: Arc<Handle>) {
    CURRENT.with_borrow(|core| {
        if let Some(core) = core {
            core.enqueue(handle);
        }
    });
}

/// What a thread is while it is a core.
pub(super) struct Core {
    id: u64,
    remote: Arc<Remote>,
    preempt: Duration,
    /// What tasks wait for.
    pub(super) reactor: Rc<Reactor>,
    /// Ends the sleep when a task was woken from another thread.
    _woken: Source,
    /// Runs what blocks.
    pub(super) helper: Helper,
    /// Memory registered with the ring.
    pub(super) arena: Rc<Arena>,
    tasks: RefCell<Slab<Slot>>,
    queues: [RunQueue; QUEUES],
    slice_start: Cell<Instant>,
    /// Virtual runtime of the queue that ran last.
    virtual_now_ns: Cell<u64>,
}

struct Slot {
    handle: Arc<Handle>,
    /// `None` while it is being polled.
    future: Option<BoxedFuture>,
}

/// Tasks of one queue that can run.
struct RunQueue {
    ready: RefCell<VecDeque<Arc<Handle>>>,
    shares: Cell<u64>,
    virtual_ns: Cell<u64>,
    runtime: Cell<Duration>,
}

impl RunQueue {
    fn account(&self, time: Duration) {
        let ns = u64::try_from(time.as_nanos()).unwrap_or(u64::MAX).saturating_mul(Queue::SHARES_MAX);
        self.virtual_ns.set(self.virtual_ns.get().saturating_add(ns / self.shares.get()));
        self.runtime.set(self.runtime.get() + time);
    }
}

impl Core {
    fn new(options: &CoreOptions) -> io::Result<Rc<Self>> {
        static NEXT_ID: AtomicU64 = AtomicU64::new(1);
        let depth = u32::try_from(options.ring_depth).unwrap_or(u32::MAX);
        let reactor = Rc::new(Reactor::new(depth)?);
        let arena = Arena::new(options.io_memory_bytes, &reactor);
        let (signal, listener) = event()?;
        let woken = reactor.watch(listener.into());
        Ok(Rc::new(Self {
            id: NEXT_ID.fetch_add(1, Ordering::Relaxed),
            remote: Arc::new(Remote::new(signal)),
            preempt: options.preempt,
            reactor,
            _woken: woken,
            helper: Helper::new(&options.name),
            arena,
            tasks: RefCell::default(),
            queues: Queue::ALL.map(|queue| RunQueue {
                ready: RefCell::default(),
                shares: Cell::new(queue.shares()),
                virtual_ns: Cell::default(),
                runtime: Cell::default(),
            }),
            slice_start: Cell::new(Instant::now()),
            virtual_now_ns: Cell::default(),
        }))
    }

    fn run<F, T>(self: Rc<Self>, main: impl FnOnce() -> F) -> io::Result<T>
    where
        F: Future<Output = T> + 'static,
        T: 'static,
    {
        /// After a panic everything is left where it is: the kernel may still use it.
        struct Leave(Option<Rc<Core>>);
        impl Drop for Leave {
            fn drop(&mut self) {
                CURRENT.set(None);
                wake::set_here(0);
                std::mem::forget(self.0.take());
            }
        }
        wake::set_here(self.id);
        CURRENT.set(Some(Rc::clone(&self)));
        let mut leave = Leave(Some(Rc::clone(&self)));
        let main = spawn(Queue::Ingest, main());
        let result = loop {
            self.step()?;
            if let Some(value) = main.take() {
                break value;
            }
        };
        self.drop_tasks();
        self.reactor.drain()?;
        leave.0 = None;
        Ok(result)
    }

    /// One slice of one queue, or one sleep.
    fn step(&self) -> io::Result<()> {
        for handle in self.remote.take() {
            self.enqueue(handle);
        }
        let has_work = |queue: &&RunQueue| !queue.ready.borrow().is_empty();
        match self.queues.iter().filter(has_work).min_by_key(|queue| queue.virtual_ns.get()) {
            Some(queue) => {
                self.run_slice(queue);
                self.reactor.turn(false)
            }
            None => self.reactor.turn(true),
        }
    }

    fn run_slice(&self, queue: &RunQueue) {
        let start = Instant::now();
        self.slice_start.set(start);
        self.virtual_now_ns.set(queue.virtual_ns.get());
        let mut time = Duration::ZERO;
        // One task at least, however short the slice.
        loop {
            let Some(handle) = queue.ready.borrow_mut().pop_front() else { break };
            self.poll(&handle);
            time = start.elapsed();
            if time >= self.preempt {
                break;
            }
        }
        queue.account(time);
    }

    fn poll(&self, handle: &Arc<Handle>) {
        let taken = match self.tasks.borrow_mut().get_mut(handle.slot) {
            Some(slot) if Arc::ptr_eq(&slot.handle, handle) => slot.future.take(),
            // The task has ended, and another may be in its place.
            _ => return,
        };
        let Some(mut future) = taken else { return };
        handle.begin();
        let waker = Waker::from(Arc::clone(handle));
        let polled = future.as_mut().poll(&mut Context::from_waker(&waker));
        if polled.is_pending() {
            let mut tasks = self.tasks.borrow_mut();
            // Where it is not there any more, it has cancelled itself.
            if let Some(slot) = tasks.get_mut(handle.slot).filter(|slot| Arc::ptr_eq(&slot.handle, handle)) {
                slot.future = Some(future);
                return;
            }
        }
        drop(self.remove(handle));
    }

    fn add(&self, queue: Queue, future: BoxedFuture) -> Arc<Handle> {
        let mut tasks = self.tasks.borrow_mut();
        let entry = tasks.vacant_entry();
        let handle = Handle::new(self.id, queue, entry.key(), Arc::clone(&self.remote));
        entry.insert(Slot { handle: Arc::clone(&handle), future: Some(future) });
        self.enqueue(Arc::clone(&handle));
        handle
    }

    /// Takes a task out; to be dropped by the caller, since dropping it may run anything.
    fn remove(&self, handle: &Arc<Handle>) -> Option<Slot> {
        let mut tasks = self.tasks.borrow_mut();
        let is_there = tasks.get(handle.slot).is_some_and(|slot| Arc::ptr_eq(&slot.handle, handle));
        is_there.then(|| tasks.remove(handle.slot))
    }

    fn enqueue(&self, handle: Arc<Handle>) {
        let queue = &self.queues[handle.queue as usize];
        let mut ready = queue.ready.borrow_mut();
        if ready.is_empty() {
            queue.virtual_ns.set(queue.virtual_ns.get().max(self.virtual_now_ns.get()));
        }
        ready.push_back(handle);
    }

    fn drop_tasks(&self) {
        loop {
            // Dropping one may drop or spawn others.
            let first = self.tasks.borrow().iter().next().map(|(key, _)| key);
            let Some(key) = first else { return };
            let task = self.tasks.borrow_mut().remove(key);
            drop(task);
        }
    }

    /// Whether the running slice has used its time.
    pub(super) fn is_slice_over(&self) -> bool {
        self.slice_start.get().elapsed() >= self.preempt
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
