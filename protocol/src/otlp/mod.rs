//! OpenTelemetry's spans: one row a span, its columns named as CnosDB names them.
//!
//! `columns.rs` has the names, and the row that is being filled; `message.rs` reads protobuf, `json.rs` JSON, and
//! `attribute.rs` writes the value of an attribute as text, from either. What the spans of a resource and of a scope
//! have in common is put into the row once, and each span takes its place behind it.

mod attribute;
mod columns;
mod json;
mod message;
mod response;

pub use columns::SpanReader;
pub use response::{partial_success, status_message};
