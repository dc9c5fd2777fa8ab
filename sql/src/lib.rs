//! Text in, rows out: SQL (and later InfluxQL) is parsed, bound to one logical plan, rewritten by rules, cut once into
//! stages: fragments that every shard runs over its own scans, and stages of the asking core that join what they send.
//!
//! Only the scan waits; every operator is synchronous over arrow batches. Memory, time and cancellation are accounted
//! per query. No sockets and no catalog changes happen here: statements that change something are returned as data.

mod budget;
pub mod copy;
pub mod deletion;
pub mod error;
pub mod exec;
pub mod explain;
pub mod expr;
pub mod facts;
mod front;
pub mod function;
pub mod insertion;
mod optimize;
pub mod plan;
mod prepare;
pub mod session;
pub mod stage;
pub mod statement;
pub mod tenancy;
pub mod types;

pub use deletion::{Deletion, SeriesFilter, TagCondition, TagMatch};
pub use error::{Position, SqlError, SqlErrorKind};
pub use front::influxql;
pub use front::sql::bind::sql_name;
pub use front::sql::memory::bytes_to_prepare;
pub use insertion::InsertTarget;
pub use optimize::join_order::TableRows;
pub use prepare::{PrepareError, prepare, prepare_within};
pub use session::Session;
pub use stage::cut;
pub use statement::{DatabaseChange, Definition, PolicyOptions, Query, Statement, TableChange};
