//! Where a shard's files are.

use std::path::{Path, PathBuf};

/// Name of the file that keeps space back, in the shard's folder.
pub(crate) const RESERVE: &str = "RESERVE";

/// Where a shard's files are.
#[derive(Debug, Clone)]
pub(crate) struct Folders {
    pub(crate) root: PathBuf,
    pub(crate) wal: PathBuf,
    pub(crate) segments: PathBuf,
    pub(crate) series: PathBuf,
    /// Files that no manifest names and that are kept.
    pub(crate) detached: PathBuf,
}

impl Folders {
    pub(crate) fn new(root: &Path) -> Self {
        Self {
            root: root.to_owned(),
            wal: root.join("wal"),
            segments: root.join("segments"),
            series: root.join("series"),
            detached: root.join("detached"),
        }
    }
}
