//! Single failures, each at its place: what the random runs found, and what they meet too seldom.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::Int64Type;
use futures_lite::future::block_on;
use tidewire_storage::batch::{BatchColumn, NEW_SERIES_BIT, Values, WriteBatch};
use tidewire_storage::disk::Disk;
use tidewire_storage::disk::sim::{Fault, FaultKind, Operation, SimDisk, SimEnd, SimTasks};
use tidewire_storage::engine::{SeriesSelection, Shard, ShardConfig};
use tidewire_storage::scan::ScanRequest;
use tidewire_storage::schema::{ColumnId, ColumnKind, ColumnSchema, FieldType, TableId, TableSchema, TimeUnit};
use tidewire_storage::wal::Lsn;
use tidewire_storage::{Error, Result};

const FOLDER: &str = "/data/shard-0";
const VALUE: ColumnId = ColumnId(1);

/// A disk with a durable folder for data.
pub(crate) fn disk(seed: u64) -> SimDisk {
    let disk = SimDisk::new(seed);
    block_on(async {
        disk.create_dir(Path::new("/data")).await.unwrap();
        disk.sync_dir(Path::new("/")).await.unwrap();
    });
    disk
}

pub(crate) fn config() -> ShardConfig {
    ShardConfig { wal_file_bytes: 64 << 10, ..ShardConfig::new(0) }
}

pub(crate) async fn open(disk: &SimDisk) -> Result<Rc<Shard<SimDisk>>> {
    Shard::open(disk.clone(), Path::new(FOLDER), config(), &|_| true).await.map(|(shard, _)| shard)
}

/// A table with one tag and one field, in partitions of 1,000.
pub(crate) fn table(id: u32) -> TableSchema {
    let column = |id, name: &str, kind| ColumnSchema { id, name: Arc::from(name), kind, codec: None, geometry: None };
    TableSchema {
        id: TableId(id),
        name: Arc::from("t"),
        columns: [
            column(ColumnId(0), "host", ColumnKind::Tag),
            column(VALUE, "value", ColumnKind::Field(FieldType::Int)),
        ]
        .into_iter()
        .collect(),
        time_unit: TimeUnit::Nanosecond,
        partition_length: 1000,
        next_column: 2,
    }
}

/// Writes rows of one series, whose values are their times; does not wait.
pub(crate) fn append(shard: &Shard<SimDisk>, table: &TableSchema, times: &[i64]) -> Result<Lsn> {
    append_of(shard, table, "host", times)
}

/// The same of a host of any name.
pub(crate) fn append_of(shard: &Shard<SimDisk>, table: &TableSchema, host: &str, times: &[i64]) -> Result<Lsn> {
    let mut batch = WriteBatch { table: Some(table.id), ..WriteBatch::default() };
    batch.new_series.push([(ColumnId(0), host.as_bytes())]);
    batch.series = vec![NEW_SERIES_BIT; times.len()];
    batch.time = times.to_vec();
    batch.columns.push(BatchColumn { id: VALUE, values: Values::Int(times.to_vec()), validity: None });
    shard.append(&batch, table).map(|appended| appended.lsn)
}

/// Writes rows, and waits until they are durable.
pub(crate) async fn write(shard: &Shard<SimDisk>, table: &TableSchema, times: &[i64]) -> Result<()> {
    let lsn = append(shard, table, times)?;
    shard.durable(lsn).await
}

pub(crate) fn request(table: &TableSchema, time_min: i64, time_max: i64) -> ScanRequest {
    let columns = vec![(VALUE, FieldType::Int)];
    ScanRequest { table: table.id, time_min, time_max, series: None, columns, prune: Vec::new() }
}

/// The times of rows in a range.
pub(crate) async fn times_in(shard: &Shard<SimDisk>, request: ScanRequest) -> Result<BTreeSet<i64>> {
    let mut scan = shard.scan(request, u64::MAX)?;
    let mut found = BTreeSet::new();
    while let Some(chunk) = scan.next().await? {
        assert_eq!(chunk.time, *chunk.columns[0].as_primitive::<Int64Type>().values());
        found.extend(chunk.time.iter().copied());
    }
    Ok(found)
}

