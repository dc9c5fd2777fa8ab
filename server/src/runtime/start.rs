//! One core's world, and how all of them start and end.
//!
//! Start, in this order, so that what can be refused is refused before anything is touched: limits, io_uring,
//! processors, data folder (locked), addresses (bound, not yet accepting); then every core builds its [`App`] (opens
//! its shards, replays their logs); only when all are ready are connections accepted.
//!
//! End, when [`Stopper::stop`] was called: no more connections; requests on open ones get 503; each core waits for
//! what is in flight, then closes its app, then its connections.

use std::fmt;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver, Sender};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use futures_lite::future;

use crate::memory::{self, CoreMemory, Memory};
use crate::mesh::{Inbox, Mesh, Port, wire};
use crate::metrics::registry::Registry;
use crate::net::{Arrivals, Listeners, NetCore, NetOptions, Service, StopAccepting, doors, serve_core, start_acceptor};
use crate::ring::disk::Access;
use crate::ring::host::{self, Limits};
use crate::ring::{self, CoreHandle, CoreOptions, Queue, Queues, RingDisk};
use crate::runtime::clock;
use crate::runtime::shutdown::Shutdown;
use tidewire_base::config::Config;
use tidewire_base::datadir::DataDir;
use tidewire_base::placement::{available, place, shards_of_core};

/// How often an ending core looks whether requests are still in flight.
const SHUTDOWN_TICK: Duration = Duration::from_millis(2);

/// How long an ending core waits for its cut connections to close their sockets.
const CLOSE_TIME: Duration = Duration::from_secs(1);

/// What a core says whose start was cut short by another's failure.
const GIVEN_UP: &str = "another core did not start";

/// What a core has when its app is built.
#[derive(Debug)]
pub struct CoreContext<M> {
    /// This core's number, from 0.
    pub core: usize,
    /// How many cores there are.
    pub cores: usize,
    /// Numbers of the shards this core owns.
    pub shards: Vec<usize>,
    /// The configuration.
    pub config: Arc<Config>,
    /// The data folder.
    pub data_dir: Arc<DataDir>,
    /// What this core holds, and the bound of all.
    pub memory: Rc<CoreMemory>,
    /// Files.
    pub disk: RingDisk,
    /// Task queues.
    pub queues: Queues,
    /// Messages to other cores.
    pub mesh: Rc<Mesh<M>>,
    /// Counters of this core.
    pub registry: Rc<Registry>,
    /// Whether the server is ending.
    pub shutdown: Shutdown,
}

/// What the server does with its cores: one value per core, built and dropped there.
pub trait App: Service + Sized {
    /// What crosses between cores.
    type Message: Send + 'static;
    /// What all cores share, made before the first of them.
    type ServerState: Send + Sync + 'static;

    /// Builds the app of one core, before any connection is accepted. The inbox must be emptied by one task that waits
    /// for no other core (see `mesh`); other cores may be building still.
    fn start(
        context: CoreContext<Self::Message>,
        inbox: Inbox<Self::Message>,
        shared: Arc<Self::ServerState>,
    ) -> impl Future<Output = Result<Rc<Self>, String>>;

    /// Ends the app of one core, when nothing is in flight on it. Other cores may still send.
    fn close(self: Rc<Self>) -> impl Future<Output = Result<(), String>>;
}

/// What the host gave, for the log.
#[derive(Debug, Clone)]
pub struct StartReport {
    /// Kernel version.
    pub kernel: String,
    /// Processors, by core.
    pub cpus: Vec<usize>,
    /// Shards of the data folder.
    pub shards: usize,
    /// Limits in force.
    pub limits: Limits,
    /// Memory registered with the rings of all cores together.
    pub registered_bytes: usize,
    /// Memory the kernel pinned for it, if it says so.
    pub pinned_bytes: Option<u64>,
    /// Memory that the server may hold.
    pub memory_bytes_max: u64,
    /// How files in the data folder are reached.
    pub access: Access,
    /// Addresses served.
    pub addresses: Vec<SocketAddr>,
}

impl fmt::Display for StartReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let limit = |limit: Option<u64>| limit.map_or("unlimited".to_owned(), |limit| limit.to_string());
        write!(
            f,
            "kernel {}; cores {:?}; {} shards; memory bound {} MiB; locked memory limit {} bytes; open files limit \
             {}; ",
            self.kernel,
            self.cpus,
            self.shards,
            self.memory_bytes_max >> 20,
            limit(self.limits.locked_bytes),
            limit(self.limits.open_files)
        )?;
        match self.registered_bytes {
            0 => f.write_str("no registered memory: the limit of locked memory is too low")?,
            bytes => write!(f, "registered memory {} KiB", bytes >> 10)?,
        }
        if let Some(bytes) = self.pinned_bytes {
            write!(f, " ({} KiB pinned)", bytes >> 10)?;
        }
        match self.access {
            Access::Direct { alignment_bytes } => write!(f, "; direct I/O, aligned to {alignment_bytes} bytes"),
            Access::Buffered => f.write_str("; buffered I/O: the file system of the data folder has no direct I/O"),
        }
    }
}

