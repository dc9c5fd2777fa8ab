//! What the write requests of all doors have in common: from the database's name to the acknowledgement.
//!
//! 1. A [`Session`] begins with the database, its retention policy and the caches.
//! 2. The door gives rows to the sink ([`Session::with_sink`]). Where the catalog lacks a table or column, the sink
//!    pauses; [`Session::resume`] gives the request a catalog and caches of its own, in which what it lacks is there
//!    (`provisional`), and the door comes back with the same row.
//! 3. After each piece of the body [`Session::account`] counts what is held. Between pieces the catalog may have
//!    changed: before it reads on, a door calls [`Session::catch_up`]. The request takes over the terms that hold then,
//!    and leaves a cache that is over for another one. Rows that it has read before keep the ids they have; whether
//!    these still stand for something is seen in the end.
//! 4. [`Session::commit`] takes credits from all owner shards, makes what the rows need of the catalog with one change,
//!    looks for the last time whether their tables are those that they were read for, and sends the rows. When every
//!    shard has made them durable the request is acknowledged.

use std::sync::Arc;

use tidewire_protocol::line::LineParser;
use tidewire_protocol::row::SlotCache;
use tidewire_storage::schema::{Catalog, TimeUnit};

use super::batch::ShardRows;
use super::cache::DatabaseCache;
use super::caches::SharedCache;
use super::commit::commit;
use super::error::WriteError;
use super::fault::BadRowLog;
use super::host::WriteHost;
use super::sink::{Collected, Refused, RequestSink};
pub use super::target::Target;
use super::target::{Place, Terms};
use crate::core::state::CoreState;
use tidewire_base::catalog::{CatalogError, preview};

/// What became of a request whose good rows are durable.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Written {
    /// Rows that are durable.
    pub rows: u64,
    /// Rows that are not, where the others were kept.
    pub bad_rows: BadRowLog,
}

/// A write request between its first piece and its end.
pub(super) struct Session<'a, H: WriteHost = CoreState> {
    host: &'a H,
    target: Target<'a>,
    /// The catalog that rows are read with, and what it says.
    catalog: Arc<Catalog>,
    terms: Terms,
    /// What all requests of the database use.
    cache: SharedCache,
    /// What this one continues with since it has met what the catalog lacks.
    own: Option<Own>,
    collected: Collected,
    share: H::Share,
}

/// The caches of the doors: what they know of the database's series and layouts.
pub(super) struct Doors<'c> {
    /// The parser of lines.
    pub(super) parser: &'c mut LineParser,
    /// What other doors have by name.
    pub(super) names: &'c mut SlotCache,
}

/// Text that is read before others get their turn: some 100 µs of lines.
const STEP_BYTES_MAX: usize = 64 << 10;
/// Text of the first step: rows that bring a column each are some hundred of them.
const STEP_BYTES_FIRST: usize = 8 << 10;
/// A few of the shortest rows. A line that is longer is read over several steps.
const STEP_BYTES_MIN: usize = 64;
/// Values that the rows of one step may add, those that they lack included: two megabytes, some milliseconds where
/// their pages are new.
const STEP_VALUES_MAX: usize = 1 << 18;
/// The shortest row has a few bytes.
const ROW_BYTES_MIN: usize = 8;

/// Text that may be read in one step where the widest batch has `columns`. A row that lacks most of them takes a value
/// in each all the same, so that a few bytes can take a hundred kilobytes of memory.
fn step_bytes(columns: usize) -> usize {
    (STEP_VALUES_MAX / columns.max(1)).saturating_mul(ROW_BYTES_MIN).clamp(STEP_BYTES_MIN, STEP_BYTES_MAX)
}

/// A catalog with what a request brings, and the caches that know of it.
struct Own {
    catalog: Catalog,
    cache: SharedCache,
    /// Batches that were collected before.
    batches_before: usize,
}

impl<'a, H: WriteHost> Session<'a, H> {
    /// Finds the database and its policy.
    pub(super) fn begin(host: &'a H, target: Target<'a>) -> Result<Self, WriteError> {
        let share = host.begin()?;
        let catalog = host.catalog();
        let terms = Terms::of(&target, None, &catalog)?;
        let mut collected = Collected::default();
        collected.shares_slots = true;
        let cache = host.caches().get(target.database, &terms.policy, target.dialect);
        Ok(Self { host, target, catalog, terms, cache, own: None, collected, share })
    }

    /// Unit of the database's times.
    pub(super) fn unit(&self) -> TimeUnit {
        self.terms.unit
    }

