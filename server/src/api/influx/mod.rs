//! InfluxDB's API of 1.x.
//!
//! ```text
//!   write.rs         /write
//!   query.rs         /query; statements.rs carries its statements out, cardinality.rs those that count
//!   ping.rs          /ping
//!   headers.rs       what every reply bears, and the reply to OPTIONS
//!   error.rs         faults in InfluxDB's words; catalog_error.rs those of the catalog, line_error.rs those of rows,
//!                    sql_error.rs those of statements
//! ```

mod cardinality;
pub mod catalog_error;
pub mod error;
mod headers;
mod line_error;
mod ping;
mod query;
mod sql_error;
mod statements;
mod write;

pub use headers::{headers, options};
pub use ping::ping;
pub use query::query;
pub use write::write;
