//! Nobody works for long without a yield, however much there is to do: many deletes, long strings, rows far out of
//! order, thousands of tables and partitions. The simulation stops a run where a task does
//! ([`work`](tidewire_storage::work)); sizes differ from seed to seed.

use std::path::Path;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use fastrand::Rng;
use futures_lite::future::{block_on, yield_now};
use tidewire_storage::batch::{BatchColumn, NEW_SERIES_BIT, Strings, Values, WriteBatch};
use tidewire_storage::compaction::CompactionConfig;
use tidewire_storage::disk::sim::{SimDisk, SimEnd, SimTasks};
use tidewire_storage::engine::{SeriesSelection, Shard, ShardConfig};
use tidewire_storage::schema::{ColumnId, ColumnKind, ColumnSchema, FieldType, TableId, TableSchema};

use crate::cases::{append, append_of, disk, request, table};

const SEEDS: std::ops::Range<u64> = 0..2;

const TEXT: ColumnId = ColumnId(1);

fn config() -> ShardConfig {
    ShardConfig {
        compaction: CompactionConfig { cold_after: Duration::from_secs(60), ..CompactionConfig::default() },
        // What is to be in memory together stays there until it is flushed.
        flush_bytes: 1 << 30,
        memtable_bytes_max: 2 << 30,
        wal_pending_bytes_max: 1 << 30,
        flush_partitions: 100_000,
        memtable_partitions_max: 200_000,
        wal_file_bytes: 64 << 20,
        ..ShardConfig::new(0)
    }
}

/// Runs `body` beside the log of a shard, with a seed.
fn run(seed: u64, body: &impl AsyncFn(&Rc<Shard<SimDisk>>, &mut Rng)) {
    let disk = disk(seed);
    let shard = block_on(Shard::open(disk.clone(), Path::new("/data/shard-0"), config(), &|_| true)).unwrap().0;
    let mut random = Rng::with_seed(seed);
    let mut tasks = SimTasks::new(seed);
    tasks.spawn(async { shard.run_wal().await.unwrap() });
    let ended = tasks.run(body(&shard, &mut random), 100_000_000);
    assert_eq!(ended, SimEnd::Done(()), "seed {seed}");
}

/// Reads all of a table by a snapshot, as queries do: how many rows it has.
async fn count(shard: &Rc<Shard<SimDisk>>, table: &TableSchema, column: (ColumnId, FieldType)) -> usize {
    let Some(snapshot) = shard.snapshot(table.id, i64::MIN, i64::MAX) else { return 0 };
    let request = tidewire_storage::scan::ScanRequest { columns: vec![column], ..request(table, i64::MIN, i64::MAX) };
    let mut scan = snapshot.scan(request, u64::MAX).await.unwrap();
    let mut rows = 0;
    while let Some(chunk) = scan.next().await.unwrap() {
        rows += chunk.rows();
        yield_now().await;
    }
    rows
}

const VALUE: (ColumnId, FieldType) = (ColumnId(1), FieldType::Int);

/// Time goes on far enough that partitions are cold; then all that is due is merged.
async fn turn_cold(shard: &Shard<SimDisk>) {
    for second in [0, 2, 70, 90, 120, 150] {
        shard.tick(Duration::from_secs(second));
        yield_now().await;
    }
    shard.compact().await.unwrap();
}

#[test]
fn thousands_of_deletes_and_thousands_of_rows() {
    for seed in SEEDS {
        run(seed, &async |shard, random| {
            let table = TableSchema { partition_length: 1 << 40, ..table(1) };
            let (rows, deletes) = (random.i64(15_000..25_000), random.i64(2500..4000));
            let times: Vec<i64> = (0..rows).collect();
            let delete_some = async |offset: i64| {
                for number in 0..deletes {
                    let time = number * 4 + offset;
                    let one = SeriesSelection::Of([0].into_iter().collect());
                    let series = if number % 2 == 0 { one } else { SeriesSelection::All };
                    shard.delete(table.id, &series, time, time).unwrap();
                    if number % 100 == 0 {
                        yield_now().await;
                    }
                }
            };
            append(shard, &table, &times).unwrap();
            delete_some(0).await;
            assert_eq!(count(shard, &table, VALUE).await as i64, rows - deletes, "rows in memory");
            shard.flush().await.unwrap();
            delete_some(1).await;
            assert_eq!(count(shard, &table, VALUE).await as i64, rows - 2 * deletes, "rows of a segment");
            // Deletes that are flushed, with a segment before and one behind them.
            append_of(shard, &table, "another", &times).unwrap();
            shard.flush().await.unwrap();
            turn_cold(shard).await;
            assert_eq!(count(shard, &table, VALUE).await as i64, 2 * rows - 2 * deletes);
            assert_eq!(shard.stats().tombstones, 0, "all of them are applied");
        });
    }
}

