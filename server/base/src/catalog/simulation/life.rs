//! One life of an owner: clients, writers, a failing disk, and a death.

use std::cell::{Cell, RefCell};
use std::path::Path;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use fastrand::Rng;
use futures_lite::future::{block_on, yield_now};
use tidewire_storage::disk::sim::{Fault, FaultKind, FaultRates, Operation, SimDisk, SimEnd, SimTasks};
use tidewire_storage::schema::{Catalog, ColumnKind};

use super::Tally;
use super::model::{Asked, Heard, Memory, Row};
use super::work;
use crate::catalog::error::CatalogError;
use crate::catalog::log::CatalogLog;
use crate::catalog::owner::{CatalogHost, CatalogOwner, Published};

const FOLDER: &str = "/data/meta";

/// What the lives of a seed share.
pub(super) struct Run<'t> {
    pub(super) seed: u64,
    pub(super) disk: SimDisk,
    pub(super) tally: &'t RefCell<Tally>,
    pub(super) rotate_bytes_min: u64,
}

/// The cores, as the owner and its clients see them.
struct World {
    shown: RefCell<Arc<Catalog>>,
    memory: RefCell<Memory>,
    clock: Cell<u64>,
    doubts: Cell<u64>,
    settled: Cell<u64>,
}

impl World {
    fn tick(&self) -> u64 {
        self.clock.set(self.clock.get() + 1);
        self.clock.get()
    }
}

#[derive(Clone)]
struct Host(Rc<World>);

impl CatalogHost for Host {
    async fn publish(&self, published: Arc<Published>) {
        yield_now().await;
        let newer = published.catalog.version > self.0.shown.borrow().version;
        assert!(newer, "a core would not take a catalog that is no newer than its own");
        *self.0.shown.borrow_mut() = published.catalog.clone();
        yield_now().await;
    }

    async fn pause(&self, _: Duration) {
        for _ in 0..20 {
            yield_now().await;
        }
    }
}

