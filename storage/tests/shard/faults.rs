//! What a shard does when the disk fails, and what recovery makes of a log that is damaged.

use std::path::{Path, PathBuf};
use std::rc::Rc;

use futures_lite::future::{block_on, poll_once, zip};
use tidewire_storage::Error;
use tidewire_storage::disk::plain::PlainDisk;
use tidewire_storage::disk::throttle::{Throttle, ThrottledDisk};
use tidewire_storage::engine::{SeriesSelection, Shard, ShardConfig};
use tidewire_storage::wal::{Lsn, WalSync};

use crate::common::{Folder, drive, int_batch, int_rows, open, small_config, table};
use crate::failing::{FailingDisk, Fault};

const BLOCK: usize = 4096;

/// The log files of a shard, by name.
fn log_files(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder.join("wal")).unwrap();
    let mut files: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files
}

fn change(path: &Path, change: impl FnOnce(&mut Vec<u8>)) {
    let mut bytes = std::fs::read(path).unwrap();
    change(&mut bytes);
    std::fs::write(path, bytes).unwrap();
}

/// A shard with a commit of one row for each of `times`, stopped without being closed.
fn committed(folder: &Path, times: std::ops::Range<i64>, config: &ShardConfig) {
    let (shard, _) = block_on(open(PlainDisk, folder, config.clone())).unwrap();
    let table = table(1);
    drive(&shard, async {
        for time in times {
            let lsn = shard.append(&int_batch(&table, &[(1, time, time)]), &table).unwrap().lsn;
            shard.durable(lsn).await.unwrap();
        }
    });
}

fn times(shard: &Shard<PlainDisk>) -> Vec<i64> {
    block_on(int_rows(shard, table(1).id)).into_iter().map(|(_, time, _)| time).collect()
}

#[test]
fn a_torn_commit_is_cut_off_and_the_log_goes_on() {
    let folder = Folder::new("torn");
    committed(&folder.0, 0..5, &small_config());
    let [file] = &log_files(&folder.0)[..] else { panic!("one file") };
    // The fifth commit, but for its first block's tail.
    change(file, |bytes| bytes[5 * BLOCK + 70..6 * BLOCK].fill(0));
    let (shard, recovery) = block_on(open(PlainDisk, &folder.0, small_config())).unwrap();
    assert_eq!((recovery.records, recovery.torn), (4, Some((file.clone(), 5 * BLOCK as u64))));
    assert_eq!(times(&shard), [0, 1, 2, 3]);
    drop(shard);
    // What comes then takes the LSN of the torn one, and is not mistaken for it.
    committed(&folder.0, 10..12, &small_config());
    let (shard, recovery) = block_on(open(PlainDisk, &folder.0, small_config())).unwrap();
    assert_eq!((recovery.records, shard.lsn()), (6, Lsn(6)));
    assert_eq!(times(&shard), [0, 1, 2, 3, 10, 11]);
}

#[test]
fn damage_in_the_middle_is_an_error_that_names_file_and_offset() {
    let folder = Folder::new("middle");
    committed(&folder.0, 0..5, &small_config());
    for (at, offset) in [(3 * BLOCK + 100, 3 * BLOCK), (3 * BLOCK + 20, 3 * BLOCK), (BLOCK, BLOCK)] {
        let copy = Folder::copy("middle-copy", &folder.0);
        let file = log_files(&copy.0).remove(0);
        change(&file, |bytes| bytes[at] ^= 4);
        let error = block_on(open(PlainDisk, &copy.0, small_config())).map(|_| ()).unwrap_err();
        let Error::Corrupt { path, offset: found, .. } = &error else { panic!("{error}") };
        assert_eq!((path, *found), (&file, offset as u64), "{error}");
    }
    // The file's header.
    let copy = Folder::copy("middle-copy", &folder.0);
    let file = log_files(&copy.0).remove(0);
    change(&file, |bytes| bytes[17] ^= 1);
    let error = block_on(open(PlainDisk, &copy.0, small_config())).map(|_| ()).unwrap_err();
    assert!(error.to_string().contains("header is damaged"), "{error}");
}

