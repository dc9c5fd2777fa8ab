//! A shard as its user sees it: what is appended is scanned, flushed, recovered.

use arrow_array::cast::AsArray;
use arrow_array::types::Int64Type;
use futures_lite::future::block_on;
use tidewire_storage::disk::Disk;
use tidewire_storage::disk::plain::PlainDisk;
use tidewire_storage::engine::Shard;
use tidewire_storage::schema::{FieldType, SeriesId, TableId};
use tidewire_storage::wal::Lsn;

use crate::common::{Folder, HOST, INT, IntRow, drive, everything, int_batch, open, scan, small_config, table};

/// All rows with the int field, sorted.
async fn int_rows<D: Disk>(shard: &Shard<D>, id: TableId) -> Vec<IntRow> {
    let chunks = scan(shard, everything(id, &[(INT, FieldType::Int)])).await.unwrap();
    let host = |series: SeriesId| {
        let index = shard.series(id).unwrap();
        let (column, value) = index.key(series).next().unwrap();
        assert_eq!(column, HOST);
        value.strip_prefix("host_").unwrap().parse().unwrap()
    };
    let mut rows = Vec::new();
    for chunk in &chunks {
        let values = chunk.columns[0].as_primitive::<Int64Type>();
        for run in &chunk.runs {
            for row in run.start..run.start + run.len {
                rows.push((host(run.series), chunk.time[row as usize], values.value(row as usize)));
            }
        }
    }
    rows.sort_unstable();
    rows
}

#[test]
fn what_is_appended_is_scanned_and_survives_a_kill() {
    let (folder, table) = (Folder::new("kill"), table(1));
    let (shard, recovery) = block_on(open(PlainDisk, &folder.0, small_config())).unwrap();
    assert_eq!((recovery.records, recovery.rows, recovery.torn), (0, 0, None));
    drive(&shard, async {
        let appended = shard.append(&int_batch(&table, &[(7, 10, 1), (5, 10, 2), (7, 5, 3)]), &table).unwrap();
        assert_eq!(appended.new_series, [SeriesId(0), SeriesId(1)]);
        shard.durable(appended.lsn).await.unwrap();
        let appended = shard.append(&int_batch(&table, &[(5, 2000, 4), (7, 10, 5)]), &table).unwrap();
        assert_eq!((appended.lsn, appended.new_series), (Lsn(2), vec![SeriesId(1), SeriesId(0)]));
        shard.durable(appended.lsn).await.unwrap();
        assert_eq!(int_rows(&shard, table.id).await, [(5, 10, 2), (5, 2000, 4), (7, 5, 3), (7, 10, 5)]);
        assert_eq!(shard.time_bounds(table.id), Some((5, 2000)));
    });
    let copy = Folder::copy("kill-copy", &folder.0);
    let (shard, recovery) = block_on(open(PlainDisk, &copy.0, small_config())).unwrap();
    assert_eq!((recovery.records, recovery.rows, recovery.series), (2, 5, 2));
    drive(&shard, async {
        assert_eq!(int_rows(&shard, table.id).await, [(5, 10, 2), (5, 2000, 4), (7, 5, 3), (7, 10, 5)]);
    });
}
