//! The engine under test: prepare, cut, run every shard's stages and those of the core that asks.

use std::rc::Rc;
use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::{
    Float64Type, Int64Type, IntervalMonthDayNanoType, TimestampMicrosecondType, TimestampMillisecondType,
    TimestampNanosecondType, UInt64Type,
};
use arrow_array::{Array, ArrayRef, RecordBatch};
use arrow_cast::cast;
use arrow_schema::{DataType, TimeUnit};
use futures_lite::future::block_on;
use tidewire_sql::exec::{CoreRun, ExecError, Progress, QueryContext, ShardReader, ShardRun};
use tidewire_sql::plan::Plan;
use tidewire_sql::{Query, Session, Statement, cut, prepare};

use crate::data::{Cell, Rows, catalog};
use crate::memory::{Given, MemoryShard};

/// The query that `text` is.
pub(crate) fn bound(text: &str) -> Query {
    let session = Session {
        tenant: "cnosdb".into(),
        database: "public".into(),
        user: "root".into(),
        rights: tidewire_storage::schema::Rights::All,
        facts: Default::default(),
        now_ns: 1_000_000_000,
    };
    match prepare(text, &catalog(), &session) {
        Ok(Statement::Query(query)) => query,
        other => panic!("{text}: {other:?}"),
    }
}

/// A query's context with room for `bytes`.
pub(crate) fn context(bytes: u64) -> QueryContext {
    QueryContext::new(bytes, None)
}

/// The answer over `shards` shards.
pub(crate) fn run(plan: &Plan, rows: &Rows, shards: usize, seed: u64) -> Result<Vec<Vec<Cell>>, ExecError> {
    let given = Rc::new(Given::default());
    cells(&execute(plan, rows, shards, seed, context(1 << 30), &given)?, plan)
}

/// The answer over one shard within a context.
pub(crate) fn run_within(plan: &Plan, rows: &Rows, context: QueryContext) -> Result<(), ExecError> {
    execute(plan, rows, 1, 1, context, &Rc::new(Given::default())).map(|_| ())
}

/// Chunks that one shard reads for a query.
pub(crate) fn chunks_read(plan: &Plan, rows: &Rows) -> usize {
    let given = Rc::new(Given::default());
    execute(plan, rows, 1, 1, context(1 << 30), &given).unwrap();
    given.chunks.get()
}

/// Rows that one shard reads for a query.
pub(crate) fn rows_read(plan: &Plan, rows: &Rows) -> usize {
    let given = Rc::new(Given::default());
    execute(plan, rows, 1, 1, context(1 << 30), &given).unwrap();
    given.rows.get()
}

/// Snapshots that one shard gives for a query.
pub(crate) fn snapshots_taken(plan: &Plan, rows: &Rows) -> usize {
    let given = Rc::new(Given::default());
    execute(plan, rows, 1, 1, context(1 << 30), &given).unwrap();
    given.snapshots.get()
}

/// The answer over these shards.
pub(crate) fn run_on<R: ShardReader + Clone>(
    plan: &Plan,
    shards: Vec<R>,
    seed: u64,
) -> Result<Vec<Vec<Cell>>, ExecError> {
    cells(&execute_on(plan, shards, seed, context(1 << 30))?, plan)
}

fn execute(
    plan: &Plan,
    rows: &Rows,
    shards: usize,
    seed: u64,
    context: QueryContext,
    given: &Rc<Given>,
) -> Result<Vec<RecordBatch>, ExecError> {
    let shards = (0..shards).map(|shard| MemoryShard::new(rows, shard, shards, seed, Rc::clone(given))).collect();
    execute_on(plan, shards, seed, context)
}

