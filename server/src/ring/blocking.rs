//! Calls that block, on a thread beside the core.
//!
//! Each core has one [`helper`](super::helper) thread, so calls of one core run one after another. They are rare: names
//! of files, folders, the catalog.

use std::future::poll_fn;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Poll, Waker};

use super::current::current;

/// Where a call leaves its result.
struct CallResult<T> {
    value: Option<T>,
    /// The call has ended, with a value or in a panic.
    is_over: bool,
    waker: Option<Waker>,
}

/// The helper's end of a result: whatever becomes of the call, the task that waits is woken.
struct EndGuard<T>(Arc<Mutex<CallResult<T>>>);

impl<T> Drop for EndGuard<T> {
    fn drop(&mut self) {
        let waker = {
            let mut result = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            result.is_over = true;
            result.waker.take()
        };
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}

/// Runs a blocking call on the core's helper thread.
pub async fn blocking<T: Send + 'static>(call: impl FnOnce() -> io::Result<T> + Send + 'static) -> io::Result<T> {
    let result = Arc::new(Mutex::new(CallResult { value: None, is_over: false, waker: None }));
    let end = EndGuard(Arc::clone(&result));
    let run = move || {
        let value = call();
        end.0.lock().unwrap_or_else(PoisonError::into_inner).value = Some(value);
    };
    current().helper.send(Box::new(run))?;
    poll_fn(|context| {
        let mut result = result.lock().unwrap_or_else(PoisonError::into_inner);
        match result.value.take() {
            Some(value) => Poll::Ready(value),
            None if result.is_over => Poll::Ready(Err(io::Error::other("a call on the helper thread panicked"))),
            None => {
                result.waker = Some(context.waker().clone());
                Poll::Pending
            }
        }
    })
    .await
}
