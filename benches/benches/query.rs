//! Queries of the TSBS devops set over two shards on plain files: from SQL text to batches of the answer.
//!
//! The shards run one after the other on one core, so a server with two cores takes about half, plus HTTP and the
//! encoding of the reply. Every query's answer is checked once against a plain loop over the generated values.
//!
//! `cargo bench -p tidewire-benches --bench query` takes 2 million rows (4,000 hosts, 500 times 10 s apart, 10 integer
//! fields); with `--test` 20,000.

#![expect(clippy::unwrap_used, reason = "a benchmark stops at the first surprise")]

use std::path::PathBuf;
use std::rc::Rc;
use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::{Float64Type, Int64Type};
use arrow_array::{Array, RecordBatch};
use arrow_schema::DataType;
use criterion::{Criterion, criterion_group, criterion_main};
use futures_lite::future::{block_on, or};
use tidewire_benches::devops::{FIELDS, TAGS};
use tidewire_sql::exec::{CoreRun, Progress, QueryContext, ShardRun};
use tidewire_sql::{Session, Statement, cut, prepare};
use tidewire_storage::batch::{BatchColumn, NEW_SERIES_BIT, NewSeries, Values, WriteBatch};
use tidewire_storage::disk::plain::PlainDisk;
use tidewire_storage::engine::{Shard, ShardConfig};
use tidewire_storage::schema::{
    Catalog, ColumnId, ColumnKind, ColumnSchema, Database, DatabaseOptions, FieldType, TableId, TableSchema, TimeUnit,
};
use tidewire_storage::wal::WalSync;

/// 2016-01-01T00:00:00Z, where TSBS begins.
const START_NS: i64 = 1_451_606_400_000_000_000;
const STEP_NS: i64 = 10_000_000_000;
const MINUTE_NS: i64 = 60_000_000_000;
const HOUR_NS: i64 = 60 * MINUTE_NS;

/// The generated values: random walks within 0..=100, as TSBS draws them.
struct Data {
    hosts: usize,
    times: usize,
    /// By field, then host, then time.
    values: Vec<i64>,
}

impl Data {
    fn new(hosts: usize, times: usize) -> Self {
        let mut random = fastrand::Rng::with_seed(7);
        let mut values = Vec::with_capacity(FIELDS.len() * hosts * times);
        for _ in 0..FIELDS.len() * hosts {
            let mut value = random.i64(0..=100);
            for _ in 0..times {
                value = (value + random.i64(-2..=2)).clamp(0, 100);
                values.push(value);
            }
        }
        Self { hosts, times, values }
    }

    fn value(&self, field: usize, host: usize, time: usize) -> i64 {
        self.values[(field * self.hosts + host) * self.times + time]
    }

    fn time(at: usize) -> i64 {
        START_NS + at as i64 * STEP_NS
    }
}

fn table() -> Arc<TableSchema> {
    let tags = TAGS.iter().map(|name| (name, ColumnKind::Tag));
    let fields = FIELDS.iter().map(|name| (name, ColumnKind::Field(FieldType::Int)));
    let columns = tags.chain(fields).zip(0..);
    let columns = columns.map(|((name, kind), id)| ColumnSchema {
        id: ColumnId(id),
        name: (*name).into(),
        kind,
        codec: None,
        geometry: None,
    });
    Arc::new(TableSchema {
        id: TableId(1),
        name: "cpu".into(),
        columns: columns.collect(),
        time_unit: TimeUnit::Nanosecond,
        partition_length: 24 * HOUR_NS,
        next_column: 20,
    })
}

fn catalog() -> Catalog {
    let table = table();
    let database = Arc::new(Database::new("public", &DatabaseOptions::default(), [table]));
    Catalog {
        version: 1,
        databases: [(Arc::clone(&database.name), database)].into_iter().collect(),
        next_table: 2,
        ..Catalog::default()
    }
}

/// A folder that goes with the benchmark.
struct Folder(PathBuf);

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// Hosts of a parity, written time by time in batches of about 10,000 rows and flushed.
fn shard(data: &Data, parity: usize, folder: &Folder) -> Rc<Shard<PlainDisk>> {
    block_on(async {
        let config = ShardConfig {
            wal_sync: WalSync::Off,
            flush_bytes: 1 << 30,
            memtable_bytes_max: 2 << 30,
            ..ShardConfig::new(parity as u32)
        };
        let path = folder.0.join(parity.to_string());
        let (shard, _) = Shard::open(PlainDisk, &path, config, &|_| true).await.unwrap();
        let writer = Rc::clone(&shard);
        let write = async {
            let table = table();
            let hosts: Vec<usize> = (parity..data.hosts).step_by(2).collect();
            let times_at_once = (10_000 / hosts.len()).max(1);
            for start in (0..data.times).step_by(times_at_once) {
                let times = start..(start + times_at_once).min(data.times);
                let lsn = writer.append(&batch(data, &hosts, times), &table).unwrap().lsn;
                writer.durable(lsn).await.unwrap();
                futures_lite::future::yield_now().await;
            }
            writer.flush().await.unwrap();
        };
        let log = async {
            shard.run_wal().await.unwrap();
            std::future::pending::<()>().await;
        };
        or(write, log).await;
        Rc::clone(&shard)
    })
}

