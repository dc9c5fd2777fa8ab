//! Waiting for a condition of one thread's state: the tasks of a shard tell each other that something changed.
//!
//! Nothing is carried but the wake-up: a waiter looks at the state itself each time, so that no notification can be
//! lost or mistaken, and a waiter that is dropped leaves nothing behind.

use std::cell::RefCell;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

/// Wakes everyone who waits for a change.
#[derive(Debug, Default)]
pub(crate) struct Signal {
    waiters: RefCell<Waiters>,
}

#[derive(Debug, Default)]
struct Waiters {
    /// A slot for each waiter: `Some` while it sleeps.
    slots: Vec<Option<Waker>>,
    /// Slots of no waiter.
    free: Vec<usize>,
}

impl Signal {
    /// Wakes all waiters, which then look again.
    pub(crate) fn notify(&self) {
        // One at a time, borrowing between: a waker may run the woken task at once, and that may wait again.
        let count = self.waiters.borrow().slots.len();
        for slot in 0..count {
            let waker = self.waiters.borrow_mut().slots.get_mut(slot).and_then(Option::take);
            if let Some(waker) = waker {
                waker.wake();
            }
        }
    }

    /// Waits until `look` finds what it wants: now, or after a notification.
    pub(crate) fn until<T, F: FnMut() -> Option<T> + Unpin>(&self, look: F) -> Until<'_, F> {
        Until { signal: self, look, slot: None }
    }
}

/// See [`Signal::until`].
#[derive(Debug)]
pub(crate) struct Until<'a, F> {
    signal: &'a Signal,
    look: F,
    slot: Option<usize>,
}

impl<T, F: FnMut() -> Option<T> + Unpin> Future for Until<'_, F> {
    type Output = T;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<T> {
        if let Some(found) = (self.look)() {
            return Poll::Ready(found);
        }
        let mut waiters = self.signal.waiters.borrow_mut();
        let slot = match self.slot {
            Some(slot) => slot,
            None => waiters.free.pop().unwrap_or_else(|| {
                waiters.slots.push(None);
                waiters.slots.len() - 1
            }),
        };
        waiters.slots[slot] = Some(context.waker().clone());
        drop(waiters);
        self.slot = Some(slot);
        Poll::Pending
    }
}

impl<F> Drop for Until<'_, F> {
    fn drop(&mut self) {
        if let Some(slot) = self.slot {
            let mut waiters = self.signal.waiters.borrow_mut();
            waiters.slots[slot] = None;
            waiters.free.push(slot);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use futures_lite::future::{block_on, poll_once, yield_now, zip};

    use super::*;

    #[test]
    fn waiters_see_the_state_that_was_notified() {
        let (signal, value) = (Signal::default(), &Cell::new(0));
        let wait = |at_least: u32| signal.until(move || (value.get() >= at_least).then(|| value.get()));
        let write = async {
            for next in 1..=3 {
                yield_now().await;
                value.set(next);
                signal.notify();
            }
        };
        let ((one, three), ()) = block_on(zip(zip(wait(1), wait(3)), write));
        assert_eq!((one, three), (1, 3));
    }

    #[test]
    fn a_dropped_waiter_gives_its_slot_back() {
        let signal = Signal::default();
        for _ in 0..10 {
            let mut wait = signal.until(|| None::<()>);
            assert!(block_on(poll_once(&mut wait)).is_none());
        }
        assert_eq!(signal.waiters.borrow().slots.len(), 1);
    }
}
