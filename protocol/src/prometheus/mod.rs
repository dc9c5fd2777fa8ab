//! Prometheus' remote write: a metric is a table, every label a tag (`__name__` among them), a sample a row with the
//! field `value`.
//!
//! `first.rs` reads messages of version 1, `second.rs` those of version 2, in which texts stand once, in a list of
//! symbols. A stale marker is no value and makes no row. Native histograms are refused, series by series.

mod first;
mod sample;
mod second;

pub use sample::{RemoteWrite, Samples};
pub use second::{symbols, symbols_bytes};
