//! What is counted of requests: by endpoint, and rows of all of them.

use std::rc::Rc;
use std::time::Duration;

use super::endpoint::Endpoint;
use crate::ingest::error::{REFUSAL_KINDS, WriteError};
use crate::ingest::fault::{BadRowLog, FAULT_KINDS};
use crate::ingest::session::Written;
use crate::metrics::registry::{Counter, Histogram, Registry, Unit};

/// Counters of one endpoint. Their label is its pattern, never a path as it came, so that clients cannot make new ones.
#[derive(Debug)]
pub struct EndpointCounters {
    latency: Rc<Histogram>,
    by_class: [Rc<Counter>; 5],
    overloaded: Rc<Counter>,
    broken_off: Rc<Counter>,
}

impl EndpointCounters {
    /// For `endpoint`, in `registry`.
    pub fn new(endpoint: &Endpoint, registry: &Registry) -> Self {
        let route = ("route", endpoint.pattern);
        Self {
            latency: registry.histogram(
                "tidewire_request_duration_seconds",
                "Time from a request's head to the end of its reply.",
                &[route],
                Unit::Nanoseconds,
            ),
            by_class: ["1xx", "2xx", "3xx", "4xx", "5xx"].map(|class| {
                let labels = [route, ("status", class)];
                registry.counter("tidewire_requests_total", "Requests answered, by class of status.", &labels)
            }),
            overloaded: registry.counter("tidewire_requests_overloaded_total", "Requests answered with 429.", &[route]),
            broken_off: registry.counter(
                "tidewire_replies_broken_off_total",
                "Replies that broke off behind their first rows; their requests count by the status of what went wrong.",
                &[route],
            ),
        }
    }

    /// Counts a reply that broke off. Its request is counted as every other.
    pub fn broken_off(&self) {
        self.broken_off.increment();
    }

    /// Counts a request that was answered with `status`.
    pub fn count(&self, status: u16, elapsed: Duration) {
        self.latency.record(elapsed.as_nanos() as u64);
        if let Some(counter) = self.by_class.get(usize::from(status / 100).wrapping_sub(1)) {
            counter.increment();
        }
        if status == 429 {
            self.overloaded.increment();
        }
    }
}

/// Rows that came in and went out, of all endpoints.
#[derive(Debug)]
pub struct RowCounters {
    /// Rows acknowledged.
    pub written: Rc<Counter>,
    /// Rows sent in replies.
    pub read: Rc<Counter>,
    /// Rows that are not taken, by [`FAULT_KINDS`].
    rejected: [Rc<Counter>; FAULT_KINDS.len()],
    /// Requests that wrote nothing, by [`REFUSAL_KINDS`].
    refused: [Rc<Counter>; REFUSAL_KINDS.len()],
    /// By [`Door`]: rows acknowledged, and those refused while others of their request were taken.
    by_door: [(Rc<Counter>, Rc<Counter>); Door::ALL.len()],
}

/// What rows are written in, besides line protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Door {
    /// OpenTSDB's data points, as text or JSON.
    OpenTsdb,
    /// Elasticsearch's bulk.
    Elasticsearch,
    /// Documents line by line.
    Ndjson,
    /// Loki's streams.
    Loki,
    /// Prometheus' samples.
    Prometheus,
    /// OpenTelemetry's spans, records and data points.
    Otlp,
}

impl Door {
    const ALL: [Self; 6] =
        [Self::OpenTsdb, Self::Elasticsearch, Self::Ndjson, Self::Loki, Self::Prometheus, Self::Otlp];

    fn name(self) -> &'static str {
        match self {
            Self::OpenTsdb => "opentsdb",
            Self::Elasticsearch => "elasticsearch",
            Self::Ndjson => "ndjson",
            Self::Loki => "loki",
            Self::Prometheus => "prometheus",
            Self::Otlp => "otlp",
        }
    }
}

impl RowCounters {
    /// In `registry`.
    pub fn new(registry: &Registry) -> Self {
        Self {
            written: registry.counter("tidewire_rows_written_total", "Rows acknowledged.", &[]),
            read: registry.counter("tidewire_rows_read_total", "Rows sent in replies.", &[]),
            rejected: FAULT_KINDS.map(|reason| {
                let help = "Rows that are not taken for what is wrong with them; of a request that is refused for one, that one.";
                registry.counter("tidewire_rows_rejected_total", help, &[("reason", reason)])
            }),
            refused: REFUSAL_KINDS.map(|reason| {
                let help = "Write requests of which nothing was acknowledged, by why.";
                registry.counter("tidewire_writes_refused_total", help, &[("reason", reason)])
            }),
            by_door: Door::ALL.map(|door| {
                let labels = [("door", door.name())];
                (
                    registry.counter("tidewire_door_rows_total", "Rows acknowledged, by format.", &labels),
                    registry.counter(
                        "tidewire_door_rows_refused_total",
                        "Rows refused while others of their request were taken, by format.",
                        &labels,
                    ),
                )
            }),
        }
    }

    /// Counts rows that are not taken, of a request whose others are.
    pub fn count_rejected(&self, bad_rows: &BadRowLog) {
        for (counter, count) in self.rejected.iter().zip(bad_rows.by_kind) {
            counter.add(count);
        }
    }

    /// Counts a request that wrote nothing.
    pub fn count_refused(&self, error: &WriteError) {
        self.refused[error.kind()].increment();
        if let WriteError::BadRow(row) = error {
            self.rejected[row.fault.kind()].increment();
        }
    }

    /// Counts what a request in the format of `door` has written.
    pub fn count(&self, door: Door, written: &Written) {
        self.written.add(written.rows);
        let (rows, refused) = &self.by_door[door as usize];
        rows.add(written.rows);
        refused.add(written.bad_rows.unparsed + written.bad_rows.dropped);
        self.count_rejected(&written.bad_rows);
    }
}
