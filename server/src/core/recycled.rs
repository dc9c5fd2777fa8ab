//! Batches that are kept for use again: their columns have grown to the size of a request, so that the next one seldom
//! allocates.

use std::cell::RefCell;

use tidewire_storage::batch::WriteBatch;

/// Batches kept; each holds the memory of one request's rows for one shard, so a handful covers the connections that
/// are busy at one time.
const BATCHES_MAX: usize = 32;

/// Larger batches are not kept: with as many as [`BATCHES_MAX`], what a core keeps is at most 64 MiB.
const BATCH_BYTES_MAX: usize = 2 << 20;

/// The batches that one core keeps.
#[derive(Debug, Default)]
pub struct RecycledBatches(RefCell<Vec<WriteBatch>>);

impl RecycledBatches {
    /// Hands out batches, `count` at most.
    pub fn take(&self, count: usize) -> Vec<WriteBatch> {
        let mut batches = self.0.borrow_mut();
        let keep = batches.len().saturating_sub(count);
        batches.split_off(keep)
    }

    /// Takes batches back.
    pub fn put(&self, batches: impl IntoIterator<Item = WriteBatch>) {
        let mut kept = self.0.borrow_mut();
        for batch in batches {
            if kept.len() < BATCHES_MAX && batch.bytes() <= BATCH_BYTES_MAX {
                kept.push(batch);
            }
        }
    }

    /// Bytes of what is kept.
    pub(super) fn bytes(&self) -> u64 {
        self.0.borrow().iter().map(|batch| batch.reserved() as u64).sum()
    }

    /// Lets go of everything.
    pub(super) fn clear(&self) {
        self.0.borrow_mut().clear();
    }
}
