//! Subscriptions: rows that are written are sent to others, too.
//!
//! Guarantees: no write waits for a destination, and what waits to be sent is bounded in bytes; what finds no room, or
//! does not arrive, is counted and given up. Rows are sent when they are durable, those of one core in the order in
//! which they became so.
//!
//! 1. A write whose retention policy has subscriptions names them in what it asks of the shards ([`Subscribed`]).
//! 2. When rows are durable, their core copies them if there is room, and answers. One task of the core makes lines of
//!    the copies (`core::forwarding`, over [`lines`]).
//! 3. [`Forwarder::send`] hands lines to threads, one for each destination, or for each subscription of which only one
//!    destination is to get them. They are beside the cores, where a destination that does not answer holds up nobody
//!    else (`sender.rs`, [`destination`]).
//!
//! What waits when the server ends is lost, as what a destination refuses is: who must have every row asks for it.

pub mod destination;
pub mod lines;
mod sender;

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tidewire_storage::schema::{Catalog, Subscription};

use destination::Asking;
use sender::Sender;

/// Who gets the rows of a write, too.
#[derive(Debug, PartialEq, Eq)]
pub struct Subscribed {
    /// The database.
    pub database: Arc<str>,
    /// Its subscriptions to the retention policy that is written.
    pub to: Vec<Arc<Subscription>>,
}

/// Lines of some rows on their way.
#[derive(Debug)]
pub struct Part {
    /// The lines, with times in nanoseconds.
    pub text: Vec<u8>,
    /// How many rows they are.
    pub rows: u64,
    /// Their room.
    pub held: Held,
}

/// Room for what waits to be sent. It is given back when this is dropped.
#[derive(Debug)]
pub struct Held {
    bytes: u64,
    all: Arc<AtomicU64>,
}

impl Drop for Held {
    fn drop(&mut self) {
        self.all.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

/// What became of rows. Those that go to several destinations count for each.
#[derive(Debug, Default)]
pub struct Counts {
    /// Taken by a destination.
    pub sent: Arc<AtomicU64>,
    /// Refused by a destination, or it could not be reached.
    pub failed: Arc<AtomicU64>,
    /// There was no room for them.
    pub dropped: Arc<AtomicU64>,
}

/// A subscription and its database.
type Key = (Arc<str>, Arc<Subscription>);

/// What sends, for all cores.
#[derive(Debug)]
pub struct Forwarder {
    bytes_max: u64,
    asking: Asking,
    held: Arc<AtomicU64>,
    counts: Arc<Counts>,
    senders: Mutex<HashMap<Key, Vec<Sender>>>,
}

impl Forwarder {
    /// Keeps at most `bytes_max` bytes.
    pub fn new(bytes_max: u64, asking: Asking) -> Self {
        Self { bytes_max, asking, held: Arc::default(), counts: Arc::default(), senders: Mutex::default() }
    }

    /// What became of rows.
    pub fn counts(&self) -> &Counts {
        &self.counts
    }

    /// Bytes that wait to be sent.
    pub fn held_bytes(&self) -> u64 {
        self.held.load(Ordering::Relaxed)
    }

    /// Room for this many bytes; `None` where there is not enough.
    pub fn hold(&self, bytes: u64) -> Option<Held> {
        let fits = |held: u64| Some(held.saturating_add(bytes)).filter(|held| *held <= self.bytes_max);
        self.held.fetch_update(Ordering::Relaxed, Ordering::Relaxed, fits).ok()?;
        Some(Held { bytes, all: self.held.clone() })
    }

    /// Counts rows that found no room.
    pub fn drop_rows(&self, rows: u64) {
        self.counts.dropped.fetch_add(rows, Ordering::Relaxed);
    }

    /// Hands lines over to all who have subscribed.
    pub fn send(&self, to: &Subscribed, part: Part) {
        let part = Arc::new(part);
        let mut senders = lock(&self.senders);
        for subscription in &to.to {
            let key = (to.database.clone(), subscription.clone());
            let of_subscription = senders.entry(key).or_insert_with(|| self.start(&to.database, subscription));
            for sender in of_subscription {
                sender.send(part.clone());
            }
        }
    }

    fn start(&self, database: &str, subscription: &Subscription) -> Vec<Sender> {
        let groups: Vec<&[Arc<str>]> = match subscription.any {
            true => vec![&subscription.destinations],
            false => subscription.destinations.chunks(1).collect(),
        };
        let start = |urls: &&[Arc<str>]| Sender::start(database, subscription, urls, &self.asking, self.counts.clone());
        groups.iter().map(start).collect()
    }

    /// Ends what sends for subscriptions that are no more, once it has sent what it has.
    pub fn keep(&self, catalog: &Catalog) {
        let is_there = |(database, subscription): &Key| {
            let database = catalog.databases.get(database);
            database.is_some_and(|database| database.subscriptions.contains(subscription))
        };
        lock(&self.senders).retain(|key, _| is_there(key));
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;
    use std::time::Duration;

    use super::*;

    #[test]
    fn room_is_bounded_and_comes_back() {
        let forwarder = Forwarder::new(10, Asking { timeout: Duration::from_secs(1), ca_file: PathBuf::new() });
        let first = forwarder.hold(6).unwrap();
        assert!(forwarder.hold(5).is_none() && forwarder.hold(u64::MAX).is_none());
        let second = forwarder.hold(4).unwrap();
        assert_eq!(forwarder.held_bytes(), 10);
        drop(first);
        assert_eq!(forwarder.held_bytes(), 4);
        drop(second);
        assert_eq!(forwarder.held_bytes(), 0);
    }
}
