//! One core's side of everything: its shards, its view of the catalog, what it asks other cores and what it answers.

pub mod hub;
pub mod message;
pub mod offline;
pub(crate) mod upkeep;
