//! What all parts of one query share, on whatever core they run: its memory account, its deadline and its off switch.
//!
//! Guarantee: the sum of all live [`Reservation`]s of a query never exceeds its limit, that of all queries of a server
//! never exceeds the limit of their [`QueryMemory`], and a query that is cancelled or late stops at its next
//! [`QueryContext::check`], which every part calls between chunks.
//!
//! A part of what all may have is kept for queries that hold little: large ones, however many, leave it, so that a
//! question for some rows is answered beside them.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use crate::error::execution::{ExecError, Result};

/// A query that holds no more is small: a scan of a few series, their groups and its reply.
const SMALL_BYTES: u64 = 1 << 20;

/// The part of the memory of all that is kept for small queries.
const KEPT_FRACTION: u64 = 8;

/// What all queries of a server may hold together. Every query takes its memory from here too.
#[derive(Debug)]
pub struct QueryMemory {
    used: AtomicU64,
    bytes_max: u64,
    /// The server as a whole is short of memory: what is held may stay, nothing more is given.
    closed: AtomicBool,
    refused: AtomicU64,
}

impl QueryMemory {
    /// An account of at most `bytes_max` bytes.
    pub fn new(bytes_max: u64) -> Arc<Self> {
        Arc::new(Self {
            used: AtomicU64::new(0),
            bytes_max,
            closed: AtomicBool::new(false),
            refused: AtomicU64::new(0),
        })
    }

    /// Bytes that all queries hold now.
    pub fn used(&self) -> u64 {
        self.used.load(Ordering::Relaxed)
    }

    /// The most they may hold.
    pub fn bytes_max(&self) -> u64 {
        self.bytes_max
    }

    /// How often a query wanted more than there was.
    pub fn refused(&self) -> u64 {
        self.refused.load(Ordering::Relaxed)
    }

    /// The most that one of them may hold, where it is alone: the rest is kept for small ones.
    pub fn query_bytes_max(&self) -> u64 {
        Self::most_of_one(self.bytes_max)
    }

    /// The same of an account of `bytes_max` bytes.
    pub fn most_of_one(bytes_max: u64) -> u64 {
        if bytes_max <= SMALL_BYTES { bytes_max } else { bytes_max - bytes_max / KEPT_FRACTION }
    }

    /// The least that an account must have for one query to hold `query_bytes` of it.
    pub fn least_for(query_bytes: u64) -> u64 {
        query_bytes.saturating_add(query_bytes.div_ceil(KEPT_FRACTION - 1))
    }

    /// Gives nothing more until it is opened again.
    pub fn set_closed(&self, closed: bool) {
        if self.closed.load(Ordering::Relaxed) != closed {
            self.closed.store(closed, Ordering::Relaxed);
        }
    }

    /// What a query that holds `held` may still take.
    fn left(&self, held: u64) -> u64 {
        if self.closed.load(Ordering::Relaxed) {
            return 0;
        }
        let used = self.used();
        let while_small = self.bytes_max.saturating_sub(used).min(SMALL_BYTES.saturating_sub(held));
        self.query_bytes_max().saturating_sub(used).max(while_small)
    }

    /// Takes `bytes` for a query, which holds `held` with them.
    fn take(&self, bytes: u64, held: u64) -> Result<()> {
        let limit_bytes = if held <= SMALL_BYTES { self.bytes_max } else { self.query_bytes_max() };
        let before = self.used.fetch_add(bytes, Ordering::Relaxed);
        if before.saturating_add(bytes) <= limit_bytes && !self.closed.load(Ordering::Relaxed) {
            return Ok(());
        }
        self.give_back(bytes);
        self.refused.fetch_add(1, Ordering::Relaxed);
        Err(ExecError::ServerMemory { used_bytes: before, limit_bytes })
    }

    fn give_back(&self, bytes: u64) {
        self.used.fetch_sub(bytes, Ordering::Relaxed);
    }
}

/// Shared state of one query. Clones are handles of the same query.
#[derive(Debug, Clone)]
pub struct QueryContext {
    shared: Arc<Shared>,
}

/// What a query may read at most. Without a number it is as much as there is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ReadLimits {
    /// Series, those that are read twice counted twice.
    pub series_max: Option<u64>,
    /// Rows that its scans yield. What is answered from summaries of rows counts for nothing.
    pub rows_max: Option<u64>,
}

