//! Expiry beside writers: several shards with one catalog, TTLs that change, a clock that jumps, requests with rows for
//! every shard, drains and deaths, all under one seed.
//!
//! The rule: a row that was acknowledged is there with its value, unless an expiry may have taken it. One may at a
//! moment at which the clock of the world had been consistent for as long as is wanted, for a row that was written
//! before that moment, and whose partition was older then than the TTL that some core knew. What is consistent is
//! counted here from the jumps themselves, and not by the code under test. Rows that were never written are nowhere.
//! After a drain, also what was not acknowledged yet is there.
//!
//! `TIDEWIRE_SEED` runs one seed.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, HashSet};
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use arrow_array::cast::AsArray;
use arrow_array::types::Int64Type;
use fastrand::Rng;
use futures_lite::future::{block_on, yield_now};
use tidewire_sql::{DatabaseChange, Definition};
use tidewire_storage::Error;
use tidewire_storage::batch::{BatchColumn, NEW_SERIES_BIT, Values, WriteBatch};
use tidewire_storage::disk::Disk;
use tidewire_storage::disk::sim::{self, Fault, FaultKind, Operation, SimDisk, SimEnd, SimTasks, few};
use tidewire_storage::engine::{Shard, ShardConfig};
use tidewire_storage::scan::ScanRequest;
use tidewire_storage::schema::{
    Catalog, ColumnKind, DatabaseOptions, FieldType, RetentionPolicy, TableId, TableSchema, TimeUnit,
};
use tidewire_storage::sim_tally;

use super::drop_expired;
use crate::runtime::clock::{ClockState, ClockWatch};
use tidewire_base::catalog::log::CatalogLog;
use tidewire_base::catalog::owner::CatalogHost;
use tidewire_base::catalog::{CatalogOwner, Published, SchemaChange};

const SECOND_NS: i64 = 1_000_000_000;
const PARTITION_NS: i64 = 100 * SECOND_NS;
const DATABASE: &str = "d";

/// The clock must be consistent for so long.
const SETTLE: Duration = Duration::from_secs(600);
/// Between two looks of a core.
const INTERVAL: Duration = Duration::from_secs(30);

type Shards = Vec<Rc<Shard<SimDisk>>>;

sim_tally! {
    /// What has happened.
    struct Tally {
        lives,
        acknowledged,
        unheard,
        refused,
        too_old,
        expired,
        kept_though_old,
        jumps,
        settled_looks,
        unsettled_looks,
        ttl_changes,
        drained,
        killed,
        crashed,
        log_failures,
        too_many_files,
    }
}

/// A row, by the shard, and the value that says which.
type Key = (usize, i64);

/// A row that was sent.
#[derive(Debug, Clone, Copy)]
struct Sent {
    time_ns: i64,
    /// The moment at which a shard had taken it.
    taken: u64,
    acknowledged: bool,
}

/// An expiry that was in order.
#[derive(Debug, Clone, Copy)]
struct Expiry {
    moment: u64,
    /// Rows in partitions that end by then may be gone.
    oldest_ns: i64,
}

#[derive(Debug, Default)]
struct Model {
    sent: BTreeMap<Key, Sent>,
    expiries: Vec<Expiry>,
    next_value: i64,
    moment: u64,
}

impl Model {
    fn tick(&mut self) -> u64 {
        self.moment += 1;
        self.moment
    }

    fn may_be_gone(&self, sent: &Sent) -> bool {
        let end = sent.time_ns.div_euclid(PARTITION_NS) * PARTITION_NS + PARTITION_NS;
        // An expiry that had begun before the row was taken may end after it.
        self.expiries.iter().any(|expiry| expiry.moment > sent.taken && end <= expiry.oldest_ns)
    }
}

/// The clock of the world beside one that only goes on.
#[derive(Debug)]
struct Clocks {
    world_ns: Cell<i64>,
    elapsed: Cell<Duration>,
}

impl Clocks {
    fn difference(&self) -> i64 {
        self.world_ns.get() - self.elapsed.get().as_nanos() as i64
    }
}

struct World<'t> {
    disk: SimDisk,
    shards: Shards,
    /// The catalog of each core; a shard is on core `number % cores`.
    cores: Vec<RefCell<Arc<Catalog>>>,
    owner: Rc<CatalogOwner<SimDisk>>,
    clocks: Clocks,
    model: &'t RefCell<Model>,
    tally: &'t RefCell<Tally>,
    random: RefCell<Rng>,
    draining: Cell<bool>,
    busy: Cell<usize>,
}

