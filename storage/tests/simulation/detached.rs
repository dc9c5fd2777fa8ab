//! Files that no manifest names, and segments that are lost: what a start keeps, and how a shard comes into order.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use futures_lite::future::block_on;
use tidewire_storage::Error;
use tidewire_storage::disk::Disk;
use tidewire_storage::disk::sim::SimDisk;
use tidewire_storage::engine::{SeriesSelection, Shard};
use tidewire_storage::salvage::{Attached, accept_losses, damaged_segments, lost_segments, remove_detached, salvage};

use crate::cases::{append_of, disk, files, open, request, table, times, times_in, with_log, write};

const FOLDER: &str = "/data/shard-0";

/// Attaches a file; the catalog knows that partitions are 1,000 long.
async fn attach(disk: &SimDisk, folder: &Path, shard: u32, name: &str) -> Result<Attached, Error> {
    tidewire_storage::salvage::attach(disk, folder, shard, name, &|_| Some(1000)).await
}

/// The bytes of files, by path.
type Kept = Vec<(PathBuf, Vec<u8>)>;

fn keep(disk: &SimDisk, folders: &[&str]) -> Kept {
    let paths = folders.iter().flat_map(|folder| files(disk, folder));
    paths.map(|path| (path.clone(), disk.bytes(&path).unwrap())).collect()
}

/// Puts files back as they were, in the place of all that lie there now.
fn put_back(disk: &SimDisk, kept: Kept, folders: &[&str]) {
    for path in folders.iter().flat_map(|folder| files(disk, folder)) {
        block_on(disk.remove(&path)).unwrap();
    }
    kept.into_iter().for_each(|(path, bytes)| disk.import(&path, bytes));
}

fn names(paths: &[PathBuf]) -> BTreeSet<String> {
    paths.iter().map(|path| path.file_name().unwrap().to_str().unwrap().to_owned()).collect()
}

/// Writes rows of a series and flushes them.
async fn flushed(shard: &Rc<Shard<SimDisk>>, host: &str, times: &[i64]) {
    append_of(shard, &table(1), host, times).unwrap();
    shard.flush().await.unwrap();
}

/// A shard with three segments of one partition and a delete between, and the manifest and log as they were after the
/// first.
fn outlived() -> (SimDisk, Kept) {
    let disk = disk(1);
    let shard = block_on(open(&disk)).unwrap();
    let old = with_log(&shard, async {
        flushed(&shard, "a", &[1, 2]).await;
        let old = keep(&disk, &["MANIFEST", "MANIFEST.copy", "wal"]);
        flushed(&shard, "b", &[3, 4]).await;
        shard.delete(table(1).id, &SeriesSelection::All, 4, 4).unwrap();
        flushed(&shard, "c", &[5, 6]).await;
        old
    });
    disk.kill();
    (disk, old)
}

#[test]
fn an_older_manifest_with_its_log_loses_no_file_and_all_can_be_attached() {
    let (disk, old) = outlived();
    let (segments, series) = (files(&disk, "segments"), files(&disk, "series"));
    put_back(&disk, old, &["MANIFEST", "MANIFEST.copy", "wal"]);
    let shard = block_on(open(&disk)).unwrap();
    assert_eq!(block_on(times(&shard, &table(1))).unwrap(), BTreeSet::from([1, 2]));
    assert_eq!((files(&disk, "segments").len(), shard.stats().detached_files), (1, 6));
    let detached = names(&files(&disk, "detached"));
    assert!(names(&segments[1..]).is_subset(&detached) && names(&series[2..]).is_subset(&detached), "{detached:?}");
    // A second start takes them for what they are, and gives none of their names again.
    with_log(&shard, flushed(&shard, "z", &[7]));
    drop(shard);
    disk.kill();
    let shard = block_on(open(&disk)).unwrap();
    assert_eq!(shard.stats().detached_files, 6);
    assert!(names(&files(&disk, "segments")).is_disjoint(&detached));
    drop(shard);
    disk.kill();

    // The series "b" had the number that "z" has by now.
    let folder = Path::new(FOLDER);
    let attached = |name: &String| block_on(attach(&disk, folder, 0, name));
    let keys: Vec<_> = detached.iter().filter(|name| name.ends_with(".keys") && !name.contains("copy")).collect();
    let segs: Vec<_> = detached.iter().filter(|name| name.ends_with(".seg")).collect();
    for name in keys.iter().take(1).chain(&segs) {
        let error = attached(name).unwrap_err();
        assert!(matches!(&error, Error::Rejected(reason) if reason.contains("cannot be attached")), "{error}");
    }
    assert_eq!(names(&files(&disk, "detached")), detached, "nothing has changed");
    assert!(matches!(attached(&"nothing".to_owned()), Err(Error::Rejected(_))));
    block_on(remove_detached(&disk, folder, 0, segs[0])).unwrap();
    assert_eq!(files(&disk, "detached").len(), 5);
}

