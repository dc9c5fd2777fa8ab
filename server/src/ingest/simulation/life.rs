//! The lives of a server: a start, work, a death, and a look at what is there.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeSet, HashSet, VecDeque};
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;

use fastrand::Rng;
use futures_lite::future::{block_on, yield_now};
use tidewire_storage::Error;
use tidewire_storage::compaction::CompactionConfig;
use tidewire_storage::disk::Disk;
use tidewire_storage::disk::sim::{SimDisk, SimEnd, SimTasks};
use tidewire_storage::engine::{Shard, ShardConfig};
use tidewire_storage::schema::{Catalog, TableId};

use super::Tally;
use super::clock::{self, SECOND_NS};
use super::model::{Found, Model};
use super::world::{Clocks, Core, Host, WAL_FILE_BYTES, World};
use super::{change, mesh, read, trouble, write};
use tidewire_base::catalog::CatalogOwner;
use tidewire_base::catalog::log::CatalogLog;

/// More steps than any life needs that is not stuck in a loop.
const STEPS_MAX: u64 = 2_000_000;

pub(super) fn run(seed: u64) -> Tally {
    let tally = RefCell::new(Tally::default());
    let mut random = Rng::with_seed(seed);
    let disk = SimDisk::new(random.u64(..));
    disk.set_delays([0, 1, 4][random.usize(0..3)]);
    if random.u8(0..6) == 0 {
        disk.cannot_reserve();
    }
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
    let home = Home { disk, counts: (cores, shards), is_faulty: random.bool(), model: &model, tally: &tally };
    let mut now_ns = 1_700_000_000 * SECOND_NS;
    for _ in 0..random.usize(1..4) {
        now_ns = home.live(&mut random, now_ns);
    }
    let counts = home.disk.counts();
    let mut tally = tally.take();
    tally.io_errors += counts.io_errors;
    tally.no_space += counts.no_space;
    tally.too_many_files += counts.too_many_files;
    tally.short_writes += counts.short_writes;
    tally.read_only += counts.read_only;
    tally.unsupported += counts.unsupported;
    tally
}

/// What the lives of a seed share.
struct Home<'t> {
    disk: SimDisk,
    /// Cores and shards.
    counts: (usize, usize),
    /// The disk fails in some of the lives.
    is_faulty: bool,
    model: &'t RefCell<Model>,
    tally: &'t RefCell<Tally>,
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
                wal_file_bytes: WAL_FILE_BYTES,
                flush_bytes: 4 << 10,
                ordered_rows_min: 10,
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

/// The log is written; one that fails is healed.
async fn write_log(world: Rc<World<'_>>, number: usize) {
    let shard = &world.shards[number];
    while let Err(error) = shard.run_wal().await {
        world.excuse(&error);
        world.tally.borrow_mut().log_failures += 1;
        while let Err(error) = shard.heal().await {
            if matches!(error, Error::Closed) {
                return;
            }
            world.excuse(&error);
            world.pause(50).await;
        }
    }
}

async fn flush(world: Rc<World<'_>>, number: usize) {
    while let Err(error) = world.shards[number].run_flush().await {
        world.excuse(&error);
        world.pause(50).await;
    }
}

/// Works off what is asked of the catalog.
async fn own_catalog(world: Rc<World<'_>>) {
    loop {
        world.owner.clone().run(Host(world.clone())).await;
        yield_now().await;
    }
}

