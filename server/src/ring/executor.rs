//! One pinned executor in one thread.

use std::io;
use std::time::Duration;

use glommio::{ExecutorJoinHandle, LocalExecutorBuilder, Placement};

/// How a core's executor is built.
#[derive(Debug, Clone)]
pub struct CoreOptions {
    /// Name of the thread.
    pub name: String,
    /// Processor to pin to; `None` leaves the thread to the scheduler (tests).
    pub cpu: Option<usize>,
    /// Arena of registered buffers, see [`super::host::io_memory_bytes`].
    pub io_memory_bytes: usize,
    /// Entries of each of the three rings.
    pub ring_depth: usize,
    /// Longest time one task queue keeps the core while another waits.
    pub preempt: Duration,
}

/// A running core.
#[derive(Debug)]
pub struct CoreHandle<T: Send + 'static>(ExecutorJoinHandle<T>);

impl<T: Send + 'static> CoreHandle<T> {
    /// Waits for the core's main future to end. A panic on the core is reported as an error.
    pub fn join(self) -> io::Result<T> {
        self.0.join().map_err(|error| io::Error::other(format!("core ended abnormally: {error}")))
    }
}

/// Starts an executor in a new thread and runs there what `main` returns.
pub fn start_core<G, F, T>(options: CoreOptions, main: G) -> io::Result<CoreHandle<T>>
where
    G: FnOnce() -> F + Send + 'static,
    F: Future<Output = T> + 'static,
    T: Send + 'static,
{
    let placement = options.cpu.map_or(Placement::Unbound, Placement::Fixed);
    LocalExecutorBuilder::new(placement)
        .name(&options.name)
        .io_memory(options.io_memory_bytes)
        .ring_depth(options.ring_depth)
        .preempt_timer(options.preempt)
        .spawn(main)
        .map(CoreHandle)
        .map_err(|error| io::Error::other(format!("cannot start an executor for {}: {error}", options.name)))
}
