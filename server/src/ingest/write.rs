//! A write request from its body to its acknowledgement.
//!
//! 1. Body pieces are parsed as they arrive; a line cut by a piece's end is kept and completed by the next.
//! 2. Where the catalog lacks a table or column, parsing goes on at that line with a catalog and with caches of the
//!    request's own, in which what it lacks is there (`provisional`).
//! 3. When the whole body is parsed, credits are taken from all owner shards.
//! 4. What the rows need of the catalog is made, with one change.
//! 5. Rows go to all shards. When every one has made its rows durable the request is acknowledged.

use std::sync::Arc;

use tidewire_protocol::line::{BodyState, Dialect, Progress, State, TimeRule};
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
use crate::net::Body;

/// Unit of the timestamps of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Precision {
    /// Hours.
    Hour,
    /// Minutes.
    Minute,
    /// Seconds.
    Second,
    /// Milliseconds.
    Millisecond,
    /// Microseconds.
    Microsecond,
    /// Nanoseconds.
    Nanosecond,
}

impl Precision {
    const fn nanoseconds(self) -> i64 {
        match self {
            Self::Hour => 3_600_000_000_000,
            Self::Minute => 60_000_000_000,
            Self::Second => 1_000_000_000,
            Self::Millisecond => 1_000_000,
            Self::Microsecond => 1_000,
            Self::Nanosecond => 1,
        }
    }
}

/// A write request without its body.
#[derive(Debug, Clone, Copy)]
pub struct WriteRequest<'a> {
    /// Database, as written.
    pub database: &'a str,
    /// Its retention policy; `None` for the default one.
    pub policy: Option<&'a str>,
    /// Whose rules the lines follow.
    pub dialect: Dialect,
    /// What becomes of rows that cannot be taken as they are.
    pub rules: RowRules,
    /// Unit of the timestamps.
    pub precision: Precision,
    /// The request's present: the time of lines without one, and what the age of rows is counted from.
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

/// The state of a request between pieces of its body.
struct Writing<'a> {
    core: &'a CoreState,
    request: WriteRequest<'a>,
    /// The retention policy.
    policy: Arc<str>,
    /// Rows before this time are too old to be kept.
    time_min: i64,
    rule: TimeRule,
    /// What all requests of the database use.
    cache: SharedCache,
    /// What this one goes on with since it has met what the catalog lacks.
    own: Option<Own>,
    collected: Collected,
    /// How far the parser has come.
    body: BodyState,
    share: BuildShare,
}

/// A catalog with what a request brings, and the caches that know of it.
struct Own {
    catalog: Catalog,
    cache: SharedCache,
}

/// Reads, parses and writes a request.
pub async fn write_lines(core: &CoreState, request: WriteRequest<'_>, body: &mut Body) -> Result<Written, WriteError> {
    let mut writing = begin(core, request)?;
    while let Some(piece) = body.chunk().await? {
        let consumed = writing.parse(piece.bytes, piece.is_last)?;
        let left = piece.bytes.len() - consumed;
        body.keep(left);
        writing.check_size(left)?;
        check_memory(core)?;
    }
    writing.commit().await
}

/// Parses and writes lines that are here.
pub async fn write_text(core: &CoreState, request: WriteRequest<'_>, lines: &[u8]) -> Result<Written, WriteError> {
    let mut writing = begin(core, request)?;
    writing.parse(lines, true)?;
    writing.check_size(0)?;
    writing.commit().await
}

/// The state of a request of which nothing is read.
fn begin<'a>(core: &'a CoreState, request: WriteRequest<'a>) -> Result<Writing<'a>, WriteError> {
    check_memory(core)?;
    let catalog = core.catalog();
    let Some(database) = catalog.databases.get(request.database) else {
        return Err(WriteError::DatabaseNotFound(request.database.to_owned()));
    };
    let name = request.policy.unwrap_or(&database.default_policy);
    let Some(policy) = database.policy(name) else {
        return Err(WriteError::PolicyNotFound(name.to_owned()));
    };
    let now_ns = request.now_ns;
    let mut collected = Collected::new(core.recycled.take(core.peers.shard_count() as usize));
    collected.shares_slots = true;
    Ok(Writing {
        core,
        request,
        policy: policy.name.clone(),
        time_min: policy.time_min(now_ns, database.precision),
        rule: time_rule(request.precision, database.precision, now_ns),
        cache: core.caches.get(request.database, &policy.name, request.dialect),
        own: None,
        collected,
        body: BodyState::default(),
        share: core.building.share(),
    })
}

fn time_rule(precision: Precision, unit: TimeUnit, now_ns: i64) -> TimeRule {
    let (from, to) = (precision.nanoseconds(), unit.nanoseconds());
    TimeRule { multiply: (from / to).max(1), divide: (to / from).max(1), now: now_ns / to }
}

impl Writing<'_> {
    /// Whether there is room for what is read, of which `left` bytes are not parsed.
    fn check_size(&mut self, left: usize) -> Result<(), WriteError> {
        let core = self.core;
        let bytes = (self.collected.bytes() + left) as u64;
        let bytes_max = core.row_bytes_max();
        if bytes > bytes_max {
            return Err(WriteError::TooLarge { bytes, bytes_max });
        }
        let may_go_on = self.share.set(bytes);
        core.memory.set(Part::Requests, core.building.used());
        if may_go_on { Ok(()) } else { Err(WriteError::TooMuchInFlight) }
    }

    /// Parses complete lines of `text`; returns the bytes consumed.
    fn parse(&mut self, text: &[u8], last: bool) -> Result<usize, WriteError> {
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
                    let (catalog, cache) = (self.core.catalog(), self.core.caches.own(self.request.dialect));
                    self.own = Some(Own { catalog: Catalog::clone(&catalog), cache });
                    self.collected.part(self.core.peers.shard_count());
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

    fn parse_some(&mut self, text: &[u8], last: bool) -> Progress {
        let newest = self.core.catalog();
        let (catalog, cache) = match &self.own {
            None => (&*newest, &self.cache),
            Some(own) => (&own.catalog, &own.cache),
        };
        let mut cache = cache.borrow_mut();
        let DatabaseCache { parser, slots, .. } = &mut *cache;
        let mut sink = RequestSink {
            slots,
            collected: &mut self.collected,
            catalog,
            database: self.request.database,
            policy: &self.policy,
            time_min: self.time_min,
            rules: self.request.rules,
            shards: self.core.peers.shard_count(),
        };
        // Requests of one database take turns on its parser.
        parser.swap_body(&mut self.body);
        let progress = parser.parse(text, last, &self.rule, &mut sink);
        parser.swap_body(&mut self.body);
        cache.count();
        progress
    }

    /// Takes credits, makes what the rows need of the catalog, sends them, waits until all are durable.
    async fn commit(mut self) -> Result<Written, WriteError> {
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
        make_durable(self.core, self.request.database, &self.policy, &mut admitted.rows[shared..]).await?;
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
