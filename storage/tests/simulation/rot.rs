//! What goes wrong with a segment while nobody looks: a bit flips for good, or the file is gone. Later it is mended, as
//! by an operator who has a copy.

use std::path::{Path, PathBuf};

use fastrand::Rng;
use futures_lite::future::block_on;
use tidewire_storage::disk::Disk;
use tidewire_storage::disk::sim::SimDisk;

use crate::work::Home;

/// Damage at rest of one segment.
pub(crate) struct Rot {
    path: PathBuf,
    kind: Kind,
}

enum Kind {
    Flipped { offset: u64, bit: u8 },
    Missing(Vec<u8>),
}

impl Rot {
    /// Damages some segment of some shard; `None` where there is none. No process may run.
    pub(crate) fn happen(disk: &SimDisk, homes: &[Home], random: &mut Rng) -> Option<Self> {
        let folder = homes[random.usize(0..homes.len())].folder.join("segments");
        let mut segments = disk.paths();
        segments.retain(|path| path.starts_with(&folder) && path.extension().is_some_and(|kind| kind == "seg"));
        segments.sort();
        let path = segments.get(random.usize(0..segments.len().max(1)))?.clone();
        let bytes = disk.bytes(&path).unwrap();
        let kind = if random.u8(0..3) == 0 {
            block_on(async {
                disk.remove(&path).await.unwrap();
                disk.sync_dir(&folder).await.unwrap();
            });
            Kind::Missing(bytes)
        } else {
            // Among bytes that mean something: most of a small segment is padding.
            let written: Vec<u64> = (0..bytes.len() as u64).filter(|at| bytes[*at as usize] != 0).collect();
            let (offset, bit) = (written[random.usize(0..written.len())], random.u8(0..8));
            assert!(disk.flip_bit(&path, offset, bit));
            Kind::Flipped { offset, bit }
        };
        Some(Self { path, kind })
    }

    /// The file.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Puts the file right, unless the shard has done away with it meanwhile; one that is not wanted any more is put
    /// back all the same where it was missing.
    pub(crate) fn mend(self, disk: &SimDisk) {
        match self.kind {
            Kind::Flipped { offset, bit } => {
                disk.flip_bit(&self.path, offset, bit);
            }
            Kind::Missing(bytes) => disk.import(&self.path, bytes),
        }
    }
}
