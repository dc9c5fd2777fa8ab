//! One pinned executor in one thread.

use std::io;
use std::thread::{Builder, JoinHandle};
use std::time::Duration;

use glommio::{LocalExecutorBuilder, Placement};

/// Time between beats: how long a lost wake-up (`ring`, point 8) delays a task. A beat costs some 50 µs in a small
/// virtual machine (waking an idle processor is most of it), so 0.5 % of a core.
const BEAT: Duration = Duration::from_millis(10);

/// Hearts that beat in turn. A beat is a wake-up too and can be lost, and a lost heart stands still until another one
/// beats; all of them would have to be lost in a row.
const HEARTS: u32 = 8;

async fn beat(heart: u32) {
    glommio::timer::sleep(BEAT * heart).await;
    loop {
        glommio::timer::sleep(BEAT * HEARTS).await;
    }
}

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
pub struct CoreHandle<T>(JoinHandle<io::Result<T>>);

impl<T> CoreHandle<T> {
    /// Waits for the core's main future to end. A panic on the core is reported as an error.
    pub fn join(self) -> io::Result<T> {
        self.0.join().unwrap_or_else(|_| Err(io::Error::other("the core panicked")))
    }
}

/// Starts an executor in a new thread and runs there what `main` returns.
pub fn start_core<G, F, T>(options: CoreOptions, main: G) -> io::Result<CoreHandle<T>>
where
    G: FnOnce() -> F + Send + 'static,
    F: Future<Output = T> + 'static,
    T: Send + 'static,
{
    let name = options.name.clone();
    let run = move || {
        let placement = options.cpu.map_or(Placement::Unbound, Placement::Fixed);
        let executor = LocalExecutorBuilder::new(placement)
            .name(&options.name)
            .io_memory(options.io_memory_bytes)
            .ring_depth(options.ring_depth)
            .preempt_timer(options.preempt)
            .make()
            .map_err(|error| io::Error::other(format!("cannot start {}: {error}", options.name)))?;
        Ok(executor.run(async move {
            let hearts: Vec<_> = (0..HEARTS).map(|heart| glommio::spawn_local(beat(heart))).collect();
            let result = main().await;
            for heart in hearts {
                heart.cancel().await;
            }
            result
        }))
    };
    Builder::new().name(name).spawn(run).map(CoreHandle)
}
