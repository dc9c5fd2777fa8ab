//! OpenTelemetry's export over HTTP: traces.

pub mod error;
mod traces;

pub use traces::{Named, traces};