impl World<'_> {
    fn random<T>(&self, pick: impl FnOnce(&mut Rng) -> T) -> T {
        pick(&mut self.random.borrow_mut())
    }

    async fn pause(&self, most: usize) {
        for _ in 0..self.random(|random| random.usize(0..=most)) {
            yield_now().await;
        }
    }

    fn shards_of(&self, core: usize) -> Vec<(u32, &Rc<Shard<SimDisk>>)> {
        let own = self.shards.iter().enumerate().filter(|(shard, _)| shard % self.cores.len() == core);
        own.map(|(number, shard)| (number as u32, shard)).collect()
    }
}

struct Host<'t>(Rc<World<'t>>);

impl CatalogHost for Host<'_> {
    async fn publish(&self, published: Arc<Published>) {
        for core in &self.0.cores {
            self.0.pause(10).await;
            *core.borrow_mut() = published.catalog.clone();
        }
    }

    async fn pause(&self, _: Duration) {
        self.0.pause(10).await;
    }
}

fn policy(catalog: &Catalog) -> &RetentionPolicy {
    &catalog.databases.get(DATABASE).unwrap().policies[0]
}

fn table(catalog: &Catalog) -> Arc<TableSchema> {
    policy(catalog).tables.values().next().unwrap().clone()
}

/// A request with a row for every shard, of some of which the times are old: refused at the door, or taken by all.
async fn request(world: &Rc<World<'_>>, core: usize) {
    let catalog = world.cores[core].borrow().clone();
    let now_ns = world.clocks.world_ns.get();
    let time_min = policy(&catalog).time_min(now_ns, TimeUnit::Nanosecond);
    let time_ns = now_ns - world.random(|random| random.i64(-10..4000)) * SECOND_NS;
    if time_ns < time_min {
        world.tally.borrow_mut().too_old += 1;
        return;
    }
    let table = table(&catalog);
    let mut waiting = Vec::new();
    for (number, shard) in world.shards.iter().enumerate() {
        world.pause(3).await;
        let value = {
            let mut model = world.model.borrow_mut();
            model.next_value += 1;
            model.next_value
        };
        let mut batch = WriteBatch { table: Some(table.id), ..WriteBatch::default() };
        let tag = table.columns.iter().find(|column| column.kind == ColumnKind::Tag).unwrap().id;
        batch.new_series.push([(tag, format!("h{value}").as_bytes())]);
        batch.series = vec![NEW_SERIES_BIT];
        batch.time = vec![time_ns];
        let field = table.columns.iter().find(|column| column.kind != ColumnKind::Tag).unwrap().id;
        batch.columns.push(BatchColumn { id: field, values: Values::Int(vec![value]), validity: None });
        let appended = shard.append(&batch, &table);
        let mut model = world.model.borrow_mut();
        let taken = model.tick();
        match appended {
            Ok(appended) => {
                model.sent.insert((number, value), Sent { time_ns, taken, acknowledged: false });
                waiting.push((number, value, appended.lsn));
            }
            // What the others have taken stays, and nobody learns that it is there.
            Err(_) => {
                world.tally.borrow_mut().refused += 1;
                return;
            }
        }
    }
    for (number, _, lsn) in &waiting {
        if world.shards[*number].durable(*lsn).await.is_err() {
            world.tally.borrow_mut().refused += 1;
            return;
        }
    }
    world.tally.borrow_mut().acknowledged += 1;
    for (number, value, _) in waiting {
        world.model.borrow_mut().sent.get_mut(&(number, value)).unwrap().acknowledged = true;
    }
}

async fn client(world: Rc<World<'_>>, requests: usize) {
    for _ in 0..requests {
        if world.draining.get() {
            return;
        }
        world.busy.set(world.busy.get() + 1);
        let core = world.random(|random| random.usize(0..world.cores.len()));
        request(&world, core).await;
        world.busy.set(world.busy.get() - 1);
        world.pause(20).await;
    }
}