#[test]
fn what_an_older_manifest_does_not_name_comes_back_by_name() {
    let (disk, old) = outlived();
    put_back(&disk, old, &["MANIFEST", "MANIFEST.copy", "wal"]);
    drop(block_on(open(&disk)).unwrap());
    disk.kill();
    let detached = names(&files(&disk, "detached"));
    let attached = |name: &String| block_on(attach(&disk, Path::new(FOLDER), 0, name));
    let segs: Vec<_> = detached.iter().filter(|name| name.ends_with(".seg")).collect();
    let error = attached(segs[0]).unwrap_err().to_string();
    assert!(error.contains("attach the series file that belongs to it first"), "{error}");
    for name in detached.iter().filter(|name| name.ends_with(".keys") && !name.contains("copy")) {
        assert_eq!(attached(name).unwrap(), Attached::Series);
    }
    for name in &segs {
        assert_eq!(attached(name).unwrap(), Attached::Segment(table(1).id, 2));
    }
    assert!(names(&files(&disk, "detached")).iter().all(|name| name.contains("copy")));
    let shard = block_on(open(&disk)).unwrap();
    // The delete was applied to all segments there were, and is not remembered.
    let all = BTreeSet::from([1, 2, 3, 4, 5, 6]);
    assert_eq!(block_on(times(&shard, &table(1))).unwrap(), all);
    let keys = [shard.series(table(1).id).unwrap().live_len(), shard.stats().segments as usize];
    assert_eq!(keys, [3, 3]);
    with_log(&shard, async {
        write(&shard, &table(1), &[8]).await.unwrap();
        shard.compact().await.unwrap();
    });
    assert_eq!(block_on(times(&shard, &table(1))).unwrap(), all.into_iter().chain([8]).collect());
}

#[test]
fn an_older_manifest_without_its_log_keeps_the_shard_closed_and_every_file() {
    let (disk, old) = outlived();
    let manifests = old.into_iter().filter(|(path, _)| !path.to_str().unwrap().contains("/wal/")).collect();
    // Log files that were used again: they begin with later records.
    let shard = block_on(open(&disk)).unwrap();
    with_log(&shard, async {
        for time in 100..140 {
            let big: Vec<i64> = (0..2000).map(|row| time * 2000 + row).collect();
            flushed(&shard, "a", &big).await;
        }
    });
    drop(shard);
    disk.kill();
    let before = names(&files(&disk, "segments"));
    put_back(&disk, manifests, &["MANIFEST", "MANIFEST.copy"]);
    let error = block_on(open(&disk)).map(drop).unwrap_err();
    assert!(matches!(&error, Error::Corrupt { reason, .. } if reason.contains("is missing")), "{error}");
    assert_eq!(names(&files(&disk, "segments")), before);
    // Even where somebody accepts the loss of the log, the segments stay.
    let done = block_on(salvage(&disk, Path::new(FOLDER), 0, true)).unwrap();
    assert!(done.opens && done.cuts.len() == 1);
    let kept: BTreeSet<String> =
        names(&files(&disk, "segments")).union(&names(&files(&disk, "detached"))).cloned().collect();
    assert!(before.is_subset(&kept), "{before:?} of {kept:?}");
}

