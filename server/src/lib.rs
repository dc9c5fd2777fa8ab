//! The Tidewire server: the only crate that owns cores, rings and sockets, and joins the other three.
//!
//! The runtime below (everything that knows nothing of line protocol or SQL): [`config`], [`placement`], [`ring`] (the
//! executor, files and sockets of a core), [`mesh`] (messages between cores), [`net`] (connections), [`datadir`],
//! [`drain`], [`memory`] (one bound for all of it), [`metrics`], [`shard`], which starts the cores, and [`launch`], which runs them until a signal.
//!
//! What makes it Tidewire: [`tidewire`] builds each core's [`hub`] (its shards, its catalog, its part of all requests)
//! and its [`route`]s; [`ingest`] turns lines into rows, [`query`] and [`reply`] plans into replies; [`meta`] owns the
//! catalog, [`admission`] says 429, [`set_aside`] knows the shards that damage keeps closed, [`message`] is all that
//! crosses cores. Beside the server stand the operator's [`tool`]s, which work on files alone.

pub mod admission;
mod cardinality;
pub mod clock;
pub mod config;
mod counted;
pub mod datadir;
pub mod delete;
pub mod drain;
pub mod hub;
pub mod ingest;
pub mod launch;
pub mod memory;
mod memory_metrics;
pub mod mesh;
pub mod message;
pub mod meta;
pub mod metrics;
pub mod net;
pub mod pace;
pub mod placement;
pub mod query;
mod relief;
pub mod reply;
pub mod ring;
pub mod route;
pub mod set_aside;
pub mod shard;
mod shard_metrics;
pub mod tidewire;
pub mod tool;
mod wait;
