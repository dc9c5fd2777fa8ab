//! Hashes to dense numbers, growing a little at a time.
//!
//! 1. A slot holds 32 bits of a hash beside the number, so that what does not match is passed over without a look at
//!    what the number stands for, and slots move to a larger table without it. Slots that hash to one place follow one
//!    another, so that a search mostly touches one line of the cache.
//! 2. A hash table that is full moves all it holds into one of twice the size, which for a million entries is a pause
//!    that a write on the same core would feel. Here the full table stays beside the new one, and each entry that is
//!    added moves a few slots of the old one over.

/// Slots that move for each entry that is added: the old table is empty long before the new one is full.
const MOVED_AT_ONCE: usize = 8;

/// A table of at most this many slots moves all of them at once, which takes a core about 100 µs: the step that the
/// contract allows, and less work than a few at a time.
const AT_ONCE_MAX: usize = 16_384;

/// Slots of the first table.
const SLOTS_MIN: usize = 16;

/// No entry: numbers are kept plus one.
const VACANT: u64 = 0;

/// Numbers by the hash of what they stand for.
#[derive(Debug, Default)]
pub(crate) struct DenseIndex {
    slots: Slots,
    /// The table before, as long as not all of it is moved.
    old: Slots,
    /// Slots of it before this one are moved.
    moved: usize,
}

/// A table whose number of slots is none or a power of two: the bits of a hash above, its number plus one below.
#[derive(Debug, Default)]
struct Slots(Vec<u64>);

/// What a search comes to.
enum Found {
    Number(u32),
    /// A vacant slot; `None` of a table that has no slots.
    Vacant(Option<usize>),
}

impl Slots {
    fn with(slots: usize) -> Self {
        Self(vec![VACANT; slots])
    }

    /// Where the search for a hash begins: by its highest bits.
    #[inline]
    fn start(&self, tag: u32) -> usize {
        ((u64::from(tag) * self.0.len() as u64) >> 32) as usize
    }

    /// Entries that there is room for. Two of three slots are in use at most: a search of what is not there then looks
    /// at five.
    #[inline]
    fn room(&self) -> usize {
        self.0.len() / 3 * 2
    }

    #[inline]
    fn find(&self, tag: u32, is_it: impl Fn(u32) -> bool) -> Found {
        if self.0.is_empty() {
            return Found::Vacant(None);
        }
        let (mask, mut at) = (self.0.len() - 1, self.start(tag));
        loop {
            let slot = self.0[at & mask];
            if slot == VACANT {
                return Found::Vacant(Some(at & mask));
            }
            let number = (slot as u32).wrapping_sub(1);
            if tag_of(slot) == tag && is_it(number) {
                return Found::Number(number);
            }
            at += 1;
        }
    }

    /// Adds what is not there; there is room.
    fn add(&mut self, slot: u64) {
        let (mask, mut at) = (self.0.len() - 1, self.start(tag_of(slot)));
        while self.0[at & mask] != VACANT {
            at += 1;
        }
        self.0[at & mask] = slot;
    }
}

/// The bits of a hash that a slot holds; of a slot too.
#[inline]
fn tag_of(hash: u64) -> u32 {
    (hash >> 32) as u32
}

impl DenseIndex {
    /// The number of what hashes to `hash` and `is_it`; else `next`, which is added and must be the number of entries.
    #[inline]
    pub(crate) fn get_or_insert(&mut self, hash: u64, next: u32, is_it: impl Fn(u32) -> bool) -> u32 {
        let tag = tag_of(hash);
        let vacant = match self.slots.find(tag, &is_it) {
            Found::Number(number) => return number,
            Found::Vacant(at) => at,
        };
        let slot = (u64::from(tag) << 32) | u64::from(next.wrapping_add(1));
        match vacant {
            Some(at) if self.old.0.is_empty() && (next as usize) < self.slots.room() => {
                self.slots.0[at] = slot;
                next
            }
            _ => self.get_or_insert_growing(slot, next, is_it),
        }
    }

    /// The number of what hashes to `hash` and `is_it`, if it was added.
    #[inline]
    pub(crate) fn find(&self, hash: u64, is_it: impl Fn(u32) -> bool) -> Option<u32> {
        let tag = tag_of(hash);
        [&self.slots, &self.old].into_iter().find_map(|slots| match slots.find(tag, &is_it) {
            Found::Number(number) => Some(number),
            Found::Vacant(_) => None,
        })
    }

    #[cold]
    fn get_or_insert_growing(&mut self, slot: u64, next: u32, is_it: impl Fn(u32) -> bool) -> u32 {
        if let Found::Number(number) = self.old.find(tag_of(slot), is_it) {
            return number;
        }
        if next as usize >= self.slots.room() {
            self.move_over(usize::MAX);
            let larger = Slots::with((2 * self.slots.0.len()).max(SLOTS_MIN));
            self.old = std::mem::replace(&mut self.slots, larger);
            self.moved = 0;
            if self.old.0.len() <= AT_ONCE_MAX {
                self.move_over(usize::MAX);
            }
        }
        self.slots.add(slot);
        self.move_over(MOVED_AT_ONCE);
        next
    }

    /// Moves up to `count` slots out of the old table.
    fn move_over(&mut self, count: usize) {
        let end = self.moved.saturating_add(count).min(self.old.0.len());
        for at in self.moved..end {
            if self.old.0[at] != VACANT {
                self.slots.add(self.old.0[at]);
            }
        }
        self.moved = end;
        if end == self.old.0.len() {
            self.old = Slots::default();
            self.moved = 0;
        }
    }

    /// Memory held.
    pub(crate) fn bytes(&self) -> usize {
        (self.slots.0.len() + self.old.0.len()) * size_of::<u64>()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_entry_keeps_its_number_while_the_table_grows() {
        // Hashes that meet in their low and their high bits, and some that are one altogether.
        let of: [fn(u32) -> u64; 3] = [
            |at| u64::from(at % 9_973).wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ u64::from(at % 5),
            |at| u64::from(at).wrapping_mul(0x9e37_79b9_7f4a_7c15),
            // The last places of the table, over its end.
            |at| (!u64::from(at % 7)) << 32,
        ];
        for (hash_of, entries) in of.into_iter().zip([40_000u32, 60_000, 500]) {
            let mut index = DenseIndex::default();
            let mut has_grown_slowly = false;
            for next in 0..entries {
                assert_eq!(index.get_or_insert(hash_of(next), next, |at| at == next), next);
                let known = next / 3;
                assert_eq!(index.get_or_insert(hash_of(known), next + 1, |at| at == known), known);
                assert_eq!(index.find(hash_of(known), |at| at == known), Some(known));
                assert_eq!(index.find(hash_of(next + 1), |at| at == next + 1), None);
                // Never is a large table moved at once.
                assert!(index.old.0.is_empty() || index.old.0.len() > AT_ONCE_MAX);
                has_grown_slowly |= !index.old.0.is_empty();
                assert!(next as usize <= index.slots.0.len() / 3 * 2);
            }
            assert_eq!(has_grown_slowly, entries > 22_000);
            for known in 0..entries {
                assert_eq!(index.get_or_insert(hash_of(known), entries, |at| at == known), known);
            }
            assert!(index.bytes() >= entries as usize * 12);
        }
        assert_eq!(DenseIndex::default().find(7, |_| true), None);
    }
}
