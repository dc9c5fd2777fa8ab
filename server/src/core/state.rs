//! What the requests of one core share: settings, bounds and memory, the newest catalog, what is kept from one request
//! for the next, and the way to the other cores.
//!
//! A request works with this and with nothing else of its core: rows, queries and deletes reach shards, also those of
//! this core, through [`Peers`].

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;

use tidewire_sql::influxql::Select;
use tidewire_storage::schema::{Catalog, TableSchema};

use super::offline::OfflineShards;
use super::peers::Peers;
use super::recycled::RecycledBatches;
use super::running::RunningQueries;
use super::tally::Tally;
use super::usage::CoreUsage;
use super::wide::WideTables;
use crate::admission::{Admission, BuildBudget};
use crate::forward::Forwarder;
use crate::ingest::caches::DatabaseCaches;
use crate::memory::CoreMemory;
use crate::memory::pressure::RefusedWork;
use crate::metrics::file_system::FileSystemMetrics;
use crate::metrics::memory::MemoryMetrics;
use crate::metrics::process::ProcessMetrics;
use crate::metrics::registry::{Counter, Gauge, Registry};
use crate::ring::{self, Queues};
use tidewire_base::config::Config;

/// What a [`CoreState`] is made from.
pub struct CoreParts {
    /// This core's number.
    pub number: usize,
    /// Settings.
    pub config: Arc<Config>,
    /// The loaded catalog.
    pub catalog: Arc<Catalog>,
    /// Credits of all shards.
    pub admission: Arc<Admission>,
    /// Shards that damage keeps closed, of all cores.
    pub offline: Arc<OfflineShards>,
    /// Statements that run, of all cores.
    pub running: Arc<RunningQueries>,
    /// What requests use, of this core.
    pub usage: CoreUsage,
    /// Who watches what requests there are, of all cores.
    pub tally: Arc<Tally>,
    /// What sends rows on, of all cores.
    pub forwarder: Arc<Forwarder>,
    /// What this core holds, and the bound of all.
    pub memory: Rc<CoreMemory>,
    /// The task queues of this core.
    pub queues: Queues,
    /// The way to the other cores.
    pub peers: Rc<Peers>,
}

/// What the requests of one core share.
pub struct CoreState {
    /// This core's number.
    pub number: usize,
    /// Settings.
    pub config: Arc<Config>,
    /// Credits of all shards.
    pub admission: Arc<Admission>,
    /// Shards that damage keeps closed, of all cores.
    pub offline: Arc<OfflineShards>,
    /// Statements that run, of all cores.
    pub running: Arc<RunningQueries>,
    /// What requests use, of this core.
    pub usage: CoreUsage,
    /// Who watches what requests there are, of all cores.
    pub tally: Arc<Tally>,
    /// What sends rows on, of all cores.
    pub forwarder: Arc<Forwarder>,
    /// Rows parsed and not yet granted, on this core.
    pub building: BuildBudget,
    /// What this core holds, and the bound of all.
    pub memory: Rc<CoreMemory>,
    /// The parser caches of all databases.
    pub caches: DatabaseCaches,
    /// Batches kept for use again.
    pub recycled: RecycledBatches,
    /// The task queues of this core.
    pub queues: Queues,
    /// The way to all cores.
    pub peers: Rc<Peers>,
    catalog: RefCell<Arc<Catalog>>,
    wide_tables: WideTables,
    memory_metrics: MemoryMetrics,
    /// Of core 0, which shows for all what is the process's.
    process_metrics: Option<(ProcessMetrics, FileSystemMetrics)>,
    /// On the first core.
    panics: Option<Rc<Counter>>,
    /// On the first core: what waits to be sent on.
    forward_bytes: Option<Rc<Gauge>>,
}

