//! The last step of every write: credits from all owner shards, rows to all of them, durable in all of them.

use std::rc::Rc;
use std::sync::Arc;

use tidewire_storage::batch::WriteBatch;
use tidewire_storage::schema::{SeriesId, TableSchema};

use super::write::WriteError;
use crate::admission::Refusal;
use crate::hub::Hub;

/// Rows bound for one shard.
#[derive(Debug)]
pub struct ShardRows {
    /// The shard.
    pub shard: u32,
    /// The rows.
    pub batch: WriteBatch,
    /// Their table.
    pub table: Arc<TableSchema>,
}

/// Writes all of `rows` or, when a shard has no credit, none of them. Returns for each element the ids of its new
/// series. The batches' memory is recycled.
pub async fn commit(hub: &Rc<Hub>, rows: Vec<ShardRows>) -> Result<Vec<Vec<SeriesId>>, WriteError> {
    let wanted: Vec<(u32, u64)> = rows.iter().map(|r| (r.shard, r.batch.bytes() as u64)).collect();
    let grant = match hub.admission.take(wanted) {
        Ok(grant) => grant,
        Err(refusal) => {
            hub.recycle(rows.into_iter().map(|r| r.batch));
            return Err(match refusal {
                Refusal::Overloaded { shard } => WriteError::Overloaded { shard },
                Refusal::TooLarge { bytes, bytes_max } => WriteError::TooLarge { bytes, bytes_max },
            });
        }
    };
    let mut calls = Vec::with_capacity(rows.len());
    for ShardRows { shard, batch, table } in rows {
        calls.push(hub.send_rows(shard, Box::new(batch), table).await);
    }
    let mut new_series = Vec::with_capacity(calls.len());
    let mut failure = None;
    for call in calls {
        let appended = hub.appended(call).await;
        match appended.outcome {
            Ok(ids) => new_series.push(ids),
            Err(error) => failure = Some(error),
        }
        hub.recycle([*appended.batch]);
    }
    drop(grant);
    match failure {
        None => Ok(new_series),
        Some(error) => Err(WriteError::Storage(error)),
    }
}
