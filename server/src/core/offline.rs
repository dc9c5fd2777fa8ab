//! Shards that are set aside: damage keeps them from opening, and the server runs without them.
//!
//! 1. Each core puts its damaged shards in while it starts. Connections are accepted when all cores have started, so
//!    that whoever asks sees all of them.
//! 2. A request with rows for one of them is refused before any of its rows is sent anywhere; a query that needs one
//!    fails. Neither ever does with what the other shards have.
//! 3. Where no shard is left, there is nothing to serve, and the start fails.

use std::sync::OnceLock;

use tidewire_storage::Error;

/// Why shards are set aside, by their numbers.
#[derive(Debug)]
pub struct SetAside {
    reasons: Vec<OnceLock<String>>,
}

impl SetAside {
    /// None of `shards` is.
    pub fn new(shards: usize) -> Self {
        Self { reasons: (0..shards).map(|_| OnceLock::new()).collect() }
    }

    /// Sets `shard` aside. False when none is left that is well.
    #[must_use]
    pub fn put(&self, shard: u32, reason: String) -> bool {
        if let Some(slot) = self.reasons.get(shard as usize) {
            // The first reason stays.
            let _ = slot.set(reason);
        }
        self.reasons.iter().any(|reason| reason.get().is_none())
    }

    /// An error when `shard` is set aside.
    pub fn check(&self, shard: u32) -> Result<(), Error> {
        match self.reasons.get(shard as usize).and_then(OnceLock::get) {
            Some(reason) => Err(Error::SetAside { shard, reason: reason.clone() }),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shard_that_is_set_aside_is_told_with_its_reason_and_the_last_one_ends_the_start() {
        let set_aside = SetAside::new(2);
        assert!(set_aside.check(0).is_ok() && set_aside.check(1).is_ok());
        assert!(set_aside.put(1, "x is damaged at offset 7: y".to_owned()));
        assert!(set_aside.check(0).is_ok());
        let told = set_aside.check(1).unwrap_err().to_string();
        assert_eq!(told, "shard 1 is set aside: x is damaged at offset 7: y");
        assert!(!set_aside.put(0, "z".to_owned()));
    }
}