/// The times of all rows of a table.
pub(crate) async fn times(shard: &Shard<SimDisk>, table: &TableSchema) -> Result<BTreeSet<i64>> {
    times_in(shard, request(table, i64::MIN, i64::MAX)).await
}

/// Runs `body` beside the shard's log.
pub(crate) fn with_log<T>(shard: &Shard<SimDisk>, body: impl Future<Output = T>) -> T {
    let mut tasks = SimTasks::new(1);
    tasks.spawn(async {
        // Those who wait get the failure.
        let _ = shard.run_wal().await;
    });
    match tasks.run(body, 1_000_000) {
        SimEnd::Done(done) => done,
        SimEnd::Steps | SimEnd::Stuck => panic!("the body does not end"),
    }
}

/// Files in a folder of the shard, by name.
pub(crate) fn files(disk: &SimDisk, folder: &str) -> Vec<PathBuf> {
    let mut paths = disk.paths();
    paths.retain(|path| path.starts_with(Path::new(FOLDER).join(folder)));
    paths.sort();
    paths
}

#[test]
fn what_the_first_process_wrote_survives_a_loss_of_power() {
    for seed in 0..30 {
        let (disk, table) = (disk(seed), table(1));
        let shard = block_on(open(&disk)).unwrap();
        with_log(&shard, write(&shard, &table, &[1, 2])).unwrap();
        drop(shard);
        disk.crash();
        let shard = block_on(open(&disk)).unwrap();
        assert_eq!(block_on(times(&shard, &table)).unwrap(), BTreeSet::from([1, 2]), "seed {seed}");
    }
}

/// A killed process leaves names that are seen and not durable; the next one must not acknowledge into such files.
#[test]
fn files_of_a_start_that_was_killed_are_made_durable_before_they_are_used() {
    for seed in 0..120 {
        let (disk, table) = (disk(seed), table(1));
        disk.set_delays(3);
        let end = SimTasks::new(seed).run(async { open(&disk).await.map(drop) }, 1 + seed % 60);
        assert!(!matches!(end, SimEnd::Stuck | SimEnd::Done(Err(_))));
        disk.kill();
        let shard = block_on(open(&disk)).unwrap();
        with_log(&shard, write(&shard, &table, &[1])).unwrap();
        drop(shard);
        disk.crash();
        let shard = block_on(open(&disk)).unwrap();
        assert_eq!(block_on(times(&shard, &table)).unwrap(), BTreeSet::from([1]), "seed {seed}");
    }
}

/// The last commit of a killed process is in the cache only; the sync of the next start fails and takes it off the list
/// of what is to be written, so that the start after that must not build on a sync that succeeds.
#[test]
fn a_sync_that_failed_in_one_start_is_not_believed_in_the_next() {
    for seed in 0..40 {
        let (disk, table) = (disk(seed), table(1));
        let shard = block_on(open(&disk)).unwrap();
        with_log(&shard, write(&shard, &table, &[1])).unwrap();
        disk.inject(Fault::next(Operation::Sync, "/wal", FaultKind::Io));
        let error = with_log(&shard, write(&shard, &table, &[2])).unwrap_err();
        assert!(matches!(error, Error::LogFailed { .. }), "{error}");
        drop(shard);
        disk.kill();
        let shard = block_on(open(&disk)).unwrap();
        let seen = block_on(times(&shard, &table)).unwrap();
        assert!(seen.contains(&1));
        with_log(&shard, write(&shard, &table, &[3])).unwrap();
        drop(shard);
        disk.crash();
        let shard = block_on(open(&disk)).unwrap();
        let expected: BTreeSet<_> = seen.into_iter().chain([3]).collect();
        assert_eq!(block_on(times(&shard, &table)).unwrap(), expected, "seed {seed}");
    }
}

