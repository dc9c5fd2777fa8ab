//! Running a bound query over all shards: fragments go out, partials come in under credits, the final stage joins
//! them and rows flow on to the reply.
//!
//! 1. The query is cut once; every shard gets the same fragment.
//! 2. Each shard may be [`PARTIALS_AHEAD_MAX`] batches ahead of what the final stage has taken, so a slow client slows
//!    the scan and memory stays bounded.
//! 3. An error, a final stage that has seen enough, or a client that went away cancels the fragments that still run.

use std::future::poll_fn;
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::Poll;

use arrow_array::RecordBatch;
use tidewire_sql::Query;
use tidewire_sql::exec::{ExecError, FinalRun, Flow, QueryContext};
use tidewire_sql::explain::ShardMetrics;
use tidewire_sql::fragment::{Fragment, cut};

use crate::hub::Hub;
use crate::mesh::Call;
use crate::message::{Answer, Message, Request};

/// Partials a shard may send before the first is used: enough to keep its core busy while the reply is written, few
/// enough that a wide result waits in the scan and not in memory.
pub const PARTIALS_AHEAD_MAX: u32 = 4;

/// Takes the rows of a query as they come.
pub trait RowsOut {
    /// Takes a batch; waits while the client is slow.
    fn rows(&mut self, batch: &RecordBatch) -> impl Future<Output = Result<(), ExecError>>;
}

/// A fragment running on every shard; cancelled when dropped.
struct Running<'a> {
    hub: &'a Rc<Hub>,
    context: QueryContext,
    /// One a shard, in order.
    calls: Vec<Call<Answer>>,
    /// Where to look next, so that no shard is favoured.
    next: usize,
}

impl<'a> Running<'a> {
    async fn start(hub: &'a Rc<Hub>, fragment: &Arc<Fragment>, context: &QueryContext) -> Self {
        let mut running = Self { hub, context: context.clone(), calls: Vec::new(), next: 0 };
        for shard in 0..hub.shard_count() {
            let (fragment, context) = (fragment.clone(), context.clone());
            // One credit more than partials, for the fragment's end.
            let request = Request::RunFragment { shard, fragment, context };
            let call = hub.call(hub.core_of(shard), PARTIALS_AHEAD_MAX + 1, request).await;
            running.calls.push(call);
        }
        running
    }

    /// The next answer of any shard and the shard's number; `None` when all have ended.
    async fn next(&mut self) -> Option<(u32, Answer)> {
        poll_fn(|context| {
            let count = self.calls.len();
            let mut ended = 0;
            for offset in 0..count {
                let shard = (self.next + offset) % count;
                match pin!(self.calls[shard].next()).poll(context) {
                    Poll::Ready(Some(answer)) => {
                        self.next = shard + 1;
                        return Poll::Ready(Some((shard as u32, answer)));
                    }
                    Poll::Ready(None) => ended += 1,
                    Poll::Pending => {}
                }
            }
            if ended == count { Poll::Ready(None) } else { Poll::Pending }
        })
        .await
    }

    /// Lets a shard send one more partial.
    fn grant(&self, shard: u32) {
        let call = &self.calls[shard as usize];
        if !call.is_complete() {
            self.hub.post(self.hub.core_of(shard), Message::Grant { id: call.id() });
        }
    }
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        for (shard, call) in self.calls.iter().enumerate().filter(|(_, call)| !call.is_complete()) {
            self.context.cancel();
            self.hub.post(self.hub.core_of(shard as u32), Message::Cancel { id: call.id() });
        }
    }
}

/// Runs `query` and hands its rows to `out`. Returns what the shards did that ran to their end.
pub async fn run<O: RowsOut>(
    hub: &Rc<Hub>,
    query: &Query,
    context: QueryContext,
    out: &mut O,
) -> Result<Vec<ShardMetrics>, ExecError> {
    let distributed = cut(&query.plan)?;
    let mut last = FinalRun::new(&distributed.final_stage, context.clone())?;
    let mut shards = Vec::new();
    if let Some(fragment) = &distributed.fragment {
        let mut running = Running::start(hub, fragment, &context).await;
        while let Some((shard, answer)) = running.next().await {
            match answer {
                Answer::Partial(batch) => {
                    let flow = last.push(batch)?;
                    while let Some(rows) = last.ready() {
                        out.rows(&rows).await?;
                    }
                    if flow == Flow::Enough {
                        break;
                    }
                    running.grant(shard);
                }
                Answer::FragmentDone(outcome) => shards.push(outcome?),
                other => unreachable!("BUG: {other:?} is no answer to a fragment"),
            }
        }
    }
    for rows in last.finish()? {
        out.rows(&rows).await?;
    }
    Ok(shards)
}
