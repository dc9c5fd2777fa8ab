//! One core: a thread that runs its tasks and sleeps in its ring.
//!
//! Guarantees:
//!
//! 1. A task is polled only on its own core. Its waker may be used from any thread, and no wake-up is lost ([`wake`]).
//! 2. The core sleeps only when no task can run.
//! 3. When several queues have tasks that can run, each gets the core in proportion to its shares ([`run_queues`]), in
//!    slices of [`CoreOptions::preempt`]; a task that works longer than its slice is asked to yield
//!    ([`yield_if_needed`]). Statements that have had little of the core go before those that had much
//!    ([`lanes`](super::lanes)). A task may move to another queue for a part of its work ([`within`](super::within)).
//!    One that works much longer all the same is reported ([`LongPoll`](super::LongPoll)).
//! 4. The ring is looked at between two slices, so that what has become ready is heard after one slice.
//! 5. A task that panics ends, and no other with it, but those that wait for what it gives; a core whose main task
//!    panics ends with an error.
//!
//! [`wake`]: super::wake
//! [`run_queues`]: super::run_queues

use std::io;
use std::rc::Rc;
use std::task::Poll;
use std::thread::{Builder, JoinHandle};
use std::time::{Duration, Instant};

use rustix::time::{ClockId, clock_gettime};

use super::current::{Core, CoreOptions, LONG_POLL, current, leave};
use super::features::Completions;
use super::helper::STACK_BYTES;
use super::queue::Queue;
use super::queues::Queues;

/// A running core.
#[derive(Debug)]
pub struct CoreHandle<T>(JoinHandle<io::Result<T>>);

impl<T> CoreHandle<T> {
    /// Waits for the core's main future to end. A panic that the core cannot survive is reported as an error.
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
    start_core_with(options, (), main)
}

/// The same with something that is dropped when the thread ends, also by a panic of any task: that of `main` is then
/// left where it is.
pub fn start_core_with<G, F, T>(options: CoreOptions, at_end: impl Send + 'static, main: G) -> io::Result<CoreHandle<T>>
where
    G: FnOnce() -> F + Send + 'static,
    F: Future<Output = T> + 'static,
    T: Send + 'static,
{
    let name = options.name.clone();
    let run = move || {
        let _at_end = at_end;
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
        run(&core, main)
    };
    Builder::new().name(name).stack_size(STACK_BYTES).spawn(run).map(CoreHandle)
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

/// How the kernel hands completions to the core that the calling thread is.
pub fn completions() -> Completions {
    current().reactor.completions()
}

/// Waits for `time`.
pub async fn sleep(time: Duration) {
    let reactor = Rc::clone(&current().reactor);
    reactor.sleep_until(Instant::now() + time).await;
}

/// Makes the calling thread `core` until what `main` returns has ended.
fn run<F, T>(core: &Rc<Core>, main: impl FnOnce() -> F) -> io::Result<T>
where
    F: Future<Output = T> + 'static,
    T: 'static,
{
    /// After a panic everything is left where it is: the kernel may still use it.
    struct Leave(Option<Rc<Core>>);
    impl Drop for Leave {
        fn drop(&mut self) {
            leave();
            std::mem::forget(self.0.take());
        }
    }
    core.enter();
    let mut leave = Leave(Some(Rc::clone(core)));
    let main = Queues::new().spawn(Queue::Ingest, "the core's main task", main());
    let result = loop {
        step(core)?;
        if let Some(value) = main.take() {
            break value;
        }
        if main.has_panicked() {
            return Err(io::Error::other("the core panicked"));
        }
    };
    core.drop_tasks();
    core.reactor.drain()?;
    leave.0 = None;
    Ok(result)
}

/// One slice of one queue, or one sleep.
fn step(core: &Core) -> io::Result<()> {
    for handle in core.remote.take() {
        core.make_ready(handle);
    }
    match core.ready.next() {
        Some(queue) => {
            run_slice(core, queue);
            core.reactor.turn(false)
        }
        None => core.reactor.turn(true),
    }
}

/// How long the thread has had a processor so far.
fn processor_time() -> Duration {
    Duration::try_from(clock_gettime(ClockId::ThreadCPUTime)).unwrap_or_default()
}

fn run_slice(core: &Core, queue: Queue) {
    let (start, processor) = (core.begin_slice(), processor_time());
    core.ready.begin(queue);
    let mut time = Duration::ZERO;
    // One task at least, however short the slice.
    while let Some(handle) = core.ready.pop(queue) {
        // It has moved since it was woken.
        if handle.queue() != queue {
            core.make_ready(handle);
            continue;
        }
        core.poll(&handle);
        let before = std::mem::replace(&mut time, start.elapsed());
        handle.add_time(time - before);
        core.ready.ran(queue, time - before);
        if time - before >= LONG_POLL {
            core.long_poll(queue, time - before, processor_time().saturating_sub(processor));
        }
        if time >= core.preempt {
            break;
        }
    }
    core.ready.end(queue, time);
}
