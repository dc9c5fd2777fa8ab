//! Writes and queries by client, counted while somebody watches, over all cores.
//!
//! Without a watcher a request costs one load. Each watcher has counts of its own, from its beginning on.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Clients that a watcher counts; more of them must not fill the server's memory, and are left out.
const CLIENTS_MAX: usize = 10_000;

/// What a client did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Work {
    /// It wrote.
    Write,
    /// It asked.
    Query,
}

/// How often a client did something.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Count {
    /// Requests that wrote.
    pub writes: u64,
    /// Requests that asked.
    pub queries: u64,
}

/// By the client's name.
type Counts = BTreeMap<String, Count>;

/// Who watches.
#[derive(Debug, Default)]
pub struct Tally {
    /// How many there are of them.
    watchers: AtomicUsize,
    counts: Mutex<Vec<Arc<Mutex<Counts>>>>,
}

/// Counts from now on, until it is dropped.
#[derive(Debug)]
pub struct Watch {
    tally: Arc<Tally>,
    counts: Arc<Mutex<Counts>>,
}

impl Tally {
    /// Counts a request.
    pub fn note(&self, user: Option<&str>, address: Option<IpAddr>, work: Work) {
        if self.watchers.load(Ordering::Acquire) > 0
            && let Some(address) = address
        {
            self.count(user, address, work);
        }
    }

    #[cold]
    fn count(&self, user: Option<&str>, address: IpAddr, work: Work) {
        let client = match user {
            Some(user) => format!("{user}:{address}"),
            None => address.to_string(),
        };
        for counts in &*lock(&self.counts) {
            let mut counts = lock(counts);
            if counts.len() >= CLIENTS_MAX && !counts.contains_key(&client) {
                continue;
            }
            let count = counts.entry(client.clone()).or_default();
            match work {
                Work::Write => count.writes += 1,
                Work::Query => count.queries += 1,
            }
        }
    }

    /// Begins to watch.
    pub fn watch(self: &Arc<Self>) -> Watch {
        let counts = Arc::<Mutex<Counts>>::default();
        lock(&self.counts).push(counts.clone());
        self.watchers.fetch_add(1, Ordering::AcqRel);
        Watch { tally: self.clone(), counts }
    }
}

impl Watch {
    /// What was counted so far.
    pub fn counts(&self) -> BTreeMap<String, Count> {
        lock(&self.counts).clone()
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.tally.watchers.fetch_sub(1, Ordering::AcqRel);
        lock(&self.tally.counts).retain(|counts| !Arc::ptr_eq(counts, &self.counts));
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_watcher_counts_what_comes_while_it_is_there() {
        let tally = Arc::new(Tally::default());
        let address = Some(IpAddr::from([127, 0, 0, 1]));
        tally.note(None, address, Work::Write);
        let first = tally.watch();
        tally.note(None, address, Work::Write);
        let second = tally.watch();
        tally.note(Some("u"), address, Work::Query);
        tally.note(None, None, Work::Query);
        let named = |watch: &Watch| -> Vec<(String, u64, u64)> {
            watch.counts().into_iter().map(|(client, count)| (client, count.writes, count.queries)).collect()
        };
        let of_user = ("u:127.0.0.1".to_owned(), 0, 1);
        assert_eq!(named(&first), [("127.0.0.1".to_owned(), 1, 0), of_user.clone()]);
        assert_eq!(named(&second), [of_user]);
        drop(first);
        assert_eq!(lock(&tally.counts).len(), 1);
        drop(second);
        assert_eq!((lock(&tally.counts).len(), tally.watchers.load(Ordering::Acquire)), (0, 0));
    }

    #[test]
    fn there_are_only_so_many_clients() {
        let tally = Arc::new(Tally::default());
        let watch = tally.watch();
        for client in 0..CLIENTS_MAX as u32 + 10 {
            tally.note(None, Some(IpAddr::from(client.to_be_bytes())), Work::Query);
        }
        tally.note(None, Some(IpAddr::from([0, 0, 0, 0])), Work::Query);
        let counts = watch.counts();
        assert_eq!((counts.len(), counts["0.0.0.0"].queries), (CLIENTS_MAX, 2));
    }
}
