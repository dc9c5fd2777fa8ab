//! One core's world, and how all of them start and end.
//!
//! Start, in this order, so that what can be refused is refused before anything is touched: limits, io_uring,
//! processors, data folder (locked), addresses (bound, not yet accepting); then every core builds its [`App`] (opens
//! its shards, replays their logs); only when all are ready are connections accepted.
//!
//! End, when [`Stopper::stop`] was called: no more connections; then every core ends those it has
//! ([`NetCore::drain`]), while it answers the others; when nothing is under way anywhere, every core closes its app;
//! when all are closed, the cores end ([`Shutdown`]).

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, Receiver, Sender};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use futures_lite::future;

use crate::memory::{self, CoreMemory, Memory};
use crate::mesh::{Inbox, Mesh, Port, wire};
use crate::metrics::registry::Registry;
use crate::net::certificates as certificates_of;
use crate::net::{
    Addresses, Arrivals, Certificates, Listeners, NetCore, NetOptions, Service, Speech, StopAccepting, doors,
    serve_core, start_acceptor,
};
use crate::ring::disk::Access;
use crate::ring::host::{self, Limits};
use crate::ring::{self, Completions, CoreHandle, CoreOptions, Queue, Queues, RingDisk, RingFeatures};
use crate::runtime::clock;
use crate::runtime::shutdown::{Meeting, Shutdown};
use tidewire_base::config::Config;
use tidewire_base::datadir::DataDir;
use tidewire_base::placement::{available, place, shards_of_core};

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
    /// How the kernel hands over completions.
    pub completions: Completions,
    /// Addresses that HTTP is served on.
    pub addresses: Vec<SocketAddr>,
    /// Addresses that HTTPS is served on.
    pub tls_addresses: Vec<SocketAddr>,
    /// Addresses that commands are taken on line by line.
    pub line_addresses: Vec<SocketAddr>,
}

impl fmt::Display for StartReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let limit = |limit: Option<u64>| limit.map_or("unlimited".to_owned(), |limit| limit.to_string());
        write!(
            f,
            "kernel {} (completions {}); cores {:?}; {} shards; memory bound {} MiB; locked memory limit {} bytes; open files limit \
             {}; ",
            self.kernel,
            self.completions,
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
    acceptor: JoinHandle<io::Result<()>>,
    stopper: Stopper,
    ended: Receiver<usize>,
    certificates: Option<Arc<Certificates>>,
}

/// Ends a server, from any thread, also while it starts.
#[derive(Debug, Clone)]
pub struct Stopper {
    accepting: StopAccepting,
    state: Arc<StopperState>,
}

#[derive(Debug, Default)]
struct StopperState {
    is_asked: AtomicBool,
    is_urgent: AtomicBool,
    server: Mutex<Option<Stoppable>>,
}

/// What there is to stop.
#[derive(Debug)]
struct Stoppable {
    shutdown: Shutdown,
    /// The acceptor runs, and requests the shutdown when it has ended.
    is_accepting: bool,
}

impl Stopper {
    /// For a server that is not started yet.
    pub fn new() -> io::Result<Self> {
        Ok(Self { accepting: StopAccepting::new()?, state: Arc::default() })
    }

    /// Begins the end. [`Server::wait`] returns when it is done; a server that is starting does not start.
    pub fn stop(&self) {
        self.state.is_asked.store(true, Ordering::SeqCst);
        self.accepting.stop();
        // First the addresses are closed: a client that is sent to another connection must not find one.
        if let Some(server) = &*self.state.server()
            && !server.is_accepting
        {
            server.shutdown.request();
        }
    }

    /// Does not wait any longer for what is under way.
    pub fn hurry(&self) {
        self.state.is_urgent.store(true, Ordering::SeqCst);
        if let Some(server) = &*self.state.server() {
            server.shutdown.hurry();
        }
    }

    /// Whether [`Self::stop`] was called.
    pub fn is_asked(&self) -> bool {
        self.state.is_asked.load(Ordering::SeqCst)
    }

    /// There is something to stop from now on.
    fn set(&self, shutdown: &Shutdown) {
        *self.state.server() = Some(Stoppable { shutdown: shutdown.clone(), is_accepting: false });
        if self.is_asked() {
            shutdown.request();
        }
        if self.state.is_urgent.load(Ordering::SeqCst) {
            shutdown.hurry();
        }
    }

