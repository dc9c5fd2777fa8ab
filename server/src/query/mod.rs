//! Queries and deletes over all shards: from a plan to rows.

pub mod cardinality;
pub mod delete;
pub mod files;
pub(crate) mod metered;
pub mod prepare;
pub mod run;
pub mod schema;
