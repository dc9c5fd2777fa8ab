//! Scanning segments: everything summed by series and hour, one series alone, last rows; and how many bytes of decoded
//! values a scan yields a second, by kind of field, from blocks in the cache.
//!
//! `cargo bench -p tidewire-benches --bench scan`
#![expect(clippy::expect_used, reason = "a benchmark that cannot be set up has nothing to measure")]

use std::ops::Range;
use std::path::PathBuf;
use std::rc::Rc;

use arrow_array::cast::AsArray;
use arrow_array::types::Int64Type;
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use futures_lite::future::block_on;
use roaring::RoaringBitmap;
use tidewire_storage::batch::Values;
use tidewire_storage::cache::Cache;
use tidewire_storage::disk::plain::PlainDisk;
use tidewire_storage::scan::{PartitionSources, Run, Scan, ScanMode, ScanRequest, SegmentSource};
use tidewire_storage::schema::{ColumnId, FieldType, SeriesId, TableId};
use tidewire_storage::segment::{Gathered, Segment, SortedTable, write_segment};

mod devops;

/// One shard's half of 4,000 hosts.
const SERIES: usize = 2000;
/// Rows of a series in each of two flushes.
const ROWS: usize = 250;
/// Rows that the second flush has again, as flushes of concurrent connections do.
const AGAIN: usize = 3;
const HOUR: i64 = 3_600_000_000_000;

struct Shard {
    segments: Vec<Rc<Segment<PlainDisk>>>,
    paths: Vec<PathBuf>,
    /// Sum of all fields, newest values.
    sum: i64,
}

impl Shard {
    fn new() -> Self {
        let cache = Cache::new(1 << 30);
        let second = (ROWS - AGAIN) as i64 * devops::STEP;
        let tables = [devops::Table::new(SERIES, ROWS, 0, 1), devops::Table::new(SERIES, ROWS, second, 2)];
        let mut sum = 0;
        for field in 0..devops::FIELDS {
            for series in tables[0].values(field).chunks(ROWS) {
                sum += series[..ROWS - AGAIN].iter().sum::<i64>();
            }
            sum += tables[1].values(field).iter().sum::<i64>();
        }
        let mut segments = Vec::new();
        let mut paths = Vec::new();
        for (number, table) in tables.iter().enumerate() {
            let path = std::env::temp_dir().join(format!("tidewire-scan-{}-{number}.seg", std::process::id()));
            let meta = block_on(write_segment(&PlainDisk, &path, TableId(1), 0, table)).expect("written");
            let values = table.time().len() * devops::FIELDS;
            eprintln!("segment {number}: {:.3} bytes/value", meta.bytes as f64 / values as f64);
            segments.push(block_on(Segment::open(&PlainDisk, &path, &meta, Rc::clone(&cache))).expect("opened"));
            paths.push(path);
        }
        Self { segments, paths, sum }
    }

    fn scan(&self, segments: usize, fields: usize, series: Option<u32>) -> Scan<PlainDisk> {
        let request = ScanRequest {
            table: TableId(1),
            time_min: i64::MIN,
            time_max: i64::MAX,
            series: series.map(|series| RoaringBitmap::from([series])),
            columns: (0..fields).map(|field| (ColumnId(field as u16 + 10), FieldType::Int)).collect(),
            prune: Vec::new(),
        };
        let partition = PartitionSources {
            segments: self.segments[..segments].iter().cloned().map(SegmentSource::from).collect(),
            memory: Vec::new(),
        };
        Scan::new(PlainDisk, request, vec![partition], 1 << 30)
    }
}

impl Drop for Shard {
    fn drop(&mut self) {
        for path in &self.paths {
            let _ = std::fs::remove_file(path);
        }
    }
}

/// Sums of all fields by series and hour, as (groups, total).
fn sum_by_series_and_hour(mut scan: Scan<PlainDisk>) -> (usize, i64) {
    let hours = 2;
    let mut sums = vec![0i64; SERIES * hours * devops::FIELDS];
    while let Some(chunk) = block_on(scan.next()).expect("scanned") {
        for (field, column) in chunk.columns.iter().enumerate() {
            let values = column.as_primitive::<Int64Type>().values();
            for run in &chunk.runs {
                let (mut from, end) = (run.start as usize, (run.start + run.len) as usize);
                while from < end {
                    let hour = chunk.time[from] / HOUR;
                    let rows = chunk.time[from..end].partition_point(|time| time / HOUR == hour);
                    let slot = (run.series.0 as usize * hours + hour as usize) * devops::FIELDS + field;
                    sums[slot] += values[from..from + rows].iter().sum::<i64>();
                    from += rows;
                }
            }
        }
    }
    (sums.iter().filter(|sum| **sum > 0).count(), sums.iter().sum())
}

fn rows(mut scan: Scan<PlainDisk>) -> usize {
    let mut rows = 0;
    while let Some(chunk) = block_on(scan.next()).expect("scanned") {
        rows += chunk.rows();
    }
    rows
}