#[derive(Debug)]
struct Shared {
    memory_used: AtomicU64,
    memory_peak: AtomicU64,
    memory_bytes_max: u64,
    /// The account of all queries.
    all: Option<Arc<QueryMemory>>,
    cancelled: AtomicBool,
    started: Instant,
    time_limit: Option<Duration>,
    /// Nanoseconds for which the client was waited for.
    waited_ns: AtomicU64,
    /// The client is being waited for.
    waits: AtomicBool,
    read_limits: ReadLimits,
    series_read: AtomicU64,
    rows_read: AtomicU64,
}

/// The query waits for its client, until this is dropped. That time is not the query's.
#[derive(Debug)]
pub struct ClientWait {
    shared: Arc<Shared>,
    since: Instant,
}

impl Drop for ClientWait {
    fn drop(&mut self) {
        self.shared.waited_ns.fetch_add(self.since.elapsed().as_nanos() as u64, Ordering::Relaxed);
        self.shared.waits.store(false, Ordering::Release);
    }
}

impl QueryContext {
    /// A query that may hold `memory_bytes_max` bytes and run for `time_limit` from now.
    pub fn new(memory_bytes_max: u64, time_limit: Option<Duration>) -> Self {
        Self::with_account(memory_bytes_max, time_limit, None, ReadLimits::default())
    }

    /// The same for one of the queries that share `all`.
    pub fn of_server(memory_bytes_max: u64, time_limit: Option<Duration>, all: Arc<QueryMemory>) -> Self {
        Self::limited(memory_bytes_max, time_limit, all, ReadLimits::default())
    }

    /// The same for one that may only read so much.
    pub fn limited(
        memory_bytes_max: u64,
        time_limit: Option<Duration>,
        all: Arc<QueryMemory>,
        read_limits: ReadLimits,
    ) -> Self {
        Self::with_account(memory_bytes_max, time_limit, Some(all), read_limits)
    }

    fn with_account(
        memory_bytes_max: u64,
        time_limit: Option<Duration>,
        all: Option<Arc<QueryMemory>>,
        read_limits: ReadLimits,
    ) -> Self {
        Self {
            shared: Arc::new(Shared {
                memory_used: AtomicU64::new(0),
                memory_peak: AtomicU64::new(0),
                memory_bytes_max,
                all,
                cancelled: AtomicBool::new(false),
                started: Instant::now(),
                time_limit,
                waited_ns: AtomicU64::new(0),
                waits: AtomicBool::new(false),
                read_limits,
                series_read: AtomicU64::new(0),
                rows_read: AtomicU64::new(0),
            }),
        }
    }

    /// Makes every part stop at its next check.
    pub fn cancel(&self) {
        self.shared.cancelled.store(true, Ordering::Relaxed);
    }

    /// The query does nothing but wait for its client to take rows, for as long as the answer lives. One part of it
    /// waits at a time.
    pub fn wait_for_client(&self) -> ClientWait {
        self.shared.waits.store(true, Ordering::Relaxed);
        ClientWait { shared: Arc::clone(&self.shared), since: Instant::now() }
    }

    /// Fails when the query was cancelled or is past its deadline. The time that its client takes to read counts for
    /// nothing.
    pub fn check(&self) -> Result<()> {
        if self.shared.cancelled.load(Ordering::Relaxed) {
            return Err(ExecError::Cancelled);
        }
        match self.shared.time_limit {
            Some(limit) if self.shared.is_past(limit) => Err(ExecError::Timeout { limit_ms: limit.as_millis() as u64 }),
            _ => Ok(()),
        }
    }

    /// Counts series that a part of the query is about to read; `count` says how many.
    pub(crate) fn count_series(&self, count: impl FnOnce() -> u64) -> Result<()> {
        let Some(series_max) = self.shared.read_limits.series_max else { return Ok(()) };
        let count = count();
        let series = self.shared.series_read.fetch_add(count, Ordering::Relaxed).saturating_add(count);
        if series > series_max { Err(ExecError::TooManySeries { series, series_max }) } else { Ok(()) }
    }

    /// Counts rows that a part of the query has read.
    pub(crate) fn count_rows(&self, count: usize) -> Result<()> {
        let Some(rows_max) = self.shared.read_limits.rows_max else { return Ok(()) };
        let count = count as u64;
        let rows = self.shared.rows_read.fetch_add(count, Ordering::Relaxed).saturating_add(count);
        if rows > rows_max { Err(ExecError::TooManyRows { rows, rows_max }) } else { Ok(()) }
    }

    /// Bytes the query's operators hold now.
    pub fn memory_used(&self) -> u64 {
        self.shared.memory_used.load(Ordering::Relaxed)
    }

    /// The most bytes they held at once.
    pub fn memory_peak(&self) -> u64 {
        self.shared.memory_peak.load(Ordering::Relaxed)
    }

    /// The query's limit.
    pub fn memory_bytes_max(&self) -> u64 {
        self.shared.memory_bytes_max
    }

