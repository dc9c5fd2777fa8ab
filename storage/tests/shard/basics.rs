//! What a shard does when nothing goes wrong, and what it refuses.

use futures_lite::future::block_on;
use tidewire_storage::Error;
use tidewire_storage::batch::{BatchColumn, NEW_SERIES_BIT, Values, WriteBatch};
use tidewire_storage::disk::plain::PlainDisk;
use tidewire_storage::engine::{Shard, ShardConfig};
use tidewire_storage::schema::{Codec, ColumnId, SeriesId};
use tidewire_storage::wal::Lsn;

use crate::common::{FLOAT, Folder, HOST, INT, TEXT, drive, int_batch, int_rows, open, small_config, strings, table};

#[test]
fn what_is_appended_is_scanned_and_survives_a_kill() {
    let (folder, table) = (Folder::new("kill"), table(1));
    let (shard, recovery) = block_on(open(PlainDisk, &folder.0, small_config())).unwrap();
    assert_eq!((recovery.records, recovery.rows, recovery.torn), (0, 0, None));
    let expected = [(5, 10, 2), (5, 2000, 4), (7, 5, 3), (7, 10, 5)];
    drive(&shard, async {
        let appended = shard.append(&int_batch(&table, &[(7, 10, 1), (5, 10, 2), (7, 5, 3)]), &table).unwrap();
        assert_eq!(appended.new_series, [SeriesId(0), SeriesId(1)]);
        shard.durable(appended.lsn).await.unwrap();
        let appended = shard.append(&int_batch(&table, &[(5, 2000, 4), (7, 10, 5)]), &table).unwrap();
        assert_eq!((appended.lsn, appended.new_series), (Lsn(2), vec![SeriesId(1), SeriesId(0)]));
        shard.durable(appended.lsn).await.unwrap();
        assert_eq!(int_rows(&shard, table.id).await, expected);
        assert_eq!(shard.time_bounds(table.id), Some((5, 2000)));
    });
    let copy = Folder::copy("kill-copy", &folder.0);
    let (shard, recovery) = block_on(open(PlainDisk, &copy.0, small_config())).unwrap();
    assert_eq!((recovery.records, recovery.rows, recovery.series), (2, 5, 2));
    assert_eq!(block_on(int_rows(&shard, table.id)), expected);
}

#[test]
fn a_scan_is_a_snapshot_and_a_flush_changes_nothing_that_is_seen() {
    let (folder, table) = (Folder::new("snapshot"), table(1));
    let (shard, _) = block_on(open(PlainDisk, &folder.0, small_config())).unwrap();
    drive(&shard, async {
        shard.append(&int_batch(&table, &[(1, 10, 1), (2, 1010, 2)]), &table).unwrap();
        shard.flush().await.unwrap();
        shard.append(&int_batch(&table, &[(1, 10, 7), (3, 30, 3)]), &table).unwrap();
        let before = shard.scan(crate::common::everything(table.id, &[]), u64::MAX).unwrap();
        shard.append(&int_batch(&table, &[(4, 40, 4)]), &table).unwrap();
        shard.flush().await.unwrap();

        let mut rows = 0;
        let mut scan = before;
        while let Some(chunk) = scan.next().await.unwrap() {
            rows += chunk.rows();
        }
        assert_eq!(rows, 3);
        let expected = [(1, 10, 7), (2, 1010, 2), (3, 30, 3), (4, 40, 4)];
        assert_eq!(int_rows(&shard, table.id).await, expected);

        let stats = shard.stats();
        assert_eq!((stats.flushes, stats.segments, stats.segment_rows, stats.memtable_rows), (2, 3, 5, 0));
        assert_eq!((stats.rows_appended, stats.batches_appended, stats.series, stats.tables), (5, 3, 4, 1));
        assert!(stats.wal_syncs > 0 && stats.wal_bytes >= 4096 && stats.memory.index > 0);
        assert_eq!(shard.memory().memtable(), 0);
    });
}