fn scans(c: &mut Criterion) {
    let shard = Shard::new();
    let both = (2 * ROWS - AGAIN) * SERIES;
    let mut group = c.benchmark_group("scan");
    group.sample_size(20);
    group.throughput(Throughput::Elements((both * devops::FIELDS) as u64));
    assert_eq!(sum_by_series_and_hour(shard.scan(2, devops::FIELDS, None)).1, shard.sum);
    group.bench_function("10 fields by series and hour, two segments that meet", |b| {
        b.iter(|| sum_by_series_and_hour(shard.scan(2, devops::FIELDS, None)));
    });
    group.throughput(Throughput::Elements((ROWS * SERIES * devops::FIELDS) as u64));
    group.bench_function("10 fields by series and hour, one segment", |b| {
        b.iter(|| sum_by_series_and_hour(shard.scan(1, devops::FIELDS, None)));
    });
    group.bench_function("10 fields, no consumer, one segment", |b| {
        b.iter(|| rows(shard.scan(1, devops::FIELDS, None)));
    });
    group.throughput(Throughput::Elements(1));
    assert_eq!(rows(shard.scan(2, 1, Some(77))), 2 * ROWS - AGAIN);
    group.bench_function("one field of one series, two segments that meet", |b| {
        b.iter(|| rows(shard.scan(2, 1, Some(77))));
    });
    group.bench_function("last rows of 10 fields, one segment", |b| {
        b.iter(|| {
            let mut scan = shard.scan(1, devops::FIELDS, None);
            scan.set_mode(ScanMode::LastRow);
            assert_eq!(rows(scan), SERIES);
        });
    });
    group.finish();
}

/// Long series of one field, as merges leave them.
struct Kind {
    columns: [(ColumnId, FieldType); 1],
    runs: Vec<Run>,
    time: Vec<i64>,
    values: Values,
}

impl Kind {
    const SERIES: usize = 100;
    const ROWS: usize = 8640;

    fn new(values: Values, jitter: i64) -> Self {
        let mut rng = fastrand::Rng::with_seed(3);
        let run = |series: usize| Run {
            series: SeriesId(series as u32),
            start: (series * Self::ROWS) as u32,
            len: Self::ROWS as u32,
        };
        let mut time = Vec::with_capacity(Self::SERIES * Self::ROWS);
        for _ in 0..Self::SERIES {
            time.extend((0..Self::ROWS as i64).map(|row| row * devops::STEP + rng.i64(0..=jitter)));
        }
        let columns = [(ColumnId(1), values.kind())];
        Self { columns, runs: (0..Self::SERIES).map(run).collect(), time, values }
    }
}

impl SortedTable for Kind {
    fn runs(&self) -> &[Run] {
        &self.runs
    }

    fn time(&self) -> &[i64] {
        &self.time
    }

    fn columns(&self) -> &[(ColumnId, FieldType)] {
        &self.columns
    }

    fn gather(&self, _: usize, rows: Range<usize>, out: &mut Gathered) {
        out.validity = None;
        out.values = match &self.values {
            Values::Int(values) => Values::Int(values[rows].to_vec()),
            Values::Float(values) => Values::Float(values[rows].to_vec()),
            _ => panic!("numbers only"),
        };
    }
}

fn decoded(c: &mut Criterion) {
    let mut rng = fastrand::Rng::with_seed(4);
    let mut walks = || -> Vec<i64> { (0..Kind::SERIES).flat_map(|_| devops::walk(&mut rng, Kind::ROWS)).collect() };
    let integers = walks();
    let decimals = walks().iter().map(|n| (n * 100 + fastrand::i64(0..100)) as f64 / 100.0).collect();
    let long = integers.iter().map(|n| *n as f64 + fastrand::f64()).collect();
    let kinds = [
        ("integers", Kind::new(Values::Int(integers.clone()), 0)),
        ("decimals", Kind::new(Values::Float(decimals), 0)),
        ("long floats", Kind::new(Values::Float(long), 0)),
        ("integers at irregular times", Kind::new(Values::Int(integers), 1_000_000)),
    ];
    let mut group = c.benchmark_group("scan, bytes of values and times");
    group.sample_size(20);
    for (name, table) in &kinds {
        let path = std::env::temp_dir().join(format!("tidewire-kind-{}.seg", std::process::id()));
        let meta = block_on(write_segment(&PlainDisk, &path, TableId(1), 0, table)).expect("written");
        let values = table.time.len();
        eprintln!("{name}: {:.3} bytes/value", meta.bytes as f64 / values as f64);
        let segment = block_on(Segment::open(&PlainDisk, &path, &meta, Cache::new(1 << 30))).expect("opened");
        group.throughput(Throughput::Bytes(16 * values as u64));
        group.bench_function(*name, |b| {
            b.iter(|| {
                let request = ScanRequest {
                    table: TableId(1),
                    time_min: i64::MIN,
                    time_max: i64::MAX,
                    series: None,
                    columns: table.columns.to_vec(),
                    prune: Vec::new(),
                };
                let sources = PartitionSources { segments: vec![Rc::clone(&segment).into()], memory: Vec::new() };
                assert_eq!(rows(Scan::new(PlainDisk, request, vec![sources], 1 << 30)), values);
            });
        });
        let _ = std::fs::remove_file(&path);
    }
    group.finish();
}

criterion_group!(benches, scans, decoded);
criterion_main!(benches);
