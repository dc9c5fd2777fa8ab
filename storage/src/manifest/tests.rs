//! What edits make of a manifest, and what its files say after anything that may happen to them.

use std::path::Path;

use futures_lite::future::block_on;
use rkyv::util::AlignedVec;

use super::entry::{DroppedEntry, Edit, SegmentEntry, SeriesFileEntry, TableEntry, TombstoneEntry};
use super::image::Image;
use super::*;
use crate::disk::sim::{Fault, FaultKind, Operation, SimDisk, SimTasks};
use crate::disk::{DISK_ALIGN, Disk, DiskFile, OpenMode};
use crate::error::Error;
use crate::schema::TableId;
use crate::segment::SegmentMeta;

fn segment(table: u32, partition_start: i64, file: &str) -> SegmentEntry {
    let meta = SegmentMeta {
        file: file.to_owned(),
        rows: 1,
        bytes: 4096,
        time_min: 0,
        time_max: 1,
        series_min: 0,
        series_max: 9,
        version: 1,
        lsn: 0,
        hard: false,
    };
    SegmentEntry { table, partition_start, meta }
}

fn files(manifest: &Manifest) -> Vec<&str> {
    manifest.segments().map(|entry| entry.meta.file.as_str()).collect()
}

/// The manifest after an edit.
fn with(manifest: &Manifest, edit: Edit) -> Manifest {
    let mut next = manifest.clone();
    next.apply(edit);
    next
}

#[test]
fn edits_keep_the_age_of_what_they_replace() {
    let start = with(
        &Manifest::default(),
        Edit {
            flushed: Some(5),
            next_file: 4,
            add_tables: vec![TableEntry::new(TableId(1), 10)],
            add_segments: vec![segment(1, 0, "a"), segment(1, 0, "b"), segment(1, 10, "c"), segment(1, 0, "d")],
            add_series_files: vec![SeriesFileEntry { file: "s".to_owned(), bytes: 10 }],
            ..Edit::default()
        },
    );
    assert_eq!((start.flushed_lsn, start.next_file), (5, 4));
    let merged = with(
        &start,
        Edit {
            remove_segments: vec![segment(1, 0, "a").removed(), segment(1, 0, "b").removed()],
            add_segments: vec![segment(1, 0, "ab")],
            ..Edit::default()
        },
    );
    assert_eq!(files(&merged), ["ab", "d", "c"], "by partition");
    assert_eq!(merged.flushed_lsn, 5);
    let emptied = with(&merged, Edit { remove_segments: vec![segment(1, 10, "c").removed()], ..Edit::default() });
    assert_eq!(files(&emptied), ["ab", "d"]);
    assert_eq!(emptied.segments_before(TableId(1), 0).count(), 0);
    assert_eq!(emptied.segments_before(TableId(1), 1).count(), 2);
    let dropped = with(
        &merged,
        Edit {
            drop_tables: vec![1],
            remove_series_files: vec!["s".to_owned()],
            add_series_files: vec![SeriesFileEntry { file: "all".to_owned(), bytes: 20 }],
            ..Edit::default()
        },
    );
    assert_eq!((dropped.segments().count(), dropped.tables().count()), (0, 0));
    assert_eq!(dropped.series_files.iter().map(|f| f.file.as_str()).collect::<Vec<_>>(), ["all"]);
}

