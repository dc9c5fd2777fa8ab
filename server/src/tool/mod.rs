//! The operator's tools: subcommands of `tidewire` that work on the files of a data folder, without a server's help.
//!
//! Each gives a sentence where it refuses or fails, and the process then exits with 1. What they need of the formats
//! comes from [`tidewire_storage::inspect`], which only reads. [`folder`] finds what a tool works on, [`verify`] reads
//! all of it, [`generation`] says what a backup is; the tools are [`inspect`], [`backup`] and [`restore`].

pub mod backup;
pub mod folder;
pub mod generation;
pub mod inspect;
pub mod progress;
pub mod restore;
pub mod text;
pub mod verify;
