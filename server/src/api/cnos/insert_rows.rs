//! INSERT of a query's rows, and UPDATE.
//!
//! Rows are written as they come, a batch at a time, by the way that all rows of INSERT take: each batch is durable
//! before the next is written. A failure leaves what was written until then. Each shard gives the rows that it had when
//! it was asked, and shards are asked one after the other: the rows of a query over the table that they go to are held,
//! in the query's memory, until all of them are known.
//!
//! UPDATE of tags moves series: their rows are written under the new tags, and only then are the old series deleted.
//! No two series may become one, so what has been copied can be told from what was there, and goes again where copying
//! fails.

use std::collections::HashSet;
use std::sync::Arc;

use arrow_array::RecordBatch;
use tidewire_sql::Deletion;
use tidewire_sql::deletion::{SeriesFilter, SeriesKey};
use tidewire_sql::error::{SqlError, SqlErrorKind};
use tidewire_sql::exec::{ExecError, Reservation, batch_bytes};
use tidewire_sql::insertion::InsertTarget;
use tidewire_sql::statement::{FieldValues, Insert, Query, TagUpdate};
use tidewire_storage::schema::{ColumnId, TableSchema};

use crate::api::context::RequestContext;
use crate::api::fault::Fault;
use crate::api::queries::{bounds, query_place};
use crate::core::message::{ReadSchema, SchemaFound, SchemaPart, SeriesOfTable};
use crate::core::state::CoreState;
use crate::ingest::insert::insert;
use crate::query::delete::delete;
use crate::query::run::{RowsOut, run};
use crate::query::schema::schema;
use crate::ring::yield_if_needed;

/// Series that one UPDATE may move. All of their keys are held.
const SERIES_MAX: u64 = 100_000;

/// Writes the rows of a query; returns their number.
pub(super) async fn insert_query(
    context: &RequestContext<'_>,
    query: &Query,
    target: &InsertTarget,
) -> Result<u64, Fault> {
    let (outcome, copied) = copy(context, query, target, &[], query.plan.reads(target.table.id)).await;
    outcome.map(|()| copied.rows)
}

/// Moves series; returns the number of their rows.
pub(super) async fn update_tags(context: &RequestContext<'_>, update: &TagUpdate) -> Result<u64, Fault> {
    let TagUpdate { rows, target, series, tags } = update;
    let core = context.core;
    let found = series_found(core, &target.table, series.clone(), SchemaPart::Count).await?;
    if found.count > SERIES_MAX {
        let what = format!("UPDATE of the tags of {} series: one statement may move {SERIES_MAX}", found.count);
        return Err(SqlError::new(SqlErrorKind::Unsupported(what)).into());
    }
    let found = series_found(core, &target.table, series.clone(), SchemaPart::Series).await?;
    let moves = |key: &&SeriesKey| tags.iter().any(|(tag, value)| value_of(key, *tag) != value.as_deref());
    let old: Vec<SeriesKey> = found.series.iter().filter(moves).cloned().collect();
    if old.is_empty() {
        return Ok(0);
    }
    let new: HashSet<SeriesKey> = old.iter().map(|key| with_tags(key, tags)).collect();
    let new_keys: Arc<[SeriesKey]> = new.iter().cloned().collect();
    let of_new = SeriesFilter::Keys(new_keys.clone());
    let there = series_found(core, &target.table, of_new.clone(), SchemaPart::Count).await?;
    if new.len() < old.len() || there.count > 0 {
        return Err(SqlError::new(SqlErrorKind::UpdateSeriesExists).into());
    }
    let table = target.table.clone();
    // What is copied is not copied again: series that have the new tags are not among the rows.
    let (outcome, copied) = copy(context, rows, target, tags, false).await;
    // What others have written since, before or behind these times, is not taken away with them.
    let times: Vec<(i64, i64)> = copied.times.into_iter().collect();
    match outcome {
        Ok(()) => {
            let series = SeriesFilter::Keys(old.into());
            delete(core, Deletion { table, series, times }).await?;
            Ok(copied.rows)
        }
        Err(fault) => {
            if let Err(error) = delete(core, Deletion { table, series: of_new, times }).await {
                log::error!("UPDATE of {} failed, and what it had copied is still there: {error}", target.table.name);
            }
            Err(fault)
        }
    }
}