#[expect(clippy::needless_pass_by_value, reason = "a query's context belongs to its run")]
fn execute_on<R: ShardReader + Clone>(
    plan: &Plan,
    shards: Vec<R>,
    seed: u64,
    context: QueryContext,
) -> Result<Vec<RecordBatch>, ExecError> {
    let graph = cut(plan);
    let mut answer = Vec::new();
    let mut core = CoreRun::new(&graph, context.clone())?;
    let stages = graph.on_shards();
    let mut runs: Vec<_> =
        shards.into_iter().map(|shard| ShardRun::new(Arc::clone(&stages), shard, context.clone())).collect();
    if stages.is_empty() {
        runs.clear();
    }
    // Shards take turns at random, as messages of several cores arrive.
    let mut random = fastrand::Rng::with_seed(seed);
    let mut has_ended = false;
    loop {
        match core.step()? {
            Progress::Rows(batch) => {
                assert!(batch.num_rows() > 0, "an empty batch of the answer");
                let types =
                    |batch: &RecordBatch| batch.columns().iter().map(|c| c.data_type().clone()).collect::<Vec<_>>();
                assert!(answer.first().is_none_or(|first| types(first) == types(&batch)), "types change");
                answer.push(batch);
            }
            Progress::Working => {}
            Progress::Waiting if runs.is_empty() => {
                assert!(!has_ended, "the core waits, and nothing comes");
                has_ended = true;
                core.end();
            }
            Progress::Waiting => {
                let turn = random.usize(0..runs.len());
                match block_on(runs[turn].next())? {
                    None => drop(runs.swap_remove(turn)),
                    Some((stage, batch)) => {
                        assert!(batch.num_rows() > 0, "an empty batch was sent");
                        core.push(stage, batch);
                    }
                }
            }
            Progress::Done => return Ok(answer),
        }
    }
}

/// The rows of batches, whose types are checked against the plan's.
fn cells(batches: &[RecordBatch], plan: &Plan) -> Result<Vec<Vec<Cell>>, ExecError> {
    let mut rows = Vec::new();
    for batch in batches {
        for (column, field) in batch.columns().iter().zip(plan.schema().fields()) {
            let found = match column.data_type() {
                DataType::Dictionary(_, value) => value,
                other => other,
            };
            assert_eq!(found, field.data_type(), "type of {}", field.name());
        }
        assert_eq!(batch.num_columns(), plan.schema().fields().len());
        let columns: Vec<Vec<Cell>> = batch.columns().iter().map(cells_of).collect();
        rows.extend((0..batch.num_rows()).map(|row| columns.iter().map(|column| column[row].clone()).collect()));
    }
    Ok(rows)
}

fn cells_of(array: &ArrayRef) -> Vec<Cell> {
    let array = match array.data_type() {
        DataType::Dictionary(_, value) => cast(array, value).unwrap(),
        _ => Arc::clone(array),
    };
    (0..array.len())
        .map(|row| {
            if array.is_null(row) || *array.data_type() == DataType::Null {
                return Cell::Null;
            }
            match array.data_type() {
                DataType::Boolean => Cell::Bool(array.as_boolean().value(row)),
                DataType::Int64 => Cell::Int(array.as_primitive::<Int64Type>().value(row)),
                DataType::UInt64 => Cell::UInt(array.as_primitive::<UInt64Type>().value(row)),
                DataType::Float64 => Cell::Float(array.as_primitive::<Float64Type>().value(row)),
                DataType::Utf8 => Cell::Str(array.as_string::<i32>().value(row).to_owned()),
                DataType::Timestamp(unit, _) => {
                    let value = match unit {
                        TimeUnit::Millisecond => array.as_primitive::<TimestampMillisecondType>().value(row),
                        TimeUnit::Microsecond => array.as_primitive::<TimestampMicrosecondType>().value(row),
                        _ => array.as_primitive::<TimestampNanosecondType>().value(row),
                    };
                    Cell::Time(value, *unit)
                }
                DataType::Interval(_) => {
                    let value = array.as_primitive::<IntervalMonthDayNanoType>().value(row);
                    Cell::Interval(value.months, value.days, value.nanoseconds)
                }
                other => panic!("no cell of {other}"),
            }
        })
        .collect()
}
