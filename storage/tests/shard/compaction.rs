//! Compaction of a shard: what it makes of its segments, and beside what.

use std::rc::Rc;
use std::time::Duration;

use arrow_array::Array;
use futures_lite::future::{block_on, poll_once, zip};
use tidewire_storage::Error;
use tidewire_storage::batch::{BatchColumn, Values};
use tidewire_storage::compaction::CompactionConfig;
use tidewire_storage::disk::plain::PlainDisk;
use tidewire_storage::disk::throttle::{Throttle, ThrottledDisk};
use tidewire_storage::engine::{Shard, ShardConfig};
use tidewire_storage::inspect::ShardFiles;
use tidewire_storage::schema::{ColumnId, FieldType, TableSchema};

use crate::common::{
    COUNT, FLAG, FLOAT, Folder, HOST, INT, IntRow, TEXT, drive, drive_all, everything, int_batch, int_rows, open, scan,
    small_config, strings, table,
};
use crate::failing::{FailingDisk, Fault};

fn segment_files(folder: &Folder) -> usize {
    std::fs::read_dir(folder.0.join("segments")).unwrap().count()
}

/// A flush of 50 rows of partition 0 from `time` on, ten of each of five hosts.
async fn flush_some<D: tidewire_storage::disk::Disk>(shard: &Shard<D>, time: i64, value: i64) -> Vec<IntRow> {
    let table = table(1);
    let rows: Vec<IntRow> = (0..5).flat_map(|host| (0..10).map(move |i| (host, time + i, value + i))).collect();
    shard.append(&int_batch(&table, &rows), &table).unwrap();
    shard.flush().await.unwrap();
    rows
}

#[test]
fn tables_that_are_not_named_are_not_merged() {
    let (folder, tables) = (Folder::new("merge-some"), [table(1), table(2)]);
    let (shard, _) = block_on(open(PlainDisk, &folder.0, small_config())).unwrap();
    drive(&shard, async {
        for value in 0..3 {
            for table in &tables {
                shard.append(&int_batch(table, &[(0, 10, value)]), table).unwrap();
            }
            shard.flush().await.unwrap();
        }
        assert_eq!(shard.stats().segments, 6);
        shard.compact_tables(&[].into()).await.unwrap();
        assert_eq!((shard.stats().segments, shard.stats().merges), (6, 0));
        shard.compact_tables(&[tables[1].id].into()).await.unwrap();
        assert_eq!((shard.stats().segments, shard.stats().merges), (4, 1));
        for table in &tables {
            assert_eq!(int_rows(&shard, table.id).await, [(0, 10, 2)]);
        }
        shard.compact_tables(&tables.iter().map(|table| table.id).collect()).await.unwrap();
        assert_eq!((shard.stats().segments, shard.stats().merges), (2, 2));
    });
}

#[test]
fn segments_become_one_and_nothing_that_is_seen_changes() {
    let (folder, table) = (Folder::new("merge"), table(1));
    let (shard, _) = block_on(open(PlainDisk, &folder.0, small_config())).unwrap();
    drive(&shard, async {
        let mut expected = Vec::new();
        for flush in 0..9 {
            expected.extend(flush_some(&shard, flush * 10, flush).await);
        }
        expected.sort_unstable();
        let mut before = shard.scan(everything(table.id, &[]), u64::MAX).unwrap();
        assert_eq!(shard.stats().segments, 9);
        shard.compact().await.unwrap();
        let stats = shard.stats();
        assert_eq!((stats.segments, stats.segment_rows, stats.rows_merged), (1, 450, 450));
        assert_eq!((stats.merges, stats.merge_failures, stats.merge_debt_bytes, stats.merging), (1, 0, 0, false));
        assert!(stats.merge_read_bytes > 0 && stats.merge_written_bytes > 0);
        assert_eq!(int_rows(&shard, table.id).await, expected);
        let mut rows = 0;
        while let Some(chunk) = before.next().await.unwrap() {
            rows += chunk.rows();
        }
        assert_eq!(rows, 450, "a scan that began before reads on");
        drop(before);
        shard.compact().await.unwrap();
        assert_eq!(segment_files(&folder), 1, "its files go after it");
        let copy = Folder::copy("merge-copy", &folder.0);
        let (other, recovery) = open(PlainDisk, &copy.0, small_config()).await.unwrap();
        assert_eq!((recovery.segments, recovery.removed_files), (1, 0));
        assert_eq!(int_rows(&other, table.id).await, expected);
    });
    block_on(shard.close()).unwrap();
}

/// The ids of the fields in the segments of a shard.
async fn stored_fields(folder: &Folder) -> Vec<Vec<ColumnId>> {
    let files = ShardFiles::open(&PlainDisk, &folder.0, small_config().shard).await.unwrap();
    let mut fields = Vec::new();
    for segment in files.segments() {
        let columns = files.open_segment(&segment).await.unwrap().describe().columns;
        fields.push(columns.iter().map(|column| column.id).collect());
    }
    fields
}

