//! A shard that is only looked at: everything is seen, nothing is changed.

use std::path::Path;

use futures_lite::future::block_on;
use tidewire_storage::disk::plain::PlainDisk;
use tidewire_storage::disk::readonly::ReadOnlyDisk;

use crate::common::{Folder, drive, int_batch, int_rows, open, small_config, table};

/// Names and contents of all files.
fn contents(folder: &Path, into: &mut Vec<(String, Vec<u8>)>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            contents(&path, into);
        } else {
            into.push((path.display().to_string(), std::fs::read(path).unwrap()));
        }
    }
    into.sort();
}

#[test]
fn a_look_sees_segments_and_log_and_leaves_every_byte_as_it_was() {
    let (folder, table) = (Folder::new("look"), table(1));
    let (shard, _) = block_on(open(PlainDisk, &folder.0, small_config())).unwrap();
    drive(&shard, async {
        shard.append(&int_batch(&table, &[(1, 10, 1), (1, 1010, 2), (2, 3000, 3)]), &table).unwrap();
        shard.flush().await.unwrap();
        assert_eq!(shard.partition_length(table.id), Some(1000));
        shard.expire(table.id, 1500).await.unwrap();
        let appended = shard.append(&int_batch(&table, &[(2, 3000, 4), (3, 2000, 5)]), &table).unwrap();
        shard.durable(appended.lsn).await.unwrap();
    });
    drop(shard);
    // What a flush that was cut short has left; a start would remove it.
    std::fs::write(folder.0.join("segments/99999999.seg"), "stray").unwrap();
    let (mut before, mut after) = (Vec::new(), Vec::new());
    contents(&folder.0, &mut before);

    let (shard, recovery) = block_on(open(ReadOnlyDisk, &folder.0, small_config())).unwrap();
    assert_eq!(recovery.rows, 2);
    assert_eq!(block_on(int_rows(&shard, table.id)), [(1, 1010, 2), (2, 3000, 4), (3, 2000, 5)]);
    drop(shard);
    contents(&folder.0, &mut after);
    assert!(before == after, "a file was changed");

    // A folder that is not there is not made.
    let nowhere = folder.0.join("nowhere");
    block_on(open(ReadOnlyDisk, &nowhere, small_config())).unwrap();
    assert!(!nowhere.exists());
}