impl Run<'_> {
    /// Lives and dies; gives the catalog that a start finds afterwards. `catalog` is what one finds now.
    pub(super) fn live(&self, random: &mut Rng, start: &Catalog) -> Catalog {
        self.tally.borrow_mut().lives += 1;
        self.fail(random);
        let mut opened = block_on(CatalogLog::open(self.disk.clone(), Path::new(FOLDER)));
        while let Err(error) = &opened {
            self.tally.borrow_mut().failed_starts += 1;
            let is_damage = matches!(error, tidewire_storage::Error::Corrupt { .. });
            let may_flip = self.disk.counts().flipped_bits > 0;
            assert!(!is_damage || may_flip, "seed {}: {error}", self.seed);
            self.heal();
            opened = block_on(CatalogLog::open(self.disk.clone(), Path::new(FOLDER)));
            if let Err(error) = &opened {
                panic!("seed {}: {error}", self.seed);
            }
        }
        let (mut log, found) = opened.unwrap();
        assert_eq!((&found.databases, found.next_table), (&start.databases, start.next_table), "seed {}", self.seed);
        assert_eq!(found.users, start.users, "seed {}", self.seed);
        log.set_rotate_bytes_min(self.rotate_bytes_min);
        let owner = Rc::new(CatalogOwner::new(Arc::new(found), log));
        let world = Rc::new(World {
            shown: RefCell::new(owner.current()),
            memory: RefCell::default(),
            clock: Cell::default(),
            doubts: Cell::default(),
            settled: Cell::default(),
        });
        self.work(random, &owner, &world);
        drop(owner);
        let memory = world.memory.take();
        match random.bool() {
            true => {
                self.disk.crash();
                self.tally.borrow_mut().crashes += 1;
            }
            false => {
                self.disk.kill();
                self.tally.borrow_mut().kills += 1;
            }
        }
        self.heal();
        let (log, found) = block_on(CatalogLog::open(self.disk.clone(), Path::new(FOLDER)))
            .unwrap_or_else(|error| panic!("seed {}: {error}", self.seed));
        memory.check(start, &found, self.seed);
        let gone = memory.check_rows(&found, self.seed);
        self.count(&memory, &world, gone);
        // What one start has found the next one finds.
        drop(log);
        self.disk.crash();
        let (_, again) = block_on(CatalogLog::open(self.disk.clone(), Path::new(FOLDER)))
            .unwrap_or_else(|error| panic!("seed {}: {error}", self.seed));
        assert_eq!(again, found, "seed {}: a start undoes what another one found", self.seed);
        found
    }

    fn work(&self, random: &mut Rng, owner: &Rc<CatalogOwner<SimDisk>>, world: &Rc<World>) {
        let clients = random.usize(1..5);
        let left = Rc::new(Cell::new(clients));
        let mut tasks = SimTasks::new(random.u64(..));
        for _ in 0..clients {
            let (random, changes) = (random.fork(), random.usize(1..25));
            tasks.spawn(client(random, changes, owner.clone(), world.clone(), left.clone()));
        }
        tasks.spawn(writer(random.fork(), world.clone()));
        let runner = {
            let (owner, host) = (owner.clone(), Host(world.clone()));
            async move {
                loop {
                    owner.clone().run(host.clone()).await;
                    yield_now().await;
                }
            }
        };
        tasks.spawn(runner);
        let healing = {
            let (disk, mut random) = (self.disk.clone(), random.fork());
            async move {
                loop {
                    for _ in 0..random.usize(1..400) {
                        yield_now().await;
                    }
                    disk.heal();
                    disk.set_capacity(None);
                }
            }
        };
        if random.bool() {
            tasks.spawn(healing);
        }
        let watch = {
            let (owner, world) = (owner.clone(), world.clone());
            async move {
                let mut before = false;
                loop {
                    let now = owner.is_in_doubt();
                    world.doubts.set(world.doubts.get() + u64::from(now && !before));
                    world.settled.set(world.settled.get() + u64::from(before && !now));
                    before = now;
                    yield_now().await;
                }
            }
        };
        tasks.spawn(watch);
        let all_done = async {
            while left.get() > 0 {
                yield_now().await;
            }
        };
        let steps_max = if random.bool() { random.u64(1..3_000) } else { 20_000 };
        // Some die soon after they came to be in doubt.
        let linger = if random.bool() { random.u64(0..200) } else { u64::MAX };
        let doubted = Cell::new(0);
        let stop = || {
            doubted.set(doubted.get() + u64::from(owner.is_in_doubt()));
            doubted.get() > linger
        };
        if tasks.run_until(all_done, steps_max, stop) == SimEnd::Done(()) {
            self.tally.borrow_mut().ended += 1;
        }
        world.memory.borrow_mut().in_doubt = owner.is_in_doubt();
    }

    /// The disk is to fail, or not.
    fn fail(&self, random: &mut Rng) {
        if random.u8(0..3) == 0 {
            return;
        }
        if random.bool() {
            let rate = |random: &mut Rng, most: u32| if random.bool() { random.u32(0..most) } else { 0 };
            self.disk.set_rates(FaultRates {
                read: rate(random, 100),
                flipped_bit: rate(random, 300),
                write: rate(random, 1500),
                sync: rate(random, 1500),
                names: rate(random, 1500),
                ..FaultRates::default()
            });
        }
        for _ in 0..random.usize(0..3) {
            let operations =
                [Operation::Write, Operation::Sync, Operation::Rename, Operation::SyncDir, Operation::Create];
            let operation = operations[random.usize(0..operations.len())];
            let kinds = [FaultKind::Io, FaultKind::NoSpace, FaultKind::ShortWrite, FaultKind::ReadOnly];
            let kind = kinds[random.usize(0..kinds.len())];
            let (after, times) = (random.u32(0..30), if random.bool() { random.u32(1..6) } else { u32::MAX });
            self.disk.inject(Fault { after, times, ..Fault::next(operation, "meta", kind) });
        }
        if random.u8(0..3) == 0 {
            // What leaves the owner in doubt.
            let after = random.u32(0..25);
            self.disk.inject(Fault { after, ..Fault::lasting(Operation::Sync, "meta", FaultKind::Io) });
        }
        match random.u8(0..16) {
            0 => self.disk.set_read_only(),
            1 => self.disk.set_open_files_max(Some(self.disk.open_files() + random.u64(0..4))),
            _ => {}
        }
        if random.u8(0..3) == 0 {
            self.disk.set_capacity(Some(self.disk.used_bytes() + random.u64(0..600_000)));
        }
    }

    fn heal(&self) {
        self.disk.heal();
        self.disk.set_capacity(None);
    }

    fn count(&self, memory: &Memory, world: &World, gone: u64) {
        let mut tally = self.tally.borrow_mut();
        for asked in &memory.asked {
            *match asked.heard {
                Heard::Nothing => &mut tally.unheard,
                Heard::Done => &mut tally.acknowledged,
                Heard::Refused(_) => &mut tally.refused,
                Heard::Failed => &mut tally.failed,
                Heard::Doubtful => &mut tally.hidden,
            } += 1;
        }
        tally.rows += memory.rows.len() as u64;
        tally.gone += gone;
        tally.in_doubt += world.doubts.get();
        tally.settled += world.settled.get();
        tally.doubt_at_death += u64::from(memory.in_doubt);
        let files = self.disk.paths();
        tally.rotations += u64::from(files.iter().any(|path| !path.ends_with("catalog-00000001.log")));
    }
}

