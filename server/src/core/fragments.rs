//! Fragments of queries that run on this core, each for a core that asked for it.
//!
//! A fragment may send [`PARTIALS_AHEAD_MAX`] partials before the first is taken, and one more for each that is; when
//! it has sent what it may, it waits, and its scan with it. It ends when its rows have, when it fails, or when its
//! asker cancels it: each way with one last answer.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::rc::Rc;
use std::task::{Poll, Waker};
use std::time::Instant;

use tidewire_sql::exec::{ExecError, QueryContext, ShardRun, batch_bytes};
use tidewire_sql::explain::ShardMetrics;
use tidewire_storage::Error;

use super::message::{Asker, FragmentAnswer, FragmentId, PARTIALS_AHEAD_MAX, RunFragment};
use super::peers::Peers;
use super::shards::CoreShard;
use crate::query::metered::MeteredShard;
use crate::ring::Caught;

/// The fragments that run on one core.
#[derive(Debug, Default)]
pub(super) struct Fragments(RefCell<HashMap<FragmentId, Rc<Running>>>);

/// A running fragment: what its asker has allowed it.
#[derive(Debug)]
struct Running {
    /// Partials it may still send.
    granted: Cell<u32>,
    is_cancelled: Cell<bool>,
    waker: RefCell<Option<Waker>>,
}

impl Running {
    fn wake(&self) {
        if let Some(waker) = self.waker.borrow_mut().take() {
            waker.wake();
        }
    }

    /// Takes leave to send one partial, waiting for it; `false` when the asker wants no more.
    async fn may_send(&self) -> bool {
        std::future::poll_fn(|context| {
            if self.is_cancelled.get() {
                return Poll::Ready(false);
            }
            if self.granted.get() > 0 {
                self.granted.set(self.granted.get() - 1);
                return Poll::Ready(true);
            }
            *self.waker.borrow_mut() = Some(context.waker().clone());
            Poll::Pending
        })
        .await
    }
}

impl Fragments {
    /// Lets a fragment send one more partial.
    pub(super) fn grant(&self, id: FragmentId) {
        if let Some(running) = self.0.borrow().get(&id) {
            running.granted.set(running.granted.get() + 1);
            running.wake();
        }
    }

    /// Lets a fragment send nothing more.
    pub(super) fn cancel(&self, id: FragmentId) {
        if let Some(running) = self.0.borrow().get(&id) {
            running.is_cancelled.set(true);
            running.wake();
        }
    }

    /// Begins a fragment, which may be granted partials and cancelled from now on. The future runs it over `shard` and
    /// sends what it yields.
    pub(super) fn begin(
        self: &Rc<Self>,
        peers: &Rc<Peers>,
        asker: Asker<RunFragment>,
        question: RunFragment,
        shard: Rc<CoreShard>,
    ) -> impl Future<Output = ()> + 'static {
        let id = FragmentId { core: asker.core(), call: asker.call() };
        let running = Rc::new(Running {
            granted: Cell::new(PARTIALS_AHEAD_MAX),
            is_cancelled: Cell::new(false),
            waker: RefCell::default(),
        });
        self.0.borrow_mut().insert(id, running.clone());
        let (fragments, peers) = (self.clone(), peers.clone());
        async move {
            let RunFragment { shard: number, stages, context } = question;
            let started = Instant::now();
            let gone = stages.iter().map(|stage| &stage.fragment.table).find(|table| shard.has_ended(table.id));
            let gone = gone.map(|table| Error::TableDropped { table: table.name.clone() });
            let (reader, counts) = MeteredShard::new(shard);
            let sent = match gone {
                // Other shards may have given their rows before they knew: half an answer is none.
                Some(error) => Err(error.into()),
                None => {
                    let run = ShardRun::new(stages, reader, context.clone());
                    let sent = Caught::new(send_partials(&peers, &asker, &running, run, &context)).await;
                    sent.unwrap_or_else(|panicked| Err(ExecError::Internal(panicked.to_string())))
                }
            };
            let outcome = sent.map(|rows_sent| ShardMetrics {
                shard: number,
                rows_scanned: counts.get().rows,
                chunks: counts.get().chunks,
                rows_sent,
                elapsed: started.elapsed(),
            });
            fragments.0.borrow_mut().remove(&id);
            peers.answer(asker, FragmentAnswer::Done(outcome));
        }
    }
}

/// Sends what a fragment yields, as its asker grants; returns the number of rows.
async fn send_partials(
    peers: &Peers,
    asker: &Asker<RunFragment>,
    running: &Running,
    mut run: ShardRun<MeteredShard>,
    context: &QueryContext,
) -> Result<u64, ExecError> {
    let mut rows_sent = 0;
    while let Some((stage, batch)) = run.next().await? {
        let mut held = context.reservation();
        held.resize(batch_bytes(&batch))?;
        if !running.may_send().await {
            break;
        }
        rows_sent += batch.num_rows() as u64;
        peers.answer_in_part(asker, FragmentAnswer::Partial { stage, batch, held });
    }
    Ok(rows_sent)
}

#[cfg(test)]
mod tests {
    use futures_lite::future::{block_on, poll_once};

    use super::*;
    use crate::mesh::{Calls, Credits};

    fn running(fragments: &Fragments, id: FragmentId, granted: u32) -> Rc<Running> {
        let running =
            Rc::new(Running { granted: Cell::new(granted), is_cancelled: Cell::new(false), waker: RefCell::default() });
        fragments.0.borrow_mut().insert(id, running.clone());
        running
    }

    #[test]
    fn a_fragment_sends_what_it_is_granted_and_nothing_once_cancelled() {
        let calls = Calls::<()>::new();
        let call = calls.open(Credits::new(1).try_take(1).unwrap());
        let (id, other) = (FragmentId { core: 1, call: call.id() }, FragmentId { core: 2, call: call.id() });
        let fragments = Fragments::default();
        let running = running(&fragments, id, 1);
        block_on(async {
            assert!(running.may_send().await);
            assert_eq!(poll_once(running.may_send()).await, None);
            fragments.grant(other);
            assert_eq!(poll_once(running.may_send()).await, None, "the grant was another fragment's");
            fragments.grant(id);
            assert!(running.may_send().await);
            fragments.grant(id);
            fragments.cancel(id);
            assert!(!running.may_send().await);
        });
    }

    #[test]
    fn a_grant_and_a_cancellation_wake_a_fragment_that_waits() {
        let calls = Calls::<()>::new();
        let call = calls.open(Credits::new(1).try_take(1).unwrap());
        let id = FragmentId { core: 0, call: call.id() };
        let fragments = Fragments::default();
        let running = running(&fragments, id, 0);
        let waits = async { (running.may_send().await, running.may_send().await) };
        let acts = async {
            fragments.grant(id);
            futures_lite::future::yield_now().await;
            fragments.cancel(id);
        };
        assert_eq!(block_on(futures_lite::future::zip(waits, acts)).0, (true, false));
    }
}