#[test]
fn tombstones_stay_as_long_as_they_touch_an_older_segment() {
    let tombstone = |lsn: u64, time_min: i64| TombstoneEntry { table: 1, lsn, time_min, time_max: 5, series: None };
    let written = |lsn: u64, file: &str| {
        let mut entry = segment(1, 0, file);
        entry.meta.lsn = lsn;
        entry
    };
    let start = with(
        &Manifest::default(),
        Edit {
            flushed: Some(9),
            add_segments: vec![written(3, "a"), written(9, "b")],
            add_tombstones: vec![tombstone(2, 0), tombstone(5, 2), tombstone(6, 1), tombstone(8, 0)],
            ..Edit::default()
        },
    );
    let lsns = |manifest: &Manifest| manifest.tombstones().map(|entry| entry.lsn).collect::<Vec<_>>();
    assert_eq!(lsns(&start), [6, 8], "2 is older than all, 5 is about other times");
    let replace = |file: &str, by: Vec<SegmentEntry>| Edit {
        remove_segments: vec![segment(1, 0, file).removed()],
        add_segments: by,
        ..Edit::default()
    };
    let merged = with(&start, replace("a", vec![written(7, "c")]));
    assert_eq!((files(&merged), lsns(&merged)), (vec!["c", "b"], vec![8]));
    assert!(lsns(&with(&merged, replace("c", Vec::new()))).is_empty());
}

#[test]
fn dropped_tables_are_remembered_until_the_log_is_past_them() {
    let add = Edit { add_tables: vec![TableEntry::new(TableId(1), 10)], ..Edit::default() };
    let start = with(&Manifest::default(), add);
    assert_eq!(start.tables().count(), 1);
    let dropped = with(&start, Edit { drop_tables: vec![1], dropped_lsn: 4, ..Edit::default() });
    let remembered = |manifest: &Manifest| manifest.dropped().collect::<Vec<_>>();
    assert_eq!((dropped.tables().count(), remembered(&dropped)), (0, vec![DroppedEntry { table: 1, lsn: 4 }]));
    assert!(dropped.is_dropped(TableId(1)));
    let flushed = |lsn: u64| Edit { flushed: Some(lsn), ..Edit::default() };
    assert_eq!(remembered(&with(&dropped, flushed(3))).len(), 1);
    assert!(remembered(&with(&dropped, flushed(4))).is_empty());
}

#[test]
fn hidden_series_are_those_of_the_newest_flush() {
    let entry = |table: u32, hidden: u8| TableEntry { hidden: vec![hidden], ..TableEntry::new(TableId(table), 10) };
    let flush = |lsn: u64, tables| Edit { flushed: Some(lsn), add_tables: tables, ..Edit::default() };
    let hidden = |manifest: &Manifest| manifest.tables().map(|table| table.hidden.clone()).collect::<Vec<_>>();
    let start = with(&Manifest::default(), flush(3, vec![entry(1, 1)]));
    assert_eq!(hidden(&start), [[1]]);
    // Who does not flush knows what is hidden now, and rows after the flush are in the log.
    let expired = with(&start, Edit { add_tables: vec![entry(1, 2), entry(2, 2)], ..Edit::default() });
    assert_eq!(hidden(&expired), [vec![1], vec![]]);
    let merged = with(&expired, Edit { remove_segments: vec![segment(1, 0, "a").removed()], ..Edit::default() });
    assert_eq!(hidden(&merged), hidden(&expired));
    let flushed = with(&merged, flush(9, vec![entry(1, 3), entry(2, 4), entry(3, 5)]));
    assert_eq!(hidden(&flushed), [[3], [4], [5]]);
}

const ROOT: &str = "/shard";

/// A disk with a manifest of a number of edits, each of which adds a segment, and its log.
fn edited(edits: usize) -> (SimDisk, ManifestLog<SimDisk>, Manifest) {
    edited_on(SimDisk::new(1), edits)
}

fn edited_on(disk: SimDisk, edits: usize) -> (SimDisk, ManifestLog<SimDisk>, Manifest) {
    block_on(disk.create_dir(Path::new(ROOT))).unwrap();
    block_on(disk.sync_dir(Path::new("/"))).unwrap();
    let (log, found) = block_on(ManifestLog::open(&disk, Path::new(ROOT), 3)).unwrap();
    assert!(found.is_none());
    let mut manifest = Manifest::default();
    for number in 0..edits {
        edit(&log, &mut manifest, number).unwrap();
    }
    (disk, log, manifest)
}

