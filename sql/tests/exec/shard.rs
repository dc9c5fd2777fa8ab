//! Queries over real shards: rows in several segments, overwritten in part, and in memory. The scan's shortcuts
//! (statistics instead of rows, endpoint rows) are taken here.

use std::path::PathBuf;
use std::rc::Rc;
use std::sync::atomic::{AtomicU32, Ordering};

use futures_lite::future::{block_on, or};
use tidewire_sql::exec::ExecError;
use tidewire_sql::plan::Plan;
use tidewire_storage::batch::{BatchColumn, NewSeries, Strings, Values, WriteBatch};
use tidewire_storage::disk::plain::PlainDisk;
use tidewire_storage::engine::{Shard, ShardConfig};
use tidewire_storage::schema::{ColumnId, TableId, TableSchema};

use crate::data::{self, Cell, FIELDS, Row, Rows, TAGS};
use crate::{engine, oracle};

/// A folder that goes with the test.
struct Folder(PathBuf);

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn batch(rows: &[&Row]) -> WriteBatch {
    let mut new_series = NewSeries::default();
    let mut series = Vec::new();
    for row in rows {
        let tags = TAGS.iter().zip(&row.tags);
        let tags = tags.filter_map(|((_, id), tag)| Some((ColumnId(*id), tag.as_ref()?.as_bytes())));
        series.push(new_series.push(tags) | tidewire_storage::batch::NEW_SERIES_BIT);
    }
    let mut columns = Vec::new();
    for (at, (_, id, kind)) in FIELDS.iter().enumerate() {
        let mut values = Values::new(*kind);
        let mut validity = vec![0u64; rows.len().div_ceil(64)];
        for (row, cell) in rows.iter().map(|row| &row.fields[at]).enumerate() {
            validity[row / 64] |= u64::from(!cell.is_null()) << (row % 64);
            match (&mut values, cell) {
                (Values::Int(v), cell) => v.push(if let Cell::Int(x) = cell { *x } else { 0 }),
                (Values::UInt(v), cell) => v.push(if let Cell::UInt(x) = cell { *x } else { 0 }),
                (Values::Float(v), cell) => v.push(if let Cell::Float(x) = cell { *x } else { 0.0 }),
                (Values::Bool(v), cell) => v.push(u8::from(*cell == Cell::Bool(true))),
                (Values::String(Strings { ends, bytes }), cell) => {
                    if let Cell::Str(x) = cell {
                        bytes.extend_from_slice(x.as_bytes());
                    }
                    ends.push(bytes.len() as u32);
                }
            }
        }
        columns.push(BatchColumn { id: ColumnId(*id), values, validity: Some(validity) });
    }
    WriteBatch { table: Some(TableId(1)), series, time: rows.iter().map(|row| row.time).collect(), columns, new_series }
}

/// A shard of `rows`, written in `parts`; all but the last are flushed.
async fn shard_of(
    rows: &[&Row],
    parts: usize,
    folder: &Folder,
    number: u32,
    table: &TableSchema,
) -> Rc<Shard<PlainDisk>> {
    let folder = folder.0.join(number.to_string());
    let (shard, _) = Shard::open(PlainDisk, &folder, ShardConfig::new(number), &|_| true).await.unwrap();
    let log = Rc::clone(&shard);
    let write = async {
        let length = rows.len().div_ceil(parts).max(1);
        for (part, rows) in rows.chunks(length).enumerate() {
            shard.append(&batch(rows), table).unwrap();
            if part + 1 < parts {
                shard.flush().await.unwrap();
            }
        }
    };
    let log = async {
        log.run_wal().await.unwrap();
        std::future::pending::<()>().await;
    };
    or(write, log).await;
    shard
}

/// Real shards that hold the rows of table `m`.
pub(crate) struct Shards {
    shards: Vec<Rc<Shard<PlainDisk>>>,
    parts: usize,
    _folder: Folder,
}

impl std::fmt::Display for Shards {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} shards written in {} parts", self.shards.len(), self.parts)
    }
}

