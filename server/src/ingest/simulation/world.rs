//! Cores with their catalogs and caches, the shards that they own, and the owner of the catalog.

use std::cell::{Cell, RefCell};
use std::collections::BTreeSet;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use fastrand::Rng;
use futures_lite::future::yield_now;
use tidewire_storage::disk::sim::SimDisk;
use tidewire_storage::engine::Shard;
use tidewire_storage::schema::{Catalog, TableId};

use super::Tally;
use super::model::Model;
use crate::core::message::{Append, Appended, TableBatch};
use crate::core::recycled::RecycledBatches;
use crate::ingest::batch::ShardRows;
use crate::ingest::caches::DatabaseCaches;
use crate::ingest::error::WriteError;
use crate::ingest::host::WriteHost;
use crate::ingest::target::Place;
use crate::memory::budget::{Keys, divide};
use crate::memory::{CoreMemory, Memory};
use tidewire_base::catalog::owner::{CatalogHost, CatalogOwner, Outcome};
use tidewire_base::catalog::{Published, SchemaChange};

/// A server.
pub(super) struct World<'t> {
    pub(super) cores: Vec<Rc<Core>>,
    pub(super) shards: Vec<Rc<Shard<SimDisk>>>,
    pub(super) owner: Rc<CatalogOwner<SimDisk>>,
    pub(super) model: &'t RefCell<Model>,
    pub(super) tally: &'t RefCell<Tally>,
    pub(super) random: RefCell<Rng>,
    /// Data that is to be dropped, by shard.
    pub(super) drops: RefCell<Vec<(usize, Vec<TableId>)>>,
}

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

    /// The shards of a core.
    fn shards_of(&self, core: usize) -> impl Iterator<Item = (usize, &Rc<Shard<SimDisk>>)> {
        let cores = self.cores.len();
        self.shards.iter().enumerate().filter(move |(shard, _)| shard % cores == core)
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
                true => shard.drop_tables(&effects.dropped).await.unwrap(),
                false => self.drops.borrow_mut().push((number, effects.dropped.clone())),
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

    async fn turn(&self) {
        self.world.pause(1).await;
    }

    fn shard_count(&self) -> u32 {
        self.world.shards.len() as u32
    }

    async fn admit(&self, _: Place<'_>, _: &[ShardRows]) -> Result<(), WriteError> {
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

    async fn append(&self, Append { shard, rows }: Append) -> impl Future<Output = Appended> {
        self.world.pause(2).await;
        let world = self.world.clone();
        async move {
            world.pause(4).await;
            let open = &world.shards[shard as usize];
            // As `core::shards` does it.
            let is_live = |part: &&TableBatch| !open.has_ended(part.table.id);
            let live: Vec<_> = rows.iter().filter(is_live).map(|part| (&part.batch, &*part.table)).collect();
            world.tally.borrow_mut().overtaken += (rows.len() - live.len()) as u64;
            let (lsn, ids) = match open.append_all(&live) {
                Ok(appended) => appended,
                Err(error) => return Appended { rows, outcome: Err(error) },
            };
            let mut ids = ids.into_iter();
            let of_part = |part: &TableBatch| if is_live(&part) { ids.next().unwrap() } else { Vec::new() };
            let ids = rows.iter().map(of_part).collect();
            let outcome = open.durable(lsn).await.map(|()| ids);
            world.pause(2).await;
            Appended { rows, outcome }
        }
    }
}
