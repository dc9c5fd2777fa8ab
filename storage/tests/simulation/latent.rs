//! Damage that comes about while a shard is at work, in a segment that it has open or is yet to read: a bit flips for
//! good. Merges and scans that need the block fail; nothing that is wrong may come of it, also later.

use std::cell::RefCell;
use std::path::{Path, PathBuf};

use fastrand::Rng;
use futures_lite::future::yield_now;
use tidewire_storage::disk::sim::SimDisk;

/// One bit of some segment; `None` before it has flipped.
#[derive(Debug, Default)]
pub(crate) struct Latent(RefCell<Option<(PathBuf, u64, u8)>>);

impl Latent {
    /// Damages some segment of the shards in these folders after a while.
    pub(crate) async fn happen(&self, disk: SimDisk, shards: Vec<PathBuf>, mut random: Rng) {
        for _ in 0..random.usize(0..2000) {
            yield_now().await;
        }
        let folder = shards[random.usize(0..shards.len())].join("segments");
        let mut paths = disk.paths();
        paths.retain(|path| path.starts_with(&folder) && path.extension().is_some_and(|kind| kind == "seg"));
        paths.sort();
        let Some(path) = paths.get(random.usize(0..paths.len().max(1))) else { return };
        let bytes = disk.bytes(path).unwrap();
        let written: Vec<u64> = (0..bytes.len() as u64).filter(|at| bytes[*at as usize] != 0).collect();
        if written.is_empty() {
            return;
        }
        let (offset, bit) = (written[random.usize(0..written.len())], random.u8(0..8));
        assert!(disk.flip_bit(path, offset, bit));
        *self.0.borrow_mut() = Some((path.clone(), offset, bit));
    }

    /// Whether that is the file.
    pub(crate) fn is_of(&self, path: &Path) -> bool {
        self.0.borrow().as_ref().is_some_and(|(damaged, ..)| damaged == path)
    }

    /// Puts the bit right, if the file is there still. Says whether there was damage.
    pub(crate) fn mend(&self, disk: &SimDisk) -> bool {
        let damage = self.0.take();
        if let Some((path, offset, bit)) = &damage {
            disk.flip_bit(path, *offset, *bit);
        }
        damage.is_some()
    }
}