#[test]
fn rows_flow_through_memory_log_files_and_segments_without_end() {
    let (folder, table) = (Folder::new("flow"), table(1));
    let config = ShardConfig { memtable_bytes_max: 64 << 10, ..small_config() };
    let (shard, _) = block_on(open(PlainDisk, &folder.0, config)).unwrap();
    drive(&shard, async {
        for round in 0..200 {
            let rows: Vec<_> = (0..100).map(|host| (host, round, i64::from(host) * round * 1_000_003)).collect();
            let lsn = loop {
                match shard.append(&int_batch(&table, &rows), &table) {
                    Ok(appended) => break appended.lsn,
                    // The bound holds writers back until the flush has caught up.
                    Err(Error::Overloaded { held_bytes, limit_bytes, .. }) => {
                        assert!(held_bytes >= limit_bytes);
                        futures_lite::future::yield_now().await;
                    }
                    Err(error) => panic!("{error}"),
                }
            };
            shard.durable(lsn).await.unwrap();
        }
        shard.flush().await.unwrap();
        let rows = int_rows(&shard, table.id).await;
        assert_eq!(rows.len(), 20_000);
        assert!(rows.iter().all(|(host, round, value)| *value == i64::from(*host) * round * 1_000_003));
    });
    let stats = shard.stats();
    assert!(stats.flushes > 10 && stats.wal_bytes > 5 * (64 << 10), "{stats:?}");
    assert!(stats.wal_files <= 3, "log files are used again: {stats:?}");
    block_on(shard.close()).unwrap();
    let (shard, recovery) = block_on(open(PlainDisk, &folder.0, small_config())).unwrap();
    assert_eq!((recovery.rows, recovery.series, shard.stats().segment_rows), (0, 100, 20_000));
}

fn column(id: ColumnId, values: Values) -> BatchColumn {
    BatchColumn { id, values, validity: None }
}