    /// Takes over the catalog if it has changed since the last piece. To be called where others may have run, before
    /// rows are read.
    pub(super) fn catch_up(&mut self) -> Result<(), WriteError> {
        let newest = self.host.catalog();
        if Arc::ptr_eq(&newest, &self.catalog) {
            return Ok(());
        }
        let is_begun = self.own.is_some() || !self.collected.is_empty();
        let terms = Terms::of(&self.target, is_begun.then_some(&*self.terms.policy), &newest)?;
        let is_same_policy = terms.policy == self.terms.policy;
        if is_begun && (terms.unit != self.terms.unit || !is_same_policy) {
            // The database is another one: what was read of the body means something else there.
            return Err(WriteError::TableChanged);
        }
        (self.terms, self.catalog) = (terms, newest);
        if !is_same_policy || self.cache.borrow().has_ended() {
            let Self { host, target, terms, .. } = &*self;
            self.cache = host.caches().get(target.database, &terms.policy, target.dialect);
            if self.own.is_none() {
                self.collected.part(self.host.shard_count());
            }
            self.collected.forget_slots();
        }
        Ok(())
    }

    /// Lets a door give rows to the sink, with the caches that it goes by. Requests of one database take turns on them.
    pub(super) fn with_sink<R>(&mut self, give: impl FnOnce(&mut Doors<'_>, &mut RequestSink<'_>) -> R) -> R {
        let (catalog, cache) = match &self.own {
            None => (&*self.catalog, &self.cache),
            Some(own) => (&own.catalog, &own.cache),
        };
        let mut cache = cache.borrow_mut();
        let DatabaseCache { parser, names, slots, .. } = &mut *cache;
        let mut sink = RequestSink {
            slots,
            collected: &mut self.collected,
            catalog,
            database: self.target.database,
            policy: &self.terms.policy,
            time_min: self.terms.time_min,
            rules: self.target.rules,
            shards: self.host.shard_count(),
            recycled: self.host.recycled(),
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
                self.collected.part(self.host.shard_count());
                self.collected.shares_slots = false;
                self.own = Some(Own {
                    catalog: Catalog::clone(&self.catalog),
                    cache: self.host.caches().own(self.target.dialect),
                    batches_before: self.collected.parted(),
                });
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

    /// Text that may be read in one step after `seen` bytes. See [`step_bytes`]; the first steps are short, since how
    /// wide the rows are is not known yet.
    pub(super) fn step_bytes(&self, seen: usize) -> usize {
        step_bytes(self.collected.columns_max()).min(STEP_BYTES_FIRST.max(seen))
    }

    /// Ends batches that have grown wide or large.
    pub(super) fn part_full(&mut self) {
        self.collected.part_full(self.host.shard_count());
    }

    /// Columns of the widest batch so far.
    pub(super) fn columns_max(&self) -> usize {
        self.collected.columns_max()
    }

    /// Others get their turn, if it is due.
    pub(super) async fn turn(&self) {
        H::yield_if_needed().await;
    }

    /// Counts what the request holds: its rows, and `more` bytes beside them.
    pub(super) fn account(&mut self, more: usize) -> Result<(), WriteError> {
        let bytes = (self.collected.bytes() + more) as u64;
        self.host.account(&mut self.share, bytes)
    }

    /// Takes credits, makes what the rows need of the catalog, sends them, waits until all are durable.
    pub(super) async fn commit(mut self) -> Result<Written, WriteError> {
        let written =
            Written { rows: self.collected.rows() as u64, bad_rows: std::mem::take(&mut self.collected.bad_rows) };
        let batches = self.collected.finish(self.host.shard_count());
        // Slots of an own cache have learnt nothing that others could use.
        let shared = self.own.as_ref().map_or(batches.len(), |own| own.batches_before);
        let mut slots = Vec::with_capacity(batches.len());
        let mut rows = Vec::with_capacity(batches.len());
        for (number, (shard, finished)) in batches.into_iter().enumerate() {
            slots.push(finished.slots);
            let is_provisional = number >= shared;
            rows.push(ShardRows { shard, batch: finished.batch, table: finished.table, is_provisional });
        }
        let place = Place { database: self.target.database, policy: &self.terms.policy };
        let new_series = commit(self.host, place, rows, None).await?;
        let mut cache = self.cache.borrow_mut();
        for (slots, ids) in slots.into_iter().zip(new_series).take(shared) {
            cache.slots.learn(slots.into_iter().zip(ids));
        }
        cache.count();
        Ok(written)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_over_a_wide_table_is_short() {
        // columns, bytes
        let table = [(0, 65_536), (1, 65_536), (32, 65_536), (128, 16_384), (1024, 2048), (16_384, 128)];
        for (columns, bytes) in table {
            assert_eq!(step_bytes(columns), bytes, "{columns}");
            assert!(columns * bytes / ROW_BYTES_MIN <= STEP_VALUES_MAX);
        }
        assert_eq!(step_bytes(usize::MAX), STEP_BYTES_MIN);
    }
}
