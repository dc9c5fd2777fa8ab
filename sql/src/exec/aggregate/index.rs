//! Hashes to dense numbers, growing a little at a time.
//!
//! A hash table that is full moves all it holds into one of twice the size, which for a million entries is a pause
//! that a write on the same core would feel. Here the full table stays beside the new one, and each entry that is
//! added moves a few of the old ones over: the entries are the numbers `0..len`, so the next to move is known without
//! a search.

use hashbrown::HashTable;
use hashbrown::hash_table::Entry;

/// Entries that move for each that is added: the old table is empty long before the new one is full.
const MOVED_AT_ONCE: usize = 4;

/// A table of at most this many entries moves all of them at once, which takes a core about 100 µs: the step that the
/// contract allows, and less work than a few at a time.
const AT_ONCE_MAX: usize = 8_192;

/// Numbers by the hash of what they stand for.
#[derive(Debug, Default)]
pub(crate) struct DenseIndex {
    table: HashTable<u32>,
    /// The table before, as long as not all of it is moved.
    old: HashTable<u32>,
    /// Numbers below this are moved.
    moved: usize,
}

impl DenseIndex {
    /// The number of what hashes to `hash` and `is_it`; else `next`, which is added and must be the number of entries.
    /// `hash_of` is the hash of what any number stands for.
    #[inline]
    pub(crate) fn get_or_insert(
        &mut self,
        hash: u64,
        next: u32,
        is_it: impl Fn(u32) -> bool,
        hash_of: impl Fn(u32) -> u64,
    ) -> u32 {
        let is_full = self.table.len() == self.table.capacity() && self.table.len() > AT_ONCE_MAX;
        if is_full || !self.old.is_empty() {
            return self.get_or_insert_growing(hash, next, is_it, hash_of);
        }
        match self.table.entry(hash, |&at| is_it(at), |&at| hash_of(at)) {
            Entry::Occupied(entry) => *entry.get(),
            Entry::Vacant(entry) => *entry.insert(next).get(),
        }
    }

    /// The number of what hashes to `hash` and `is_it`, if it was added.
    pub(crate) fn find(&self, hash: u64, is_it: impl Fn(u32) -> bool) -> Option<u32> {
        self.table.find(hash, |&at| is_it(at)).or_else(|| self.old.find(hash, |&at| is_it(at))).copied()
    }

    #[cold]
    fn get_or_insert_growing(
        &mut self,
        hash: u64,
        next: u32,
        is_it: impl Fn(u32) -> bool,
        hash_of: impl Fn(u32) -> u64,
    ) -> u32 {
        if let Some(&at) = self.table.find(hash, |&at| is_it(at)).or_else(|| self.old.find(hash, |&at| is_it(at))) {
            return at;
        }
        if self.table.len() == self.table.capacity() {
            self.move_over(usize::MAX, &hash_of);
            let larger = HashTable::with_capacity(2 * self.table.capacity());
            self.old = std::mem::replace(&mut self.table, larger);
            self.moved = 0;
        }
        self.table.insert_unique(hash, next, |&at| hash_of(at));
        self.move_over(MOVED_AT_ONCE, &hash_of);
        next
    }

    /// Moves up to `count` entries out of the old table.
    fn move_over(&mut self, count: usize, hash_of: impl Fn(u32) -> u64) {
        let end = self.moved.saturating_add(count).min(self.old.len());
        for at in self.moved..end {
            self.table.insert_unique(hash_of(at as u32), at as u32, |&at| hash_of(at));
        }
        self.moved = end;
        if end == self.old.len() {
            self.old = HashTable::new();
        }
    }

    /// Memory held.
    pub(crate) fn bytes(&self) -> usize {
        (self.table.capacity() + self.old.capacity()) * (size_of::<u32>() + 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_entry_keeps_its_number_while_the_table_grows() {
        // Hashes that meet in their low and their high bits.
        let hash_of = |at: u32| u64::from(at % 97).wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ u64::from(at % 5);
        let mut index = DenseIndex::default();
        for next in 0..20_000u32 {
            assert_eq!(index.get_or_insert(hash_of(next), next, |at| at == next, hash_of), next);
            let known = next / 3;
            assert_eq!(index.get_or_insert(hash_of(known), next + 1, |at| at == known, hash_of), known);
            assert_eq!(index.find(hash_of(known), |at| at == known), Some(known));
            assert_eq!(index.find(hash_of(next + 1), |at| at == next + 1), None);
            // Never is a large table moved at once.
            assert!(index.old.is_empty() || index.old.len() > AT_ONCE_MAX && index.table.len() >= index.moved);
        }
        for known in 0..20_000u32 {
            assert_eq!(index.get_or_insert(hash_of(known), 20_000, |at| at == known, hash_of), known);
        }
        assert!(index.bytes() >= 20_000 * 5);
    }
}
