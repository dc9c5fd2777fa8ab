//! Credits of one link: how many calls may be open over it.
//!
//! Local to the core that owns the link. Claims are served in the order they came, so those that want one credit do not
//! starve a call that wants many.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::rc::Rc;
use std::task::{Poll, Waker};

/// The credits of one link.
#[derive(Debug)]
pub struct Credits {
    free: Cell<u32>,
    total: u32,
    claims: RefCell<VecDeque<Rc<Claim>>>,
}

/// What a call that waits wants.
#[derive(Debug)]
struct Claim {
    wanted: u32,
    granted: Cell<bool>,
    waker: RefCell<Option<Waker>>,
}

/// Credits taken from a link; they go back when this is dropped.
#[derive(Debug)]
pub struct Permit {
    credits: Rc<Credits>,
    count: u32,
}

impl Credits {
    /// A link with `total` credits.
    pub fn new(total: u32) -> Rc<Self> {
        Rc::new(Self { free: Cell::new(total), total, claims: RefCell::default() })
    }

    /// Credits not taken.
    pub fn free(&self) -> u32 {
        self.free.get()
    }

    /// Takes `count` credits if they are free and nobody waits before. More than the link has in all are cut to that.
    pub fn try_take(self: &Rc<Self>, count: u32) -> Option<Permit> {
        let count = count.clamp(1, self.total);
        if !self.claims.borrow().is_empty() || self.free.get() < count {
            return None;
        }
        self.free.set(self.free.get() - count);
        Some(Permit { credits: Rc::clone(self), count })
    }

    /// Takes `count` credits, waiting for them in turn.
    pub async fn take(self: &Rc<Self>, count: u32) -> Permit {
        if let Some(permit) = self.try_take(count) {
            return permit;
        }
        let wanted = count.clamp(1, self.total);
        let claim = Rc::new(Claim { wanted, granted: Cell::new(false), waker: RefCell::default() });
        self.claims.borrow_mut().push_back(Rc::clone(&claim));
        let turn = Turn { credits: self, claim };
        std::future::poll_fn(|context| {
            if turn.claim.granted.get() {
                return Poll::Ready(());
            }
            *turn.claim.waker.borrow_mut() = Some(context.waker().clone());
            Poll::Pending
        })
        .await;
        // The credits pass from the claim to the permit.
        turn.claim.granted.set(false);
        Permit { credits: Rc::clone(self), count: wanted }
    }

    fn give_back(&self, count: u32) {
        self.free.set(self.free.get() + count);
        loop {
            let mut claims = self.claims.borrow_mut();
            let Some(first) = claims.front().filter(|first| first.wanted <= self.free.get()) else { return };
            self.free.set(self.free.get() - first.wanted);
            first.granted.set(true);
            let waker = first.waker.borrow_mut().take();
            claims.pop_front();
            drop(claims);
            if let Some(waker) = waker {
                waker.wake();
            }
        }
    }
}

/// A place in the line; left cleanly when the wait is cancelled.
struct Turn<'c> {
    credits: &'c Rc<Credits>,
    claim: Rc<Claim>,
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        if self.claim.granted.get() {
            self.credits.give_back(self.claim.wanted);
        } else {
            self.credits.claims.borrow_mut().retain(|other| !Rc::ptr_eq(other, &self.claim));
            // Those behind a large claim may now fit.
            self.credits.give_back(0);
        }
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.credits.give_back(self.count);
    }
}

#[cfg(test)]
mod tests {
    use std::pin::pin;
    use std::task::Context;

    use super::*;

    fn poll<F: Future>(future: std::pin::Pin<&mut F>) -> Poll<F::Output> {
        future.poll(&mut Context::from_waker(Waker::noop()))
    }

    #[test]
    fn served_in_order_and_returned_on_drop() {
        let credits = Credits::new(4);
        let three = credits.try_take(3).unwrap();
        let mut four = pin!(credits.take(4));
        let mut one = pin!(credits.take(1));
        assert!(poll(four.as_mut()).is_pending());
        assert!(poll(one.as_mut()).is_pending(), "does not overtake");
        assert!(credits.try_take(1).is_none(), "does not overtake");
        drop(three);
        let Poll::Ready(four) = poll(four) else { panic!("four credits are free") };
        assert!(poll(one.as_mut()).is_pending());
        drop(four);
        assert!(poll(one).is_ready());
        assert_eq!(credits.free(), 4);
    }

    #[test]
    fn a_cancelled_wait_keeps_nothing() {
        let credits = Credits::new(2);
        let all = credits.try_take(9).unwrap();
        {
            let mut waits = pin!(credits.take(2));
            assert!(poll(waits.as_mut()).is_pending());
            drop(all);
            // Granted but never taken up.
        }
        assert_eq!(credits.free(), 2);
        let one = credits.try_take(1).unwrap();
        let mut behind = pin!(credits.take(1));
        {
            let mut big = pin!(credits.take(2));
            assert!(poll(big.as_mut()).is_pending());
            assert!(poll(behind.as_mut()).is_pending());
        }
        assert!(poll(behind).is_ready());
        drop(one);
        assert_eq!(credits.free(), 2);
    }
}
