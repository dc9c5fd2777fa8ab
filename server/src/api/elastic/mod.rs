//! Elasticsearch's bulk API, as far as those who ship logs use it, and documents line by line.
//!
//! ```text
//!   bulk.rs      _bulk: documents with actions, and what CnosDB takes there too (`log_type`); items.rs its reply
//!   ndjson.rs    /api/v1/ndjson
//!   rule.rs      how documents become rows, as the parameters say
//!   hello.rs     what clients ask before they send
//!   error.rs     faults in the words of both APIs
//! ```

mod bulk;
pub mod error;
mod hello;
mod items;
mod ndjson;
mod rule;

pub use bulk::bulk;
pub use hello::{hello, index, license, nothing};
pub use ndjson::ndjson;
