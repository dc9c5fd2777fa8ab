//! What goes wrong with a file while nobody looks: a bit flips for good, or the file is gone. A segment is mended
//! later, as by an operator who has a copy; of a manifest and a file of series there is a copy, which a start must put
//! in place.

use std::path::{Path, PathBuf};

use fastrand::Rng;
use futures_lite::future::block_on;
use tidewire_storage::disk::Disk;
use tidewire_storage::disk::sim::SimDisk;

use crate::work::Home;

/// Damage at rest of one file.
pub(crate) struct Rot {
    path: PathBuf,
    kind: Kind,
}

enum Kind {
    Flipped {
        offset: u64,
        bit: u8,
    },
    Missing(Vec<u8>),
    /// The shard has to mend it by itself.
    Copied,
}

impl Rot {
    /// Damages some file of some shard; `None` where there is none. No process may run.
    pub(crate) fn happen(disk: &SimDisk, homes: &[Home], random: &mut Rng) -> Option<Self> {
        let folder = &homes[random.usize(0..homes.len())].folder;
        let copied = random.u8(0..3) == 0;
        let mut paths = disk.paths();
        paths.retain(|path| match copied {
            true => path.starts_with(folder) && has_copy(disk, path),
            false => path.starts_with(folder.join("segments")) && path.extension().is_some_and(|kind| kind == "seg"),
        });
        paths.sort();
        let path = paths.get(random.usize(0..paths.len().max(1)))?.clone();
        let bytes = disk.bytes(&path).unwrap();
        let missing = random.u8(0..3) == 0;
        let mut kind = if missing {
            block_on(async {
                disk.remove(&path).await.unwrap();
                disk.sync_dir(path.parent().unwrap()).await.unwrap();
            });
            Kind::Missing(bytes)
        } else {
            // Among bytes that mean something: most of a small file is padding.
            let written: Vec<u64> = (0..bytes.len() as u64).filter(|at| bytes[*at as usize] != 0).collect();
            let (offset, bit) = (written[random.usize(0..written.len())], random.u8(0..8));
            assert!(disk.flip_bit(&path, offset, bit));
            Kind::Flipped { offset, bit }
        };
        if copied {
            kind = Kind::Copied;
        }
        Some(Self { path, kind })
    }

    /// The file, where scans may fail for it.
    pub(crate) fn path(&self) -> Option<&Path> {
        match self.kind {
            Kind::Copied => None,
            Kind::Flipped { .. } | Kind::Missing(_) => Some(&self.path),
        }
    }

    /// Puts the file right, unless the shard has done away with it meanwhile; one that is not wanted any more is put
    /// back all the same where it was missing.
    pub(crate) fn mend(self, disk: &SimDisk) {
        match self.kind {
            Kind::Flipped { offset, bit } => {
                disk.flip_bit(&self.path, offset, bit);
            }
            Kind::Missing(bytes) => disk.import(&self.path, bytes),
            Kind::Copied => {}
        }
    }
}

/// Whether a file is one of two that are the same, as they are whenever there was space for both.
fn has_copy(disk: &SimDisk, path: &Path) -> bool {
    let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    let other = match name.strip_suffix(".copy.keys") {
        Some(stem) => format!("{stem}.keys"),
        None if name == "MANIFEST" => "MANIFEST.copy".to_owned(),
        None if name == "MANIFEST.copy" => "MANIFEST".to_owned(),
        None => match name.strip_suffix(".keys") {
            Some(stem) => format!("{stem}.copy.keys"),
            None => return false,
        },
    };
    disk.bytes(path).is_some() && disk.bytes(path) == disk.bytes(&path.with_file_name(other))
}
