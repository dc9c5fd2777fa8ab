//! Batches that are kept for use again: their columns have grown to the size of a request, so that the next one seldom
//! allocates. So is the memory of one message that was decompressed: several megabytes whose pages need not be new for
//! each request.

use std::cell::{Cell, RefCell};

use tidewire_storage::batch::WriteBatch;

/// Batches kept. A request has one for each of its tables and shards: a scrape of Prometheus has hundreds.
const BATCHES_MAX: usize = 1024;

/// What they hold together at most: a handful of large ones covers the connections that are busy at one time.
const BYTES_MAX: usize = 64 << 20;

/// A larger one is not kept.
const BATCH_BYTES_MAX: usize = 4 << 20;

/// Nor is a message that is larger.
const MESSAGE_BYTES_MAX: usize = 16 << 20;

/// The batches that one core keeps.
#[derive(Debug, Default)]
pub struct RecycledBatches {
    kept: RefCell<Vec<WriteBatch>>,
    bytes: Cell<usize>,
    message: RefCell<Vec<u8>>,
}

impl RecycledBatches {
    /// Hands out a batch; an empty one where none is kept.
    pub fn take(&self) -> WriteBatch {
        let batch = self.kept.borrow_mut().pop().unwrap_or_default();
        self.bytes.set(self.bytes.get() - batch.reserved());
        batch
    }

    /// Takes batches back.
    pub fn put(&self, batches: impl IntoIterator<Item = WriteBatch>) {
        let mut kept = self.kept.borrow_mut();
        for batch in batches {
            let bytes = batch.reserved();
            if kept.len() < BATCHES_MAX && bytes <= BATCH_BYTES_MAX && self.bytes.get() + bytes <= BYTES_MAX {
                self.bytes.set(self.bytes.get() + bytes);
                kept.push(batch);
            }
        }
    }

    /// Hands out the memory of a message; none where another request has it.
    pub fn take_message(&self) -> Vec<u8> {
        self.message.take()
    }

    /// Takes it back.
    pub fn put_message(&self, message: Vec<u8>) {
        if message.capacity() <= MESSAGE_BYTES_MAX {
            self.message.replace(message);
        }
    }

    /// Bytes of what is kept.
    pub(super) fn bytes(&self) -> u64 {
        (self.bytes.get() + self.message.borrow().capacity()) as u64
    }

    /// Lets go of everything.
    pub(super) fn clear(&self) {
        self.kept.borrow_mut().clear();
        self.bytes.set(0);
        self.message.take();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_kept_is_bounded_and_counted() {
        let batch = |rows: usize| WriteBatch { series: Vec::with_capacity(rows), ..WriteBatch::default() };
        let recycled = RecycledBatches::default();
        recycled.put([batch(BATCH_BYTES_MAX / 4 + 1)]);
        assert_eq!(recycled.bytes(), 0);
        recycled.put((0..100).map(|_| batch(BATCH_BYTES_MAX / 4)));
        assert_eq!(recycled.bytes(), BYTES_MAX as u64);
        assert_eq!(recycled.take().reserved(), BATCH_BYTES_MAX);
        assert_eq!(recycled.bytes(), (BYTES_MAX - BATCH_BYTES_MAX) as u64);
        recycled.clear();
        recycled.put((0..2 * BATCHES_MAX).map(|_| batch(1)));
        assert_eq!((recycled.bytes(), recycled.kept.borrow().len()), (4 * BATCHES_MAX as u64, BATCHES_MAX));
        while recycled.take().reserved() > 0 {}
        assert_eq!(recycled.bytes(), 0);
        recycled.put_message(vec![0; MESSAGE_BYTES_MAX + 1]);
        assert_eq!(recycled.bytes(), 0);
        recycled.put_message(vec![0; MESSAGE_BYTES_MAX]);
        assert_eq!(recycled.bytes(), MESSAGE_BYTES_MAX as u64);
        assert_eq!((recycled.take_message().len(), recycled.bytes()), (MESSAGE_BYTES_MAX, 0));
    }
}
