//! The server itself: what each core builds from the parts, runs, and closes.

use std::rc::Rc;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use crate::admission::{Admission, Bounds};
use crate::api::Router;
use crate::core::message::{Handler, Message};
use crate::core::offline::OfflineShards;
use crate::core::open::{Opening, check_catalog};
use crate::core::peers::{CATALOG_CORE, Peers};
use crate::core::running::RunningQueries;
use crate::core::serve::Responder;
use crate::core::shards::Shards;
use crate::core::state::{CoreParts, CoreState};
use crate::core::tally::Tally;
use crate::core::upkeep::guard::Upkeep;
use crate::core::upkeep::{expire, flush, log, memory, merge, recheck, tick, watchdog};
use crate::core::usage::UsageOfAll;
use crate::forward::Forwarder;
use crate::forward::destination::Asking;
use crate::mesh::Inbox;
use crate::metrics::registry::Registry;
use crate::net::{Goes, LineSession, Refusal, Reply, Request, Service};
use crate::ring::{Queue, caught, yield_if_needed};
use crate::runtime::disk_rate::limit_rate;
use crate::runtime::start::{App, CoreContext};
use crate::runtime::timed_disk::TimedDisk;
use tidewire_base::catalog::handover::{Found, Handover};
use tidewire_base::catalog::log::CatalogLog;
use tidewire_base::catalog::read::CATALOG_FOLDER;
use tidewire_base::config::WalSync;
use tidewire_base::placement::core_of_shard;
use tidewire_files::Folders;

/// What all cores share.
#[derive(Debug, Default)]
pub struct ServerState {
    admission: OnceLock<Arc<Admission>>,
    offline: OnceLock<Arc<OfflineShards>>,
    running: Arc<RunningQueries>,
    usage: Arc<UsageOfAll>,
    tally: Arc<Tally>,
    forwarder: OnceLock<Arc<Forwarder>>,
    catalog: Handover,
}

/// One core of the server.
pub struct Tidewire {
    shards: Rc<Shards>,
    router: Router,
}

impl Service for Tidewire {
    async fn call(&self, request: Request<'_>, reply: &mut Reply) {
        self.router.call(request, reply).await;
    }

    async fn lines(&self, session: &mut LineSession, lines: &[u8], reply: &mut Vec<u8>) -> Goes {
        self.router.lines(session, lines, reply).await
    }

    fn refuse(&self, refusal: Refusal<'_>, reply: &mut Reply) {
        self.router.refuse(refusal, reply);
    }
}

impl App for Tidewire {
    type Message = Message;
    type ServerState = ServerState;

    async fn start(
        context: CoreContext<Message>,
        inbox: Inbox<Message>,
        shared: Arc<ServerState>,
    ) -> Result<Rc<Self>, String> {
        let CoreContext {
            core: number,
            cores,
            shards,
            config,
            data_dir,
            memory,
            disk,
            queues,
            mesh,
            registry,
            shutdown: _,
        } = context;
        let (catalog_log, found) = match number {
            CATALOG_CORE => {
                let folder = data_dir.root().join(CATALOG_FOLDER);
                let opened = CatalogLog::open(disk.clone(), &folder).await;
                let (log, catalog) = opened.map_err(|error| error.to_string())?;
                let found = Found { catalog: Arc::new(catalog), is_saved: log.was_saved() };
                shared.catalog.give(found.clone());
                (Some(log), found)
            }
            _ => (None, shared.catalog.take().await),
        };
        check_catalog(&found, &data_dir)?;
        let shard_count = data_dir.shards();
        let admission = shared.admission.get_or_init(|| {
            let bounds =
                Bounds { granted_bytes_max: config.admission.bytes_max, held_bytes_max: config.memtable.bytes_max };
            Arc::new(Admission::new(shard_count, bounds))
        });
        let offline = shared.offline.get_or_init(|| Arc::new(OfflineShards::new(shard_count)));
        // Before any shard opens: what recovery writes counts too.
        let disk = limit_rate(disk, config.disk.write_bytes_per_s_max, cores, &queues);
        let disk = TimedDisk::new(disk, registry.clone(), config.wal.sync);
        let opening =
            Opening { disk: &disk, data_dir: &data_dir, config: &config, catalog: &found, registry: &registry };
        let open = opening.open(&shards, offline).await?;
        let placement = (0..shard_count).map(|shard| core_of_shard(shard, cores)).collect();
        let shards = Rc::new(Shards::new(open, offline.clone(), admission.clone(), memory.clone(), &registry));
        let forwarder = shared.forwarder.get_or_init(|| {
            let of = &config.subscriptions;
            let asking = Asking { timeout: Duration::from_secs(of.timeout_s), ca_file: of.ca_file.clone() };
            Arc::new(Forwarder::new(of.queue_bytes_max, asking))
        });
        let forwarder = forwarder.clone();
        let folders = Arc::new(Folders::new(&config.files.folders));
        let parts = CoreParts {
            number,
            config,
            catalog: found.catalog,
            admission: admission.clone(),
            offline: offline.clone(),
            running: shared.running.clone(),
            usage: shared.usage.core(),
            tally: shared.tally.clone(),
            forwarder,
            memory,
            queues,
            peers: Rc::new(Peers::new(number, placement, mesh).with_folders(folders)),
        };
        let core = CoreState::new(parts, &registry);
        let responder = Responder::new(core.clone(), shards.clone(), catalog_log, registry.clone());
        queues.spawn(Queue::Ingest, "messages of other cores", receive(responder, inbox)).detach();
        spawn_upkeep(&core, &shards, &registry);
        let router = Router::new(core, &registry).map_err(|error| format!("no random numbers: {error}"))?;
        Ok(Rc::new(Self { shards, router }))
    }

