//! A manifest that holds much, as a small snapshot and edits that add the rest: each is made in a step, so that others
//! run between, where one snapshot of a hundred thousand tables would take a core's while.

use std::ops::Bound;

use super::contents::Manifest;
use super::entry::{Edit, SegmentEntry, TableEntry, TombstoneEntry};

/// Entries of a piece.
const PIECE_ENTRIES: usize = 1024;

/// Entries up to which a manifest is one snapshot.
const WHOLE_ENTRIES_MAX: usize = 2 * PIECE_ENTRIES;

/// How far the pieces of a manifest are.
#[derive(Debug, Clone, Copy)]
pub(super) enum Progress {
    /// Tables after one.
    Tables(Bound<u32>),
    /// Segments of partitions after one.
    Segments(Bound<(u32, i64)>),
    /// Deletes of tables after one, and how many of the next are there.
    Tombstones(Bound<u32>, usize),
    Done,
}

impl Progress {
    /// Nothing is there.
    pub(super) fn begin() -> Self {
        Self::Tables(Bound::Unbounded)
    }

    /// The next piece, if one is left. The pieces together, applied to what [`first`] gives, are the manifest.
    pub(super) fn next(&mut self, manifest: &Manifest) -> Option<Edit> {
        // What is hidden counts with the flushed record alone.
        let mut edit = Edit { flushed: Some(manifest.flushed_lsn), ..Edit::default() };
        loop {
            match *self {
                Self::Tables(after) => {
                    edit.add_tables = tables_after(manifest, after);
                    *self = match edit.add_tables.last() {
                        Some(last) => Self::Tables(Bound::Excluded(last.table)),
                        None => Self::Segments(Bound::Unbounded),
                    };
                }
                Self::Segments(after) => {
                    edit.add_segments = segments_after(manifest, after);
                    *self = match edit.add_segments.last() {
                        Some(last) => Self::Segments(Bound::Excluded((last.table, last.partition_start))),
                        None => Self::Tombstones(Bound::Unbounded, 0),
                    };
                }
                Self::Tombstones(after, count) => {
                    let Some((table, some)) = tombstones_after(manifest, after, count) else {
                        *self = Self::Done;
                        continue;
                    };
                    *self = match some.is_empty() {
                        true => Self::Tombstones(Bound::Excluded(table), 0),
                        false => Self::Tombstones(after, count + some.len()),
                    };
                    edit.add_tombstones = some;
                }
                Self::Done => return None,
            }
            if !(edit.add_tables.is_empty() && edit.add_segments.is_empty() && edit.add_tombstones.is_empty()) {
                return Some(edit);
            }
        }
    }
}

/// What a manifest in pieces begins with; `None` where it is small enough to be one.
pub(super) fn first(manifest: &Manifest) -> Option<Manifest> {
    let holds_much = manifest.count_entries(WHOLE_ENTRIES_MAX + 1) > WHOLE_ENTRIES_MAX;
    holds_much.then(|| manifest.without_lists())
}

fn tables_after(manifest: &Manifest, after: Bound<u32>) -> Vec<TableEntry> {
    manifest.tables_from(after).take(PIECE_ENTRIES).cloned().collect()
}

/// Whole partitions, so that a piece has a few more segments where there are many in the last.
fn segments_after(manifest: &Manifest, after: Bound<(u32, i64)>) -> Vec<SegmentEntry> {
    let mut found = Vec::new();
    for partition in manifest.partitions_from(after) {
        found.extend_from_slice(partition);
        if found.len() >= PIECE_ENTRIES {
            break;
        }
    }
    found
}

/// Some deletes of the next table, from the `count`-th on.
fn tombstones_after(manifest: &Manifest, after: Bound<u32>, count: usize) -> Option<(u32, Vec<TombstoneEntry>)> {
    let (table, all) = manifest.tombstones_from(after).next()?;
    Some((table, all.iter().skip(count).take(PIECE_ENTRIES).cloned().collect()))
}
