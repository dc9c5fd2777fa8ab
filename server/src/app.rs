//! The server itself: what each core builds from the parts, runs, and closes.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use tidewire_storage::Error;
use tidewire_storage::compaction::CompactionConfig;
use tidewire_storage::engine::{Shard, ShardConfig};
use tidewire_storage::schema::{Catalog, TableId};
use tidewire_storage::wal::WalSync;

use crate::admission::{Admission, Bounds};
use crate::api::Router;
use crate::catalog::store::{CatalogStore, META_FOLDER};
use crate::config;
use crate::core::hub::{CoreShard, Hub, HubParts};
use crate::core::message::Message;
use crate::core::offline::SetAside;
use crate::core::upkeep::memory::keep_memory;
use crate::datadir::DataDir;
use crate::mesh::Inbox;
use crate::metrics::registry::Registry;
use crate::metrics::shard::report_recovery;
use crate::net::{Reply, Request, Service};
use crate::ring::{self, Queue};
use crate::runtime::disk_rate::{CoreDisk, paced};
use crate::runtime::start::{App, CoreContext};

/// How often a core reports its memtables to the admission counters and looks whether a sync is due.
const TICK: Duration = Duration::from_millis(20);

/// How often a core looks for memtables that rest: a fraction of the least `memtable.flush_idle_s`.
const IDLE_TICK: Duration = Duration::from_millis(200);

/// What all cores share.
#[derive(Debug, Default)]
pub struct Shared {
    admission: OnceLock<Arc<Admission>>,
    set_aside: OnceLock<Arc<SetAside>>,
}

/// One core of the server.
pub struct Tidewire {
    hub: Rc<Hub>,
    router: Router,
}

impl Service for Tidewire {
    async fn call(&self, request: Request<'_>, reply: &mut Reply) {
        self.router.call(request, reply).await;
    }

    fn refuse(&self, path: &str, status: u16, reason: &str, reply: &mut Reply) {
        self.router.refuse(path, status, reason, reply);
    }
}

impl App for Tidewire {
    type Message = Message;
    type Shared = Shared;

    async fn start(
        context: CoreContext<Message>,
        inbox: Inbox<Message>,
        shared: Arc<Shared>,
    ) -> Result<Rc<Self>, String> {
        let CoreContext { core, cores, shards, config, data_dir, memory, disk, queues, mesh, registry, drain: _ } =
            context;
        let store = CatalogStore::new(&data_dir.root().join(META_FOLDER)).map_err(|e| e.to_string())?;
        check_catalog(&store, &data_dir)?;
        let catalog = Arc::new(store.load().map_err(|e| e.to_string())?);
        let shard_count = data_dir.shards();
        let admission = shared
            .admission
            .get_or_init(|| {
                let bounds =
                    Bounds { granted_bytes_max: config.admission.bytes_max, held_bytes_max: config.memtable.bytes_max };
                Arc::new(Admission::new(shard_count, bounds))
            })
            .clone();
        let set_aside = shared.set_aside.get_or_init(|| Arc::new(SetAside::new(shard_count))).clone();
        // Before any shard opens: what recovery writes counts too.
        let disk = paced(disk, config.disk.write_bytes_per_s_max, cores, &queues);
        let mut owned = BTreeMap::new();
        let mut wal_tasks = Vec::new();
        for number in shards {
            let folder = data_dir.shard_folder(number);
            // Tables are made when every shard has a folder that is there to stay.
            let opened = match store.exists() && !folder.exists() {
                true => Err(Error::corrupt(&folder, 0, "the folder is missing")),
                false => open_shard(disk.clone(), folder, (number, shard_count), &config, &catalog, &registry).await,
            };
            match opened {
                Ok(shard) => {
                    wal_tasks.push((number, shard.clone()));
                    owned.insert(number as u32, shard);
                }
                Err(error) => {
                    let told = format!("shard {number} cannot be opened: {error}");
                    if !error.is_damage() || !set_aside.put(number as u32, error.to_string()) {
                        return Err(told);
                    }
                    log::error!("{told}; the server runs without it: its rows are neither taken nor given");
                }
            }
        }
        let placement = (0..shard_count).map(|shard| crate::runtime::placement::core_of_shard(shard, cores)).collect();
        let hub = Hub::new(HubParts {
            core,
            placement,
            shards: owned,
            catalog,
            store,
            mesh,
            admission,
            set_aside,
            queues,
            config,
            memory,
            registry: registry.clone(),
        });
        for (number, shard) in wal_tasks {
            let (log, merging) = (shard.clone(), shard.clone());
            queues.spawn(Queue::Ingest, keep_log(number, log)).detach();
            queues.spawn(Queue::Maintenance, keep_flushing(number, shard)).detach();
            queues.spawn(Queue::Compaction, compact(number, merging)).detach();
        }
        queues.spawn(Queue::Maintenance, tell_time(hub.clone())).detach();
        queues.spawn(Queue::Maintenance, expire(hub.clone())).detach();
        queues.spawn(Queue::Ingest, receive(hub.clone(), inbox)).detach();
        queues.spawn(Queue::Maintenance, keep_time(hub.clone())).detach();
        queues.spawn(Queue::Maintenance, flush_idle(hub.clone())).detach();
        // With the writes, which it is to keep up with.
        queues.spawn(Queue::Ingest, keep_memory(hub.clone())).detach();
        let router = Router::new(hub.clone(), &registry);
        Ok(Rc::new(Self { hub, router }))
    }

