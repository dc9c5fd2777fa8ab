//! A disk that fails and a disk that is full: what is refused, what goes on, and how it passes over.

use std::collections::BTreeSet;

use futures_lite::future::block_on;
use tidewire_storage::Error;
use tidewire_storage::disk::sim::{Fault, FaultKind, Operation, SimEnd, SimTasks};

use crate::cases::{append, disk, open, table, times, with_log, write};

#[test]
fn a_failed_log_is_healed_by_a_flush_and_a_file_that_proves_itself() {
    for (seed, operation) in (0..12).flat_map(|seed| [(seed, Operation::Sync), (seed, Operation::Write)]) {
        let (disk, table) = (disk(seed), table(1));
        let shard = block_on(open(&disk)).unwrap();
        with_log(&shard, async {
            write(&shard, &table, &[1]).await.unwrap();
            disk.inject(Fault::lasting(operation, "/wal", FaultKind::Io));
            let refused = write(&shard, &table, &[2]).await;
            assert!(matches!(refused, Err(Error::LogFailed { .. })), "{refused:?}");
            let syncs = disk.counts().syncs;
            assert!(matches!(append(&shard, &table, &[9]), Err(Error::LogFailed { .. })));
            assert_eq!(disk.counts().syncs, syncs, "no sync is tried again");
            assert_eq!(times(&shard, &table).await.unwrap(), BTreeSet::from([1, 2]), "reads go on");
        });
        // The disk is no better: neither is the shard.
        assert!(matches!(block_on(shard.heal()), Err(Error::Io { .. })));
        assert!(matches!(append(&shard, &table, &[9]), Err(Error::LogFailed { .. })) && shard.stats().wal_failed);
        disk.heal();
        // It writes, but what is read back is something else.
        disk.inject(Fault::next(Operation::Read, "/wal", FaultKind::FlippedBit));
        let healed = block_on(shard.heal());
        assert!(matches!(healed, Err(Error::Corrupt { .. })), "seed {seed}, {operation:?}: {healed:?}");
        block_on(shard.heal()).unwrap();
        assert!(!shard.stats().wal_failed);
        with_log(&shard, write(&shard, &table, &[3])).unwrap();
        drop(shard);
        disk.crash();
        let shard = block_on(open(&disk)).unwrap();
        assert_eq!(block_on(times(&shard, &table)).unwrap(), BTreeSet::from([1, 2, 3]), "seed {seed}");
    }
}

/// Some file systems cannot reserve space: files are filled instead, and a full disk is what it is elsewhere.
#[test]
fn space_that_cannot_be_reserved_is_taken_with_zeros() {
    let (disk, table) = (disk(1), table(1));
    disk.cannot_reserve();
    let config = tidewire_storage::engine::ShardConfig { reserve_bytes: 1 << 20, ..crate::cases::config() };
    let folder = std::path::Path::new("/data/shard-0");
    let open = async || {
        tidewire_storage::engine::Shard::open(disk.clone(), folder, config.clone(), &|_| true).await.unwrap().0
    };
    let shard = block_on(open());
    assert!(disk.used_bytes() > 1 << 20, "the reserve takes its space");
    with_log(&shard, async {
        write(&shard, &table, &[1]).await.unwrap();
        disk.set_capacity(Some(disk.used_bytes()));
        // The reserve is for this.
        shard.flush().await.unwrap();
    });
    assert!(shard.stats().no_space && !shard.has_unflushed());
    disk.set_capacity(None);
    drop(shard);
    disk.crash();
    let shard = block_on(open());
    assert!(!shard.stats().no_space);
    assert_eq!(block_on(times(&shard, &table)).unwrap(), BTreeSet::from([1]));
}

/// A file system that the kernel has mounted for reading: reads go on, and writes when it has been put right.
#[test]
fn a_disk_that_turns_read_only_refuses_writes_and_nothing_else() {
    for seed in 0..8 {
        let (disk, table) = (disk(seed), table(1));
        let shard = block_on(open(&disk)).unwrap();
        with_log(&shard, async {
            write(&shard, &table, &[1, 2]).await.unwrap();
            disk.set_read_only();
            let refused = write(&shard, &table, &[3]).await;
            assert!(matches!(refused, Err(Error::LogFailed { .. })), "{refused:?}");
            assert!(
                shard.flush().await.is_err() && shard.drop_table(tidewire_storage::schema::TableId(9)).await.is_err()
            );
            assert!(times(&shard, &table).await.unwrap().is_superset(&BTreeSet::from([1, 2])), "reads go on");
        });
        disk.heal();
        block_on(shard.heal()).unwrap();
        with_log(&shard, write(&shard, &table, &[4])).unwrap();
        drop(shard);
        disk.crash();
        let shard = block_on(open(&disk)).unwrap();
        assert!(block_on(times(&shard, &table)).unwrap().is_superset(&BTreeSet::from([1, 2, 4])), "seed {seed}");
    }
}

#[test]
fn a_full_disk_refuses_writes_and_nothing_else_until_there_is_space() {
    for seed in 0..8 {
        let (disk, table) = (disk(seed), table(1));
        let config = tidewire_storage::engine::ShardConfig { reserve_bytes: 256 << 10, ..crate::cases::config() };
        let open = async || {
            let folder = std::path::Path::new("/data/shard-0");
            tidewire_storage::engine::Shard::open(disk.clone(), folder, config.clone(), &|_| true).await.unwrap().0
        };
        let shard = block_on(open());
        let mut acknowledged = BTreeSet::new();
        let mut tasks = SimTasks::new(seed);
        tasks.spawn(async { shard.run_wal().await.unwrap() });
        let body = async {
            disk.set_capacity(Some(disk.used_bytes() + (40 << 10)));
            let refused = 'full: loop {
                for time in (acknowledged.len() as i64..).take(50) {
                    match write(&shard, &table, &[time]).await {
                        Ok(()) => acknowledged.insert(time),
                        Err(error) => break 'full error,
                    };
                }
            };
            assert!(refused.is_no_space(), "{refused}");
            let refused = append(&shard, &table, &[-1]).unwrap_err();
            assert!(matches!(refused, Error::NoSpace { .. }), "{refused}");
            assert!(shard.stats().no_space && !shard.stats().wal_failed);
            assert!(times(&shard, &table).await.unwrap().is_superset(&acknowledged), "reads go on");
            // The reserve is for this; what it gives back lets the log go on.
            shard.flush().await.unwrap();
            assert!(!shard.has_unflushed());
            disk.set_capacity(None);
            for time in 100_000.. {
                match write(&shard, &table, &[time]).await {
                    Ok(()) => {
                        acknowledged.insert(time);
                        break;
                    }
                    Err(error) => assert!(error.is_no_space() && time < 100_020, "{error}"),
                }
                for _ in 0..10 {
                    futures_lite::future::yield_now().await;
                }
            }
        };
        assert_eq!(tasks.run(body, 1_000_000), SimEnd::Done(()));
        drop(tasks);
        disk.set_capacity(Some(disk.used_bytes()));
        disk.crash();
        let shard = block_on(open());
        assert!(block_on(times(&shard, &table)).unwrap().is_superset(&acknowledged), "seed {seed}");
    }
}
