//! Running a bound query over all shards: fragments go out, partials come in under credits, the stages of this core
//! join them and rows flow on to the reply.
//!
//! 1. The query is cut into stages once; every shard gets the same ones.
//! 2. Each shard may be [`PARTIALS_AHEAD_MAX`](crate::core::message::PARTIALS_AHEAD_MAX) batches ahead of what this
//!    core has worked off, so a slow client slows the scan and memory stays bounded.
//! 3. Between two steps of this core's stages other tasks may run.
//! 4. Under a heavy load a shard may flush rows faster than a snapshot of them is copied, and not be able to keep them
//!    all. As long as the reply has no rows yet, the query is begun anew: its client need not know.
//! 5. Files are read beside the core, a batch when the stages have worked off what they had.
//! 6. An error, stages that have seen enough, or a client that went away cancels the fragments that still run.

use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};

use arrow_array::RecordBatch;
use tidewire_sql::Query;
use tidewire_sql::exec::{CoreRun, ExecError, Progress, QueryContext};
use tidewire_sql::explain::ShardMetrics;
use tidewire_sql::stage::{ShardStage, cut};

use super::files::FileReads;
use crate::core::message::{FragmentAnswer, RunFragment};
use crate::core::peers::Peers;
use crate::mesh::Call;
use crate::ring::executor::yield_if_needed;

/// Takes the rows of a query as they come.
pub trait RowsOut {
    /// Takes a batch; waits while the client is slow.
    fn rows(&mut self, batch: &RecordBatch) -> impl Future<Output = Result<(), ExecError>>;
}

/// The wait for a shard's credits, and the call that it ends with.
type Starting<'a> = Pin<Box<dyn Future<Output = Call<FragmentAnswer>> + 'a>>;

/// The calls of the fragments that run over all shards; cancelled when dropped.
///
/// Shards are asked one after the other as credits allow, while answers of those asked before are taken: a query that
/// waits for credits does not keep those it has from coming back, so queries cannot wait for each other in a ring,
/// however many shards a core has.
struct FragmentCalls<'a> {
    peers: &'a Peers,
    /// None: no shard is asked.
    stages: Arc<[ShardStage]>,
    context: QueryContext,
    /// One a shard asked so far, in order; `None` once it has ended and its credits are back.
    calls: Vec<Option<Call<FragmentAnswer>>>,
    /// The next shard's; `None` when all were asked.
    starting: Option<Starting<'a>>,
    /// Where to look next, so that no shard is favoured.
    next: usize,
    /// The query goes on when these calls have ended early.
    is_begun_anew: bool,
}

impl<'a> FragmentCalls<'a> {
    fn new(peers: &'a Peers, stages: Arc<[ShardStage]>, context: &QueryContext) -> Self {
        let mut calls = Self {
            peers,
            stages,
            context: context.clone(),
            calls: Vec::new(),
            starting: None,
            next: 0,
            is_begun_anew: false,
        };
        calls.starting = calls.ask(0);
        calls
    }

    /// Begins to ask `shard`, if there is one of this number.
    fn ask(&self, shard: u32) -> Option<Starting<'a>> {
        let peers = self.peers;
        if self.stages.is_empty() || shard >= peers.shard_count() {
            return None;
        }
        let question = RunFragment { shard, stages: self.stages.clone(), context: self.context.clone() };
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
                if !self.is_begun_anew {
                    self.context.cancel();
                }
                self.peers.cancel(self.peers.core_of(shard as u32), call);
            }
        }
    }
}

/// Times that a query is begun. Each lasts as long as some flushes.
const TRIES_MAX: u32 = 4;

/// Whether a query that has failed for `error` is begun anew.
fn is_for_another_try(error: &ExecError, has_rows: bool, tries: u32) -> bool {
    let is_gone = matches!(error, ExecError::Storage(tidewire_storage::Error::SnapshotGone { .. }));
    is_gone && !has_rows && tries < TRIES_MAX
}

/// Runs `query` and hands its rows to `out`. Returns what the shards did that ran to their end.
pub async fn run<O: RowsOut>(
    peers: &Peers,
    query: &Query,
    context: QueryContext,
    out: &mut O,
) -> Result<Vec<ShardMetrics>, ExecError> {
    let (mut has_rows, mut tries) = (false, 1);
    loop {
        match run_once(peers, query, &context, out, &mut has_rows).await {
            Err(error) if is_for_another_try(&error, has_rows, tries) => tries += 1,
            outcome => return outcome,
        }
    }
}

async fn run_once<O: RowsOut>(
    peers: &Peers,
    query: &Query,
    context: &QueryContext,
    out: &mut O,
    has_rows: &mut bool,
) -> Result<Vec<ShardMetrics>, ExecError> {
    let graph = cut(&query.plan);
    let mut core = CoreRun::new(&graph, context.clone())?;
    let on_shards = graph.on_shards();
    // A stage that others are behind is read after them: a join keeps its build side first.
    let last_on_shards = on_shards.last().map(|stage| stage.stage);
    let mut calls = FragmentCalls::new(peers, on_shards, context);
    let mut files = FileReads::new(peers.folders(), graph.of_files(), context);
    let mut shards_are_over = false;
    let mut shards = Vec::new();
    // The shard whose partial is being worked off.
    let mut taken = None;
    loop {
        match core.step()? {
            Progress::Rows(rows) => {
                *has_rows = true;
                out.rows(&rows).await?;
            }
            Progress::Working => yield_if_needed().await,
            Progress::Waiting => {
                if let Some(shard) = taken.take() {
                    calls.grant(shard);
                }
                if let Some(stage) = files.stage()
                    && (shards_are_over || last_on_shards.is_none_or(|last| stage > last))
                {
                    if !core.wants(stage) {
                        files.skip();
                    }
                    match files.next_of(stage).await? {
                        Some(rows) => core.push(stage, rows),
                        None => core.end_of(stage),
                    }
                    continue;
                }
                if shards_are_over {
                    return Err(ExecError::Internal("stages wait for rows that nothing sends".to_owned()));
                }
                match calls.next().await {
                    Some((shard, FragmentAnswer::Partial { stage, batch, held })) => {
                        // What the stages keep of it, they count themselves.
                        drop(held);
                        core.push(stage, batch);
                        taken = Some(shard);
                    }
                    Some((_, FragmentAnswer::Done(Ok(metrics)))) => shards.push(metrics),
                    Some((_, FragmentAnswer::Done(Err(error)))) => {
                        calls.is_begun_anew = is_for_another_try(&error, *has_rows, 0);
                        return Err(error);
                    }
                    None => {
                        core.end();
                        shards_are_over = true;
                    }
                }
            }
            Progress::Done => return Ok(shards),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_query_is_begun_anew_where_rows_are_gone_and_none_was_sent() {
        let gone = || ExecError::Storage(tidewire_storage::Error::SnapshotGone { shard: 0 });
        assert!(is_for_another_try(&gone(), false, 1) && is_for_another_try(&gone(), false, TRIES_MAX - 1));
        assert!(!is_for_another_try(&gone(), false, TRIES_MAX), "it ends");
        assert!(!is_for_another_try(&gone(), true, 1), "rows would come twice");
        assert!(!is_for_another_try(&ExecError::Cancelled, false, 1));
    }
}
