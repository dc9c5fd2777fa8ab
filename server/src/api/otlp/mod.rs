//! OpenTelemetry's export over HTTP: traces, logs and metrics.

pub mod error;
mod export;

pub use export::{Signal, export};