#[test]
fn a_batch_that_does_not_fit_is_refused_and_leaves_nothing() {
    let (folder, schema) = (Folder::new("refused"), table(1));
    let (shard, _) = block_on(open(PlainDisk, &folder.0, small_config())).unwrap();
    let good = int_batch(&schema, &[(1, 1, 1)]);
    let refused = |shard: &Shard<PlainDisk>, change: &dyn Fn(&mut WriteBatch)| {
        let mut batch = good.clone();
        change(&mut batch);
        match shard.append(&batch, &schema) {
            Err(Error::Rejected(reason)) => reason,
            other => panic!("not refused: {other:?}"),
        }
    };
    type Change<'a> = &'a dyn Fn(&mut WriteBatch);
    let cases: [(&str, Change<'_>); 12] = [
        ("came for table table1", &|b| b.table = None),
        ("in its times", &|b| b.time.clear()),
        ("no column 77", &|b| b.columns[0].id = ColumnId(77)),
        ("is Tag, not Int", &|b| b.columns[0].id = HOST),
        ("column float of table table1 is Field(Float), not Int", &|b| b.columns[0].id = FLOAT),
        ("in int", &|b| b.columns[0].values = Values::Int(vec![1, 2])),
        ("in int", &|b| b.columns[0].validity = Some(Vec::new())),
        ("a column twice", &|b| b.columns.push(b.columns[0].clone())),
        ("a series that does not exist", &|b| b.series[0] = 0),
        ("a series that does not exist", &|b| b.series[0] = NEW_SERIES_BIT | 1),
        ("a series key: it is cut short", &|b| {
            b.new_series.bytes.pop();
            b.new_series.ends[0] -= 1;
        }),
        ("in text", &|b| {
            let Values::String(mut text) = strings(["é"]) else { unreachable!() };
            text.bytes[1] = b'x';
            b.columns.push(column(TEXT, Values::String(text)));
        }),
    ];
    for (reason, change) in cases {
        let found = refused(&shard, change);
        assert!(found.contains(reason), "{found}");
    }
    assert_eq!((shard.lsn(), shard.stats().series, shard.stats().memtable_rows), (Lsn(0), 0, 0));

    // Larger than a log file: one row that cannot be cut into pieces.
    let mut large = good.clone();
    large.columns.push(column(TEXT, strings(["x".repeat(70_000).as_str()])));
    assert!(matches!(shard.append(&large, &schema), Err(Error::RecordTooLarge { bytes_max: 65_536, .. })));
    // Nor is its series there, or its table.
    assert!(shard.series(schema.id).is_none() && shard.lsn() == Lsn(0));
    drive(&shard, async {
        let lsn = shard.append(&good, &schema).unwrap().lsn;
        assert_eq!(lsn, Lsn(1));
        shard.durable(lsn).await.unwrap();
    });
    let copy = Folder::copy("refused-copy", &folder.0);
    let (shard, _) = block_on(open(PlainDisk, &copy.0, small_config())).unwrap();
    assert_eq!(block_on(int_rows(&shard, schema.id)), [(1, 1, 1)]);
}

/// What is refused in its last piece takes the pieces before with it, and their series; later writes do not notice.
#[test]
fn a_batch_that_is_refused_late_leaves_nothing() {
    let (folder, table) = (Folder::new("refused-late"), table(1));
    let (shard, _) = block_on(open(PlainDisk, &folder.0, small_config())).unwrap();
    drive(&shard, async {
        let first = shard.append(&int_batch(&table, &[(1, 1, 1)]), &table).unwrap();
        let mut large = int_batch(&table, &(0..20_000).map(|i| (i % 50, i.into(), 0)).collect::<Vec<_>>());
        let text = |row: usize| if row == 19_999 { "x".repeat(70_000) } else { String::new() };
        let texts: Vec<String> = (0..20_000).map(text).collect();
        large.columns.push(column(TEXT, strings(texts.iter().map(String::as_str))));
        let before = shard.stats();
        assert!(matches!(shard.append(&large, &table), Err(Error::RecordTooLarge { .. })));
        let after = shard.stats();
        assert_eq!((after.lsn, after.series, after.memtable_rows), (first.lsn, 1, 1));
        assert_eq!(after.memory.wal_pending, before.memory.wal_pending);
        let next = shard.append(&int_batch(&table, &[(1, 2, 2), (2, 2, 2)]), &table).unwrap();
        assert_eq!((next.lsn, next.new_series.len()), (Lsn(first.lsn.0 + 1), 2));
        shard.durable(next.lsn).await.unwrap();
    });
    let copy = Folder::copy("refused-late-copy", &folder.0);
    let (shard, recovery) = block_on(open(PlainDisk, &copy.0, small_config())).unwrap();
    assert_eq!((recovery.records, recovery.series), (2, 2));
    assert_eq!(block_on(int_rows(&shard, table.id)), [(1, 1, 1), (1, 2, 2), (2, 2, 2)]);
}

/// Batches of several tables, and two of one, come together or not at all; the last one may be what does not fit.
#[test]
fn batches_that_come_together_are_taken_together_or_refused_together() {
    let (folder, one, two) = (Folder::new("together"), table(1), table(2));
    let (shard, _) = block_on(open(PlainDisk, &folder.0, small_config())).unwrap();
    drive(&shard, async {
        shard.append(&int_batch(&one, &[(1, 1, 1)]), &one).unwrap();
        let (first, second) = (int_batch(&one, &[(2, 2, 2), (1, 2, 2)]), int_batch(&one, &[(3, 3, 3), (2, 3, 3)]));
        let other = int_batch(&two, &[(9, 9, 9)]);
        let mut large = int_batch(&two, &[(8, 8, 8)]);
        large.columns.push(column(TEXT, strings(["x".repeat(70_000).as_str()])));
        let before = shard.stats();
        let refused = shard.append_all(&[(&first, &one), (&other, &two), (&second, &one), (&large, &two)]);
        assert!(matches!(refused, Err(Error::RecordTooLarge { .. })));
        let after = shard.stats();
        assert_eq!((after.lsn, after.series, after.memtable_rows), (before.lsn, 1, 1));
        assert_eq!((after.batches_appended, after.memory.wal_pending), (1, before.memory.wal_pending));
        assert!(shard.series(two.id).is_none());

        let (lsn, ids) = shard.append_all(&[(&first, &one), (&other, &two), (&second, &one)]).unwrap();
        let ids: Vec<Vec<u32>> = ids.iter().map(|ids| ids.iter().map(|id| id.0).collect()).collect();
        assert_eq!(ids, [vec![1, 0], vec![0], vec![2, 1]]);
        assert_eq!(lsn, Lsn(before.lsn.0 + 3));
        shard.durable(lsn).await.unwrap();
    });
    let expected = [(1, 1, 1), (1, 2, 2), (2, 2, 2), (2, 3, 3), (3, 3, 3)];
    let copy = Folder::copy("together-copy", &folder.0);
    let (copied, _) = block_on(open(PlainDisk, &copy.0, small_config())).unwrap();
    for shard in [&shard, &copied] {
        assert_eq!(block_on(int_rows(shard, one.id)), expected);
        assert_eq!(block_on(int_rows(shard, two.id)), [(9, 9, 9)]);
    }
}

/// A table is over from when the catalog says so, though a flush keeps its data for long.
#[test]
fn a_table_that_is_over_takes_no_rows_while_its_data_is_there_still() {
    let (folder, over, live) = (Folder::new("over"), table(1), table(2));
    let (shard, _) = block_on(open(PlainDisk, &folder.0, small_config())).unwrap();
    let rows = |table| int_batch(table, &[(1, 1, 1)]);
    shard.append(&rows(&over), &over).unwrap();
    shard.end_tables(&[over.id]);
    assert!(shard.has_ended(over.id) && !shard.has_ended(live.id));
    assert_eq!(block_on(int_rows(&shard, over.id)), [(1, 1, 1)]);
    for refused in [shard.append(&rows(&over), &over).map(drop), {
        shard.append_all(&[(&rows(&live), &live), (&rows(&over), &over)]).map(drop)
    }] {
        assert!(matches!(refused, Err(Error::Rejected(_))), "{refused:?}");
    }
    assert!(shard.series(live.id).is_none());
    block_on(shard.drop_table(over.id)).unwrap();
    assert!(shard.has_ended(over.id) && block_on(int_rows(&shard, over.id)).is_empty());
}

/// Keys that take several log files, and rows of which some are a thousand times as large as others.
#[test]
fn keys_and_rows_of_any_sizes_are_logged_in_records_that_fit() {
    let (folder, table) = (Folder::new("uneven"), table(1));
    let (shard, _) = block_on(open(PlainDisk, &folder.0, small_config())).unwrap();
    let mut batch = WriteBatch { table: Some(table.id), ..WriteBatch::default() };
    let hosts: Vec<String> = (0..60).map(|host| format!("{host:05000}")).collect();
    for host in hosts.iter().rev() {
        batch.new_series.push([(HOST, host.as_bytes())]);
    }
    let mut texts = Vec::new();
    for row in 0..240_u32 {
        // The last key comes first.
        batch.series.push(NEW_SERIES_BIT | (59 - row % 60));
        batch.time.push(row.into());
        texts.push("y".repeat(if row % 60 < 3 { 20_000 } else { 1 }));
    }
    batch.columns.push(column(TEXT, strings(texts.iter().map(String::as_str))));
    drive(&shard, async {
        let appended = shard.append(&batch, &table).unwrap();
        assert!(appended.lsn > Lsn(10), "{appended:?}");
        assert_eq!(shard.stats().series, 60);
        shard.durable(appended.lsn).await.unwrap();
    });
    let copy = Folder::copy("uneven-copy", &folder.0);
    let (shard, recovery) = block_on(open(PlainDisk, &copy.0, small_config())).unwrap();
    assert_eq!((recovery.rows, recovery.series), (240, 60));
    let index = shard.series(table.id).unwrap();
    assert!(
        index
            .live()
            .map(|id| index.key(id).map(|(_, host)| host.to_owned()).collect::<String>())
            .eq(hosts.iter().rev().cloned())
    );
}

#[test]
fn a_batch_larger_than_a_log_file_is_logged_in_pieces() {
    let (folder, table) = (Folder::new("pieces"), table(1));
    let (shard, _) = block_on(open(PlainDisk, &folder.0, small_config())).unwrap();
    let rows: Vec<_> = (0..30_000).map(|i| (i % 7, i64::from(i) * 1_000_003, i64::from(i) << 32)).collect();
    drive(&shard, async {
        let appended = shard.append(&int_batch(&table, &rows), &table).unwrap();
        assert!(appended.lsn > Lsn(5) && appended.new_series.len() == 7);
        shard.durable(appended.lsn).await.unwrap();
    });
    let copy = Folder::copy("pieces-copy", &folder.0);
    let (shard, recovery) = block_on(open(PlainDisk, &copy.0, small_config())).unwrap();
    assert_eq!(recovery.rows, 30_000);
    let mut expected: Vec<_> = rows;
    expected.sort_unstable();
    assert_eq!(block_on(int_rows(&shard, table.id)), expected);
    assert_eq!(expected[0], (0, 0, 0));
    assert!(shard.series(table.id).unwrap().code(HOST, "host_6").is_some());
    assert_eq!(INT, table.columns[1].id);
}

#[test]
fn a_dropped_table_is_gone_before_and_after_a_start() {
    let (folder, kept, dropped) = (Folder::new("drop"), table(1), table(2));
    let (shard, _) = block_on(open(PlainDisk, &folder.0, small_config())).unwrap();
    drive(&shard, async {
        for table in [&kept, &dropped] {
            shard.append(&int_batch(table, &[(1, 1, 1)]), table).unwrap();
        }
        shard.flush().await.unwrap();
        for table in [&kept, &dropped] {
            let lsn = shard.append(&int_batch(table, &[(2, 2, 2)]), table).unwrap().lsn;
            shard.durable(lsn).await.unwrap();
        }
        // As a crash between the catalog's drop and the shard's leaves it.
        let copy = Folder::copy("drop-copy", &folder.0);
        let (other, recovery) =
            Shard::open(PlainDisk, &copy.0, small_config(), &|table| table == kept.id).await.unwrap();
        assert_eq!((recovery.rows, recovery.segments, recovery.removed_files), (1, 1, 1));
        assert!(int_rows(&other, dropped.id).await.is_empty());
        assert_eq!(int_rows(&other, kept.id).await, [(1, 1, 1), (2, 2, 2)]);

        shard.drop_table(dropped.id).await.unwrap();
        assert!(int_rows(&shard, dropped.id).await.is_empty());
        assert!(shard.series(dropped.id).is_none() && shard.time_bounds(dropped.id).is_none());
        assert!(matches!(shard.append(&int_batch(&dropped, &[(3, 3, 3)]), &dropped), Err(Error::Rejected(_))));
        assert_eq!(int_rows(&shard, kept.id).await, [(1, 1, 1), (2, 2, 2)]);
        shard.flush().await.unwrap();
    });
    block_on(shard.close()).unwrap();
    let (shard, _) = block_on(Shard::open(PlainDisk, &folder.0, small_config(), &|table| table == kept.id)).unwrap();
    assert_eq!(block_on(int_rows(&shard, kept.id)), [(1, 1, 1), (2, 2, 2)]);
    assert_eq!(std::fs::read_dir(folder.0.join("segments")).unwrap().count(), 2);
}

#[test]
fn a_codec_that_is_asked_for_holds_for_flushes_and_merges() {
    // Second differences of a parabola are nothing; as they are, its values take 8 bytes each.
    let rows: Vec<(u32, i64, i64)> = (0..900).map(|i| (1, i, i * i * 1000)).collect();
    let bytes = |codec: Option<Codec>| {
        let (folder, mut table) = (Folder::new("codecs"), table(1));
        let place = table.columns.iter().position(|column| column.id == INT).unwrap();
        table.columns.set_codec(place, codec);
        let (shard, _) = block_on(open(PlainDisk, &folder.0, small_config())).unwrap();
        shard.set_columns(&table);
        drive(&shard, async {
            let mut flushed = 0;
            for part in rows.chunks(450) {
                shard.append(&int_batch(&table, part), &table).unwrap();
                shard.flush().await.unwrap();
                flushed = shard.stats().segment_bytes;
            }
            shard.tick(std::time::Duration::ZERO);
            shard.tick(std::time::Duration::from_secs(1 << 20));
            shard.compact().await.unwrap();
            let found = int_rows(&shard, table.id).await;
            assert_eq!(found.len(), rows.len());
            assert!(found.iter().zip(&rows).all(|(found, row)| (found.1, found.2) == (row.1, row.2)));
            assert_eq!(shard.stats().segments, 1, "cold partitions are packed into one");
            (flushed, shard.stats().segment_bytes)
        })
    };
    let (plain, second) = (bytes(Some(Codec::Null)), bytes(Some(Codec::DeltaTs)));
    assert!(plain.0 >= second.0 + 4096 && plain.1 >= 900 * 8, "flushed, merged: {plain:?} and {second:?}");
    assert!(plain.1 >= second.1 + 4096, "flushed, merged: {plain:?} and {second:?}");
    assert_eq!(bytes(None), second, "the default finds it by itself");
}
