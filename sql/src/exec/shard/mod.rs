//! Stages at work on one shard: what they ask of the shard, the rows they read, and what they make of them.

mod deletion;
mod dictionary;
mod fragment_run;
mod fused;
mod names;
mod part;
mod reader;
mod rows;
mod run;
mod series;
mod source;
mod spans;

pub use deletion::selected_series;
pub use reader::{ChunkSource, NO_TAG, ShardReader, ShardSnapshot, TagIndex};
pub use run::ShardRun;
