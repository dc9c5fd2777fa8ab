//! Flipped bits in every kind of file: what is reported, and what can be read all the same.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use futures_lite::future::block_on;
use tidewire_storage::disk::sim::{SimDisk, SimEnd, SimTasks};
use tidewire_storage::engine::SeriesSelection;
use tidewire_storage::salvage::salvage;
use tidewire_storage::{Error, Result};

use crate::cases::{append, disk, files, open, request, table, times, times_in, with_log, write};

/// Two segments, one for times from 0 on and one from 1000 on, a series file, and three records in the log.
fn filled() -> SimDisk {
    let (disk, table) = (disk(1), table(1));
    let shard = block_on(open(&disk)).unwrap();
    with_log(&shard, async {
        append(&shard, &table, &[1, 5, 2, 1001, 1002]).unwrap();
        shard.flush().await.unwrap();
        for time in [3, 1003, 4] {
            write(&shard, &table, &[time]).await.unwrap();
        }
    });
    disk.kill();
    disk
}

const FIRST: [i64; 5] = [1, 2, 3, 4, 5];
const SECOND: [i64; 3] = [1001, 1002, 1003];

/// Damaged files that are listed, damaged blocks that are counted, and what scans of the two partitions give.
type Seen = (Vec<PathBuf>, u64, [Result<BTreeSet<i64>>; 2]);

/// The start of a copy of the disk in which one bit is wrong.
fn with_flip(path: &Path, offset: u64, bit: u8) -> Result<Seen> {
    let (disk, table) = (filled(), table(1));
    assert!(disk.flip_bit(path, offset, bit));
    let shard = block_on(open(&disk))?;
    let first = block_on(times_in(&shard, request(&table, 0, 999)));
    let second = block_on(times_in(&shard, request(&table, 1000, 1999)));
    // A merge of all there is must not do away with what cannot be read.
    block_on(shard.compact()).unwrap();
    let listed = shard.quarantined().into_iter().map(|segment| segment.path).collect();
    Ok((listed, shard.stats().corrupt_blocks, [first, second]))
}

/// Where the bytes of a file are that mean something.
fn content(path: &Path) -> Vec<u64> {
    let bytes = filled().bytes(path).unwrap();
    let step = (bytes.len() / 512).max(1);
    (0..bytes.len()).filter(|at| bytes[*at] != 0).step_by(step / 8 + 1).map(|at| at as u64).collect()
}

#[test]
fn a_damaged_segment_fails_only_the_scans_that_need_it() {
    let disk = filled();
    let segments = files(&disk, "segments");
    assert_eq!(segments.len(), 2);
    let (mut blocks, mut whole, mut unread) = (0, 0, 0);
    for offset in content(&segments[0]) {
        let (listed, corrupt, [first, second]) = with_flip(&segments[0], offset, 3).unwrap();
        assert_eq!(second.unwrap(), BTreeSet::from(SECOND), "offset {offset}");
        match first {
            Ok(first) => {
                assert_eq!(first, BTreeSet::from(FIRST), "offset {offset}");
                unread += 1;
            }
            Err(Error::Corrupt { path, offset: at, .. }) => {
                assert_eq!((&path, &listed, corrupt), (&segments[0], &vec![path.clone()], 1), "offset {offset}");
                // A block ends before the next begins; the trailer stands for itself.
                assert!(at <= offset || corrupt == 1, "offset {offset} is reported as {at}");
                let disk = filled();
                disk.flip_bit(&segments[0], offset, 3);
                match block_on(open(&disk)).unwrap().quarantined().first() {
                    Some(found) => whole += u32::from(found.whole),
                    None => blocks += 1,
                }
            }
            Err(error) => panic!("offset {offset}: {error}"),
        }
    }
    assert!(blocks > 4 && whole > 10, "{blocks} in blocks, {whole} around them, {unread} not read");
    assert!(unread <= 30, "only the header, which tools read, may be damaged unseen: {unread}");
}

