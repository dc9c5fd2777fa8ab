//! An ordered map from names whose copies share what they have in common.
//!
//! The catalog is handed to every core as an immutable snapshot, and a change of it must cost what the change costs,
//! not what the catalog holds. So the entries lie in sorted chunks behind `Arc`s: a copy of the map copies one pointer,
//! an insertion copies one chunk, and, once for each copy that is changed, the list of chunks. With 100,000 names that
//! list has about 1,500 pointers.

use std::borrow::Borrow;
use std::fmt;
use std::ops::Index;
use std::sync::Arc;

use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Entries of a chunk at most. What is copied for an insertion grows with it, the list of chunks shrinks.
const CHUNK_ENTRIES_MAX: usize = 128;

type Chunk<V> = Vec<(Arc<str>, V)>;

/// See the module.
#[derive(Clone)]
pub struct NameMap<V> {
    /// None is empty; the names of each are before those of the next.
    chunks: Arc<Vec<Arc<Chunk<V>>>>,
    length: usize,
}

impl<V> NameMap<V> {
    /// No names.
    pub fn new() -> Self {
        Self { chunks: Arc::default(), length: 0 }
    }

    /// How many names there are.
    pub fn len(&self) -> usize {
        self.length
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.length == 0
    }

    /// The chunk that has `name` if any has.
    fn chunk_of(&self, name: &str) -> Option<usize> {
        self.chunks.partition_point(|chunk| chunk.first().is_some_and(|(first, _)| &**first <= name)).checked_sub(1)
    }

    /// The value of `name`.
    pub fn get(&self, name: &str) -> Option<&V> {
        let chunk = self.chunks.get(self.chunk_of(name)?)?;
        let at = place(chunk, name).ok()?;
        chunk.get(at).map(|(_, value)| value)
    }

    /// Whether `name` has a value.
    pub fn contains_key(&self, name: &str) -> bool {
        self.get(name).is_some()
    }

    /// Names and values, by name.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = (&Arc<str>, &V)> + use<'_, V> {
        self.chunks.iter().flat_map(|chunk| chunk.iter()).map(|(name, value)| (name, value))
    }

    /// The names, in order.
    pub fn keys(&self) -> impl DoubleEndedIterator<Item = &Arc<str>> + use<'_, V> {
        self.iter().map(|(name, _)| name)
    }

    /// The values, by name.
    pub fn values(&self) -> impl DoubleEndedIterator<Item = &V> + use<'_, V> {
        self.iter().map(|(_, value)| value)
    }
}

impl<V: Clone> NameMap<V> {
    /// Gives `name` a value, and what it had before.
    pub fn insert(&mut self, name: Arc<str>, value: V) -> Option<V> {
        let chunks = Arc::make_mut(&mut self.chunks);
        // A name before all others goes to the first chunk.
        let at =
            chunks.partition_point(|chunk| chunk.first().is_some_and(|(first, _)| *first <= name)).saturating_sub(1);
        let Some(shared) = chunks.get_mut(at) else {
            chunks.push(Arc::new(vec![(name, value)]));
            self.length += 1;
            return None;
        };
        let chunk = Arc::make_mut(shared);
        match place(chunk, &name) {
            Ok(found) => Some(std::mem::replace(&mut chunk[found].1, value)),
            Err(free) => {
                chunk.insert(free, (name, value));
                self.length += 1;
                if chunk.len() > CHUNK_ENTRIES_MAX {
                    // Names that come in order leave full chunks behind.
                    let from = if free + 1 == chunk.len() { free } else { chunk.len() / 2 };
                    let rest = chunk.split_off(from);
                    chunks.insert(at + 1, Arc::new(rest));
                }
                None
            }
        }
    }

    /// The value of `name`, to be changed.
    pub fn get_mut(&mut self, name: &str) -> Option<&mut V> {
        let at = self.chunk_of(name)?;
        let found = place(self.chunks.get(at)?, name).ok()?;
        let chunk = Arc::make_mut(Arc::make_mut(&mut self.chunks).get_mut(at)?);
        chunk.get_mut(found).map(|(_, value)| value)
    }

    /// Takes away `name` and gives its value.
    pub fn remove(&mut self, name: &str) -> Option<V> {
        let at = self.chunk_of(name)?;
        let found = place(self.chunks.get(at)?, name).ok()?;
        let chunks = Arc::make_mut(&mut self.chunks);
        let chunk = Arc::make_mut(&mut chunks[at]);
        let (_, value) = chunk.remove(found);
        self.length -= 1;
        if chunk.is_empty() {
            chunks.remove(at);
        }
        Some(value)
    }
}

