//! Upkeep: what a core does without being asked.

pub(crate) mod memory;
