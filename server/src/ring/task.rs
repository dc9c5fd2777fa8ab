//! The handle of a task: waits for what it gives, or cancels it.
//!
//! A task that panics gives nothing. A task that waits for it panics in turn, up to where panics are
//! [caught](super::panic): nobody waits without end.

use std::cell::RefCell;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use super::current::{BoxedFuture, cancel};
use super::wake::Handle;

/// A task on the core that spawned it. Resolves to what the task gives; dropping it cancels the task.
#[must_use = "a task is cancelled when its handle is dropped; `detach` lets it run on"]
pub struct Task<T> {
    handle: Option<Arc<Handle>>,
    end: Rc<RefCell<End<T>>>,
}

/// Where a task leaves what it gives.
struct End<T> {
    value: Option<T>,
    waker: Option<Waker>,
    /// The task is gone, with a value or by a panic.
    is_over: bool,
}

/// The task's side of its end: however the task goes, its handle's holder is woken.
struct EndGuard<T>(Rc<RefCell<End<T>>>);

impl<T> Drop for EndGuard<T> {
    fn drop(&mut self) {
        let waker = {
            let mut end = self.0.borrow_mut();
            end.is_over = true;
            end.waker.take()
        };
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}

/// A future that leaves in the second's hands what the first gives.
pub(super) fn joined<T: 'static>(future: impl Future<Output = T> + 'static) -> (BoxedFuture, Task<T>) {
    let end = Rc::new(RefCell::new(End { value: None, waker: None, is_over: false }));
    let task = Task { handle: None, end: Rc::clone(&end) };
    let guard = EndGuard(end);
    let future = async move {
        let value = future.await;
        guard.0.borrow_mut().value = Some(value);
    };
    (Box::pin(future), task)
}

impl<T> Task<T> {
    pub(super) fn set_handle(&mut self, handle: Arc<Handle>) {
        self.handle = Some(handle);
    }

    /// What the task gave, if it has ended.
    pub(super) fn take(&self) -> Option<T> {
        self.end.borrow_mut().value.take()
    }

    /// Whether the task has ended and gives nothing.
    pub(super) fn has_panicked(&self) -> bool {
        let end = self.end.borrow();
        end.is_over && end.value.is_none()
    }

    /// Lets the task run on by itself.
    pub fn detach(mut self) {
        self.handle = None;
    }

    /// Drops the task where it waits. When this returns it is gone.
    pub fn cancel(self) {
        drop(self);
    }
}

impl<T> Future for Task<T> {
    type Output = T;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<T> {
        let mut end = self.end.borrow_mut();
        match end.value.take() {
            Some(value) => Poll::Ready(value),
            None if end.is_over => panic!("a task that this one waits for has panicked"),
            None => {
                end.waker = Some(context.waker().clone());
                Poll::Pending
            }
        }
    }
}

impl<T> Drop for Task<T> {
    fn drop(&mut self) {
        if let Some(handle) = self.handle.take() {
            cancel(&handle);
        }
    }
}

impl<T> std::fmt::Debug for Task<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Task")
    }
}
