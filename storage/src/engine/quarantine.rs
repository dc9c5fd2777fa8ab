//! Damaged segments: kept, listed, not merged, and never passed over in silence.
//!
//! 1. A segment whose footer cannot be read at a start, or whose file is missing, does not keep the shard from opening.
//!    A scan that may need rows of it fails with the error that names file and offset; others do not notice.
//! 2. A segment with a damaged block is read on: only scans that need the block fail.
//! 3. Neither is merged: a merge would have to leave out rows, or put newer rows before older ones.
//!
//! The files stay where they are, and in the manifest, until their table is dropped or they are too old, so that a copy
//! can be put in place. Deletes that touch them are kept as long, for that copy.

use std::path::PathBuf;

use super::Shard;
use crate::disk::Disk;
use crate::schema::TableId;

/// A damaged segment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Quarantined {
    /// The table.
    pub table: TableId,
    /// The file.
    pub path: PathBuf,
    /// Where the damage is, and what does not hold there; empty where only a merge could say.
    pub damage: Vec<(u64, String)>,
    /// Nothing of it can be read.
    pub whole: bool,
}

impl<D: Disk> Shard<D> {
    /// The damaged segments that are known of.
    pub fn quarantined(&self) -> Vec<Quarantined> {
        let (state, set_aside) = (self.state.borrow(), self.quarantined.borrow());
        let mut out = Vec::new();
        for (&table, known) in &state.tables {
            for segment in known.unreadable.values().flatten() {
                let damage = vec![(segment.offset, segment.reason.clone())];
                out.push(Quarantined { table, path: segment.path.clone(), damage, whole: true });
            }
            for segment in known.segments() {
                let damage = segment.damage();
                if !damage.is_empty() || set_aside.contains(&segment.meta().file) {
                    let damage = damage.into_iter().map(|(offset, reason)| (offset, reason.to_owned())).collect();
                    out.push(Quarantined { table, path: segment.path().to_owned(), damage, whole: false });
                }
            }
        }
        out
    }
}
