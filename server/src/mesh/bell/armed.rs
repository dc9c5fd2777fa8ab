//! The flag of a bell: whether its owner sleeps. See [`super`] for why no wake-up is lost.

use crate::mesh::sync::{AtomicBool, Ordering, fence};

/// Whether the owner wants to be woken.
#[derive(Debug)]
pub(crate) struct Armed(AtomicBool);

impl Armed {
    pub(crate) fn new() -> Self {
        Self(AtomicBool::new(false))
    }

    /// The owner is about to sleep; it must look into its queues after this.
    pub(crate) fn arm(&self) {
        // A swap where a store would do: of a swap loom knows that it comes after every earlier change of the flag.
        // Only a core with nothing to do pays for it.
        self.0.swap(true, Ordering::Relaxed);
        fence(Ordering::SeqCst);
    }

    /// The owner found something after all.
    pub(crate) fn disarm(&self) {
        self.0.store(false, Ordering::Relaxed);
    }

    /// After a push: whether the owner must be woken, which is then this caller's duty.
    pub(crate) fn ring(&self) -> bool {
        fence(Ordering::SeqCst);
        self.0.load(Ordering::Relaxed) && self.0.swap(false, Ordering::Relaxed)
    }
}