    async fn close(self: Rc<Self>) -> Result<(), String> {
        let mut outcome = Ok(());
        for (number, shard) in self.hub.shards() {
            if let Err(error) = shard.close().await {
                outcome = Err(format!("shard {number} did not close: {error}"));
            }
        }
        outcome
    }
}

/// A catalog that has gone missing names no table, and shards do away with tables that it does not name.
fn check_catalog(store: &CatalogStore, data_dir: &DataDir) -> Result<(), String> {
    let has_data = |shard: &usize| {
        let segments = std::fs::read_dir(data_dir.shard_folder(*shard).join("segments"));
        segments.is_ok_and(|mut segments| segments.next().is_some())
    };
    match store.exists() {
        true => Ok(()),
        false => match (0..data_dir.shards()).find(has_data) {
            Some(shard) => Err(format!(
                "{} is missing, but shard {shard} has data; put a copy of it in place",
                store.path().display()
            )),
            None => Ok(()),
        },
    }
}

async fn open_shard(
    disk: CoreDisk,
    folder: PathBuf,
    (number, shards): (usize, usize),
    config: &config::Config,
    catalog: &Catalog,
    registry: &Registry,
) -> Result<Rc<CoreShard>, Error> {
    let live = |table: TableId| catalog.databases.values().any(|d| d.all_tables().any(|t| t.id == table));
    let shard_config = ShardConfig {
        wal_sync: match config.wal.sync {
            config::WalSync::Always => WalSync::Always,
            config::WalSync::Interval => WalSync::Interval,
            config::WalSync::Off => WalSync::Off,
        },
        wal_file_bytes: config.wal.file_bytes,
        flush_bytes: config.memtable.flush_bytes,
        // Admission comes first; this is the last bound behind it, with room for what it let through.
        memtable_bytes_max: config.memtable.bytes_max + config.admission.bytes_max,
        // The same for what waits for the log: a request that is alone may be as large as a memtable.
        wal_pending_bytes_max: config.memtable.bytes_max + config.admission.bytes_max,
        cache_bytes_max: config.cache.bytes_max,
        compaction: CompactionConfig {
            bytes_per_s: config.compaction.bytes_per_s_max,
            segment_bytes_max: config.compaction.segment_bytes_max,
            cold_after: Duration::from_secs(config.compaction.cold_after_s),
            ..CompactionConfig::default()
        },
        open_segments_max: ring::host::open_segments_max(ring::host::open_files(), shards),
        ..ShardConfig::new(number as u32)
    };
    let started = Instant::now();
    let (shard, recovery) = Shard::open(disk, &folder, shard_config, &live).await?;
    let time = started.elapsed();
    log::info!("shard {number}: {recovery:?} in {time:?}");
    report_recovery(number as u32, &recovery, time, registry);
    Ok(shard)
}

/// Empties the inbox: the one task of a core that handles messages. It waits for nothing but messages.
async fn receive(hub: Rc<Hub>, mut inbox: Inbox<Message>) {
    loop {
        let (from, message) = inbox.next().await;
        hub.handle(from, message);
    }
}

/// How long to wait before the next try of what has failed: each time twice as long, up to a bound.
struct Pauses(Duration);

impl Pauses {
    /// A failure that is over at once costs little.
    const FIRST: Duration = Duration::from_secs(1);
    /// A disk that is replaced or emptied by hand is not kept waiting for long.
    const LONGEST: Duration = Duration::from_secs(30);

    fn new() -> Self {
        Self(Self::FIRST)
    }

    fn next(&mut self) -> Duration {
        let pause = self.0;
        self.0 = (pause * 2).min(Self::LONGEST);
        pause
    }
}

/// Writes the log until the shard is closed. When it fails, the shard refuses writes until it is healed.
async fn keep_log(number: usize, shard: Rc<CoreShard>) {
    while let Err(error) = shard.run_wal().await {
        log::error!("shard {number} takes no writes, its log has failed: {error}");
        let mut pauses = Pauses::new();
        loop {
            let pause = pauses.next();
            log::info!("shard {number}: healing is tried in {pause:?}");
            ring::sleep(pause).await;
            match shard.heal().await {
                Ok(()) => break,
                Err(Error::Closed) => return,
                Err(error) => log::error!("shard {number} cannot be healed: {error}"),
            }
        }
        log::warn!("shard {number} takes writes again");
    }
}

