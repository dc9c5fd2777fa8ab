//! One row of a sort: where it is held, and the head of its keys.
//!
//! The head is a class (null or not) and a 64-bit prefix that orders as the first key does, as far as it goes. Most
//! comparisons end there, without a look at the row.

use std::cmp::Ordering;

/// The bit of [`Entry::slot`] that holds the class.
const CLASS_BIT: u32 = 1 << 31;

/// Batches that a sort can hold: the other bits of [`Entry::slot`], less one that means the end.
pub(super) const BATCHES_MAX: usize = (CLASS_BIT - 1) as usize;

/// A row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Entry {
    prefix: u64,
    /// Class, and number of the batch.
    slot: u32,
    row: u32,
}

const _: () = assert!(size_of::<Entry>() == 16, "a sort holds one for each row");

impl Entry {
    /// Comes after every row.
    pub(super) const END: Self = Self { prefix: u64::MAX, slot: u32::MAX, row: u32::MAX };

    /// Row `row` of batch `batch`, whose keys have this head.
    pub(super) fn new((class, prefix): (bool, u64), batch: u32, row: u32) -> Self {
        debug_assert!((batch as usize) < BATCHES_MAX, "batch {batch}");
        Self { prefix, slot: batch | if class { CLASS_BIT } else { 0 }, row }
    }

    /// The head of its keys.
    pub(super) fn head(&self) -> (bool, u64) {
        (self.slot & CLASS_BIT != 0, self.prefix)
    }

    /// Number of its batch.
    pub(super) fn batch(&self) -> usize {
        (self.slot & !CLASS_BIT) as usize
    }

    /// Its row there.
    pub(super) fn row(&self) -> usize {
        self.row as usize
    }

    /// Whether it is no row.
    pub(super) fn is_end(&self) -> bool {
        self.slot == u32::MAX
    }

    /// By heads, then by `ties`, which is not asked about the end.
    #[inline]
    pub(super) fn order(&self, other: &Self, ties: impl FnOnce(&Self, &Self) -> Ordering) -> Ordering {
        let heads = (self.slot & CLASS_BIT, self.prefix).cmp(&(other.slot & CLASS_BIT, other.prefix));
        heads.then_with(|| match (self.is_end(), other.is_end()) {
            (false, false) => ties(self, other),
            (ended, other_ended) => ended.cmp(&other_ended),
        })
    }
}
