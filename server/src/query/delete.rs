//! A DELETE: the same deletion on every shard, done when it is durable on all of them.
//!
//! Each shard decides by its own index which of its series are meant and takes one delete for each range of time, all
//! without waiting in between, so no write comes in the middle. When a shard fails, others may have deleted their part:
//! the statement fails and can be sent again, since what is gone stays gone. Where a shard is offline, nothing is
//! deleted anywhere.

use std::rc::Rc;
use std::sync::Arc;

use tidewire_sql::Deletion;
use tidewire_sql::exec::{ExecError, selected_series};

use crate::core::message::Delete;
use crate::core::shards::CoreShard;
use crate::core::state::CoreState;

/// Deletes from every shard.
pub async fn delete(core: &CoreState, deletion: Deletion) -> Result<(), ExecError> {
    if deletion.times.is_empty() {
        return Ok(());
    }
    core.offline.check_all()?;
    let deletion = Arc::new(deletion);
    let peers = &core.peers;
    let mut calls = Vec::new();
    for shard in 0..peers.shard_count() {
        let question = Delete { shard, deletion: deletion.clone() };
        calls.push(peers.ask(peers.core_of(shard), question).await);
    }
    let mut outcome = Ok(());
    for call in calls {
        outcome = outcome.and(call.answer().await);
    }
    outcome
}

/// Deletes from one shard of this core.
pub(crate) async fn delete_from(shard: &Rc<CoreShard>, deletion: &Deletion) -> Result<(), ExecError> {
    let series = selected_series(&deletion.series, shard, &deletion.table)?;
    let mut last = None;
    for (from, to) in &deletion.times {
        last = Some(shard.delete(deletion.table.id, &series, *from, *to)?);
    }
    match last {
        Some(lsn) => Ok(shard.durable(lsn).await?),
        None => Ok(()),
    }
}
