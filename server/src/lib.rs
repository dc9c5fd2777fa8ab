//! The Tidewire server: the only crate that owns cores, rings and sockets, and joins the other three.
//!
//! The runtime below (everything that knows nothing of line protocol or SQL): [`ring`] (the executor, files and sockets
//! of a core), [`mesh`] (messages between cores), [`net`] (connections), [`memory`] (one bound for all of it),
//! [`metrics`], and [`runtime`], which starts the cores and runs them until a signal. Configuration, data folder and
//! catalog are [`tidewire_base`].
//!
//! What makes it Tidewire: [`app`] builds each core's [`core`] (its shards, its catalog, its part of all requests) and
//! its [`api`]; [`ingest`] turns lines into rows, [`query`] plans into rows; [`admission`] says 429,
//! [`forward`] sends rows on. Beside the server
//! stand the operator's tools (`tidewire_tool`), which work on files alone; `main.rs` is the command line of all of it.

pub mod admission;
pub mod api;
pub mod app;
pub mod auth;
pub mod core;
pub mod forward;
pub mod ingest;
pub mod journal;
pub mod memory;
pub mod mesh;
pub mod metrics;
pub mod net;
pub mod query;
pub mod ring;
pub mod runtime;