/// A running server.
#[derive(Debug)]
pub struct Server {
    report: StartReport,
    cores: Vec<CoreHandle<Result<(), String>>>,
    acceptor: JoinHandle<()>,
    stopper: Stopper,
    ended: Receiver<usize>,
}

/// Ends a server, from any thread.
#[derive(Debug, Clone)]
pub struct Stopper {
    shutdown: Shutdown,
    accepting: StopAccepting,
}

impl Stopper {
    /// Begins the end. [`Server::wait`] returns when it is done.
    pub fn stop(&self) {
        self.shutdown.request();
        self.accepting.stop();
    }
}

/// Reports that a core's thread has ended, also when it panicked.
struct EndNotice {
    core: usize,
    ended: Sender<usize>,
}

impl Drop for EndNotice {
    fn drop(&mut self) {
        // Nobody listens any more when the start failed on another core.
        let _ = self.ended.send(self.core);
    }
}

/// Starts a server. Returns when it serves, or says in one sentence why it does not.
pub fn start<A: App>(mut config: Config, shared: &Arc<A::ServerState>) -> Result<Server, String> {
    let limits = host::raise_limits();
    host::check_io_uring()?;
    let cpus = place(&config.cores, &available()).map_err(|reason| format!("`cores`: {reason}"))?;
    host::check_open_files(limits.open_files, cpus.len())?;
    let wanted = usize::try_from(config.shards).unwrap_or(usize::MAX);
    let data_dir = DataDir::open(&config.data_dir, wanted, cpus.len()).map_err(|error| error.to_string())?;
    let machine = memory::machine::memory_bytes();
    let budget = memory::budget::settle(&mut config, machine, data_dir.shards(), cpus.len())?;
    if !config.retention.clock_offset_file.as_os_str().is_empty() {
        let path = config.retention.clock_offset_file.clone();
        log::warn!("the clock is the host's moved by what {} says: this is for tests alone", path.display());
        clock::follow_offset(path).map_err(|error| format!("no thread for the clock: {error}"))?;
    }
    let memory = Memory::new(budget, machine, cpus.len());
    let listeners = Listeners::bind(&config.listen).map_err(|error| error.to_string())?;
    let addresses = listeners.addresses();

    let (config, data_dir, shutdown) = (Arc::new(config), Arc::new(data_dir), Shutdown::new());
    let io_memory_bytes = host::io_memory_bytes(limits.locked_bytes, cpus.len());
    let (to_start, ready) = mpsc::channel();
    let (to_end, ended) = mpsc::channel();
    let no_events = |error| format!("cannot make the events that cores wake each other with: {error}");
    let (doors, arrivals) = doors(cpus.len()).map_err(no_events)?;
    let ports = wire(cpus.len()).map_err(no_events)?;
    let mut cores = Vec::with_capacity(cpus.len());
    for ((core, port), arrivals) in ports.into_iter().enumerate().zip(arrivals) {
        let options = CoreOptions {
            name: format!("tidewire-{core}"),
            cpu: Some(cpus[core]),
            io_memory_bytes,
            ring_depth: usize::try_from(config.ring.depth).unwrap_or(512),
            preempt: Duration::from_micros(config.ring.preempt_us),
        };
        let setup = CoreSetup {
            core,
            cores: cpus.len(),
            config: Arc::clone(&config),
            data_dir: Arc::clone(&data_dir),
            memory: Arc::clone(&memory),
            shutdown: shutdown.clone(),
            shared: Arc::clone(shared),
            port,
            arrivals,
            ready: to_start.clone(),
            notice: EndNotice { core, ended: to_end.clone() },
        };
        let handle = ring::start_core(options, move || run_core::<A>(setup)).map_err(|error| error.to_string())?;
        cores.push(handle);
    }
    drop(to_start);
    let (mut access, mut registered_bytes) = (Access::Buffered, 0);
    for _ in 0..cores.len() {
        match ready.recv() {
            Ok(obtained) => {
                access = obtained.access;
                registered_bytes += obtained.registered_bytes;
            }
            // A core ended before it was ready: the others are ended too, and the first reason is passed on.
            Err(_) => {
                shutdown.request();
                let reasons: Vec<String> = cores
                    .into_iter()
                    .filter_map(|core| match core.join() {
                        Ok(Ok(())) => None,
                        Ok(Err(reason)) => Some(reason),
                        Err(error) => Some(error.to_string()),
                    })
                    .collect();
                let cause = reasons.iter().find(|reason| *reason != GIVEN_UP).or(reasons.first());
                return Err(cause.map_or_else(|| "a core ended while it started".to_owned(), String::clone));
            }
        }
    }
    let connections_max = usize::try_from(config.http.connections_max).unwrap_or(usize::MAX);
    let (acceptor, accepting) =
        start_acceptor(listeners, doors, connections_max).map_err(|error| format!("cannot accept: {error}"))?;
    let report = StartReport {
        kernel: host::kernel(),
        cpus,
        shards: data_dir.shards(),
        limits,
        memory_bytes_max: budget.bytes_max,
        registered_bytes,
        pinned_bytes: host::pinned_bytes(),
        access,
        addresses,
    };
    Ok(Server { report, cores, acceptor, stopper: Stopper { shutdown, accepting }, ended })
}

