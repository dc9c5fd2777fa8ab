//! Offline shards: damage keeps them from opening, and the server runs without them.
//!
//! 1. Each core puts its damaged shards in while it starts. Connections are accepted when all cores have started, so
//!    every request sees all of them.
//! 2. A request with rows for one of them is refused before any of its rows is sent anywhere; a query that needs one
//!    fails. Neither ever does with what the other shards have.
//! 3. Where no shard is left, there is nothing to serve, and the start fails.

use std::sync::OnceLock;

use tidewire_storage::Error;

/// Why shards are offline, by their numbers.
#[derive(Debug)]
pub struct OfflineShards {
    reasons: Vec<OnceLock<String>>,
}

impl OfflineShards {
    /// None of `shards` is.
    pub fn new(shards: usize) -> Self {
        Self { reasons: (0..shards).map(|_| OnceLock::new()).collect() }
    }

    /// Takes `shard` offline. False when none is left that is well.
    #[must_use]
    pub fn add(&self, shard: u32, reason: String) -> bool {
        if let Some(slot) = self.reasons.get(shard as usize) {
            // The first reason stays.
            let _ = slot.set(reason);
        }
        self.reasons.iter().any(|reason| reason.get().is_none())
    }

    /// An error when `shard` is offline.
    pub fn check(&self, shard: u32) -> Result<(), Error> {
        match self.reasons.get(shard as usize).and_then(OnceLock::get) {
            Some(reason) => Err(Error::ShardOffline { shard, reason: reason.clone() }),
            None => Ok(()),
        }
    }

    /// An error when any shard is offline.
    pub fn check_all(&self) -> Result<(), Error> {
        (0..self.reasons.len() as u32).try_for_each(|shard| self.check(shard))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_offline_shard_is_reported_with_its_reason_and_the_last_one_ends_the_start() {
        let offline = OfflineShards::new(2);
        assert!(offline.check(0).is_ok() && offline.check(1).is_ok() && offline.check_all().is_ok());
        assert!(offline.add(1, "x is damaged at offset 7: y".to_owned()));
        assert!(offline.check(0).is_ok());
        let error = offline.check(1).unwrap_err().to_string();
        assert_eq!(error, "shard 1 is offline: x is damaged at offset 7: y");
        assert_eq!(offline.check_all().unwrap_err().to_string(), error);
        assert!(!offline.add(0, "z".to_owned()));
    }
}
