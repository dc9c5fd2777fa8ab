//! The engine under test: prepare, cut, run every shard's fragment, merge.

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
use tidewire_sql::exec::{ExecError, FinalRun, Flow, FragmentRun, QueryContext, ShardReader};
use tidewire_sql::plan::Plan;
use tidewire_sql::{Query, Session, Statement, cut, prepare};

use crate::data::{Cell, Rows, catalog};
use crate::memory::{Given, MemoryShard};

/// The query that `text` is.
pub(crate) fn bound(text: &str) -> Query {
    let session =
        Session { tenant: "cnosdb".into(), database: "public".into(), user: "root".into(), now_ns: 1_000_000_000 };
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
    assert_eq!(given.snapshots.get(), 1, "one moment, however many spans are read");
    given.chunks.get()
}

/// Rows that one shard reads for a query.
pub(crate) fn rows_read(plan: &Plan, rows: &Rows) -> usize {
    let given = Rc::new(Given::default());
    execute(plan, rows, 1, 1, context(1 << 30), &given).unwrap();
    assert_eq!(given.snapshots.get(), 1, "one moment, however many spans are read");
    given.rows.get()
}

/// The answer over these shards.
pub(crate) fn run_on<R: ShardReader>(plan: &Plan, shards: Vec<R>, seed: u64) -> Result<Vec<Vec<Cell>>, ExecError> {
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
fn execute_on<R: ShardReader>(
    plan: &Plan,
    shards: Vec<R>,
    seed: u64,
    context: QueryContext,
) -> Result<Vec<RecordBatch>, ExecError> {
    let distributed = cut(plan)?;
    let mut answer = Vec::new();
    let mut merge = FinalRun::new(&distributed.final_stage, context.clone())?;
    if let Some(fragment) = &distributed.fragment {
        let mut runs: Vec<_> =
            shards.into_iter().map(|shard| FragmentRun::new(Arc::clone(fragment), shard, context.clone())).collect();
        // Shards take turns at random, as messages of several cores arrive.
        let mut random = fastrand::Rng::with_seed(seed);
        while !runs.is_empty() {
            let turn = random.usize(0..runs.len());
            match block_on(runs[turn].next())? {
                None => drop(runs.swap_remove(turn)),
                Some(batch) => {
                    assert!(batch.num_rows() > 0, "an empty batch was sent");
                    if merge.push(batch)? == Flow::Enough {
                        runs.clear();
                    }
                }
            }
            while let Some(batch) = merge.ready() {
                answer.push(batch);
            }
        }
    }
    answer.extend(merge.finish()?);
    Ok(answer)
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
