//! Upkeep: what a core does without being asked.
//!
//! [`log`] writes and heals the log of a shard, [`flush`] its memtables, [`merge`] its segments, each until the shard
//! is closed. By the clock, [`tick`] reports and sets shares, [`expire`] drops what is too old, [`memory`] sheds what
//! is kept when memory is short, [`recheck`] sees that damaged segments are well again. [`pauses`] spaces tries of what
//! has failed. [`watchdog`] counts and logs what held the core, [`guard`] is what becomes of upkeep that panics.

pub(crate) mod expire;
pub(crate) mod flush;
pub(crate) mod guard;
pub(crate) mod log;
pub(crate) mod memory;
pub(crate) mod merge;
mod pauses;
pub(crate) mod recheck;
pub(crate) mod tick;
pub(crate) mod watchdog;
