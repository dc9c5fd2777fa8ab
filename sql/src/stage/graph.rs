//! Stages: the parts of a query between which rows change hands.
//!
//! ```text
//! sources ─► operators ─► sink ─► the one stage that reads it, or the client
//! ```
//!
//! A stage has sources (a scan on every shard, constant rows, or what earlier stages put out), operators that work
//! batch by batch, and one sink, which passes rows on as they come or puts out the first when it has seen the last. A
//! stage over a scan runs on every shard, and what its runs put out is gathered on the core that asks; all other stages
//! run there. Descriptions only, immutable and without state: [`crate::exec::ShardRun`] and [`crate::exec::CoreRun`]
//! carry them out.

use std::sync::Arc;

use arrow_schema::{DataType, SchemaRef};

use super::fragment::Fragment;
use super::leaders::Leaders;
use crate::expr::{AggregateCall, Expr, Scalar};
use crate::plan::repair::Repair;
use crate::plan::series::{Fill, Forecast, Integral, SeriesLimit, TransformCall};
use crate::plan::{ExternalScan, JoinKind, SortKey, WindowCall};

/// A stage's place in its graph.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct StageId(u32);

impl StageId {
    /// The stage at a place.
    pub(crate) fn at(index: usize) -> Self {
        Self(index as u32)
    }

    /// The place as a number.
    pub(crate) fn index(self) -> usize {
        self.0 as usize
    }
}

/// A plan cut into stages. Each comes after those that it reads and is read by one; the last one's rows are the answer.
#[derive(Debug, Clone)]
pub struct StageGraph {
    pub(super) stages: Vec<Stage>,
}

/// A part of a query.
#[derive(Debug, Clone)]
pub(crate) enum Stage {
    /// Runs on every shard.
    Shards(Arc<Fragment>),
    /// Reads files, beside the core that asks.
    Files(Arc<ExternalScan>),
    /// Runs on the core that asks.
    Core(CoreStage),
}

/// A stage that every shard runs.
#[derive(Debug, Clone)]
pub struct ShardStage {
    /// Its place in the graph.
    pub stage: StageId,
    /// What it does. Crosses cores.
    pub fragment: Arc<Fragment>,
}

/// A stage that reads files.
#[derive(Debug, Clone)]
pub struct FileStage {
    /// Its place in the graph.
    pub stage: StageId,
    /// What it reads.
    pub scan: Arc<ExternalScan>,
}

/// A stage of the core that asks.
#[derive(Debug, Clone)]
pub(crate) struct CoreStage {
    /// Where its rows come from. Those of several sources are taken in any order: that is UNION ALL.
    pub(crate) sources: Vec<Source>,
    /// What is done to each batch, in this order.
    pub(crate) operators: Vec<OperatorSpec>,
    /// Where the rows end.
    pub(crate) sink: SinkSpec,
}

/// Where rows come from.
#[derive(Debug, Clone)]
pub(crate) enum Source {
    /// An earlier stage.
    Stage(StageId),
    /// Constants.
    Values { rows: Vec<Vec<Scalar>>, schema: SchemaRef },
}

/// What works batch by batch.
#[derive(Debug, Clone)]
pub(crate) enum OperatorSpec {
    Filter(Expr),
    Project { exprs: Vec<Expr>, schema: SchemaRef },
    Limit { skip: usize, fetch: Option<usize> },
    SeriesLimit(SeriesLimit),
    Leaders(Leaders),
    Transform { calls: Vec<TransformCall>, schema: SchemaRef },
}

/// One side of what must be equal in a join.
#[derive(Debug, Clone)]
pub(crate) struct JoinKeys {
    pub(crate) exprs: Vec<Expr>,
    pub(crate) types: Vec<DataType>,
}

/// What takes all rows of a stage.
#[derive(Debug, Clone)]
pub(crate) enum SinkSpec {
    /// Passes them on as they come.
    Gather,
    /// Joins the states that shards have made of their rows.
    Merge {
        /// Group keys, the first columns of the states.
        keys: usize,
        calls: Vec<AggregateCall>,
        /// For each distinct call, the key column that holds its values.
        distinct_columns: Vec<Option<usize>>,
        /// First column of states.
        states: usize,
        schema: SchemaRef,
    },
    Aggregate {
        keys: Vec<Expr>,
        calls: Vec<AggregateCall>,
        schema: SchemaRef,
    },
    Distinct {
        schema: SchemaRef,
    },
    Fill(Fill),
    /// Keeps all rows by their keys for the stage that joins them; puts none out.
    Build {
        keys: JoinKeys,
        /// The columns that are read of pairs; of others nothing is kept.
        read: Vec<bool>,
    },
    /// Joins rows with those of the stage `build`, the last of the sources.
    Join {
        kind: JoinKind,
        build: StageId,
        /// Of the rows that come in.
        keys: JoinKeys,
        filter: Option<Expr>,
        /// Names and types of the columns of both sides.
        pairs: SchemaRef,
        /// Which of them are read behind the join; the others are null there.
        read: Vec<bool>,
        /// Columns of the rows that come in.
        left_columns: usize,
        schema: SchemaRef,
    },
    Repeat {
        schema: SchemaRef,
    },
    /// Rows come in the order of `partition` and `order`.
    Window {
        partition: Vec<Expr>,
        order: Vec<SortKey>,
        calls: Vec<WindowCall>,
        schema: SchemaRef,
    },
    Repair {
        repair: Repair,
        schema: SchemaRef,
    },
    Forecast {
        forecast: Forecast,
        schema: SchemaRef,
    },
    Integral {
        integral: Integral,
        schema: SchemaRef,
    },
    Sort {
        keys: Vec<SortKey>,
        fetch: Option<usize>,
        /// The columns that are read of the rows in order; the others are null in them.
        read: Vec<bool>,
    },
}

impl StageGraph {
    /// The stages that run on every shard, in their order; none when the answer needs no shard.
    pub fn on_shards(&self) -> Arc<[ShardStage]> {
        let on_shards = |(at, stage): (usize, &Stage)| match stage {
            Stage::Shards(fragment) => Some(ShardStage { stage: StageId::at(at), fragment: Arc::clone(fragment) }),
            Stage::Files(_) | Stage::Core(_) => None,
        };
        self.stages.iter().enumerate().filter_map(on_shards).collect()
    }

    /// The stages that read files, in their order.
    pub fn of_files(&self) -> Vec<FileStage> {
        let of_files = |(at, stage): (usize, &Stage)| match stage {
            Stage::Files(scan) => Some(FileStage { stage: StageId::at(at), scan: Arc::clone(scan) }),
            Stage::Shards(_) | Stage::Core(_) => None,
        };
        self.stages.iter().enumerate().filter_map(of_files).collect()
    }

    /// All stages, by their place.
    pub(crate) fn stages(&self) -> &[Stage] {
        &self.stages
    }
}
