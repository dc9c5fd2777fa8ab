//! The operator's tools: subcommands of `tidewire` that work on the files of a data folder, without a server's help.
//!
//! Each gives a sentence where it refuses or fails, and the process then exits with 1. What they need of the formats
//! comes from [`tidewire_storage::inspect`], which only reads.

pub mod folder;
pub mod progress;
