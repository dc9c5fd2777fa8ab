//! Damaged and missing segments: what they held, and giving them up.
//!
//! A segment is given up by name, and only if it is damaged: the manifest then names it no more, and the shard is in
//! order. What is there of the file is [detached](crate::detached), not removed.

use std::path::{Path, PathBuf};

use crate::detached::detach;
use crate::disk::Disk;
use crate::engine::folders::Folders;
use crate::error::{Error, Result};
use crate::inspect::{SegmentFacts, ShardFiles};
use crate::manifest::{Edit, ManifestLog, SegmentEntry};
use crate::segment::Expected;

/// A damaged segment, and with it what its loss costs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Loss {
    /// What the manifest says of it.
    pub segment: SegmentFacts,
    /// Where it lies.
    pub path: PathBuf,
    /// The first damage: its offset, and what does not hold there.
    pub damage: (u64, String),
    /// The file is not there.
    pub is_missing: bool,
}

/// The segments of the shard in `folder` that cannot be opened. Blocks are not looked at.
pub async fn damaged_segments<D: Disk>(disk: &D, folder: &Path, shard: u32) -> Result<Vec<Loss>> {
    let files = ShardFiles::open(disk, folder, shard).await?;
    let mut losses = Vec::new();
    for segment in files.segments() {
        let opened = files.open_segment(&segment).await.map(drop);
        losses.extend(loss(&files, segment, opened)?);
    }
    Ok(losses)
}

/// What the loss of the segments `names` costs. Each is read as a whole; it is an error to name one that is not the
/// shard's, or that is well.
pub async fn lost_segments<D: Disk>(disk: &D, folder: &Path, shard: u32, names: &[String]) -> Result<Vec<Loss>> {
    let files = ShardFiles::open(disk, folder, shard).await?;
    let mut losses = Vec::new();
    for name in names {
        let Some(segment) = files.segments().find(|segment| segment.meta.file == *name) else {
            return Err(Error::Rejected(format!("shard {shard} has no segment {name:?}")));
        };
        let verified = verified(disk, &files, &segment).await;
        match loss(&files, segment, verified)? {
            Some(loss) => losses.push(loss),
            None => return Err(Error::Rejected(format!("segment {name} of shard {shard} is whole: nothing is lost"))),
        }
    }
    Ok(losses)
}

/// Gives up the segments of `losses`. They count no more when this returns.
pub async fn accept_losses<D: Disk>(disk: &D, folder: &Path, shard: u32, losses: &[Loss]) -> Result<()> {
    let folders = Folders::new(folder);
    let (log, manifest) = ManifestLog::open(disk, &folders.root, shard).await?;
    let Some(manifest) = manifest else { return Ok(()) };
    let is_lost = |file: &str| losses.iter().any(|loss| loss.segment.meta.file == file);
    let lost = manifest.segments().filter(|entry| is_lost(&entry.meta.file));
    let remove_segments = lost.map(SegmentEntry::removed).collect();
    log.store(&|look| look(&manifest), &Edit { remove_segments, ..Edit::default() }).await?;
    for loss in losses {
        match detach(disk, &folders, &loss.path).await {
            Err(error) if error.is_not_found() => {}
            done => drop(done?),
        }
    }
    Ok(())
}

async fn verified<D: Disk>(disk: &D, files: &ShardFiles<D>, segment: &SegmentFacts) -> Result<()> {
    let opened = files.open_segment(segment).await?;
    let expected = Expected {
        table: segment.table,
        partition_start: segment.partition_start,
        partition_length: segment.partition_length,
        series: None,
    };
    let mut first = Ok(());
    let mut note = |error| {
        if first.is_ok() {
            first = Err(error);
        }
    };
    opened.verify(disk, &expected, &mut note, &mut |_| {}).await?;
    first
}

/// The loss that an attempt to read a segment tells of; the error where it tells of something else.
fn loss<D: Disk>(files: &ShardFiles<D>, segment: SegmentFacts, read: Result<()>) -> Result<Option<Loss>> {
    let path = files.segment_path(&segment);
    match read {
        Ok(()) => Ok(None),
        Err(Error::Corrupt { offset, reason, .. }) => {
            Ok(Some(Loss { segment, path, damage: (offset, reason), is_missing: false }))
        }
        Err(error) if error.is_not_found() => {
            let damage = (0, "the file is missing".to_owned());
            Ok(Some(Loss { segment, path, damage, is_missing: true }))
        }
        Err(error) => Err(error),
    }
}
