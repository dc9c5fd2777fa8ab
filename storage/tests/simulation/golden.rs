//! Files of every format version so far, kept as they were written: this build must read them all.
//!
//! A version that leaves the house is never written over here. The next one gets a folder of its own, and the reader of
//! this one stays. `tests/golden/README.md` says how a new one is made.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use futures_lite::future::block_on;
use tidewire_storage::engine::SeriesSelection;

use crate::cases::{append, append_of, disk, open, table, times, with_log, write};

/// The folder of the present version: `v` and a number that grows by one whenever any format of a shard's files
/// changes.
const PRESENT: &str = "v3";

/// What every folder holds: flushed rows in two partitions, one of them written twice, and rows in the log; a delete
/// in the manifest, and one in the log.
const TIMES: [i64; 7] = [1, 2, 3, 500, 1001, 1002, 2500];

/// Series that count and hidden ones. From v2 on, two that the manifest says are hidden, one of which the log shows
/// again, and one that the log hides.
fn series(version: &str) -> (u64, u64) {
    match version {
        "v1" => (1, 0),
        _ => (2, 2),
    }
}

fn folder(version: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(version)
}

/// The folders that there are: every version that has left the house.
fn versions() -> Vec<String> {
    let entries = std::fs::read_dir(folder("")).unwrap().map(|entry| entry.unwrap());
    let folders = entries.filter(|entry| entry.path().is_dir());
    let mut versions: Vec<String> = folders.map(|entry| entry.file_name().into_string().unwrap()).collect();
    versions.sort();
    versions
}

/// Files of a folder and below, by their paths in it.
fn files_below(folder: &Path) -> Vec<PathBuf> {
    let mut out = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            out.extend(files_below(&path));
        } else {
            out.push(path);
        }
    }
    out
}

#[test]
fn files_of_every_version_are_read() {
    let versions = versions();
    assert!(versions.iter().any(|version| version == PRESENT), "{versions:?} lack the present version");
    for version in versions {
        let (disk, table, folder) = (disk(1), table(1), folder(&version));
        let paths = files_below(&folder);
        assert!(paths.len() >= 4, "manifest, segments, series, log: {paths:?}");
        for path in paths {
            let name = path.strip_prefix(&folder).unwrap();
            disk.import(&Path::new("/data/shard-0").join(name), std::fs::read(&path).unwrap());
        }
        let shard = block_on(open(&disk)).unwrap();
        assert!(shard.quarantined().is_empty());
        let counted = || (shard.stats().series, shard.stats().series_hidden);
        assert_eq!(counted(), series(&version), "version {version}");
        assert_eq!(block_on(times(&shard, &table)).unwrap(), BTreeSet::from(TIMES), "version {version}");
        block_on(shard.flush()).unwrap();
        block_on(shard.compact()).unwrap();
        assert_eq!(block_on(times(&shard, &table)).unwrap(), BTreeSet::from(TIMES), "version {version}, merged");
        assert_eq!(counted(), series(&version), "version {version}, merged");
    }
}

#[test]
#[ignore = "writes into the source tree: only for a new format version"]
fn write_golden() {
    assert!(!folder(PRESENT).exists(), "{PRESENT} is there: a version is never written over");
    let (disk, table) = (disk(1), table(1));
    let shard = block_on(open(&disk)).unwrap();
    with_log(&shard, async {
        append(&shard, &table, &[1, 2, 7, 1001]).unwrap();
        shard.flush().await.unwrap();
        let hide = |host: &str| {
            append_of(&shard, &table, host, &[8]).unwrap();
            let last = shard.series(table.id).unwrap().len() as u32 - 1;
            shard.delete(table.id, &SeriesSelection::Of([last].into()), i64::MIN, i64::MAX).unwrap();
        };
        hide("gone");
        hide("back");
        shard.delete(table.id, &SeriesSelection::All, 7, 7).unwrap();
        append(&shard, &table, &[2, 3, 1002]).unwrap();
        shard.flush().await.unwrap();
        write(&shard, &table, &[500, 501]).await.unwrap();
        shard.delete(table.id, &SeriesSelection::All, 501, 501).unwrap();
        append_of(&shard, &table, "back", &[500]).unwrap();
        hide("late");
        write(&shard, &table, &[2500]).await.unwrap();
    });
    for path in disk.paths() {
        let name = path.strip_prefix("/data/shard-0").unwrap();
        let mut bytes = disk.bytes(&path).unwrap();
        if name.starts_with("RESERVE") {
            continue;
        }
        if name.starts_with("wal") {
            // The zeros that a log file is filled with are no part of the format.
            let end = bytes.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
            bytes.truncate(end.next_multiple_of(4096));
        }
        let target = folder(PRESENT).join(name);
        std::fs::create_dir_all(target.parent().unwrap()).unwrap();
        std::fs::write(target, bytes).unwrap();
    }
}