#[test]
fn damage_in_a_file_that_another_follows_is_an_error_even_at_its_end() {
    let folder = Folder::new("follows");
    committed(&folder.0, 0..3, &small_config());
    committed(&folder.0, 3..4, &small_config());
    let file = log_files(&folder.0).remove(0);
    change(&file, |bytes| bytes[3 * BLOCK + 100] ^= 1);
    let error = block_on(open(PlainDisk, &folder.0, small_config())).map(|_| ()).unwrap_err();
    let Error::Corrupt { path, offset, reason } = &error else { panic!("{error}") };
    assert_eq!((path, *offset), (&file, 3 * BLOCK as u64));
    assert_eq!(reason, "log record 3 cannot be read, but later ones can");
    // And so is a file that is missing.
    std::fs::remove_file(&file).unwrap();
    let error = block_on(open(PlainDisk, &folder.0, small_config())).map(|_| ()).unwrap_err();
    assert!(error.to_string().contains("the log begins with record 4, but 1 is missing"), "{error}");
}

#[test]
fn without_sync_a_hole_in_the_tail_is_no_damage() {
    let folder = Folder::new("hole");
    let config = ShardConfig { wal_sync: WalSync::Interval, ..small_config() };
    committed(&folder.0, 0..6, &config);
    let file = log_files(&folder.0).remove(0);
    // Power went with commits 4 to 6 unsynced, and the disk had taken 5 and 6 only.
    change(&file, |bytes| bytes[4 * BLOCK..5 * BLOCK].fill(0));
    let (shard, recovery) = block_on(open(PlainDisk, &folder.0, config.clone())).unwrap();
    assert_eq!((times(&shard), recovery.torn), (vec![0, 1, 2], Some((file, 4 * BLOCK as u64))));
    drop(shard);
    committed(&folder.0, 20..22, &config);
    let (shard, _) = block_on(open(PlainDisk, &folder.0, config)).unwrap();
    assert_eq!(times(&shard), [0, 1, 2, 20, 21]);
}

#[test]
fn frames_of_an_earlier_life_of_a_file_are_not_read() {
    let (folder, table) = (Folder::new("stale"), table(1));
    let (shard, _) = block_on(open(PlainDisk, &folder.0, small_config())).unwrap();
    drive(&shard, async {
        // More commits than two files hold, flushed in between, so that files are used again.
        for time in 0..40 {
            let lsn = shard.append(&int_batch(&table, &[(1, time, time)]), &table).unwrap().lsn;
            shard.durable(lsn).await.unwrap();
            if time % 10 == 9 {
                shard.flush().await.unwrap();
            }
        }
        for time in 40..43 {
            let lsn = shard.append(&int_batch(&table, &[(1, time, time)]), &table).unwrap().lsn;
            shard.durable(lsn).await.unwrap();
        }
    });
    drop(shard);
    let stale = log_files(&folder.0).iter().any(|file| {
        let bytes = std::fs::read(file).unwrap();
        let generation = |at: usize| u64::from_le_bytes(bytes[at..at + 8].try_into().unwrap());
        (1..16)
            .any(|block| bytes[block * BLOCK..].starts_with(b"TWFR") && generation(block * BLOCK + 8) != generation(16))
    });
    assert!(stale, "the test wants a file with frames of two generations");
    let (shard, recovery) = block_on(open(PlainDisk, &folder.0, small_config())).unwrap();
    assert_eq!((recovery.records, recovery.torn), (3, None));
    assert_eq!(times(&shard), (0..43).collect::<Vec<_>>());
}

#[test]
fn a_log_of_another_shard_or_version_is_refused() {
    let folder = Folder::new("other");
    committed(&folder.0, 0..1, &small_config());
    let other = ShardConfig { shard: 4, ..small_config() };
    let error = block_on(open(PlainDisk, &folder.0, other.clone())).map(|_| ()).unwrap_err();
    assert!(error.to_string().contains("manifest of shard 3"), "{error}");
    // A log that came without its manifest is refused as well.
    for manifest in ["MANIFEST", "MANIFEST.copy"] {
        std::fs::remove_file(folder.0.join(manifest)).unwrap();
    }
    let error = block_on(open(PlainDisk, &folder.0, other)).map(|_| ()).unwrap_err();
    assert!(error.to_string().contains("log of shard 3, found in the folder of shard 4"), "{error}");
    let file = log_files(&folder.0).remove(0);
    change(&file, |bytes| {
        bytes[8] = 9;
        let crc = crc32c::crc32c(&bytes[..32]);
        bytes[32..36].copy_from_slice(&crc.to_le_bytes());
    });
    let error = block_on(open(PlainDisk, &folder.0, small_config())).map(|_| ()).unwrap_err();
    assert!(matches!(&error, Error::Incompatible { reason, .. } if reason.contains("log format 9")), "{error}");
}

