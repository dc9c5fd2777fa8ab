//! A request between the first piece of its body and its acknowledgement.
//!
//! Parsing never waits, so the catalog can change between two pieces only: there a request looks whether it has, takes
//! over the terms that hold now, and leaves a cache that is over for another one. Rows that it has read before keep the
//! ids they have; whether these still stand for something is seen in the end ([`commit`](super::commit)).

use std::sync::Arc;

use tidewire_protocol::line::{BodyState, Progress, State};
use tidewire_storage::schema::Catalog;

use super::batch::ShardRows;
use super::cache::DatabaseCache;
use super::caches::SharedCache;
use super::commit::commit;
use super::error::WriteError;
use super::host::WriteHost;
use super::request::{Target, Terms, WriteRequest, Written};
use super::sink::{Collected, Refused, RequestSink};
use crate::catalog::{CatalogError, preview};

/// See the module.
pub(super) struct Writing<'a, H> {
    host: &'a H,
    request: WriteRequest<'a>,
    /// The catalog that the last piece was read with, and what it says.
    catalog: Arc<Catalog>,
    terms: Terms,
    /// What all requests of the database use.
    cache: SharedCache,
    /// What this one goes on with since it has met what the catalog lacks.
    own: Option<Own>,
    collected: Collected,
    /// How far the parser has come.
    body: BodyState,
}

/// A catalog with what a request brings, and the caches that know of it.
struct Own {
    catalog: Catalog,
    cache: SharedCache,
    /// Batches that were collected before.
    batches_before: usize,
}

impl<'a, H: WriteHost> Writing<'a, H> {
    /// A request of which nothing was read.
    pub(super) fn new(host: &'a H, request: WriteRequest<'a>) -> Result<Self, WriteError> {
        let catalog = host.catalog();
        let terms = Terms::of(&request, None, &catalog)?;
        let mut collected = Collected::new(host.recycled().take(host.shard_count() as usize));
        collected.shares_slots = true;
        let cache = host.caches().get(request.database, &terms.policy, request.dialect);
        Ok(Self { host, request, catalog, terms, cache, own: None, collected, body: BodyState::default() })
    }

    /// Memory held by the rows.
    pub(super) fn bytes(&self) -> usize {
        self.collected.bytes()
    }

    /// Parses complete lines of `text`; returns the bytes consumed.
    pub(super) fn parse(&mut self, text: &[u8], last: bool) -> Result<usize, WriteError> {
        self.catch_up()?;
        let mut consumed = 0;
        loop {
            let progress = self.parse_some(&text[consumed..], last);
            consumed += progress.consumed;
            if let Some(refused) = self.collected.refusal.take() {
                return Err(match refused {
                    Refused::BadRow(row) => WriteError::BadRow(Box::new(row)),
                    Refused::TableChanged => WriteError::TableChanged,
                });
            }
            match progress.state {
                State::Done | State::NeedMore | State::Stopped => return Ok(consumed),
                State::Paused => {}
            }
            let wanted = self.collected.wanted.take();
            match (&mut self.own, wanted) {
                // The same row is met again, and then it says all that it needs.
                (None, _) => {
                    self.collected.part(self.host.shard_count());
                    self.collected.shares_slots = false;
                    self.own = Some(Own {
                        catalog: Catalog::clone(&self.catalog),
                        cache: self.host.caches().own(self.request.dialect),
                        batches_before: self.collected.parted(),
                    });
                }
                (Some(own), Some(wanted)) => match preview(&own.catalog, &wanted) {
                    Ok(catalog) => own.catalog = catalog,
                    Err(refusal @ (CatalogError::DatabaseNotFound(_) | CatalogError::PolicyNotFound(_))) => {
                        return Err(refusal.into());
                    }
                    // The row's fault: the parser meets it again and gets this answer, the others go on.
                    Err(fault) => self.collected.row_refusal = Some(fault),
                },
                (Some(_), None) => {}
            }
        }
    }

    /// Takes over the catalog if it has changed since the last piece.
    fn catch_up(&mut self) -> Result<(), WriteError> {
        let newest = self.host.catalog();
        if Arc::ptr_eq(&newest, &self.catalog) {
            return Ok(());
        }
        let is_begun = self.own.is_some() || !self.collected.is_empty();
        let terms = Terms::of(&self.request, is_begun.then_some(&*self.terms.policy), &newest)?;
        let is_same_policy = terms.policy == self.terms.policy;
        if is_begun && (terms.unit != self.terms.unit || !is_same_policy) {
            // The database is another one: what was read of the body means something else there.
            return Err(WriteError::TableChanged);
        }
        (self.terms, self.catalog) = (terms, newest);
        if !is_same_policy || self.cache.borrow().has_ended() {
            let Self { host, request, terms, .. } = &*self;
            self.cache = host.caches().get(request.database, &terms.policy, request.dialect);
            if self.own.is_none() {
                self.collected.part(self.host.shard_count());
            }
            self.collected.forget_slots();
        }
        Ok(())
    }

    fn parse_some(&mut self, text: &[u8], last: bool) -> Progress {
        let (catalog, cache) = match &self.own {
            None => (&*self.catalog, &self.cache),
            Some(own) => (&own.catalog, &own.cache),
        };
        let mut cache = cache.borrow_mut();
        let DatabaseCache { parser, slots, .. } = &mut *cache;
        let mut sink = RequestSink {
            slots,
            collected: &mut self.collected,
            catalog,
            database: self.request.database,
            policy: &self.terms.policy,
            time_min: self.terms.time_min,
            rules: self.request.rules,
            shards: self.host.shard_count(),
        };
        // Requests of one database take turns on its parser.
        parser.swap_body(&mut self.body);
        let progress = parser.parse(text, last, &self.terms.rule, &mut sink);
        parser.swap_body(&mut self.body);
        cache.count();
        progress
    }

    /// Takes credits, makes what the rows need of the catalog, sends them, waits until all are durable.
    pub(super) async fn commit(mut self) -> Result<Written, WriteError> {
        let written =
            Written { rows: self.collected.rows() as u64, bad_rows: std::mem::take(&mut self.collected.bad_rows) };
        let (batches, unused) = self.collected.finish(self.host.shard_count());
        // Slots of an own cache have learnt nothing that others could use.
        let shared = self.own.as_ref().map_or(batches.len(), |own| own.batches_before);
        self.host.recycled().put(unused);
        let mut slots = Vec::with_capacity(batches.len());
        let mut rows = Vec::with_capacity(batches.len());
        for (place, (shard, finished)) in batches.into_iter().enumerate() {
            slots.push(finished.slots);
            let is_provisional = place >= shared;
            rows.push(ShardRows { shard, batch: finished.batch, table: finished.table, is_provisional });
        }
        let target = Target { database: self.request.database, policy: &self.terms.policy };
        let new_series = commit(self.host, target, rows).await?;
        let mut cache = self.cache.borrow_mut();
        for (slots, ids) in slots.into_iter().zip(new_series).take(shared) {
            cache.slots.learn(slots.into_iter().zip(ids));
        }
        cache.count();
        Ok(written)
    }
}
