//! Deletes, drops and expiry: what is gone, what stays, and what a crash makes of it.

use futures_lite::future::block_on;
use roaring::RoaringBitmap;
use tidewire_storage::Error;
use tidewire_storage::compaction::CompactionConfig;
use tidewire_storage::disk::plain::PlainDisk;
use tidewire_storage::engine::{SeriesSelection, Shard, ShardConfig};
use tidewire_storage::scan::{ScanItem, ScanMode, SummaryRule};
use tidewire_storage::schema::{FieldType, TableId};

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
fn old_partitions_go_and_neither_late_rows_nor_the_log_bring_them_back() {
    let (folder, table) = (Folder::new("expire"), table(1));
    let (shard, _) = block_on(open(PlainDisk, &folder.0, small_config())).unwrap();
    drive(&shard, async {
        let put = |rows: &[IntRow]| shard.append(&int_batch(&table, rows), &table).unwrap().lsn;
        assert_eq!(shard.expire(table.id, 5000).await.unwrap(), 0, "there is no such table yet");
        put(&[(0, 10, 1), (0, 1010, 1), (0, 2010, 1)]);
        shard.flush().await.unwrap();
        shard.durable(put(&[(1, 20, 2), (1, 1020, 2), (1, 2020, 2)])).await.unwrap();
        assert_eq!(shard.expire(table.id, 999).await.unwrap(), 0);
        assert_eq!(int_rows(&shard, table.id).await.len(), 6, "its partition does not end before");
        assert_eq!(shard.expire(table.id, 1500).await.unwrap(), 1);
        let expected = [(0, 1010, 1), (0, 2010, 1), (1, 1020, 2), (1, 2020, 2)];
        assert_eq!(int_rows(&shard, table.id).await, expected);
        assert_eq!(after_a_crash(&folder, table.id).await, expected);
        assert_eq!(shard.time_bounds(table.id), Some((1000, 2020)));
        assert_eq!(std::fs::read_dir(folder.0.join("segments")).unwrap().count(), 2);

        put(&[(3, 999, 3), (3, 1000, 3)]);
        shard.flush().await.unwrap();
        let expected = [(0, 1010, 1), (0, 2010, 1), (1, 1020, 2), (1, 2020, 2), (3, 1000, 3)];
        assert_eq!(int_rows(&shard, table.id).await, expected);
        assert_eq!(shard.stats().segment_rows, 5, "what is too old is not written");
        assert_eq!(shard.expire(table.id, 1400).await.unwrap(), 0, "time does not go back");
        assert_eq!(shard.expire(table.id, i64::MAX).await.unwrap(), 4);
        assert!(int_rows(&shard, table.id).await.is_empty() && shard.time_bounds(table.id).is_none());
        assert!(after_a_crash(&folder, table.id).await.is_empty());
        assert_eq!((shard.stats().segments, shard.stats().segments_expired), (0, 5));
    });
}
