//! What operators and their tools ask.

pub mod error;
mod metrics;

pub use metrics::metrics;
