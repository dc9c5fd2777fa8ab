//! Deletes, drops and expiry: what is gone, what stays, and what a crash makes of it.

use std::collections::BTreeSet;
use std::rc::Rc;

use futures_lite::future::block_on;
use roaring::RoaringBitmap;
use tidewire_storage::Error;
use tidewire_storage::compaction::CompactionConfig;
use tidewire_storage::disk::Disk;
use tidewire_storage::disk::plain::PlainDisk;
use tidewire_storage::engine::{SeriesSelection, Shard, ShardConfig};
use tidewire_storage::scan::{ScanItem, ScanMode, SummaryRule};
use tidewire_storage::schema::{FieldType, SeriesId, TableId};

use crate::common::{Folder, INT, IntRow, drive, everything, int_batch, int_rows, open, small_config, table};
use crate::failing::{FailingDisk, Fault};

fn of(series: &[u32]) -> SeriesSelection {
    SeriesSelection::Of(series.iter().copied().collect())
}

/// The rows of a copy of the folder as it is now.
async fn after_a_crash(folder: &Folder, table: TableId) -> Vec<IntRow> {
    let copy = Folder::copy("deletes-copy", &folder.0);
    let (shard, _) = open(PlainDisk, &copy.0, small_config()).await.unwrap();
    int_rows(&shard, table).await
}

#[test]
fn rows_written_before_a_delete_are_gone_and_later_ones_live() {
    let (folder, table) = (Folder::new("delete"), table(1));
    let (shard, _) = block_on(open(PlainDisk, &folder.0, small_config())).unwrap();
    drive(&shard, async {
        let put = |rows: &[IntRow]| shard.append(&int_batch(&table, rows), &table).unwrap().lsn;
        // In a segment, and in memory, before and after the delete.
        put(&[(0, 10, 1), (1, 10, 1), (0, 20, 1), (1, 1020, 1)]);
        shard.flush().await.unwrap();
        put(&[(0, 30, 2), (1, 30, 2)]);
        let lsn = shard.delete(table.id, &of(&[0]), 10, 30).unwrap();
        let last = put(&[(0, 20, 3), (2, 20, 3)]);
        shard.durable(last).await.unwrap();
        assert!(lsn < last);
        let expected = [(0, 20, 3), (1, 10, 1), (1, 30, 2), (1, 1020, 1), (2, 20, 3)];
        assert_eq!(int_rows(&shard, table.id).await, expected);
        assert_eq!(after_a_crash(&folder, table.id).await, expected);
        assert_eq!((shard.stats().deletes, shard.stats().tombstones), (1, 1));

        shard.flush().await.unwrap();
        assert_eq!(int_rows(&shard, table.id).await, expected);
        assert_eq!(after_a_crash(&folder, table.id).await, expected);
        assert_eq!(shard.stats().tombstones, 1, "one segment is older");
        shard.compact().await.unwrap();
        assert_eq!(int_rows(&shard, table.id).await, expected);
        assert_eq!(after_a_crash(&folder, table.id).await, expected);
        assert_eq!((shard.stats().tombstones, shard.stats().segment_rows), (0, 5), "applied, and forgotten");

        // All series, all times; and what is written then.
        shard.delete(table.id, &SeriesSelection::All, i64::MIN, i64::MAX).unwrap();
        assert!(int_rows(&shard, table.id).await.is_empty());
        put(&[(0, 10, 9)]);
        shard.flush().await.unwrap();
        shard.compact().await.unwrap();
        assert_eq!(int_rows(&shard, table.id).await, [(0, 10, 9)]);
        let stats = shard.stats();
        assert_eq!((stats.tombstones, stats.segments, stats.segment_rows), (0, 1, 1), "the space is back");

        for (table, series, from, to) in [
            (TableId(77), SeriesSelection::All, 0, 9),
            (table.id, SeriesSelection::All, 9, 0),
            (table.id, SeriesSelection::Of(RoaringBitmap::new()), 0, 99),
        ] {
            let before = shard.lsn();
            assert_eq!(shard.delete(table, &series, from, to).unwrap(), before, "nothing to delete, nothing logged");
        }
    });
    block_on(shard.close()).unwrap();
    assert!(matches!(shard.delete(table.id, &of(&[0]), 0, 9), Err(Error::Closed)));
}

