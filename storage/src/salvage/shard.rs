//! Getting a shard to open again that damage keeps closed, at a price that is named before it is paid.
//!
//! 1. What has a copy ([`manifest`](crate::manifest), [`series`](crate::series::file)) is mended by any start, and
//!    costs nothing.
//! 2. A damaged log is ended where the damage begins: see [`cut`](crate::wal::cut). Lost are the records after it, and
//!    which those are is listed, as far as they can be read.
//! 3. A manifest or a series file that is damaged together with its copy cannot be made from anything else here. It is
//!    told, for a copy from a backup to be put in place; nothing is changed.
//!
//! No process may have the shard open.

use std::path::Path;

use crate::cache::Cache;
use crate::disk::Disk;
use crate::engine::folders::Folders;
use crate::error::{Error, Result};
use crate::manifest;
use crate::wal::Lsn;
use crate::wal::cut::{self, LogCut};

/// What was found, and done.
#[derive(Debug)]
pub struct Salvage {
    /// Places where the log has to be ended, or was.
    pub cuts: Vec<LogCut>,
    /// What cannot be mended here.
    pub left: Option<Error>,
    /// The shard can be opened now.
    pub opens: bool,
}

/// Looks at what keeps the shard in `folder` from opening. With `accept_loss` it ends the log where it must; without,
/// it changes nothing but what any start does.
pub async fn salvage<D: Disk>(disk: &D, folder: &Path, shard: u32, accept_loss: bool) -> Result<Salvage> {
    let folders = Folders::new(folder);
    let mut salvage = Salvage { cuts: Vec::new(), left: None, opens: false };
    loop {
        // Tables are all taken for live: nothing is to be removed that a catalog might still name.
        let error = match crate::recovery::load(disk, &folders, shard, &Cache::new(0), &|_| true).await {
            Ok(_) => {
                salvage.opens = true;
                return Ok(salvage);
            }
            Err(error) => error,
        };
        let (path, offset, reason) = match error {
            Error::Corrupt { path, offset, reason } => (path, offset, reason),
            other if other.is_damage() => {
                salvage.left = Some(other);
                return Ok(salvage);
            }
            other => return Err(other),
        };
        if path.parent() != Some(&folders.wal) {
            salvage.left = Some(Error::Corrupt { path, offset, reason });
            return Ok(salvage);
        }
        let flushed = manifest::load(disk, &folders.root, shard).await?.unwrap_or_default().flushed_lsn;
        let found = cut::find(disk, &folders.wal, shard, Lsn(flushed), (path, offset, reason)).await?;
        if accept_loss {
            cut::apply(disk, &folders.wal, &found).await?;
        }
        salvage.cuts.push(found);
        if !accept_loss {
            return Ok(salvage);
        }
    }
}
