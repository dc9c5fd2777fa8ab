//! A wake-up from another thread: an eventfd that the ring of the waiting core watches.

use std::fmt;
use std::future::poll_fn;
use std::io;
use std::os::fd::OwnedFd;

use rustix::event::{EventfdFlags, eventfd};

use super::executor::current;
use super::reactor::Source;

/// The end that signals, from any thread.
#[derive(Debug)]
pub struct Signal(OwnedFd);

/// The end that waits, on one core; made there from a [`Listener`].
pub struct Waiter(Source);

/// What becomes a [`Waiter`] on its core.
#[derive(Debug)]
pub struct Listener(OwnedFd);

/// Both ends of a new event.
pub fn event() -> io::Result<(Signal, Listener)> {
    let signal = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?;
    let listener = signal.try_clone()?;
    Ok((Signal(signal), Listener(listener)))
}

impl Signal {
    /// Wakes the waiter, now or when it next waits.
    pub fn raise(&self) {
        // Each write is an event to who watches, so nobody needs to read the count. It would take 2^64 writes to fill.
        let _ = rustix::io::write(&self.0, &1_u64.to_ne_bytes());
    }
}

impl Listener {
    /// Begins to listen, on the core that the calling thread is.
    pub fn listen(self) -> Waiter {
        Waiter(current().reactor.watch(self.0))
    }
}

impl From<Listener> for OwnedFd {
    fn from(listener: Listener) -> Self {
        listener.0
    }
}

impl Waiter {
    /// Waits until there was a signal since the last wait. Several signals are one; there may be a wake-up without.
    pub async fn wait(&self) {
        poll_fn(|context| self.0.poll_ready(context)).await;
        self.0.set_empty();
    }
}

impl fmt::Debug for Waiter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Waiter")
    }
}