#[test]
fn a_delete_during_a_flush_and_a_merge_hits_what_they_write() {
    let (folder, table, disk) = (Folder::new("delete-flush"), table(1), FailingDisk::default());
    let compaction = CompactionConfig { band_rows_max: 1, ..CompactionConfig::default() };
    let config = ShardConfig { compaction, ..small_config() };
    let (shard, _) = block_on(open(disk.clone(), &folder.0, config)).unwrap();
    drive(&shard, async {
        let put = |rows: &[IntRow]| shard.append(&int_batch(&table, rows), &table).unwrap();
        put(&[(0, 10, 1), (1, 10, 1)]);
        // The flush fails halfway: its rows are neither in a segment nor in the active memtable.
        disk.set(Some(Fault::Write(".seg.tmp")));
        shard.flush().await.unwrap_err();
        disk.set(None);
        shard.delete(table.id, &of(&[0]), 0, 99).unwrap();
        put(&[(2, 10, 2)]);
        assert_eq!(int_rows(&shard, table.id).await, [(1, 10, 1), (2, 10, 2)]);
        shard.flush().await.unwrap();
        assert_eq!(int_rows(&shard, table.id).await, [(1, 10, 1), (2, 10, 2)]);
        shard.compact().await.unwrap();
        for time in 11..14 {
            put(&[(1, time, 1), (3, time, 1)]);
            shard.flush().await.unwrap();
        }
        let mut merge = Box::pin(shard.compact());
        while shard.stats().merge_read_bytes == 0 {
            assert!(futures_lite::future::poll_once(&mut merge).await.is_none(), "too fast for this test");
        }
        shard.delete(table.id, &of(&[1]), 0, 11).unwrap();
        let expected = [(1, 12, 1), (1, 13, 1), (2, 10, 2), (3, 11, 1), (3, 12, 1), (3, 13, 1)];
        merge.await.unwrap();
        assert_eq!(int_rows(&shard, table.id).await, expected);
        shard.flush().await.unwrap();
        shard.compact().await.unwrap();
        assert_eq!(int_rows(&shard, table.id).await, expected);
        assert_eq!(shard.stats().tombstones, 0);
    });
}

/// Rows and summaries' rows of a scan in a mode.
async fn count(shard: &Shard<PlainDisk>, table: TableId, mode: ScanMode) -> u64 {
    let mut scan = shard.scan(everything(table, &[(INT, FieldType::Int)]), u64::MAX).unwrap();
    scan.set_mode(mode);
    let mut rows = 0;
    while let Some(item) = scan.next_item().await.unwrap() {
        rows += match item {
            ScanItem::Rows(chunk) => chunk.rows() as u64,
            ScanItem::Summary(summary) => summary.rows,
        };
    }
    rows
}

#[test]
fn shortcuts_by_statistics_do_not_see_what_is_deleted() {
    let (folder, table) = (Folder::new("delete-modes"), table(1));
    let (shard, _) = block_on(open(PlainDisk, &folder.0, small_config())).unwrap();
    drive(&shard, async {
        let rows: Vec<IntRow> = (0..4).flat_map(|host| (0..100).map(move |time| (host, time, time))).collect();
        shard.append(&int_batch(&table, &rows), &table).unwrap();
        shard.flush().await.unwrap();
        assert_eq!(count(&shard, table.id, ScanMode::Summaries(SummaryRule::default())).await, 400);
        shard.delete(table.id, &of(&[2]), 50, 99).unwrap();
        assert_eq!(count(&shard, table.id, ScanMode::Summaries(SummaryRule::default())).await, 350);
        assert_eq!(count(&shard, table.id, ScanMode::LastRow).await, 4);
        let mut scan = shard.scan(everything(table.id, &[(INT, FieldType::Int)]), u64::MAX).unwrap();
        scan.set_mode(ScanMode::LastRow);
        let mut last = Vec::new();
        while let Some(chunk) = scan.next().await.unwrap() {
            last.extend(chunk.runs.iter().map(|run| (run.series.0, chunk.time[run.start as usize])));
        }
        last.sort_unstable();
        assert_eq!(last, [(0, 99), (1, 99), (2, 49), (3, 99)]);
        shard.delete(table.id, &of(&[0, 1, 3]), i64::MIN, 98).unwrap();
        assert_eq!(count(&shard, table.id, ScanMode::FirstRow).await, 4);
        assert_eq!(count(&shard, table.id, ScanMode::Rows).await, 53);
    });
}

