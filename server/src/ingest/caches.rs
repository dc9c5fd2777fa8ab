//! The parser caches of all databases on one core, together within one bound.
//!
//! A database's cache is made anew when it alone has outgrown the bound. When all of them have, those that were not
//! used for longest and that no request uses now are forgotten. A forgotten cache costs its database's next lines a
//! meeting with the scalar parser and the owner shards, nothing else.
//!
//! When a database loses a table or a column, all its caches end, also those that were replaced and are still used:
//! each holds the flag of its database.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeSet, HashMap};
use std::rc::Rc;
use std::sync::Arc;

use tidewire_protocol::line::Dialect;

use super::cache::DatabaseCache;
use crate::memory::{CoreMemory, Part};

/// Memory of one database's caches before they are made anew: a million series of 200 bytes of key and what stands for
/// them. The bound of all may be less.
const DATABASE_BYTES_MAX: u64 = 512 << 20;

/// Caches of one database, shared by the requests under way.
pub type SharedCache = Rc<RefCell<DatabaseCache>>;

/// A database's name, a retention policy's, and whose rules the lines follow.
type Key = (String, String, Dialect);

/// See the module.
#[derive(Debug)]
pub struct DatabaseCaches {
    memory: Rc<CoreMemory>,
    bytes_max: u64,
    by_name: RefCell<HashMap<Key, Entry>>,
    /// By database, what its caches look at to learn that they are over.
    ended: RefCell<HashMap<String, Rc<Cell<bool>>>>,
    /// Counts uses, so that what was used last is known without a clock.
    uses: Cell<u64>,
}

#[derive(Debug)]
struct Entry {
    cache: SharedCache,
    used: u64,
}

impl DatabaseCaches {
    /// None yet. They are counted in `memory`, whose budget bounds them.
    pub fn new(memory: Rc<CoreMemory>) -> Self {
        let bytes_max = memory.shared().budget().parser_bytes_max;
        Self { memory, bytes_max, by_name: RefCell::default(), ended: RefCell::default(), uses: Cell::default() }
    }

    /// The cache of a database's retention policy for lines of one dialect.
    pub fn get(&self, database: &str, policy: &str, dialect: Dialect) -> SharedCache {
        let used = self.uses.get() + 1;
        self.uses.set(used);
        let mut by_name = self.by_name.borrow_mut();
        let key = (database.to_owned(), policy.to_owned(), dialect);
        let database_bytes_max = self.bytes_max.min(DATABASE_BYTES_MAX);
        if let Some(entry) = by_name.get_mut(&key) {
            let fits = entry.cache.try_borrow().is_ok_and(|cache| cache.bytes() as u64 <= database_bytes_max);
            if fits {
                entry.used = used;
                return entry.cache.clone();
            }
        }
        let cache = self.make(dialect, self.ended.borrow_mut().entry(database.to_owned()).or_default().clone());
        by_name.insert(key, Entry { cache: cache.clone(), used });
        cache
    }

    /// A cache that no other request will see. It does not end: what is written with it is exchanged by name.
    pub fn own(&self, dialect: Dialect) -> SharedCache {
        self.make(dialect, Rc::default())
    }

    fn make(&self, dialect: Dialect, ended: Rc<Cell<bool>>) -> SharedCache {
        // Most of it for the keys: what stands for them is a few words each.
        let database_bytes_max = self.bytes_max.min(DATABASE_BYTES_MAX);
        let parser_bytes_max = usize::try_from(database_bytes_max / 4 * 3).unwrap_or(usize::MAX);
        Rc::new(RefCell::new(DatabaseCache::new(dialect, parser_bytes_max, self.memory.clone(), ended)))
    }

    /// Ends the caches of these databases: requests that use one take another before they read on.
    pub fn end(&self, databases: &BTreeSet<Arc<str>>) {
        let mut flags = self.ended.borrow_mut();
        for flag in databases.iter().filter_map(|name| flags.remove(&**name)) {
            flag.set(true);
        }
        self.by_name.borrow_mut().retain(|(name, ..), _| !databases.contains(&**name));
    }

