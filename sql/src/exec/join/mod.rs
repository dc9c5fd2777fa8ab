//! Joins by hash. One side is kept by its keys ([`Build`], on [`BuildSide`]); the rows of the other pass and meet it
//! ([`HashJoin`]). Without keys every row meets every other, and the filter decides. Both work in steps, and neither
//! makes more of the rows at once than one batch.

mod build;
mod gather;
mod keys;
mod probe;

pub(crate) use build::{Build, BuildSide};
pub(crate) use probe::{HashJoin, JoinPlan};