#[test]
fn dropped_columns_give_their_space_back() {
    let (folder, table) = (Folder::new("columns"), table(1));
    let (shard, _) = block_on(open(PlainDisk, &folder.0, small_config())).unwrap();
    let mut random = fastrand::Rng::with_seed(1);
    let rows: Vec<IntRow> = (0..500).map(|i| (1, i, i)).collect();
    let flush = async |rows: &[IntRow], random: &mut fastrand::Rng| {
        let mut batch = int_batch(&table, rows);
        let text: Vec<String> = rows.iter().map(|_| format!("{:032x}", random.u128(..))).collect();
        let values = strings(text.iter().map(String::as_str));
        batch.columns.push(BatchColumn { id: TEXT, values, validity: None });
        let count = Values::UInt(rows.iter().map(|row| row.1 as u64).collect());
        batch.columns.push(BatchColumn { id: COUNT, values: count, validity: None });
        shard.append(&batch, &table).unwrap();
        shard.flush().await.unwrap();
    };
    let told = |columns: &[ColumnId], next_column: u16| {
        let columns = table.columns.iter().filter(|column| columns.contains(&column.id)).cloned().collect();
        shard.set_columns(&TableSchema { columns, next_column, ..table.clone() });
    };
    drive(&shard, async {
        flush(&rows, &mut random).await;
        let whole = shard.stats().segment_bytes;
        told(&[HOST, INT, FLOAT, TEXT, FLAG, COUNT], 6);
        shard.compact().await.unwrap();
        // Of this catalog the text is newer.
        told(&[HOST, INT, FLOAT], 3);
        shard.compact().await.unwrap();
        // A column that takes little is not worth a merge.
        told(&[HOST, INT, TEXT], 6);
        shard.compact().await.unwrap();
        assert_eq!((shard.stats().merges, stored_fields(&folder).await), (0, vec![vec![INT, TEXT, COUNT]]));
        told(&[HOST, INT], 6);
        shard.compact().await.unwrap();
        assert_eq!((shard.stats().merges, stored_fields(&folder).await), (1, vec![vec![INT]]));
        assert!(shard.stats().segment_bytes * 3 <= whole, "{} of {whole}", shard.stats().segment_bytes);
        shard.compact().await.unwrap();
        assert_eq!(shard.stats().merges, 1, "there is nothing left to win");

        // Who still asks for it finds nulls.
        let asked = everything(table.id, &[(INT, FieldType::Int), (TEXT, FieldType::String)]);
        let chunks = scan(&shard, asked).await.unwrap();
        assert!(chunks.iter().all(|chunk| chunk.columns[1].null_count() == chunk.rows()));
        assert_eq!(int_rows(&shard, table.id).await, rows);

        // Rows whose fields are all dropped stay what they are, and are not merged again and again.
        told(&[HOST, FLAG], 6);
        flush(&[(2, 7, 7)], &mut random).await;
        shard.compact().await.unwrap();
        assert_eq!((shard.stats().merges, shard.stats().segment_rows), (1, 501));
        shard.tick(Duration::ZERO);
        shard.tick(Duration::from_secs(1 << 20));
        shard.compact().await.unwrap();
        assert_eq!((shard.stats().merges, shard.stats().segment_rows, shard.stats().segments), (2, 501, 1));
    });
    block_on(shard.close()).unwrap();
}

#[test]
fn overwritten_rows_give_their_space_back() {
    let (folder, table) = (Folder::new("overwrite"), table(1));
    let (shard, _) = block_on(open(PlainDisk, &folder.0, small_config())).unwrap();
    drive_all(&shard, async {
        for round in 0..40 {
            let rows = flush_some(&shard, 0, round).await;
            while shard.stats().merge_debt_bytes > 0 || shard.stats().merging {
                futures_lite::future::yield_now().await;
            }
            assert_eq!(int_rows(&shard, table.id).await, rows);
        }
        shard.compact().await.unwrap();
        assert!(shard.stats().segment_rows <= 100, "{:?}", shard.stats());
    });
    block_on(shard.close()).unwrap();
}

#[test]
fn a_partition_that_is_cold_is_packed_once() {
    let (folder, compaction) = (Folder::new("cold"), CompactionConfig::default());
    let config = ShardConfig { compaction, ..small_config() };
    let (shard, _) = block_on(open(PlainDisk, &folder.0, config)).unwrap();
    drive(&shard, async {
        shard.tick(Duration::ZERO);
        flush_some(&shard, 0, 1).await;
        flush_some(&shard, 2000, 2).await;
        for (minutes, merges) in [(30, 0), (59, 0), (61, 2), (200, 2)] {
            shard.tick(Duration::from_secs(minutes * 60));
            if minutes == 30 {
                flush_some(&shard, 4000, 3).await;
            }
            shard.compact().await.unwrap();
            let expected = if minutes == 200 { merges + 1 } else { merges };
            assert_eq!(shard.stats().merges, expected, "after {minutes} minutes");
        }
    });
    block_on(shard.close()).unwrap();
}

