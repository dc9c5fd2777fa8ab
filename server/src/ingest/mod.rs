//! Lines to rows: the one room where `protocol` and `storage` meet on the way in.
//!
//! Guarantee: a request's rows are written to all their owner shards or, when the request is refused, to none; rows of
//! one series always go to the same shard; no row reaches a shard before its table and columns are durable in the
//! catalog.
//!
//! How: [`cache::DatabaseCache`] holds, per core and database, the parser with its caches and what each cached series,
//! table and layout stands for. [`sink::RequestSink`] receives rows and appends them to one columnar
//! [`batch::BatchBuilder`] per (owner shard, table). When a line needs a table or column that the catalog lacks, the
//! parser pauses, the request waits for the catalog's owner, and parsing goes on at that line.

pub mod batch;
pub mod cache;
pub mod caches;
pub mod commit;
pub mod error;
pub mod insert;
pub mod owner;
pub mod sink;
pub mod write;
