//! CnosDB's REST API.
//!
//! ```text
//!   write.rs         /api/v1/write
//!   sql.rs           /api/v1/sql; accept.rs what form its reply has
//!   ping.rs          /api/v1/ping
//!   error.rs         faults in CnosDB's words and codes; catalog_error.rs those of the catalog, line_error.rs those of rows
//! ```

mod accept;
pub mod catalog_error;
pub mod error;
mod line_error;
mod ping;
mod sql;
mod write;

pub use ping::ping;
pub use sql::sql;
pub use write::write;
