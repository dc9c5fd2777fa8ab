//! Everything that crosses cores: a closed set of messages, moved by value.
//!
//! A core asks a [`Question`] under a call and gets what that question is answered with: a question and its answer are
//! one typed pair, a line of `questions!` below. The table of open calls is chosen by the question's type, as is what
//! is put into it, so an answer of another kind cannot be written down:
//!
//! ```text
//!   asking core                                       answering core
//!   Peers::ask(question) ── Question(Asker, question) ─► Handler
//!   Call of its answer   ◄── Answer(call, answer) ────── Peers::answer(Asker, answer)
//! ```
//!
//! Rows travel as a whole batch and come home with the answer, so that their memory is used again by the core that made
//! it.

use std::collections::{BTreeMap, BTreeSet};
use std::marker::PhantomData;
use std::rc::Rc;
use std::sync::Arc;

use arrow_array::RecordBatch;
use tidewire_sql::exec::{ExecError, QueryContext, Reservation};
use tidewire_sql::explain::ShardMetrics;
use tidewire_sql::stage::{ShardStage, StageId};
use tidewire_sql::{Deletion, SeriesFilter};
use tidewire_storage::batch::{NewSeries, WriteBatch};
use tidewire_storage::schema::{ColumnId, SeriesId, TableId, TableSchema};
use tidewire_storage::series::SeriesSketch;

use super::late::{LateWatch, Spans};
use super::watch::Watch;
use crate::forward::Subscribed;
use crate::mesh::{CallId, Calls};
use crate::metrics::registry::Snapshot;
use crate::ring::TaskCount;
use tidewire_base::catalog::owner::Outcome;
use tidewire_base::catalog::{Published, SchemaChange};

/// Partials a shard may send before the first is used: enough to keep its core busy while the reply is written, few
/// enough that a wide result waits in the scan and not in memory.
pub const PARTIALS_AHEAD_MAX: u32 = 4;

/// A message from one core to another.
#[derive(Debug)]
pub enum Message {
    /// Work for the receiver.
    Question(AnyQuestion),
    /// An answer to a call of the receiver.
    Answer {
        /// The call and the answer.
        answer: AnyAnswer,
        /// Nothing more comes for this call.
        is_last: bool,
    },
    /// The asker has taken a partial of its fragment: one more may be sent.
    Grant(FragmentId),
    /// The asker takes no more partials; the receiver ends the fragment with a last answer.
    Cancel(FragmentId),
}

/// Works on the messages that arrive at a core.
pub trait Handler {
    /// Works on a message. Never waits: what takes time is spawned.
    fn handle(self: Rc<Self>, message: Message);
}

/// What one core asks another, with the type of its answer.
pub trait Question: Sized {
    /// What comes back.
    type Answer;
    /// Answers that may be on their way before the first is taken.
    const ANSWERS_AHEAD_MAX: u32;

    /// The open calls that wait for such answers.
    fn calls(open: &OpenCalls) -> &Rc<Calls<Self::Answer>>;
    /// The question as it travels.
    fn any(self, asker: Asker<Self>) -> AnyQuestion;
    /// An answer as it travels.
    fn any_answer(call: CallId, answer: Self::Answer) -> AnyAnswer;
}

/// Who waits for the answer to a question: a core and its open call. A question comes with one, and answering it for
/// good uses it up.
#[derive(Debug)]
pub struct Asker<Q> {
    core: usize,
    call: CallId,
    question: PhantomData<fn() -> Q>,
}

impl<Q: Question> Asker<Q> {
    /// An open call of `core` for an answer to `Q`.
    pub(super) fn new(core: usize, call: CallId) -> Self {
        Self { core, call, question: PhantomData }
    }

    /// The core that asks.
    pub(super) fn core(&self) -> usize {
        self.core
    }

    /// Its call.
    pub(super) fn call(&self) -> CallId {
        self.call
    }
}

/// Names a running fragment: the core that asks for it, and its call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct FragmentId {
    pub(super) core: usize,
    pub(super) call: CallId,
}

/// All rows of a request for a shard: queries see all of them or none.
#[derive(Debug)]
pub struct Append {
    /// The shard.
    pub shard: u32,
    /// The rows, by table.
    pub rows: Vec<TableBatch>,
    /// The watch of the statement that moves them from other series.
    pub by: Option<Arc<Watch>>,
    /// Who gets them, too.
    pub subscribed: Option<Arc<Subscribed>>,
}

/// Rows of one table.
#[derive(Debug)]
pub struct TableBatch {
    /// The rows. They name the life of the table they are for: its id.
    pub batch: WriteBatch,
    /// Their table.
    pub table: Arc<TableSchema>,
}

