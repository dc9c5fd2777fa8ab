//! Compressed stretches of segments in memory, shared by all scans of a shard.
//!
//! Guarantee: at most `bytes_max` bytes are kept, a bound that may be lowered and raised (what a scan still uses lives
//! on with it). An entry is an [`Extent`]: neighbouring blocks of one column, at most about a hundred kilobytes,
//! verified block by block when they were read.
//!
//! Beside them lie single rows of blocks as they were asked for last, decoded: the last rows of series, which a
//! dashboard that watches them asks for again and again.
//!
//! Replacement is CLOCK: a hit only sets a mark; the hand takes marks away and evicts what has none, so that one pass
//! over a large segment does not throw out what is asked for again and again faster than it comes back.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use hashbrown::HashMap;

use crate::open_files::OpenFiles;

/// Open files of a reader that has no bound of its own: within the 1,024 descriptors that a shell gives a process.
const OPEN_FILES_MAX: usize = 256;

/// Names an extent: a segment (by [`Cache::segment_id`]), a column's position, and the extent within the column; or
/// single rows of a group (see [`Segment::pick`](crate::segment::Segment::pick)).
pub(crate) type Key = (u64, u32, u32);

/// Blocks as read from a file.
#[derive(Debug)]
pub(crate) struct Extent {
    /// Where `bytes` stand in the file.
    pub(crate) offset: u64,
    /// The bytes.
    pub(crate) bytes: Vec<u8>,
    /// Groups whose block in this extent does not match its checksum.
    pub(crate) damaged: Vec<u32>,
}

/// Counts since the cache was made.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct CacheStats {
    /// Extents found.
    pub hits: u64,
    /// Extents that had to be read.
    pub misses: u64,
    /// Extents given up for others.
    pub evictions: u64,
    /// Bytes read from files.
    pub read_bytes: u64,
    /// Bytes held now.
    pub bytes: u64,
}

/// A shard's cache.
#[derive(Debug)]
pub struct Cache {
    /// Files of the segments whose blocks it has.
    files: Rc<OpenFiles>,
    bytes_max: Cell<u64>,
    next_segment: Cell<u64>,
    inner: RefCell<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    slots: Vec<Slot>,
    by_key: HashMap<Key, usize, rapidhash::fast::RandomState>,
    hand: usize,
    stats: CacheStats,
}

#[derive(Debug)]
struct Slot {
    key: Key,
    extent: Rc<Extent>,
    used: bool,
}

impl Cache {
    /// A cache of at most `bytes_max` bytes, for a reader of some segments.
    pub fn new(bytes_max: u64) -> Rc<Self> {
        Self::with_files(bytes_max, OPEN_FILES_MAX)
    }

    /// A cache of at most `bytes_max` bytes, whose segments have at most `open_files_max` files open.
    pub(crate) fn with_files(bytes_max: u64, open_files_max: usize) -> Rc<Self> {
        let files = OpenFiles::new(open_files_max);
        Rc::new(Self { files, bytes_max: Cell::new(bytes_max), next_segment: Cell::new(0), inner: RefCell::default() })
    }

    /// Files of segments that are open.
    pub(crate) fn files(&self) -> &Rc<OpenFiles> {
        &self.files
    }

    /// Counts and size.
    pub fn stats(&self) -> CacheStats {
        self.inner.borrow().stats
    }

    /// Keeps at most `bytes_max` bytes from now on.
    pub fn set_bytes_max(&self, bytes_max: u64) {
        self.bytes_max.set(bytes_max);
        let inner = &mut *self.inner.borrow_mut();
        while inner.stats.bytes > bytes_max {
            inner.evict_one();
        }
    }

    /// A number for a segment that was opened, never given twice.
    pub(crate) fn segment_id(&self) -> u64 {
        let id = self.next_segment.get();
        self.next_segment.set(id + 1);
        id
    }

    pub(crate) fn get(&self, key: Key) -> Option<Rc<Extent>> {
        let inner = &mut *self.inner.borrow_mut();
        let Some(slot) = inner.by_key.get(&key).and_then(|at| inner.slots.get_mut(*at)) else {
            inner.stats.misses += 1;
            return None;
        };
        inner.stats.hits += 1;
        slot.used = true;
        Some(Rc::clone(&slot.extent))
    }

    /// Keeps `extent`, just read, as [`Cache::keep`] does.
    pub(crate) fn insert(&self, key: Key, extent: &Rc<Extent>) {
        self.inner.borrow_mut().stats.read_bytes += extent.bytes.len() as u64;
        self.keep(key, extent);
    }

    /// Keeps `extent`, in place of the one before, unless it is larger than the whole cache.
    pub(crate) fn keep(&self, key: Key, extent: &Rc<Extent>) {
        let inner = &mut *self.inner.borrow_mut();
        let bytes = extent.bytes.len() as u64;
        if let Some(before) = inner.by_key.get(&key) {
            inner.remove(*before);
        }
        if bytes > self.bytes_max.get() {
            return;
        }
        let mut freed = None;
        while inner.stats.bytes + bytes > self.bytes_max.get() {
            freed = Some(inner.evict_one());
        }
        inner.add(Slot { key, extent: Rc::clone(extent), used: false }, freed);
    }

