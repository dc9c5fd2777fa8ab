//! Calls that block, on a thread beside the core.
//!
//! Each core has one helper thread, started with its first call, so calls of one core run one after another. They are
//! rare: names of files, folders, the catalog.

use std::cell::RefCell;
use std::future::poll_fn;
use std::io;
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Poll, Waker};

use super::executor::current;

type Call = Box<dyn FnOnce() + Send>;

/// The helper thread of one core.
pub(super) struct Helper {
    name: String,
    calls: RefCell<Option<Sender<Call>>>,
}

/// Where a call leaves its result.
struct Outcome<T> {
    value: Option<T>,
    /// The call has ended, with a value or in a panic.
    is_over: bool,
    waker: Option<Waker>,
}

impl Helper {
    /// For the core of that name.
    pub(super) fn new(core: &str) -> Self {
        Self { name: format!("{core}-helper"), calls: RefCell::default() }
    }

    /// Hands over a call. The thread ends when the helper is dropped and the calls are done.
    fn send(&self, call: Call) -> io::Result<()> {
        let mut calls = self.calls.borrow_mut();
        let sender = match calls.take() {
            Some(sender) => sender,
            None => {
                let (sender, receiver) = channel::<Call>();
                let work = move || receiver.into_iter().for_each(|call| call());
                std::thread::Builder::new().name(self.name.clone()).spawn(work)?;
                sender
            }
        };
        let sent = sender.send(call).map_err(|_| io::Error::other("the helper thread has ended"));
        *calls = sent.is_ok().then_some(sender);
        sent
    }
}

/// The helper's end of an outcome: whatever becomes of the call, the task that waits is woken.
struct Tell<T>(Arc<Mutex<Outcome<T>>>);

impl<T> Drop for Tell<T> {
    fn drop(&mut self) {
        let waker = {
            let mut outcome = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            outcome.is_over = true;
            outcome.waker.take()
        };
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}

/// Runs a blocking call on the core's helper thread.
pub async fn blocking<T: Send + 'static>(call: impl FnOnce() -> io::Result<T> + Send + 'static) -> io::Result<T> {
    let outcome = Arc::new(Mutex::new(Outcome { value: None, is_over: false, waker: None }));
    let tell = Tell(Arc::clone(&outcome));
    let run = move || {
        let value = call();
        tell.0.lock().unwrap_or_else(PoisonError::into_inner).value = Some(value);
    };
    current().helper.send(Box::new(run))?;
    poll_fn(|context| {
        let mut outcome = outcome.lock().unwrap_or_else(PoisonError::into_inner);
        match outcome.value.take() {
            Some(value) => Poll::Ready(value),
            None if outcome.is_over => Poll::Ready(Err(io::Error::other("a call on the helper thread panicked"))),
            None => {
                outcome.waker = Some(context.waker().clone());
                Poll::Pending
            }
        }
    })
    .await
}
