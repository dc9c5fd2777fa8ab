//! The cut of a plan into what every shard runs and what joins the parts.

mod cut;
mod display;
mod fold;
mod keys;
mod mode;
mod prune;

pub use cut::{Distributed, FinalStage, Fragment, cut};
pub(crate) use cut::{Shape, Step, TimeOrder};
pub(crate) use keys::{BucketKey, FusedKey, FusedKeys};
pub(crate) use mode::field_at;
