//! Calls that would hold the core, on threads beside it: those that block, those that work long and cannot yield, and
//! those with files of others, which do both.
//!
//! Each core has one [`helper`](super::helper) thread for each kind, so calls of one kind and core run one after
//! another. They are rare: names of files, folders, the catalog; statements of many kilobytes; tables over files.

use std::future::poll_fn;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Poll, Waker};

use super::current::{CALCULATOR_NICENESS, core_here, current};
use super::helper::Helper;

/// Where a call leaves its result.
struct CallResult<T> {
    value: Option<T>,
    /// The call has ended, with a value or in a panic.
    is_over: bool,
    waker: Option<Waker>,
}

/// A result as both sides hold it.
type SharedResult<T> = Arc<Mutex<CallResult<T>>>;

/// The helper's end of a result: whatever becomes of the call, the task that waits is woken.
struct EndGuard<T>(SharedResult<T>);

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

/// Runs a blocking call on the core's helper thread. It runs also where nobody waits for it any more.
pub async fn blocking<T: Send + 'static>(call: impl FnOnce() -> io::Result<T> + Send + 'static) -> io::Result<T> {
    let (run, result) = call_and_result(call, |_| true);
    wait(&current().helper, run, &result).await?
}

/// Runs a calculation on the core's thread for such, which steps back behind the core where both want the processor. A
/// calculation that nobody waits for any more when its turn comes is dropped.
///
/// # Errors
///
/// When there is no thread to be had, or the calculation panics.
pub async fn calculate<T: Send + 'static>(call: impl FnOnce() -> T + Send + 'static) -> io::Result<T> {
    let (run, result) = call_and_result(call, |result| Arc::strong_count(result) > 1);
    wait(&current().calculator, run, &result).await
}

/// Runs a call on a thread that starts for it and ends with it: for what takes seconds, and is seldom. It steps back
/// behind the cores, and runs to its end also where nobody waits for it any more.
///
/// # Errors
///
/// When there is no thread to be had, or the call panics.
pub async fn apart<T: Send + 'static>(
    what: &str,
    call: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> io::Result<T> {
    let (run, result) = call_and_result(call, |_| true);
    wait(&Helper::new(what.to_owned(), CALCULATOR_NICENESS), run, &result).await?
}

/// Makes a call with files that are not the data folder's, on the core's thread for such: it waits for whatever they
/// lie on, and works at what they hold. A call that nobody waits for any more when its turn comes is dropped.
///
/// # Errors
///
/// When there is no thread to be had, or the call panics.
pub async fn with_files<T: Send + 'static>(call: impl FnOnce() -> T + Send + 'static) -> io::Result<T> {
    let (run, result) = call_and_result(call, |result| Arc::strong_count(result) > 1);
    wait(&current().files, run, &result).await
}

/// Drops `value` on the core's thread for calculations; here where there is none.
pub fn drop_beside(value: impl Send + 'static) {
    if let Some(core) = core_here() {
        // What cannot be handed over is dropped by this.
        let _ = core.calculator.send(Box::new(move || drop(value)));
    }
}

/// A call that leaves its result in the second's hands, unless it is not `wanted` when it is about to begin.
fn call_and_result<T: Send + 'static>(
    call: impl FnOnce() -> T + Send + 'static,
    wanted: impl FnOnce(&SharedResult<T>) -> bool + Send + 'static,
) -> (impl FnOnce() + Send + 'static, SharedResult<T>) {
    let result = Arc::new(Mutex::new(CallResult { value: None, is_over: false, waker: None }));
    let end = EndGuard(Arc::clone(&result));
    let run = move || {
        if wanted(&end.0) {
            let value = call();
            end.0.lock().unwrap_or_else(PoisonError::into_inner).value = Some(value);
        }
    };
    (run, result)
}

async fn wait<T>(helper: &Helper, run: impl FnOnce() + Send + 'static, result: &SharedResult<T>) -> io::Result<T> {
    helper.send(Box::new(run))?;
    poll_fn(|context| {
        let mut result = result.lock().unwrap_or_else(PoisonError::into_inner);
        match result.value.take() {
            Some(value) => Poll::Ready(Ok(value)),
            None if result.is_over => Poll::Ready(Err(io::Error::other("a call on the helper thread panicked"))),
            None => {
                result.waker = Some(context.waker().clone());
                Poll::Pending
            }
        }
    })
    .await
}
