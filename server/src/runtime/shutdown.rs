//! Shutdown: requested once, from any thread, and seen by every core.

use std::fmt;
use std::future::poll_fn;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Poll, Waker};

/// Shared by all cores and the signal thread. A look at it costs one load of a line that never changes until the end.
#[derive(Clone, Default)]
pub struct Shutdown(Arc<State>);

#[derive(Default)]
struct State {
    is_requested: AtomicBool,
    /// Locked when a core starts to wait and when the shutdown is requested; never on the data path.
    waiting: Mutex<Vec<Waker>>,
}

impl Shutdown {
    /// Not requested yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Has every core finish what is in flight and end.
    pub fn request(&self) {
        self.0.is_requested.store(true, Ordering::SeqCst);
        let waiting = std::mem::take(&mut *self.0.waiting.lock().unwrap_or_else(PoisonError::into_inner));
        waiting.into_iter().for_each(Waker::wake);
    }

    /// Whether it was requested.
    #[inline]
    pub fn is_requested(&self) -> bool {
        self.0.is_requested.load(Ordering::Relaxed)
    }

    /// Waits until it is requested.
    pub async fn requested(&self) {
        poll_fn(|context| {
            if self.is_requested() {
                return Poll::Ready(());
            }
            self.0.waiting.lock().unwrap_or_else(PoisonError::into_inner).push(context.waker().clone());
            // It may have been requested between the look and the push.
            if self.0.is_requested.load(Ordering::SeqCst) { Poll::Ready(()) } else { Poll::Pending }
        })
        .await;
    }
}

impl fmt::Debug for Shutdown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Shutdown").field(&self.is_requested()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_reaches_those_who_wait_and_those_who_come_later() {
        let shutdown = Shutdown::new();
        assert!(!shutdown.is_requested());
        let waiting = {
            let shutdown = shutdown.clone();
            std::thread::spawn(move || futures_lite::future::block_on(shutdown.requested()))
        };
        shutdown.request();
        waiting.join().unwrap();
        futures_lite::future::block_on(shutdown.requested());
    }
}