/// A table with one field of strings.
fn text_table() -> TableSchema {
    let column = |id, name: &str, kind| ColumnSchema { id, name: Arc::from(name), kind, codec: None, geometry: None };
    TableSchema {
        columns: [
            column(ColumnId(0), "host", ColumnKind::Tag),
            column(TEXT, "text", ColumnKind::Field(FieldType::String)),
        ]
        .into_iter()
        .collect(),
        partition_length: 1 << 40,
        ..table(1)
    }
}

/// A text of about `length` bytes that does not squeeze to nothing.
fn text(random: &mut Rng, length: usize) -> String {
    let words: Vec<String> = (0..64).map(|_| (0..random.usize(3..9)).map(|_| random.lowercase()).collect()).collect();
    let mut text = String::new();
    while text.len() < length {
        text.push_str(&words[random.usize(0..words.len())]);
        text.push(' ');
    }
    text
}

#[test]
fn strings_of_a_megabyte_are_flushed_and_merged_group_by_group() {
    for seed in SEEDS {
        run(seed, &async |shard, random| {
            let (table, mut rows) = (text_table(), 0);
            for _ in 0..2 {
                let mut batch = WriteBatch { table: Some(table.id), ..WriteBatch::default() };
                batch.new_series.push([(ColumnId(0), b"host".as_slice())]);
                let mut strings = Strings::default();
                for _ in 0..random.i64(8..14) {
                    let length = [300 << 10, 1 << 20, 40][random.usize(0..3)];
                    strings.bytes.extend_from_slice(text(random, length).as_bytes());
                    strings.ends.push(strings.bytes.len() as u32);
                    batch.series.push(NEW_SERIES_BIT);
                    batch.time.push(rows);
                    rows += 1;
                }
                batch.columns.push(BatchColumn { id: TEXT, values: Values::String(strings), validity: None });
                shard.append(&batch, &table).unwrap();
                yield_now().await;
                shard.flush().await.unwrap();
            }
            turn_cold(shard).await;
            let stats = shard.stats();
            assert!(stats.merges > 0 && stats.merge_failures == 0 && stats.segments == 1, "{stats:?}");
            assert_eq!(count(shard, &table, (TEXT, FieldType::String)).await as i64, rows);
        });
    }
}

/// One series, or two, far out of order: sorted in memory for a scan and for a flush, and merged by a scan where two
/// segments have the same times.
#[test]
fn rows_far_out_of_order_are_sorted_in_steps() {
    for seed in SEEDS {
        run(seed, &async |shard, random| {
            let table = TableSchema { partition_length: 1 << 40, ..table(1) };
            let mut written = std::collections::BTreeSet::new();
            for _ in 0..2 {
                for _ in 0..3 {
                    let times: Vec<i64> = (0..100_000).map(|_| random.i64(0..400_000)).collect();
                    append(shard, &table, &times).unwrap();
                    written.extend(times);
                    yield_now().await;
                }
                assert_eq!(count(shard, &table, VALUE).await, written.len());
                shard.flush().await.unwrap();
            }
            assert_eq!(count(shard, &table, VALUE).await, written.len());
        });
    }
}

#[test]
fn thousands_of_partitions_are_written_and_looked_at_a_few_at_a_time() {
    run(1, &async |shard, random| {
        let table = TableSchema { partition_length: 10, ..table(1) };
        let rows = random.i64(1000..1500);
        let times: Vec<i64> = (0..rows).map(|row| row * 10).collect();
        append(shard, &table, &times).unwrap();
        shard.flush().await.unwrap();
        assert_eq!(shard.stats().segments as i64, rows);
        turn_cold(shard).await;
        assert_eq!(count(shard, &table, VALUE).await as i64, rows);
        shard.expire(table.id, rows * 5).await.unwrap();
        assert_eq!(shard.stats().segments as i64, rows - rows / 2);
    });
}

#[test]
fn thousands_of_tables_are_flushed_looked_at_and_dropped_a_few_at_a_time() {
    run(1, &async |shard, _| {
        let tables: Vec<TableSchema> = (1..1200).map(table).collect();
        for (number, table) in tables.iter().enumerate() {
            append(shard, table, &[1, 2, 3]).unwrap();
            if number % 100 == 0 {
                yield_now().await;
            }
        }
        shard.flush().await.unwrap();
        turn_cold(shard).await;
        let ids: Vec<TableId> = tables.iter().map(|table| table.id).collect();
        shard.drop_tables(&ids[..700]).await.unwrap();
        assert_eq!(shard.stats().tables as usize, tables.len() - 700);
    });
}
