//! InfluxDB's API of 1.x.
//!
//! ```text
//!   write.rs         /write
//!   query.rs         /query, whose reply answer.rs writes; statements.rs carries its statements out, schema.rs those
//!                    about what there is, select.rs SELECT (over cells.rs) and into.rs its INTO;
//!                    parameters.rs reads what they refer to by name, scope.rs is the rest
//!   ping.rs          /ping
//!   headers.rs       what every reply bears, and the reply to OPTIONS
//!   error.rs         faults in InfluxDB's words; catalog_error.rs those of the catalog, line_error.rs those of rows;
//!                    those of InfluxQL are worded where it is read and bound
//! ```

mod answer;
pub mod catalog_error;
mod cells;
pub mod error;
mod headers;
mod into;
mod line_error;
mod parameters;
mod ping;
mod query;
mod schema;
mod scope;
mod select;
mod statements;
mod write;

pub use headers::{VERSION, headers, options};
pub use ping::ping;
pub use query::query;
pub use write::write;
