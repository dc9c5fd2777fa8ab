//! Loki's streams: one row an entry, the labels of its stream as tags, its line as the field `msg`, its structured
//! metadata as fields `metadata.…`.
//!
//! `json.rs` reads the JSON of a push, `message.rs` its protobuf, `labels.rs` labels as text. A row is one time of one
//! series: an entry with the time of the entry before it, and another line, comes a nanosecond later, as Loki can be
//! told to do.

mod entry;
mod json;
mod labels;
mod message;

pub use entry::LokiPush;
