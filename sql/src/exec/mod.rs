//! Vectorised execution: what a shard runs over its scan ([`FragmentRun`]) and what joins the parts ([`FinalRun`]).
//!
//! Only the scan waits. Everything else is synchronous over arrow batches: expressions (`eval`), operators by kind, one
//! a file (`operator`, `aggregate`, `sink`), and what runs on a shard (`shard`), the fused aggregate over series runs
//! and time buckets among it. All of them account their memory in the [`QueryContext`].

pub(crate) mod aggregate;
mod batch;
pub mod context;
pub(crate) mod eval;
mod final_run;
mod operator;
pub mod shard;
mod sink;
#[cfg(test)]
pub(crate) mod testing;

pub use crate::error::ExecError;
pub(crate) use crate::error::execution as error;
pub use batch::batch_bytes;
pub use context::{QueryContext, QueryMemory, Reservation};
pub use final_run::FinalRun;
pub use operator::Flow;
pub use shard::{FragmentRun, ShardReader, selected_series};
