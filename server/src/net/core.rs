//! What the connections of one core share.

use std::cell::{Cell, RefCell};
use std::os::fd::OwnedFd;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, SystemTime};

use tidewire_protocol::http::{DateCache, Limits, ResponseHead};

use super::certificates::Certificates;
use super::drain::Drain;
use super::listener::{Arrival, Speech};
use super::tls::{CipherBuffers, TlsStream};
use super::transport::Transport;
use crate::memory::{CoreMemory, Level, Part};
use crate::metrics::registry::{Counter, Gauge, Registry};
use crate::ring::deadline::Deadlines;
use crate::ring::socket::Socket;
use crate::runtime::shutdown::Shutdown;
use tidewire_base::config;

/// Size of the buffers that bodies are received in: large enough that a system call is cheap beside the parsing of
/// what it brought, small enough that a piece stays in the L2 cache until it is parsed and copied into columns.
pub(super) const BUFFER_BYTES: usize = 256 << 10;

/// Large buffers of a core at most, 64 MiB; connections that find none work with their small buffer.
const BUFFERS_MAX: usize = 256;
/// And at least, so that a core with little memory can receive large bodies at all.
const BUFFERS_MIN: usize = 4;

/// Buffers kept for later when they are not in use.
const BUFFERS_SPARE_MAX: usize = 16;

/// The one line that may be as long as a buffer may grow has room beside the share of all connections.
const KEEPS_BYTES_MAX: u64 = 32 << 20;

/// Bounds of a connection.
#[derive(Debug, Clone)]
pub struct NetOptions {
    /// Bounds of a head.
    pub limits: Limits,
    /// For the whole head, from its first byte.
    pub head_timeout: Duration,
    /// Between requests.
    pub idle_timeout: Duration,
    /// Between two pieces of a body.
    pub body_timeout: Duration,
    /// Between two pieces of a reply that the client takes.
    pub send_timeout: Duration,
    /// What connections of HTTPS begin with.
    pub certificates: Option<Arc<Certificates>>,
}

impl From<&config::Http> for NetOptions {
    fn from(http: &config::Http) -> Self {
        let count = |number: u64| usize::try_from(number).unwrap_or(usize::MAX);
        Self {
            limits: Limits { head_bytes_max: count(http.head_bytes_max), headers_max: count(http.headers_max) },
            head_timeout: Duration::from_millis(http.head_timeout_ms),
            idle_timeout: Duration::from_millis(http.idle_timeout_ms),
            body_timeout: Duration::from_millis(http.body_timeout_ms),
            send_timeout: Duration::from_millis(http.send_timeout_ms),
            certificates: None,
        }
    }
}

impl NetOptions {
    /// How often deadlines are looked at: an eighth of the shortest, between 5 ms and 1 s.
    pub fn tick(&self) -> Duration {
        let shortest = self.head_timeout.min(self.idle_timeout).min(self.body_timeout).min(self.send_timeout);
        (shortest / 8).clamp(Duration::from_millis(5), Duration::from_secs(1))
    }
}

/// Counters of a core's connections.
#[derive(Debug)]
pub struct NetStats {
    /// Open connections.
    pub connections: Rc<Gauge>,
    /// Requests whose head arrived.
    pub requests: Rc<Counter>,
    /// Requests that never reached the handler.
    pub refused: Rc<Counter>,
    /// Bytes received.
    pub bytes_in: Rc<Counter>,
    /// Bytes sent.
    pub bytes_out: Rc<Counter>,
    /// Handshakes of TLS that came to nothing.
    pub handshakes_failed: Rc<Counter>,
}

impl NetStats {
    fn new(registry: &Registry) -> Self {
        Self {
            connections: registry.gauge("tidewire_connections", "Open connections.", &[]),
            requests: registry.counter("tidewire_http_requests_total", "Requests received.", &[]),
            refused: registry.counter(
                "tidewire_http_refused_total",
                "Requests refused before a route saw them: bad heads, timeouts, a server that stops.",
                &[],
            ),
            bytes_in: registry.counter("tidewire_http_received_bytes_total", "Bytes received.", &[]),
            bytes_out: registry.counter("tidewire_http_sent_bytes_total", "Bytes sent.", &[]),
            handshakes_failed: registry.counter(
                "tidewire_tls_handshakes_failed_total",
                "Connections to an address of HTTPS that did not come to keys.",
                &[],
            ),
        }
    }
}

/// What the connections of one core share.
#[derive(Debug)]
pub struct NetCore {
    pub(super) options: NetOptions,
    pub(super) shutdown: Shutdown,
    pub(super) deadlines: Rc<Deadlines>,
    pub(super) stats: NetStats,
    /// Connections handed to this core and not yet closed; the acceptor counts up, the core counts down.
    load: Arc<AtomicUsize>,
    in_flight: Cell<usize>,
    pub(super) drain: Drain,
    dates: RefCell<DateCache>,
    cipher_buffers: Rc<CipherBuffers>,
    spare: RefCell<Vec<Vec<u8>>>,
    lent: Cell<usize>,
    /// Large buffers that may be lent: half of what connections may hold.
    buffers_max: usize,
    pub(super) memory: Rc<CoreMemory>,
}

