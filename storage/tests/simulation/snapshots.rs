//! Snapshots: whatever happens meanwhile, all scans of one see the rows of one moment.

use std::collections::BTreeSet;
use std::path::Path;
use std::rc::Rc;

use arrow_array::cast::AsArray;
use arrow_array::types::Int64Type;
use futures_lite::future::block_on;
use tidewire_storage::disk::sim::SimDisk;
use tidewire_storage::engine::{SeriesSelection, Shard, ShardConfig, Snapshot};
use tidewire_storage::scan::ScanMode;
use tidewire_storage::{Error, Result};

use crate::cases::{append, append_of, config, disk, request, table, times};

fn open(config: ShardConfig) -> Rc<Shard<SimDisk>> {
    block_on(Shard::open(disk(1), Path::new("/data/shard-0"), config, &|_| true)).unwrap().0
}

/// The times that a snapshot of table 1 sees, read in three spans.
fn seen(snapshot: &Snapshot<SimDisk>) -> Result<BTreeSet<i64>> {
    let mut found = BTreeSet::new();
    for (from, to) in [(2000, i64::MAX), (1000, 1999), (i64::MIN, 999)] {
        let mut scan = block_on(snapshot.scan(request(&table(1), from, to), u64::MAX))?;
        while let Some(chunk) = block_on(scan.next())? {
            found.extend(chunk.time.iter().copied());
        }
    }
    Ok(found)
}

/// Queries that copy at the same moment must know of each other's copies.
#[test]
fn a_copy_is_asked_for_before_it_is_made() {
    let (shard, table) = (open(config()), table(1));
    let times: Vec<i64> = (1..2_000).collect();
    append(&shard, &table, &times).unwrap();
    let scan_of = |from: i64, take: &mut dyn FnMut(u64) -> Result<()>| {
        let snapshot = shard.snapshot(table.id, i64::MIN, i64::MAX).unwrap();
        block_on(snapshot.scan_within(request(&table, from, i64::MAX), u64::MAX, take))
    };
    let mut taken = 0;
    let scan = scan_of(i64::MIN, &mut |bytes| {
        taken += bytes;
        Ok(())
    });
    assert!(taken >= scan.unwrap().memory_bytes() && taken > 40_000, "{taken}");
    let mut less = 0;
    let few = scan_of(1_990, &mut |bytes| {
        less += bytes;
        Ok(())
    });
    assert!(less < taken / 100 && few.unwrap().memory_bytes() <= less, "{less} of {taken}: only what is selected");
    let refused = scan_of(i64::MIN, &mut |bytes| Err(Error::ScanMemory { limit_bytes: bytes }));
    assert!(matches!(refused, Err(Error::ScanMemory { limit_bytes }) if limit_bytes > 40_000));
}

/// What is in order for the next scans is memory of the shard, not of a query, and goes where memory is short.
#[test]
fn an_order_is_made_once_and_is_memory_until_it_is_given_back() {
    let (shard, table) = (open(ShardConfig { ordered_rows_min: 1_000, ..config() }), table(1));
    append(&shard, &table, &(0..900).collect::<Vec<_>>()).unwrap();
    let taken_of_all = || {
        let snapshot = shard.snapshot(table.id, i64::MIN, i64::MAX).unwrap();
        let mut taken = 0;
        let mut take = |bytes| {
            taken += bytes;
            Ok(())
        };
        let scan = snapshot.scan_within(request(&table, i64::MIN, i64::MAX), u64::MAX, &mut take);
        drop(block_on(scan).unwrap());
        taken
    };
    taken_of_all();
    assert_eq!(shard.memory().ordered, 0, "few rows are put in order by each");
    append(&shard, &table, &(900..3_000).collect::<Vec<_>>()).unwrap();
    let first = taken_of_all();
    let ordered = shard.memory().ordered;
    assert!((3_000 * 12..3_000 * 20).contains(&ordered) && first > ordered, "{ordered} bytes, {first} taken");
    let second = taken_of_all();
    assert!(second + ordered < first, "{second} after {first}");
    shard.release_idle_memory();
    assert_eq!((shard.memory().ordered, taken_of_all()), (0, first));
    assert_eq!(shard.memory().ordered, ordered);
    block_on(shard.flush()).unwrap();
    assert_eq!((shard.memory().ordered, shard.memory().retired), (0, 0), "it goes with the rows");
    assert_eq!(block_on(times(&shard, &table)).unwrap().len(), 3_000);
}

