//! A shard on plain files, from its front door: what is appended is scanned, flushed, recovered, or refused.

mod basics;
mod common;
mod model;
