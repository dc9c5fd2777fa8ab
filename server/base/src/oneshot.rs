//! A channel for one value between two tasks of one core.

use std::cell::RefCell;
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

/// The end that waits. Resolves to the value, or to `None` when the [`Sender`] went away without one.
#[derive(Debug)]
pub struct Receiver<T>(Rc<RefCell<Cell<T>>>);

/// The end that sends.
#[derive(Debug)]
pub struct Sender<T>(Rc<RefCell<Cell<T>>>);

#[derive(Debug)]
struct Cell<T> {
    value: Option<T>,
    closed: bool,
    waker: Option<Waker>,
}

/// Both ends of a new channel.
pub fn oneshot<T>() -> (Sender<T>, Receiver<T>) {
    let cell = Rc::new(RefCell::new(Cell { value: None, closed: false, waker: None }));
    (Sender(cell.clone()), Receiver(cell))
}

impl<T> Sender<T> {
    /// Sends the value and wakes the receiver.
    pub fn send(self, value: T) {
        self.0.borrow_mut().value = Some(value);
    }
}

impl<T> Drop for Sender<T> {
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

impl<T> Future for Receiver<T> {
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
    fn a_value_that_is_sent_later_wakes_the_receiver() {
        let (sender, receiver) = oneshot();
        let (value, ()) = block_on(zip(receiver, async {
            futures_lite::future::yield_now().await;
            sender.send(7);
        }));
        assert_eq!(value, Some(7));
    }

    #[test]
    fn a_sender_that_goes_away_ends_the_wait() {
        let (sender, receiver) = oneshot::<u32>();
        drop(sender);
        assert_eq!(block_on(receiver), None);
    }
}
