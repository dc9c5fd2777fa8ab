//! OpenTelemetry's spans, log records and metrics.
//!
//! A span is a row whose columns have CnosDB's names (`columns.rs`); `message.rs` reads protobuf, `json.rs` JSON.
//! Records (`logs.rs`) and data points (`metrics.rs`) are walked once for both forms (`node.rs`). `attribute.rs` writes
//! the value of an attribute as text, `id.rs` ids, and `fill.rs` puts a row together: what the items of a resource and
//! of a scope have in common is put into it once, and each item takes its place behind it. `response.rs` has the
//! replies.

mod attribute;
pub mod columns;
mod fill;
mod id;
mod json;
mod known;
mod logs;
mod message;
mod metrics;
mod node;
mod response;

pub use columns::SpanReader;
pub use logs::LogReader;
pub use metrics::MetricReader;
pub use response::{partial_success, status_message};
