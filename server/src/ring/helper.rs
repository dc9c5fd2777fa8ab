//! The helper threads of a core: one runs the calls that block, one the calculations that cannot yield.

use std::cell::RefCell;
use std::io;
use std::sync::mpsc::{Sender, channel};

use super::panic::caught;

/// Stack of a core and of its helpers. Statements and what they come to are trees of bounded depth; in a build without
/// optimisation, where a level of an expression takes most, the deepest that is taken does not fit into 2 MiB.
pub(super) const STACK_BYTES: usize = 8 << 20;

/// A call that takes long.
type Job = Box<dyn FnOnce() + Send>;

/// A helper thread of one core, which runs one job after the other. It starts with the first.
pub(super) struct Helper {
    name: String,
    /// How much less of a processor it gets than others that want it too, as `nice` counts.
    niceness: i32,
    jobs: RefCell<Option<Sender<Job>>>,
}

impl Helper {
    /// A thread of this name.
    pub(super) fn new(name: String, niceness: i32) -> Self {
        Self { name, niceness, jobs: RefCell::default() }
    }

    /// Hands over a job. The thread ends when the helper is dropped and the jobs are done.
    pub(super) fn send(&self, job: Job) -> io::Result<()> {
        let mut jobs = self.jobs.borrow_mut();
        let sender = match jobs.take() {
            Some(sender) => sender,
            None => {
                let (sender, receiver) = channel::<Job>();
                let niceness = self.niceness;
                let work = move || {
                    be_nice(niceness);
                    // A caller that waits for a job that panics learns of it by what the job drops.
                    receiver.into_iter().for_each(|job| drop(caught(job)));
                };
                std::thread::Builder::new().name(self.name.clone()).stack_size(STACK_BYTES).spawn(work)?;
                sender
            }
        };
        let sent = sender.send(job).map_err(|_| io::Error::other("the helper thread has ended"));
        *jobs = sent.is_ok().then_some(sender);
        sent
    }
}

/// Makes the calling thread step back. Where that is not allowed it works as others do, which is no error.
fn be_nice(niceness: i32) {
    if niceness != 0
        && let Err(error) = rustix::process::setpriority_process(None, niceness)
    {
        log::warn!("a helper thread keeps its priority: {error}");
    }
}