#[test]
fn a_dropped_table_stays_away_even_if_the_catalog_forgets() {
    let (folder, dropped, kept) = (Folder::new("drop-crash"), table(1), table(2));
    let (shard, _) = block_on(open(PlainDisk, &folder.0, small_config())).unwrap();
    drive(&shard, async {
        for table in [&dropped, &kept] {
            shard.append(&int_batch(table, &[(1, 1, 1)]), table).unwrap();
        }
        shard.flush().await.unwrap();
        for table in [&dropped, &kept] {
            shard.append(&int_batch(table, &[(2, 2, 2), (3, 3, 3)]), table).unwrap();
        }
        shard.delete(dropped.id, &of(&[0]), 0, 9).unwrap();
        shard.sync_wal().await.unwrap();
        shard.drop_table(dropped.id).await.unwrap();
        assert_eq!(std::fs::read_dir(folder.0.join("segments")).unwrap().count(), 1, "its space is back");
        // The log still has its rows, and its series are in a file.
        assert!(after_a_crash(&folder, dropped.id).await.is_empty());
        assert_eq!(after_a_crash(&folder, kept.id).await.len(), 3);
        shard.flush().await.unwrap();
        assert!(after_a_crash(&folder, dropped.id).await.is_empty());
        // One of the same name has another id.
        let again = table(3);
        let lsn = shard.append(&int_batch(&again, &[(1, 5, 5)]), &again).unwrap().lsn;
        shard.durable(lsn).await.unwrap();
        assert_eq!(after_a_crash(&folder, again.id).await, [(1, 5, 5)]);
    });
}

#[test]
fn old_partitions_go_and_what_comes_later_for_them_is_kept() {
    let (folder, table) = (Folder::new("expire"), table(1));
    let (shard, _) = block_on(open(PlainDisk, &folder.0, small_config())).unwrap();
    drive(&shard, async {
        let put = |rows: &[IntRow]| shard.append(&int_batch(&table, rows), &table).unwrap().lsn;
        let expire = async |time: i64| shard.expire(table.id, time).await.unwrap().segments;
        assert_eq!(expire(5000).await, 0, "there is no such table yet");
        put(&[(0, 10, 1), (0, 1010, 1), (0, 2010, 1)]);
        shard.flush().await.unwrap();
        shard.durable(put(&[(1, 20, 2), (1, 1020, 2), (1, 2020, 2)])).await.unwrap();
        assert_eq!(expire(999).await, 0);
        assert_eq!(int_rows(&shard, table.id).await.len(), 6, "its partition does not end before");
        let lsn = shard.lsn();
        assert_eq!(expire(1500).await, 1);
        shard.durable(shard.lsn()).await.unwrap();
        let expected = [(0, 1010, 1), (0, 2010, 1), (1, 1020, 2), (1, 2020, 2)];
        assert_eq!(int_rows(&shard, table.id).await, expected);
        assert_eq!(after_a_crash(&folder, table.id).await, expected, "the log does not bring back what was in memory");
        assert_eq!(std::fs::read_dir(folder.0.join("segments")).unwrap().count(), 2);
        assert_eq!(shard.lsn(), tidewire_storage::wal::Lsn(lsn.0 + 1));
        assert_eq!(
            (expire(1500).await, expire(1999).await, shard.lsn()),
            (0, 0, tidewire_storage::wal::Lsn(lsn.0 + 1)),
            "nothing to do"
        );

        // A time-to-live that was short for a while, or a clock that was ahead.
        let late = put(&[(3, 999, 3), (3, 1000, 3)]);
        let expected = [(0, 1010, 1), (0, 2010, 1), (1, 1020, 2), (1, 2020, 2), (3, 999, 3), (3, 1000, 3)];
        assert_eq!(int_rows(&shard, table.id).await, expected);
        shard.durable(late).await.unwrap();
        assert_eq!(after_a_crash(&folder, table.id).await, expected);
        shard.flush().await.unwrap();
        assert_eq!(int_rows(&shard, table.id).await, expected);
        assert_eq!(after_a_crash(&folder, table.id).await, expected);
        assert_eq!(shard.time_bounds(table.id), Some((999, 2020)));

        assert_eq!(expire(1400).await, 1);
        assert_eq!(expire(i64::MAX).await, 4);
        assert!(int_rows(&shard, table.id).await.is_empty() && shard.time_bounds(table.id).is_none());
        assert!(after_a_crash(&folder, table.id).await.is_empty());
        assert_eq!((shard.stats().segments, shard.stats().segments_expired), (0, 6));
    });
}