fn batch(data: &Data, hosts: &[usize], times: std::ops::Range<usize>) -> WriteBatch {
    let mut new_series = NewSeries::default();
    for host in hosts {
        let values: Vec<String> = TAGS
            .iter()
            .enumerate()
            .map(|(at, tag)| if at == 0 { format!("host_{host}") } else { format!("{tag}_{}", host % (at * 3)) })
            .collect();
        new_series.push((0..).zip(&values).map(|(id, value)| (ColumnId(id), value.as_bytes())));
    }
    let rows = || times.clone().flat_map(|time| (0..hosts.len()).map(move |host| (host, time)));
    let column = |field: usize| BatchColumn {
        id: ColumnId((TAGS.len() + field) as u16),
        values: Values::Int(rows().map(|(host, time)| data.value(field, hosts[host], time)).collect()),
        validity: None,
    };
    WriteBatch {
        table: Some(TableId(1)),
        series: rows().map(|(host, _)| host as u32 | NEW_SERIES_BIT).collect(),
        time: rows().map(|(_, time)| Data::time(time)).collect(),
        columns: (0..FIELDS.len()).map(column).collect(),
        new_series,
    }
}

/// The answer to `text`, shard after shard.
fn run(text: &str, catalog: &Catalog, shards: &[Rc<Shard<PlainDisk>>]) -> Vec<RecordBatch> {
    let session = Session {
        tenant: "cnosdb".into(),
        database: "public".into(),
        user: "root".into(),
        rights: tidewire_storage::schema::Rights::All,
        facts: Default::default(),
        now_ns: 0,
    };
    let Ok(Statement::Query(query)) = prepare(text, catalog, &session) else { panic!("{text} is no query") };
    let graph = cut(&query.plan);
    let context = QueryContext::new(1 << 30, None);
    let mut core = CoreRun::new(&graph, context.clone()).unwrap();
    let stages = graph.on_shards();
    let mut answer = Vec::new();
    for shard in shards {
        let mut run = ShardRun::new(Arc::clone(&stages), Rc::clone(shard), context.clone());
        while let Some((stage, batch)) = block_on(run.next()).unwrap() {
            core.push(stage, batch);
            work(&mut core, &mut answer);
        }
    }
    core.end();
    work(&mut core, &mut answer);
    answer
}

/// Works off what was pushed.
fn work(core: &mut CoreRun, answer: &mut Vec<RecordBatch>) {
    loop {
        match core.step().unwrap() {
            Progress::Rows(batch) => answer.push(batch),
            Progress::Working => {}
            Progress::Waiting | Progress::Done => return,
        }
    }
}

/// Rows, and the sum of all numbers in them.
fn digest(batches: &[RecordBatch]) -> (usize, f64) {
    let rows = batches.iter().map(RecordBatch::num_rows).sum();
    let columns = batches.iter().flat_map(RecordBatch::columns);
    let sum = columns.map(|column| match column.data_type() {
        DataType::Int64 => column.as_primitive::<Int64Type>().values().iter().map(|v| *v as f64).sum(),
        DataType::Float64 => column.as_primitive::<Float64Type>().values().iter().sum(),
        _ => 0.0,
    });
    (rows, sum.sum())
}

/// Rows and sum of `value` over the buckets of `width` that rows passing `keep` fall into, by `group` of the host.
fn expected(
    data: &Data,
    width: i64,
    group: impl Fn(usize) -> usize,
    keep: impl Fn(usize, usize) -> bool,
    value: impl Fn(&[(usize, usize)]) -> f64,
) -> (usize, f64) {
    let mut groups = std::collections::BTreeMap::<_, Vec<(usize, usize)>>::new();
    for host in 0..data.hosts {
        for time in (0..data.times).filter(|time| keep(host, *time)) {
            groups.entry((Data::time(time).div_euclid(width), group(host))).or_default().push((host, time));
        }
    }
    (groups.len(), groups.values().map(|rows| value(rows)).sum())
}