    /// Bytes that the query may still take.
    pub(crate) fn memory_left(&self) -> u64 {
        let held = self.memory_used();
        let own = self.memory_bytes_max().saturating_sub(held);
        self.shared.all.as_ref().map_or(own, |all| own.min(all.left(held)))
    }

    /// Whether `bytes` may be taken at once: from a query that holds little they leave an eighth of what all may have.
    /// Those that have begun go on to take what they need little by little, or the same from another shard, and where
    /// nothing is left for that all of them fail.
    pub(crate) fn leaves_room(&self, bytes: u64) -> bool {
        let Some(all) = &self.shared.all else { return true };
        let (held, most) = (self.memory_used(), all.query_bytes_max());
        let room = if held > SMALL_BYTES { most } else { most.saturating_sub(all.bytes_max() / KEPT_FRACTION) };
        held.saturating_add(bytes) <= SMALL_BYTES || all.used().saturating_add(bytes) <= room
    }

    /// The error of a part that has wanted more than [`Self::memory_left`].
    pub(crate) fn out_of_memory(&self) -> ExecError {
        let held = self.memory_used();
        let own = self.memory_bytes_max().saturating_sub(held);
        match &self.shared.all {
            Some(all) if all.left(held) < own => {
                ExecError::ServerMemory { used_bytes: all.used(), limit_bytes: all.query_bytes_max() }
            }
            _ => ExecError::Memory { limit_bytes: self.memory_bytes_max() },
        }
    }

    /// An account of zero bytes for one operator.
    pub fn reservation(&self) -> Reservation {
        Reservation { shared: Arc::clone(&self.shared), bytes: 0 }
    }
}

/// One operator's part of the query's memory; given back when dropped.
#[derive(Debug)]
pub struct Reservation {
    shared: Arc<Shared>,
    bytes: u64,
}

impl Reservation {
    /// What is held.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Sets what the operator holds to `bytes`; on failure the account keeps its old size.
    pub fn resize(&mut self, bytes: usize) -> Result<()> {
        let bytes = bytes as u64;
        if bytes > self.bytes {
            self.shared.take(bytes - self.bytes)?;
        } else {
            self.shared.give_back(self.bytes - bytes);
        }
        self.bytes = bytes;
        Ok(())
    }
}

impl Shared {
    fn is_past(&self, limit: Duration) -> bool {
        let elapsed = self.started.elapsed();
        // A wait that is seen to have ended has been added.
        elapsed > limit
            && !self.waits.load(Ordering::Acquire)
            && elapsed > limit + Duration::from_nanos(self.waited_ns.load(Ordering::Relaxed))
    }

    fn take(&self, more: u64) -> Result<()> {
        let limit = self.memory_bytes_max;
        let before = self.memory_used.fetch_add(more, Ordering::Relaxed);
        let taken = match before.saturating_add(more) > limit {
            true => Err(ExecError::Memory { limit_bytes: limit }),
            false => self.all.as_ref().map_or(Ok(()), |all| all.take(more, before + more)),
        };
        match taken {
            Ok(()) => {
                self.memory_peak.fetch_max(before + more, Ordering::Relaxed);
            }
            Err(_) => {
                self.memory_used.fetch_sub(more, Ordering::Relaxed);
            }
        }
        taken
    }