/// The hosts whose series count, after the shard's own statistics and index agreed on them.
fn live<D: Disk>(shard: &Shard<D>, table: TableId) -> Vec<u32> {
    let index = shard.series(table).unwrap();
    let mut hosts = Vec::new();
    for series in index.live() {
        let (_, value) = index.key(series).next().unwrap();
        hosts.push(value.strip_prefix("host_").unwrap().parse().unwrap());
    }
    assert_eq!(index.live_len(), hosts.len());
    assert_eq!((shard.stats().series, shard.stats().series_hidden), (hosts.len() as u64, index.hidden_len() as u64));
    hosts.sort_unstable();
    hosts
}

/// The live hosts of a copy of the folder as it is now.
async fn live_after_a_crash(folder: &Folder, table: TableId) -> Vec<u32> {
    let copy = Folder::copy("hidden-copy", &folder.0);
    let (shard, recovery) = open(PlainDisk, &copy.0, small_config()).await.unwrap();
    let live = live(&shard, table);
    assert_eq!(recovery.series, live.len() as u64);
    live
}

#[test]
fn series_without_rows_do_not_count_until_they_are_written_again() {
    let (folder, table) = (Folder::new("hidden"), table(1));
    let (shard, _) = block_on(open(PlainDisk, &folder.0, small_config())).unwrap();
    drive(&shard, async {
        let put = |rows: &[IntRow]| shard.append(&int_batch(&table, rows), &table).unwrap();
        let check = async |expected: &[u32]| {
            assert_eq!(live(&shard, table.id), expected);
            shard.sync_wal().await.unwrap();
            assert_eq!(live_after_a_crash(&folder, table.id).await, expected);
        };
        put(&[(0, 10, 1), (1, 10, 1), (2, 1010, 1), (3, 10, 1)]);
        shard.delete(table.id, &of(&[1]), i64::MIN, i64::MAX).unwrap();
        // Some times, or none of the index: these series keep counting.
        shard.delete(table.id, &of(&[0]), i64::MIN, i64::MAX - 1).unwrap();
        shard.delete(table.id, &of(&[9, 2_000_000_000]), i64::MIN, i64::MAX).unwrap();
        check(&[0, 2, 3]).await;
        shard.flush().await.unwrap();
        // From the manifest, and a log that has nothing more.
        check(&[0, 2, 3]).await;

        // What a merge and an expiry write is about the flushed record, not about now.
        shard.delete(table.id, &of(&[2]), i64::MIN, i64::MAX).unwrap();
        let again = put(&[(1, 20, 2)]);
        assert_eq!(again.new_series, [SeriesId(1)], "it takes its id again");
        shard.compact().await.unwrap();
        check(&[0, 1, 3]).await;
        shard.expire(table.id, 1000).await.unwrap();
        check(&[0, 1, 3]).await;
        shard.flush().await.unwrap();
        check(&[0, 1, 3]).await;

        // All that there are, and none that come later.
        shard.delete(table.id, &SeriesSelection::All, i64::MIN, i64::MAX).unwrap();
        check(&[]).await;
        put(&[(3, 2010, 1), (4, 2010, 1)]);
        check(&[3, 4]).await;
        shard.flush().await.unwrap();
        shard.compact().await.unwrap();
        check(&[3, 4]).await;
        assert_eq!(int_rows(&shard, table.id).await, [(3, 2010, 1), (4, 2010, 1)]);
    });
}