impl NetCore {
    /// For the core whose load the acceptor counts in `load`.
    pub fn new(
        options: NetOptions,
        shutdown: Shutdown,
        load: Arc<AtomicUsize>,
        memory: Rc<CoreMemory>,
        registry: &Registry,
    ) -> Rc<Self> {
        let half = memory.shared().budget().connections_bytes_max / 2;
        let buffers_max = usize::try_from(half).unwrap_or(usize::MAX) / BUFFER_BYTES;
        Rc::new(Self {
            deadlines: Deadlines::new(options.tick()),
            options,
            shutdown,
            stats: NetStats::new(registry),
            load,
            in_flight: Cell::new(0),
            drain: Drain::default(),
            dates: RefCell::default(),
            cipher_buffers: Rc::default(),
            spare: RefCell::default(),
            lent: Cell::new(0),
            buffers_max: buffers_max.clamp(BUFFERS_MIN, BUFFERS_MAX),
            memory,
        })
    }

    /// The socket of a connection of lines.
    pub(super) fn adopt(&self, socket: OwnedFd) -> Socket {
        Socket::adopt(socket, &self.deadlines)
    }

    /// What the bytes of a connection travel on; `None` where it cannot be had.
    pub(super) fn transport(&self, arrival: Arrival) -> Option<Transport> {
        let socket = Socket::adopt(arrival.socket, &self.deadlines);
        if arrival.speech != Speech::Https {
            return Some(Transport::Plain(socket));
        }
        let config = self.options.certificates.as_ref().map(|certificates| certificates.current());
        let stream =
            config.map(|config| TlsStream::new(socket, config, self.cipher_buffers.clone(), self.memory.clone()));
        match stream {
            Some(Ok(stream)) => Some(Transport::Tls(Box::new(stream))),
            other => {
                if let Some(Err(error)) = other {
                    log::error!("no session of TLS begins: {error}");
                }
                self.load.fetch_sub(1, Ordering::Relaxed);
                None
            }
        }
    }

    /// The deadlines of this core, whose clock somebody must run.
    pub fn deadlines(&self) -> Rc<Deadlines> {
        Rc::clone(&self.deadlines)
    }

    /// Requests being served now.
    pub fn in_flight(&self) -> usize {
        self.in_flight.get()
    }

    /// Ends all connections, once the shutdown was requested and nobody accepts any more: what is under way has
    /// `time_max` to finish. Returns how many requests were cut.
    pub async fn drain(&self, time_max: Duration, shutdown: &Shutdown) -> usize {
        let is_over = || self.load.load(Ordering::Relaxed) == 0;
        self.drain.run(is_over, || self.in_flight(), &self.deadlines, time_max, shutdown).await
    }

    /// The counters.
    pub fn stats(&self) -> &NetStats {
        &self.stats
    }

    /// Counts a request as being served until the guard is dropped.
    pub(super) fn enter(self: &Rc<Self>) -> InFlight {
        self.in_flight.set(self.in_flight.get() + 1);
        InFlight(Rc::clone(self))
    }

    pub(super) fn connection_closed(&self) {
        self.stats.connections.add(-1);
        self.load.fetch_sub(1, Ordering::Relaxed);
    }

    /// Appends the Date header.
    pub(super) fn date<'o>(&self, head: ResponseHead<'o>) -> ResponseHead<'o> {
        head.date(&mut self.dates.borrow_mut(), SystemTime::now())
    }

    /// A large receive buffer, if there are any left.
    pub(super) fn take_buffer(&self) -> Option<Vec<u8>> {
        if self.lent.get() >= self.buffers_max {
            return None;
        }
        self.lent.set(self.lent.get() + 1);
        let spare = self.spare.borrow_mut().pop();
        if spare.is_some() {
            self.memory.change(Part::Connections, BUFFER_BYTES as u64, 0);
        }
        Some(spare.unwrap_or_else(|| vec![0; BUFFER_BYTES]))
    }

    /// Gives a large buffer back; one that was made larger meanwhile is let go.
    pub(super) fn give_buffer(&self, buffer: Vec<u8>) {
        self.lent.set(self.lent.get().saturating_sub(1));
        let mut spare = self.spare.borrow_mut();
        if buffer.len() == BUFFER_BYTES && spare.len() < BUFFERS_SPARE_MAX && !self.is_short() {
            self.memory.change(Part::Connections, 0, BUFFER_BYTES as u64);
            spare.push(buffer);
        }
    }

    /// Whether memory that is not used now should be given back.
    pub(super) fn is_short(&self) -> bool {
        self.memory.shared().level() > Level::Calm
    }

    /// Whether the connections hold much of what they may.
    pub(super) fn is_crowded(&self) -> bool {
        self.memory.get(Part::Connections) > self.memory.shared().budget().connections_bytes_max / 2 || self.is_short()
    }

    /// Why buffers may not grow by `more` bytes now.
    pub(super) fn refuses_growth(&self, more: u64) -> Option<String> {
        let (held, shared) = (self.memory.get(Part::Connections), self.memory.shared());
        let (share, all) = (shared.budget().connections_bytes_max, shared.budget().bytes_max);
        if held + more > share + KEEPS_BYTES_MAX {
            return Some(format!(
                "the connections of this core hold {held} bytes in their buffers, their share of `memory.bytes_max` is \
                 {share}; try again later"
            ));
        }
        if shared.used() + more > all {
            return Some(format!(
                "the server holds {} of `memory.bytes_max` = {all} bytes; try again later",
                shared.used()
            ));
        }
        shared.shortage(Level::Full).map(|shortage| format!("{shortage}; try again later"))
    }
}

/// A request being served.
pub(super) struct InFlight(Rc<NetCore>);

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.in_flight.set(self.0.in_flight.get() - 1);
    }
}
