//! A shard from its front door: what is appended is scanned, flushed, recovered, or refused.

mod basics;
mod common;
mod failing;
mod faults;
mod model;