#[test]
fn when_a_sync_fails_nobody_is_told_yes_and_it_is_not_tried_again() {
    for fault in [Fault::Sync(".wal"), Fault::Write(".wal")] {
        let (folder, table, disk) = (Folder::new("failed"), table(1), FailingDisk::default());
        let (shard, _) = block_on(open(disk.clone(), &folder.0, small_config())).unwrap();
        let run = async { shard.run_wal().await };
        let body = async {
            let first = shard.append(&int_batch(&table, &[(1, 1, 1)]), &table).unwrap().lsn;
            shard.durable(first).await.unwrap();
            disk.set(Some(fault));
            let syncs = disk.syncs();
            let second = shard.append(&int_batch(&table, &[(1, 2, 2)]), &table).unwrap().lsn;
            let third = shard.append(&int_batch(&table, &[(1, 3, 3)]), &table).unwrap().lsn;
            for lsn in [second, third] {
                let error = shard.durable(lsn).await.unwrap_err();
                assert!(matches!(error, Error::LogFailed { shard: 3, .. }), "{error}");
            }
            // The disk is well again, but what it lost nobody knows.
            disk.set(None);
            let refused = shard.append(&int_batch(&table, &[(1, 4, 4)]), &table);
            assert!(matches!(refused, Err(Error::LogFailed { .. })), "{refused:?}");
            assert!(matches!(shard.sync_wal().await, Err(Error::LogFailed { .. })));
            assert!(disk.syncs() <= syncs + 1, "a failed sync was tried again");
            // What was durable before is so still, and scans go on.
            shard.durable(first).await.unwrap();
            assert_eq!(int_rows(&shard, table.id).await.len(), 3);
            assert!(shard.stats().wal_failed);
        };
        let (ended, ()) = block_on(zip(run, body));
        assert!(matches!(ended, Err(Error::Io { .. })), "{ended:?}");
        assert!(matches!(block_on(shard.close()), Err(Error::LogFailed { .. })));
    }
}

#[test]
fn a_flush_that_fails_loses_nothing_and_is_done_the_next_time() {
    for part in [".seg.tmp", ".keys.tmp", "MANIFEST", "MANIFEST.copy"] {
        let (folder, table, disk) = (Folder::new("flush"), table(1), FailingDisk::default());
        let (shard, _) = block_on(open(disk.clone(), &folder.0, small_config())).unwrap();
        drive(&shard, async {
            let lsn = shard.append(&int_batch(&table, &[(1, 1, 1), (2, 2, 2)]), &table).unwrap().lsn;
            shard.durable(lsn).await.unwrap();
            disk.set(Some(Fault::Write(part)));
            let error = shard.flush().await.unwrap_err();
            assert!(error.to_string().contains(part), "{error}");
            let lsn = shard.append(&int_batch(&table, &[(1, 1, 7)]), &table).unwrap().lsn;
            shard.durable(lsn).await.unwrap();
            assert_eq!(int_rows(&shard, table.id).await, [(1, 1, 7), (2, 2, 2)]);

            let copy = Folder::copy("flush-copy", &folder.0);
            let (other, _) = open(PlainDisk, &copy.0, small_config()).await.unwrap();
            assert_eq!(int_rows(&other, table.id).await, [(1, 1, 7), (2, 2, 2)]);

            disk.set(None);
            shard.flush().await.unwrap();
            assert_eq!(int_rows(&shard, table.id).await, [(1, 1, 7), (2, 2, 2)]);
            // The task of the shard may have tried as well.
            assert_eq!((shard.stats().flushes, shard.has_unflushed()), (2, false), "{part}");
            assert!((1..=2).contains(&shard.stats().flush_failures), "{part}");
        });
    }
}

