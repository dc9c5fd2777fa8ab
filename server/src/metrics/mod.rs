//! What the server counts: the registry of a core, and what memory and shards show in it.

pub(crate) mod memory;
pub mod registry;
pub(crate) mod shard;