fn adding(number: usize) -> Edit {
    let add_tables = vec![TableEntry::new(TableId(1), 10)];
    let add_segments = vec![segment(1, number as i64, &format!("{number}.seg"))];
    Edit { flushed: Some(number as u64), add_tables, add_segments, ..Edit::default() }
}

fn edit(log: &ManifestLog<SimDisk>, manifest: &mut Manifest, number: usize) -> Result<(), NotStored> {
    let edit = adding(number);
    block_on(log.store(&|look| look(manifest), &edit))?;
    manifest.apply(edit);
    Ok(())
}

fn open(disk: &SimDisk) -> Result<Option<Manifest>, Error> {
    block_on(load(disk, Path::new(ROOT), 3))
}

fn path(name: &str) -> std::path::PathBuf {
    Path::new(ROOT).join(name)
}

fn aligned(bytes: &[u8]) -> AlignedVec<16> {
    let mut aligned = AlignedVec::new();
    aligned.extend_from_slice(bytes);
    aligned
}

#[test]
fn any_flipped_bit_is_reported_or_takes_no_more_than_the_last_edit() {
    let (disk, _log, manifest) = edited(4);
    let bytes = aligned(&disk.bytes(&path(MANIFEST)).unwrap());
    let name = Path::new(MANIFEST);
    let whole = Image::read(name, &bytes, 3).unwrap();
    assert_eq!((&whole.manifest, whole.sequence, whole.is_torn), (&manifest, 4, false));
    assert!(matches!(Image::read(name, &bytes, 4), Err(Error::Incompatible { .. })));
    let last = whole.last_frame.unwrap();
    assert_eq!(bytes.len(), last + 2 * DISK_ALIGN);
    // Zeros are padding.
    for at in (0..bytes.len()).filter(|at| bytes[*at] != 0) {
        for bit in 0..8 {
            let mut damaged = bytes.clone();
            damaged[at] ^= 1 << bit;
            match Image::read(name, &damaged, 3) {
                Ok(image) if at >= last => assert_eq!((image.sequence, image.is_torn), (3, true), "byte {at}"),
                Ok(_) => panic!("byte {at}, bit {bit}: not seen"),
                Err(Error::Corrupt { offset, .. }) => assert!(offset as usize <= at && at < last, "byte {at}"),
                Err(error) => panic!("byte {at}, bit {bit}: {error}"),
            }
        }
    }
    for length in 0..bytes.len() {
        match Image::read(name, &bytes[..length], 3) {
            Ok(image) => assert!(image.sequence <= 4 && image.end <= length.next_multiple_of(DISK_ALIGN)),
            Err(error) => assert!(length < DISK_ALIGN, "length {length}: {error}"),
        }
    }
}

/// Whatever happens to one of the two files, a start finds every edit, and both are whole afterwards.
#[test]
fn what_one_file_has_lost_the_other_has() {
    let (disk, log, manifest) = edited(5);
    drop(log);
    let good = disk.bytes(&path(MANIFEST)).unwrap();
    assert_eq!(disk.bytes(&path(COPY)).unwrap(), good);
    let used: Vec<usize> = (0..good.len()).filter(|at| good[*at] != 0).collect();
    for name in [MANIFEST, COPY] {
        for at in used.iter().step_by(7) {
            assert!(disk.flip_bit(&path(name), *at as u64, 5));
            assert_eq!(open(&disk).unwrap().as_ref(), Some(&manifest), "{name}, byte {at}");
            for name in [MANIFEST, COPY] {
                assert!(disk.bytes(&path(name)).unwrap() == good, "{name}, byte {at}");
            }
        }
        for length in (0..good.len()).step_by(1000) {
            block_on(async {
                let file = disk.open(&path(name), OpenMode::ReadWrite).await.unwrap();
                file.truncate(length as u64).await.unwrap();
                file.sync().await.unwrap();
            });
            assert_eq!(open(&disk).unwrap().as_ref(), Some(&manifest), "{name}, {length} bytes");
        }
        block_on(disk.remove(&path(name))).unwrap();
        assert_eq!(open(&disk).unwrap().as_ref(), Some(&manifest), "without {name}");
    }
}