/// Flushes until the shard is closed. Rows whose flush fails stay in memory and in the log.
async fn keep_flushing(number: usize, shard: Rc<CoreShard>) {
    let mut pauses = Pauses::new();
    let mut flushes = shard.stats().flushes;
    while let Err(error) = shard.run_flush().await {
        if shard.stats().flushes > flushes {
            // It has worked since.
            (flushes, pauses) = (shard.stats().flushes, Pauses::new());
        }
        let pause = pauses.next();
        log::error!("shard {number}: rows cannot be flushed, tried again in {pause:?}: {error}");
        ring::sleep(pause).await;
    }
}

/// Merges segments until the shard is closed.
async fn compact(number: usize, shard: Rc<CoreShard>) {
    /// A disk that fails or is full is seldom well at once, and a merge that fails has read and written for nothing.
    const REST: Duration = Duration::from_secs(10);
    while let Err(error) = shard.run_compaction().await {
        log::error!("shard {number}: segments cannot be merged: {error}");
        ring::sleep(REST).await;
    }
}

/// The clock of the shards' merges: by itself, since who else keeps time may wait for a disk.
async fn tell_time(hub: Rc<Hub>) {
    let started = Instant::now();
    loop {
        ring::sleep(TICK).await;
        hub.shards().for_each(|(_, shard)| shard.tick(started.elapsed()));
        let debt_bytes = hub.shards().map(|(_, shard)| shard.merge_debt_bytes()).sum();
        hub.queues().set_shares(Queue::Compaction, merge_shares(debt_bytes));
    }
}

/// Shares of the core for merges that `debt_bytes` wait for. Few at first, so that writes keep nine tenths of their rate
/// beside merges that are in time; up to half of what writes have, which is what merges take that go as fast as rows come
/// in (0.2 of 0.4 µs a row): then writes wait for them, and segments do not pile up.
fn merge_shares(debt_bytes: u64) -> u64 {
    const SHARES: (u64, u64) = (200, 450);
    /// From a few merges of what is flushed in a minute to as much as a large segment.
    const DEBT_BYTES: (u64, u64) = (256 << 20, 1 << 30);
    let behind = debt_bytes.clamp(DEBT_BYTES.0, DEBT_BYTES.1) - DEBT_BYTES.0;
    SHARES.0 + (SHARES.1 - SHARES.0) * behind / (DEBT_BYTES.1 - DEBT_BYTES.0)
}

/// Drops what is older than its retention policy keeps it.
async fn expire(hub: Rc<Hub>) {
    /// Whole partitions go, of hours at least.
    const LOOK: Duration = Duration::from_secs(30);
    loop {
        ring::sleep(LOOK).await;
        let catalog = hub.catalog();
        let now_ns = crate::runtime::clock::now_ns();
        let policies = catalog.databases.values().flat_map(|database| &database.policies);
        for policy in policies.filter(|policy| policy.ttl_ns.is_some()) {
            for table in policy.tables.values() {
                let oldest = policy.time_min(now_ns, table.time_unit);
                for (number, shard) in hub.shards() {
                    if let Err(error) = shard.expire(table.id, oldest).await {
                        log::error!("shard {number}: table {} cannot lose its old partitions: {error}", table.name);
                    }
                }
            }
        }
    }
}

/// What happens by the clock: admission counters and interval syncs.
async fn keep_time(hub: Rc<Hub>) {
    let interval = Duration::from_millis(hub.config.wal.interval_ms);
    let mut synced = Instant::now();
    loop {
        ring::sleep(TICK).await;
        hub.report_memory();
        if hub.config.wal.sync == config::WalSync::Interval && synced.elapsed() >= interval {
            synced = Instant::now();
            for (number, shard) in hub.shards() {
                if let Err(error) = shard.sync_wal().await {
                    log::error!("shard {number}: the log cannot be synced: {error}");
                }
            }
        }
    }
}

/// Flushes memtables that rest. Apart from [`keep_time`], whose syncs no flush may hold up.
async fn flush_idle(hub: Rc<Hub>) {
    loop {
        ring::sleep(IDLE_TICK).await;
        hub.flush_idle().await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_up_to_their_bound() {
        let mut pauses = Pauses::new();
        let seconds: Vec<u64> = (0..7).map(|_| pauses.next().as_secs()).collect();
        assert_eq!(seconds, [1, 2, 4, 8, 16, 30, 30]);
    }

    #[test]
    fn merges_get_more_the_further_they_are_behind() {
        assert_eq!([0, 256 << 20, 640 << 20, 1 << 30, u64::MAX].map(merge_shares), [200, 200, 325, 450, 450]);
    }
}
