//! Rows into a shard's memtable in batches, and out of it in the order of a flush.
//!
//! Appending goes into memory that an earlier memtable has left, as it does in a shard. Sorting is timed alone and
//! together with the gathering of all columns, which is what a flush does before it encodes.

#![expect(clippy::expect_used, reason = "a benchmark that cannot be set up has nothing to measure")]

mod batches;

use std::hint::black_box;

use batches::{FIELDS, SERIES, TABLE};
use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use tidewire_storage::batch::Values;
use tidewire_storage::memtable::{Memtable, NewRows, Order, PartitionRows, Sorter};
use tidewire_storage::segment::{Gathered, SortedTable};

/// Rows of a batch: half of a request of 10,000, as two shards get it.
const BATCH_ROWS: usize = 5_000;

/// Batches of a memtable: 500,000 rows, 46 MB, about what a flush takes.
const BATCHES: usize = 100;

/// Batches that are under way at one time.
const HOT_BATCHES: usize = 4;

/// Rows that a gather hands on at once, as the segment writer asks for them.
const GATHER_ROWS: usize = 4_096;

fn append(memtable: &mut Memtable, batches: &[batches::Rows]) {
    for rows in batches {
        let new = NewRows {
            series: &rows.series,
            time: &rows.time,
            columns: &rows.columns,
            rows: 0..rows.series.len(),
            series_count: 1,
        };
        memtable.append(TABLE, i64::MAX, &new);
    }
}

fn order(memtable: &Memtable) -> Order {
    let rows = memtable.table(TABLE).expect("rows were appended");
    Sorter::new((0..rows.rows() as u32).collect()).finish(rows.series(), rows.time())
}

fn check(order: &Order) {
    let rows = BATCHES * BATCH_ROWS;
    assert_eq!((order.rows.len(), order.runs.len(), order.merges.len()), (rows, SERIES, 0));
    assert_eq!(order.rows[..2], [0, SERIES as u32]);
}

fn memtable(criterion: &mut Criterion) {
    let batches: Vec<_> = (0..BATCHES).map(|batch| batches::rows(batch * BATCH_ROWS, BATCH_ROWS)).collect();
    let total: i64 = batches.iter().map(|rows| batches::sum(&rows.columns)).sum();
    let mut full = Memtable::default();
    append(&mut full, &batches);

    let mut group = criterion.benchmark_group("memtable");
    group.sample_size(10).throughput(Throughput::Elements((BATCHES * BATCH_ROWS) as u64));
    // A batch has just been parsed when it is appended, so the few there are stay in the cache, in turn.
    let mut used = Memtable::default();
    group.bench_function("append", |bencher| {
        bencher.iter(|| {
            let mut memtable = Memtable::reuse(std::mem::take(&mut used), u64::MAX);
            for _ in 0..BATCHES / HOT_BATCHES {
                append(&mut memtable, &batches[..HOT_BATCHES]);
            }
            used = memtable;
        });
    });
    let repeated = order(&used);
    let distinct = HOT_BATCHES * BATCH_ROWS;
    assert_eq!((used.rows(), repeated.rows.len()), ((BATCHES * BATCH_ROWS) as u64, distinct));
    assert_eq!(repeated.older.len(), BATCHES * BATCH_ROWS - distinct);
    group.bench_function("sort", |bencher| {
        bencher.iter_batched(|| (), |()| black_box(order(&full)), BatchSize::PerIteration);
    });
    check(&order(&full));
    let mut sum = 0;
    group.bench_function("sort and gather", |bencher| {
        bencher.iter(|| {
            sum = 0;
            let view = PartitionRows::new(full.table(TABLE).expect("rows were appended"), order(&full));
            let mut gathered = Gathered { values: Values::Int(Vec::new()), validity: None };
            for column in 0..usize::from(FIELDS) {
                for from in (0..view.time().len()).step_by(GATHER_ROWS) {
                    let to = (from + GATHER_ROWS).min(view.time().len());
                    view.gather(column, from..to, &mut gathered);
                    if let Values::Int(values) = &gathered.values {
                        sum += values.iter().sum::<i64>();
                    }
                }
            }
        });
    });
    assert_eq!(sum, total);
    group.finish();
}

criterion_group!(benches, memtable);
criterion_main!(benches);