#[test]
fn an_edit_that_is_whole_in_neither_file_is_damage_and_not_the_end() {
    let (disk, _log, _) = edited(5);
    let good = disk.bytes(&path(MANIFEST)).unwrap();
    let used: Vec<usize> = (0..good.len()).filter(|at| good[*at] != 0).collect();
    for (number, at) in used.iter().enumerate().step_by(5) {
        let other = used[(number * 31 + 7) % used.len()];
        disk.flip_bit(&path(MANIFEST), *at as u64, 2);
        disk.flip_bit(&path(COPY), other as u64, 2);
        let before = [MANIFEST, COPY].map(|name| disk.bytes(&path(name)).unwrap());
        match open(&disk) {
            Err(Error::Corrupt { path: named, .. }) => assert_eq!(named, path(MANIFEST)),
            other => panic!("bytes {at} and {other:?}"),
        }
        assert_eq!([MANIFEST, COPY].map(|name| disk.bytes(&path(name)).unwrap()), before, "nothing is changed");
        disk.flip_bit(&path(MANIFEST), *at as u64, 2);
        disk.flip_bit(&path(COPY), other as u64, 2);
    }
}

/// Bytes written by an edit are those of what it changes, however much there is.
#[test]
fn edits_cost_what_they_change() {
    let (disk, log, mut manifest) = edited(3000);
    let length = |name| disk.bytes(&path(name)).unwrap().len() as u64;
    let is_new = |before: u64, after: u64| after < before;
    let (mut appended, mut begun) = (0, 0);
    for number in 3000..3400 {
        let before = length(MANIFEST);
        edit(&log, &mut manifest, number).unwrap();
        let after = length(MANIFEST);
        assert_eq!(after, length(COPY));
        match is_new(before, after) {
            true => begun += 1,
            false => {
                assert_eq!(after - before, DISK_ALIGN as u64);
                appended += 1;
            }
        }
    }
    assert!(begun <= 8 && appended + begun == 400, "{begun} new files for {appended} edits");
    assert_eq!(open(&disk).unwrap(), Some(manifest));
}

/// After a failed edit nothing has changed, or it is said that this is open, and the next edit settles it.
#[test]
fn a_failed_edit_is_undone_or_settled_by_the_next() {
    for part in [MANIFEST, COPY] {
        for operation in [Operation::Write, Operation::Sync, Operation::Truncate] {
            for kind in [FaultKind::Io, FaultKind::NoSpace] {
                for (times, dies) in [(1, false), (1, true), (u32::MAX, false), (u32::MAX, true)] {
                    let (disk, log, mut manifest) = edited(3);
                    let name = format!("{ROOT}/{part}");
                    disk.inject(Fault { times, ..Fault::next(operation, &name, kind) });
                    if operation == Operation::Truncate {
                        disk.inject(Fault { times, ..Fault::next(Operation::Write, &name, kind) });
                    }
                    let before = manifest.clone();
                    let failed = edit(&log, &mut manifest, 3);
                    disk.heal();
                    let NotStored { may_count, .. } = failed.unwrap_err();
                    if dies {
                        drop(log);
                        disk.crash();
                        let found = open(&disk).unwrap().unwrap();
                        if !may_count {
                            assert_eq!(found, before, "{part} {operation:?} {kind:?} {times}");
                        }
                        disk.crash();
                        assert_eq!(open(&disk).unwrap(), Some(found));
                    } else {
                        edit(&log, &mut manifest, 4).unwrap();
                        edit(&log, &mut manifest, 5).unwrap();
                        drop(log);
                        disk.crash();
                        assert_eq!(open(&disk).unwrap(), Some(manifest));
                    }
                }
            }
        }
    }
}

