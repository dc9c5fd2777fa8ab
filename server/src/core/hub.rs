//! One core's side of everything: its shards, its view of the catalog, what it waits for, and how it answers messages.
//!
//! Every core holds one [`Hub`] behind an `Rc`. Work for a shard is always a message to the shard's core, also when
//! that is this core: [`Hub::post`] then handles it at once, without a queue. So there is one way for each kind of work
//! and it runs the same on one core as on many.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, HashMap};
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Poll, Waker};
use std::time::{Duration, Instant};

use tidewire_protocol::line::Dialect;
use tidewire_sql::exec::{ExecError, FragmentRun, QueryContext, batch_bytes};
use tidewire_sql::explain::ShardMetrics as RunShard;
use tidewire_sql::stage::Fragment;
use tidewire_storage::Error;
use tidewire_storage::batch::{NewSeries, WriteBatch};
use tidewire_storage::engine::Shard;
use tidewire_storage::schema::{Catalog, TableId, TableSchema};
use tidewire_storage::wal::Lsn;

use crate::admission::{Admission, BuildBudget};
use crate::catalog::owner::{MetaHost, Outcome};
use crate::catalog::store::CatalogStore;
use crate::catalog::{MetaOwner, Published, SchemaChange};
use crate::config::Config;
use crate::core::message::{Answer, Appended, Message, Request};
use crate::core::offline::SetAside;
use crate::ingest::caches::{DatabaseCaches, SharedCache};
use crate::ingest::write::WriteError;
use crate::memory::{CoreMemory, Level, Part};
use crate::mesh::{Call, CallId, Calls, Credits, Mesh};
use crate::metrics::memory::MemoryMetrics;
use crate::metrics::registry::{Registry, Snapshot};
use crate::metrics::shard::{ShardMetrics, show_set_aside};
use crate::query::cardinality;
use crate::query::metered::{CountedShard, Counts};
use crate::query::run::PARTIALS_AHEAD_MAX;
use crate::ring::{Queue, Queues};
use crate::runtime::disk_rate::CoreDisk;

/// The core that owns the catalog.
pub const META_CORE: usize = 0;

/// Batches kept for use again; each holds the memory of one request's rows for one shard, so a handful covers the
/// connections that are busy at one time.
const RECYCLED_BATCHES_MAX: usize = 32;

/// Larger batches are not kept: with as many as [`RECYCLED_BATCHES_MAX`], what a core keeps is at most 64 MiB.
const RECYCLED_BATCH_BYTES_MAX: usize = 2 << 20;

/// A shard of this core.
pub type CoreShard = Shard<CoreDisk>;

/// Memory of a new series in the index until it is counted: a key of 150 bytes, and its tags' values and codes.
const SERIES_BYTES: u64 = 512;

/// Calls that this core may have open to itself at one time: they cross no queue, so only memory bounds them, and
/// connections are bounded before.
const LOCAL_CALLS_MAX: u32 = 1 << 20;

/// A fragment that runs here for a core: how many partials it may still send.
#[derive(Debug)]
struct RunningFragment {
    left: Cell<u32>,
    cancelled: Cell<bool>,
    waker: RefCell<Option<Waker>>,
}

impl RunningFragment {
    fn change(&self, change: impl FnOnce(&Self)) {
        change(self);
        if let Some(waker) = self.waker.borrow_mut().take() {
            waker.wake();
        }
    }

    /// Takes leave to send one partial, waiting for it; `false` when the asker wants no more.
    async fn may_send(&self) -> bool {
        std::future::poll_fn(|context| {
            if self.cancelled.get() {
                return Poll::Ready(false);
            }
            if self.left.get() > 0 {
                self.left.set(self.left.get() - 1);
                return Poll::Ready(true);
            }
            *self.waker.borrow_mut() = Some(context.waker().clone());
            Poll::Pending
        })
        .await
    }
}

