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
//! ringer sees `armed`. Checked with loom over queues and bell together
//! (`server/loom`).

mod armed;

use std::io;

use armed::Armed;

use crate::ring::event::{Listener, Signal, event};

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