#[test]
fn a_lost_segment_is_given_up_by_name_and_the_shard_is_in_order() {
    let (disk, _) = outlived();
    let segments = files(&disk, "segments");
    let name = |path: &PathBuf| path.file_name().unwrap().to_str().unwrap().to_owned();
    let folder = Path::new(FOLDER);
    block_on(disk.remove(&segments[1])).unwrap();
    assert!(disk.flip_bit(&segments[2], 80, 1));
    let damaged = block_on(damaged_segments(&disk, folder, 0)).unwrap();
    assert_eq!(damaged.iter().map(|loss| (&loss.path, loss.is_missing)).collect::<Vec<_>>(), [(&segments[1], true)]);
    for refused in ["00000000.nothing".to_owned(), name(&segments[0])] {
        let error = block_on(lost_segments(&disk, folder, 0, &[refused])).unwrap_err();
        assert!(matches!(error, Error::Rejected(_)), "{error}");
    }
    let lost = block_on(lost_segments(&disk, folder, 0, &[name(&segments[1]), name(&segments[2])])).unwrap();
    let costs: Vec<_> = lost.iter().map(|loss| (loss.segment.meta.rows, loss.segment.meta.time_min)).collect();
    assert_eq!(costs, [(2, 3), (2, 5)]);
    block_on(accept_losses(&disk, folder, 0, &lost)).unwrap();
    let shard = block_on(open(&disk)).unwrap();
    assert!(shard.quarantined().is_empty());
    assert_eq!(block_on(times(&shard, &table(1))).unwrap(), BTreeSet::from([1, 2]));
    // What is there of the damaged one is kept, and refused as long as it is damaged.
    assert_eq!(names(&files(&disk, "detached")), BTreeSet::from([name(&segments[2])]));
    drop(shard);
    disk.kill();
    assert!(matches!(block_on(attach(&disk, folder, 0, &name(&segments[2]))), Err(Error::Corrupt { .. })));
    disk.flip_bit(&folder.join("detached").join(name(&segments[2])), 80, 1);
    block_on(attach(&disk, folder, 0, &name(&segments[2]))).unwrap();
    let shard = block_on(open(&disk)).unwrap();
    assert_eq!(block_on(times(&shard, &table(1))).unwrap(), BTreeSet::from([1, 2, 5, 6]));
}

/// A copy that is put in place is seen without a start: in the place of a file that is missing, of one whose footer is
/// damaged, and of one with a damaged block, which is open.
#[test]
fn a_good_copy_that_is_put_in_place_ends_the_quarantine() {
    for (case, flip) in [None, Some(u64::MAX), Some(80)].into_iter().enumerate() {
        let (disk, _) = outlived();
        let segment = files(&disk, "segments").remove(1);
        let bytes = disk.bytes(&segment).unwrap();
        match flip {
            None => block_on(disk.remove(&segment)).unwrap(),
            Some(at) => assert!(disk.flip_bit(&segment, at.min(bytes.len() as u64 - 1), 3)),
        }
        let shard = block_on(open(&disk)).unwrap();
        assert!(block_on(times(&shard, &table(1))).is_err(), "case {case}");
        assert_eq!(block_on(shard.recheck()).unwrap(), 0);
        assert_eq!(shard.quarantined().len(), 1);
        // Under another name first, as the page of operations says.
        let new = segment.with_extension("new");
        disk.import(&new, bytes);
        block_on(disk.rename(&new, &segment)).unwrap();
        assert_eq!(block_on(shard.recheck()).unwrap(), 1, "case {case}");
        assert!(shard.quarantined().is_empty());
        assert_eq!(block_on(times(&shard, &table(1))).unwrap(), BTreeSet::from([1, 2, 3, 5, 6]));
        // In its place among the others by age, and merged with them.
        with_log(&shard, async {
            flushed(&shard, "b", &[3]).await;
            shard.compact().await.unwrap();
        });
        assert_eq!(block_on(times_in(&shard, request(&table(1), 0, 999))).unwrap(), BTreeSet::from([1, 2, 3, 5, 6]));
        assert_eq!(block_on(shard.recheck()).unwrap(), 0);
    }
}

#[test]
fn a_lost_segment_all_of_whose_rows_are_deleted_is_not_missed() {
    for (time_max, is_missed) in [(3, true), (4, false)] {
        let (disk, _) = outlived();
        block_on(disk.remove(&files(&disk, "segments")[1])).unwrap();
        let shard = block_on(open(&disk)).unwrap();
        assert!(block_on(times(&shard, &table(1))).is_err());
        with_log(&shard, async {
            let lsn = shard.delete(table(1).id, &SeriesSelection::All, 3, time_max).unwrap();
            shard.durable(lsn).await.unwrap();
        });
        for start in 0..2 {
            let shard = block_on(open(&disk)).unwrap();
            let found = block_on(times(&shard, &table(1)));
            assert_eq!(found.is_err(), is_missed, "start {start}");
            assert!(is_missed || found.unwrap() == BTreeSet::from([1, 2, 5, 6]));
            with_log(&shard, shard.flush()).unwrap();
            drop(shard);
            disk.kill();
        }
    }
}

