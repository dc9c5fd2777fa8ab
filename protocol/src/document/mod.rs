//! JSON documents as rows: what is nested gets a name with dots, what is `null` or empty is absent.
//!
//! `flatten.rs` makes a row of a document. `lines.rs` reads a document a line, `bulk.rs` Elasticsearch's pairs of an
//! action and its document.

mod bulk;
mod flatten;
mod lines;

pub use bulk::{Action, Bulk, BulkItem};
pub use flatten::{DocumentRule, Numbers};
pub use lines::JsonLines;
