//! INSERT of a query's rows.
//!
//! Rows are written as they come, a batch at a time, by the way that all rows of INSERT take: each batch is durable
//! before the next is written. A failure leaves what was written until then. Each shard gives the rows that it had when
//! it was asked, and shards are asked one after the other: the rows of a query over the table that they go to are held,
//! in the query's memory, until all of them are known.

use std::sync::Arc;

use arrow_array::{BooleanArray, RecordBatch};
use arrow_select::filter::filter_record_batch;
use tidewire_sql::exec::{ExecError, Reservation, batch_bytes};
use tidewire_sql::insertion::InsertTarget;
use tidewire_sql::statement::{FieldValues, Insert, Query};
use tidewire_storage::schema::ColumnId;

use crate::api::context::RequestContext;
use crate::api::fault::Fault;
use crate::api::queries::{bounds, query_place};
use crate::core::state::CoreState;
use crate::core::watch::Watch;
use crate::ingest::insert::{insert, insert_moved};
use crate::query::run::{RowsOut, run};
use crate::ring::yield_if_needed;

/// Writes the rows of a query; returns their number.
pub(super) async fn insert_query(
    context: &RequestContext<'_>,
    query: &Query,
    target: &InsertTarget,
) -> Result<u64, Fault> {
    let (outcome, moved) = copy(context, query, target, None).await;
    outcome.map(|()| moved.rows)
}

/// Writes the rows of a query to `target`; says what came of it, and what was written until then.
pub(super) async fn copy(
    context: &RequestContext<'_>,
    query: &Query,
    target: &InsertTarget,
    moves: Option<Moves<'_>>,
) -> (Result<(), Fault>, Moved) {
    let core = context.core;
    let mut moved = Moved::default();
    // Rows that move do not meet those that they become.
    let holds_all = moves.is_none() && query.plan.reads(target.table.id);
    let run = async {
        let _place = query_place(core)?;
        let bounds = bounds(core);
        let held = holds_all.then(|| (Vec::new(), bounds.reservation()));
        let mut rows = RowsIn { core, target, moves, held, moved: &mut moved, unwritten: None };
        let outcome = run(&core.peers, query, bounds, &mut rows).await.map_err(Fault::from);
        match (rows.unwritten.take(), outcome) {
            (Some(fault), _) | (None, Err(fault)) => Err(fault),
            (None, Ok(_)) => rows.write_held().await,
        }
    };
    let outcome = context.queries.count(run).await;
    context.count_written(moved.rows);
    (outcome, moved)
}

/// What makes rows those of other series: what tags are set to, the watch of the statement, and the last time of rows
/// that are written.
pub(super) type Moves<'a> = (&'a [(ColumnId, Option<Arc<str>>)], &'a Arc<Watch>, Option<i64>);

/// What has been written of a query's rows.
#[derive(Debug, Default)]
pub(super) struct Moved {
    /// How many.
    pub(super) rows: u64,
    /// Their first and last time.
    pub(super) times: Option<(i64, i64)>,
}

/// Takes rows and writes them.
struct RowsIn<'a> {
    core: &'a CoreState,
    target: &'a InsertTarget,
    moves: Option<Moves<'a>>,
    /// Rows that wait for the last, and their memory; `None` where none wait.
    held: Option<(Vec<RecordBatch>, Reservation)>,
    moved: &'a mut Moved,
    /// Why rows could not be written, which ended the query.
    unwritten: Option<Fault>,
}

impl RowsIn<'_> {
    async fn write(&mut self, batch: &RecordBatch) -> Result<(), Fault> {
        let mut rows = self.target.rows(batch)?;
        if let Some((_, _, Some(until))) = self.moves
            && rows.time.iter().any(|time| *time > until)
        {
            let is_wanted: BooleanArray = rows.time.iter().map(|time| Some(*time <= until)).collect();
            rows = self.target.rows(&filter_record_batch(batch, &is_wanted).map_err(ExecError::from)?)?;
        }
        for (id, values) in &mut rows.tags {
            if let Some((_, value)) = self.moves.and_then(|(tags, ..)| tags.iter().find(|(tag, _)| tag == id)) {
                values.iter_mut().for_each(|known| known.clone_from(value));
            }
        }
        drop_empty_fields(&mut rows);
        if rows.time.is_empty() {
            return Ok(());
        }
        // Before they are written, since some may be when that fails.
        for &time in &rows.time {
            let (first, last) = self.moved.times.get_or_insert((time, time));
            (*first, *last) = ((*first).min(time), (*last).max(time));
        }
        self.moved.rows += match self.moves {
            Some((_, watch, _)) => insert_moved(self.core, &rows, watch).await?,
            None => insert(self.core, &rows).await?,
        };
        Ok(())
    }

    /// Writes what waited.
    async fn write_held(&mut self) -> Result<(), Fault> {
        if let Some((batches, _held)) = self.held.take() {
            for batch in batches {
                self.write(&batch).await?;
                yield_if_needed().await;
            }
        }
        Ok(())
    }
}

/// Columns without a value are none of the rows'.
fn drop_empty_fields(rows: &mut Insert) {
    rows.fields.retain(|(_, values)| match values {
        FieldValues::Int(values) => values.iter().any(Option::is_some),
        FieldValues::UInt(values) => values.iter().any(Option::is_some),
        FieldValues::Float(values) => values.iter().any(Option::is_some),
        FieldValues::Bool(values) => values.iter().any(Option::is_some),
        FieldValues::String(values) => values.iter().any(Option::is_some),
    });
}

impl RowsOut for RowsIn<'_> {
    async fn rows(&mut self, batch: &RecordBatch) -> Result<(), ExecError> {
        if let Some((batches, held)) = &mut self.held {
            held.resize(usize::try_from(held.bytes()).unwrap_or(usize::MAX).saturating_add(batch_bytes(batch)))?;
            batches.push(batch.clone());
            return Ok(());
        }
        match self.write(batch).await {
            Ok(()) => Ok(()),
            Err(fault) => {
                self.unwritten = Some(fault);
                Err(ExecError::Cancelled)
            }
        }
    }
}
