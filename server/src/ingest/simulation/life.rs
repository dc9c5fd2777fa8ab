//! The lives of a server: a start, work, a death, and a look at what is there.

use std::cell::{Cell, RefCell};
use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;

use fastrand::Rng;
use futures_lite::future::{block_on, yield_now};
use tidewire_storage::compaction::CompactionConfig;
use tidewire_storage::disk::Disk;
use tidewire_storage::disk::sim::{SimDisk, SimEnd, SimTasks};
use tidewire_storage::engine::{Shard, ShardConfig};
use tidewire_storage::schema::{Catalog, TableId};

use super::Tally;
use super::model::Model;
use super::world::{Core, Host, World};
use super::{change, read, write};
use tidewire_base::catalog::CatalogOwner;
use tidewire_base::catalog::log::CatalogLog;

pub(super) fn run(seed: u64, tally: &RefCell<Tally>) {
    let mut random = Rng::with_seed(seed);
    let disk = SimDisk::new(random.u64(..));
    disk.set_delays([0, 1, 4][random.usize(0..3)]);
    let (cores, shards) = (random.usize(1..4), random.usize(1..4));
    block_on(async {
        for folder in (0..shards).map(folder).chain(["/data/meta".into()]) {
            disk.create_dir(Path::new("/data")).await.unwrap();
            disk.sync_dir(Path::new("/")).await.unwrap();
            disk.create_dir(&folder).await.unwrap();
        }
        disk.sync_dir(Path::new("/data")).await.unwrap();
    });
    let model = RefCell::new(Model::new(seed));
    for _ in 0..random.usize(1..4) {
        live(&mut random, &disk, (cores, shards), &model, tally);
    }
}

fn folder(shard: usize) -> PathBuf {
    format!("/data/shard-{shard}").into()
}

fn start(disk: &SimDisk, shards: usize) -> (CatalogLog<SimDisk>, Catalog, Vec<Rc<Shard<SimDisk>>>) {
    block_on(async {
        let (log, catalog) = CatalogLog::open(disk.clone(), Path::new("/data/meta")).await.unwrap();
        let live: HashSet<TableId> =
            catalog.databases.values().flat_map(|database| database.all_tables()).map(|table| table.id).collect();
        let mut open = Vec::new();
        for shard in 0..shards {
            let config = ShardConfig {
                wal_file_bytes: 64 << 10,
                flush_bytes: 4 << 10,
                reserve_bytes: 0,
                compaction: CompactionConfig::default(),
                ..ShardConfig::new(shard as u32)
            };
            let is_live = |table: TableId| live.contains(&table);
            open.push(Shard::open(disk.clone(), &folder(shard), config, &is_live).await.unwrap().0);
        }
        (log, catalog, open)
    })
}

fn live(
    random: &mut Rng,
    disk: &SimDisk,
    (cores, shard_count): (usize, usize),
    model: &RefCell<Model>,
    tally: &RefCell<Tally>,
) {
    tally.borrow_mut().lives += 1;
    let (log, catalog, shards) = start(disk, shard_count);
    let catalog = Arc::new(catalog);
    for table in catalog.databases.values().flat_map(|database| database.all_tables()) {
        shards.iter().for_each(|shard| shard.set_columns(table));
        model.borrow_mut().born(table.id, table.columns.iter().map(|column| column.id));
    }
    let world = Rc::new(World {
        cores: (0..cores).map(|core| Core::new(core, &catalog)).collect(),
        shards,
        owner: Rc::new(CatalogOwner::new(catalog, log)),
        model,
        tally,
        random: RefCell::new(random.fork()),
        drops: RefCell::default(),
    });
    let mut tasks = SimTasks::new(random.u64(..));
    for shard in &world.shards {
        let (shard, flushing) = (shard.clone(), shard.clone());
        tasks.spawn(async move { shard.run_wal().await.unwrap() });
        tasks.spawn(async move { flushing.run_flush().await.unwrap() });
    }
    let runner = {
        let (owner, host) = (world.owner.clone(), world.clone());
        async move {
            loop {
                owner.clone().run(Host(host.clone())).await;
                yield_now().await;
            }
        }
    };
    tasks.spawn(runner);
    let mut clients: Vec<Pin<Box<dyn Future<Output = ()> + '_>>> = Vec::new();
    for _ in 0..random.usize(1..5) {
        clients.push(Box::pin(write::write(world.clone(), random.usize(1..25))));
    }
    for _ in 0..random.usize(1..3) {
        clients.push(Box::pin(change::define(world.clone(), random.usize(0..25))));
    }
    clients.push(Box::pin(change::delete(world.clone(), random.usize(0..4))));
    let left = Rc::new(Cell::new(clients.len()));
    for client in clients {
        let left = left.clone();
        tasks.spawn(async move {
            client.await;
            left.set(left.get() - 1);
        });
    }
    tasks.spawn(change::upkeep(world.clone()));
    tasks.spawn(read::read(world.clone()));
    let all_done = async {
        while left.get() > 0 {
            yield_now().await;
        }
    };
    let steps_max = if random.bool() { random.u64(1..20_000) } else { 400_000 };
    let is_done = tasks.run(all_done, steps_max) == SimEnd::Done(());
    drop(tasks);
    let unheard = model.borrow_mut().die();
    if is_done {
        // All is quiet: what is there must be whole.
        let found = block_on(read::everything(&world.owner.current(), &world.shards));
        model.borrow().check(&found, &(0..shard_count as u32).collect::<Vec<_>>(), u64::MAX);
    }
    drop(world);
    match random.bool() {
        true => disk.crash(),
        false => disk.kill(),
    }
    let (_, catalog, shards) = start(disk, shard_count);
    for table in catalog.databases.values().flat_map(|database| database.all_tables()) {
        model.borrow_mut().born(table.id, table.columns.iter().map(|column| column.id));
    }
    let found = block_on(read::everything(&catalog, &shards));
    model.borrow().check(&found, &(0..shard_count as u32).collect::<Vec<_>>(), u64::MAX);
    let mut tally = tally.borrow_mut();
    tally.ended += u64::from(is_done);
    tally.unheard += unheard;
    tally.values_seen += found.len() as u64;
    tally.values_dropped += model.borrow().dropped(&found);
    drop(shards);
    disk.kill();
}
