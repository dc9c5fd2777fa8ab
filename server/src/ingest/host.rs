//! What a write needs of the core that it runs on: its catalog and caches, and the ways to the shards and to the owner
//! of the catalog. A simulation has others.

use std::sync::Arc;

use tidewire_storage::schema::Catalog;

use super::batch::ShardRows;
use super::caches::DatabaseCaches;
use super::error::WriteError;
use super::target::Place;
use crate::core::message::{Append, Appended};
use crate::core::recycled::RecycledBatches;
use tidewire_base::catalog::SchemaChange;
use tidewire_base::catalog::owner::Outcome;

/// See the module.
pub trait WriteHost {
    /// Credits of shards, for as long as it is held.
    type Grant;
    /// What a request takes of the rows that the core parses at a time.
    type Share;

    /// Lets a request begin, if there is memory for it.
    fn begin(&self) -> Result<Self::Share, WriteError>;
    /// Counts what a request holds. Fails where it is too much.
    fn account(&self, share: &mut Self::Share, bytes: u64) -> Result<(), WriteError>;
    /// The newest catalog that the core has.
    fn catalog(&self) -> Arc<Catalog>;
    /// The core's caches. They end no later than the catalog changes that ends them.
    fn caches(&self) -> &DatabaseCaches;
    /// Memory for batches.
    fn recycled(&self) -> &RecycledBatches;
    /// Number of shards.
    fn shard_count(&self) -> u32;
    /// Takes credits for all of `rows`, or for none where one of them cannot be written now.
    fn admit(&self, place: Place<'_>, rows: &[ShardRows]) -> impl Future<Output = Result<Self::Grant, WriteError>>;
    /// Changes the catalog; resolves when the change is durable and this core has it.
    fn change(&self, change: SchemaChange) -> impl Future<Output = Outcome>;
    /// Lets others run, if it is time for that.
    fn yield_if_needed() -> impl Future<Output = ()>;
    /// Hands rows to their shard, waiting for the way to it, and gives the wait for its answer.
    fn append(&self, rows: Append) -> impl Future<Output = impl Future<Output = Appended>>;
}