#[test]
fn a_missing_segment_is_told_by_the_scans_that_need_it() {
    let (disk, table) = (filled(), table(1));
    let segments = files(&disk, "segments");
    block_on(tidewire_storage::disk::Disk::remove(&disk, &segments[1])).unwrap();
    let shard = block_on(open(&disk)).unwrap();
    assert_eq!(block_on(times_in(&shard, request(&table, 0, 999))).unwrap(), BTreeSet::from(FIRST));
    let error = block_on(times(&shard, &table)).unwrap_err();
    assert!(matches!(&error, Error::Corrupt { path, .. } if *path == segments[1]), "{error}");
    // It still takes rows, beside the hole, and shows that there is one.
    with_log(&shard, write(&shard, &table, &[1500])).unwrap();
    assert_eq!((shard.stats().segments_quarantined, shard.time_bounds(table.id)), (1, Some((1, 1500))));
    block_on(shard.drop_table(table.id)).unwrap();
    assert!(shard.quarantined().is_empty());
}

/// A missing file may be put in place again: what was deleted meanwhile stays deleted, whether the delete is in the
/// manifest by then or only in the log, and what is too old stays gone.
#[test]
fn a_segment_that_is_put_back_brings_no_deleted_row_back() {
    for flushed in [false, true] {
        let (disk, table) = (filled(), table(1));
        let segment = files(&disk, "segments").remove(0);
        let bytes = disk.bytes(&segment).unwrap();
        block_on(tidewire_storage::disk::Disk::remove(&disk, &segment)).unwrap();
        let shard = block_on(open(&disk)).unwrap();
        with_log(&shard, async {
            let lsn = shard.delete(table.id, &SeriesSelection::All, 2, 4).unwrap();
            shard.durable(lsn).await.unwrap();
            if flushed {
                shard.flush().await.unwrap();
            }
        });
        assert_eq!(shard.stats().tombstones, 1);
        drop(shard);
        disk.kill();
        // A start without it, too, must remember.
        drop(block_on(open(&disk)).unwrap());
        disk.kill();
        disk.import(&segment, bytes);
        let shard = block_on(open(&disk)).unwrap();
        assert!(shard.quarantined().is_empty());
        let first = async || times_in(&shard, request(&table, 0, 999)).await.unwrap();
        assert_eq!(block_on(first()), BTreeSet::from([1, 5]), "flushed: {flushed}");
        with_log(&shard, async { shard.flush().await.unwrap() });
        block_on(shard.compact()).unwrap();
        assert_eq!(block_on(first()), BTreeSet::from([1, 5]), "flushed: {flushed}, merged");
    }
}

#[test]
fn a_damaged_segment_that_is_too_old_goes_like_others() {
    let (disk, table) = (filled(), table(1));
    let segments = files(&disk, "segments");
    block_on(tidewire_storage::disk::Disk::remove(&disk, &segments[0])).unwrap();
    let shard = block_on(open(&disk)).unwrap();
    assert!(block_on(times(&shard, &table)).is_err());
    assert_eq!(block_on(shard.expire(table.id, 1000)).unwrap().segments, 1);
    assert!(shard.quarantined().is_empty());
    assert_eq!(block_on(times(&shard, &table)).unwrap(), BTreeSet::from(SECOND));
    // Rows of the log are deleted by a record of it.
    with_log(&shard, shard.durable(shard.lsn())).unwrap();
    drop(shard);
    disk.kill();
    let shard = block_on(open(&disk)).unwrap();
    assert!(shard.quarantined().is_empty());
    assert_eq!(block_on(times(&shard, &table)).unwrap(), BTreeSet::from(SECOND));
}

/// The manifest and a series file, each with its copy.
fn copied(disk: &SimDisk) -> [[PathBuf; 2]; 2] {
    let root = PathBuf::from("/data/shard-0");
    let series = files(disk, "series");
    assert_eq!(series.len(), 2, "{series:?}");
    let [copy, file] = [series[0].clone(), series[1].clone()];
    [[root.join("MANIFEST"), root.join("MANIFEST.copy")], [file, copy]]
}

#[test]
fn the_copy_of_a_damaged_manifest_or_series_file_takes_its_place() {
    let all = BTreeSet::from_iter(FIRST.into_iter().chain(SECOND));
    for [path, copy] in copied(&filled()) {
        let good = filled().bytes(&path).unwrap();
        let offsets = content(&path);
        assert!(offsets.len() > 10);
        for damaged in offsets.iter().map(|offset| Some(*offset)).chain([None]) {
            let (disk, table) = (filled(), table(1));
            match damaged {
                Some(offset) => assert!(disk.flip_bit(&path, offset, 6)),
                None => block_on(tidewire_storage::disk::Disk::remove(&disk, &path)).unwrap(),
            }
            let shard = block_on(open(&disk)).unwrap();
            assert_eq!(block_on(times(&shard, &table)).unwrap(), all, "{} at {damaged:?}", path.display());
            assert!(disk.bytes(&path).unwrap() == good, "it is right again");
            drop(shard);
            disk.kill();
            // The copy alone may be damaged too: a start that reads it makes it right, and another one does not care.
            disk.flip_bit(&copy, 20, 0);
            let shard = block_on(open(&disk)).unwrap();
            assert_eq!(block_on(times(&shard, &table)).unwrap(), all);
        }
    }
}

