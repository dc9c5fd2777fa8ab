//! What the server and the operator's tools both stand on: how a data folder is laid out, and how a process is set up.
//!
//! [`config`] and [`cli`] say what was asked for ([`placement`]: of which processors), [`datadir`] keeps the folder of
//! shards whole, [`catalog`] is the one durable store of databases and tables, and [`series_owner`] says which shard a
//! series lives in; [`oneshot`] is a channel between tasks of one core. Nothing here knows of rings, sockets or
//! queries.

pub mod catalog;
pub mod cli;
pub mod config;
pub mod datadir;
pub mod oneshot;
pub mod placement;
pub mod series_owner;
