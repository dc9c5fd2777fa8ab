//! The cut of a plan into stages: what runs where, and what hands its rows to what ([`StageGraph`]).
//!
//! `cut` makes the graph, `partial` what aggregates leave on the shards, `fragment` says what one shard runs and is
//! refined by `fold`, `keys`, `mode` and `prune`. `leaders` finds rows that no limit leaves.

mod cut;
mod display;
mod fold;
mod fragment;
mod graph;
mod keys;
mod leaders;
mod mode;
mod partial;
mod prune;

pub use cut::cut;
pub use fragment::Fragment;
pub(crate) use fragment::{Present, Shape, TimeOrder, TopBuckets};
pub(crate) use graph::{CoreStage, JoinKeys, OperatorSpec, SinkSpec, Source, Stage};
pub use graph::{FileStage, ShardStage, StageGraph, StageId};
pub(crate) use keys::{BucketKey, FusedKey, FusedKeys};
pub(crate) use leaders::{Leaders, OrderColumn};
pub(crate) use mode::field_at;