impl CoreState {
    /// The state of a core that counts in `registry`.
    pub fn new(parts: CoreParts, registry: &Registry) -> Rc<Self> {
        let CoreParts {
            number,
            config,
            catalog,
            admission,
            offline,
            running,
            usage,
            tally,
            forwarder,
            memory,
            queues,
            peers,
        } = parts;
        let help = "Faults of the server itself that it went on after; each is in the log with its backtrace.";
        let panics = (number == 0).then(|| registry.counter("tidewire_panics_total", help, &[]));
        let all = catalog.databases.values().flat_map(|database| database.all_tables());
        let wide_tables = WideTables::of(all.map(|table| &**table));
        let forward_bytes = (number == 0).then(|| show_forwarded(&forwarder, registry));
        Rc::new(Self {
            panics,
            forward_bytes,
            forwarder,
            number,
            config,
            admission,
            offline,
            running,
            usage,
            tally,
            building: BuildBudget::new(memory.shared().budget().parsing_bytes_max),
            caches: DatabaseCaches::new(memory.clone()),
            memory,
            recycled: RecycledBatches::default(),
            queues,
            peers,
            catalog: RefCell::new(catalog),
            wide_tables,
            memory_metrics: MemoryMetrics::new(number, registry),
            process_metrics: (number == 0).then(|| (ProcessMetrics::new(registry), FileSystemMetrics::new(registry))),
        })
    }

    /// The newest catalog that this core has.
    pub fn catalog(&self) -> Arc<Catalog> {
        self.catalog.borrow().clone()
    }

    /// Reads it, without a count of who has it, which all cores share.
    pub fn with_catalog<R>(&self, read: impl FnOnce(&Catalog) -> R) -> R {
        read(&self.catalog.borrow())
    }

    /// Takes a new catalog into use, in which these tables have changed.
    pub(super) fn set_catalog<'t>(&self, catalog: Arc<Catalog>, changed: impl IntoIterator<Item = &'t TableSchema>) {
        *self.catalog.borrow_mut() = catalog;
        self.wide_tables.note(changed);
    }

    /// Whether a text of SQL that is short may still be about many columns, so that it takes long to bind.
    pub fn may_name_wide_tables(&self, text: &[u8]) -> bool {
        self.wide_tables.may_be_named(text)
    }

    /// The same of a SELECT of InfluxQL.
    pub fn may_read_wide_tables(&self, select: &Select) -> bool {
        self.wide_tables.may_be_read(select)
    }

    /// The most rows, in bytes, that a request can have: what all its owners together can hold.
    pub fn row_bytes_max(&self) -> u64 {
        self.admission.bounds().held_bytes_max.saturating_mul(u64::from(self.peers.shard_count()))
    }

    /// Counts work that is refused because memory is short.
    pub fn count_refused(&self, work: RefusedWork) {
        self.memory_metrics.refused(work);
    }

    /// Fills in the values of this moment.
    pub(super) fn update_metrics(&self) {
        self.memory_metrics.update(&self.memory);
        if let Some((process, file_system)) = &self.process_metrics {
            process.update();
            file_system.update(&self.config.data_dir);
        }
        if let Some(bytes) = &self.forward_bytes {
            bytes.set(i64::try_from(self.forwarder.held_bytes()).unwrap_or(i64::MAX));
        }
        // Of the whole process, so that one core tells.
        if let Some(panics) = &self.panics {
            panics.advance_to(ring::panics());
        }
    }
}

/// Shows what became of rows that are sent on, and gives the gauge of those that wait.
fn show_forwarded(forwarder: &Forwarder, registry: &Registry) -> Rc<Gauge> {
    let counts = forwarder.counts();
    let name = "tidewire_subscription_rows_sent_total";
    let help = "Rows that a destination of a subscription has taken, for each destination.";
    registry.shared_counter(name, help, counts.sent.clone());
    let name = "tidewire_subscription_rows_failed_total";
    let help = "Rows that no destination of a subscription has taken, or one of all, for each.";
    registry.shared_counter(name, help, counts.failed.clone());
    let name = "tidewire_subscription_rows_dropped_total";
    let help = "Rows that were not forwarded since subscriptions.queue_bytes_max had no room for them.";
    registry.shared_counter(name, help, counts.dropped.clone());
    let help = "Rows and lines that wait to be forwarded, bounded by subscriptions.queue_bytes_max.";
    registry.gauge("tidewire_subscription_queue_bytes", help, &[])
}
