//! The manifest as format 2 archived it, before series could be hidden: it is only read.
//!
//! Frozen: what is said here is what lies on disks. Entries that are the same in the present format are taken from
//! there; a change of one of them there leaves a copy of the old one here (the golden files would show it missing).

use rkyv::{Archive, Deserialize, Serialize};

use super::entry::{DroppedEntry, SegmentEntry, SeriesFileEntry, TombstoneEntry};

pub(super) const VERSION: u32 = 2;

#[derive(Debug, Archive, Serialize, Deserialize)]
pub(super) struct Lists {
    pub(super) flushed_lsn: u64,
    pub(super) next_file: u64,
    pub(super) tables: Vec<TableEntry>,
    pub(super) segments: Vec<SegmentEntry>,
    pub(super) series_files: Vec<SeriesFileEntry>,
    pub(super) tombstones: Vec<TombstoneEntry>,
    pub(super) dropped: Vec<DroppedEntry>,
}

#[derive(Debug, Archive, Serialize, Deserialize)]
pub(super) struct TableEntry {
    pub(super) table: u32,
    pub(super) partition_length: i64,
    pub(super) horizon: i64,
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use rkyv::rancor::Error as RkyvError;
    use rkyv::util::AlignedVec;

    use super::super::snapshot::{Lists as Present, decode, encode_as};
    use super::*;

    #[test]
    fn what_it_said_is_said_again() {
        let old = Lists {
            flushed_lsn: 7,
            next_file: 9,
            tables: vec![TableEntry { table: 4, partition_length: 1000, horizon: -5 }],
            segments: Vec::new(),
            series_files: vec![SeriesFileEntry { file: "s".to_owned(), bytes: 10 }],
            tombstones: vec![TombstoneEntry { table: 4, lsn: 6, time_min: 1, time_max: 2, series: None }],
            dropped: vec![DroppedEntry { table: 3, lsn: 8 }],
        };
        let archive = rkyv::to_bytes::<RkyvError>(&old).unwrap();
        let mut bytes = AlignedVec::<16>::new();
        bytes.extend_from_slice(&encode_as(VERSION, &archive, 1));
        let read = decode(Path::new("MANIFEST"), &bytes, 1).unwrap();
        assert!(!read.takes_edits);
        let read = read.lists;
        assert_eq!(read, Present::from(old));
        assert_eq!((read.flushed_lsn, read.next_file, read.tables[0].horizon), (7, 9, -5));
        assert!(read.tables[0].hidden.is_empty());
        assert_eq!((read.series_files.len(), read.tombstones.len(), read.dropped.len()), (1, 1, 1));
    }
}
