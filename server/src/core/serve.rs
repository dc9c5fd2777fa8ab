//! One core's answers: what the cores, this one included, ask of it.
//!
//! [`Responder`] is the core's [`Handler`]. It answers at once what takes no time, and spawns what does: rows that wait
//! for the log, fragments, deletes, changes of the catalog. On the core that owns the catalog it also works for the
//! catalog's owner: it saves what has changed and hands it to every core.

use std::rc::{Rc, Weak};
use std::sync::Arc;

use tidewire_storage::schema::{Catalog, TableSchema};

use super::fragments::Fragments;
use super::message::{
    Append, Appended, Asker, ChangeCatalog, CountUnknownSeries, Delete, FragmentAnswer, Handler, Message, Request,
    RunFragment, UseCatalog,
};
use super::peers::CATALOG_CORE;
use super::shards::Shards;
use super::state::CoreState;
use crate::catalog::owner::CatalogHost;
use crate::catalog::store::CatalogStore;
use crate::catalog::{CatalogOwner, Published, SchemaChange};
use crate::metrics::registry::{Registry, Snapshot};
use crate::query::{cardinality, delete};
use crate::ring::Queue;

/// Answers what one core is asked.
pub struct Responder {
    core: Rc<CoreState>,
    shards: Rc<Shards>,
    fragments: Rc<Fragments>,
    /// On the core that owns the catalog.
    catalog_owner: Option<Rc<CatalogOwner>>,
    store: CatalogStore,
    registry: Rc<Registry>,
}

impl Responder {
    /// The answers of a core with these shards; its peers know of them from now on. The catalog is kept in `store`.
    pub fn new(core: Rc<CoreState>, shards: Rc<Shards>, store: CatalogStore, registry: Rc<Registry>) -> Rc<Self> {
        let catalog = core.catalog();
        shards.set_columns(None, &catalog);
        let catalog_owner = (core.number == CATALOG_CORE).then(|| Rc::new(CatalogOwner::new(catalog)));
        let peers = core.peers.clone();
        let responder = Rc::new(Self { core, shards, fragments: Rc::default(), catalog_owner, store, registry });
        let own: Weak<Self> = Rc::downgrade(&responder);
        peers.set_own_handler(own);
        responder
    }

    fn spawn(&self, queue: Queue, future: impl Future<Output = ()> + 'static) {
        self.core.queues.spawn(queue, future).detach();
    }

    fn work(self: &Rc<Self>, request: Request) {
        let peers = &self.core.peers;
        match request {
            Request::Append(asker, rows) => self.append(asker, rows),
            Request::RunFragment(asker, question) => self.run_fragment(asker, question),
            Request::Delete(asker, question) => self.delete(asker, question),
            Request::ChangeCatalog(asker, ChangeCatalog(change)) => self.change_catalog(asker, change),
            Request::UseCatalog(asker, UseCatalog(published)) => {
                let responder = self.clone();
                self.spawn(Queue::Ingest, async move {
                    responder.use_catalog(&published).await;
                    responder.core.peers.answer(asker, ());
                });
            }
            Request::CountUnknownSeries(asker, CountUnknownSeries { shard, table, keys }) => {
                // A shard that is offline takes no rows either way.
                let count = self.shards.get(shard).map_or(0, |open| open.unknown_series(table, &keys));
                peers.answer(asker, count);
            }
            Request::CountSeries(asker, question) => peers.answer(asker, cardinality::count(&self.shards, &question)),
            Request::ReadMetrics(asker, _) => peers.answer(asker, self.snapshot()),
        }
    }

    fn append(&self, asker: Asker<Append>, Append { shard, batch, table }: Append) {
        match self.shards.append(shard, &batch, &table) {
            Err(error) => self.core.peers.answer(asker, Appended { batch, outcome: Err(error) }),
            Ok((open, appended)) => {
                let (peers, open) = (self.core.peers.clone(), open.clone());
                self.spawn(Queue::Ingest, async move {
                    let outcome = open.durable(appended.lsn).await.map(|()| appended.new_series);
                    peers.answer(asker, Appended { batch, outcome });
                });
            }
        }
    }

    fn run_fragment(&self, asker: Asker<RunFragment>, question: RunFragment) {
        let peers = &self.core.peers;
        match self.shards.get(question.shard) {
            Err(error) => peers.answer(asker, FragmentAnswer::Done(Err(error.into()))),
            Ok(shard) => self.spawn(Queue::Query, self.fragments.begin(peers, asker, question, shard.clone())),
        }
    }

    fn delete(&self, asker: Asker<Delete>, Delete { shard, deletion }: Delete) {
        match self.shards.get(shard) {
            Err(error) => self.core.peers.answer(asker, Err(error.into())),
            Ok(open) => {
                let (peers, open) = (self.core.peers.clone(), open.clone());
                self.spawn(Queue::Query, async move {
                    let outcome = delete::delete_from(&open, &deletion).await;
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
        let host = Host { core: self.core.clone(), store: self.store.clone() };
        self.spawn(Queue::Ingest, owner.clone().run(host));
        let peers = self.core.peers.clone();
        self.spawn(Queue::Ingest, async move { peers.answer(asker, outcome.await) });
    }

    /// Takes a new catalog into use: columns first, so that no row comes with one that its shard does not know.
    async fn use_catalog(&self, published: &Published) {
        let before = self.core.catalog();
        if published.catalog.version > before.version {
            self.shards.set_columns(Some(&before), &published.catalog);
            self.core.set_catalog(published.catalog.clone());
        }
        if published.dropped.is_empty() && published.narrowed.is_empty() {
            return;
        }
        self.core.caches.retain(|name| {
            let is_stale = |table: &Arc<TableSchema>| {
                published.dropped.contains(&table.id) || published.narrowed.contains(&table.id)
            };
            before.databases.get(name).is_none_or(|database| !database.all_tables().any(is_stale))
        });
        self.shards.drop_tables(&published.dropped).await;
    }

    fn snapshot(&self) -> Snapshot {
        self.shards.update_metrics();
        self.core.update_metrics();
        self.registry.snapshot()
    }
}

impl Handler for Responder {
    fn handle(self: Rc<Self>, message: Message) {
        match message {
            Message::Request(request) => self.work(request),
            Message::Answer { answer, is_last } => self.core.peers.deliver(answer, is_last),
            Message::Grant(fragment) => self.fragments.grant(fragment),
            Message::Cancel(fragment) => self.fragments.cancel(fragment),
        }
    }
}

/// The owning core, as the catalog's owner sees it.
struct Host {
    core: Rc<CoreState>,
    store: CatalogStore,
}

impl CatalogHost for Host {
    async fn save(&self, catalog: Arc<Catalog>) -> Result<(), String> {
        let store = self.store.clone();
        crate::ring::blocking(move || store.save(&catalog).map_err(std::io::Error::other))
            .await
            .map_err(|error| error.to_string())
    }

    async fn publish(&self, published: Published) {
        self.core.peers.ask_all(UseCatalog(published)).await;
    }
}