/// A client that reads slowly keeps no memtable, and gets its rows.
#[test]
fn a_scan_that_is_half_read_goes_on_when_its_rows_are_long_in_segments() {
    let (wide, narrow) = (table(1), table(2));
    let shard = open(ShardConfig { memtable_bytes_max: 400_000, ordered_rows_min: 100, ..config() });
    append(&shard, &wide, &(0..9_000).collect::<Vec<_>>()).unwrap();
    // Overwritten in part, and in memory when the scans begin: two sources of one partition.
    append(&shard, &wide, &(5_500..5_600).collect::<Vec<_>>()).unwrap();
    let begin = |from: i64| {
        let snapshot = shard.snapshot(wide.id, i64::MIN, i64::MAX).unwrap();
        block_on(snapshot.scan(request(&wide, from, i64::MAX), u64::MAX)).unwrap()
    };
    let (mut half, mut untouched, mut last) = (begin(i64::MIN), begin(5_500), begin(i64::MIN));
    last.set_mode(ScanMode::LastRow);
    let mut found: Vec<i64> = block_on(half.next()).unwrap().unwrap().time.to_vec();
    assert!(found.len() < 5_000, "{} rows at once", found.len());
    for round in 0..8_i64 {
        append(&shard, &narrow, &(round * 5_000..(round + 1) * 5_000).collect::<Vec<_>>()).unwrap();
        block_on(shard.flush()).unwrap();
        assert!(shard.memory().retired <= 400_000, "{}", shard.memory().retired);
    }
    shard.delete(wide.id, &SeriesSelection::All, i64::MIN, i64::MAX).unwrap();
    while let Some(chunk) = block_on(half.next()).unwrap() {
        assert_eq!(chunk.time, *chunk.columns[0].as_primitive::<Int64Type>().values());
        found.extend(chunk.time.iter());
    }
    found.sort_unstable();
    assert_eq!(found, (0..9_000).collect::<Vec<_>>());
    let mut found = BTreeSet::new();
    while let Some(chunk) = block_on(untouched.next()).unwrap() {
        found.extend(chunk.time.iter().copied());
    }
    assert_eq!(found, (5_500..9_000).collect());
    let mut newest = i64::MIN;
    while let Some(chunk) = block_on(last.next()).unwrap() {
        newest = newest.max(chunk.time[chunk.rows() - 1]);
    }
    assert_eq!(newest, 8_999);
    drop((half, untouched, last));
    assert_eq!(shard.memory().retired, 0);
}

#[test]
fn what_happens_between_two_scans_of_a_snapshot_is_not_seen() {
    let (shard, table) = (open(config()), table(1));
    append(&shard, &table, &[1, 1001, 2001]).unwrap();
    block_on(shard.flush()).unwrap();
    append(&shard, &table, &[2, 1002, 2002]).unwrap();
    let snapshot = shard.snapshot(table.id, i64::MIN, i64::MAX).unwrap();
    let expected = BTreeSet::from([1, 2, 1001, 1002, 2001, 2002]);
    assert_eq!((seen(&snapshot).unwrap(), snapshot.time_bounds()), (expected.clone(), Some((1, 2002))));

    // One request, in old and new partitions, of a known and a new series.
    append(&shard, &table, &[3, 2003]).unwrap();
    append_of(&shard, &table, "other", &[4, 2004]).unwrap();
    assert_eq!(seen(&snapshot).unwrap(), expected, "after a write");
    shard.delete(table.id, &SeriesSelection::All, 0, 1001).unwrap();
    assert_eq!(seen(&snapshot).unwrap(), expected, "after a delete");
    block_on(shard.flush()).unwrap();
    assert_eq!(seen(&snapshot).unwrap(), expected, "after a flush");
    assert!(shard.memory().retired > 0 && shard.memory().flushing == 0);
    append(&shard, &table, &[5, 2005]).unwrap();
    block_on(shard.flush()).unwrap();
    block_on(shard.compact()).unwrap();
    assert_eq!(seen(&snapshot).unwrap(), expected, "after another flush, and merges");
    block_on(shard.expire(table.id, 2000)).unwrap();
    assert_eq!(seen(&snapshot).unwrap(), expected, "after an expiry");
    let left = BTreeSet::from([2001, 2002, 2003, 2004, 2005]);
    assert_eq!(block_on(times_of_all(&shard)), left);

    drop(snapshot);
    assert_eq!(shard.memory().retired, 0, "nothing is kept for nobody");
    block_on(shard.drop_table(table.id)).unwrap();
    assert!(shard.snapshot(table.id, i64::MIN, i64::MAX).is_none());
}

/// All times of the table, of whatever series.
async fn times_of_all(shard: &Shard<SimDisk>) -> BTreeSet<i64> {
    let mut scan = shard.scan(request(&table(1), i64::MIN, i64::MAX), u64::MAX).unwrap();
    let mut found = BTreeSet::new();
    while let Some(chunk) = scan.next().await.unwrap() {
        found.extend(chunk.time.iter().copied());
    }
    found
}

#[test]
fn rows_that_are_kept_for_snapshots_are_bounded_and_a_query_that_needs_more_is_told() {
    let table = table(1);
    let shard = open(ShardConfig { memtable_bytes_max: 20_000, ..config() });
    append(&shard, &table, &[1]).unwrap();
    let old = shard.snapshot(table.id, i64::MIN, i64::MAX).unwrap();
    let mut later = Vec::new();
    for round in 1..6_i64 {
        append(&shard, &table, &(round * 1000..round * 1000 + 300).collect::<Vec<_>>()).unwrap();
        later.push(shard.snapshot(table.id, i64::MIN, i64::MAX).unwrap());
        block_on(shard.flush()).unwrap();
        assert!(shard.memory().retired <= 20_000, "{}", shard.memory().retired);
    }
    let gone = seen(&old).unwrap_err();
    assert!(matches!(gone, Error::SnapshotGone { shard: 0 }), "{gone}");
    assert_eq!(seen(&later[4]).unwrap().len(), 1501, "the newest one is served");
    drop((old, later));
    assert_eq!(shard.memory().retired, 0);
    assert_eq!(block_on(times(&shard, &table)).unwrap().len(), 1501);
}

#[test]
fn a_snapshot_of_a_dropped_table_is_gone_with_its_rows_in_memory() {
    let (shard, table) = (open(config()), table(1));
    append(&shard, &table, &[1, 1001]).unwrap();
    let snapshot = shard.snapshot(table.id, i64::MIN, i64::MAX).unwrap();
    block_on(shard.drop_table(table.id)).unwrap();
    assert!(matches!(seen(&snapshot), Err(Error::SnapshotGone { .. })), "not half of it");
}
