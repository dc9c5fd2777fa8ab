//! Whether a core takes rows now: no shard offline, memory for new series, credits from all owner shards.

use std::collections::BTreeMap;
use std::sync::Arc;

use tidewire_storage::Error;
use tidewire_storage::batch::PARTITIONS_MAX;
use tidewire_storage::schema::Catalog;
use tidewire_storage::wal::record_bytes_beside_row;

use super::batch::ShardRows;
use super::caches::DatabaseCaches;
use super::error::WriteError;
use super::host::WriteHost;
use super::provisional::settled_keys;
use super::target::Place;
use crate::admission::{BuildShare, Grant, Refusal};
use crate::core::message::{Append, Appended, CountUnknownSeries};
use crate::core::recycled::RecycledBatches;
use crate::core::state::CoreState;
use crate::memory::pressure::RefusedWork;
use crate::memory::{Level, Part};
use crate::ring;
use tidewire_base::catalog::SchemaChange;
use tidewire_base::catalog::owner::Outcome;

impl WriteHost for CoreState {
    type Grant = Grant;
    type Share = BuildShare;

    fn begin(&self) -> Result<BuildShare, WriteError> {
        check_memory(self)?;
        Ok(self.building.share())
    }

    fn account(&self, share: &mut BuildShare, bytes: u64) -> Result<(), WriteError> {
        let bytes_max = self.row_bytes_max();
        if bytes > bytes_max {
            return Err(WriteError::TooLarge { bytes, bytes_max });
        }
        let may_go_on = share.set(bytes);
        self.memory.set(Part::Requests, self.building.used());
        if !may_go_on {
            return Err(WriteError::TooMuchInFlight);
        }
        check_memory(self)
    }

    fn catalog(&self) -> Arc<Catalog> {
        self.catalog()
    }

    fn caches(&self) -> &DatabaseCaches {
        &self.caches
    }

    fn recycled(&self) -> &RecycledBatches {
        &self.recycled
    }

    fn shard_count(&self) -> u32 {
        self.peers.shard_count()
    }

    async fn admit(&self, place: Place<'_>, rows: &[ShardRows]) -> Result<Grant, WriteError> {
        if let Some(error) = rows.iter().find_map(|rows| self.offline.check(rows.shard).err()) {
            return Err(WriteError::Storage(error));
        }
        if let Some(refused) = rows.iter().find_map(too_many_partitions) {
            return Err(refused);
        }
        if let Some(refused) = rows.iter().find_map(|rows| too_long_row(rows, self.config.wal.file_bytes)) {
            return Err(refused);
        }
        check_series(self, place, rows).await?;
        self.admission.take(wanted(rows)).map_err(|refusal| match refusal {
            Refusal::Overloaded { shard } => WriteError::Overloaded { shard },
            Refusal::TooLarge { bytes, bytes_max } => WriteError::TooLarge { bytes, bytes_max },
        })
    }

    async fn change(&self, change: SchemaChange) -> Outcome {
        self.peers.change(change).await
    }

    async fn yield_if_needed() {
        ring::yield_if_needed().await;
    }

    async fn append(&self, rows: Append) -> impl Future<Output = Appended> {
        let call = self.peers.ask(self.peers.core_of(rows.shard), rows).await;
        call.answer()
    }
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

/// Each partition becomes a file of its own, so that their number is bounded as bytes are.
fn too_many_partitions(rows: &ShardRows) -> Option<WriteError> {
    let ShardRows { batch, table, .. } = rows;
    batch
        .spans_more_partitions(table.partition_length, PARTITIONS_MAX)
        .then(|| WriteError::TooManyPartitions { table: table.name.clone(), partitions_max: PARTITIONS_MAX })
}

/// A row must fit into a log file. That is seen before any shard is sent its rows: a shard that refused the row would
/// leave those of the others written.
pub(super) fn too_long_row(rows: &ShardRows, file_bytes: u64) -> Option<WriteError> {
    let bytes_max = file_bytes.saturating_sub(record_bytes_beside_row(rows.batch.columns.len()));
    // Hardly any batch is as long as that with all its rows.
    if rows.batch.bytes() as u64 <= bytes_max {
        return None;
    }
    let bytes = rows.batch.longest_row_bytes() as u64;
    (bytes > bytes_max).then_some(WriteError::Storage(Error::RecordTooLarge { bytes, bytes_max: file_bytes }))
}

/// Where no memory is left for more series, asks the owners whether those of `rows` are new, before any row is sent: so
/// rows of known series are written, and a request with others writes nothing.
async fn check_series(core: &CoreState, place: Place<'_>, rows: &[ShardRows]) -> Result<(), WriteError> {
    let Some(shortage) = core.memory.shared().refuses_series() else { return Ok(()) };
    let catalog = core.catalog();
    let mut count = 0;
    for part in rows.iter().filter(|part| !part.batch.new_series.is_empty()) {
        let (shard, keys) = (part.shard, &part.batch.new_series);
        let known = match part.is_provisional {
            false => Some((part.table.id, keys.clone())),
            // Ids that only the request knows mean nothing to a shard, or something else.
            true => place
                .table(&catalog, &part.table.name)
                .and_then(|table| Some((table.id, settled_keys(keys, &part.table, table)?))),
        };
        let Some((table, keys)) = known else {
            count += keys.len();
            continue;
        };
        let question = CountUnknownSeries { shard, table, keys };
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
    use tidewire_storage::batch::WriteBatch;
    use tidewire_storage::schema::{Columns, TableId, TableSchema, TimeUnit};

    use super::*;

    #[test]
    fn a_shard_is_asked_once_for_all_tables_of_a_request() {
        let rows = |shard, table, count: i64| ShardRows {
            shard,
            batch: WriteBatch { time: (0..count).collect(), series: vec![0; count as usize], ..WriteBatch::default() },
            table: Arc::new(TableSchema {
                id: TableId(table),
                name: "t".into(),
                columns: Columns::default(),
                time_unit: TimeUnit::Nanosecond,
                partition_length: 1,
                next_column: 0,
            }),
            is_provisional: false,
        };
        let parts = [rows(1, 1, 10), rows(0, 1, 20), rows(1, 2, 30)];
        let bytes = |part: usize| parts[part].batch.bytes() as u64;
        assert_eq!(wanted(&parts), [(0, bytes(1)), (1, bytes(0) + bytes(2))]);
    }
}