/// What an [`Hub`] is made from.
pub struct HubParts {
    /// This core's number.
    pub core: usize,
    /// The core of each shard.
    pub placement: Vec<usize>,
    /// The shards of this core.
    pub shards: BTreeMap<u32, Rc<CoreShard>>,
    /// The loaded catalog.
    pub catalog: Arc<Catalog>,
    /// Where the catalog is kept; used by the owning core.
    pub store: CatalogStore,
    /// Messages to the other cores.
    pub mesh: Rc<Mesh<Message>>,
    /// Credits of all shards.
    pub admission: Arc<Admission>,
    /// Shards that damage keeps closed, of all cores.
    pub set_aside: Arc<SetAside>,
    /// The task queues of this core.
    pub queues: Queues,
    /// Settings.
    pub config: Arc<Config>,
    /// What this core holds, and the bound of all.
    pub memory: Rc<CoreMemory>,
    /// Counters of this core.
    pub registry: Rc<Registry>,
}

/// Work that is refused when memory is short.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RefusedWork {
    /// Queries, before they begin.
    Queries,
    /// Writes that bring new series.
    Series,
    /// All writes.
    Writes,
}

/// One core's side of everything.
pub struct Hub {
    /// This core's number.
    pub core: usize,
    /// Settings.
    pub config: Arc<Config>,
    /// Credits of all shards.
    pub admission: Arc<Admission>,
    /// Shards that damage keeps closed, of all cores.
    pub set_aside: Arc<SetAside>,
    /// Rows parsed and not yet granted, on this core.
    pub building: BuildBudget,
    /// What this core holds, and the bound of all.
    pub memory: Rc<CoreMemory>,
    memory_metrics: MemoryMetrics,
    placement: Vec<usize>,
    shards: BTreeMap<u32, Rc<CoreShard>>,
    registry: Rc<Registry>,
    shard_metrics: Vec<ShardMetrics>,
    /// When each shard's last record was appended: its LSN, and since when it has not moved.
    idle: RefCell<BTreeMap<u32, (Lsn, Instant)>>,
    catalog: RefCell<Arc<Catalog>>,
    meta: Option<Rc<MetaOwner>>,
    store: CatalogStore,
    mesh: Rc<Mesh<Message>>,
    queues: Queues,
    calls: Rc<Calls<Answer>>,
    local_credits: Rc<Credits>,
    /// Fragments running here, by asking core and its call.
    fragments: RefCell<HashMap<(usize, CallId), Rc<RunningFragment>>>,
    caches: DatabaseCaches,
    recycled: RefCell<Vec<WriteBatch>>,
}

impl Hub {
    /// The core's hub.
    pub fn new(parts: HubParts) -> Rc<Self> {
        let meta = (parts.core == META_CORE).then(|| Rc::new(MetaOwner::new(parts.catalog.clone())));
        let building = BuildBudget::new(parts.memory.shared().budget().parsing_bytes_max);
        let owned = (0..).zip(&parts.placement).filter(|(_, core)| **core == parts.core).map(|(shard, _)| shard);
        show_set_aside(owned, &parts.set_aside, &parts.registry);
        let hub = Rc::new(Self {
            core: parts.core,
            admission: parts.admission,
            set_aside: parts.set_aside,
            building,
            memory_metrics: MemoryMetrics::new(parts.core, &parts.registry),
            caches: DatabaseCaches::new(parts.memory.clone()),
            memory: parts.memory,
            placement: parts.placement,
            shard_metrics: parts.shards.keys().map(|shard| ShardMetrics::new(*shard, &parts.registry)).collect(),
            idle: RefCell::default(),
            shards: parts.shards,
            registry: parts.registry,
            catalog: RefCell::new(parts.catalog),
            meta,
            store: parts.store,
            mesh: parts.mesh,
            queues: parts.queues,
            config: parts.config,
            calls: Calls::new(),
            local_credits: Credits::new(LOCAL_CALLS_MAX),
            fragments: RefCell::default(),
            recycled: RefCell::default(),
        });
        hub.tell_columns(None, &hub.catalog());
        hub
    }

    /// Number of shards of the server.
    pub fn shard_count(&self) -> u32 {
        self.placement.len() as u32
    }

