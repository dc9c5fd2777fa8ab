//! CnosDB's REST API.
//!
//! ```text
//!   write.rs         /api/v1/write
//!   sql.rs           /api/v1/sql; accept.rs what form its reply has
//!   insert_rows.rs   INSERT of a query's rows; update_tags.rs rows that go to other series
//!   users.rs         users; tenants.rs tenants, members and roles
//!   ping.rs          /api/v1/ping
//!   error.rs         faults in CnosDB's words and codes: forbidden.rs those of requests that are not let in,
//!                    catalog_error.rs those of the catalog, line_error.rs those of rows, sql_error.rs those of
//!                    statements and queries, with functions.rs, which knows the names of CnosDB's functions,
//!                    encode_error.rs those of results that a format cannot show
//! ```

mod accept;
pub mod catalog_error;
mod encode_error;
pub mod error;
mod files;
mod forbidden;
mod functions;
mod insert_rows;
mod line_error;
mod ping;
mod sql;
mod sql_error;
mod tenants;
mod update_tags;
mod users;
mod write;

pub use ping::ping;
pub use sql::sql;
pub(super) use tenants::run_purge;
pub use write::write;