#[test]
fn a_flush_that_fails_keeps_what_was_hidden_when_it_began() {
    let (folder, table, disk) = (Folder::new("hidden-flush"), table(1), FailingDisk::default());
    let (shard, _) = block_on(open(disk.clone(), &folder.0, small_config())).unwrap();
    drive(&shard, async {
        let put = |rows: &[IntRow]| shard.append(&int_batch(&table, rows), &table).unwrap().lsn;
        put(&[(0, 10, 1), (1, 10, 1), (2, 10, 1)]);
        shard.delete(table.id, &of(&[0]), i64::MIN, i64::MAX).unwrap();
        disk.set(Some(Fault::Write(".seg.tmp")));
        shard.flush().await.unwrap_err();
        disk.set(None);
        // After the frozen record: in the log alone.
        put(&[(0, 20, 1)]);
        let last = shard.delete(table.id, &of(&[1]), i64::MIN, i64::MAX).unwrap();
        shard.durable(last).await.unwrap();
        assert_eq!(live(&shard, table.id), [0, 2]);
        assert_eq!(live_after_a_crash(&folder, table.id).await, [0, 2]);
        // Two flushes, of what was frozen and of what came after.
        shard.flush().await.unwrap();
        assert_eq!(live(&shard, table.id), [0, 2]);
        assert_eq!(live_after_a_crash(&folder, table.id).await, [0, 2]);
    });
}

/// One history, from a seed: the live series are those with rows, at every moment.
async fn live_series_have_rows(folder: &Folder, shard: &Rc<Shard<PlainDisk>>, seed: u64) {
    let (table, mut random) = (table(1), fastrand::Rng::with_seed(seed));
    let mut rows = BTreeSet::new();
    let hosts_of = |rows: &BTreeSet<(u32, i64)>| {
        let mut hosts: Vec<u32> = rows.iter().map(|(host, _)| *host).collect();
        hosts.dedup();
        hosts
    };
    let put = |rows: &[IntRow]| shard.append(&int_batch(&table, rows), &table).unwrap();
    put(&[(0, 10, 1)]);
    rows.insert((0, 10));
    for step in 0..60 {
        let new: Vec<IntRow> = (0..random.usize(1..4)).map(|_| (random.u32(0..12), random.i64(0..4_000), 1)).collect();
        match random.u8(0..5) {
            0 => shard.flush().await.unwrap(),
            1 => shard.compact().await.unwrap(),
            2 => {
                put(&new);
                rows.extend(new.iter().map(|(host, time, _)| (*host, *time)));
            }
            _ => {
                let hosts: Vec<u32> = (0..random.u32(1..8)).map(|_| random.u32(0..12)).collect();
                let (from, width) = (random.i64(0..3_000), random.i64(1..4_000));
                let series = {
                    let index = shard.series(table.id).unwrap();
                    let is_meant = |series: &SeriesId| {
                        let (_, value) = index.key(*series).next().unwrap();
                        hosts.iter().any(|host| value == format!("host_{host}"))
                    };
                    SeriesSelection::Of(index.live().filter(is_meant).map(|series| series.0).collect())
                };
                shard.delete(table.id, &series, from, from + width).unwrap();
                rows.retain(|(host, time)| !(hosts.contains(host) && (from..=from + width).contains(time)));
                // Rows that come while it is looked for what is left.
                let writing = async {
                    if random.bool() {
                        futures_lite::future::yield_now().await;
                        put(&new);
                        rows.extend(new.iter().map(|(host, time, _)| (*host, *time)));
                    }
                };
                let (hidden, ()) = futures_lite::future::zip(shard.hide_emptied(table.id, &series), writing).await;
                hidden.unwrap();
            }
        }
        let expected = hosts_of(&rows);
        assert_eq!(live(shard, table.id), expected, "seed {seed}, step {step}");
        let found: BTreeSet<(u32, i64)> =
            int_rows(shard, table.id).await.into_iter().map(|(host, time, _)| (host, time)).collect();
        assert_eq!(found, rows, "seed {seed}, step {step}");
        if random.u8(0..8) == 0 {
            shard.sync_wal().await.unwrap();
            assert_eq!(live_after_a_crash(folder, table.id).await, expected, "seed {seed}, step {step}");
        }
    }
}

#[test]
fn series_that_deletes_of_some_times_empty_do_not_count() {
    for seed in 0..12 {
        let folder = Folder::new("emptied");
        let (shard, _) = block_on(open(PlainDisk, &folder.0, small_config())).unwrap();
        drive(&shard, live_series_have_rows(&folder, &shard, seed));
    }
}