impl Server {
    /// What the host gave.
    pub fn report(&self) -> &StartReport {
        &self.report
    }

    /// Addresses served.
    pub fn addresses(&self) -> &[SocketAddr] {
        &self.report.addresses
    }

    /// What ends this server.
    pub fn stopper(&self) -> Stopper {
        self.stopper.clone()
    }

    /// Waits for the end. If one core ends by itself, all are ended, and the reason is returned.
    pub fn wait(self) -> Result<(), String> {
        // The first core to end was either asked to or has failed; both times the others must end too.
        let _ = self.ended.recv();
        self.stopper.stop();
        let mut result = Ok(());
        for (core, handle) in self.cores.into_iter().enumerate() {
            let ended = handle.join().map_err(|error| error.to_string()).and_then(|ended| ended);
            if let Err(reason) = ended {
                log::error!("core {core}: {reason}");
                result = result.and(Err(reason));
            }
        }
        if self.acceptor.join().is_err() {
            result = result.and(Err("the accepting thread panicked".to_owned()));
        }
        result
    }
}

/// What a core got from the host.
struct Obtained {
    access: Access,
    registered_bytes: usize,
}

struct CoreSetup<A: App> {
    core: usize,
    cores: usize,
    config: Arc<Config>,
    data_dir: Arc<DataDir>,
    memory: Arc<Memory>,
    shutdown: Shutdown,
    shared: Arc<A::ServerState>,
    port: Port<A::Message>,
    arrivals: Arrivals,
    ready: Sender<Obtained>,
    notice: EndNotice,
}

/// The life of one core.
async fn run_core<A: App>(setup: CoreSetup<A>) -> Result<(), String> {
    let CoreSetup { core, cores, config, data_dir, memory, shutdown, shared, port, arrivals, ready, notice } = setup;
    // The folder stays locked until the last core has ended.
    let _held = (notice, Arc::clone(&data_dir));
    let queues = Queues::new();
    let disk = RingDisk::new();
    let registry = Registry::new();
    let access = disk.report(data_dir.root()).await.map_err(|error| error.to_string())?;
    let (mesh, inbox) = port.open();
    if core == 0 {
        let help =
            "Times that no connection could be accepted, as for want of descriptors; those that wait are served later.";
        registry.shared_counter("tidewire_accept_failures_total", help, arrivals.accept_failures());
    }
    let memory = CoreMemory::new(core, memory);
    let options = NetOptions::from(&config.http);
    let net = NetCore::new(options, shutdown.clone(), arrivals.load(), memory.clone(), &registry);
    let shutdown_time = Duration::from_secs(config.http.drain_timeout_s);
    let context = CoreContext {
        core,
        cores,
        shards: shards_of_core(core, cores, data_dir.shards()).collect(),
        config,
        data_dir,
        memory,
        disk,
        queues,
        mesh,
        registry,
        shutdown: shutdown.clone(),
    };
    // A core may wait for another while it builds; if that one fails, the shutdown cuts the wait short.
    let given_up = async {
        shutdown.requested().await;
        Err(GIVEN_UP.to_owned())
    };
    let app = match future::or(A::start(context, inbox, shared), given_up).await {
        Ok(app) => app,
        Err(reason) => {
            shutdown.request();
            return Err(reason);
        }
    };
    let clock = queues.spawn(Queue::Ingest, "deadlines of sockets", net.deadlines().run());
    let serving =
        queues.spawn(Queue::Ingest, "new connections", serve_core(Rc::clone(&net), arrivals, queues, Rc::clone(&app)));
    // The starter has gone only if another core failed, and then the shutdown follows.
    let _ = ready.send(Obtained { access, registered_bytes: ring::registered_bytes() });
    drop(ready);

    shutdown.requested().await;
    wait_until(shutdown_time, || net.in_flight() == 0).await;
    if net.in_flight() > 0 {
        log::warn!("core {core}: {} requests are cut after {shutdown_time:?}", net.in_flight());
    }
    let closed = app.close().await;
    serving.cancel();
    net.deadlines().expire_all();
    wait_until(CLOSE_TIME, || net.stats().connections.get() == 0).await;
    clock.cancel();
    closed
}

/// Waits until `is_done`, but not longer than `time`.
async fn wait_until(time: Duration, is_done: impl Fn() -> bool) {
    let start = Instant::now();
    while !is_done() && start.elapsed() < time {
        ring::sleep(SHUTDOWN_TICK).await;
    }
}