/// Closing a shard commits what the log's task has not begun with, and the task must not come in between.
#[test]
fn a_log_task_that_begins_while_the_shard_closes_leaves_the_commit_alone() {
    for seed in 0..40 {
        let (disk, table) = (disk(seed), table(1));
        let shard = block_on(open(&disk)).unwrap();
        disk.set_delays(3);
        append(&shard, &table, &[1]).unwrap();
        let mut tasks = SimTasks::new(seed);
        tasks.spawn(async { shard.run_wal().await.unwrap() });
        assert!(matches!(tasks.run(shard.close(), 10_000), SimEnd::Done(Ok(()))), "seed {seed}");
        drop(tasks);
        drop(shard);
        disk.crash();
        let shard = block_on(open(&disk)).unwrap();
        assert_eq!(block_on(times(&shard, &table)).unwrap(), BTreeSet::from([1]), "seed {seed}");
    }
}

/// The series of a table whose drop failed are left out of the next series file, so the manifest that names this file
/// must not name the table: a start that an old catalog names the table to would miss them.
#[test]
fn a_drop_whose_edit_failed_is_made_up_for_by_the_next_flush() {
    let (disk, dropped, kept) = (disk(1), table(1), table(2));
    let shard = block_on(open(&disk)).unwrap();
    with_log(&shard, async {
        write(&shard, &dropped, &[1]).await.unwrap();
        append_of(&shard, &dropped, "gone", &[2]).unwrap();
        shard.delete(dropped.id, &SeriesSelection::Of([1].into()), i64::MIN, i64::MAX).unwrap();
        shard.flush().await.unwrap();
        disk.inject(Fault::next(Operation::Sync, "MANIFEST", FaultKind::Io));
        assert!(shard.drop_table(dropped.id).await.is_err());
        write(&shard, &kept, &[1]).await.unwrap();
        shard.flush().await.unwrap();
    });
    drop(shard);
    disk.crash();
    let shard = block_on(open(&disk)).unwrap();
    assert_eq!((shard.stats().series, shard.stats().series_hidden, shard.stats().segments), (1, 0, 1));
    assert!(block_on(times(&shard, &dropped)).unwrap().is_empty());
    assert_eq!(block_on(times(&shard, &kept)).unwrap(), BTreeSet::from([1]));
    let segments = disk.paths().iter().filter(|path| path.extension().is_some_and(|kind| kind == "seg")).count();
    assert_eq!(segments, 1, "the space of the dropped rows is back");
}

/// A commit takes a block of the log however small its record is: a client that writes or deletes a row at a time fills
/// the log long before it fills a memtable.
#[test]
fn a_log_of_single_rows_makes_a_flush_due() {
    let (disk, table) = (disk(1), table(1));
    let open = || {
        let config = ShardConfig { flush_log_bytes: 64 << 10, ..config() };
        block_on(Shard::open(disk.clone(), Path::new(FOLDER), config, &|_| true)).unwrap().0
    };
    let shard = open();
    with_log(&shard, async {
        for turn in 0..3 {
            let mut rows = 0;
            while !shard.wants_flush() {
                write(&shard, &table, &[turn * 100 + rows]).await.unwrap();
                rows += 1;
            }
            assert!((10..20).contains(&rows) && shard.memtable_bytes() < 2 << 10, "{rows} rows");
            shard.flush().await.unwrap();
            assert!(!shard.wants_flush() && !shard.has_unflushed());
        }
        for time in 0..20 {
            let lsn = shard.delete(table.id, &SeriesSelection::All, time, time).unwrap();
            shard.durable(lsn).await.unwrap();
        }
        assert!(shard.wants_flush(), "deletes are records too");
    });
    drop(shard);
    disk.crash();
    // What a start finds counts: it would be read again at the next one.
    let shard = open();
    assert!(shard.wants_flush());
    block_on(shard.flush()).unwrap();
    assert!(!shard.wants_flush());
}