#[test]
fn a_flush_and_a_merge_run_side_by_side_and_a_close_breaks_a_merge_off() {
    let (folder, table, throttle) = (Folder::new("beside"), table(1), Throttle::new(u64::MAX));
    let disk = ThrottledDisk::new(PlainDisk, Rc::clone(&throttle));
    let compaction = CompactionConfig { bytes_per_s: 1000, band_rows_max: 10, ..CompactionConfig::default() };
    let config = ShardConfig { compaction, ..small_config() };
    let (shard, _) = block_on(open(disk, &folder.0, config.clone())).unwrap();
    let mut expected = Vec::new();
    drive(&shard, async {
        for flush in 0..4 {
            expected.extend(flush_some(&shard, flush * 10, flush).await);
        }
        let mut merge = Box::pin(shard.run_compaction());
        // Its budget is spent at once, and nobody says that time passes.
        for _ in 0..50 {
            assert!(poll_once(&mut merge).await.is_none());
        }
        assert!(shard.stats().merging);
        expected.extend(flush_some(&shard, 40, 4).await);
        assert_eq!((shard.stats().segments, shard.stats().merging), (5, true));
        let mut seconds = 0;
        while shard.stats().merges == 0 {
            seconds += 1;
            shard.tick(Duration::from_secs(seconds));
            assert!(poll_once(&mut merge).await.is_none());
        }
        assert_eq!((shard.stats().segments, shard.stats().segment_rows), (2, 250), "the newer one stays behind it");
        for flush in 5..9 {
            expected.extend(flush_some(&shard, flush * 10, flush).await);
        }
        for _ in 0..50 {
            assert!(poll_once(&mut merge).await.is_none());
        }
        expected.sort_unstable();
        assert_eq!(int_rows(&shard, table.id).await, expected);
        let (ended, closed) = zip(merge, shard.close()).await;
        ended.unwrap();
        closed.unwrap();
        assert!(matches!(shard.compact().await, Ok(())), "there is nothing left to do");
    });
    drop(shard);
    assert_eq!(segment_files(&folder), 6, "no half of a file is left");
    let (shard, recovery) = block_on(open(PlainDisk, &folder.0, small_config())).unwrap();
    assert_eq!((recovery.removed_files, block_on(int_rows(&shard, table.id))), (0, expected));
}

#[test]
fn a_merge_that_fails_changes_nothing_and_is_done_the_next_time() {
    for part in [".seg.tmp", "MANIFEST", "MANIFEST.copy"] {
        for fault in [Fault::Write(part), Fault::Sync(part)] {
            let (folder, table, disk) = (Folder::new("merge-fails"), table(1), FailingDisk::default());
            let (shard, _) = block_on(open(disk.clone(), &folder.0, small_config())).unwrap();
            drive(&shard, async {
                let mut expected = Vec::new();
                for flush in 0..4 {
                    expected.extend(flush_some(&shard, flush * 10, flush).await);
                }
                expected.sort_unstable();
                disk.set(Some(fault));
                for failures in 1..4 {
                    let error = shard.compact().await.unwrap_err();
                    assert!(error.to_string().contains(part), "{error}");
                    assert_eq!((shard.stats().merge_failures, shard.stats().segments), (failures, 4));
                    assert_eq!(int_rows(&shard, table.id).await, expected);
                    let copy = Folder::copy("merge-fails-copy", &folder.0);
                    let (other, _) = open(PlainDisk, &copy.0, small_config()).await.unwrap();
                    assert_eq!(int_rows(&other, table.id).await, expected);
                }
                disk.set(None);
                shard.compact().await.unwrap();
                assert_eq!((shard.stats().merges, shard.stats().segments), (1, 1));
                assert_eq!(int_rows(&shard, table.id).await, expected);
                assert_eq!(segment_files(&folder), 1, "what failed merges left is removed");
            });
        }
    }
}

#[test]
fn a_damaged_segment_is_left_alone_and_the_others_are_merged() {
    let (folder, table) = (Folder::new("damaged"), table(1));
    let (shard, _) = block_on(open(PlainDisk, &folder.0, small_config())).unwrap();
    drive(&shard, async {
        for flush in 0..3 {
            flush_some(&shard, flush * 10, flush).await;
        }
        let files = std::fs::read_dir(folder.0.join("segments")).unwrap().map(|entry| entry.unwrap().path());
        let last = files.max().unwrap();
        let mut bytes = std::fs::read(&last).unwrap();
        bytes[64..300].fill(0xaa);
        std::fs::write(&last, bytes).unwrap();
        for flush in 3..7 {
            flush_some(&shard, flush * 10, flush).await;
        }
        shard.compact().await.unwrap();
        let stats = shard.stats();
        assert_eq!((stats.segments_quarantined, stats.merge_failures, stats.merges, stats.segments), (1, 1, 1, 4));
        assert!(last.exists());
        let error = scan(&shard, everything(table.id, &[])).await.unwrap_err();
        assert!(matches!(&error, Error::Corrupt { path, .. } if *path == last), "{error}");
    });
    block_on(shard.close()).unwrap();
}
