//! Vectorised execution: what a shard runs over its scan ([`FragmentRun`]) and what joins the parts ([`FinalRun`]).
//!
//! Only the scan waits. Everything else is synchronous over arrow batches: expressions (`eval`), the push operators
//! (`filter`, `project`, `aggregate`, `sort`, `limit`, one a file, chained in `operator`), and the fused aggregate over
//! series runs and time buckets (`fused`). All of them account their memory in the [`QueryContext`].

mod accumulate;
pub(crate) mod aggregate;
mod branch;
pub mod context;
mod deletion;
pub mod error;
pub(crate) mod eval;
mod feed;
mod filter;
mod final_run;
mod fragment_run;
mod fused;
mod group_table;
mod in_list;
mod limit;
mod operator;
mod project;
pub mod reader;
mod series;
mod sort;
#[cfg(test)]
pub(crate) mod testing;

pub use context::{QueryContext, QueryMemory, Reservation};
pub use deletion::selected_series;
pub use error::ExecError;
pub use final_run::FinalRun;
pub use fragment_run::FragmentRun;
pub use operator::{Flow, batch_bytes};
pub use reader::ShardReader;
