//! One core's answers: what the cores, this one included, ask of it.
//!
//! [`Responder`] is the core's [`Handler`]. It answers at once what takes no time, and spawns what does: rows that wait
//! for the log, fragments, deletes, changes of the catalog. On the core that owns the catalog it also works for the
//! catalog's owner: it hands what has changed to every core.

use std::rc::{Rc, Weak};
use std::sync::Arc;
use std::time::Duration;

use futures_lite::future;
use tidewire_sql::exec::ExecError;

use super::forwarding::Forwarding;
use super::fragments::Fragments;
use super::message::{
    AnyQuestion, Append, Appended, Asker, ChangeCatalog, CollectLate, CoreTasks, CountUnknownSeries, Delete,
    DeleteFailure, DeleteWatched, FragmentAnswer, Handler, Message, Question, RunFragment, UseCatalog,
};
use super::peers::CATALOG_CORE;
use super::shards::{CoreShard, Shards};
use super::state::CoreState;
use crate::metrics::database::show_databases;
use crate::metrics::registry::{Registry, Snapshot};
use crate::query::{cardinality, delete, schema};
use crate::ring::{self, Caught, Queue, RingDisk};
use tidewire_base::catalog::log::CatalogLog;
use tidewire_base::catalog::owner::CatalogHost;
use tidewire_base::catalog::{CatalogOwner, Published, SchemaChange};
use tidewire_base::oneshot::oneshot;

/// How long a change of the catalog waits for the data of dropped tables to go. That is soon, unless the shard is
/// writing its segments: then the data goes when it has. Nobody sees it, and a start would drop it, too.
const DATA_DROP_WAIT: Duration = Duration::from_millis(300);

/// Answers what one core is asked.
pub struct Responder {
    core: Rc<CoreState>,
    shards: Rc<Shards>,
    fragments: Rc<Fragments>,
    /// On the core that owns the catalog.
    catalog_owner: Option<Rc<CatalogOwner<RingDisk>>>,
    registry: Rc<Registry>,
    forwarding: Rc<Forwarding>,
}

impl Responder {
    /// The answers of a core with these shards; its peers know of them from now on. The core that owns the catalog has
    /// its log.
    pub fn new(
        core: Rc<CoreState>,
        shards: Rc<Shards>,
        log: Option<CatalogLog<RingDisk>>,
        registry: Rc<Registry>,
    ) -> Rc<Self> {
        let catalog = core.catalog();
        let tables = catalog.databases.values().flat_map(|database| database.all_tables());
        shards.set_columns(tables.filter(|table| table.says_of_columns()));
        let catalog_owner = log.map(|log| Rc::new(CatalogOwner::new(catalog, log)));
        let peers = core.peers.clone();
        let forwarding = Forwarding::new(core.forwarder.clone(), core.queues);
        let fragments = Rc::default();
        let responder = Rc::new(Self { core, shards, fragments, catalog_owner, registry, forwarding });
        let own: Weak<Self> = Rc::downgrade(&responder);
        peers.set_own_handler(own);
        responder
    }

    fn spawn(&self, queue: Queue, what: &'static str, future: impl Future<Output = ()> + 'static) {
        self.core.queues.spawn(queue, what, future).detach();
    }

    fn work(self: &Rc<Self>, question: AnyQuestion) {
        let peers = &self.core.peers;
        match question {
            AnyQuestion::Append(asker, rows) => self.append(asker, rows),
            AnyQuestion::RunFragment(asker, question) => self.run_fragment(asker, question),
            AnyQuestion::Delete(asker, question) => self.delete(asker, question),
            AnyQuestion::SetWatch(asker, question) => {
                self.shards.watch(&question);
                peers.answer(asker, ());
            }
            AnyQuestion::DeleteWatched(asker, question) => self.delete_watched(asker, question),
            AnyQuestion::ChangeCatalog(asker, ChangeCatalog(change)) => self.change_catalog(asker, change),
            AnyQuestion::UseCatalog(asker, UseCatalog(published)) => {
                let responder = self.clone();
                self.spawn(Queue::Ingest, "a new catalog", async move {
                    responder.use_catalog(&published).await;
                    responder.core.peers.answer(asker, ());
                });
            }
            AnyQuestion::CountUnknownSeries(asker, CountUnknownSeries { shard, table, keys }) => {
                // A shard that is offline takes no rows either way.
                let count = self.shards.get(shard).map_or(0, |open| open.unknown_series(table, &keys));
                peers.answer(asker, count);
            }
            AnyQuestion::CountSeries(asker, question) => {
                peers.answer(asker, cardinality::count(&self.shards, &question));
            }
            AnyQuestion::CountRows(asker, question) => {
                peers.answer(asker, self.shards.rows(&question.tables));
            }
            AnyQuestion::CollectLate(asker, CollectLate(watches)) => {
                peers.answer(asker, self.shards.collect_late(&watches));
            }
            AnyQuestion::ReadSchema(asker, question) => {
                let (peers, shards) = (peers.clone(), self.shards.clone());
                self.spawn(Queue::Query, "what series there are", async move {
                    let found = schema::read(&shards, &question).await;
                    peers.answer(asker, found);
                });
            }
            AnyQuestion::CompactShards(asker, question) => {
                let (peers, shards) = (peers.clone(), self.shards.clone());
                self.spawn(Queue::Maintenance, "a compaction that was asked for", async move {
                    let outcome = shards.compact(&question.tables).await;
                    peers.answer(asker, outcome);
                });
            }
            AnyQuestion::ReadMetrics(asker, _) => peers.answer(asker, self.snapshot()),
            AnyQuestion::ReadHealth(asker, _) => peers.answer(asker, self.shards.troubles()),
            AnyQuestion::ReadTasks(asker, _) => {
                let shards = self.shards.all().map(|(number, _)| number).collect();
                peers.answer(asker, CoreTasks { core: self.core.number, tasks: ring::task_counts(), shards });
            }
        }
    }