    fn give_back(&self, bytes: u64) {
        self.memory_used.fetch_sub(bytes, Ordering::Relaxed);
        if let Some(all) = &self.all {
            all.give_back(bytes);
        }
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        self.shared.give_back(self.bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_time_that_a_client_takes_is_not_the_querys() {
        let limit = Duration::from_millis(40);
        let context = QueryContext::new(1, Some(limit));
        let wait = context.wait_for_client();
        std::thread::sleep(limit * 2);
        assert!(context.check().is_ok(), "while it waits");
        drop(wait);
        assert!(context.check().is_ok(), "and after it");
        std::thread::sleep(limit * 2);
        assert!(matches!(context.check(), Err(ExecError::Timeout { limit_ms: 40 })));
        // Leaving counts as ever.
        let _wait = context.wait_for_client();
        assert!(context.check().is_ok());
        context.cancel();
        assert!(matches!(context.check(), Err(ExecError::Cancelled)));
    }

    #[test]
    fn a_reservation_over_the_limit_fails_and_names_it() {
        let context = QueryContext::new(1000, None);
        let mut a = context.reservation();
        let mut b = context.reservation();
        a.resize(600).unwrap();
        assert!(matches!(b.resize(500), Err(ExecError::Memory { limit_bytes: 1000 })));
        assert_eq!(context.memory_used(), 600);
        a.resize(100).unwrap();
        b.resize(500).unwrap();
        drop(a);
        assert_eq!(context.memory_used(), 500);
        drop(b);
        assert_eq!((context.memory_used(), context.memory_peak()), (0, 600));
    }

    #[test]
    fn queries_share_the_servers_account_and_give_back_what_they_held() {
        let all = QueryMemory::new(1000);
        let (one, two) =
            (QueryContext::of_server(900, None, all.clone()), QueryContext::of_server(900, None, all.clone()));
        let (mut a, mut b) = (one.reservation(), two.reservation());
        a.resize(700).unwrap();
        assert_eq!((one.memory_left(), two.memory_left()), (200, 300));
        assert!(matches!(one.out_of_memory(), ExecError::Memory { limit_bytes: 900 }));
        assert!(matches!(two.out_of_memory(), ExecError::ServerMemory { used_bytes: 700, limit_bytes: 1000 }));
        assert!(matches!(b.resize(301), Err(ExecError::ServerMemory { used_bytes: 700, limit_bytes: 1000 })));
        assert_eq!((two.memory_used(), all.used(), all.refused()), (0, 700, 1));
        assert!(matches!(a.resize(901), Err(ExecError::Memory { limit_bytes: 900 })));
        assert_eq!((one.memory_used(), all.used()), (700, 700));
        all.set_closed(true);
        assert!(b.resize(1).is_err() && two.memory_left() == 0);
        a.resize(600).unwrap();
        all.set_closed(false);
        b.resize(400).unwrap();
        drop((a, b));
        assert_eq!(all.used(), 0);
    }

    #[test]
    fn large_queries_leave_room_for_small_ones() {
        const MIB: u64 = 1 << 20;
        let all = QueryMemory::new(80 * MIB);
        assert_eq!(all.query_bytes_max(), 70 * MIB);
        assert_eq!(QueryMemory::least_for(70 * MIB), 80 * MIB);
        let query = || QueryContext::of_server(1 << 40, None, all.clone());
        let (large, other, small) = (query(), query(), query());
        let (mut of_large, mut of_other, mut of_small) =
            (large.reservation(), other.reservation(), small.reservation());
        of_large.resize(70 << 20).unwrap();
        assert_eq!((large.memory_left(), small.memory_left()), (0, MIB));
        let refused = of_large.resize((70 << 20) + 1);
        assert!(matches!(refused, Err(ExecError::ServerMemory { limit_bytes, .. }) if limit_bytes == 70 * MIB));
        of_small.resize(1 << 20).unwrap();
        assert!(of_small.resize((1 << 20) + 1).is_err());
        assert!(of_other.resize(2 << 20).is_err(), "it would not be small");
        assert!(small.leaves_room(0) && !large.leaves_room(1) && !other.leaves_room(2 << 20));
        // A query that was small and grows has what is there for all.
        drop(of_large);
        of_small.resize(60 << 20).unwrap();
        assert_eq!(small.memory_left(), 10 * MIB);
        assert!(other.leaves_room(1) && !other.leaves_room(2 << 20) && small.leaves_room(2 << 20));
        drop((of_other, of_small));
        assert_eq!(all.used(), 0);
    }

    #[test]
    fn what_a_query_reads_is_counted_over_all_its_parts() {
        let limits = ReadLimits { series_max: Some(5), rows_max: Some(10) };
        let context = QueryContext::limited(1, None, QueryMemory::new(1), limits);
        let other = context.clone();
        assert!(context.count_series(|| 3).is_ok() && other.count_series(|| 2).is_ok());
        let outcome = other.count_series(|| 1);
        assert!(matches!(outcome, Err(ExecError::TooManySeries { series: 6, series_max: 5 })), "{outcome:?}");
        assert!(context.count_rows(10).is_ok());
        let outcome = other.count_rows(1);
        assert!(matches!(outcome, Err(ExecError::TooManyRows { rows: 11, rows_max: 10 })), "{outcome:?}");
        let free = QueryContext::new(1, None);
        assert!(free.count_series(|| u64::MAX).is_ok() && free.count_rows(usize::MAX).is_ok());
        assert!(free.count_series(|| u64::MAX).is_ok(), "not counted at all");
    }

    #[test]
    fn cancelled_and_late_queries_stop() {
        let context = QueryContext::new(0, Some(Duration::ZERO));
        std::thread::sleep(Duration::from_millis(2));
        assert!(matches!(context.check(), Err(ExecError::Timeout { limit_ms: 0 })));
        context.cancel();
        assert!(matches!(context.check(), Err(ExecError::Cancelled)));
    }
}
