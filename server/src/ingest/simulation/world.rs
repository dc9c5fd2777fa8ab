//! Cores with their catalogs and caches, the shards that they own, and the owner of the catalog.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeSet, VecDeque};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use fastrand::Rng;
use futures_lite::future::yield_now;
use tidewire_storage::Error;
use tidewire_storage::disk::sim::SimDisk;
use tidewire_storage::engine::Shard;
use tidewire_storage::schema::{Catalog, TableId};

use super::Tally;
use super::model::Model;
use crate::core::message::{Append, Appended};
use crate::core::recycled::RecycledBatches;
use crate::ingest::admit::too_long_row;
use crate::ingest::batch::ShardRows;
use crate::ingest::caches::DatabaseCaches;
use crate::ingest::error::WriteError;
use crate::ingest::host::WriteHost;
use crate::ingest::target::Place;
use crate::memory::budget::{Keys, divide};
use crate::memory::{CoreMemory, Memory};
use tidewire_base::catalog::owner::{CatalogHost, CatalogOwner, Outcome};
use tidewire_base::catalog::{Published, SchemaChange};
use tidewire_base::oneshot::{Sender, oneshot};

/// Size of a log file.
pub(super) const WAL_FILE_BYTES: u64 = 64 << 10;

/// A server.
pub(super) struct World<'t> {
    pub(super) disk: SimDisk,
    pub(super) cores: Vec<Rc<Core>>,
    pub(super) shards: Vec<Rc<Shard<SimDisk>>>,
    pub(super) owner: Rc<CatalogOwner<SimDisk>>,
    pub(super) model: &'t RefCell<Model>,
    pub(super) tally: &'t RefCell<Tally>,
    pub(super) random: RefCell<Rng>,
    /// Data that is to be dropped, by shard.
    pub(super) drops: RefCell<Vec<(usize, Vec<TableId>)>>,
    /// Rows on their way to their shards.
    pub(super) mail: RefCell<Mail>,
    pub(super) clocks: Clocks,
    /// The disk fails at times.
    pub(super) is_faulty: bool,
    /// The process is to end: no request begins any more.
    pub(super) is_draining: Cell<bool>,
    /// It has waited long enough: requests are given up.
    pub(super) is_cut: Cell<bool>,
}

/// The clock of the world beside one that only goes on.
#[derive(Debug)]
pub(super) struct Clocks {
    pub(super) world_ns: Cell<i64>,
    pub(super) elapsed: Cell<Duration>,
}

impl Clocks {
    pub(super) fn new(world_ns: i64) -> Self {
        Self { world_ns: Cell::new(world_ns), elapsed: Cell::default() }
    }

    pub(super) fn pass(&self, time: Duration) {
        self.elapsed.set(self.elapsed.get() + time);
        self.world_ns.set(self.world_ns.get() + time.as_nanos() as i64);
    }

    pub(super) fn set(&self, by_ns: i64) {
        self.world_ns.set(self.world_ns.get() + by_ns);
    }

    pub(super) fn difference(&self) -> i64 {
        self.world_ns.get() - self.elapsed.get().as_nanos() as i64
    }
}

/// Rows on their way.
pub(super) struct Letter {
    pub(super) rows: Append,
    pub(super) answer: Sender<Appended>,
}

/// Letters by core, in the order in which they were sent.
pub(super) type Mail = Vec<VecDeque<Letter>>;

/// One of its cores.
pub(super) struct Core {
    catalog: RefCell<Arc<Catalog>>,
    caches: DatabaseCaches,
    recycled: RecycledBatches,
}

/// A core as requests see it.
#[derive(Clone)]
pub(super) struct CoreHost<'t> {
    pub(super) world: Rc<World<'t>>,
    pub(super) core: Rc<Core>,
    /// The one request that it is made for.
    pub(super) request: usize,
}

impl Core {
    pub(super) fn new(number: usize, catalog: &Arc<Catalog>) -> Rc<Self> {
        let budget = divide(256 << 20, 1, 1, Keys::default()).unwrap();
        Rc::new(Self {
            catalog: RefCell::new(catalog.clone()),
            caches: DatabaseCaches::new(CoreMemory::new(number, Memory::new(budget, None, number + 1))),
            recycled: RecycledBatches::default(),
        })
    }

    pub(super) fn catalog(&self) -> Arc<Catalog> {
        self.catalog.borrow().clone()
    }
}