    /// Number of cores.
    pub fn core_count(&self) -> usize {
        self.mesh.cores()
    }

    /// The core that owns `shard`.
    pub fn core_of(&self, shard: u32) -> usize {
        self.placement[shard as usize]
    }

    /// The newest catalog that this core has.
    pub fn catalog(&self) -> Arc<Catalog> {
        self.catalog.borrow().clone()
    }

    /// The shards of this core.
    pub fn shards(&self) -> impl Iterator<Item = (u32, &Rc<CoreShard>)> {
        self.shards.iter().map(|(number, shard)| (*number, shard))
    }

    /// The task queues of this core.
    pub fn queues(&self) -> &Queues {
        &self.queues
    }

    /// Sends `message` to `core`, or handles it at once when that is this core.
    pub fn post(self: &Rc<Self>, core: usize, message: Message) {
        if core == self.core {
            self.handle(core, message);
        } else {
            self.mesh.send(core, message);
        }
    }

    /// Asks `core` for something; waits while too much is asked of it already. `answers` may come at once.
    pub async fn call(self: &Rc<Self>, core: usize, answers: u32, request: Request) -> Call<Answer> {
        let credits = if core == self.core { &self.local_credits } else { self.mesh.credits(core) };
        let call = self.calls.open(credits.take(answers).await);
        self.post(core, Message::Request { id: call.id(), request });
        call
    }

    /// Works on a message. Never waits: what takes time is spawned.
    pub fn handle(self: &Rc<Self>, from: usize, message: Message) {
        match message {
            Message::Request { id, request } => self.work(from, id, request),
            Message::Answer { id, answer, last } => {
                self.calls.deliver(id, answer, last);
            }
            Message::Grant { id } => {
                if let Some(running) = self.fragments.borrow().get(&(from, id)) {
                    running.change(|r| r.left.set(r.left.get() + 1));
                }
            }
            Message::Cancel { id } => {
                if let Some(running) = self.fragments.borrow().get(&(from, id)) {
                    running.change(|r| r.cancelled.set(true));
                }
            }
        }
    }

    fn work(self: &Rc<Self>, from: usize, id: CallId, request: Request) {
        match request {
            Request::Append { shard, batch, table } => self.append(from, id, shard, batch, &table),
            Request::RunFragment { shard, fragment, context } => {
                self.run_fragment(from, id, shard, fragment, context);
            }
            Request::Delete { shard, deletion } => {
                let owned = match self.owned(shard) {
                    Ok(owned) => owned.clone(),
                    Err(error) => return self.answer(from, id, Answer::Deleted(Err(error.into()))),
                };
                let hub = self.clone();
                self.spawn(Queue::Query, async move {
                    let outcome = crate::query::delete::delete_from(&owned, &deletion).await;
                    hub.answer(from, id, Answer::Deleted(outcome));
                });
            }
            Request::Change(change) => {
                let hub = self.clone();
                self.spawn(Queue::Ingest, async move {
                    let outcome = hub.change(change).await;
                    hub.answer(from, id, Answer::Changed(outcome));
                });
            }
            Request::Publish(published) => {
                let hub = self.clone();
                self.spawn(Queue::Ingest, async move {
                    hub.take_published(&published).await;
                    hub.answer(from, id, Answer::Published);
                });
            }
            Request::CheckSeries { shard, table, keys } => {
                // A shard that is set aside takes no rows either way.
                let count = self.owned(shard).map_or(0, |owned| owned.unknown_series(table, &keys));
                self.answer(from, id, Answer::UnknownSeries(count));
            }
            Request::Cardinality(tables) => {
                let (counts, sketch) = cardinality::count(self.shards.values(), &tables);
                self.answer(from, id, Answer::Cardinality(counts, Box::new(sketch)));
            }
            Request::Metrics => self.answer(from, id, Answer::Metrics(Box::new(self.snapshot()))),
        }
    }

    fn answer(self: &Rc<Self>, to: usize, id: CallId, answer: Answer) {
        self.post(to, Message::Answer { id, answer, last: true });
    }

