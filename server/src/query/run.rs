//! FragmentCalls a bound query over all shards: fragments go out, partials come in under credits, the final stage joins
//! them and rows flow on to the reply.
//!
//! 1. The query is cut once; every shard gets the same fragment.
//! 2. Each shard may be [`PARTIALS_AHEAD_MAX`](crate::core::message::PARTIALS_AHEAD_MAX) batches ahead of what the
//!    final stage has taken, so a slow client slows the scan and memory stays bounded.
//! 3. An error, a final stage that has seen enough, or a client that went away cancels the fragments that still run.

use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};

use arrow_array::RecordBatch;
use tidewire_sql::Query;
use tidewire_sql::exec::{ExecError, FinalRun, Flow, QueryContext};
use tidewire_sql::explain::ShardMetrics;
use tidewire_sql::stage::{Fragment, cut};

use crate::core::message::{FragmentAnswer, RunFragment};
use crate::core::peers::Peers;
use crate::mesh::Call;

/// Takes the rows of a query as they come.
pub trait RowsOut {
    /// Takes a batch; waits while the client is slow.
    fn rows(&mut self, batch: &RecordBatch) -> impl Future<Output = Result<(), ExecError>>;
}

/// The wait for a shard's credits, and the call that it ends with.
type Starting<'a> = Pin<Box<dyn Future<Output = Call<FragmentAnswer>> + 'a>>;

/// The calls of a fragment that runs over all shards; cancelled when dropped.
///
/// Shards are asked one after the other as credits allow, while answers of those asked before are taken: a query that
/// waits for credits does not keep those it has from coming back, so queries cannot wait for each other in a ring,
/// however many shards a core has.
struct FragmentCalls<'a> {
    peers: &'a Peers,
    fragment: &'a Arc<Fragment>,
    context: QueryContext,
    /// One a shard asked so far, in order; `None` once it has ended and its credits are back.
    calls: Vec<Option<Call<FragmentAnswer>>>,
    /// The next shard's; `None` when all were asked.
    starting: Option<Starting<'a>>,
    /// Where to look next, so that no shard is favoured.
    next: usize,
}

impl<'a> FragmentCalls<'a> {
    fn new(peers: &'a Peers, fragment: &'a Arc<Fragment>, context: &QueryContext) -> Self {
        let mut calls = Self { peers, fragment, context: context.clone(), calls: Vec::new(), starting: None, next: 0 };
        calls.starting = calls.ask(0);
        calls
    }

    /// Begins to ask `shard`, if there is one of this number.
    fn ask(&self, shard: u32) -> Option<Starting<'a>> {
        let peers = self.peers;
        if shard >= peers.shard_count() {
            return None;
        }
        let question = RunFragment { shard, fragment: self.fragment.clone(), context: self.context.clone() };
        Some(Box::pin(peers.ask(peers.core_of(shard), question)))
    }

    /// The next answer of any shard and the shard's number; `None` when all have ended.
    async fn next(&mut self) -> Option<(u32, FragmentAnswer)> {
        poll_fn(|context| self.poll_next(context)).await
    }

    fn poll_next(&mut self, context: &mut Context<'_>) -> Poll<Option<(u32, FragmentAnswer)>> {
        while let Some(starting) = &mut self.starting {
            let Poll::Ready(call) = starting.as_mut().poll(context) else { break };
            self.calls.push(Some(call));
            self.starting = self.ask(self.calls.len() as u32);
        }
        let count = self.calls.len();
        let mut is_waiting = self.starting.is_some();
        for offset in 0..count {
            let shard = (self.next + offset) % count;
            let Some(call) = &mut self.calls[shard] else { continue };
            let polled = pin!(call.next()).poll(context);
            match polled {
                Poll::Ready(Some(answer)) => {
                    if matches!(answer, FragmentAnswer::Done(_)) {
                        self.calls[shard] = None;
                    }
                    self.next = shard + 1;
                    return Poll::Ready(Some((shard as u32, answer)));
                }
                Poll::Ready(None) => self.calls[shard] = None,
                Poll::Pending => is_waiting = true,
            }
        }
        if is_waiting { Poll::Pending } else { Poll::Ready(None) }
    }

    /// Lets a shard send one more partial.
    fn grant(&self, shard: u32) {
        if let Some(call) = &self.calls[shard as usize]
            && !call.is_complete()
        {
            self.peers.grant(self.peers.core_of(shard), call);
        }
    }
}

impl Drop for FragmentCalls<'_> {
    fn drop(&mut self) {
        for (shard, call) in self.calls.iter().enumerate() {
            if let Some(call) = call
                && !call.is_complete()
            {
                self.context.cancel();
                self.peers.cancel(self.peers.core_of(shard as u32), call);
            }
        }
    }
}

/// Runs `query` and hands its rows to `out`. Returns what the shards did that ran to their end.
pub async fn run<O: RowsOut>(
    peers: &Peers,
    query: &Query,
    context: QueryContext,
    out: &mut O,
) -> Result<Vec<ShardMetrics>, ExecError> {
    let distributed = cut(&query.plan)?;
    let mut last = FinalRun::new(&distributed.final_stage, context.clone())?;
    let mut shards = Vec::new();
    if let Some(fragment) = &distributed.fragment {
        let mut calls = FragmentCalls::new(peers, fragment, &context);
        while let Some((shard, answer)) = calls.next().await {
            match answer {
                FragmentAnswer::Partial { batch, held } => {
                    // What the final stage keeps of it, it counts itself.
                    drop(held);
                    let flow = last.push(batch)?;
                    while let Some(rows) = last.ready() {
                        out.rows(&rows).await?;
                    }
                    if flow == Flow::Enough {
                        break;
                    }
                    calls.grant(shard);
                }
                FragmentAnswer::Done(outcome) => shards.push(outcome?),
            }
        }
    }
    for rows in last.finish()? {
        out.rows(&rows).await?;
    }
    Ok(shards)
}
