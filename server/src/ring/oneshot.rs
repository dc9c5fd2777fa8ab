//! A place for one value that another task of the same core will bring: the waiting half of a request that crosses
//! cores, or that a batch of work answers together.

use std::cell::RefCell;
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

/// The waiting half. Resolves to the value, or to `None` when every [`Giver`] went away without one.
#[derive(Debug)]
pub(crate) struct Waiter<T>(Rc<RefCell<Cell<T>>>);

/// The giving half.
#[derive(Debug)]
pub(crate) struct Giver<T>(Rc<RefCell<Cell<T>>>);

#[derive(Debug)]
struct Cell<T> {
    value: Option<T>,
    closed: bool,
    waker: Option<Waker>,
}

/// A pair for one value.
pub(crate) fn pair<T>() -> (Giver<T>, Waiter<T>) {
    let cell = Rc::new(RefCell::new(Cell { value: None, closed: false, waker: None }));
    (Giver(cell.clone()), Waiter(cell))
}

impl<T> Giver<T> {
    /// Hands over the value and wakes the waiter.
    pub(crate) fn give(self, value: T) {
        self.0.borrow_mut().value = Some(value);
    }
}

impl<T> Drop for Giver<T> {
    fn drop(&mut self) {
        let waker = {
            let mut cell = self.0.borrow_mut();
            cell.closed = true;
            cell.waker.take()
        };
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}

impl<T> Future for Waiter<T> {
    type Output = Option<T>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<T>> {
        let mut cell = self.0.borrow_mut();
        if let Some(value) = cell.value.take() {
            return Poll::Ready(Some(value));
        }
        if cell.closed {
            return Poll::Ready(None);
        }
        cell.waker = Some(context.waker().clone());
        Poll::Pending
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_lite::future::{block_on, zip};

    #[test]
    fn a_value_given_later_wakes_the_waiter() {
        let (giver, waiter) = pair();
        let (value, ()) = block_on(zip(waiter, async {
            futures_lite::future::yield_now().await;
            giver.give(7);
        }));
        assert_eq!(value, Some(7));
    }

    #[test]
    fn a_giver_that_goes_away_ends_the_wait() {
        let (giver, waiter) = pair::<u32>();
        drop(giver);
        assert_eq!(block_on(waiter), None);
    }
}