    fn spawn(&self, queue: Queue, future: impl Future<Output = ()> + 'static) {
        self.queues.spawn(queue, future).detach();
    }

    /// Sends rows to their shard. The call's one answer is [`Answer::Appended`]: see [`Self::appended`].
    pub async fn send_rows(
        self: &Rc<Self>,
        shard: u32,
        batch: Box<WriteBatch>,
        table: Arc<TableSchema>,
    ) -> Call<Answer> {
        self.call(self.core_of(shard), 1, Request::Append { shard, batch, table }).await
    }

    /// Waits until the rows of a [`Self::send_rows`] are durable or refused.
    pub async fn appended(&self, mut call: Call<Answer>) -> Appended {
        match call.next().await {
            Some(Answer::Appended(appended)) => appended,
            other => unreachable!("BUG: {other:?} is no answer to rows"),
        }
    }

    /// Changes the catalog; resolves when the change is durable and visible on every core.
    pub async fn change(self: &Rc<Self>, change: SchemaChange) -> Outcome {
        if let Some(meta) = &self.meta {
            let outcome = meta.change(change);
            self.spawn(Queue::Ingest, meta.clone().run(Host(self.clone())));
            return outcome.await;
        }
        match self.call(META_CORE, 1, Request::Change(change)).await.next().await {
            Some(Answer::Changed(outcome)) => outcome,
            other => unreachable!("BUG: {other:?} is no answer to a change"),
        }
    }

    /// The metrics of every core.
    pub async fn gather_metrics(self: &Rc<Self>) -> Vec<Snapshot> {
        let mut calls = Vec::new();
        for core in 0..self.core_count() {
            calls.push(self.call(core, 1, Request::Metrics).await);
        }
        let mut snapshots = Vec::new();
        for mut call in calls {
            match call.next().await {
                Some(Answer::Metrics(snapshot)) => snapshots.push(*snapshot),
                other => unreachable!("BUG: {other:?} is no answer to a request for metrics"),
            }
        }
        snapshots
    }

    /// The caches of a database's retention policy for lines of one dialect, made new when they have outgrown their
    /// bound.
    pub fn database_cache(&self, database: &str, policy: &str, dialect: Dialect) -> SharedCache {
        self.caches.get(database, policy, dialect)
    }

    /// The caches of all databases.
    pub fn caches(&self) -> &DatabaseCaches {
        &self.caches
    }

    /// Forgets the caches of a database: what they know may no longer hold.
    pub fn forget_cache(&self, database: &str) {
        self.caches.retain(|name| name != database);
    }

    /// The most rows, in bytes, that a request can have: what all its owners together can hold.
    pub fn row_bytes_max(&self) -> u64 {
        self.admission.bounds().held_bytes_max.saturating_mul(self.placement.len() as u64)
    }

    /// An error when memory is so short that no write is taken.
    pub fn check_memory(&self) -> Result<(), WriteError> {
        match self.memory.shared().shortage(Level::Full) {
            None => Ok(()),
            Some(shortage) => {
                self.count_refused(RefusedWork::Writes);
                Err(WriteError::ShortOfMemory(shortage))
            }
        }
    }

    /// Counts work that is refused because memory is short.
    pub fn count_refused(&self, work: RefusedWork) {
        self.memory_metrics.refused(work);
    }

    /// How many of `keys` belong to no series of the shard yet.
    pub async fn unknown_series(self: &Rc<Self>, shard: u32, table: TableId, keys: NewSeries) -> usize {
        let request = Request::CheckSeries { shard, table, keys };
        match self.call(self.core_of(shard), 1, request).await.next().await {
            Some(Answer::UnknownSeries(count)) => count,
            other => unreachable!("BUG: {other:?} is no answer to keys"),
        }
    }

    /// Memory for batches, as many as there are shards.
    pub fn recycled_batches(&self) -> Vec<WriteBatch> {
        let mut recycled = self.recycled.borrow_mut();
        let keep = recycled.len().saturating_sub(self.placement.len());
        recycled.split_off(keep)
    }