/// The answer to [`Append`]: the rows are durable, or refused.
#[derive(Debug)]
pub struct Appended {
    /// The rows, come home.
    pub rows: Vec<TableBatch>,
    /// Ids of the new series of each batch, by ordinal; none for one whose table has been dropped.
    pub outcome: Result<Vec<Vec<SeriesId>>, tidewire_storage::Error>,
}

/// The part of a query that a shard runs.
#[derive(Debug)]
pub struct RunFragment {
    /// The shard.
    pub shard: u32,
    /// What to run, one stage after the other over one snapshot.
    pub stages: Arc<[ShardStage]>,
    /// Bounds of the query.
    pub context: QueryContext,
}

/// The answers to [`RunFragment`].
#[derive(Debug)]
pub enum FragmentAnswer {
    /// Rows or partial states.
    Partial {
        /// The stage that yielded them.
        stage: StageId,
        /// The rows or states.
        batch: RecordBatch,
        /// Their memory, until the asker has taken them.
        held: Reservation,
    },
    /// The fragment has ended; what it did, if it went well. Nothing comes after it.
    Done(Result<ShardMetrics, ExecError>),
}

/// Rows of a shard to delete. The answer: they are gone for good, or not all of them.
#[derive(Debug)]
pub struct Delete {
    /// The shard.
    pub shard: u32,
    /// Which.
    pub deletion: Arc<Deletion>,
}

/// Sets a watch on a table of a shard. The answer: it is set.
#[derive(Debug)]
pub struct SetWatch {
    /// The shard.
    pub shard: u32,
    /// The table.
    pub table: TableId,
    /// The watch.
    pub watch: Arc<Watch>,
    /// The round of its statement.
    pub round: u32,
}

/// Rows of a shard to delete unless others have written some of them while they were watched. The answer: they are gone
/// for good, or the watch has met some and none is deleted, or they are not all deleted.
#[derive(Debug)]
pub struct DeleteWatched {
    /// The shard.
    pub shard: u32,
    /// Which.
    pub deletion: Arc<Deletion>,
    /// The watch that is set on their table.
    pub watch: Arc<Watch>,
    /// The round that it was set for.
    pub round: u32,
}

/// What a shard has done of a [`DeleteWatched`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WatchedDelete {
    /// All of it.
    Done,
    /// Nothing: others have written such rows.
    Written,
}

/// A change of the catalog, for the core that owns it. The answer: it is durable and visible, or refused.
#[derive(Debug)]
pub struct ChangeCatalog(pub SchemaChange);

/// A new catalog to use, data of dropped tables to drop. The answer: both is done.
#[derive(Debug, Clone)]
pub struct UseCatalog(pub Arc<Published>);

/// Asks how many keys belong to no series of a shard yet.
#[derive(Debug)]
pub struct CountUnknownSeries {
    /// The shard.
    pub shard: u32,
    /// The table.
    pub table: TableId,
    /// The keys.
    pub keys: NewSeries,
}

/// Asks for the number of series of tables in the receiver's shards.
#[derive(Debug, Clone)]
pub struct CountSeries {
    /// The tables.
    pub tables: Arc<[TableId]>,
}

/// Asks for the number of rows of tables in the receiver's shards. The answer has one number each; rows that were
/// written again may count twice.
#[derive(Debug, Clone)]
pub struct CountRows {
    /// The tables.
    pub tables: Arc<[TableId]>,
}

/// The answer to [`CountSeries`].
#[derive(Debug)]
pub struct SeriesTotals {
    /// For each table its series.
    pub by_table: Vec<u64>,
    /// A sketch of all of them.
    pub sketch: Box<SeriesSketch>,
}

/// Sets watches for late rows in the place of those that were set. The answer is what was noted for these since then,
/// each under its id.
#[derive(Debug, Clone)]
pub struct CollectLate(pub Arc<[LateWatch]>);

/// Asks what series there are in the receiver's shards, as their indexes have it.
#[derive(Debug, Clone)]
pub struct ReadSchema {
    /// The tables, and which of their series count.
    pub tables: Arc<[SeriesOfTable]>,
    /// What of them is wanted.
    pub part: SchemaPart,
}

/// Some series of a table.
#[derive(Debug, Clone)]
pub struct SeriesOfTable {
    /// The table.
    pub table: Arc<TableSchema>,
    /// Which series.
    pub series: SeriesFilter,
    /// Only those of shards whose rows of the table overlap these times, in its unit.
    pub times: Option<(i64, i64)>,
}

/// What of series is wanted.
#[derive(Debug, Clone)]
pub enum SchemaPart {
    /// How many there are.
    Count,
    /// Which tags they have.
    TagKeys,
    /// The values of the tags of these names.
    TagValues(Arc<[Arc<str>]>),
    /// Themselves.
    Series,
    /// The partitions of time that their table's rows lie in, whichever series they are of.
    Partitions,
}