fn queries(criterion: &mut Criterion) {
    let quick = std::env::args().any(|arg| arg == "--test");
    let data = if quick { Data::new(100, 200) } else { Data::new(4_000, 500) };
    let folder = Folder(std::env::temp_dir().join(format!("tidewire-bench-query-{}", std::process::id())));
    let shards = [shard(&data, 0, &folder), shard(&data, 1, &folder)];
    let catalog = catalog();

    let all = |call: &str| FIELDS.map(|field| format!("{call}({field})")).join(", ");
    let eight: Vec<String> = (0..8).map(|host| format!("'host_{}'", host * 11)).collect();
    let is_one_of_eight = |host: usize| host.is_multiple_of(11) && host / 11 < 8;
    let max = |fields: usize| {
        let data = &data;
        move |rows: &[(usize, usize)]| -> f64 {
            (0..fields).map(|f| rows.iter().map(|&(h, t)| data.value(f, h, t)).max().unwrap_or(0) as f64).sum()
        }
    };
    let mean = |fields: usize| {
        let data = &data;
        move |rows: &[(usize, usize)]| -> f64 {
            let sums = (0..fields).map(|f| rows.iter().map(|&(h, t)| data.value(f, h, t) as f64).sum::<f64>());
            sums.sum::<f64>() / rows.len() as f64
        }
    };
    let last = data.times - 1;
    let newest_minutes = |time: usize| (Data::time(last) / MINUTE_NS - Data::time(time) / MINUTE_NS) < 5;
    let is_hot = |host: usize, time: usize| data.value(0, host, time) > 90;
    let hot: Vec<(usize, usize)> = (0..data.hosts)
        .flat_map(|host| (0..data.times).map(move |time| (host, time)))
        .filter(|&(host, time)| is_hot(host, time))
        .collect();
    let hot_sum = hot.iter().map(|&(h, t)| (0..FIELDS.len()).map(|f| data.value(f, h, t) as f64).sum::<f64>()).sum();
    let set = [
        (
            "single-groupby-1-1-1",
            "SELECT date_bin(INTERVAL '1 minute', time) AS t, max(usage_user) FROM cpu WHERE hostname = 'host_11' \
             AND time >= '2016-01-01T00:05:00Z' AND time < '2016-01-01T01:05:00Z' GROUP BY t ORDER BY t"
                .to_owned(),
            expected(&data, MINUTE_NS, |_| 0, |host, time| host == 11 && (30..390).contains(&time), max(1)),
        ),
        (
            "cpu-max-all-8",
            format!(
                "SELECT date_bin(INTERVAL '1 hour', time) AS t, {} FROM cpu WHERE hostname IN ({}) GROUP BY t",
                all("max"),
                eight.join(", ")
            ),
            expected(&data, HOUR_NS, |_| 0, |host, _| is_one_of_eight(host), max(10)),
        ),
        (
            "double-groupby-1",
            "SELECT date_bin(INTERVAL '1 hour', time) AS t, hostname, avg(usage_user) FROM cpu GROUP BY t, hostname"
                .to_owned(),
            expected(&data, HOUR_NS, |host| host, |_, _| true, mean(1)),
        ),
        (
            "double-groupby-all",
            format!(
                "SELECT date_bin(INTERVAL '1 hour', time) AS t, hostname, {} FROM cpu GROUP BY t, hostname",
                all("avg")
            ),
            expected(&data, HOUR_NS, |host| host, |_, _| true, mean(10)),
        ),
        ("high-cpu-all", "SELECT * FROM cpu WHERE usage_user > 90".to_owned(), (hot.len(), hot_sum)),
        (
            "lastpoint",
            "SELECT hostname, last(time, usage_user) FROM cpu GROUP BY hostname".to_owned(),
            expected(&data, i64::MAX, |host| host, |_, time| time == last, max(1)),
        ),
        (
            "groupby-orderby-limit",
            "SELECT date_trunc('minute', time) AS t, max(usage_user) FROM cpu GROUP BY t ORDER BY t DESC LIMIT 5"
                .to_owned(),
            expected(&data, MINUTE_NS, |_| 0, |_, time| newest_minutes(time), max(1)),
        ),
    ];
    let mut group = criterion.benchmark_group("query");
    group.sample_size(20);
    for (name, text, (rows, sum)) in &set {
        let (found_rows, found_sum) = digest(&run(text, &catalog, &shards));
        assert_eq!(found_rows, *rows, "rows of {name}");
        assert!((found_sum - sum).abs() <= sum.abs() * 1e-9, "sum of {name}: {found_sum} instead of {sum}");
        group.bench_function(*name, |bencher| bencher.iter(|| std::hint::black_box(run(text, &catalog, &shards))));
    }
    group.finish();
}

criterion_group!(benches, queries);
criterion_main!(benches);
