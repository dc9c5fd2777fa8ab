//! The helper thread of a core, which runs the calls that block.

use std::cell::RefCell;
use std::io;
use std::sync::mpsc::{Sender, channel};

/// A call that blocks.
type Job = Box<dyn FnOnce() + Send>;

/// The helper thread of one core. It starts with the first call.
pub(super) struct Helper {
    name: String,
    calls: RefCell<Option<Sender<Job>>>,
}

impl Helper {
    /// For the core of that name.
    pub(super) fn new(core: &str) -> Self {
        Self { name: format!("{core}-helper"), calls: RefCell::default() }
    }

    /// Hands over a call. The thread ends when the helper is dropped and the calls are done.
    pub(super) fn send(&self, job: Job) -> io::Result<()> {
        let mut calls = self.calls.borrow_mut();
        let sender = match calls.take() {
            Some(sender) => sender,
            None => {
                let (sender, receiver) = channel::<Job>();
                let work = move || receiver.into_iter().for_each(|job| job());
                std::thread::Builder::new().name(self.name.clone()).spawn(work)?;
                sender
            }
        };
        let sent = sender.send(job).map_err(|_| io::Error::other("the helper thread has ended"));
        *calls = sent.is_ok().then_some(sender);
        sent
    }
}