impl Shards {
    /// `count` shards of `rows`, written in `parts`; all but the last are flushed.
    pub(crate) fn new(rows: &Rows, count: u32, parts: usize, seed: u64) -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let folder = Folder(std::env::temp_dir().join(format!("tidewire-sql-{}-{number}", std::process::id())));
        let catalog = data::catalog();
        let table = catalog.table("public", "m").unwrap();
        // The second half of the writes repeats some rows of the first with the same values: a merge must drop them.
        let again: Vec<Row> = rows.rows.iter().step_by(7).cloned().collect();
        let written: Vec<&Row> = rows.rows.iter().chain(&again).collect();
        let shards = (0..count).map(|number| {
            let owner =
                |row: &Row| row.tags[0].as_deref().map_or(seed as u32, |host| host.bytes().map(u32::from).sum());
            let mine: Vec<&Row> = written.iter().copied().filter(|row| owner(row) % count == number).collect();
            block_on(shard_of(&mine, parts, &folder, number, table))
        });
        Self { shards: shards.collect(), parts, _folder: folder }
    }

    /// The answer to a query.
    pub(crate) fn run(&self, text: &str) -> Result<Vec<Vec<Cell>>, ExecError> {
        engine::run_on(&engine::bound(text).plan, self.shards.clone(), 1)
    }

    /// The answer to a plan.
    pub(crate) fn run_plan(&self, plan: &Plan) -> Result<Vec<Vec<Cell>>, ExecError> {
        engine::run_on(plan, self.shards.clone(), 1)
    }

    /// Runs a query and compares with the oracle.
    pub(crate) fn check(&self, text: &str, rows: &Rows, seed: u64) {
        let plan = engine::bound(text).plan;
        let expected = oracle::run(&plan, rows);
        let found = engine::run_on(&plan, self.shards.clone(), seed).unwrap();
        if let Err(difference) = data::compare(&found, &expected, &plan) {
            panic!("{text}\n{plan}\n{difference}\nTIDEWIRE_SEED={seed}, {self}");
        }
    }
}

#[test]
fn real_shards_answer_as_the_oracle() {
    let queries = [
        "SELECT * FROM m",
        "SELECT count(*), count(i), sum(i), min(f), max(f), avg(i), avg(f), sum(n) FROM m",
        "SELECT host, count(*), sum(i), min(f), max(n), avg(i) FROM m GROUP BY host",
        "SELECT date_bin(INTERVAL '1 hour', time) AS t, count(f), sum(i), max(f), avg(n) FROM m GROUP BY t",
        "SELECT host, date_bin(INTERVAL '2 hours', time) AS t, sum(i), max(f) FROM m GROUP BY host, t",
        "SELECT region, count(i), max(i) FROM m WHERE time >= '1970-01-01T00:00:00Z' GROUP BY region",
        "SELECT sum(i) FROM m WHERE f > 3",
        "SELECT i, f FROM m WHERE i > 50 AND f < -20",
        "SELECT host, last(time, i), last(time, s), max(time) FROM m GROUP BY host",
        "SELECT host, first(time, i), first(time, f), min(time) FROM m GROUP BY host",
        "SELECT last(time, i), last(time, f) FROM m",
        "SELECT rack, last(time, b) FROM m WHERE time < '1970-01-01T00:30:00Z' GROUP BY rack",
        "SELECT DISTINCT host, rack FROM m",
        "SELECT count(DISTINCT host) FROM m",
        "SELECT date_trunc('minute', time) AS t, max(i) FROM m GROUP BY t ORDER BY t DESC LIMIT 5",
        "SELECT time, host, rack, region, i FROM m ORDER BY time DESC, host, rack, region LIMIT 6",
        "SELECT max(i), count(*) FROM m WHERE host = 'h1'",
        "SELECT host, max(i) FROM m GROUP BY host UNION ALL SELECT region, max(i) FROM m GROUP BY region",
        "SELECT a, count(*) FROM (SELECT host AS a FROM m UNION ALL SELECT rack FROM m WHERE i > 0) u GROUP BY a",
        "SELECT i, host FROM m WHERE i > 40 UNION ALL SELECT i, s FROM m ORDER BY i DESC, host LIMIT 6",
        "SELECT max(i), count(*) FROM m WHERE host = 'absent'",
    ];
    for seed in crate::seeds() {
        for parts in [1, 3] {
            let rows = Rows::random(seed, 1_500);
            let shards = Shards::new(&rows, 2, parts, seed);
            for text in queries {
                shards.check(text, &rows, seed);
            }
        }
    }
}
