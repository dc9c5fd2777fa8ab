//! The other cores, as one core asks them.
//!
//! Work for a shard is always a question to the shard's core, also when that is this core: [`Peers`] then hand it to
//! this core's own [`Handler`] at once, without a queue. So there is one way for each kind of work and it runs the same
//! on one core as on many.

use std::cell::OnceCell;
use std::rc::{Rc, Weak};

use super::message::{Answer, Asker, ChangeCatalog, FragmentAnswer, FragmentId, Handler, Message, OpenCalls, Question};
use crate::catalog::SchemaChange;
use crate::catalog::owner::Outcome;
use crate::mesh::{Call, Credits, Mesh};

/// The core that owns the catalog.
pub const CATALOG_CORE: usize = 0;

/// Calls that this core may have open to itself at one time: they cross no queue, so only memory bounds them, and
/// connections are bounded before.
const OWN_CALLS_MAX: u32 = 1 << 20;

/// The way of one core to all of them, itself included.
pub struct Peers {
    core: usize,
    /// The core of each shard.
    placement: Vec<usize>,
    mesh: Rc<Mesh<Message>>,
    calls: OpenCalls,
    own_credits: Rc<Credits>,
    /// What works on this core's messages to itself; it holds these peers.
    own_handler: OnceCell<Weak<dyn Handler>>,
}

impl Peers {
    /// The way of `core` to the others. `placement` has the core of each shard.
    pub fn new(core: usize, placement: Vec<usize>, mesh: Rc<Mesh<Message>>) -> Self {
        Self {
            core,
            placement,
            mesh,
            calls: OpenCalls::new(),
            own_credits: Credits::new(OWN_CALLS_MAX),
            own_handler: OnceCell::new(),
        }
    }

    /// Says what works on this core's messages to itself. To be called once, before anything is asked.
    pub(super) fn set_own_handler(&self, handler: Weak<dyn Handler>) {
        let set = self.own_handler.set(handler);
        assert!(set.is_ok(), "invariant: core {} has one handler", self.core);
    }

    /// Number of shards of the server.
    pub fn shard_count(&self) -> u32 {
        self.placement.len() as u32
    }

    /// Number of cores.
    pub fn core_count(&self) -> usize {
        self.mesh.cores()
    }

    /// The core that owns `shard`.
    pub fn core_of(&self, shard: u32) -> usize {
        self.placement[shard as usize]
    }

    /// Asks `core`; waits while too much is asked of it already. Where the question has one answer, [`Call::answer`]
    /// waits for it.
    pub async fn ask<Q: Question>(&self, core: usize, question: Q) -> Call<Q::Answer> {
        let credits = if core == self.core { &self.own_credits } else { self.mesh.credits(core) };
        let call = Q::calls(&self.calls).open(credits.take(Q::ANSWERS_AHEAD_MAX).await);
        self.send(core, Message::Request(question.request(Asker::new(self.core, call.id()))));
        call
    }

    /// Asks every core, and waits for all answers.
    pub async fn ask_all<Q: Question + Clone>(&self, question: Q) -> Vec<Q::Answer> {
        let mut calls = Vec::with_capacity(self.core_count());
        for core in 0..self.core_count() {
            calls.push(self.ask(core, question.clone()).await);
        }
        let mut answers = Vec::with_capacity(calls.len());
        for call in calls {
            answers.push(call.answer().await);
        }
        answers
    }

    /// Changes the catalog; resolves when the change is durable and visible on every core.
    pub async fn change(&self, change: SchemaChange) -> Outcome {
        self.ask(CATALOG_CORE, ChangeCatalog(change)).await.answer().await
    }

    /// Lets a fragment that `core` runs send one more partial.
    pub fn grant(&self, core: usize, call: &Call<FragmentAnswer>) {
        self.send(core, Message::Grant(FragmentId { core: self.core, call: call.id() }));
    }

    /// Ends a fragment that `core` runs.
    pub fn cancel(&self, core: usize, call: &Call<FragmentAnswer>) {
        self.send(core, Message::Cancel(FragmentId { core: self.core, call: call.id() }));
    }

    /// Answers a question for good.
    #[expect(clippy::needless_pass_by_value, reason = "a question is answered once: that uses its asker up")]
    pub(super) fn answer<Q: Question>(&self, asker: Asker<Q>, answer: Q::Answer) {
        self.send_answer(asker.core(), Q::answer(asker.call(), answer), true);
    }

    /// Answers a question, with more to come.
    pub(super) fn answer_in_part<Q: Question>(&self, asker: &Asker<Q>, answer: Q::Answer) {
        self.send_answer(asker.core(), Q::answer(asker.call(), answer), false);
    }

    /// Hands an answer that has arrived to the task that waits for it.
    pub(super) fn deliver(&self, answer: Answer, is_last: bool) {
        self.calls.deliver(answer, is_last);
    }

    fn send_answer(&self, core: usize, answer: Answer, is_last: bool) {
        if core == self.core {
            self.deliver(answer, is_last);
        } else {
            self.mesh.send(core, Message::Answer { answer, is_last });
        }
    }

    fn send(&self, core: usize, message: Message) {
        if core != self.core {
            self.mesh.send(core, message);
        } else if let Some(handler) = self.own_handler.get().and_then(Weak::upgrade) {
            // Where there is none, the core has ended, and its tasks with it.
            handler.handle(message);
        }
    }
}
