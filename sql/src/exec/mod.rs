//! Vectorised execution of stages: those of a shard ([`ShardRun`]) and those of the core that asks ([`CoreRun`]).
//!
//! Only the scan waits. Everything else is synchronous over arrow batches: expressions (`eval`), operators by kind, one
//! a file (`operator` those that stream; `sink` and `aggregate` those that end with all rows), and what runs on a shard
//! (`shard`), the fused aggregate over series runs and time buckets among it. What can take long is done in steps, with
//! a point between two where others may run. All account their memory in the [`QueryContext`].

pub(crate) mod aggregate;
pub(crate) mod batch;
mod constants;
pub mod context;
mod core_run;
pub(crate) mod eval;
mod join;
mod operator;
mod series;
pub mod shard;
mod sink;
#[cfg(test)]
pub(crate) mod testing;
mod window;

pub use crate::error::ExecError;
pub use batch::batch_bytes;
pub use context::{ClientWait, QueryContext, QueryMemory, ReadLimits, Reservation};
pub use core_run::{CoreRun, Progress};
pub use shard::{ShardReader, ShardRun, selected_series};