#[test]
fn a_manifest_or_series_file_that_is_damaged_with_its_copy_is_told_at_the_start() {
    for [path, copy] in copied(&filled()) {
        for offset in content(&path) {
            let disk = filled();
            disk.flip_bit(&path, offset, 6);
            disk.flip_bit(&copy, offset, 6);
            let kept = disk.paths();
            match block_on(open(&disk)).map(drop) {
                Err(Error::Corrupt { path: told, .. } | Error::Incompatible { path: told, .. }) => {
                    assert_eq!(told, path, "offset {offset}");
                }
                other => panic!("{}, offset {offset}: {other:?}", path.display()),
            }
            assert!(kept.iter().all(|path| disk.bytes(path).is_some()), "nothing is removed");
        }
    }
}

/// A shard without manifests is no new one: the log does not begin with the first record, or is not there at all.
#[test]
fn missing_manifests_are_damage_and_no_reason_to_remove_anything() {
    for without_log in [false, true] {
        let disk = filled();
        let mut gone = copied(&disk)[0].to_vec();
        gone.extend(files(&disk, "wal").into_iter().filter(|_| without_log));
        for path in &gone {
            block_on(tidewire_storage::disk::Disk::remove(&disk, path)).unwrap();
        }
        let kept = disk.paths();
        match block_on(open(&disk)).map(drop) {
            // The log has everything from the first record on, so that nothing is missing but what it makes again.
            Ok(()) if !without_log => {
                let shard = block_on(open(&disk)).unwrap();
                assert_eq!(block_on(times_in(&shard, request(&table(1), 0, 999))).unwrap(), BTreeSet::from(FIRST));
            }
            Err(Error::Corrupt { path, .. }) if without_log => {
                assert_eq!(path, gone[0]);
                assert!(kept.iter().all(|path| disk.bytes(path).is_some()), "nothing is removed");
            }
            other => panic!("without the log: {without_log}, {other:?}"),
        }
    }
}

#[test]
fn a_damaged_log_is_told_unless_it_looks_like_a_commit_cut_short() {
    let disk = filled();
    let path = files(&disk, "wal").remove(0);
    let bytes = disk.bytes(&path).unwrap();
    let frames: Vec<usize> = (4096..bytes.len()).step_by(4096).filter(|at| bytes[*at..].starts_with(b"TWFR")).collect();
    assert_eq!(frames.len(), 4, "one that is flushed, and three");
    for (number, frame) in frames.iter().enumerate() {
        // Between the fields of a frame's header and its records there is nothing.
        let in_header = (*frame as u64..).step_by(5).take(8);
        for offset in in_header.chain((*frame as u64 + 64..).step_by(7).take(12)) {
            let last = number + 1 == frames.len();
            match with_flip(&path, offset, 1) {
                // It is in segments, and not wanted.
                Ok((_, _, [first, second])) if number == 0 => {
                    let found = (first.unwrap(), second.unwrap());
                    assert_eq!(found, (BTreeSet::from(FIRST), BTreeSet::from(SECOND)), "offset {offset}");
                }
                Err(Error::Corrupt { path: told, offset: at, .. }) if number > 0 && !last => {
                    assert_eq!((told, at), (path.clone(), *frame as u64), "offset {offset}");
                }
                // The last commit, and nobody can tell that it had been acknowledged.
                Ok((_, _, [first, _])) if last => assert!(!first.unwrap().contains(&4), "offset {offset}"),
                Err(error) => panic!("frame {number}, offset {offset}: {error}"),
                Ok(_) => panic!("frame {number}, offset {offset}: not seen"),
            }
        }
    }
}