    /// Drops everything of a segment that is closed.
    pub(crate) fn forget(&self, segment: u64) {
        let inner = &mut *self.inner.borrow_mut();
        let mut at = 0;
        while at < inner.slots.len() {
            if inner.slots[at].key.0 == segment {
                inner.remove(at);
            } else {
                at += 1;
            }
        }
    }
}

impl Inner {
    /// Evicts what the hand comes to next without a mark, and gives the place that it had.
    fn evict_one(&mut self) -> usize {
        loop {
            if self.hand >= self.slots.len() {
                self.hand = 0;
            }
            let at = self.hand;
            self.hand += 1;
            if !std::mem::take(&mut self.slots[at].used) {
                self.remove(at);
                self.stats.evictions += 1;
                return at;
            }
        }
    }

    /// Adds a slot at the place that the hand has just passed, so that a whole round goes by before it is looked at:
    /// what reads many files side by side comes back to each of them only later.
    fn add(&mut self, slot: Slot, freed: Option<usize>) {
        self.stats.bytes += slot.extent.bytes.len() as u64;
        let last = self.slots.len();
        self.by_key.insert(slot.key, last);
        self.slots.push(slot);
        if let Some(at) = freed {
            self.slots.swap(at, last);
            self.by_key.insert(self.slots[at].key, at);
            self.by_key.insert(self.slots[last].key, last);
        }
    }

    fn remove(&mut self, at: usize) {
        let slot = self.slots.swap_remove(at);
        self.by_key.remove(&slot.key);
        self.stats.bytes -= slot.extent.bytes.len() as u64;
        if let Some(moved) = self.slots.get(at) {
            self.by_key.insert(moved.key, at);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn extent(bytes: usize) -> Rc<Extent> {
        Rc::new(Extent { offset: 0, bytes: vec![0; bytes], damaged: Vec::new() })
    }

    #[test]
    fn the_bound_holds_and_what_is_used_stays() {
        let cache = Cache::new(1000);
        for i in 0..10 {
            cache.insert((0, 0, i), &extent(100));
        }
        assert_eq!(cache.stats().bytes, 1000);
        for _ in 0..3 {
            assert!(cache.get((0, 0, 3)).is_some());
            cache.insert((0, 1, 0), &extent(100));
            cache.insert((0, 1, 1), &extent(100));
            assert!(cache.get((0, 0, 3)).is_some(), "marked, so passed over");
            assert_eq!(cache.stats().bytes, 1000);
        }
        cache.insert((0, 2, 0), &extent(1001));
        assert!(cache.get((0, 2, 0)).is_none(), "larger than the cache");
        cache.insert((7, 0, 0), &extent(950));
        assert!(cache.stats().bytes <= 1000);
        cache.forget(7);
        assert!(cache.get((7, 0, 0)).is_none());
        assert!(cache.stats().bytes <= 50);
    }

    #[test]
    fn what_comes_new_stays_until_a_round_is_over() {
        let cache = Cache::new(1000);
        for i in 0..100 {
            cache.insert((0, 0, i), &extent(100));
            // Not asked for in between, as blocks of many files that are read side by side.
            for before in i.saturating_sub(5)..=i {
                assert!(cache.inner.borrow().by_key.contains_key(&(0, 0, before)), "{before} is gone at {i}");
            }
        }
    }

    #[test]
    fn a_lower_bound_holds_at_once_and_a_higher_one_lets_more_in() {
        let cache = Cache::new(1000);
        (0..4).for_each(|at| cache.insert((1, 0, at), &extent(250)));
        assert_eq!(cache.stats().bytes, 1000);
        cache.set_bytes_max(500);
        assert_eq!((cache.stats().bytes, cache.stats().evictions), (500, 2));
        cache.insert((2, 0, 0), &extent(501));
        assert!(cache.get((2, 0, 0)).is_none());
        cache.set_bytes_max(0);
        assert_eq!(cache.stats().bytes, 0);
        cache.set_bytes_max(600);
        cache.insert((2, 0, 0), &extent(501));
        assert!(cache.get((2, 0, 0)).is_some());
    }

    #[test]
    fn random_use_keeps_the_books() {
        for seed in crate::testing::seeds() {
            let mut rng = fastrand::Rng::with_seed(seed);
            let cache = Cache::new(5000);
            for _ in 0..5000 {
                let key = (rng.u64(0..4), rng.u32(0..3), rng.u32(0..20));
                if rng.u8(0..100) == 0 {
                    cache.forget(key.0);
                } else if cache.get(key).is_none() || rng.u8(0..10) == 0 {
                    cache.insert(key, &extent(rng.usize(1..900)));
                }
                let inner = cache.inner.borrow();
                let held: usize = inner.slots.iter().map(|slot| slot.extent.bytes.len()).sum();
                assert_eq!(inner.stats.bytes, held as u64, "seed {seed}");
                assert!(held <= 5000 && inner.by_key.len() == inner.slots.len(), "seed {seed}");
                assert!(inner.slots.iter().enumerate().all(|(at, slot)| inner.by_key[&slot.key] == at));
            }
        }
    }
}