impl<'t> Home<'t> {
    /// Lives from `now_ns` on, dies, and starts again; gives what the clock of the world shows at the end.
    fn live(&self, random: &mut Rng, now_ns: i64) -> i64 {
        self.tally.borrow_mut().lives += 1;
        let world = self.start(random, now_ns);
        let mut tasks = SimTasks::new(random.u64(..));
        for number in 0..world.shards.len() {
            tasks.spawn(write_log(world.clone(), number));
            tasks.spawn(flush(world.clone(), number));
        }
        tasks.spawn(own_catalog(world.clone()));
        tasks.spawn(mesh::serve(world.clone()));
        tasks.spawn(clock::time(world.clone()));
        tasks.spawn(clock::expiry(world.clone()));
        tasks.spawn(change::upkeep(world.clone()));
        tasks.spawn(read::read(world.clone()));
        if world.is_faulty {
            tasks.spawn(trouble::trouble(world.clone()));
        }
        let left = spawn_clients(&mut tasks, random, &world);
        let drains = random.u8(0..3) == 0;
        let is_closed = Cell::new(false);
        // What takes longer is given up.
        let grace = random.usize(0..2000);
        let ended = async {
            while left.get() > 0 {
                yield_now().await;
                if drains && world.chance(1500) {
                    world.is_draining.set(true);
                }
                if world.is_draining.get() && world.chance(grace as u32 + 1) {
                    world.is_cut.set(true);
                }
            }
            if drains {
                world.is_draining.set(true);
                is_closed.set(self.close(&world).await);
            }
        };
        let dies = !drains && random.bool();
        let steps_max = if dies { random.u64(1..30_000) } else { STEPS_MAX };
        let is_done = tasks.run(ended, steps_max) == SimEnd::Done(());
        if !is_done && !dies {
            let stats: Vec<_> = world.shards.iter().map(|shard| shard.stats()).collect();
            let seed = self.model.borrow().seed;
            let (is_in_doubt, is_draining) = (world.owner.is_in_doubt(), world.is_draining.get());
            panic!(
                "seed {seed}: a life that does not end: {} at work, draining {is_draining}, in doubt {is_in_doubt}: {stats:#?}",
                left.get()
            );
        }
        drop(tasks);
        trouble::end(&self.disk);
        // A DROP that is given up may be durable and not yet visible: the next start carries it out.
        let given_up = self.model.borrow().under_way();
        let unheard = self.model.borrow_mut().die();
        let mut quiet = None;
        if is_done && !world.owner.is_in_doubt() {
            // What is there must be whole.
            let found = block_on(read::everything(&world.owner.current(), &world.shards));
            self.model.borrow().check(&found, &self.all_shards(), u64::MAX);
            quiet = is_closed.get().then_some(found);
        }
        let now_ns = world.clocks.world_ns.get();
        drop(world);
        match random.bool() {
            true => self.disk.crash(),
            false => self.disk.kill(),
        }
        let found = self.look();
        if let Some(before) = quiet {
            let values = |found: &[Found]| {
                let kept = found.iter().map(|one| one.value).filter(|value| !given_up.contains(value));
                kept.collect::<BTreeSet<_>>()
            };
            let seed = self.model.borrow().seed;
            assert_eq!(values(&before), values(&found), "seed {seed}: a drain leaves what was there");
        }
        self.model.borrow_mut().settle(&found);
        let mut tally = self.tally.borrow_mut();
        tally.ended += u64::from(is_done);
        tally.drained += u64::from(is_closed.get());
        tally.unheard += unheard;
        tally.values_seen += found.len() as u64;
        tally.values_dropped += self.model.borrow().dropped(&found);
        now_ns
    }

    fn start(&self, random: &mut Rng, now_ns: i64) -> Rc<World<'t>> {
        let (log, catalog, shards) = start(&self.disk, self.counts.1);
        let catalog = Arc::new(catalog);
        for table in catalog.databases.values().flat_map(|database| database.all_tables()) {
            shards.iter().for_each(|shard| shard.set_columns(table));
            self.model.borrow_mut().born(table.id, table.columns.iter().map(|column| column.id));
        }
        let cores: Vec<_> = (0..self.counts.0).map(|core| Core::new(core, &catalog)).collect();
        Rc::new(World {
            disk: self.disk.clone(),
            mail: RefCell::new(cores.iter().map(|_| VecDeque::new()).collect()),
            cores,
            shards,
            owner: Rc::new(CatalogOwner::new(catalog, log)),
            model: self.model,
            tally: self.tally,
            random: RefCell::new(random.fork()),
            drops: RefCell::default(),
            clocks: Clocks::new(now_ns),
            is_faulty: self.is_faulty && random.u8(0..3) > 0,
            is_draining: Cell::default(),
            is_cut: Cell::default(),
        })
    }

    /// An orderly end, as far as the disk allows it.
    async fn close(&self, world: &World<'t>) -> bool {
        let mut is_closed = true;
        for shard in &world.shards {
            if let Err(error) = shard.close().await {
                world.excuse(&error);
                is_closed = false;
            }
        }
        is_closed
    }

    fn all_shards(&self) -> Vec<u32> {
        (0..self.counts.1 as u32).collect()
    }

    /// What a start finds.
    fn look(&self) -> Vec<Found> {
        let (_, catalog, shards) = start(&self.disk, self.counts.1);
        for table in catalog.databases.values().flat_map(|database| database.all_tables()) {
            self.model.borrow_mut().born(table.id, table.columns.iter().map(|column| column.id));
        }
        let found = block_on(read::everything(&catalog, &shards));
        self.model.borrow().check(&found, &self.all_shards(), u64::MAX);
        drop(shards);
        self.disk.kill();
        found
    }
}

/// The clients, and those who change and delete; gives how many are still at work.
fn spawn_clients<'t>(tasks: &mut SimTasks<'t>, random: &mut Rng, world: &Rc<World<'t>>) -> Rc<Cell<usize>> {
    let mut clients: Vec<Pin<Box<dyn Future<Output = ()> + 't>>> = Vec::new();
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
    left
}
