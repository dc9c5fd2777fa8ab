//! Keys of series that have no id yet.
//!
//! A series is given its id by its owner shard when the first rows of it are durable. Until then every batch with rows
//! of it needs its key: that of the request which met it, those of other requests under way, and later ones when the
//! first was refused. So a key is kept from when the series is met until its id is known, end to end with others in one
//! buffer; a series that has its id costs nothing here.

use tidewire_storage::batch::push_tag;
use tidewire_storage::schema::ColumnId;

/// Keys that may be dropped are dropped when there are at least this many, to do it for many at a time.
const DROPPED_MIN: usize = 1024;

/// A buffer larger than this is given back when it is empty.
const EMPTY_BYTES_MAX: usize = 1 << 20;

/// See the module. Slots must come in ascending order.
#[derive(Debug, Default)]
pub(super) struct PendingKeys {
    entries: Vec<Entry>,
    bytes: Vec<u8>,
    /// Entries whose series has no id yet.
    waiting: usize,
}

#[derive(Debug, Clone, Copy)]
struct Entry {
    slot: u32,
    is_complete: bool,
    /// Where its bytes end.
    end: usize,
}

/// What is known of the key of a series.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum PendingKey<'a> {
    /// The key as a batch has it.
    Complete(&'a [u8]),
    /// The values of its tags in the order of their names; the table had no columns when the series was met.
    Values(Values<'a>),
}

/// Values laid end to end, each behind its length.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Values<'a>(&'a [u8]);

impl<'a> Iterator for Values<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        let (len, rest) = self.0.split_first_chunk()?;
        let (value, rest) = rest.split_at_checked(u32::from_le_bytes(*len) as usize)?;
        self.0 = rest;
        Some(value)
    }
}

impl PendingKeys {
    /// Memory held.
    pub(super) fn reserved(&self) -> usize {
        self.entries.capacity() * size_of::<Entry>() + self.bytes.capacity()
    }

    /// Adds the key of a series: its tags with their columns, sorted by these.
    pub(super) fn push_key<'v>(&mut self, slot: u32, tags: impl Iterator<Item = (ColumnId, &'v [u8])>) {
        for (column, value) in tags {
            push_tag(&mut self.bytes, column, value);
        }
        self.push_entry(slot, true);
    }

    /// Adds a series whose table has no columns yet: the values of its tags in the order of their names.
    pub(super) fn push_values(&mut self, slot: u32, values: &[&[u8]]) {
        for value in values {
            self.bytes.extend_from_slice(&(value.len() as u32).to_le_bytes());
            self.bytes.extend_from_slice(value);
        }
        self.push_entry(slot, false);
    }

    fn push_entry(&mut self, slot: u32, is_complete: bool) {
        debug_assert!(self.entries.last().is_none_or(|last| last.slot < slot));
        self.entries.push(Entry { slot, is_complete, end: self.bytes.len() });
        self.waiting += 1;
    }

    /// What is kept of the series in `slot`.
    pub(super) fn get(&self, slot: u32) -> Option<PendingKey<'_>> {
        let place = match self.entries.last() {
            Some(last) if last.slot == slot => self.entries.len() - 1,
            _ => self.entries.binary_search_by_key(&slot, |entry| entry.slot).ok()?,
        };
        let bytes = self.bytes.get(self.start(place)..self.entries[place].end)?;
        Some(match self.entries[place].is_complete {
            true => PendingKey::Complete(bytes),
            false => PendingKey::Values(Values(bytes)),
        })
    }

    fn start(&self, place: usize) -> usize {
        place.checked_sub(1).map_or(0, |before| self.entries[before].end)
    }

    /// `count` more of the series kept here have their ids; `has_id` says which have. Drops what is not needed any more
    /// if that is much.
    pub(super) fn learned(&mut self, count: usize, has_id: impl Fn(u32) -> bool) {
        self.waiting -= count;
        if self.waiting == 0 {
            self.entries.clear();
            self.bytes.clear();
            if self.reserved() > EMPTY_BYTES_MAX {
                *self = Self::default();
            }
        } else if self.entries.len() - self.waiting >= DROPPED_MIN.max(self.waiting) {
            self.drop_learned(has_id);
        }
    }

    fn drop_learned(&mut self, has_id: impl Fn(u32) -> bool) {
        let mut kept = Self::default();
        for (place, entry) in self.entries.iter().enumerate() {
            if !has_id(entry.slot) {
                kept.bytes.extend_from_slice(&self.bytes[self.start(place)..entry.end]);
                kept.push_entry(entry.slot, entry.is_complete);
            }
        }
        debug_assert_eq!(kept.waiting, self.waiting);
        *self = kept;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key_of(slot: u32) -> Vec<u8> {
        let mut key = Vec::new();
        push_tag(&mut key, ColumnId(3), format!("value {slot}").as_bytes());
        key
    }

    fn push(keys: &mut PendingKeys, slot: u32) {
        keys.push_key(slot, [(ColumnId(3), format!("value {slot}").as_bytes())].into_iter());
    }

    #[test]
    fn a_key_is_there_until_its_series_has_an_id() {
        let mut keys = PendingKeys::default();
        push(&mut keys, 1);
        push(&mut keys, 4);
        keys.push_values(7, &[b"a", b"", b"long"]);
        assert_eq!(keys.get(1), Some(PendingKey::Complete(&key_of(1))));
        assert_eq!(keys.get(4), Some(PendingKey::Complete(&key_of(4))));
        let Some(PendingKey::Values(values)) = keys.get(7) else { panic!("{keys:?}") };
        assert_eq!(values.collect::<Vec<_>>(), [&b"a"[..], b"", b"long"]);
        assert_eq!((keys.get(0), keys.get(5), keys.get(8)), (None, None, None));
        keys.learned(3, |_| true);
        assert_eq!(keys.get(4), None);
    }

    #[test]
    fn the_empty_key_of_a_series_without_tags_is_a_key() {
        let mut keys = PendingKeys::default();
        keys.push_key(0, std::iter::empty());
        push(&mut keys, 1);
        assert_eq!(keys.get(0), Some(PendingKey::Complete(b"")));
    }

    #[test]
    fn what_is_learned_is_dropped_and_the_others_stay() {
        let mut keys = PendingKeys::default();
        let slots = 4 * DROPPED_MIN as u32;
        (0..slots).for_each(|slot| push(&mut keys, slot));
        let held = keys.bytes.len();
        // Every fourth is left.
        let has_id = |slot: u32| !slot.is_multiple_of(4);
        keys.learned((0..slots).filter(|slot| has_id(*slot)).count(), has_id);
        assert!(keys.bytes.len() < held / 3);
        for slot in 0..slots {
            let expected = key_of(slot);
            assert_eq!(keys.get(slot), (!has_id(slot)).then_some(PendingKey::Complete(&expected)), "{slot}");
        }
        push(&mut keys, slots);
        assert_eq!(keys.get(slots), Some(PendingKey::Complete(&key_of(slots))));
        let left = keys.waiting;
        keys.learned(left, |_| true);
        assert_eq!((keys.entries.len(), keys.bytes.len()), (0, 0));
    }

    #[test]
    fn a_large_buffer_is_given_back() {
        let mut keys = PendingKeys::default();
        (0..100_000).for_each(|slot| push(&mut keys, slot));
        assert!(keys.reserved() > EMPTY_BYTES_MAX);
        keys.learned(100_000, |_| true);
        assert_eq!(keys.reserved(), 0);
    }
}
