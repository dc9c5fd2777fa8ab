//! The kinds of work of a core, each in a task queue of its own.
//!
//! A queue is chosen in proportion to its shares whenever several have work, so that a long query cannot starve an ack
//! and a flush cannot starve a query. A queue with work alone gets the whole core.

/// How many queues there are.
pub const QUEUES: usize = 4;

/// Which kind of work a task is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Queue {
    /// Connections, writes, log flushes, messages between cores, acks.
    Ingest,
    /// Scans and operators of queries.
    Query,
    /// Flushes to segments, retention, what looks after the clock.
    Maintenance,
    /// Merges of segments. Beside flushes in one queue they would get one read for each slice of a flush, and fall
    /// behind for good where flushes always have something to do.
    Compaction,
}

impl Queue {
    /// All queues, each at its index.
    pub const ALL: [Self; QUEUES] = [Self::Ingest, Self::Query, Self::Maintenance, Self::Compaction];

    /// Its name in metrics and log.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Ingest => "ingest",
            Self::Query => "query",
            Self::Maintenance => "maintenance",
            Self::Compaction => "compaction",
        }
    }

    /// Whether short tasks go before long ones. Tasks of the other queues serve many requests, one after the other, so
    /// that what they have had says nothing of what comes.
    pub(super) const fn has_short_tasks(self) -> bool {
        matches!(self, Self::Query)
    }

    /// Shares of the queue that has most.
    pub(super) const SHARES_MAX: u64 = 1000;

    /// Shares at the start. Under full load from all, writes get about half of the core, queries a quarter. Flushes
    /// need about a third of what the writes that feed them take; merges get more when they fall behind
    /// ([`Queues::set_shares`](super::queues::Queues::set_shares)).
    pub(super) const fn shares(self) -> u64 {
        match self {
            Self::Ingest => Self::SHARES_MAX,
            Self::Query => 500,
            Self::Maintenance => 350,
            Self::Compaction => 200,
        }
    }
}
