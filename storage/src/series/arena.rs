//! Byte strings laid end to end and found by their bytes, each with a dense number: no heap object for any of them.

use hashbrown::HashTable;
use rapidhash::v3::{RapidSecrets, rapidhash_v3_seeded};

/// Distinct byte strings, numbered in the order they came.
#[derive(Debug, Default)]
pub(crate) struct Arena {
    /// End of each string in `bytes`.
    ends: Vec<u64>,
    bytes: Vec<u8>,
    /// By hash: 32 bits of it, so that growing touches no string, and the number.
    table: HashTable<(u32, u32)>,
}

/// The hash that the table is keyed by. Not a secret: what comes in bounds how many strings there are, not how they
/// collide within 32 bits, and every hit is verified by its bytes.
const SEEDS: RapidSecrets = RapidSecrets::seed(0x7469_6465_7769_7265);

impl Arena {
    /// Number of strings.
    pub(crate) fn len(&self) -> usize {
        self.ends.len()
    }

    /// The string with number `number`, which must exist.
    pub(crate) fn get(&self, number: u32) -> &[u8] {
        string(&self.ends, &self.bytes, number)
    }

    /// The number of `wanted`.
    pub(crate) fn find(&self, wanted: &[u8]) -> Option<u32> {
        let hash = short_hash(wanted);
        let same = |entry: &(u32, u32)| entry.0 == hash && self.get(entry.1) == wanted;
        self.table.find(spread(hash), same).map(|entry| entry.1)
    }

    /// The number of `wanted`, given to it now if it has none; and whether it is new.
    pub(crate) fn insert(&mut self, wanted: &[u8]) -> (u32, bool) {
        self.insert_hashed(wanted, short_hash(wanted))
    }

    /// The same with the hash that [`Arena::look_ahead`] gave.
    pub(crate) fn insert_hashed(&mut self, wanted: &[u8], hash: u32) -> (u32, bool) {
        let Self { ends, bytes, table } = self;
        let same = |entry: &(u32, u32)| entry.0 == hash && string(ends, bytes, entry.1) == wanted;
        if let Some(entry) = table.find(spread(hash), same) {
            return (entry.1, false);
        }
        let number = ends.len() as u32;
        table.insert_unique(spread(hash), (hash, number), |entry| spread(entry.0));
        bytes.extend_from_slice(wanted);
        ends.push(bytes.len() as u64);
        (number, true)
    }

    /// Forgets the strings from number `len` on.
    pub(crate) fn truncate(&mut self, len: usize) {
        for number in len..self.ends.len() {
            let hash = short_hash(self.get(number as u32));
            if let Ok(entry) = self.table.find_entry(spread(hash), |entry| entry.1 == number as u32) {
                entry.remove();
            }
        }
        self.ends.truncate(len);
        self.bytes.truncate(self.ends.last().map_or(0, |end| *end as usize));
    }

    /// The hash of `wanted`, with the part of the table that it leads to on its way into the cache: where several
    /// strings are looked at before the first of them is inserted, their misses overlap.
    #[inline]
    pub(crate) fn look_ahead(&self, wanted: &[u8]) -> u32 {
        let hash = short_hash(wanted);
        std::hint::black_box(self.table.find(spread(hash), |entry| entry.0 == hash).is_some());
        hash
    }

    /// Gives back what growing has taken in advance.
    pub(crate) fn shrink(&mut self) {
        self.ends.shrink_to_fit();
        self.bytes.shrink_to_fit();
        self.table.shrink_to_fit(|entry| spread(entry.0));
    }

    /// The strings from number `from` on, laid end to end, and their lengths.
    pub(crate) fn tail(&self, from: u32) -> (&[u8], impl Iterator<Item = u32>) {
        let from = from as usize;
        let start = if from == 0 { 0 } else { self.ends[from - 1] };
        let mut previous = start;
        let lengths = self.ends[from..].iter().map(move |&end| {
            let length = end - previous;
            previous = end;
            length as u32
        });
        (&self.bytes[start as usize..], lengths)
    }

    /// The hashes of all strings, each with its string's number, in no order.
    pub(crate) fn hashes(&self) -> impl Iterator<Item = (u32, u32)> {
        self.table.iter().copied()
    }

    /// Memory taken.
    pub(crate) fn memory_bytes(&self) -> usize {
        self.ends.capacity() * 8 + self.bytes.capacity() + self.table.allocation_size()
    }
}

fn string<'a>(ends: &[u64], bytes: &'a [u8], number: u32) -> &'a [u8] {
    let number = number as usize;
    let start = if number == 0 { 0 } else { ends[number - 1] };
    &bytes[start as usize..ends[number] as usize]
}

fn short_hash(bytes: &[u8]) -> u32 {
    rapidhash_v3_seeded(bytes, &SEEDS) as u32
}

/// 64 bits with the information in the high ones too, where the table looks for its tags.
fn spread(hash: u32) -> u64 {
    u64::from(hash).wrapping_mul(0x9E37_79B9_7F4A_7C15)
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;

    #[test]
    fn numbers_are_dense_stable_and_found_again() {
        for seed in 0..20 {
            let mut random = fastrand::Rng::with_seed(seed);
            let (mut arena, mut model) = (Arena::default(), HashMap::new());
            for _ in 0..2000 {
                let string: Vec<u8> = (0..random.usize(0..4)).map(|_| random.u8(b'a'..=b'f')).collect();
                assert_eq!(arena.find(&string), model.get(&string).copied());
                let next = model.len() as u32;
                let number = *model.entry(string.clone()).or_insert(next);
                let hash = arena.look_ahead(&string);
                assert_eq!(arena.insert_hashed(&string, hash), (number, number == next));
                if random.u8(..) == 0 {
                    arena.shrink();
                }
                assert_eq!(arena.get(number), string);
            }
            assert_eq!(arena.len(), model.len());
            let from = random.u32(0..arena.len() as u32);
            let (bytes, lengths) = arena.tail(from);
            assert_eq!(lengths.map(|length| length as usize).sum::<usize>(), bytes.len());
            assert!(bytes.ends_with(arena.get(arena.len() as u32 - 1)));
        }
    }
}
