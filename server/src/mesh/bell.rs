//! The bell of a core: rung by any core after a push, heard only while the owner sleeps.
//!
//! No wake-up is lost, and a busy owner costs the ringer one load:
//!
//! ```text
//!   owner                              ringer
//!   arm:   armed = true                push into the queue
//!          fence                       fence
//!   look once more into the queues     ring:  armed was true? set it false and wake the owner
//!   nothing there? sleep
//! ```
//!
//! Of the two fences one comes first in the single order of all fences: either the owner's look sees the push, or the
//! ringer sees `armed`. Checked with loom over the queue and the bell together.

use std::io;

use super::sync::{AtomicBool, Ordering, fence};
use crate::ring::event::{Listener, Signal, event};

/// Whether the owner wants to be woken.
#[derive(Debug)]
struct Armed(AtomicBool);

impl Armed {
    fn new() -> Self {
        Self(AtomicBool::new(false))
    }

    /// The owner is about to sleep; it must look into its queues after this.
    fn arm(&self) {
        self.0.store(true, Ordering::Relaxed);
        fence(Ordering::SeqCst);
    }

    /// The owner found something after all.
    fn disarm(&self) {
        self.0.store(false, Ordering::Relaxed);
    }

    /// After a push: whether the owner must be woken, which is then this caller's duty.
    fn ring(&self) -> bool {
        fence(Ordering::SeqCst);
        self.0.load(Ordering::Relaxed) && self.0.swap(false, Ordering::Relaxed)
    }
}

/// One core's bell, shared with all who push to it. The owner sleeps on the [`Listener`] made with it.
#[derive(Debug)]
pub struct Bell {
    armed: Armed,
    signal: Signal,
}

impl Bell {
    /// A bell, and what its owner listens with.
    pub fn new() -> io::Result<(Self, Listener)> {
        let (signal, listener) = event()?;
        Ok((Self { armed: Armed::new(), signal }, listener))
    }

    /// Announces that the owner is about to sleep. It must look into its queues once more afterwards.
    pub fn arm(&self) {
        self.armed.arm();
    }

    /// Takes the announcement back.
    pub fn disarm(&self) {
        self.armed.disarm();
    }

    /// Wakes the owner if it sleeps. To be called after the push.
    #[inline]
    pub fn ring(&self) {
        if self.armed.ring() {
            self.signal.raise();
        }
    }
}

#[cfg(all(test, loom))]
mod tests {
    use super::super::queue::queue;
    use super::super::sync::Arc;
    use super::*;

    #[test]
    fn loom_no_wake_up_is_lost() {
        loom::model(|| {
            let (producer, consumer) = queue(2);
            let armed = Arc::new(Armed::new());
            let ringer = {
                let armed = Arc::clone(&armed);
                loom::thread::spawn(move || {
                    assert!(producer.push(1).is_ok());
                    armed.ring()
                })
            };
            let sleeps = if consumer.pop().is_some() {
                false
            } else {
                armed.arm();
                consumer.pop().is_none()
            };
            let woken = ringer.join().unwrap();
            assert!(!sleeps || woken, "the owner sleeps on a queue that is not empty");
        });
    }

    #[test]
    fn loom_one_of_two_ringers_wakes() {
        loom::model(|| {
            let armed = Arc::new(Armed::new());
            armed.arm();
            let other = {
                let armed = Arc::clone(&armed);
                loom::thread::spawn(move || armed.ring())
            };
            let here = armed.ring();
            assert!(here ^ other.join().unwrap());
        });
    }
}