/// As [`expire`](super::expire), on clocks that are moved.
async fn expiry(world: Rc<World<'_>>, core: usize) {
    let mut watch = ClockWatch::new(SETTLE);
    let clocks = &world.clocks;
    watch.look(clocks.world_ns.get(), clocks.elapsed.get());
    // What the clocks differ by, and since which look: times pass here without drift.
    let (mut difference, mut since) = (clocks.difference(), clocks.elapsed.get());
    let mut next = clocks.elapsed.get() + INTERVAL;
    loop {
        yield_now().await;
        if clocks.elapsed.get() < next {
            continue;
        }
        next = clocks.elapsed.get() + INTERVAL;
        let now_ns = clocks.world_ns.get();
        let catalog = world.cores[core].borrow().clone();
        let is_settled = watch.look(now_ns, clocks.elapsed.get()) == ClockState::Settled;
        if clocks.difference() != difference {
            (difference, since) = (clocks.difference(), clocks.elapsed.get());
        }
        let may_expire = clocks.elapsed.get() - since >= SETTLE;
        assert!(may_expire || !is_settled, "a clock is believed that has shown something else of late");
        if is_settled {
            world.tally.borrow_mut().settled_looks += 1;
            let oldest_ns = policy(&catalog).time_min(now_ns, TimeUnit::Nanosecond);
            // Until it ends, it may take what comes meanwhile.
            world.model.borrow_mut().expiries.push(Expiry { moment: u64::MAX, oldest_ns });
            let number = world.model.borrow().expiries.len() - 1;
            drop_expired(&catalog, &world.shards_of(core), now_ns).await;
            let mut model = world.model.borrow_mut();
            let moment = model.tick();
            model.expiries[number].moment = moment;
        } else {
            world.tally.borrow_mut().unsettled_looks += 1;
        }
    }
}

/// Time passes, and now and then somebody sets the clock of the world.
async fn time(world: Rc<World<'_>>) {
    loop {
        world.pause(8).await;
        let clocks = &world.clocks;
        let passed = Duration::from_secs(world.random(|random| random.u64(1..40)));
        clocks.elapsed.set(clocks.elapsed.get() + passed);
        clocks.world_ns.set(clocks.world_ns.get() + passed.as_nanos() as i64);
        if world.random(|random| random.u8(0..100)) == 0 {
            let by_s = world.random(|random| [-40_000, -3600, -10, 10, 3600, 40_000][random.usize(0..6)]);
            clocks.world_ns.set(clocks.world_ns.get() + by_s * SECOND_NS);
            world.tally.borrow_mut().jumps += 1;
        }
    }
}

/// Now and then hardly another file can be opened.
async fn lack_descriptors(world: Rc<World<'_>>) {
    loop {
        world.pause(600).await;
        let most = world.disk.open_files() + world.random(|random| random.u64(0..4));
        world.disk.set_open_files_max(Some(most));
        world.pause(200).await;
        world.disk.set_open_files_max(None);
    }
}

async fn alter(world: Rc<World<'_>>) {
    loop {
        world.pause(400).await;
        let ttl_s = world.random(|random| [None, Some(500), Some(1500), Some(5000)][random.usize(0..4)]);
        let change = DatabaseChange::Ttl(ttl_s.map(|ttl_s| ttl_s * SECOND_NS));
        let change = SchemaChange::Define(Definition::AlterDatabase { name: DATABASE.to_owned(), change });
        if world.owner.change(change).await.is_ok() {
            world.tally.borrow_mut().ttl_changes += 1;
        }
    }
}

fn folder(shard: usize) -> PathBuf {
    format!("/data/shard-{shard}").into()
}

fn start(disk: &SimDisk, shards: usize) -> (CatalogLog<SimDisk>, Arc<Catalog>, Shards) {
    block_on(async {
        let (log, catalog) = CatalogLog::open(disk.clone(), Path::new("/data/meta")).await.unwrap();
        let tables = catalog.databases.values().flat_map(|database| database.all_tables());
        let live: HashSet<TableId> = tables.map(|table| table.id).collect();
        let mut open = Vec::new();
        for shard in 0..shards {
            let config =
                ShardConfig { wal_file_bytes: 64 << 10, flush_bytes: 1 << 10, ..ShardConfig::new(shard as u32) };
            let config = ShardConfig { reserve_bytes: 0, ..config };
            let is_live = |table: TableId| live.contains(&table);
            open.push(Shard::open(disk.clone(), &folder(shard), config, &is_live).await.unwrap().0);
        }
        (log, Arc::new(catalog), open)
    })
}

async fn ask(owner: &Rc<CatalogOwner<SimDisk>>, change: SchemaChange) {
    struct Nobody;
    impl CatalogHost for Nobody {
        async fn publish(&self, _: Arc<Published>) {}
        async fn pause(&self, _: Duration) {}
    }
    let (done, ()) = futures_lite::future::zip(owner.change(change), owner.clone().run(Nobody)).await;
    done.unwrap();
}