#[test]
fn one_sync_covers_all_who_came_meanwhile() {
    let (folder, table, throttle) = (Folder::new("group"), table(1), Throttle::new(u64::MAX));
    let disk = ThrottledDisk::new(PlainDisk, Rc::clone(&throttle));
    let (shard, _) = block_on(open(disk, &folder.0, small_config())).unwrap();
    drive(&shard, async {
        // With this one the log has its first file.
        let begun = shard.append(&int_batch(&table, &[(1, -1, 0)]), &table).unwrap().lsn;
        shard.durable(begun).await.unwrap();
        throttle.park_syncs(true);
        let first = shard.append(&int_batch(&table, &[(1, 0, 0)]), &table).unwrap().lsn;
        let mut waiter = Box::pin(shard.durable(first));
        while throttle.waiting() == 0 {
            assert!(poll_once(&mut waiter).await.is_none(), "acknowledged before the sync");
            futures_lite::future::yield_now().await;
        }
        let (commits, syncs) = (shard.stats().wal_commits, shard.stats().wal_syncs);
        let mut last = first;
        for time in 1..50 {
            last = shard.append(&int_batch(&table, &[(1, time, time)]), &table).unwrap().lsn;
        }
        assert!(shard.memory().wal_pending > 0);
        throttle.park_syncs(false);
        waiter.await.unwrap();
        shard.durable(last).await.unwrap();
        // The first, which was waiting for its sync, and one for all who came meanwhile.
        assert_eq!((shard.stats().wal_commits, shard.stats().wal_syncs), (commits + 2, syncs + 2));
        assert_eq!(shard.memory().wal_pending, 0);
    });
}

#[test]
fn behind_a_slow_disk_memory_is_bounded_and_what_was_taken_is_kept() {
    let (folder, table, throttle) = (Folder::new("slow"), table(1), Throttle::new(u64::MAX));
    let disk = ThrottledDisk::new(PlainDisk, Rc::clone(&throttle));
    let config = ShardConfig { memtable_bytes_max: 64 << 10, wal_pending_bytes_max: 16 << 10, ..small_config() };
    let (shard, _) = block_on(open(disk, &folder.0, config)).unwrap();
    throttle.shut();
    let mut taken = 0;
    drive(&shard, async {
        let (mut refused, mut last) = (0, Lsn(0));
        for time in 0..2000 {
            let rows: Vec<_> = (0..20).map(|host| (host, time, time)).collect();
            match shard.append(&int_batch(&table, &rows), &table) {
                Ok(appended) => {
                    taken += rows.len();
                    last = appended.lsn;
                }
                Err(Error::Overloaded { .. }) => refused += 1,
                Err(error) => panic!("{error}"),
            }
            let memory = shard.memory();
            assert!(memory.memtable() < (64 << 10) + 2000 && memory.wal_pending < (16 << 10) + 2000, "{memory:?}");
            // A tenth of what comes in.
            throttle.grant(40);
            futures_lite::future::yield_now().await;
        }
        assert!(refused > 1000, "{refused} refused");
        throttle.grant(u64::MAX);
        shard.durable(last).await.unwrap();
    });
    let copy = Folder::copy("slow-copy", &folder.0);
    let (shard, _) = block_on(open(PlainDisk, &copy.0, small_config())).unwrap();
    assert_eq!(block_on(int_rows(&shard, table.id)).len(), taken);
}

#[test]
fn an_abandoned_shard_refuses_what_waits_and_the_next_start_has_what_was_acknowledged() {
    let (folder, table) = (Folder::new("abandoned"), table(1));
    let (shard, _) = block_on(open(PlainDisk, &folder.0, small_config())).unwrap();
    drive(&shard, async {
        let lsn = shard.append(&int_batch(&table, &[(1, 1, 1)]), &table).unwrap().lsn;
        shard.durable(lsn).await.unwrap();
        let waiting = shard.append(&int_batch(&table, &[(1, 2, 2)]), &table).unwrap().lsn;
        shard.abandon("a panic");
        assert!(matches!(shard.durable(waiting).await, Err(Error::LogFailed { .. })));
        let refused = shard.append(&int_batch(&table, &[(1, 3, 3)]), &table);
        assert!(matches!(refused, Err(Error::ShardOffline { shard: 3, .. })));
        let refused = shard.delete(table.id, &SeriesSelection::All, 0, 9);
        assert!(matches!(refused, Err(Error::ShardOffline { shard: 3, .. })));
        assert!(matches!(shard.heal().await, Err(Error::ShardOffline { shard: 3, .. })));
        shard.close().await.unwrap();
    });
    drop(shard);
    let (shard, _) = block_on(open(PlainDisk, &folder.0, small_config())).unwrap();
    let rows = block_on(int_rows(&shard, table.id));
    assert_eq!(rows[0], (1, 1, 1));
    assert!(rows.len() == 1 || rows[1..] == [(1, 2, 2)], "{rows:?}");
}
