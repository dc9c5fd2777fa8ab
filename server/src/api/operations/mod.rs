//! What operators and their tools ask.

pub mod error;
mod health;
mod metrics;

pub use health::{health, ready};
pub use metrics::metrics;