    /// Takes batches back for use again.
    pub fn recycle(&self, batches: impl IntoIterator<Item = WriteBatch>) {
        let mut recycled = self.recycled.borrow_mut();
        for batch in batches {
            if recycled.len() < RECYCLED_BATCHES_MAX && batch.bytes() <= RECYCLED_BATCH_BYTES_MAX {
                recycled.push(batch);
            }
        }
    }

    /// Bytes of the batches that are kept for use again.
    pub fn recycled_bytes(&self) -> u64 {
        self.recycled.borrow().iter().map(|batch| batch.reserved() as u64).sum()
    }

    /// Lets the batches go that are kept for use again.
    pub fn drop_recycled(&self) {
        self.recycled.borrow_mut().clear();
    }

    /// Reports the memtables of this core's shards to the admission counters.
    pub fn report_memory(&self) {
        for (number, shard) in &self.shards {
            self.admission.set_memtable(*number, shard.memtable_bytes());
        }
    }

    fn append(self: &Rc<Self>, from: usize, id: CallId, shard: u32, batch: Box<WriteBatch>, table: &TableSchema) {
        let owned = self.owned(shard);
        let before = owned.as_ref().map_or(0, |owned| owned.memtable_bytes());
        match owned.and_then(|owned| Ok((owned.append(&batch, table)?, owned))) {
            Err(error) => self.answer(from, id, Answer::Appended(Appended { batch, outcome: Err(error) })),
            Ok((appended, owned)) => {
                let after = owned.memtable_bytes();
                self.admission.set_memtable(shard, after);
                self.memory.change(Part::Memtables, before.min(after), after);
                // About right until the series are counted at the next tick.
                self.memory.change(Part::Series, 0, appended.new_series.len() as u64 * SERIES_BYTES);
                let (hub, owned) = (self.clone(), owned.clone());
                self.spawn(Queue::Ingest, async move {
                    let outcome = owned.durable(appended.lsn).await.map(|()| appended.new_series);
                    hub.answer(from, id, Answer::Appended(Appended { batch, outcome }));
                });
            }
        }
    }

    fn run_fragment(
        self: &Rc<Self>,
        from: usize,
        id: CallId,
        shard: u32,
        fragment: Arc<Fragment>,
        context: QueryContext,
    ) {
        let owned = match self.owned(shard) {
            Ok(owned) => owned.clone(),
            Err(error) => return self.answer(from, id, Answer::FragmentDone(Err(error.into()))),
        };
        let running = Rc::new(RunningFragment {
            left: Cell::new(PARTIALS_AHEAD_MAX),
            cancelled: Cell::new(false),
            waker: RefCell::default(),
        });
        self.fragments.borrow_mut().insert((from, id), running.clone());
        let hub = self.clone();
        self.spawn(Queue::Query, async move {
            let started = Instant::now();
            let (reader, counts) = CountedShard::new(owned);
            let run = FragmentRun::new(fragment, reader, context.clone());
            let outcome = hub.send_partials((from, id), &running, run, &context).await.map(|rows_sent| {
                let Counts { rows, chunks } = counts.get();
                RunShard { shard, rows_scanned: rows, chunks, rows_sent, elapsed: started.elapsed() }
            });
            hub.fragments.borrow_mut().remove(&(from, id));
            hub.answer(from, id, Answer::FragmentDone(outcome));
        });
    }

    /// Sends what a fragment yields, as the asker grants; returns the number of rows.
    async fn send_partials(
        self: &Rc<Self>,
        (to, id): (usize, CallId),
        running: &RunningFragment,
        mut run: FragmentRun<CountedShard>,
        context: &QueryContext,
    ) -> Result<u64, ExecError> {
        let mut rows_sent = 0;
        while let Some(batch) = run.next().await? {
            let mut held = context.reservation();
            held.resize(batch_bytes(&batch))?;
            if !running.may_send().await {
                break;
            }
            rows_sent += batch.num_rows() as u64;
            self.post(to, Message::Answer { id, answer: Answer::Partial { batch, held }, last: false });
        }
        Ok(rows_sent)
    }