/// Where `name` is in a chunk, or would be.
fn place<V>(chunk: &Chunk<V>, name: &str) -> Result<usize, usize> {
    chunk.binary_search_by(|(known, _)| (**known).cmp(name))
}

impl<V> Default for NameMap<V> {
    fn default() -> Self {
        Self::new()
    }
}

impl<V: PartialEq> PartialEq for NameMap<V> {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.chunks, &other.chunks) || (self.length == other.length && self.iter().eq(other.iter()))
    }
}

impl<V: Eq> Eq for NameMap<V> {}

impl<V: fmt::Debug> fmt::Debug for NameMap<V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.iter()).finish()
    }
}

impl<V: Clone, K: Into<Arc<str>>> FromIterator<(K, V)> for NameMap<V> {
    fn from_iter<I: IntoIterator<Item = (K, V)>>(entries: I) -> Self {
        let mut map = Self::new();
        for (name, value) in entries {
            map.insert(name.into(), value);
        }
        map
    }
}

impl<V, Q: Borrow<str> + ?Sized> Index<&Q> for NameMap<V> {
    type Output = V;

    /// The value of a name that is there.
    fn index(&self, name: &Q) -> &V {
        let name = name.borrow();
        match self.get(name) {
            Some(value) => value,
            None => panic!("BUG: there is no {name:?}"),
        }
    }
}

impl<V: Serialize> Serialize for NameMap<V> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.iter())
    }
}

impl<'de, V: Clone + Deserialize<'de>> Deserialize<'de> for NameMap<V> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Entries<V>(NameMap<V>);

        impl<'de, V: Clone + Deserialize<'de>> Visitor<'de> for Entries<V> {
            type Value = NameMap<V>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a map from names")
            }

            fn visit_map<A: MapAccess<'de>>(mut self, mut access: A) -> Result<Self::Value, A::Error> {
                while let Some((name, value)) = access.next_entry::<Arc<str>, V>()? {
                    self.0.insert(name, value);
                }
                Ok(self.0)
            }
        }

        deserializer.deserialize_map(Entries(NameMap::new()))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use fastrand::Rng;

    use super::*;
    use crate::testing::seeds;

    fn same(map: &NameMap<u32>, model: &BTreeMap<String, u32>) {
        assert_eq!(map.len(), model.len());
        assert_eq!(map.is_empty(), model.is_empty());
        assert!(map.iter().map(|(name, value)| (&**name, *value)).eq(model.iter().map(|(n, v)| (n.as_str(), *v))));
        assert!(map.chunks.iter().all(|chunk| (1..=CHUNK_ENTRIES_MAX).contains(&chunk.len())));
    }

    #[test]
    fn it_is_the_map_it_stands_for_and_a_copy_stays_what_it_was() {
        for seed in seeds() {
            let mut random = Rng::with_seed(seed);
            let (mut map, mut model) = (NameMap::new(), BTreeMap::new());
            for round in 0..20 {
                let (copy, copied) = (map.clone(), model.clone());
                for _ in 0..random.usize(0..400) {
                    let name = format!("{}", random.u32(0..600));
                    if let Some(value) = map.get_mut(&name).filter(|_| random.u8(0..4) == 0) {
                        *value += 1;
                        model.entry(name).and_modify(|value| *value += 1);
                    } else if random.u8(0..10) < if round % 5 == 4 { 9 } else { 3 } {
                        assert_eq!(map.remove(&name), model.remove(&name), "seed {seed}");
                    } else {
                        let value = random.u32(..1 << 31);
                        assert_eq!(map.insert(name.as_str().into(), value), model.insert(name, value), "seed {seed}");
                    }
                }
                same(&map, &model);
                same(&copy, &copied);
                for _ in 0..50 {
                    let name = format!("{}", random.u32(0..700));
                    assert_eq!(map.get(&name), model.get(&name), "seed {seed}");
                    assert_eq!(map.contains_key(&name), model.contains_key(&name), "seed {seed}");
                }
                assert_eq!(map == copy, model == copied, "seed {seed}");
            }
        }
    }

    #[test]
    fn names_in_order_fill_their_chunks_and_a_change_copies_one() {
        let mut map: NameMap<u32> = (0..10_000u32).map(|number| (format!("{number:05}"), number)).collect();
        assert_eq!(map.chunks.len(), 10_000usize.div_ceil(CHUNK_ENTRIES_MAX));
        let before = map.clone();
        map.insert("05000".into(), 7);
        let copied = map.chunks.iter().zip(before.chunks.iter()).filter(|(one, other)| !Arc::ptr_eq(one, other));
        assert_eq!((copied.count(), before["05000"], map["05000"]), (1, 5000, 7));
    }
}
