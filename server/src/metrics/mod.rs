//! What the server counts: the registry of a core, and what memory and shards show in it; and the pace of its log.

pub(crate) mod database;
pub(crate) mod file_system;
pub(crate) mod memory;
pub(crate) mod pace;
pub(crate) mod process;
pub mod registry;
pub(crate) mod shard;
