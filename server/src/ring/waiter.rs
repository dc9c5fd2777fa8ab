//! Waiting for an event of another thread on the ring of a core.

use std::fmt;
use std::future::poll_fn;

use super::current::current;
use super::event::Listener;
use super::reactor::Source;

/// The end of an event that waits, on one core; made there from a [`Listener`].
pub struct Waiter(Source);

impl Listener {
    /// Begins to listen, on the core that the calling thread is.
    pub fn listen(self) -> Waiter {
        Waiter(current().reactor.watch(self.into()))
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