    /// A shard of this core; an error when it is set aside. Every core places shards alike, so a message never goes to
    /// the wrong one.
    fn owned(&self, shard: u32) -> Result<&Rc<CoreShard>, Error> {
        self.set_aside.check(shard)?;
        match self.shards.get(&shard) {
            Some(owned) => Ok(owned),
            None => unreachable!("BUG: shard {shard} does not live on core {}", self.core),
        }
    }

    /// Tells the shards the columns of the tables that have changed since `before`; of all, at the start.
    fn tell_columns(&self, before: Option<&Catalog>, catalog: &Catalog) {
        for (name, database) in &catalog.databases {
            let known = before.and_then(|before| before.databases.get(name));
            if known.is_some_and(|known| Arc::ptr_eq(known, database)) {
                continue;
            }
            let was_there = |table: &Arc<TableSchema>| {
                let mut policies = known.into_iter().flat_map(|known| &known.policies);
                policies.any(|policy| policy.tables.get(&table.name).is_some_and(|known| Arc::ptr_eq(known, table)))
            };
            for table in database.all_tables().filter(|table| !was_there(table)) {
                self.shards.values().for_each(|shard| shard.set_columns(table));
            }
        }
    }

    async fn take_published(self: &Rc<Self>, published: &Published) {
        let before = self.catalog();
        if published.catalog.version > before.version {
            self.tell_columns(Some(&before), &published.catalog);
            *self.catalog.borrow_mut() = published.catalog.clone();
        }
        if published.dropped.is_empty() && published.narrowed.is_empty() {
            return;
        }
        self.caches.retain(|name| {
            let is_stale = |table: &Arc<TableSchema>| {
                published.dropped.contains(&table.id) || published.narrowed.contains(&table.id)
            };
            before.databases.get(name).is_none_or(|database| !database.all_tables().any(is_stale))
        });
        for (number, shard) in &self.shards {
            for table in &published.dropped {
                if let Err(error) = shard.drop_table(*table).await {
                    // The catalog no longer names the table, so at the next start its files are removed.
                    log::error!("shard {number}: cannot drop the data of table {}: {error}", table.0);
                }
            }
        }
        self.report_memory();
    }

    /// Flushes the memtables that have rested for `memtable.flush_idle_s`.
    pub async fn flush_idle(&self) {
        let patience = Duration::from_secs(self.config.memtable.flush_idle_s);
        if patience.is_zero() {
            return;
        }
        for (number, shard) in &self.shards {
            let (lsn, now) = (shard.lsn(), Instant::now());
            let since = {
                let mut idle = self.idle.borrow_mut();
                let entry = idle.entry(*number).or_insert((lsn, now));
                if entry.0 != lsn {
                    *entry = (lsn, now);
                }
                entry.1
            };
            if now.duration_since(since) >= patience && shard.has_unflushed() {
                if let Err(error) = shard.flush().await {
                    log::error!("shard {number}: an idle memtable cannot be flushed: {error}");
                    // Another try after as long a rest.
                    self.idle.borrow_mut().insert(*number, (lsn, Instant::now()));
                }
                self.report_memory();
            }
        }
    }

    fn snapshot(&self) -> Snapshot {
        for ((number, shard), metrics) in self.shards.iter().zip(&self.shard_metrics) {
            metrics.update(*number, &shard.stats(), &self.admission);
        }
        self.memory_metrics.update(&self.memory);
        self.registry.snapshot()
    }
}

/// The owning core, as the catalog's owner sees it.
struct Host(Rc<Hub>);

impl MetaHost for Host {
    async fn save(&self, catalog: Arc<Catalog>) -> Result<(), String> {
        let store = self.0.store.clone();
        crate::ring::blocking(move || store.save(&catalog).map_err(std::io::Error::other))
            .await
            .map_err(|error| error.to_string())
    }

    async fn publish(&self, published: Published) {
        let hub = &self.0;
        let mut calls = Vec::new();
        for core in 0..hub.core_count() {
            calls.push(hub.call(core, 1, Request::Publish(published.clone())).await);
        }
        for mut call in calls {
            call.next().await;
        }
    }
}