async fn series_found(
    core: &CoreState,
    table: &Arc<TableSchema>,
    series: SeriesFilter,
    part: SchemaPart,
) -> Result<SchemaFound, Fault> {
    let of_table = SeriesOfTable { table: table.clone(), series, times: None };
    let mut found = schema(core, ReadSchema { tables: Arc::new([of_table]), part }).await.map_err(ExecError::from)?;
    Ok(found.pop().unwrap_or_default())
}

fn value_of(key: &SeriesKey, tag: ColumnId) -> Option<&str> {
    key.iter().find(|(known, _)| *known == tag).map(|(_, value)| &**value)
}

/// The key of the series that `key`'s becomes.
fn with_tags(key: &SeriesKey, tags: &[(ColumnId, Option<Arc<str>>)]) -> SeriesKey {
    let kept = key.iter().filter(|(known, _)| tags.iter().all(|(tag, _)| tag != known)).cloned();
    let set = tags.iter().filter_map(|(tag, value)| Some((*tag, Box::from(&**value.as_ref()?))));
    let mut key: Vec<_> = kept.chain(set).collect();
    key.sort_unstable_by_key(|(tag, _)| *tag);
    key.into()
}

async fn copy(
    context: &RequestContext<'_>,
    query: &Query,
    target: &InsertTarget,
    tags: &[(ColumnId, Option<Arc<str>>)],
    holds_all: bool,
) -> (Result<(), Fault>, Copied) {
    let core = context.core;
    let mut copied = Copied::default();
    let run = async {
        let _place = query_place(core)?;
        let bounds = bounds(core);
        let held = holds_all.then(|| (Vec::new(), bounds.reservation()));
        let mut rows = RowsIn { core, target, tags, held, copied: &mut copied, unwritten: None };
        let outcome = run(&core.peers, query, bounds, &mut rows).await.map_err(Fault::from);
        match (rows.unwritten.take(), outcome) {
            (Some(fault), _) | (None, Err(fault)) => Err(fault),
            (None, Ok(_)) => rows.write_held().await,
        }
    };
    let outcome = context.queries.count(run).await;
    context.rows.written.add(copied.rows);
    (outcome, copied)
}

/// What has been written of a query's rows.
#[derive(Debug, Default)]
struct Copied {
    rows: u64,
    /// Their first and last time.
    times: Option<(i64, i64)>,
}

/// Takes rows and writes them.
struct RowsIn<'a> {
    core: &'a CoreState,
    target: &'a InsertTarget,
    /// What tags are set to, whatever the rows have.
    tags: &'a [(ColumnId, Option<Arc<str>>)],
    /// Rows that wait for the last, and their memory; `None` where none wait.
    held: Option<(Vec<RecordBatch>, Reservation)>,
    copied: &'a mut Copied,
    /// Why rows could not be written, which ended the query.
    unwritten: Option<Fault>,
}

impl RowsIn<'_> {
    async fn write(&mut self, batch: &RecordBatch) -> Result<(), Fault> {
        let mut rows = self.target.rows(batch)?;
        let count = rows.time.len();
        for (id, values) in &mut rows.tags {
            if let Some((_, value)) = self.tags.iter().find(|(tag, _)| tag == id) {
                values.iter_mut().for_each(|known| known.clone_from(value));
            }
        }
        drop_empty_fields(&mut rows);
        if count == 0 {
            return Ok(());
        }
        // Before they are written, since some may be when that fails.
        for &time in &rows.time {
            let (first, last) = self.copied.times.get_or_insert((time, time));
            (*first, *last) = ((*first).min(time), (*last).max(time));
        }
        self.copied.rows += insert(self.core, &rows).await?;
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
