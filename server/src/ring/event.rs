//! A wake-up from another thread: an eventfd that the ring of the waiting core watches.

use std::io;
use std::os::fd::OwnedFd;

use rustix::event::{EventfdFlags, eventfd};

/// The end that signals, from any thread.
#[derive(Debug)]
pub struct Signal(OwnedFd);

/// The end that waits; it becomes a [`Waiter`](super::waiter::Waiter) on its core.
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
        // Each write is an event to the ring that watches, so nobody needs to read the count. It would take 2^64 writes
        // to fill.
        let _ = rustix::io::write(&self.0, &1_u64.to_ne_bytes());
    }
}

impl From<Listener> for OwnedFd {
    fn from(listener: Listener) -> Self {
        listener.0
    }
}
