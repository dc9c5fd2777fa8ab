//! No series has a heap object on the write path: memory is asked for when buffers double, not when a series comes.

use std::path::Path;

use futures_lite::future::block_on;
use tidewire_benches::sensors;
use tidewire_storage::batch::WriteBatch;
use tidewire_storage::disk::plain::PlainDisk;
use tidewire_storage::engine::{Shard, ShardConfig};
use tidewire_storage::wal::WalSync;

const SERIES: usize = 100_000;

#[test]
fn a_new_series_asks_for_no_memory_of_its_own() {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("allocations-{}", std::process::id()));
    let config = ShardConfig { wal_sync: WalSync::Off, reserve_bytes: 0, ..ShardConfig::new(0) };
    let (shard, _) = block_on(Shard::open(PlainDisk, &folder, config, &|_| true)).expect("a shard");
    let (catalog, table, requests) = (sensors::catalog(), sensors::table(), sensors::requests(SERIES));
    let mut cache = sensors::cache();
    let first = sensors::parse(&mut cache, &catalog, &requests[0], WriteBatch::default());
    shard.append(&first, &table).expect("the rows are taken");
    let mut batch = first;
    let counted = allocation_counter::measure(|| {
        for request in &requests[1..] {
            batch = sensors::parse(&mut cache, &catalog, request, std::mem::take(&mut batch));
            shard.append(&batch, &table).expect("the rows are taken");
        }
    });
    assert_eq!(shard.stats().series, SERIES as u64);
    // The sites of the second tag share bitmaps, whose containers grow by doubling: a thousand for all series together.
    let new = (SERIES - sensors::REQUEST_ROWS) as u64;
    assert!(counted.count_total < new / 10, "{} allocations for {new} series", counted.count_total);
    drop(shard);
    let _ = std::fs::remove_dir_all(&folder);
}
