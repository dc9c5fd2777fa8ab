//! A fragment at work on one shard: what it asks of the shard, the rows it reads, and what it makes of them.

mod deletion;
mod fused;
mod reader;
mod run;
mod series;
mod source;

pub use deletion::selected_series;
pub use reader::{ChunkSource, NO_TAG, ShardReader, TagIndex};
pub use run::FragmentRun;