/// The log of [`filled`] is damaged in its second record that is not flushed: what is before stays, what comes after is
/// told, and is set aside only when that is wanted.
#[test]
fn a_damaged_log_is_ended_where_the_damage_begins_and_only_on_demand() {
    let (disk, table) = (filled(), table(1));
    let path = files(&disk, "wal").remove(0);
    let bytes = disk.bytes(&path).unwrap();
    let frames: Vec<usize> = (4096..bytes.len()).step_by(4096).filter(|at| bytes[*at..].starts_with(b"TWFR")).collect();
    disk.flip_bit(&path, frames[2] as u64 + 70, 0);
    let folder = Path::new("/data/shard-0");
    let before: Vec<_> = disk.paths().iter().map(|path| disk.bytes(path)).collect();
    let only_told = block_on(salvage(&disk, folder, 0, false)).unwrap();
    assert!(!only_told.opens && only_told.left.is_none());
    assert!(disk.paths().iter().map(|path| disk.bytes(path)).eq(before), "nothing is changed");
    let done = block_on(salvage(&disk, folder, 0, true)).unwrap();
    assert!(done.opens);
    assert_eq!(done.cuts, only_told.cuts);
    let [cut] = &done.cuts[..] else { panic!("{:?}", done.cuts) };
    let first_lost = cut.first_lost.0;
    assert_eq!(cut.damage.1, frames[2] as u64);
    assert_eq!((cut.last_known.0, cut.readable), (first_lost + 1, 1), "the damaged record and one more");
    assert_eq!(cut.rows, BTreeMap::from([(table.id, 1)]));
    assert_eq!(cut.unreadable, [(path.clone(), frames[2] as u64)]);
    assert_eq!((cut.files.len(), &cut.shortened), (0, &Some((path.clone(), frames[2] as u64))));
    let aside = PathBuf::from(format!("{}.from-{first_lost}.damaged", path.display()));
    assert!(disk.bytes(&aside).is_some(), "{:?}", disk.paths());
    for _ in 0..2 {
        // What is set aside is in nobody's way, now and later.
        let shard = block_on(open(&disk)).unwrap();
        assert_eq!(block_on(times(&shard, &table)).unwrap(), BTreeSet::from([1, 2, 3, 5, 1001, 1002]));
        drop(shard);
        disk.crash();
    }
    let again = block_on(salvage(&disk, folder, 0, true)).unwrap();
    assert!(again.opens && again.cuts.is_empty());
}

/// Wherever power is lost while a log is ended, ending it again does the rest.
#[test]
fn ending_a_log_can_be_cut_short_anywhere() {
    for seed in 0..20 {
        let (disk, table) = (disk(seed), table(1));
        let shard = block_on(open(&disk)).unwrap();
        // Several files of the log.
        let times_of = |from: i64| (from..from + 900).map(|time| time * 7 % 1000 + time).collect::<Vec<_>>();
        with_log(&shard, async {
            for round in 0..30 {
                write(&shard, &table, &times_of(round * 1000)).await.unwrap();
            }
        });
        let all = block_on(times(&shard, &table)).unwrap();
        drop(shard);
        disk.kill();
        let logs = files(&disk, "wal");
        assert!(logs.len() > 2, "{logs:?}");
        let path = &logs[seed as usize % (logs.len() - 1)];
        if !disk.bytes(path).unwrap()[4096..].starts_with(b"TWFR") {
            continue;
        }
        disk.flip_bit(path, 4096 * (1 + seed % 3) + 10, 0);
        disk.set_delays(2);
        let folder = Path::new("/data/shard-0");
        let mut steps = 30 + seed * 11;
        let opens = loop {
            match SimTasks::new(seed).run(salvage(&disk, folder, 0, true), steps) {
                SimEnd::Done(done) => break done.unwrap().opens,
                SimEnd::Steps => disk.crash(),
                SimEnd::Stuck => panic!("it waits for nothing"),
            }
            steps += 400;
        };
        assert!(opens);
        let shard = block_on(open(&disk)).unwrap();
        let left = block_on(times(&shard, &table)).unwrap();
        assert!(left.is_subset(&all), "seed {seed}");
        with_log(&shard, write(&shard, &table, &[-5])).unwrap();
        drop(shard);
        disk.crash();
        let shard = block_on(open(&disk)).unwrap();
        let expected: BTreeSet<i64> = left.into_iter().chain([-5]).collect();
        assert_eq!(block_on(times(&shard, &table)).unwrap(), expected, "seed {seed}");
    }
}
