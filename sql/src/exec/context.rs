//! What all parts of one query share, on whatever core they run: its memory account, its deadline and its off switch.
//!
//! Guarantee: the sum of all live [`Reservation`]s of a query never exceeds its limit, and a query that is cancelled or
//! late stops at its next [`QueryContext::check`], which every part calls between chunks.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use super::error::{ExecError, Result};

/// Shared state of one query. Clones are handles of the same query.
#[derive(Debug, Clone)]
pub struct QueryContext {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    memory_used: AtomicU64,
    memory_peak: AtomicU64,
    memory_bytes_max: u64,
    cancelled: AtomicBool,
    started: Instant,
    time_limit: Option<Duration>,
}

impl QueryContext {
    /// A query that may hold `memory_bytes_max` bytes and run for `time_limit` from now.
    pub fn new(memory_bytes_max: u64, time_limit: Option<Duration>) -> Self {
        Self {
            shared: Arc::new(Shared {
                memory_used: AtomicU64::new(0),
                memory_peak: AtomicU64::new(0),
                memory_bytes_max,
                cancelled: AtomicBool::new(false),
                started: Instant::now(),
                time_limit,
            }),
        }
    }

    /// Makes every part stop at its next check.
    pub fn cancel(&self) {
        self.shared.cancelled.store(true, Ordering::Relaxed);
    }

    /// Fails when the query was cancelled or is past its deadline.
    pub fn check(&self) -> Result<()> {
        if self.shared.cancelled.load(Ordering::Relaxed) {
            return Err(ExecError::Cancelled);
        }
        match self.shared.time_limit {
            Some(limit) if self.shared.started.elapsed() > limit => {
                Err(ExecError::Timeout { limit_ms: limit.as_millis() as u64 })
            }
            _ => Ok(()),
        }
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

    /// An account of zero bytes for one operator.
    pub(crate) fn reservation(&self) -> Reservation {
        Reservation { shared: Arc::clone(&self.shared), bytes: 0 }
    }
}

/// One operator's part of the query's memory; given back when dropped.
#[derive(Debug)]
pub(crate) struct Reservation {
    shared: Arc<Shared>,
    bytes: u64,
}

impl Reservation {
    /// Sets what the operator holds to `bytes`; on failure the account keeps its old size.
    pub(crate) fn resize(&mut self, bytes: usize) -> Result<()> {
        let bytes = bytes as u64;
        if bytes > self.bytes {
            let more = bytes - self.bytes;
            let limit = self.shared.memory_bytes_max;
            let before = self.shared.memory_used.fetch_add(more, Ordering::Relaxed);
            if before.saturating_add(more) > limit {
                self.shared.memory_used.fetch_sub(more, Ordering::Relaxed);
                return Err(ExecError::Memory { limit_bytes: limit });
            }
            self.shared.memory_peak.fetch_max(before + more, Ordering::Relaxed);
        } else {
            self.shared.memory_used.fetch_sub(self.bytes - bytes, Ordering::Relaxed);
        }
        self.bytes = bytes;
        Ok(())
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        self.shared.memory_used.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
    fn cancelled_and_late_queries_stop() {
        let context = QueryContext::new(0, Some(Duration::ZERO));
        std::thread::sleep(Duration::from_millis(2));
        assert!(matches!(context.check(), Err(ExecError::Timeout { limit_ms: 0 })));
        context.cancel();
        assert!(matches!(context.check(), Err(ExecError::Cancelled)));
    }
}
