//! One seed: some shards on one disk, over several lives.

use std::cell::{Cell, RefCell};
use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

use fastrand::Rng;
use futures_lite::future::block_on;
use tidewire_storage::compaction::CompactionConfig;
use tidewire_storage::disk::Disk;
use tidewire_storage::disk::sim::SimDisk;
use tidewire_storage::engine::ShardConfig;
use tidewire_storage::wal::WalSync;

use crate::data;
use crate::life::Run;
use crate::model::History;
use crate::rot::Rot;
use crate::tally::Tally;
use crate::work::Home;

/// Runs one seed, and panics where a shard does not do what it promises.
pub(crate) fn run(seed: u64) -> Tally {
    let mut random = Rng::with_seed(seed);
    let disk = SimDisk::new(random.u64(..));
    block_on(async {
        disk.create_dir(Path::new("/data")).await.unwrap();
        disk.sync_dir(Path::new("/")).await.unwrap();
    });
    disk.set_delays([0, 1, 6][random.usize(0..3)]);
    if random.u8(0..8) == 0 {
        disk.cannot_reserve();
    }
    let homes = (0..random.u32(1..4)).map(|number| home(&mut random, number)).collect();
    let tally = RefCell::new(Tally::default());
    let run = Run { disk, homes, tally: &tally, faulty: random.bool() };
    for _ in 0..random.usize(2..7) {
        let shards = run.open(&mut random);
        run.check(&shards, &mut random);
        if random.u8(0..4) > 0 {
            run.live(&shards, &mut random, None);
            continue;
        }
        drop(shards);
        run.disk.kill();
        let rot = Rot::happen(&run.disk, &run.homes, &mut random);
        let shards = run.open_damaged(&mut random);
        run.live(&shards, &mut random, rot.as_ref().and_then(Rot::path));
        drop(shards);
        if let Some(rot) = rot {
            rot.mend(&run.disk);
        }
    }
    let shards = run.open(&mut random);
    run.check(&shards, &mut random);
    tally.borrow_mut().add_disk(&run.disk.counts());
    tally.into_inner()
}

fn home(random: &mut Rng, number: u32) -> Home {
    let habit = data::Habit::any(random);
    let config = ShardConfig {
        wal_sync: [WalSync::Always, WalSync::Always, WalSync::Interval, WalSync::Off][random.usize(0..4)],
        wal_file_bytes: [64 << 10, 64 << 10, 64 << 10, 128 << 10, 128 << 10, 128 << 10, 4 << 20][random.usize(0..7)],
        flush_bytes: [2 << 10, 16 << 10, 64 << 10, 256 << 10][random.usize(0..4)],
        flush_log_bytes: [64 << 10, 256 << 20, 256 << 20][random.usize(0..3)],
        memtable_bytes_max: [32 << 10, 1 << 20][random.usize(0..2)],
        flush_partitions: [3, 8192, 8192][random.usize(0..3)],
        memtable_partitions_max: [40, 65_536, 65_536][random.usize(0..3)],
        open_segments_max: [1, 4, 512][random.usize(0..3)],
        // Beside the others, so that seeds go on to mean what they meant.
        ordered_rows_min: [1, 20, 8192][random.clone().usize(0..3)],
        cache_bytes_max: [0, 1 << 20][random.usize(0..2)],
        reserve_bytes: [0, 64 << 10, 256 << 10][random.usize(0..3)],
        compaction: CompactionConfig {
            bytes_per_s: [0, 100_000][random.usize(0..2)],
            segment_bytes_max: [16 << 10, 1 << 30][random.usize(0..2)],
            cold_after: Duration::from_secs(20),
            band_rows_max: [20, 1000][random.usize(0..2)],
        },
        ..ShardConfig::new(number)
    };
    let tables: Vec<_> = (0..2).map(|id| data::new_table(random, id)).collect();
    Home {
        folder: Path::new("/data").join(format!("shard-{number}")),
        config,
        habit,
        live: RefCell::new(tables.iter().map(|table| table.id).collect::<BTreeSet<_>>()),
        tables: RefCell::new(tables),
        next_table: Cell::new(2),
        dropped: RefCell::default(),
        catalog_is_old: Cell::default(),
        history: RefCell::new(History::default()),
        clock: Cell::default(),
    }
}