    async fn close(self: Rc<Self>) -> Result<(), String> {
        let mut outcome = Ok(());
        for (number, shard) in self.shards.all() {
            if let Err(error) = shard.close().await {
                outcome = Err(format!("shard {number} did not close: {error}"));
            }
        }
        outcome
    }
}

/// Empties the inbox: the one task of a core that handles messages. It waits for nothing but messages.
async fn receive(responder: Rc<Responder>, mut inbox: Inbox<Message>) {
    loop {
        let (_, message) = inbox.next().await;
        // What a message is about may be lost by a panic, but not what comes after it.
        if let Err(panicked) = caught(|| responder.clone().handle(message)) {
            ::log::error!("a message of another core has ended by {panicked}");
        }
        // Each may bring some megabytes of rows.
        yield_if_needed().await;
    }
}

/// Starts what the core does without being asked.
fn spawn_upkeep(core: &Rc<CoreState>, shards: &Rc<Shards>, registry: &Rc<Registry>) {
    let (queues, config) = (core.queues, &core.config);
    let upkeep = Upkeep::new(queues, shards);
    for (number, shard) in shards.iter() {
        upkeep.of_shard(number, Queue::Ingest, "the log", log::write(number, shard.clone()));
        upkeep.of_shard(number, Queue::Maintenance, "a flush", flush::flush_full(number, shard.clone()));
        upkeep.of_shard(number, Queue::Compaction, "a merge", merge::merge(number, shard.clone()));
    }
    watchdog::watch(core.number, queues, registry.clone());
    upkeep.of_core(Queue::Maintenance, "the tick", move |shards| tick::tick(shards, queues));
    let (own, counts) = (core.clone(), expire::Counts::new(registry));
    upkeep.of_core(Queue::Maintenance, "retention", move |shards| expire::expire(own.clone(), shards, counts.clone()));
    let idle_s = config.memtable.flush_idle_s;
    upkeep.of_core(Queue::Maintenance, "a flush of an idle memtable", move |shards| flush::flush_idle(shards, idle_s));
    upkeep.of_core(Queue::Maintenance, "a look at damaged segments", recheck::recheck);
    if config.wal.sync == WalSync::Interval {
        let interval = Duration::from_millis(config.wal.interval_ms);
        upkeep.of_core(Queue::Maintenance, "a sync of the log", move |shards| log::sync(shards, interval));
    }
    // With the writes, which it is to keep up with.
    let own = core.clone();
    upkeep
        .of_core(Queue::Ingest, "what keeps memory in bounds", move |shards| memory::keep_memory(own.clone(), shards));
}
