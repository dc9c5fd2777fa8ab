//! What the write requests of all doors have in common: from the database's name to the acknowledgement.
//!
//! 1. A [`Session`] begins with the database, its retention policy and the caches.
//! 2. The door gives rows to the sink ([`Session::with_sink`]). Where the catalog lacks a table or column, the sink
//!    pauses; [`Session::resume`] gives the request a catalog and caches of its own, in which what it lacks is there
//!    (`provisional`), and the door comes back with the same row.
//! 3. After each piece of the body [`Session::account`] counts what is held.
//! 4. [`Session::commit`] takes credits from all owner shards, makes what the rows need of the catalog with one change,
//!    and sends the rows. When every shard has made them durable the request is acknowledged.

use std::sync::Arc;

use tidewire_protocol::line::{Dialect, LineParser};
use tidewire_protocol::row::SlotCache;
use tidewire_storage::schema::{Catalog, TimeUnit};

use super::cache::DatabaseCache;
use super::caches::SharedCache;
use super::commit::{ShardRows, admit, check_memory, send};
use super::error::WriteError;
use super::fault::BadRowLog;
use super::provisional::{Needs, needs, settle};
use super::sink::{Collected, Refused, RequestSink, RowRules};
use crate::admission::BuildShare;
use crate::catalog::{CatalogError, SchemaChange, preview};
use crate::core::state::CoreState;
use crate::memory::Part;

/// Where the rows of a request go, and by which rules.
#[derive(Debug, Clone, Copy)]
pub struct Target<'a> {
    /// Database, as written.
    pub database: &'a str,
    /// Its retention policy; `None` for the default one.
    pub policy: Option<&'a str>,
    /// Whose rules lines follow, for whose parsers differ; other doors have one cache for all.
    pub dialect: Dialect,
    /// What becomes of rows that cannot be taken as they are.
    pub rules: RowRules,
    /// The request's present, which the age of rows is counted from.
    pub now_ns: i64,
}

/// What became of a request whose good rows are durable.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Written {
    /// Rows that are durable.
    pub rows: u64,
    /// Rows that are not, where the others were kept.
    pub bad_rows: BadRowLog,
}

/// A write request between its first piece and its end.
pub(super) struct Session<'a> {
    core: &'a CoreState,
    target: Target<'a>,
    /// Unit of the database's times.
    pub(super) unit: TimeUnit,
    /// The retention policy.
    policy: Arc<str>,
    /// Rows before this time are too old to be kept.
    time_min: i64,
    /// What all requests of the database use.
    cache: SharedCache,
    /// What this one continues with since it has met what the catalog lacks.
    own: Option<Own>,
    collected: Collected,
    share: BuildShare,
}

/// The caches of the doors: what they know of the database's series and layouts.
pub(super) struct Doors<'c> {
    /// The parser of lines.
    pub(super) parser: &'c mut LineParser,
    /// What other doors have by name.
    pub(super) names: &'c mut SlotCache,
}

/// A catalog with what a request brings, and the caches that know of it.
struct Own {
    catalog: Catalog,
    cache: SharedCache,
}

impl<'a> Session<'a> {
    /// Finds the database and its policy.
    pub(super) fn begin(core: &'a CoreState, target: Target<'a>) -> Result<Self, WriteError> {
        check_memory(core)?;
        let catalog = core.catalog();
        let Some(database) = catalog.databases.get(target.database) else {
            return Err(WriteError::DatabaseNotFound(target.database.to_owned()));
        };
        let name = target.policy.unwrap_or(&database.default_policy);
        let Some(policy) = database.policy(name) else {
            return Err(WriteError::PolicyNotFound(name.to_owned()));
        };
        let mut collected = Collected::new(core.recycled.take(core.peers.shard_count() as usize));
        collected.shares_slots = true;
        Ok(Self {
            core,
            target,
            unit: database.precision,
            policy: policy.name.clone(),
            time_min: policy.time_min(target.now_ns, database.precision),
            cache: core.caches.get(target.database, &policy.name, target.dialect),
            own: None,
            collected,
            share: core.building.share(),
        })
    }

    /// Lets a door give rows to the sink, with the caches that it goes by. Requests of one database take turns on them.
    pub(super) fn with_sink<R>(&mut self, give: impl FnOnce(&mut Doors<'_>, &mut RequestSink<'_>) -> R) -> R {
        let newest = self.core.catalog();
        let (catalog, cache) = match &self.own {
            None => (&*newest, &self.cache),
            Some(own) => (&own.catalog, &own.cache),
        };
        let mut cache = cache.borrow_mut();
        let DatabaseCache { parser, names, slots, .. } = &mut *cache;
        let mut sink = RequestSink {
            slots,
            collected: &mut self.collected,
            catalog,
            database: self.target.database,
            policy: &self.policy,
            time_min: self.time_min,
            rules: self.target.rules,
            shards: self.core.peers.shard_count(),
        };
        give(&mut Doors { parser, names }, &mut sink)
    }

