//! Operators that stream: what comes out of a batch is settled when the batch has gone in, and nothing waits for the
//! end. One a file.

mod filter;
mod leaders;
mod limit;
mod project;
mod series_rows;
mod streaming;
mod transform;

pub(crate) use filter::Filter;
pub(crate) use leaders::Leaders;
pub(crate) use limit::Limit;
pub(crate) use project::Project;
pub(crate) use series_rows::SeriesRows;
pub(crate) use streaming::Operator;
pub(crate) use transform::Transform;