/// Whatever earlier manifest is put in place, with its log or without, no file that is needed is removed: what the
/// start detaches comes back by name, and then every row is there.
#[test]
fn no_row_is_lost_to_any_earlier_manifest() {
    let (mut opened, mut detached, mut merged_away) = (0, 0, 0);
    let seeds = std::env::var("TIDEWIRE_SEEDS").ok().and_then(|seeds| seeds.parse().ok()).unwrap_or(80);
    for seed in 0..seeds {
        let mut random = fastrand::Rng::with_seed(seed);
        let disk = disk(seed);
        let shard = block_on(open(&disk)).unwrap();
        let mut expected = BTreeSet::new();
        let mut moments: Vec<Kept> = Vec::new();
        let mut next = 0_i64;
        with_log(&shard, async {
            for _ in 0..random.usize(3..24) {
                match random.u8(0..8) {
                    0 if next > 0 => {
                        let (min, max) = (random.i64(0..next), random.i64(0..next));
                        let lsn = shard.delete(table(1).id, &SeriesSelection::All, min.min(max), min.max(max)).unwrap();
                        shard.durable(lsn).await.unwrap();
                        expected.retain(|time| !(min.min(max)..=min.max(max)).contains(time));
                    }
                    1 | 2 => shard.compact().await.unwrap(),
                    3 => shard.flush().await.unwrap(),
                    _ => {
                        let times: Vec<i64> = (next..next + random.i64(1..400)).collect();
                        next += times.len() as i64;
                        expected.extend(times.iter().copied());
                        let lsn = append_of(&shard, &table(1), &format!("h{}", random.u8(0..20)), &times).unwrap();
                        shard.durable(lsn).await.unwrap();
                        if random.bool() {
                            shard.flush().await.unwrap();
                        }
                    }
                }
                moments.push(keep(&disk, &["MANIFEST", "MANIFEST.copy", "wal"]));
            }
            // The last rows are in segments, since the log of today is taken away.
            shard.flush().await.unwrap();
        });
        drop(shard);
        disk.kill();
        let earlier = moments.swap_remove(random.usize(0..moments.len()));
        let folders: &[&str] =
            if random.bool() { &["MANIFEST", "MANIFEST.copy", "wal"] } else { &["MANIFEST", "MANIFEST.copy"] };
        let is_kept = |path: &Path| folders.iter().any(|folder| path.starts_with(Path::new(FOLDER).join(folder)));
        put_back(&disk, earlier.into_iter().filter(|(path, _)| is_kept(path)).collect(), folders);
        let before = names(&[files(&disk, "segments"), files(&disk, "series")].concat());

        let folder = Path::new(FOLDER);
        match block_on(open(&disk)) {
            Ok(shard) => drop(shard),
            Err(error) => {
                assert!(error.is_damage(), "seed {seed}: {error}");
                let after = names(&[files(&disk, "segments"), files(&disk, "series")].concat());
                assert!(before.is_subset(&after), "seed {seed}: a start that fails removes nothing");
                continue;
            }
        }
        opened += 1;
        disk.kill();
        let lost = block_on(damaged_segments(&disk, folder, 0)).unwrap();
        merged_away += lost.len();
        let kept = names(&files(&disk, "detached"));
        detached += kept.len();
        for suffix in [".keys", ".seg"] {
            for name in kept.iter().filter(|name| name.ends_with(suffix) && !name.contains(".copy.")) {
                let attached = block_on(attach(&disk, folder, 0, name));
                // The series of a file may all be in another one by now.
                assert!(suffix == ".keys" || attached.is_ok(), "seed {seed}, {name}: {attached:?}");
            }
        }
        block_on(accept_losses(&disk, folder, 0, &lost)).unwrap();
        let shard = block_on(open(&disk)).unwrap();
        let found = block_on(times(&shard, &table(1))).unwrap();
        let missing: Vec<_> = expected.difference(&found).take(3).collect();
        assert!(missing.is_empty(), "seed {seed}: rows are lost: {missing:?}");
    }
    eprintln!("{opened} shards opened, {detached} files detached, {merged_away} segments were merged away");
    assert!(opened > 20 && detached > 20 && merged_away > 0, "{opened} {detached} {merged_away}");
}