/// The first life finds a database with a table.
fn create(disk: &SimDisk) {
    let (log, catalog, _) = start(disk, 0);
    let owner = Rc::new(CatalogOwner::new(catalog, log));
    let options = DatabaseOptions { partition_ns: PARTITION_NS, ..DatabaseOptions::default() };
    let name = DATABASE.to_owned();
    let columns = [("host", ColumnKind::Tag), ("value", ColumnKind::Field(FieldType::Int))];
    let columns: Vec<_> = columns.into_iter().map(|(name, kind)| (name.to_owned(), kind)).collect();
    block_on(async {
        ask(&owner, SchemaChange::Define(Definition::CreateDatabase { name, if_not_exists: false, options })).await;
        let policy = policy(&owner.current()).name.to_string();
        let tables = [("t".to_owned(), columns)].into();
        ask(&owner, SchemaChange::Ensure { database: DATABASE.to_owned(), policy, tables }).await;
    });
}

/// What is in the shards.
async fn everything(shards: &Shards, table: &TableSchema) -> BTreeMap<Key, i64> {
    let field = table.columns.iter().find(|column| column.kind != ColumnKind::Tag).unwrap().id;
    let mut found = BTreeMap::new();
    for (number, shard) in shards.iter().enumerate() {
        let request = ScanRequest {
            table: table.id,
            time_min: i64::MIN,
            time_max: i64::MAX,
            series: None,
            columns: vec![(field, FieldType::Int)],
            prune: Vec::new(),
        };
        let mut scan = shard.scan(request, u64::MAX).unwrap();
        while let Some(chunk) = scan.next().await.unwrap() {
            let values = chunk.columns[0].as_primitive::<Int64Type>().values();
            for (value, time) in values.iter().zip(&chunk.time) {
                assert!(found.insert((number, *value), *time).is_none(), "a row comes twice");
            }
        }
    }
    found
}

/// A start must find what was acknowledged, or all that was sent, and nothing else; what is there stays from now on.
fn check(seed: u64, found: &BTreeMap<Key, i64>, model: &mut Model, all: bool, tally: &mut Tally) {
    let moment = model.tick();
    for cut_short in model.expiries.iter_mut().filter(|expiry| expiry.moment == u64::MAX) {
        cut_short.moment = moment;
    }
    for (key, time) in found {
        let sent = model.sent.get(key).unwrap_or_else(|| panic!("seed {seed}: {key:?} was never sent"));
        assert_eq!(*time, sent.time_ns, "seed {seed}: {key:?}");
        tally.kept_though_old += u64::from(model.may_be_gone(sent));
    }
    for (key, sent) in &model.sent {
        if found.contains_key(key) {
            continue;
        }
        let may_be_gone = model.may_be_gone(sent);
        assert!(may_be_gone || !(sent.acknowledged || all), "seed {seed}: {key:?} is gone: {sent:?}");
        tally.expired += u64::from(may_be_gone);
    }
    tally.unheard += model.sent.values().filter(|sent| !sent.acknowledged).count() as u64;
    model.sent.retain(|key, _| found.contains_key(key));
    model.sent.values_mut().for_each(|sent| sent.acknowledged = true);
}

