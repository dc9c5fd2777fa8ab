//! What the tests of a shard share: a folder, a table, batches, and a way to drive a shard's tasks.

use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use arrow_array::cast::AsArray;
use arrow_array::types::Int64Type;
use futures_lite::future;
use tidewire_storage::Result;
use tidewire_storage::batch::{BatchColumn, NEW_SERIES_BIT, Strings, Values, WriteBatch};
use tidewire_storage::disk::Disk;
use tidewire_storage::engine::{Shard, ShardConfig};
use tidewire_storage::recovery::Recovery;
use tidewire_storage::scan::{ScanChunk, ScanRequest};
use tidewire_storage::schema::{
    ColumnId, ColumnKind, ColumnSchema, FieldType, SeriesId, TableId, TableSchema, TimeUnit,
};

/// A folder of this test process, removed in the end.
pub(crate) struct Folder(pub(crate) PathBuf);

impl Folder {
    /// An empty one, which no other test has, whatever its name.
    pub(crate) fn new(name: &str) -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        // In memory where there is such a place: the tests kill no machine, and syncs to a real disk are most of the
        // time.
        let memory = Path::new("/dev/shm");
        let parent = if memory.is_dir() { memory.to_owned() } else { std::env::temp_dir() };
        let path =
            parent.join(format!("tidewire-{name}-{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed)));
        let _ = std::fs::remove_dir_all(&path);
        Self(path)
    }

    /// A copy of a folder as it is now: what another process would find if this one were killed.
    pub(crate) fn copy(name: &str, from: &Path) -> Self {
        let copy = Self::new(name);
        copy_folder(from, &copy.0);
        copy
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn copy_folder(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy_folder(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), target).unwrap();
        }
    }
}

pub(crate) const HOST: ColumnId = ColumnId(0);
pub(crate) const INT: ColumnId = ColumnId(1);
pub(crate) const FLOAT: ColumnId = ColumnId(2);
pub(crate) const TEXT: ColumnId = ColumnId(3);
pub(crate) const FLAG: ColumnId = ColumnId(4);
pub(crate) const COUNT: ColumnId = ColumnId(5);

/// A table with a tag and a field of each type; a partition is 1,000 long.
pub(crate) fn table(id: u32) -> TableSchema {
    let column = |id: ColumnId, name: &str, kind: ColumnKind| ColumnSchema {
        id,
        name: Arc::from(name),
        kind,
        codec: None,
        geometry: None,
    };
    TableSchema {
        id: TableId(id),
        name: Arc::from(format!("table{id}")),
        columns: [
            column(HOST, "host", ColumnKind::Tag),
            column(INT, "int", ColumnKind::Field(FieldType::Int)),
            column(FLOAT, "float", ColumnKind::Field(FieldType::Float)),
            column(TEXT, "text", ColumnKind::Field(FieldType::String)),
            column(FLAG, "flag", ColumnKind::Field(FieldType::Bool)),
            column(COUNT, "count", ColumnKind::Field(FieldType::UInt)),
        ]
        .into_iter()
        .collect(),
        time_unit: TimeUnit::Nanosecond,
        partition_length: 1000,
        next_column: 6,
    }
}

/// Small files and thresholds, so that a few rows reach every room.
pub(crate) fn small_config() -> ShardConfig {
    let (wal_file_bytes, flush_bytes, reserve_bytes) = (64 << 10, 16 << 10, 64 << 10);
    ShardConfig { wal_file_bytes, flush_bytes, reserve_bytes, ordered_rows_min: 50, ..ShardConfig::new(3) }
}

pub(crate) async fn open<D: Disk>(disk: D, folder: &Path, config: ShardConfig) -> Result<(Rc<Shard<D>>, Recovery)> {
    Shard::open(disk, folder, config, &|_| true).await
}

/// Runs `body` beside the shard's tasks, and without compaction, so that a test sees the segments that its flushes
/// made. An error of the log task is what the waiters in `body` see, too.
pub(crate) fn drive<D: Disk, T>(shard: &Shard<D>, body: impl Future<Output = T>) -> T {
    let tasks = async {
        let ended = future::zip(shard.run_wal(), shard.run_flush()).await;
        if let (_, Err(error)) = ended {
            panic!("flush: {error}");
        }
        future::pending().await
    };
    future::block_on(future::or(body, tasks))
}

/// Runs `body` beside all tasks of the shard.
pub(crate) fn drive_all<D: Disk, T>(shard: &Shard<D>, body: impl Future<Output = T>) -> T {
    drive(shard, async {
        let merges = async {
            shard.run_compaction().await.unwrap();
            future::pending().await
        };
        future::or(body, merges).await
    })
}

/// One row: host, time, and the int field.
pub(crate) type IntRow = (u32, i64, i64);

/// A batch of rows with one int field, naming each series by its key.
pub(crate) fn int_batch(table: &TableSchema, rows: &[IntRow]) -> WriteBatch {
    let mut batch = WriteBatch { table: Some(table.id), ..WriteBatch::default() };
    let mut hosts = Vec::new();
    for (host, time, _) in rows {
        let ordinal = hosts.iter().position(|known| known == host).unwrap_or_else(|| {
            hosts.push(*host);
            batch.new_series.push([(HOST, format!("host_{host}").as_bytes())]) as usize
        });
        batch.series.push(NEW_SERIES_BIT | ordinal as u32);
        batch.time.push(*time);
    }
    let values = Values::Int(rows.iter().map(|(_, _, value)| *value).collect());
    batch.columns.push(BatchColumn { id: INT, values, validity: None });
    batch
}

/// Strings of a batch.
pub(crate) fn strings<'a>(values: impl IntoIterator<Item = &'a str>) -> Values {
    let mut strings = Strings::default();
    for value in values {
        strings.bytes.extend_from_slice(value.as_bytes());
        strings.ends.push(strings.bytes.len() as u32);
    }
    Values::String(strings)
}

/// All rows of a table.
pub(crate) fn everything(table: TableId, columns: &[(ColumnId, FieldType)]) -> ScanRequest {
    ScanRequest {
        table,
        time_min: i64::MIN,
        time_max: i64::MAX,
        series: None,
        columns: columns.to_vec(),
        prune: Vec::new(),
    }
}

/// What a scan gives.
pub(crate) async fn scan<D: Disk>(shard: &Shard<D>, request: ScanRequest) -> Result<Vec<ScanChunk>> {
    const MEMORY_BYTES_MAX: u64 = 1 << 30;
    let mut scan = shard.scan(request, MEMORY_BYTES_MAX)?;
    let mut chunks = Vec::new();
    while let Some(chunk) = scan.next().await? {
        chunks.push(chunk);
    }
    Ok(chunks)
}

/// All rows of a table with the int field, sorted.
pub(crate) async fn int_rows<D: Disk>(shard: &Shard<D>, id: TableId) -> Vec<IntRow> {
    let chunks = scan(shard, everything(id, &[(INT, FieldType::Int)])).await.unwrap();
    let host = |series: SeriesId| {
        let index = shard.series(id).unwrap();
        let (column, value) = index.key(series).next().unwrap();
        assert_eq!(column, HOST);
        value.strip_prefix("host_").unwrap().parse().unwrap()
    };
    let mut rows = Vec::new();
    for chunk in &chunks {
        let values = chunk.columns[0].as_primitive::<Int64Type>();
        for run in &chunk.runs {
            for row in run.start as usize..(run.start + run.len) as usize {
                rows.push((host(run.series), chunk.time[row], values.value(row)));
            }
        }
    }
    rows.sort_unstable();
    rows
}
