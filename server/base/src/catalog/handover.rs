//! The catalog at a start, on its way from the core that owns it to the others: it is read once.

use std::future::poll_fn;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::task::{Poll, Waker};

use tidewire_storage::schema::Catalog;

/// The catalog that a start has found.
#[derive(Debug, Clone)]
pub struct Found {
    /// The catalog.
    pub catalog: Arc<Catalog>,
    /// It was saved; else it is that of a new data folder.
    pub is_saved: bool,
}

/// Where cores find it. Shared by all cores, once in the life of a process.
#[derive(Debug, Default)]
pub struct Handover {
    found: OnceLock<Found>,
    waiting: Mutex<Vec<Waker>>,
}

impl Handover {
    /// Hands over what was found. The first one counts.
    pub fn give(&self, found: Found) {
        let _ = self.found.set(found);
        let waiting = std::mem::take(&mut *self.waiting.lock().unwrap_or_else(PoisonError::into_inner));
        waiting.into_iter().for_each(Waker::wake);
    }

    /// Waits for what was found.
    pub async fn take(&self) -> Found {
        poll_fn(|context| {
            if let Some(found) = self.found.get() {
                return Poll::Ready(found.clone());
            }
            self.waiting.lock().unwrap_or_else(PoisonError::into_inner).push(context.waker().clone());
            // It may have come between the look and the push.
            self.found.get().map_or(Poll::Pending, |found| Poll::Ready(found.clone()))
        })
        .await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::initial::initial;

    #[test]
    fn found_by_those_who_wait_and_those_who_come_later() {
        let handover = Arc::new(Handover::default());
        let waiting = {
            let handover = handover.clone();
            std::thread::spawn(move || futures_lite::future::block_on(handover.take()).is_saved)
        };
        handover.give(Found { catalog: Arc::new(initial()), is_saved: true });
        assert!(waiting.join().unwrap());
        assert!(futures_lite::future::block_on(handover.take()).is_saved);
    }
}
