//! Rows in very many partitions: descriptors, flushes that fail on the way, and what a shard takes.

use std::collections::BTreeSet;
use std::path::Path;

use futures_lite::future::block_on;
use tidewire_storage::Error;
use tidewire_storage::disk::sim::{Fault, FaultKind, Operation};
use tidewire_storage::engine::{Shard, ShardConfig};

use crate::cases::{append, config, disk, request, table, times, times_in};

const PARTITIONS: i64 = 3000;

/// A time in each of many partitions of 1,000.
fn many_times() -> Vec<i64> {
    (0..PARTITIONS).map(|number| number * 1000 + number % 1000).collect()
}

#[test]
fn a_shard_with_many_partitions_needs_few_descriptors() {
    let (disk, table) = (disk(1), table(1));
    let config = ShardConfig { open_segments_max: 10, ..config() };
    let open = || block_on(Shard::open(disk.clone(), Path::new("/data/shard-0"), config.clone(), &|_| true));
    let shard = open().unwrap().0;
    append(&shard, &table, &many_times()).unwrap();
    // A log, its spare, a reserve: and some that are being written.
    disk.set_open_files_max(Some(30));
    block_on(shard.flush()).unwrap();
    assert_eq!(shard.stats().segments, PARTITIONS as u64);
    assert!(shard.stats().segments_open <= 10 && disk.open_files() <= 20, "{}", disk.open_files());
    let wanted: BTreeSet<i64> = many_times().into_iter().collect();
    assert_eq!(block_on(times(&shard, &table)).unwrap(), wanted);
    drop(shard);
    disk.kill();
    let shard = open().unwrap().0;
    assert!(disk.open_files() <= 20);

    // A scan that has begun reads on where merges, drops and expiry take the names away.
    let mut scan = shard.scan(request(&table, i64::MIN, i64::MAX), u64::MAX).unwrap();
    block_on(scan.next()).unwrap();
    block_on(shard.drop_table(table.id)).unwrap();
    assert_eq!(shard.stats().segments, 0);
    let mut rows = 1;
    while let Some(chunk) = block_on(scan.next()).unwrap() {
        rows += chunk.rows() as i64;
    }
    assert_eq!(rows, PARTITIONS);
    drop(scan);
    block_on(shard.close()).unwrap();
    assert!(disk.paths().iter().all(|path| !path.starts_with("/data/shard-0/segments")), "their files go after it");
}

/// A disk on which every hundredth file cannot be written lets through what is done, and not what is begun.
#[test]
fn a_flush_of_many_partitions_gets_on_however_often_it_fails() {
    let (disk, table) = (disk(1), table(1));
    let shard = block_on(Shard::open(disk.clone(), Path::new("/data/shard-0"), config(), &|_| true)).unwrap().0;
    append(&shard, &table, &many_times()).unwrap();
    let mut failures = 0;
    loop {
        // Of 3,000 files: no try writes all of them.
        disk.inject(Fault { after: 1000, ..Fault::next(Operation::Create, "/segments", FaultKind::Io) });
        match block_on(shard.flush()) {
            Ok(()) => break,
            Err(Error::Io { .. }) => failures += 1,
            Err(error) => panic!("{error}"),
        }
        disk.heal();
        assert!(failures < 5, "it gets nowhere");
        assert_eq!(block_on(times_in(&shard, request(&table, 0, 5000))).unwrap().len(), 5, "rows stay visible");
    }
    assert_eq!(failures, 2);
    disk.heal();
    disk.crash();
    drop(shard);
    let (shard, recovery) =
        block_on(Shard::open(disk.clone(), Path::new("/data/shard-0"), config(), &|_| true)).unwrap();
    assert_eq!((recovery.segments, recovery.rows), (PARTITIONS as u64, 0));
    assert_eq!(block_on(times(&shard, &table)).unwrap(), many_times().into_iter().collect());
}

#[test]
fn partitions_in_memory_are_bounded_as_bytes_are() {
    let (disk, table) = (disk(1), table(1));
    let config = ShardConfig { flush_partitions: 50, memtable_partitions_max: 100, ..config() };
    let shard = block_on(Shard::open(disk, Path::new("/data/shard-0"), config, &|_| true)).unwrap().0;
    let times = many_times();
    for (number, times) in times.chunks(10).take(10).enumerate() {
        assert_eq!(shard.wants_flush(), number >= 5);
        append(&shard, &table, times).unwrap();
    }
    let refused = append(&shard, &table, &times[..1]).unwrap_err();
    assert!(matches!(refused, Error::Crowded { partitions: 100, partitions_max: 100, .. }), "{refused}");
    block_on(shard.flush()).unwrap();
    assert_eq!(shard.stats().memtable_partitions, 0);
    append(&shard, &table, &times[..1]).unwrap();
}