    fn set_accepting(&self, is_accepting: bool) {
        if let Some(server) = &mut *self.state.server() {
            server.is_accepting = is_accepting;
        }
    }
}

impl StopperState {
    fn server(&self) -> MutexGuard<'_, Option<Stoppable>> {
        self.server.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Requests the shutdown when dropped.
struct RequestAtEnd(Shutdown);

impl Drop for RequestAtEnd {
    fn drop(&mut self) {
        self.0.request();
    }
}

/// Reports that a core's thread has ended, however it did.
struct EndNotice {
    core: usize,
    shutdown: Shutdown,
    ended: Sender<usize>,
}

impl Drop for EndNotice {
    fn drop(&mut self) {
        self.shutdown.lose(self.core);
        // Nobody listens any more when the start failed on another core.
        let _ = self.ended.send(self.core);
    }
}

/// Starts a server. Returns when it serves, or says in one sentence why it does not.
pub fn start<A: App>(config: Config, shared: &Arc<A::ServerState>) -> Result<Server, String> {
    start_stoppable::<A>(config, shared, Stopper::new().map_err(|error| no_events(&error))?)
}

/// The same with a stopper that somebody may use meanwhile.
pub fn start_stoppable<A: App>(
    mut config: Config,
    shared: &Arc<A::ServerState>,
    stopper: Stopper,
) -> Result<Server, String> {
    let limits = host::raise_limits();
    host::check_io_uring()?;
    let cpus = place(&config.cores, &available()).map_err(|reason| format!("`cores`: {reason}"))?;
    host::check_open_files(limits.open_files, cpus.len())?;
    let wanted = usize::try_from(config.shards).unwrap_or(usize::MAX);
    let data_dir = DataDir::open(&config.data_dir, wanted, cpus.len()).map_err(|error| error.to_string())?;
    let machine = memory::machine::memory_bytes();
    let budget = memory::budget::settle(&mut config, machine, data_dir.shards(), cpus.len())?;
    // With what was derived.
    log::info!("settings beside the defaults: {}", config.settings().join(", "));
    if !config.retention.clock_offset_file.as_os_str().is_empty() {
        let path = config.retention.clock_offset_file.clone();
        log::warn!("the clock is the host's moved by what {} says: this is for tests alone", path.display());
        clock::follow_offset(path).map_err(|error| format!("no thread for the clock: {error}"))?;
    }
    let memory = Memory::new(budget, machine, cpus.len());
    let certificates = match config.tls.listen.is_empty() {
        true => None,
        false => Some(Arc::new(Certificates::read(&config.tls).map_err(|reason| format!("`tls`: {reason}"))?)),
    };
    if let Some(certificates) = &certificates {
        certificates.watch().map_err(|error| format!("no thread for certificates: {error}"))?;
    }
    let roots = &config.subscriptions.ca_file;
    if !roots.as_os_str().is_empty() {
        certificates_of(roots).map_err(|reason| format!("`subscriptions.ca_file`: {reason}"))?;
    }
    let addresses =
        Addresses { http: &config.listen, https: &config.tls.listen, lines: &config.opentsdb.telnet_listen };
    let listeners = Listeners::bind(addresses).map_err(|error| error.to_string())?;
    let [addresses, tls_addresses, line_addresses] =
        [Speech::Http, Speech::Https, Speech::Lines].map(|speech| listeners.addresses(speech));

    let (config, data_dir, shutdown) = (Arc::new(config), Arc::new(data_dir), Shutdown::new(cpus.len()));
    stopper.set(&shutdown);
    let io_memory_bytes = host::io_memory_bytes(limits.locked_bytes, cpus.len());
    let (to_start, ready) = mpsc::channel();
    let (to_end, ended) = mpsc::channel();
    let (doors, arrivals) = doors(cpus.len()).map_err(|error| no_events(&error))?;
    let ports = wire(cpus.len()).map_err(|error| no_events(&error))?;
    let mut cores = Vec::with_capacity(cpus.len());
    for ((core, port), arrivals) in ports.into_iter().enumerate().zip(arrivals) {
        let options = CoreOptions {
            name: format!("tidewire-{core}"),
            cpu: Some(cpus[core]),
            io_memory_bytes,
            ring_depth: usize::try_from(config.ring.depth).unwrap_or(512),
            preempt: Duration::from_micros(config.ring.preempt_us),
            features: RingFeatures::default(),
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
            certificates: certificates.clone(),
            ready: to_start.clone(),
        };
        let notice = EndNotice { core, shutdown: shutdown.clone(), ended: to_end.clone() };
        let handle = ring::start_core_with(options, notice, move || run_core::<A>(setup));
        let handle = handle.map_err(|error| {
            shutdown.request();
            error.to_string()
        })?;
        cores.push(handle);
    }
    drop(to_start);
    let (mut access, mut registered_bytes, mut completions) = (Access::Buffered, 0, Completions::Interrupting);
    for _ in 0..cores.len() {
        match ready.recv() {
            Ok(obtained) => {
                access = obtained.access;
                completions = obtained.completions;
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
    // From here on the acceptor requests the shutdown, when it is stopped or ends by itself.
    stopper.set_accepting(true);
    let at_end = RequestAtEnd(shutdown);
    let acceptor = start_acceptor(listeners, doors, connections_max, stopper.accepting.clone(), at_end)
        .map_err(|error| format!("cannot accept: {error}"))?;
    let report = StartReport {
        kernel: host::kernel(),
        cpus,
        shards: data_dir.shards(),
        limits,
        memory_bytes_max: budget.bytes_max,
        registered_bytes,
        pinned_bytes: host::pinned_bytes(),
        access,
        completions,
        addresses,
        tls_addresses,
        line_addresses,
    };
    Ok(Server { report, cores, acceptor, stopper, ended, certificates })
}

impl Server {
    /// What the host gave.
    pub fn report(&self) -> &StartReport {
        &self.report
    }

    /// Addresses that HTTP is served on.
    pub fn addresses(&self) -> &[SocketAddr] {
        &self.report.addresses
    }

    /// What clients ask: the addresses as URLs, those of HTTP first.
    pub fn urls(&self) -> Vec<String> {
        let plain = self.report.addresses.iter().map(|address| format!("http://{address}"));
        let tls = self.report.tls_addresses.iter().map(|address| format!("https://{address}"));
        let lines = self.report.line_addresses.iter().map(|address| format!("telnet://{address}"));
        plain.chain(tls).chain(lines).collect()
    }

    /// The certificates, where HTTPS is served.
    pub fn certificates(&self) -> Option<Arc<Certificates>> {
        self.certificates.clone()
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
        let accepted = self.acceptor.join().map_err(|_| "the accepting thread panicked".to_owned());
        result.and(accepted.and_then(|accepted| accepted.map_err(|error| error.to_string())))
    }
}

/// What a core got from the host.
struct Obtained {
    access: Access,
    registered_bytes: usize,
    completions: Completions,
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
    certificates: Option<Arc<Certificates>>,
    ready: Sender<Obtained>,
}

/// The life of one core.
async fn run_core<A: App>(setup: CoreSetup<A>) -> Result<(), String> {
    let CoreSetup { core, cores, config, data_dir, memory, shutdown, shared, port, arrivals, certificates, ready } =
        setup;
    // The folder stays locked until the last core has ended.
    let _held = Arc::clone(&data_dir);
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
    let options = NetOptions { certificates, ..NetOptions::from(&config.http) };
    let net = NetCore::new(options, shutdown.clone(), arrivals.load(), memory.clone(), &registry);
    let drain_time = Duration::from_secs(config.http.drain_timeout_s);
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
    let _ =
        ready.send(Obtained { access, registered_bytes: ring::registered_bytes(), completions: ring::completions() });
    drop(ready);

    shutdown.requested().await;
    let cut = net.drain(drain_time, &shutdown).await;
    if cut > 0 {
        log::warn!("core {core}: {cut} requests did not finish in time and were cut");
    }
    // Until here any core may need this one's shards.
    shutdown.meet(Meeting::Drained, core).await;
    serving.cancel();
    let closed = app.close().await;
    shutdown.meet(Meeting::Closed, core).await;
    clock.cancel();
    closed
}

/// What is said when the host gives no eventfd.
fn no_events(error: &io::Error) -> String {
    format!("cannot make the events that cores wake each other with: {error}")
}