    /// Counts what the caches hold now.
    pub(super) fn count_cache(&self) {
        let cache = self.own.as_ref().map_or(&self.cache, |own| &own.cache);
        cache.borrow_mut().count();
    }

    /// Why the request as a whole is refused, once it is.
    pub(super) fn refusal(&mut self) -> Result<(), WriteError> {
        match self.collected.refusal.take() {
            None => Ok(()),
            Some(Refused::BadRow(row)) => Err(WriteError::BadRow(Box::new(row))),
            Some(Refused::TableChanged) => Err(WriteError::TableChanged),
        }
    }

    /// After a pause: makes what the sink waits for.
    pub(super) fn resume(&mut self) -> Result<(), WriteError> {
        let wanted = self.collected.wanted.take();
        match (&mut self.own, wanted) {
            // The same row is met again, and then it says all that it needs.
            (None, _) => {
                let (catalog, cache) = (self.core.catalog(), self.core.caches.own(self.target.dialect));
                self.own = Some(Own { catalog: Catalog::clone(&catalog), cache });
                self.collected.part(self.core.peers.shard_count());
            }
            (Some(own), Some(wanted)) => match preview(&own.catalog, &wanted) {
                Ok(catalog) => own.catalog = catalog,
                Err(refusal @ (CatalogError::DatabaseNotFound(_) | CatalogError::PolicyNotFound(_))) => {
                    return Err(refusal.into());
                }
                // The row's fault: the door meets it again and gets this answer, the others go on.
                Err(fault) => self.collected.row_refusal = Some(fault),
            },
            (Some(_), None) => {}
        }
        Ok(())
    }

    /// Counts what the request holds: its rows, and `more` bytes beside them.
    pub(super) fn account(&mut self, more: usize) -> Result<(), WriteError> {
        let bytes = (self.collected.bytes() + more) as u64;
        let bytes_max = self.core.row_bytes_max();
        if bytes > bytes_max {
            return Err(WriteError::TooLarge { bytes, bytes_max });
        }
        let may_go_on = self.share.set(bytes);
        self.core.memory.set(Part::Requests, self.core.building.used());
        if !may_go_on {
            return Err(WriteError::TooMuchInFlight);
        }
        check_memory(self.core)
    }

    /// Takes credits, makes what the rows need of the catalog, sends them, waits until all are durable.
    pub(super) async fn commit(mut self) -> Result<Written, WriteError> {
        let written =
            Written { rows: self.collected.rows() as u64, bad_rows: std::mem::take(&mut self.collected.bad_rows) };
        let parted = self.collected.parted();
        let (batches, unused) = self.collected.finish(self.core.peers.shard_count());
        // Slots of an own cache have learnt nothing that others could use.
        let shared = if self.own.is_some() { parted } else { batches.len() };
        self.core.recycled.put(unused);
        let mut slots = Vec::with_capacity(batches.len());
        let mut rows = Vec::with_capacity(batches.len());
        for (shard, finished) in batches {
            slots.push(finished.slots);
            rows.push(ShardRows { shard, batch: finished.batch, table: finished.table });
        }
        let mut admitted = admit(self.core, rows).await?;
        make_durable(self.core, self.target.database, &self.policy, &mut admitted.rows[shared..]).await?;
        let new_series = send(self.core, admitted).await?;
        let mut cache = self.cache.borrow_mut();
        for (slots, ids) in slots.into_iter().zip(new_series).take(shared) {
            cache.slots.learn(slots.into_iter().zip(ids));
        }
        cache.count();
        Ok(written)
    }
}

/// Makes the tables and columns of rows that were made with an own catalog, all with one change, and exchanges the ids.
async fn make_durable(
    core: &CoreState,
    database: &str,
    policy: &str,
    rows: &mut [ShardRows],
) -> Result<(), WriteError> {
    let mut tables = Needs::new();
    rows.iter().for_each(|part| needs(&part.batch, &part.table, &mut tables));
    if tables.is_empty() {
        return Ok(());
    }
    let change = SchemaChange::Ensure { database: database.to_owned(), policy: policy.to_owned(), tables };
    let catalog = match core.peers.change(change).await {
        Ok(catalog) => catalog,
        // Somebody else was faster, with another type: which row it is about is known when they are parsed anew.
        Err(CatalogError::ColumnConflict { .. } | CatalogError::TooManyColumns { .. }) => {
            return Err(WriteError::TableChanged);
        }
        Err(refusal) => return Err(refusal.into()),
    };
    for part in rows {
        let table = catalog.table_of(database, policy, &part.table.name).ok_or(WriteError::TableChanged)?;
        if !settle(&mut part.batch, &part.table, table) {
            return Err(WriteError::TableChanged);
        }
        part.table = table.clone();
    }
    Ok(())
}
