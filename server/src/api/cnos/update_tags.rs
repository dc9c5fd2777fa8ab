//! UPDATE of tags: rows of series go to the series of the new tags.
//!
//! Rows are copied, and only then are the old ones deleted; no two series may become one, so what has been copied can
//! be told from what was there. Others may write meanwhile. Nothing of theirs is lost:
//!
//! 1. A [`Watch`] on every shard notes what others write to the table while a round of the statement runs. A shard that
//!    has met rows of the old series between the first and the last time that were copied deletes nothing.
//! 2. Then another round copies and deletes, up to the last time of the first: rows that are behind it stay in their
//!    series, so writers of the present do not make it begin anew again and again.
//! 3. Series or columns that come into being meanwhile are not among the copies: the former wait for another round, the
//!    latter end the statement.
//! 4. Where the statement fails, copies are deleted again if their old rows are still there, and nobody else has
//!    written to the new series.

use std::collections::HashSet;
use std::sync::Arc;

use tidewire_base::series_owner;
use tidewire_sql::Deletion;
use tidewire_sql::deletion::{SeriesFilter, SeriesKey};
use tidewire_sql::error::{SqlError, SqlErrorKind};
use tidewire_sql::exec::ExecError;
use tidewire_sql::statement::TagUpdate;
use tidewire_storage::schema::{ColumnId, TableSchema};

use super::insert_rows::{Moved, copy};
use crate::api::context::RequestContext;
use crate::api::fault::Fault;
use crate::core::message::{ReadSchema, SchemaFound, SchemaPart, SeriesOfTable, SetWatch, WatchedDelete};
use crate::core::watch::Watch;
use crate::ingest::target::Place;
use crate::query::delete::delete_watched;
use crate::query::schema::schema;

/// Series that one UPDATE may move. All of their keys are held.
const SERIES_MAX: u64 = 100_000;

/// Rounds before a statement gives up. Each takes writes to the past of the very series that move.
const ROUNDS_MAX: u32 = 8;

/// Moves series; returns the number of their rows.
pub(super) async fn update_tags(context: &RequestContext<'_>, update: &TagUpdate) -> Result<u64, Fault> {
    let mut moving = Moving {
        context,
        update,
        watch: Arc::default(),
        targets: HashSet::new(),
        old: Vec::new(),
        shards: HashSet::new(),
        times: None,
    };
    let (mut rows, mut until) = (0, None);
    for round in 0..ROUNDS_MAX {
        let outcome = match moving.begin(round).await {
            Ok(()) if moving.old.is_empty() => return Ok(rows),
            Ok(()) => moving.copy(until).await,
            Err(fault) => Err(fault),
        };
        let copied = match outcome {
            Ok(copied) => copied,
            Err(fault) => {
                moving.take_back().await;
                return Err(fault);
            }
        };
        rows = rows.max(copied.rows);
        until = until.or(copied.times.map(|(_, last)| last));
        // From here on a failure leaves rows in both places, which is better than in none.
        if moving.delete(round, copied.times).await? {
            return Ok(rows);
        }
    }
    moving.take_back().await;
    Err(SqlError::new(SqlErrorKind::UpdateSeriesWritten).into())
}

/// A statement on its way.
struct Moving<'a> {
    context: &'a RequestContext<'a>,
    update: &'a TagUpdate,
    watch: Arc<Watch>,
    /// The keys that copies have.
    targets: HashSet<SeriesKey>,
    /// The series that move in this round.
    old: Vec<SeriesKey>,
    /// Shards that have deleted rows since they were copied.
    shards: HashSet<u32>,
    /// First and last time of all that was copied.
    times: Option<(i64, i64)>,
}

