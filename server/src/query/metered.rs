//! A metered shard: a shard as a query sees it that counts what its scan yields, for EXPLAIN ANALYZE.

use std::cell::Cell;
use std::rc::Rc;

use tidewire_sql::exec::shard::{ChunkSource, ShardReader, ShardSnapshot};
use tidewire_storage::Result;
use tidewire_storage::engine::Snapshot;
use tidewire_storage::scan::{Scan, ScanItem, ScanMode, ScanRequest};
use tidewire_storage::schema::TableId;
use tidewire_storage::series::SeriesIndex;

use crate::core::shards::CoreShard;
use crate::runtime::timed_disk::CoreDisk;

/// What a scan has yielded.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Counts {
    /// Rows, those that only a summary stands for included.
    pub(crate) rows: u64,
    /// Chunks and summaries.
    pub(crate) chunks: u64,
}

/// A shard that counts.
#[derive(Clone)]
pub(crate) struct MeteredShard {
    shard: Rc<CoreShard>,
    counts: Rc<Cell<Counts>>,
}

/// A snapshot whose scans count.
pub(crate) struct MeteredSnapshot {
    snapshot: Snapshot<CoreDisk>,
    counts: Rc<Cell<Counts>>,
}

/// A scan that counts.
pub(crate) struct MeteredScan {
    scan: Scan<CoreDisk>,
    counts: Rc<Cell<Counts>>,
}

impl MeteredShard {
    /// A view of `shard`, and where its counts are found.
    pub(crate) fn new(shard: Rc<CoreShard>) -> (Self, Rc<Cell<Counts>>) {
        let counts = Rc::<Cell<Counts>>::default();
        (Self { shard, counts: counts.clone() }, counts)
    }
}

impl ShardReader for MeteredShard {
    type Index = SeriesIndex;
    type Snapshot = MeteredSnapshot;

    fn with_index<R>(&self, table: TableId, read: impl FnOnce(Option<&SeriesIndex>) -> R) -> R {
        self.shard.with_index(table, read)
    }

    fn snapshot(&self, table: TableId, time_min: i64, time_max: i64) -> Option<MeteredSnapshot> {
        let snapshot = ShardReader::snapshot(&self.shard, table, time_min, time_max)?;
        Some(MeteredSnapshot { snapshot, counts: self.counts.clone() })
    }

    async fn yield_if_needed(&self) {
        ShardReader::yield_if_needed(&self.shard).await;
    }
}

impl ShardSnapshot for MeteredSnapshot {
    type Chunks = MeteredScan;

    async fn scan(
        &self,
        request: ScanRequest,
        mode: ScanMode,
        memory_bytes_max: u64,
        take: &mut dyn FnMut(u64) -> Result<()>,
    ) -> Result<MeteredScan> {
        let scan = ShardSnapshot::scan(&self.snapshot, request, mode, memory_bytes_max, take).await?;
        Ok(MeteredScan { scan, counts: self.counts.clone() })
    }

    fn time_bounds(&self) -> Option<(i64, i64)> {
        self.snapshot.time_bounds()
    }
}

impl ChunkSource for MeteredScan {
    async fn next(&mut self) -> Result<Option<ScanItem>> {
        let item = ChunkSource::next(&mut self.scan).await?;
        if let Some(item) = &item {
            let mut counts = self.counts.get();
            counts.chunks += 1;
            counts.rows += match item {
                ScanItem::Rows(chunk) => chunk.rows() as u64,
                ScanItem::Summary(summary) => summary.rows,
            };
            self.counts.set(counts);
        }
        Ok(item)
    }

    fn memory_bytes(&self) -> u64 {
        ChunkSource::memory_bytes(&self.scan)
    }
}
