//! The wish to stop, told once and heard by every core.

use std::fmt;
use std::future::poll_fn;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Poll, Waker};

/// Shared by all cores and the signal thread. Asking costs one load of a line that never changes until the end.
#[derive(Clone, Default)]
pub struct Drain(Arc<Shared>);

#[derive(Default)]
struct Shared {
    is_requested: AtomicBool,
    /// Taken when a core starts to wait and when the wish is told; never on the data path.
    waiting: Mutex<Vec<Waker>>,
}

impl Drain {
    /// Nobody wants to stop yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Tells every core to finish what is in flight and end.
    pub fn request(&self) {
        self.0.is_requested.store(true, Ordering::SeqCst);
        let waiting = std::mem::take(&mut *self.0.waiting.lock().unwrap_or_else(PoisonError::into_inner));
        waiting.into_iter().for_each(Waker::wake);
    }

    /// Whether the wish was told.
    #[inline]
    pub fn is_requested(&self) -> bool {
        self.0.is_requested.load(Ordering::Relaxed)
    }

    /// Waits for the wish.
    pub async fn requested(&self) {
        poll_fn(|context| {
            if self.is_requested() {
                return Poll::Ready(());
            }
            self.0.waiting.lock().unwrap_or_else(PoisonError::into_inner).push(context.waker().clone());
            // The wish may have been told between the look and the push.
            if self.0.is_requested.load(Ordering::SeqCst) { Poll::Ready(()) } else { Poll::Pending }
        })
        .await;
    }
}

impl fmt::Debug for Drain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Drain").field(&self.is_requested()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn heard_by_those_who_wait_and_those_who_come_later() {
        let drain = Drain::new();
        assert!(!drain.is_requested());
        let waiting = {
            let drain = drain.clone();
            std::thread::spawn(move || futures_lite::future::block_on(drain.requested()))
        };
        drain.request();
        waiting.join().unwrap();
        futures_lite::future::block_on(drain.requested());
    }
}
