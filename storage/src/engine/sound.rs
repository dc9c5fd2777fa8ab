//! What becomes of a shard in which the program itself was found at fault: it takes and gives nothing more, and what it
//! had acknowledged is in its log and its segments, as it was, for the next start.

use super::Shard;
use crate::disk::Disk;
use crate::error::{Error, Result};

impl<D: Disk> Shard<D> {
    /// Ends the shard's work, for `reason`: a panic was met in it. Rows that wait for the log are refused, though some
    /// may be in it.
    pub fn abandon(&self, reason: &str) {
        if self.abandoned.set(reason.to_owned()).is_ok() {
            self.wal.abandon(reason.to_owned());
            self.pace.stop();
            self.changed.notify();
        }
    }

    /// An error once the shard is abandoned, or a panic has left it half changed.
    pub fn check_sound(&self) -> Result<()> {
        let reason = match self.abandoned.get() {
            Some(reason) => reason,
            None if self.state.is_broken() => "a fault of the server has left it half changed in memory",
            None => return Ok(()),
        };
        Err(Error::ShardOffline { shard: self.config.shard, reason: reason.to_owned() })
    }

    /// Closes a shard that is not sound: nothing of what is in memory is wanted.
    pub(super) fn close_unsound(&self) {
        self.closing.set(true);
        self.abandon("it was left half changed");
        self.changed.notify();
    }
}

#[cfg(test)]
mod tests {
    use std::panic::{AssertUnwindSafe, catch_unwind};
    use std::path::Path;

    use futures_lite::future::block_on;

    use super::*;
    use crate::disk::plain::PlainDisk;
    use crate::engine::ShardConfig;
    use crate::wal::Lsn;

    #[test]
    fn a_panic_within_a_change_ends_the_shard_and_the_next_start_makes_it_sound() {
        let folder = std::env::temp_dir().join(format!("tidewire-unsound-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&folder);
        let open = |path: &Path| {
            let config = ShardConfig { wal_file_bytes: 64 << 10, reserve_bytes: 64 << 10, ..ShardConfig::new(3) };
            block_on(Shard::open(PlainDisk, path, config, &|_| true)).unwrap().0
        };
        let shard = open(&folder);
        assert!(shard.check_sound().is_ok());
        let broken = catch_unwind(AssertUnwindSafe(|| {
            let _state = shard.state.borrow_mut();
            panic!("in the middle of a change")
        }));
        assert!(broken.is_err());
        let told = shard.check_sound().unwrap_err().to_string();
        assert!(told.starts_with("shard 3 is offline: ") && told.contains("half changed"), "{told}");
        assert!(matches!(shard.append_all(&[]), Err(Error::ShardOffline { shard: 3, .. })));
        assert!(matches!(block_on(shard.heal()), Err(Error::ShardOffline { .. })));
        shard.abandon("a panic");
        shard.abandon("another");
        assert_eq!(shard.check_sound().unwrap_err().to_string(), "shard 3 is offline: a panic");
        assert!(matches!(block_on(shard.durable(Lsn(1))), Err(Error::LogFailed { .. })));
        assert!(block_on(shard.close()).is_ok());
        drop(shard);
        let shard = open(&folder);
        assert!(shard.check_sound().is_ok());
        drop(shard);
        let _ = std::fs::remove_dir_all(&folder);
    }
}
