//! The last step of every write: credits from all owner shards, rows to all of them, durable in all of them.

use std::collections::BTreeMap;
use std::sync::Arc;

use tidewire_storage::batch::{PARTITIONS_MAX, WriteBatch};
use tidewire_storage::schema::{SeriesId, TableSchema};

use super::error::WriteError;
use crate::admission::{Grant, Refusal};
use crate::core::message::{Append, CountUnknownSeries};
use crate::core::state::CoreState;
use crate::memory::Level;
use crate::memory::pressure::RefusedWork;

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

/// An error when memory is so short that no write is taken.
pub fn check_memory(core: &CoreState) -> Result<(), WriteError> {
    match core.memory.shared().shortage(Level::Full) {
        None => Ok(()),
        Some(shortage) => {
            core.count_refused(RefusedWork::Writes);
            Err(WriteError::ShortOfMemory(shortage))
        }
    }
}

/// Rows that their shards have credit for.
pub struct Admitted {
    /// The rows.
    pub rows: Vec<ShardRows>,
    grant: Grant,
}

/// Writes all of `rows` or, when a shard has no credit or is offline, none of them. Returns for each element the ids of
/// its new series. The batches' memory is recycled.
pub async fn commit(core: &CoreState, rows: Vec<ShardRows>) -> Result<Vec<Vec<SeriesId>>, WriteError> {
    send(core, admit(core, rows).await?).await
}

/// Takes credits for all of `rows`, or for none where one of them cannot be written now.
pub async fn admit(core: &CoreState, rows: Vec<ShardRows>) -> Result<Admitted, WriteError> {
    match may_write(core, &rows).await {
        Ok(grant) => Ok(Admitted { rows, grant }),
        Err(refused) => {
            core.recycled.put(rows.into_iter().map(|r| r.batch));
            Err(refused)
        }
    }
}

async fn may_write(core: &CoreState, rows: &[ShardRows]) -> Result<Grant, WriteError> {
    if let Some(error) = rows.iter().find_map(|rows| core.offline.check(rows.shard).err()) {
        return Err(WriteError::Storage(error));
    }
    if let Some(refused) = rows.iter().find_map(too_many_partitions) {
        return Err(refused);
    }
    check_series(core, rows).await?;
    core.admission.take(wanted(rows)).map_err(|refusal| match refusal {
        Refusal::Overloaded { shard } => WriteError::Overloaded { shard },
        Refusal::TooLarge { bytes, bytes_max } => WriteError::TooLarge { bytes, bytes_max },
    })
}

/// Writes what is admitted.
pub async fn send(core: &CoreState, admitted: Admitted) -> Result<Vec<Vec<SeriesId>>, WriteError> {
    let Admitted { rows, grant } = admitted;
    let mut calls = Vec::with_capacity(rows.len());
    for ShardRows { shard, batch, table } in rows {
        let question = Append { shard, batch: Box::new(batch), table };
        calls.push(core.peers.ask(core.peers.core_of(shard), question).await);
    }
    let mut new_series = Vec::with_capacity(calls.len());
    let mut failure = None;
    for call in calls {
        let appended = call.answer().await;
        match appended.outcome {
            Ok(ids) => new_series.push(ids),
            Err(error) => failure = Some(error),
        }
        core.recycled.put([*appended.batch]);
    }
    drop(grant);
    match failure {
        None => Ok(new_series),
        Some(error) => Err(WriteError::Storage(error)),
    }
}

/// Each partition becomes a file of its own, so that their number is bounded as bytes are.
fn too_many_partitions(rows: &ShardRows) -> Option<WriteError> {
    let ShardRows { batch, table, .. } = rows;
    batch
        .spans_more_partitions(table.partition_length, PARTITIONS_MAX)
        .then(|| WriteError::TooManyPartitions { table: table.name.clone(), partitions_max: PARTITIONS_MAX })
}

/// Where no memory is left for more series, asks the owners whether those of `rows` are new, before any row is sent: so
/// rows of known series are written, and a request with others writes nothing.
async fn check_series(core: &CoreState, rows: &[ShardRows]) -> Result<(), WriteError> {
    let Some(shortage) = core.memory.shared().refuses_series() else { return Ok(()) };
    let mut count = 0;
    for part in rows.iter().filter(|part| !part.batch.new_series.is_empty()) {
        let (shard, table) = (part.shard, part.table.id);
        let question = CountUnknownSeries { shard, table, keys: part.batch.new_series.clone() };
        count += core.peers.ask(core.peers.core_of(shard), question).await.answer().await;
    }
    if count == 0 {
        return Ok(());
    }
    core.count_refused(RefusedWork::Series);
    Err(WriteError::SeriesRefused { count, shortage })
}

/// Bytes by shard, each shard once: rows of several tables for one shard are still one request to that shard, which
/// may be the only one it has.
fn wanted(rows: &[ShardRows]) -> Vec<(u32, u64)> {
    let mut wanted: BTreeMap<u32, u64> = BTreeMap::new();
    for ShardRows { shard, batch, .. } in rows {
        *wanted.entry(*shard).or_default() += batch.bytes() as u64;
    }
    wanted.into_iter().collect()
}

#[cfg(test)]
mod tests {
    use tidewire_storage::schema::{TableId, TimeUnit};

    use super::*;

    #[test]
    fn a_shard_is_asked_once_for_all_tables_of_a_request() {
        let rows = |shard, table, count: i64| ShardRows {
            shard,
            batch: WriteBatch { time: (0..count).collect(), series: vec![0; count as usize], ..WriteBatch::default() },
            table: Arc::new(TableSchema {
                id: TableId(table),
                name: "t".into(),
                columns: Vec::new(),
                time_unit: TimeUnit::Nanosecond,
                partition_length: 1,
                next_column: 0,
            }),
        };
        let parts = [rows(1, 1, 10), rows(0, 1, 20), rows(1, 2, 30)];
        let bytes = |part: usize| parts[part].batch.bytes() as u64;
        assert_eq!(wanted(&parts), [(0, bytes(1)), (1, bytes(0) + bytes(2))]);
    }
}
