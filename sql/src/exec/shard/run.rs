//! The stages of one shard, at work.
//!
//! All scans are opened before the first of them is read, so that all stages see the same rows; then one stage runs
//! after the other.

use std::collections::VecDeque;
use std::sync::Arc;

use arrow_array::RecordBatch;

use super::fragment_run::FragmentRun;
use super::reader::ShardReader;
use crate::error::execution::Result;
use crate::exec::context::QueryContext;
use crate::stage::{ShardStage, StageId};

/// Runs the stages of one shard and gives the batches to send.
pub struct ShardRun<R: ShardReader> {
    unopened: Option<(Arc<[ShardStage]>, R)>,
    context: QueryContext,
    running: VecDeque<(StageId, FragmentRun<R>)>,
}

impl<R: ShardReader + Clone> ShardRun<R> {
    /// A run of `stages` over the shard behind `reader`. Nothing is read before the first [`Self::next`].
    pub fn new(stages: Arc<[ShardStage]>, reader: R, context: QueryContext) -> Self {
        Self { unopened: Some((stages, reader)), context, running: VecDeque::new() }
    }

    /// The next batch to send to the core that asks, rows or partial states, never empty; and of which stage it is.
    /// `None` at the end.
    ///
    /// Lets other tasks of the core run, between chunks of a scan and between the steps of what takes long.
    pub async fn next(&mut self) -> Result<Option<(StageId, RecordBatch)>> {
        if let Some((stages, reader)) = self.unopened.take() {
            self.context.check()?;
            for ShardStage { stage, fragment } in stages.iter() {
                let run = FragmentRun::open(fragment, reader.clone(), self.context.clone())?;
                self.running.extend(run.map(|run| (*stage, run)));
            }
            // Now and not when its turn comes: what is written meanwhile would have to be kept apart for it.
            for (_, run) in &mut self.running {
                run.prepare().await?;
            }
        }
        while let Some((stage, run)) = self.running.front_mut() {
            if let Some(batch) = run.next().await? {
                return Ok(Some((*stage, batch)));
            }
            self.running.pop_front();
        }
        Ok(None)
    }
}
