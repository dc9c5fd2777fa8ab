//! A wake-up from another thread, taken as the completion of a read.
//!
//! glommio's own wakers work from any thread, but they can be lost: the executor looks at its preemption signal before
//! the first task, and when that signal is there already (its timer, or the very eventfd write of a foreign wake that
//! was noticed before), it goes to sleep with tasks that could run. A completion on the main ring does not raise that
//! signal, so nothing is lost with it.
#![expect(unsafe_code, reason = "glommio takes an eventfd only as a raw descriptor of a file")]

use std::fmt;
use std::io;
use std::os::fd::{FromRawFd, IntoRawFd, OwnedFd};

use glommio::io::BufferedFile;
use rustix::event::{EventfdFlags, eventfd};

/// Length of what an eventfd reads and writes.
const COUNT_BYTES: usize = 8;

/// The end that signals, from any thread.
#[derive(Debug)]
pub struct Signal(OwnedFd);

/// The end that waits, on one core; made there from a [`Listener`].
pub struct Waiter(BufferedFile);

/// What becomes a [`Waiter`] on its core.
#[derive(Debug)]
pub struct Listener(OwnedFd);

/// Both ends of a new event.
pub fn event() -> io::Result<(Signal, Listener)> {
    let signal = eventfd(0, EventfdFlags::CLOEXEC)?;
    let listener = signal.try_clone()?;
    Ok((Signal(signal), Listener(listener)))
}

impl Signal {
    /// Wakes the waiter, now or when it next waits.
    pub fn raise(&self) {
        // Fails only when 2^64 signals wait, and then the waiter has one.
        let _ = rustix::io::write(&self.0, &1_u64.to_ne_bytes());
    }
}

impl Listener {
    /// Begins to listen, on the executor of the calling thread.
    pub fn listen(self) -> Waiter {
        // SAFETY: the descriptor is owned, open, and given away here; it is closed once, by the file.
        Waiter(unsafe { BufferedFile::from_raw_fd(self.0.into_raw_fd()) })
    }
}

impl Waiter {
    /// Waits until there was a signal since the last wait. Several signals are one.
    pub async fn wait(&self) {
        if let Err(error) = self.0.read_at(0, COUNT_BYTES).await {
            // An eventfd that is open reads; if the ring is out of memory, looking again is right and waiting is not.
            log::error!("cannot wait for other cores: {error}");
            glommio::executor().yield_task_queue_now().await;
        }
    }
}

impl fmt::Debug for Waiter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Waiter")
    }
}
