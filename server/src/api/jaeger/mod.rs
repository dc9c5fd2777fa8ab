//! Jaeger's query API over the spans that OpenTelemetry's door has stored.
//!
//! ```text
//!   question.rs   what a request asks for, and the statements that find it
//!   names.rs      `/api/services`, `/api/services/{service}/operations`, `/api/operations`
//!   traces.rs     `/api/traces`, `/api/traces/{id}`
//!   found.rs      rows of spans as traces
//!   span.rs       a row as a span of Jaeger's JSON
//!   envelope.rs   what stands around all replies, whole or in a stream; error.rs faults in it
//! ```

mod envelope;
pub mod error;
mod found;
mod names;
mod question;
mod span;
mod traces;

pub use names::{operations, operations_of, services};
pub use traces::{search, trace};