async fn client(
    mut random: Rng,
    changes: usize,
    owner: Rc<CatalogOwner<SimDisk>>,
    world: Rc<World>,
    left: Rc<Cell<usize>>,
) {
    for _ in 0..changes {
        let change = work::change(&mut random);
        let number = {
            let asked = &mut world.memory.borrow_mut().asked;
            asked.push(Asked { change: change.clone(), heard: Heard::Nothing, at: 0 });
            asked.len() - 1
        };
        let outcome = owner.change(change).await;
        let heard = match outcome {
            Ok(_) => Heard::Done,
            Err(CatalogError::NotSaved(reason) | CatalogError::NoSpace(reason))
                if reason.contains("whether the change is on disk") =>
            {
                Heard::Doubtful
            }
            Err(CatalogError::NotSaved(_) | CatalogError::NoSpace(_)) => Heard::Failed,
            Err(refusal) => Heard::Refused(refusal),
        };
        let at = world.tick();
        {
            let asked = &mut world.memory.borrow_mut().asked[number];
            (asked.heard, asked.at) = (heard, at);
        }
        for _ in 0..random.usize(0..30) {
            yield_now().await;
        }
    }
    left.set(left.get() - 1);
}

/// Writes values of fields that are shown.
async fn writer(mut random: Rng, world: Rc<World>) {
    loop {
        for _ in 0..random.usize(1..20) {
            yield_now().await;
        }
        let shown = world.shown.borrow().clone();
        let database = random.choice(shown.databases.values().collect::<Vec<_>>());
        let Some(policy) = database.and_then(|database| random.choice(&database.policies)) else { continue };
        let Some(table) = random.choice(policy.tables.values().collect::<Vec<_>>()) else { continue };
        let fields = table.columns.iter().filter(|column| column.kind != ColumnKind::Tag);
        let Some(column) = random.choice(fields.collect::<Vec<_>>()) else { continue };
        let (database, at) = (database.map_or_else(|| "".into(), |found| found.name.clone()), world.tick());
        world.memory.borrow_mut().rows.push(Row {
            database,
            policy: policy.name.clone(),
            table: table.name.clone(),
            column: column.name.clone(),
            table_id: table.id,
            column_id: column.id,
            at,
        });
    }
}
