//! JSON documents as rows: what is nested gets a name with dots, what is `null` or empty is absent.
//!
//! `flatten.rs` makes a row of a document as the request says (`rule.rs`), with what `known.rs` has of documents before
//! it. `lines.rs` reads a document a line, `bulk.rs` Elasticsearch's pairs of an action and its document.

mod bulk;
mod flatten;
mod known;
mod lines;
mod rule;

pub use bulk::{Action, Bulk, BulkItem};
pub use lines::JsonLines;
pub use rule::{DocumentRule, Numbers};