/// The answer to [`ReadSchema`] for one table.
#[derive(Debug, Default)]
pub struct SchemaFound {
    /// How many series there are.
    pub count: u64,
    /// Tags that they have.
    pub keys: BTreeSet<ColumnId>,
    /// Values of tags, by tag.
    pub values: BTreeMap<ColumnId, BTreeSet<Box<str>>>,
    /// Tags of each series.
    pub series: Vec<SeriesTags>,
    /// First times of partitions, in the table's unit.
    pub partitions: BTreeSet<i64>,
}

/// The tags of a series, each with its value.
pub type SeriesTags = Box<[(ColumnId, Box<str>)]>;

/// Why a shard has not deleted its part.
#[derive(Debug)]
pub struct DeleteFailure {
    /// What went wrong.
    pub error: ExecError,
    /// Some of its rows may be deleted all the same.
    pub is_touched: bool,
}

/// Asks for the rows of the receiver's shards to be written as segments, and for those of some tables to be merged as
/// far as that makes sense. The answer: it is done, or the first failure.
#[derive(Debug, Clone)]
pub struct CompactShards {
    /// The tables.
    pub tables: Arc<BTreeSet<TableId>>,
}

/// Asks for what keeps the receiver's open shards from taking writes.
#[derive(Debug, Clone)]
pub struct ReadHealth;

/// Why an open shard takes no writes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ShardTrouble {
    /// The shard.
    pub shard: u32,
    /// In words.
    pub reason: String,
}

/// Asks for the counters and gauges of the receiver and its shards.
#[derive(Debug, Clone)]
pub struct ReadMetrics;

/// Asks what the receiver is busy with.
#[derive(Debug, Clone)]
pub struct ReadTasks;

/// The answer to [`ReadTasks`].
#[derive(Debug)]
pub struct CoreTasks {
    /// The core's number.
    pub core: usize,
    /// Its live tasks.
    pub tasks: Vec<TaskCount>,
    /// The shards that it has opened.
    pub shards: Vec<u32>,
}

/// The pairs: question, answer, answers that may be on their way before the first is taken, and the name of the table
/// of open calls.
macro_rules! questions {
    ($($question:ident => $answer:ty, $answers_ahead_max:expr, $calls:ident;)+) => {
        /// A question as it travels.
        #[derive(Debug)]
        #[expect(missing_docs, reason = "each is what its type says")]
        pub enum AnyQuestion {
            $($question(Asker<$question>, $question),)+
        }

        /// An answer as it travels, by the question it belongs to.
        #[derive(Debug)]
        #[expect(missing_docs, reason = "each is what its question's type says")]
        pub enum AnyAnswer {
            $($question(CallId, $answer),)+
        }

        /// The open calls of a core, by what they ask.
        #[derive(Debug)]
        pub struct OpenCalls {
            $($calls: Rc<Calls<$answer>>,)+
        }

        impl OpenCalls {
            /// No open calls.
            pub(super) fn new() -> Self {
                Self { $($calls: Calls::new(),)+ }
            }

            /// Hands an answer to the call it is for; `is_last` closes the call.
            pub(super) fn deliver(&self, answer: AnyAnswer, is_last: bool) {
                match answer {
                    $(AnyAnswer::$question(call, answer) => {
                        self.$calls.deliver(call, answer, is_last);
                    })+
                }
            }
        }

        $(impl Question for $question {
            type Answer = $answer;
            const ANSWERS_AHEAD_MAX: u32 = $answers_ahead_max;

            fn calls(open: &OpenCalls) -> &Rc<Calls<$answer>> {
                &open.$calls
            }

            fn any(self, asker: Asker<Self>) -> AnyQuestion {
                AnyQuestion::$question(asker, self)
            }

            fn any_answer(call: CallId, answer: $answer) -> AnyAnswer {
                AnyAnswer::$question(call, answer)
            }
        })+
    };
}

questions! {
    Append => Appended, 1, appends;
    // One more than partials, for the fragment's end.
    RunFragment => FragmentAnswer, PARTIALS_AHEAD_MAX + 1, fragments;
    Delete => Result<(), DeleteFailure>, 1, deletes;
    SetWatch => (), 1, watches;
    DeleteWatched => Result<WatchedDelete, DeleteFailure>, 1, watched_deletes;
    ChangeCatalog => Outcome, 1, changes;
    UseCatalog => (), 1, catalogs;
    CountUnknownSeries => usize, 1, unknown_series;
    CountSeries => SeriesTotals, 1, series;
    CountRows => Vec<u64>, 1, rows;
    CollectLate => Vec<(u64, Spans)>, 1, late;
    ReadSchema => Vec<SchemaFound>, 1, schemas;
    CompactShards => Result<(), tidewire_storage::Error>, 1, compactions;
    ReadMetrics => Snapshot, 1, metrics;
    ReadHealth => Vec<ShardTrouble>, 1, healths;
    ReadTasks => CoreTasks, 1, tasks;
}
