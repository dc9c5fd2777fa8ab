//! A shard from its front door: what is appended is scanned, flushed, recovered, or refused.

#![expect(clippy::unwrap_used, reason = "helpers of tests stop at the first surprise")]

mod amplification;
mod basics;
mod common;
mod compaction;
mod deletes;
mod failing;
mod faults;
mod inspect;
mod model;
mod readonly;
mod series;
