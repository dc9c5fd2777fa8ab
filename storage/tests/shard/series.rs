//! Series files: few, seldom written anew, and in the order of the ids.

use std::path::{Path, PathBuf};

use futures_lite::future::block_on;
use tidewire_storage::batch::WriteBatch;
use tidewire_storage::disk::plain::PlainDisk;
use tidewire_storage::engine::ShardConfig;
use tidewire_storage::inspect::ShardFiles;
use tidewire_storage::schema::{SeriesId, TableSchema};

use crate::common::{Folder, HOST, IntRow, drive, int_batch, open, small_config, table};

/// Names of the series files, which must be all there is, with a copy of each.
fn series_files(folder: &Path) -> Vec<String> {
    let files = block_on(ShardFiles::open(&PlainDisk, folder, 3)).unwrap();
    assert_eq!(block_on(files.strays()).unwrap(), Vec::<PathBuf>::new());
    files
        .series_files()
        .map(|file| {
            assert!(block_on(files.check_series_copy(&file)).unwrap() > 0);
            file.file
        })
        .collect()
}

/// Two thousand keys are one record.
fn config() -> ShardConfig {
    ShardConfig { wal_file_bytes: 1 << 20, ..small_config() }
}

fn hosts(table: &TableSchema, hosts: std::ops::Range<u32>) -> WriteBatch {
    let rows: Vec<IntRow> = hosts.map(|host| (host, 0, 0)).collect();
    int_batch(table, &rows)
}

#[test]
fn small_flushes_leave_large_series_files_alone() {
    let (folder, large, small) = (Folder::new("series"), table(1), table(2));
    let (shard, _) = block_on(open(PlainDisk, &folder.0, config())).unwrap();
    let mut most = 0;
    drive(&shard, async {
        shard.append(&hosts(&large, 0..2000), &large).unwrap();
        shard.flush().await.unwrap();
        let first = series_files(&folder.0);
        for flush in 0..100 {
            for table in [&small, &large] {
                shard.append(&hosts(table, 5000 + flush * 3..5003 + flush * 3), table).unwrap();
            }
            shard.flush().await.unwrap();
            let files = series_files(&folder.0);
            assert_eq!(files[0], first[0], "after {flush}");
            most = most.max(files.len());
        }
        shard.close().await.unwrap();
    });
    assert_eq!(most, 4, "three small ones beside the large one");
    drop(shard);

    let (shard, recovery) = block_on(open(PlainDisk, &folder.0, config())).unwrap();
    assert_eq!(recovery.series, 2000 + 600);
    let host = |table: &TableSchema, id: u32| {
        let index = shard.series(table.id).unwrap();
        let (_, value) = index.key(SeriesId(id)).find(|(column, _)| *column == HOST).unwrap();
        value.to_owned()
    };
    assert_eq!((host(&small, 0), host(&small, 299)), ("host_5000".to_owned(), "host_5299".to_owned()));
    assert_eq!((host(&large, 1999), host(&large, 2000)), ("host_1999".to_owned(), "host_5000".to_owned()));

    // The large table's series are most of what is stored: they go with the next flush, and other ids stay.
    drive(&shard, async {
        shard.drop_table(large.id).await.unwrap();
        shard.append(&hosts(&small, 0..1), &small).unwrap();
        shard.flush().await.unwrap();
        assert_eq!(series_files(&folder.0).len(), 1);
        shard.close().await.unwrap();
    });
    drop(shard);
    let (shard, recovery) = block_on(open(PlainDisk, &folder.0, config())).unwrap();
    assert_eq!(recovery.series, 301);
    let index = shard.series(small.id).unwrap();
    assert_eq!(index.key(SeriesId(300)).next(), Some((HOST, "host_0")));
    drop(index);

    // When nothing is left that lives, neither is a file.
    let other = table(3);
    drive(&shard, async {
        shard.drop_table(small.id).await.unwrap();
        shard.append(&hosts(&other, 0..1), &other).unwrap();
        shard.drop_table(other.id).await.unwrap();
        shard.flush().await.unwrap();
        assert!(series_files(&folder.0).is_empty());
        shard.close().await.unwrap();
    });
}
