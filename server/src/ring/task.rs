//! The handle of a task: waits for what it gives, or cancels it.

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
}

/// A future that leaves in the second's hands what the first gives.
pub(super) fn joined<T: 'static>(future: impl Future<Output = T> + 'static) -> (BoxedFuture, Task<T>) {
    let end = Rc::new(RefCell::new(End { value: None, waker: None }));
    let task = Task { handle: None, end: Rc::clone(&end) };
    let future = async move {
        let value = future.await;
        let waker = {
            let mut end = end.borrow_mut();
            end.value = Some(value);
            end.waker.take()
        };
        if let Some(waker) = waker {
            waker.wake();
        }
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
