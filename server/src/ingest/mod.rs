//! Rows to shards: the one room where `protocol` and `storage` meet on the way in.
//!
//! Guarantee: a request's rows are written to all their owner shards or, when the request is refused, to none; rows of
//! one series always go to the same shard; no row reaches a shard before its table and columns are durable in the
//! catalog.
//!
//! How: `write.rs` reads lines and `rows.rs` what all other doors bring, both in a session (`session.rs`).
//! [`cache::DatabaseCache`] holds, per core and database, the parser with its caches and what each cached series, table
//! and layout stands for. [`sink::RequestSink`] receives rows and appends them to one batch per (owner shard,
//! table), [`batch::TableRows`]. When a row needs a table or column that the catalog lacks, its door pauses, and
//! reading goes on at that row with a catalog and caches of the request's own (`provisional`); what rows need is made
//! durable with one change when all are read and admitted, so that a request that fails leaves nothing behind. What is
//! wrong with a row is a [`fault::RowFault`]; whether the others are written all the same is the door's choice
//! ([`sink::RowRules`]).

pub mod admit;
pub mod batch;
pub mod cache;
pub mod caches;
pub mod commit;
pub mod error;
pub mod fault;
pub mod host;
pub mod insert;
mod pending;
mod provisional;
pub mod rows;
pub mod session;
#[cfg(test)]
mod simulation;
pub mod sink;
pub mod target;
#[cfg(test)]
pub mod testing;
#[cfg(test)]
mod tests;
pub mod write;
