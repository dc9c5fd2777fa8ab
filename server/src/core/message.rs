//! Everything that crosses cores: a closed set of messages, moved by value.
//!
//! Work is a [`Request`] under a call; what comes back is an [`Answer`] to that call. Rows travel as a whole batch and
//! come home with the answer, so that their memory is used again by the core that made it.

use std::sync::Arc;

use arrow_array::RecordBatch;
use tidewire_sql::Deletion;
use tidewire_sql::exec::{ExecError, QueryContext, Reservation};
use tidewire_sql::explain::ShardMetrics;
use tidewire_sql::stage::Fragment;
use tidewire_storage::batch::{NewSeries, WriteBatch};
use tidewire_storage::schema::{SeriesId, TableId, TableSchema};
use tidewire_storage::series::SeriesSketch;

use crate::catalog::owner::Outcome;
use crate::catalog::{Published, SchemaChange};
use crate::mesh::CallId;
use crate::metrics::registry::Snapshot;

/// A message from one core to another.
#[derive(Debug)]
pub enum Message {
    /// Work for the receiver.
    Request {
        /// The sender's call.
        id: CallId,
        /// The work.
        request: Request,
    },
    /// An answer to a call of the receiver.
    Answer {
        /// The call.
        id: CallId,
        /// The answer.
        answer: Answer,
        /// Nothing more comes for this call.
        last: bool,
    },
    /// The sender has taken an answer of its call: one more may be sent.
    Grant {
        /// The sender's call.
        id: CallId,
    },
    /// The sender takes no more answers; the receiver ends the work with a last answer.
    Cancel {
        /// The sender's call.
        id: CallId,
    },
}

/// Work for another core.
#[derive(Debug)]
pub enum Request {
    /// Rows for a shard. One answer: [`Answer::Appended`].
    Append {
        /// The shard.
        shard: u32,
        /// The rows.
        batch: Box<WriteBatch>,
        /// Their table.
        table: Arc<TableSchema>,
    },
    /// A fragment to run over a shard. Answers: [`Answer::Partial`], then [`Answer::FragmentDone`].
    RunFragment {
        /// The shard.
        shard: u32,
        /// What to run.
        fragment: Arc<Fragment>,
        /// Bounds of the query.
        context: QueryContext,
    },
    /// Rows of a shard to delete. One answer: [`Answer::Deleted`].
    Delete {
        /// The shard.
        shard: u32,
        /// Which.
        deletion: Arc<Deletion>,
    },
    /// A schema change, for the core that owns the catalog. One answer: [`Answer::Changed`].
    Change(SchemaChange),
    /// A new catalog to use, data of dropped tables to drop. One answer: [`Answer::Published`].
    Publish(Published),
    /// Asks which keys belong to no series yet. One answer: [`Answer::UnknownSeries`].
    CheckSeries {
        /// The shard.
        shard: u32,
        /// The table.
        table: TableId,
        /// The keys.
        keys: NewSeries,
    },
    /// Asks for the number of series of tables in the receiver's shards. One answer: [`Answer::Cardinality`].
    Cardinality(Arc<[TableId]>),
    /// Asks for the receiver's metrics. One answer: [`Answer::Metrics`].
    Metrics,
}

/// What comes back.
#[derive(Debug)]
pub enum Answer {
    /// The rows are durable, or refused.
    Appended(Appended),
    /// The rows are gone for good, or not all of them.
    Deleted(Result<(), ExecError>),
    /// Rows or partial states of a running fragment.
    Partial {
        /// The rows or states.
        batch: RecordBatch,
        /// Their memory, until the asker has taken them.
        held: Reservation,
    },
    /// The fragment has ended; what it did, if it went well.
    FragmentDone(Result<ShardMetrics, ExecError>),
    /// The change is durable and visible, or refused.
    Changed(Outcome),
    /// The catalog is in use and the data is dropped.
    Published,
    /// How many keys belong to no series yet.
    UnknownSeries(usize),
    /// For each table its series, and a sketch of all of them.
    Cardinality(Vec<u64>, Box<SeriesSketch>),
    /// Counters and gauges of the core and its shards.
    Metrics(Box<Snapshot>),
}

/// The answer to [`Request::Append`].
#[derive(Debug)]
pub struct Appended {
    /// The batch, come home.
    pub batch: Box<WriteBatch>,
    /// Ids of its new series by ordinal.
    pub outcome: Result<Vec<SeriesId>, tidewire_storage::Error>,
}
