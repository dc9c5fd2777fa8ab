//! One core's side of everything: its shards, its view of the catalog, what it asks other cores and what it answers.
//!
//! ```text
//!   api, ingest, query ──► state ──► peers ──► message          asks: a question to the core of a shard, or to all
//!                serve ──► shards, fragments, state             answers: what is asked of this core
//!               upkeep ──► shards, state                        what the core does without being asked
//! ```
//!
//! [`message`] is the closed set of what crosses; [`state`] what the requests of a core share; [`shards`] its shards
//! and what is counted of them, [`offline`] those that damage keeps closed, [`running`] the statements that run,
//! [`tally`] who asks while somebody watches, [`watch`] what is written while series move, [`late`] what is written
//! for times that somebody has computed already, `wide` the tables of many columns; [`forwarding`] copies rows for
//! those who have subscribed; [`open`] opens shards at the start.

mod forwarding;
pub(crate) mod fragments;
pub mod late;
pub mod message;
pub mod offline;
pub(crate) mod open;
pub mod peers;
pub mod recycled;
pub mod running;
pub mod serve;
pub mod shards;
pub mod state;
pub mod tally;
pub(crate) mod upkeep;
pub mod usage;
pub mod watch;
mod wide;
