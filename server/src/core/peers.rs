//! The other cores, as one core asks them.
//!
//! Work for a shard is always a question to the shard's core, also when that is this core: [`Peers`] then hand it to
//! this core's own [`Handler`] at once, without a queue. So there is one way for each kind of work and it runs the same
//! on one core as on many.

use std::cell::OnceCell;
use std::rc::{Rc, Weak};
use std::sync::Arc;

use tidewire_files::Folders;

use super::message::{
    AnyAnswer, Asker, ChangeCatalog, FragmentAnswer, FragmentId, Handler, Message, OpenCalls, Question,
};
use crate::mesh::{Call, Credits, Mesh};
use tidewire_base::catalog::SchemaChange;
use tidewire_base::catalog::owner::Outcome;

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
    /// What queries reach beside the shards.
    folders: Arc<Folders>,
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
            folders: Arc::default(),
        }
    }

    /// The same with folders whose files queries may read.
    #[must_use]
    pub fn with_folders(self, folders: Arc<Folders>) -> Self {
        Self { folders, ..self }
    }

    /// The folders whose files queries may read.
    pub fn folders(&self) -> &Arc<Folders> {
        &self.folders
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
        self.send(core, Message::Question(question.any(Asker::new(self.core, call.id()))));
        call
    }

    /// Asks every core, and waits for all answers.
    pub async fn ask_all<Q: Question + Clone>(&self, question: Q) -> Vec<Q::Answer> {
        self.ask_each((0..self.core_count()).map(|core| (core, question.clone()))).await
    }

    /// Asks the core of every shard, and waits for all answers, which come in the order of the shards.
    pub async fn ask_shards<Q: Question>(&self, question: impl Fn(u32) -> Q) -> Vec<Q::Answer> {
        self.ask_each((0..self.shard_count()).map(|shard| (self.core_of(shard), question(shard)))).await
    }

    /// Asks each core its question, and waits for all answers.
    async fn ask_each<Q: Question>(&self, questions: impl Iterator<Item = (usize, Q)>) -> Vec<Q::Answer> {
        let mut calls = Vec::new();
        for (core, question) in questions {
            calls.push(self.ask(core, question).await);
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
        self.send_answer(asker.core(), Q::any_answer(asker.call(), answer), true);
    }

    /// Answers a question, with more to come.
    pub(super) fn answer_in_part<Q: Question>(&self, asker: &Asker<Q>, answer: Q::Answer) {
        self.send_answer(asker.core(), Q::any_answer(asker.call(), answer), false);
    }

    /// Hands an answer that has arrived to the task that waits for it.
    pub(super) fn deliver(&self, answer: AnyAnswer, is_last: bool) {
        self.calls.deliver(answer, is_last);
    }

    fn send_answer(&self, core: usize, answer: AnyAnswer, is_last: bool) {
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

#[cfg(test)]
mod tests {
    use futures_lite::future::{poll_once, yield_now, zip};
    use tidewire_storage::batch::NewSeries;
    use tidewire_storage::schema::{ColumnId, TableId};

    use super::super::message::{AnyQuestion, CountUnknownSeries, ReadMetrics};
    use super::*;
    use crate::mesh::{Inbox, wire};
    use crate::metrics::registry::Registry;
    use crate::ring::testing::on_a_core;

    /// Answers with the number of keys that it is asked about, and the table's number before them.
    struct Counting(Rc<Peers>);

    impl Handler for Counting {
        fn handle(self: Rc<Self>, message: Message) {
            match message {
                Message::Question(AnyQuestion::CountUnknownSeries(asker, question)) => {
                    self.0.answer(asker, question.table.0 as usize * 10 + question.keys.len());
                }
                Message::Question(AnyQuestion::ReadMetrics(asker, _)) => {
                    self.0.answer(asker, Registry::new().snapshot());
                }
                Message::Answer { answer, is_last } => self.0.deliver(answer, is_last),
                other => panic!("nobody sends {other:?}"),
            }
        }
    }

    type Core = (Rc<Peers>, Rc<Counting>, Inbox<Message>);

    /// As many cores on this thread, each with one shard.
    fn cores(count: usize) -> Vec<Core> {
        let ports = wire(count).unwrap().into_iter().enumerate();
        let core = |(core, port): (usize, crate::mesh::Port<Message>)| {
            let (mesh, inbox) = port.open();
            let peers = Rc::new(Peers::new(core, (0..count).collect(), mesh));
            let handler = Rc::new(Counting(peers.clone()));
            peers.set_own_handler(Rc::downgrade(&handler) as Weak<dyn Handler>);
            (peers, handler, inbox)
        };
        ports.map(core).collect()
    }

    fn question(table: u32, keys: u32) -> CountUnknownSeries {
        let mut series = NewSeries::default();
        for key in 0..keys {
            series.push([(ColumnId(0), &key.to_le_bytes()[..])]);
        }
        CountUnknownSeries { shard: 0, table: TableId(table), keys: series }
    }

    /// Empties all inboxes until `asked` is answered.
    async fn serve<T>(cores: &mut [Core], asked: impl Future<Output = T>) -> T {
        let mut asked = std::pin::pin!(asked);
        loop {
            if let Some(answer) = poll_once(asked.as_mut()).await {
                return answer;
            }
            for (_, handler, inbox) in cores.iter_mut() {
                while let Some((_, message)) = inbox.try_next() {
                    handler.clone().handle(message);
                }
            }
            yield_now().await;
        }
    }

    #[test]
    fn a_question_to_the_own_core_is_answered_at_once() {
        on_a_core(async || {
            let cores = cores(1);
            let call = poll_once(cores[0].0.ask(0, question(4, 2))).await.unwrap();
            assert_eq!(poll_once(call.answer()).await, Some(42));
        });
    }

    #[test]
    fn questions_to_other_cores_are_answered_each_by_its_own_kind() {
        on_a_core(async || {
            let mut cores = cores(3);
            let peers = cores[1].0.clone();
            let metrics = peers.ask_all(ReadMetrics);
            let count = async { peers.ask(2, question(1, 3)).await.answer().await };
            let (metrics, count) = serve(&mut cores, zip(metrics, count)).await;
            assert_eq!((metrics.len(), count), (3, 13));
        });
    }

    #[test]
    fn a_core_that_has_ended_takes_no_questions() {
        on_a_core(async || {
            let (peers, handler, _inbox) = cores(1).remove(0);
            drop(handler);
            let call = poll_once(peers.ask(0, question(4, 2))).await.unwrap();
            assert_eq!(poll_once(call.answer()).await, None);
        });
    }
}