impl Moving<'_> {
    /// Watches the table, and finds what is to move.
    async fn begin(&mut self, round: u32) -> Result<(), Fault> {
        let core = self.context.core;
        let table = &self.update.target.table;
        let set = |shard| SetWatch { shard, table: table.id, watch: self.watch.clone(), round };
        core.peers.ask_shards(set).await;
        // What is written from now on is noted; what was written before can have no column that is not seen here.
        if !self.is_table_as_bound() {
            return Err(SqlError::new(SqlErrorKind::UpdateSeriesWritten).into());
        }
        self.old = self.found().await?;
        let new: Vec<SeriesKey> = self.old.iter().map(|key| with_tags(key, &self.update.tags)).collect();
        let distinct = new.iter().collect::<HashSet<_>>().len();
        let unknown: Arc<[SeriesKey]> = new.iter().filter(|key| !self.targets.contains(*key)).cloned().collect();
        let there = self.series(SeriesFilter::Keys(unknown), SchemaPart::Count).await?;
        if distinct < self.old.len() || there.count > 0 {
            return Err(SqlError::new(SqlErrorKind::UpdateSeriesExists).into());
        }
        self.targets.extend(new);
        Ok(())
    }

    /// Copies rows with times up to `until`.
    async fn copy(&mut self, until: Option<i64>) -> Result<Moved, Fault> {
        let TagUpdate { rows, target, tags, .. } = self.update;
        // Copies are not copied again: series that have the new tags are not among the rows.
        let (outcome, moved) = copy(self.context, rows, target, Some((tags, &self.watch, until))).await;
        self.times = match (self.times, moved.times) {
            (Some(one), Some(other)) => Some((one.0.min(other.0), one.1.max(other.1))),
            (one, other) => one.or(other),
        };
        outcome.map(|()| moved)
    }

    /// Deletes what was copied. False where some has to be copied again before.
    async fn delete(&mut self, round: u32, times: Option<(i64, i64)>) -> Result<bool, Fault> {
        let known: HashSet<&SeriesKey> = self.old.iter().collect();
        if self.found().await?.iter().any(|key| !known.contains(key)) {
            return Ok(false);
        }
        let done = self.delete_keys(self.old.iter().cloned().collect(), times, round).await?;
        self.shards.extend((0_u32..).zip(&done).filter(|(_, done)| **done == WatchedDelete::Done).map(|(at, _)| at));
        Ok(done.iter().all(|done| *done == WatchedDelete::Done))
    }

    /// Deletes copies whose old rows are all there.
    async fn take_back(&self) {
        let shards = self.context.core.peers.shard_count();
        let is_whole = |key: &&SeriesKey| !self.shards.contains(&owner(&self.update.target.table, key, shards));
        let copies = self.old.iter().filter(is_whole).map(|key| with_tags(key, &self.update.tags));
        // One that was there before is no copy.
        let keys = copies.filter(|key| self.targets.contains(key)).collect();
        let left = match self.delete_keys(keys, self.times, 0).await {
            Ok(done) if done.iter().all(|done| *done == WatchedDelete::Done) => return,
            Ok(_) => "others have written to the new series".to_owned(),
            Err(fault) => fault.to_string(),
        };
        let table = &self.update.target.table.name;
        log::error!("UPDATE of {table} failed, and what it had copied is still there: {left}");
    }

    async fn delete_keys(
        &self,
        keys: Arc<[SeriesKey]>,
        times: Option<(i64, i64)>,
        round: u32,
    ) -> Result<Vec<WatchedDelete>, Fault> {
        let table = self.update.target.table.clone();
        let times: Vec<(i64, i64)> = times.into_iter().collect();
        if times.is_empty() {
            return Ok(Vec::new());
        }
        let deletion = Deletion { table, series: SeriesFilter::Keys(keys), times };
        Ok(delete_watched(self.context.core, deletion, &self.watch, round).await?)
    }

    /// The series that the statement means and that do not have the new tags.
    async fn found(&self) -> Result<Vec<SeriesKey>, Fault> {
        let TagUpdate { series, tags, .. } = self.update;
        let found = self.series(series.clone(), SchemaPart::Count).await?;
        if found.count > SERIES_MAX {
            let what = format!("UPDATE of the tags of {} series: one statement may move {SERIES_MAX}", found.count);
            return Err(SqlError::new(SqlErrorKind::Unsupported(what)).into());
        }
        let found = self.series(series.clone(), SchemaPart::Series).await?;
        let moves = |key: &SeriesKey| tags.iter().any(|(tag, value)| value_of(key, *tag) != value.as_deref());
        Ok(found.series.into_iter().filter(moves).collect())
    }

    async fn series(&self, series: SeriesFilter, part: SchemaPart) -> Result<SchemaFound, Fault> {
        let of_table = SeriesOfTable { table: self.update.target.table.clone(), series, times: None };
        let question = ReadSchema { tables: Arc::new([of_table]), part };
        let mut found = schema(self.context.core, question).await.map_err(ExecError::from)?;
        Ok(found.pop().unwrap_or_default())
    }

    /// Whether the table has the columns that it had when the statement was bound.
    fn is_table_as_bound(&self) -> bool {
        let target = &self.update.target;
        let catalog = self.context.core.catalog();
        let Some(database) = catalog.databases.get(&target.database) else { return false };
        let place = Place { database: &database.name, policy: &database.default_policy };
        let ids = |table: &TableSchema| table.columns.iter().map(|column| column.id).collect::<Vec<_>>();
        place
            .table(&catalog, &target.table.name)
            .is_some_and(|table| table.id == target.table.id && ids(table) == ids(&target.table))
    }
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

/// The shard that has a series.
fn owner(table: &TableSchema, key: &SeriesKey, shards: u32) -> u32 {
    let mut tags: Vec<(&str, &str)> =
        key.iter().filter_map(|(id, value)| Some((&*table.column_by_id(*id)?.name, &**value))).collect();
    tags.sort_unstable();
    series_owner::owner(&table.name, tags, shards)
}
