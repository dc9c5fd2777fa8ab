//! New series: parsed and routed, and given their ids by a shard; and a log of new series and of many rows replayed.
//!
//! `cargo bench -p tidewire-benches --bench series`
#![expect(clippy::expect_used, reason = "a benchmark that cannot be set up has nothing to measure")]

use std::path::{Path, PathBuf};
use std::rc::Rc;

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use futures_lite::future::{block_on, or};
use tidewire_benches::sensors;
use tidewire_server::ingest::cache::DatabaseCache;
use tidewire_storage::batch::{BatchColumn, NEW_SERIES_BIT, Values, WriteBatch};
use tidewire_storage::disk::plain::PlainDisk;
use tidewire_storage::engine::{Shard, ShardConfig};
use tidewire_storage::schema::{ColumnId, ColumnKind, ColumnSchema, FieldType, TableSchema};
use tidewire_storage::wal::WalSync;

/// More than the caches near a core hold.
const SERIES: usize = 200_000;

/// The series of the first issue's measurements.
const FEW_SERIES: usize = 4_000;

/// The log that is replayed: what one shard of two gets of 4,000 hosts of TSBS's cpu-only workload, in batches of half
/// a request.
const LOGGED: usize = 100;
const BATCH_ROWS: usize = 5_000;
const HOSTS: usize = 2_000;
const FIELDS: u16 = 10;
const TAG: ColumnId = ColumnId(FIELDS);

struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("series-{name}-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&path);
        Self(path)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// A shard that takes what comes and flushes nothing.
fn open(folder: &Folder) -> Rc<Shard<PlainDisk>> {
    let config = ShardConfig {
        wal_sync: WalSync::Off,
        wal_pending_bytes_max: 1 << 30,
        flush_bytes: 1 << 30,
        memtable_bytes_max: 2 << 30,
        reserve_bytes: 0,
        ..ShardConfig::new(0)
    };
    block_on(Shard::open(PlainDisk, &folder.0, config, &|_| true)).expect("a shard in a folder of its own").0
}

fn series(criterion: &mut Criterion) {
    let (catalog, table) = (sensors::catalog(), sensors::table());
    let mut group = criterion.benchmark_group("series");
    group.sample_size(10);
    for series in [FEW_SERIES, SERIES] {
        let requests = sensors::requests(series);
        group.throughput(Throughput::Elements(series as u64));
        let parse_all = |cache: &mut DatabaseCache| {
            let (mut rows, mut batch) = (0, WriteBatch::default());
            for request in &requests {
                batch = sensors::parse(cache, &catalog, request, std::mem::take(&mut batch));
                rows += batch.rows();
            }
            assert_eq!(rows, series);
        };
        group.bench_function(format!("parse {series} new"), |bencher| {
            bencher.iter_batched_ref(sensors::cache, parse_all, BatchSize::PerIteration);
        });
        let mut warm = sensors::cache();
        parse_all(&mut warm);
        group.bench_function(format!("parse {series} met before"), |bencher| bencher.iter(|| parse_all(&mut warm)));

        let mut cache = sensors::cache();
        let batches: Vec<_> =
            requests.iter().map(|text| sensors::parse(&mut cache, &catalog, text, WriteBatch::default())).collect();
        let mut number = 0;
        group.bench_function(format!("append {series} new"), |bencher| {
            bencher.iter_batched_ref(
                || {
                    number += 1;
                    let folder = Folder::new(&format!("new-{number}"));
                    (open(&folder), folder)
                },
                |(shard, _)| {
                    batches.iter().for_each(|batch| {
                        shard.append(batch, &table).expect("the rows are taken");
                    });
                    assert_eq!(shard.stats().series, series as u64);
                },
                BatchSize::PerIteration,
            );
        });
    }
    group.finish();
}

/// Rows of devops with their series, in a log, and nowhere else.
fn logged(folder: &Folder) {
    let shard = open(folder);
    let column = |id: u16, kind| ColumnSchema {
        id: ColumnId(id),
        name: format!("c{id}").into(),
        kind,
        codec: None,
        geometry: None,
    };
    let fields = (0..FIELDS).map(|id| column(id, ColumnKind::Field(FieldType::Int)));
    let columns = fields.chain([column(TAG.0, ColumnKind::Tag)]).collect();
    let table = TableSchema { columns, next_column: FIELDS + 1, ..(*sensors::table()).clone() };
    let mut random = fastrand::Rng::with_seed(7);
    let write = async {
        for number in 0..LOGGED {
            let rows = number * BATCH_ROWS..(number + 1) * BATCH_ROWS;
            let mut batch = WriteBatch { table: Some(table.id), ..WriteBatch::default() };
            batch.series.extend(rows.clone().map(|row| (row % HOSTS) as u32));
            batch.time.extend(rows.map(|row| (1_451_606_400 + (row / HOSTS * 10) as i64) * 1_000_000_000));
            batch.columns.extend((0..FIELDS).map(|id| {
                let values = Values::Int((0..BATCH_ROWS).map(|_| random.i64(0..=100)).collect());
                BatchColumn { id: ColumnId(id), values, validity: None }
            }));
            if number == 0 {
                for series in 0..HOSTS {
                    batch.new_series.push([(TAG, format!("host_{series}").as_bytes())]);
                }
                batch.series.iter_mut().for_each(|series| *series |= NEW_SERIES_BIT);
            }
            shard.append(&batch, &table)?;
            shard.sync_wal().await?;
        }
        shard.sync_wal().await
    };
    block_on(or(write, async { shard.run_wal().await })).expect("the log takes rows");
}

fn replay(criterion: &mut Criterion) {
    let folder = Folder::new("replay");
    logged(&folder);
    let mut group = criterion.benchmark_group("series");
    group.sample_size(10).throughput(Throughput::Elements((LOGGED * BATCH_ROWS) as u64));
    group.bench_function("open with a log of devops rows", |bencher| {
        bencher.iter(|| {
            let shard = open(&folder);
            assert_eq!(shard.stats().memtable_rows, (LOGGED * BATCH_ROWS) as u64);
        });
    });
    group.finish();
}

criterion_group!(benches, series, replay);
criterion_main!(benches);
