//! InfluxDB's API of 1.x.
//!
//! ```text
//!   write.rs         /write, and /api/v2/write, whose names bucket.rs reads
//!   query.rs         /query, whose body form.rs reads and whose reply answer.rs writes, in the format that accept.rs
//!                    finds; statements.rs carries its statements out: schema.rs those about what there is,
//!                    subscriptions.rs about who gets rows, too,
//!                    cardinality.rs about how much, running.rs about what runs, shards.rs about partitions of time,
//!                    statistics.rs and diagnostics.rs about the server, select.rs SELECT (over cells.rs) and into.rs
//!                    its INTO; parameters.rs reads what they refer to by name, scope.rs is the rest
//!   vars.rs          /debug/vars
//!   requests.rs      /debug/requests
//!   pprof            /debug/pprof
//!   continuous.rs    statements that run by themselves
//!   ping.rs          /ping
//!   headers.rs       what every reply bears, and the reply to OPTIONS
//!   error.rs         faults in InfluxDB's words; forbidden.rs those of requests that are not let in,
//!                    catalog_error.rs those of the catalog, line_error.rs those of rows; those of InfluxQL
//!                    are worded where it is read and bound
//! ```

mod accept;
mod answer;
pub(super) mod bucket;
mod cardinality;
pub mod catalog_error;
mod continuous;
mod diagnostics;
pub mod error;
mod forbidden;
mod form;
mod headers;
mod into;
mod late;
mod line_error;
mod parameters;
mod ping;
pub mod pprof;
mod query;
mod requests;
mod running;
mod schema;
mod scope;
mod select;
mod shards;
mod statements;
mod statistics;
mod subscriptions;
mod users;
mod vars;
mod write;

pub use continuous::run_continuous;
pub use headers::{VERSION, headers, options};
pub use ping::ping;
pub use query::query;
pub use requests::requests;
pub use vars::vars;
pub use write::{write, write_bucket};