/// An edit, whole or failed, is broken off at any step: what the next start finds is what every later one finds, though
/// the power is lost in between, for the start acts by it: it removes what is not named.
#[test]
fn what_a_start_has_found_the_next_one_finds() {
    let mut found_of_each = [0, 0];
    for seed in 0..60 {
        for part in ["none", "/MANIFEST", "/MANIFEST.copy"] {
            for steps in 0..24 {
                let (disk, log, manifest) = edited_on(SimDisk::new(seed), 3);
                disk.set_delays(1);
                disk.inject(Fault::next(Operation::Sync, part, FaultKind::Io));
                let adding = adding(3);
                SimTasks::new(seed).run(log.store(&|look| look(&manifest), &adding), steps);
                drop(log);
                disk.kill();
                disk.heal();
                let found = open(&disk).unwrap();
                found_of_each[usize::from(found != Some(manifest))] += 1;
                disk.crash();
                assert_eq!(open(&disk).unwrap(), found, "seed {seed}, {part}, {steps} steps");
            }
        }
    }
    assert!(found_of_each.into_iter().all(|count| count > 0), "{found_of_each:?}: without the edit, and with it");
}

/// A manifest of thousands of tables is written in pieces, and what is read back is that manifest.
#[test]
fn a_manifest_that_holds_much_is_written_in_pieces() {
    let (disk, log, mut manifest) = edited(0);
    let names: Vec<String> = (0..3000).map(|number| format!("{number:08}.seg")).collect();
    let tables = (0..3000).map(|table| TableEntry {
        hidden: if table % 500 == 0 { vec![1, 2, 3] } else { Vec::new() },
        ..TableEntry::new(TableId(table), 10)
    });
    // Some partitions have several segments, and one table has many partitions.
    let place = |number: usize| if number < 1500 { (7, number as i64 / 3 * 10) } else { (number as u32 - 1000, 0) };
    let add_segments = names.iter().enumerate().map(|(number, name)| segment(place(number).0, place(number).1, name));
    let tombstone = |lsn: u64| TombstoneEntry { table: 7, lsn, time_min: 0, time_max: 9, series: None };
    let filling = Edit {
        flushed: Some(70),
        next_file: 4000,
        add_tables: tables.collect(),
        add_segments: add_segments.collect(),
        add_series_files: vec![SeriesFileEntry { file: "s".to_owned(), bytes: 10 }],
        add_tombstones: (1..=2100).map(tombstone).collect(),
        ..Edit::default()
    };
    block_on(log.store(&|look| look(&manifest), &filling)).unwrap();
    manifest.apply(filling);
    // A new process begins new files, with its first edit behind the pieces.
    let (log, found) = block_on(ManifestLog::open(&disk, Path::new(ROOT), 3)).unwrap();
    assert_eq!(found.as_ref(), Some(&manifest));
    let drop = Edit { drop_tables: (100..200).collect(), dropped_lsn: 75, ..Edit::default() };
    crate::work::take();
    block_on(log.store(&|look| look(&manifest), &drop)).unwrap();
    manifest.apply(drop);
    let image = Image::read(Path::new("m"), &aligned(&disk.bytes(&path(MANIFEST)).unwrap()), 3).unwrap();
    assert!(image.manifest == manifest && image.last_frame.is_some());
    assert!(crate::work::take() <= crate::work::UNITS_MAX / 10, "a piece is made in a step");
    // Edits go on behind them, and both files say the same.
    for number in 0..3 {
        edit(&log, &mut manifest, number).unwrap();
    }
    assert_eq!(disk.bytes(&path(MANIFEST)), disk.bytes(&path(COPY)));
    let (_, found) = block_on(ManifestLog::open(&disk, Path::new(ROOT), 3)).unwrap();
    assert_eq!(found, Some(manifest));
}
