//! The helper thread of a core, which runs the calls that block.

use std::cell::RefCell;
use std::io;
use std::sync::mpsc::{Sender, channel};

type Call = Box<dyn FnOnce() + Send>;

/// The helper thread of one core. It starts with the first call.
pub(super) struct Helper {
    name: String,
    calls: RefCell<Option<Sender<Call>>>,
}

impl Helper {
    /// For the core of that name.
    pub(super) fn new(core: &str) -> Self {
        Self { name: format!("{core}-helper"), calls: RefCell::default() }
    }

    /// Hands over a call. The thread ends when the helper is dropped and the calls are done.
    pub(super) fn send(&self, call: Call) -> io::Result<()> {
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
