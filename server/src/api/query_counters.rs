//! Queries of both languages, counted: those that run, and how they end.

use std::rc::Rc;

use tidewire_sql::exec::ExecError;

use super::fault::Fault;
use crate::metrics::registry::{Counter, Gauge, Registry};

/// How a query ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Outcome {
    Done,
    Failed,
    TimedOut,
    /// Its client left, its connection broke, or the server stopped.
    Cut,
    /// It was not begun: too many ran, or memory was short.
    Refused,
}

const OUTCOMES: [&str; 5] = ["done", "failed", "timed_out", "cut", "refused"];

impl Outcome {
    fn of(fault: &Fault) -> Self {
        match fault {
            Fault::Query(ExecError::Timeout { .. }) => Self::TimedOut,
            Fault::Query(ExecError::Cancelled) => Self::Cut,
            Fault::TooManyQueries { .. } | Fault::QueryShortOfMemory(_) => Self::Refused,
            _ => Self::Failed,
        }
    }
}

/// The counters of a core's queries.
#[derive(Debug)]
pub struct QueryCounters {
    running: Rc<Gauge>,
    ended: [Rc<Counter>; OUTCOMES.len()],
}

impl QueryCounters {
    /// In `registry`.
    pub(super) fn new(registry: &Registry) -> Self {
        let help = "Queries that ended, by how: a query is cut when its client leaves, refused when too many run.";
        Self {
            running: registry.gauge("tidewire_queries_running", "Queries that run now, slow readers' included.", &[]),
            ended: OUTCOMES.map(|outcome| registry.counter("tidewire_queries_total", help, &[("outcome", outcome)])),
        }
    }

    /// Counts what `run` does as a query. One that is dropped before its end is cut.
    pub(super) async fn count<T>(&self, run: impl Future<Output = Result<T, Fault>>) -> Result<T, Fault> {
        let mut running = Running { counters: self, outcome: Outcome::Cut };
        self.running.add(1);
        let done = run.await;
        running.outcome = done.as_ref().err().map_or(Outcome::Done, Outcome::of);
        done
    }
}

/// A query that runs.
struct Running<'c> {
    counters: &'c QueryCounters,
    outcome: Outcome,
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        self.counters.running.add(-1);
        self.counters.ended[self.outcome as usize].increment();
    }
}

#[cfg(test)]
mod tests {
    use std::future::{pending, ready};
    use std::pin::pin;

    use futures_lite::future::{block_on, poll_once};

    use super::*;

    #[test]
    fn a_query_is_counted_by_how_it_ends() {
        let counters = QueryCounters::new(&Registry::new());
        let ended = |counters: &QueryCounters| counters.ended.each_ref().map(|counter| counter.get());
        let faults = [
            Fault::Query(ExecError::Execution("x".to_owned())),
            Fault::Query(ExecError::Timeout { limit_ms: 1 }),
            Fault::Query(ExecError::Cancelled),
            Fault::TooManyQueries { queries_max: 1 },
        ];
        block_on(counters.count(ready(Ok(())))).unwrap();
        for fault in faults {
            block_on(counters.count(ready(Err::<(), _>(fault)))).unwrap_err();
        }
        assert_eq!((ended(&counters), counters.running.get()), ([1, 1, 1, 1, 1], 0));
        {
            let mut dropped = pin!(counters.count(pending::<Result<(), Fault>>()));
            assert!(block_on(poll_once(&mut dropped)).is_none());
            assert_eq!(counters.running.get(), 1);
        }
        assert_eq!((ended(&counters), counters.running.get()), ([1, 1, 1, 2, 1], 0));
    }
}
