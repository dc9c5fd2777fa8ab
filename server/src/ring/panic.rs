//! Panics: a mistake of ours ends what ran into it, not the core, and is seen.
//!
//! 1. [`watch_panics`] sees to it that each panic of the process is counted, and logged with its place and backtrace,
//!    where it happens: those who catch it later know neither.
//! 2. [`caught`], [`poll_caught`] and [`Caught`] end what a call or a future does where it panics. Those who know what
//!    they owe to others use them: a reply, an answer, a shard that is taken offline.
//! 3. Below them the executor catches what is left ([`current`](super::current)): the task is gone, the core goes on.

use std::any::Any;
use std::backtrace::Backtrace;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};

/// Panics of the process so far.
static PANICS: AtomicU64 = AtomicU64::new(0);

/// What has panicked, in its words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Panicked(String);

impl fmt::Display for Panicked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a fault of the server: {}", self.0)
    }
}

impl From<Box<dyn Any + Send>> for Panicked {
    fn from(payload: Box<dyn Any + Send>) -> Self {
        Self(words(&*payload).to_owned())
    }
}

fn words(payload: &(dyn Any + Send)) -> &str {
    match payload.downcast_ref::<&'static str>() {
        Some(text) => text,
        None => payload.downcast_ref::<String>().map_or("a panic without words", String::as_str),
    }
}

/// From now on panics are counted and logged, in place of what Rust prints. Once for a process.
pub fn watch_panics() {
    std::panic::set_hook(Box::new(|panic| {
        PANICS.fetch_add(1, Ordering::Relaxed);
        let thread = std::thread::current();
        let place = panic.location().map_or_else(String::new, |place| format!(" at {place}"));
        let (name, backtrace) = (thread.name().unwrap_or("a thread"), Backtrace::force_capture());
        log::error!("{name} panicked{place}: {}\n{backtrace}", words(panic.payload()));
    }));
}

/// How many panics there were since [`watch_panics`].
pub fn panics() -> u64 {
    PANICS.load(Ordering::Relaxed)
}

/// What `call` returns, or that it panicked. What the call was changing may be half changed: the caller says why that
/// does no harm, or lets nobody look at it.
pub fn caught<T>(call: impl FnOnce() -> T) -> Result<T, Panicked> {
    catch_unwind(AssertUnwindSafe(call)).map_err(Panicked::from)
}

/// Polls `future`, which is not to be polled again once it has panicked; see [`caught`].
pub fn poll_caught<F: Future>(future: Pin<&mut F>, context: &mut Context<'_>) -> Poll<Result<F::Output, Panicked>> {
    match caught(|| future.poll(context)) {
        Ok(polled) => polled.map(Ok),
        Err(panicked) => Poll::Ready(Err(panicked)),
    }
}

/// A future on the heap that ends where it panics; see [`caught`].
#[derive(Debug)]
pub struct Caught<F>(Option<Pin<Box<F>>>);

impl<F: Future> Caught<F> {
    /// Catches what `future` panics with.
    pub fn new(future: F) -> Self {
        Self(Some(Box::pin(future)))
    }
}

impl<F: Future> Future for Caught<F> {
    type Output = Result<F::Output, Panicked>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let Some(future) = &mut self.0 else { return Poll::Pending };
        let Poll::Ready(ended) = poll_caught(future.as_mut(), context) else { return Poll::Pending };
        let future = self.0.take();
        // What it drops may panic as well, and the first panic is the one to hear of.
        let dropped = caught(|| drop(future));
        Poll::Ready(ended.and_then(|value| dropped.map(|()| value)))
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use futures_lite::future::{block_on, yield_now};

    use super::*;

    #[test]
    fn a_panic_ends_a_call_or_a_future_with_its_words() {
        assert_eq!(caught(|| 7), Ok(7));
        let told = caught(|| assert!(std::hint::black_box(1) == 2, "one is not two")).unwrap_err().to_string();
        assert_eq!(told, "a fault of the server: one is not two");
        assert_eq!(block_on(Caught::new(async { 7 })), Ok(7));
        let second = Caught::new(async {
            yield_now().await;
            assert!(std::hint::black_box(1) == 2, "in the second poll of {}", "two");
        });
        assert_eq!(block_on(second).unwrap_err().0, "in the second poll of two");
    }

    #[test]
    fn what_panics_while_it_is_dropped_is_caught_too() {
        struct Bad;
        impl Drop for Bad {
            fn drop(&mut self) {
                assert!(std::thread::panicking(), "while it is dropped");
            }
        }
        let held = Bad;
        let polled = block_on(Caught::new(std::future::poll_fn(move |_| {
            let _ = &held;
            Poll::Ready(())
        })));
        assert_eq!(polled.unwrap_err().0, "while it is dropped");
    }
}