impl World<'_> {
    pub(super) fn chance(&self, of: u32) -> bool {
        self.random.borrow_mut().u32(0..of) == 0
    }

    /// Lets others run, for a while.
    pub(super) async fn pause(&self, most: usize) {
        let turns = self.random.borrow_mut().usize(0..=most);
        for _ in 0..turns {
            yield_now().await;
        }
    }

    /// Panics at an error of a shard that nothing excuses.
    pub(super) fn excuse(&self, error: &Error) {
        let is_excused = match error {
            Error::Io { .. } | Error::LogFailed { .. } | Error::NoSpace { .. } => self.is_faulty,
            Error::Closed => self.is_draining.get(),
            _ => false,
        };
        assert!(is_excused, "seed {}: {error}", self.model.borrow().seed);
    }

    /// The shards of a core.
    pub(super) fn shards_of(&self, core: usize) -> impl Iterator<Item = (u32, &Rc<Shard<SimDisk>>)> {
        let cores = self.cores.len();
        (0..).zip(&self.shards).filter(move |(shard, _)| *shard as usize % cores == core)
    }

    /// As `core::serve` takes a catalog over.
    async fn use_catalog(&self, core: usize, published: &Published) {
        let effects = &published.effects;
        for (_, shard) in self.shards_of(core) {
            effects.changed.iter().for_each(|table| shard.set_columns(table));
        }
        *self.cores[core].catalog.borrow_mut() = published.catalog.clone();
        self.shards_of(core).for_each(|(_, shard)| shard.end_tables(&effects.dropped));
        self.cores[core].caches.end(&effects.stale);
        if effects.dropped.is_empty() {
            return;
        }
        for (number, shard) in self.shards_of(core) {
            // It is waited for, unless that takes long.
            match self.chance(2) {
                // Where it fails, a start removes what the catalog no longer names.
                true => shard.drop_tables(&effects.dropped).await.unwrap_or_else(|error| self.excuse(&error)),
                false => self.drops.borrow_mut().push((number as usize, effects.dropped.clone())),
            }
        }
    }

    /// Changes the catalog; the outcome is known everywhere.
    pub(super) async fn change(&self, change: SchemaChange) -> Outcome {
        self.pause(3).await;
        let outcome = self.owner.change(change).await;
        self.pause(3).await;
        outcome
    }
}

/// The owning core.
pub(super) struct Host<'t>(pub(super) Rc<World<'t>>);

impl CatalogHost for Host<'_> {
    async fn publish(&self, published: Arc<Published>) {
        let world = &self.0;
        let tables = published.catalog.databases.values().flat_map(|database| database.all_tables());
        tables.for_each(|table| {
            world.model.borrow_mut().born(table.id, table.columns.iter().map(|column| column.id));
        });
        let mut left: BTreeSet<usize> = (0..world.cores.len()).collect();
        while !left.is_empty() {
            let next = *world.random.borrow_mut().choice(&left).expect("one is left");
            left.remove(&next);
            world.pause(6).await;
            world.use_catalog(next, &published).await;
        }
        world.pause(3).await;
    }

    async fn pause(&self, _: Duration) {
        yield_now().await;
    }
}

impl WriteHost for CoreHost<'_> {
    type Grant = ();
    type Share = Cell<u64>;

    fn begin(&self) -> Result<Cell<u64>, WriteError> {
        Ok(Cell::default())
    }

    fn account(&self, share: &mut Cell<u64>, bytes: u64) -> Result<(), WriteError> {
        share.set(bytes);
        Ok(())
    }

    fn catalog(&self) -> Arc<Catalog> {
        self.core.catalog()
    }

    fn caches(&self) -> &DatabaseCaches {
        &self.core.caches
    }

    fn recycled(&self) -> &RecycledBatches {
        &self.core.recycled
    }

    fn shard_count(&self) -> u32 {
        self.world.shards.len() as u32
    }

    async fn admit(&self, _: Place<'_>, rows: &[ShardRows]) -> Result<(), WriteError> {
        if let Some(refused) = rows.iter().find_map(|rows| too_long_row(rows, WAL_FILE_BYTES)) {
            return Err(refused);
        }
        // What is gone by now must not be written to.
        self.world.model.borrow_mut().admit(self.request);
        // Credits may be waited for.
        let patience = if self.world.chance(6) { 400 } else { 4 };
        self.world.pause(patience).await;
        if self.world.chance(20) { Err(WriteError::TooMuchInFlight) } else { Ok(()) }
    }

    async fn change(&self, change: SchemaChange) -> Outcome {
        self.world.change(change).await
    }

    async fn yield_if_needed() {
        yield_now().await;
    }

    async fn append(&self, rows: Append) -> impl Future<Output = Appended> {
        self.world.pause(2).await;
        let (answer, answered) = oneshot();
        let core = rows.shard as usize % self.world.cores.len();
        self.world.mail.borrow_mut()[core].push_back(Letter { rows, answer });
        // Where a core is no more, nobody waits any longer either.
        async { answered.await.unwrap() }
    }
}