    /// Forgets idle caches, the one that was used longest ago first, until at most `bytes_max` bytes and no more than
    /// the bound are held. Those in use stay.
    pub fn shrink(&self, bytes_max: u64) {
        let bytes_max = bytes_max.min(self.bytes_max);
        if self.memory.get(Part::ParserCaches) <= bytes_max {
            return;
        }
        let mut by_name = self.by_name.borrow_mut();
        let mut idle: Vec<(u64, Key)> = by_name
            .iter()
            .filter(|(_, entry)| Rc::strong_count(&entry.cache) == 1)
            .map(|(key, entry)| (entry.used, key.clone()))
            .collect();
        idle.sort_unstable_by_key(|(used, _)| *used);
        for (_, key) in idle {
            if self.memory.get(Part::ParserCaches) <= bytes_max {
                return;
            }
            by_name.remove(&key);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::memory::Memory;
    use crate::memory::budget::{Keys, divide};

    const MIB: u64 = 1 << 20;

    fn caches() -> DatabaseCaches {
        let budget = divide(256 * MIB, 2, 2, Keys::default()).unwrap();
        DatabaseCaches::new(CoreMemory::new(0, Memory::new(budget, None, 2)))
    }

    /// Adds a series whose tag has a name of that many bytes.
    fn fill(cache: &SharedCache, bytes: u64) {
        let name = "n".repeat(bytes as usize);
        let mut cache = cache.borrow_mut();
        let table = cache.slots.table_index("t");
        cache.slots.add_series(table, 1, [(name.as_str(), "value")].into_iter());
        cache.count();
    }

    #[test]
    fn the_one_used_longest_ago_goes_first_and_one_in_use_stays() {
        let caches = caches();
        ["a", "b", "c"].iter().for_each(|name| fill(&caches.get(name, "", Dialect::Cnos), MIB));
        let in_use = caches.get("a", "", Dialect::Cnos);
        drop(caches.get("b", "", Dialect::Cnos));
        let held = caches.memory.get(Part::ParserCaches);
        assert!(held > 3 * MIB, "{held}");
        caches.shrink(held - 1);
        assert!(!caches.by_name.borrow().contains_key(&("c".to_owned(), String::new(), Dialect::Cnos)));
        assert_eq!(caches.by_name.borrow().len(), 2);
        caches.shrink(0);
        assert_eq!(caches.by_name.borrow().len(), 1);
        drop(in_use);
        caches.shrink(0);
        assert_eq!(caches.memory.get(Part::ParserCaches), 0);
    }

    #[test]
    fn one_that_has_outgrown_the_bound_is_made_anew_and_what_uses_it_goes_on() {
        let caches = caches();
        let old = caches.get("a", "", Dialect::Influx);
        fill(&old, caches.bytes_max + 1);
        let new = caches.get("a", "", Dialect::Influx);
        assert!(!Rc::ptr_eq(&old, &new));
        assert!(Rc::ptr_eq(&new, &caches.get("a", "", Dialect::Influx)));
        assert!(!Rc::ptr_eq(&new, &caches.get("a", "", Dialect::Cnos)));
        drop(old);
        assert!(caches.memory.get(Part::ParserCaches) < MIB);
    }

    #[test]
    fn all_caches_of_a_database_end_also_one_that_was_replaced() {
        let caches = caches();
        let (influx, other) = (caches.get("a", "p", Dialect::Influx), caches.get("b", "", Dialect::Cnos));
        let outgrown = caches.get("a", "", Dialect::Cnos);
        fill(&outgrown, caches.bytes_max + 1);
        let newer = caches.get("a", "", Dialect::Cnos);
        let ended = |cache: &SharedCache| cache.borrow().has_ended();
        assert!(![&influx, &other, &outgrown, &newer].into_iter().any(ended));
        caches.end(&["a".into(), "nosuch".into()].into());
        assert_eq!([&influx, &other, &outgrown, &newer].map(ended), [true, false, true, true]);
        assert!(!ended(&caches.get("a", "p", Dialect::Influx)) && !ended(&caches.own(Dialect::Cnos)));
        caches.end(&["a".into()].into());
        assert!(!ended(&caches.get("a", "p", Dialect::Influx)));
    }
}
