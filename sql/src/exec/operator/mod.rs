//! Operators that take batches in and put batches out, one a file.

mod chain;
mod filter;
mod limit;
mod project;

pub use chain::Flow;
pub(crate) use chain::{Chain, Operator};
pub(crate) use filter::Filter;
pub(crate) use limit::Limit;
pub(crate) use project::Project;