    fn append(&self, asker: Asker<Append>, Append { shard, rows, by, subscribed }: Append) {
        match self.shards.append(shard, &rows, by.as_ref()) {
            Err(error) => self.core.peers.answer(asker, Appended { rows, outcome: Err(error) }),
            Ok((open, lsn, new_series)) => {
                let (peers, open) = (self.core.peers.clone(), open.clone());
                let subscribed = subscribed.map(|to| (to, self.forwarding.clone()));
                self.spawn(Queue::Ingest, "rows on their way to the disk", async move {
                    let outcome = open.durable(lsn).await.map(|()| new_series);
                    if let (Some((to, forwarding)), Ok(new_ids)) = (&subscribed, &outcome) {
                        forwarding.take(to, &open, &rows, new_ids);
                    }
                    peers.answer(asker, Appended { rows, outcome });
                });
            }
        }
    }

    fn run_fragment(&self, asker: Asker<RunFragment>, question: RunFragment) {
        let peers = &self.core.peers;
        match self.shards.get(question.shard) {
            Err(error) => peers.answer(asker, FragmentAnswer::Done(Err(error.into()))),
            Ok(shard) => self.spawn(
                Queue::Query,
                "a part of a query",
                self.fragments.begin(peers, asker, question, shard.clone()),
            ),
        }
    }

    fn delete(&self, asker: Asker<Delete>, Delete { shard, deletion }: Delete) {
        self.deleted(asker, shard, async move |open| delete::delete_from(&open, &deletion).await);
    }

    fn delete_watched(&self, asker: Asker<DeleteWatched>, question: DeleteWatched) {
        let shards = self.shards.clone();
        self.deleted(asker, question.shard, async move |open| {
            delete::delete_unless(&open, &question.deletion, |series| shards.is_written(&question, series)).await
        });
    }

    /// Answers with what comes of a delete from a shard of this core.
    fn deleted<Q, T>(&self, asker: Asker<Q>, shard: u32, delete: impl AsyncFnOnce(Rc<CoreShard>) -> Q::Answer + 'static)
    where
        Q: Question<Answer = Result<T, DeleteFailure>> + 'static,
    {
        match self.shards.get(shard) {
            Err(error) => {
                let failure = DeleteFailure { error: error.into(), is_touched: false };
                self.core.peers.answer(asker, Err(failure));
            }
            Ok(open) => {
                let (peers, open) = (self.core.peers.clone(), open.clone());
                self.spawn(Queue::Query, "a delete", async move {
                    let outcome = Caught::new(delete(open)).await;
                    let outcome = outcome.unwrap_or_else(|panicked| {
                        let error = ExecError::Internal(panicked.to_string());
                        Err(DeleteFailure { error, is_touched: true })
                    });
                    peers.answer(asker, outcome);
                });
            }
        }
    }

    fn change_catalog(&self, asker: Asker<ChangeCatalog>, change: SchemaChange) {
        let Some(owner) = &self.catalog_owner else {
            unreachable!("invariant: core {CATALOG_CORE} owns the catalog, not core {}", self.core.number)
        };
        let outcome = owner.change(change);
        self.spawn(Queue::Ingest, "changes of the catalog", owner.clone().run(Host(self.core.clone())));
        let peers = self.core.peers.clone();
        self.spawn(Queue::Ingest, "a change of the catalog", async move { peers.answer(asker, outcome.await) });
    }

    /// Takes a new catalog into use: columns first, so that no row comes with one that its shard does not know. Nothing
    /// is awaited before the shards and the caches know what is over.
    async fn use_catalog(&self, published: &Arc<Published>) {
        let effects = &published.effects;
        if published.catalog.version > self.core.catalog().version {
            if self.catalog_owner.is_some() {
                self.core.forwarder.keep(&published.catalog);
            }
            self.shards.set_columns(&effects.changed);
            let changed = effects.changed.iter().map(|table| &**table);
            self.core.set_catalog(published.catalog.clone(), changed);
        }
        self.shards.end_tables(&effects.dropped);
        self.core.caches.end(&effects.stale);
        if !effects.dropped.is_empty() {
            let (shards, published) = (self.shards.clone(), published.clone());
            let (done, is_done) = oneshot();
            self.spawn(Queue::Maintenance, "the removal of dropped tables", async move {
                shards.drop_tables(&published.effects.dropped).await;
                done.send(());
            });
            future::or(async { is_done.await.unwrap_or_default() }, ring::sleep(DATA_DROP_WAIT)).await;
        }
    }

    fn snapshot(&self) -> Snapshot {
        self.shards.update_metrics();
        self.core.update_metrics();
        let mut snapshot = self.registry.snapshot();
        show_databases(&self.core.catalog(), &self.shards.table_totals(), &mut snapshot);
        snapshot
    }
}

impl Handler for Responder {
    fn handle(self: Rc<Self>, message: Message) {
        match message {
            Message::Question(question) => self.work(question),
            Message::Answer { answer, is_last } => self.core.peers.deliver(answer, is_last),
            Message::Grant(fragment) => self.fragments.grant(fragment),
            Message::Cancel(fragment) => self.fragments.cancel(fragment),
        }
    }
}

/// The owning core, as the catalog's owner sees it.
struct Host(Rc<CoreState>);

impl CatalogHost for Host {
    async fn publish(&self, published: Arc<Published>) {
        self.0.peers.ask_all(UseCatalog(published)).await;
    }

    async fn pause(&self, time: Duration) {
        ring::sleep(time).await;
    }
}
