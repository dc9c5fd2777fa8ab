//! A DELETE: the same deletion on every shard, done when it is durable on all of them.
//!
//! Each shard decides by its own index which of its series are meant and takes one delete for each range of time, all
//! without waiting in between, so no write comes in the middle. When a shard fails, others may have deleted their part:
//! the statement fails and can be sent again, since what is gone stays gone. Where a shard is set aside, nothing is
//! deleted anywhere.

use std::rc::Rc;
use std::sync::Arc;

use tidewire_sql::Deletion;
use tidewire_sql::exec::{ExecError, selected_series};

use crate::core::hub::{CoreShard, Hub};
use crate::core::message::{Answer, Request};

/// Deletes from every shard.
pub async fn delete(hub: &Rc<Hub>, deletion: Deletion) -> Result<(), ExecError> {
    if deletion.times.is_empty() {
        return Ok(());
    }
    for shard in 0..hub.shard_count() {
        hub.set_aside.check(shard)?;
    }
    let deletion = Arc::new(deletion);
    let mut calls = Vec::new();
    for shard in 0..hub.shard_count() {
        let request = Request::Delete { shard, deletion: deletion.clone() };
        calls.push(hub.call(hub.core_of(shard), 1, request).await);
    }
    let mut outcome = Ok(());
    for mut call in calls {
        match call.next().await {
            Some(Answer::Deleted(deleted)) => outcome = outcome.and(deleted),
            other => unreachable!("BUG: {other:?} is no answer to a deletion"),
        }
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
