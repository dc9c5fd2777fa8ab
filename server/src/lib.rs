//! The Tidewire server: the only crate that owns cores, rings and sockets, and joins the other three.
//!
//! The runtime below (everything that knows nothing of line protocol or SQL): [`config`], [`placement`], [`ring`] (the
//! executor, files and sockets of a core), [`mesh`] (messages between cores), [`net`] (connections), [`datadir`],
//! [`drain`], [`metrics`], [`shard`], which starts the cores, and [`launch`], which runs them until a signal.

pub mod config;
pub mod datadir;
pub mod drain;
pub mod launch;
pub mod mesh;
pub mod metrics;
pub mod net;
pub mod placement;
pub mod ring;
pub mod shard;