/// Lives from `now_ns` on; gives what the clock of the world shows at the end.
fn live(
    seed: u64,
    random: &mut Rng,
    disk: &SimDisk,
    counts: (usize, usize),
    (model, tally): (&RefCell<Model>, &RefCell<Tally>),
    now_ns: i64,
) -> i64 {
    tally.borrow_mut().lives += 1;
    let failures_before = tally.borrow().log_failures;
    let (log, catalog, shards) = start(disk, counts.1);
    let clocks = Clocks { world_ns: Cell::new(now_ns), elapsed: Cell::new(Duration::from_secs(random.u64(0..1000))) };
    let world = Rc::new(World {
        disk: disk.clone(),
        shards,
        cores: (0..counts.0).map(|_| RefCell::new(catalog.clone())).collect(),
        owner: Rc::new(CatalogOwner::new(catalog, log)),
        clocks,
        model,
        tally,
        random: RefCell::new(random.fork()),
        draining: Cell::new(false),
        busy: Cell::new(0),
    });
    if random.u8(0..3) == 0 {
        let operation = if random.bool() { Operation::Sync } else { Operation::Write };
        disk.inject(Fault { after: random.u32(0..40), ..Fault::next(operation, "/wal", FaultKind::Io) });
    }
    let mut tasks = SimTasks::new(random.u64(..));
    for shard in &world.shards {
        let (flushing, world) = (shard.clone(), world.clone());
        tasks.spawn(async move {
            while shard.run_wal().await.is_err() {
                world.tally.borrow_mut().log_failures += 1;
                while shard.heal().await.is_err() {
                    yield_now().await;
                }
            }
        });
        tasks.spawn(async move {
            // Without a descriptor a flush is tried again.
            while flushing.run_flush().await.is_err() {
                yield_now().await;
            }
        });
    }
    let owner = world.owner.clone();
    let host = world.clone();
    tasks.spawn(async move {
        loop {
            owner.clone().run(Host(host.clone())).await;
            yield_now().await;
        }
    });
    for core in 0..counts.0 {
        tasks.spawn(expiry(world.clone(), core));
    }
    tasks.spawn(time(world.clone()));
    if random.u8(0..3) == 0 {
        tasks.spawn(lack_descriptors(world.clone()));
    }
    tasks.spawn(alter(world.clone()));
    let left = Rc::new(Cell::new(0));
    for _ in 0..random.usize(1..4) {
        left.set(left.get() + 1);
        let (world, left, requests) = (world.clone(), left.clone(), random.usize(1..60));
        tasks.spawn(async move {
            client(world, requests).await;
            left.set(left.get() - 1);
        });
    }
    let drains = random.bool();
    let ended = async {
        while left.get() > 0 {
            yield_now().await;
            if drains && world.random(|random| random.u16(0..800)) == 0 {
                world.draining.set(true);
            }
        }
        if drains {
            assert_eq!(world.busy.get(), 0, "a drain ends when the last request has");
            world.disk.heal();
            for shard in &world.shards {
                // One whose log has failed is well again first: with its flushes it gives that up when it closes.
                while shard.refusal().is_some() {
                    yield_now().await;
                }
                if let Err(error) = shard.close().await {
                    // It may fail again at the last moment; what was acknowledged is in its log.
                    assert!(matches!(error, Error::LogFailed { .. }), "seed {seed}: {error}");
                    world.tally.borrow_mut().log_failures += 1;
                }
            }
        }
    };
    let steps_max = if drains || random.bool() { 2_000_000 } else { random.u64(1..20_000) };
    let end = tasks.run(ended, steps_max);
    assert!(end == SimEnd::Done(()) || !drains, "seed {seed}: a drain that does not end");
    drop(tasks);
    let now_ns = world.clocks.world_ns.get();
    drop(world);
    disk.heal();
    let mut tally = tally.borrow_mut();
    let all = drains && tally.log_failures == failures_before;
    let crashes = random.bool();
    if crashes {
        disk.crash();
    } else {
        disk.kill();
    }
    let (_, catalog, shards) = start(disk, counts.1);
    let found = block_on(everything(&shards, &table(&catalog)));
    check(seed, &found, &mut model.borrow_mut(), all, &mut tally);
    drop(shards);
    disk.kill();
    tally.drained += u64::from(drains);
    *if crashes { &mut tally.crashed } else { &mut tally.killed } += 1;
    now_ns
}

fn run(seed: u64) -> Tally {
    let tally = RefCell::new(Tally::default());
    let mut random = Rng::with_seed(seed);
    let disk = SimDisk::new(random.u64(..));
    let counts = (random.usize(1..3), random.usize(2..4));
    block_on(async {
        disk.create_dir(Path::new("/data")).await.unwrap();
        disk.sync_dir(Path::new("/")).await.unwrap();
        for shard in 0..counts.1 {
            disk.create_dir(&folder(shard)).await.unwrap();
        }
        disk.sync_dir(Path::new("/data")).await.unwrap();
    });
    create(&disk);
    disk.set_delays([0, 1, 4][random.usize(0..3)]);
    let model = RefCell::new(Model::default());
    let mut now_ns = 1_700_000_000 * SECOND_NS;
    for _ in 0..random.usize(1..4) {
        now_ns = live(seed, &mut random, &disk, counts, (&model, &tally), now_ns);
    }
    tally.borrow_mut().too_many_files += disk.counts().too_many_files;
    tally.take()
}

#[test]
fn rows_go_when_a_clock_that_is_believed_says_so_and_not_before() {
    few(0..40, run);
}

#[test]
#[ignore = "runs for minutes: see docs/internals/simulation.md"]
fn soak() {
    sim::soak("expiry", run);
}
