//! Listening and accepting.
//!
//! One thread waits on all addresses. It is not a core: it sleeps in `poll` and costs one wake-up per connection,
//! none per request. It hands each accepted socket to the core with the fewest connections (counting at once what it
//! hands over, so that a burst spreads evenly) through that core's own queue and bell.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rustix::event::{EventfdFlags, PollFd, PollFlags, Timespec};
use rustix::net::SocketFlags;

use crate::mesh::Bell;
use crate::mesh::queue::{Consumer, Producer, queue};
use crate::ring::event::Listener;

/// Accepted sockets that wait for their core; more are refused, since the core does not keep up.
const ARRIVALS_MAX: usize = 1024;

/// Connections the kernel keeps while the acceptor is away. The kernel cuts it to net.core.somaxconn.
const BACKLOG: i32 = 4096;

/// How often a persistent failure to accept is logged.
const TELL_AGAIN: Duration = Duration::from_secs(10);

/// The answer to a connection beyond the bound.
const FULL: &[u8] =
    b"HTTP/1.1 503 Service Unavailable\r\nRetry-After: 1\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";

/// What is said to one that speaks in lines.
const FULL_OF_LINES: &[u8] = b"error: too many connections\n";

/// What is spoken on an address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Speech {
    /// HTTP.
    Http,
    /// HTTP over TLS.
    Https,
    /// Commands line by line.
    Lines,
}

/// Addresses by what is spoken there.
#[derive(Debug, Clone, Copy, Default)]
pub struct Addresses<'a> {
    /// Of HTTP.
    pub http: &'a [SocketAddr],
    /// Of HTTP over TLS.
    pub https: &'a [SocketAddr],
    /// Of commands line by line.
    pub lines: &'a [SocketAddr],
}

/// Bound addresses.
#[derive(Debug)]
pub struct Listeners {
    sockets: Vec<Bound>,
}

/// An address that is bound.
#[derive(Debug)]
struct Bound {
    address: SocketAddr,
    socket: OwnedFd,
    speech: Speech,
}

/// A connection that was accepted.
#[derive(Debug)]
pub(super) struct Arrival {
    pub(super) socket: OwnedFd,
    /// What is spoken on the address that it came to.
    pub(super) speech: Speech,
}

impl Listeners {
    /// Binds every address. Port 0 takes a free port, which [`Self::addresses`] tells.
    pub fn bind(addresses: Addresses<'_>) -> io::Result<Self> {
        let bind = |address: &SocketAddr, speech: Speech| -> io::Result<Bound> {
            // `std` sets SO_REUSEADDR, so a restart need not wait for old connections to be forgotten.
            let listener = TcpListener::bind(address)?;
            listener.set_nonblocking(true)?;
            rustix::net::listen(&listener, BACKLOG)?;
            Ok(Bound { address: listener.local_addr()?, socket: listener.into(), speech })
        };
        let Addresses { http, https, lines } = addresses;
        let all = [(http, Speech::Http), (https, Speech::Https), (lines, Speech::Lines)];
        let all =
            all.into_iter().flat_map(|(addresses, speech)| addresses.iter().map(move |address| (address, speech)));
        let sockets = all.map(|(address, speech)| {
            bind(address, speech)
                .map_err(|error| io::Error::new(error.kind(), format!("cannot listen on {address}: {error}")))
        });
        Ok(Self { sockets: sockets.collect::<io::Result<_>>()? })
    }

    /// The addresses that are bound for this.
    pub fn addresses(&self, speech: Speech) -> Vec<SocketAddr> {
        self.sockets.iter().filter(|bound| bound.speech == speech).map(|bound| bound.address).collect()
    }
}

/// A core's end of the handing over.
#[derive(Debug)]
pub struct Arrivals {
    sockets: Consumer<Arrival>,
    bell: Arc<Bell>,
    listener: Listener,
    load: Arc<AtomicUsize>,
    failures: Arc<AtomicU64>,
}

impl Arrivals {
    /// The count of this core's connections, for [`super::NetCore`].
    pub fn load(&self) -> Arc<AtomicUsize> {
        Arc::clone(&self.load)
    }

    /// How often the acceptor could not accept; every core reports the same number.
    pub fn accept_failures(&self) -> Arc<AtomicU64> {
        Arc::clone(&self.failures)
    }

    /// Calls `take` with every socket that arrives, without end, on the executor of the calling thread.
    pub(super) async fn take_all(self, mut take: impl FnMut(Arrival)) {
        let waiter = self.listener.listen();
        loop {
            while let Some(arrival) = self.sockets.pop() {
                take(arrival);
            }
            self.bell.arm();
            if self.sockets.is_empty() {
                waiter.wait().await;
            } else {
                self.bell.disarm();
            }
        }
    }
}

/// The acceptor's end of the handing over to one core.
#[derive(Debug)]
pub struct Door {
    sockets: Producer<Arrival>,
    bell: Arc<Bell>,
    load: Arc<AtomicUsize>,
    failures: Arc<AtomicU64>,
}

/// Both ends of the handing over to each of `cores` cores.
pub fn doors(cores: usize) -> io::Result<(Vec<Door>, Vec<Arrivals>)> {
    let failures = Arc::<AtomicU64>::default();
    let door = |_| -> io::Result<(Door, Arrivals)> {
        let (producer, consumer) = queue(ARRIVALS_MAX);
        let (bell, listener) = Bell::new()?;
        let (bell, load) = (Arc::new(bell), Arc::new(AtomicUsize::new(0)));
        let (told, failures) = (Arc::clone(&failures), Arc::clone(&failures));
        let door = Door { sockets: producer, bell: Arc::clone(&bell), load: Arc::clone(&load), failures };
        Ok((door, Arrivals { sockets: consumer, bell, listener, load, failures: told }))
    };
    (0..cores).map(door).collect()
}

/// Stops an acceptor, from any thread, also before it has started.
#[derive(Debug, Clone)]
pub struct StopAccepting(Arc<OwnedFd>);

impl StopAccepting {
    /// For an acceptor that is not started yet.
    pub fn new() -> io::Result<Self> {
        Ok(Self(Arc::new(rustix::event::eventfd(0, EventfdFlags::CLOEXEC)?)))
    }

    /// Stops accepting and closes the addresses soon. Connections that are open stay.
    pub fn stop(&self) {
        // An eventfd takes a count; it fails only when closed, and this is what keeps it open.
        let _ = rustix::io::write(&*self.0, &1_u64.to_ne_bytes());
    }
}

/// Starts a thread that accepts on all of `listeners`, at most `connections_max` connections in all, until it is
/// stopped. `at_end` is dropped when the addresses are closed and every connection that was made has its core.
pub fn start_acceptor(
    listeners: Listeners,
    doors: Vec<Door>,
    connections_max: usize,
    stop: StopAccepting,
    at_end: impl Send + 'static,
) -> io::Result<JoinHandle<io::Result<()>>> {
    std::thread::Builder::new().name("tidewire-accept".to_owned()).spawn(move || {
        let _at_end = at_end;
        let accepted = accept_all(&listeners, &doors, connections_max, &stop.0);
        drop(listeners);
        accepted
    })
}

/// What the acceptor remembers between connections.
#[derive(Default)]
struct Accepting {
    /// The core that was served last.
    last: usize,
    /// When a failure was last logged: connections that wait are tried again and again.
    told: Option<Instant>,
}

fn accept_all(listeners: &Listeners, cores: &[Door], connections_max: usize, stop: &OwnedFd) -> io::Result<()> {
    let mut accepting = Accepting::default();
    loop {
        let mut watched: Vec<PollFd<'_>> =
            listeners.sockets.iter().map(|bound| PollFd::new(&bound.socket, PollFlags::IN)).collect();
        watched.push(PollFd::new(stop, PollFlags::IN));
        match rustix::event::poll(&mut watched, None) {
            Ok(_) => {}
            Err(rustix::io::Errno::INTR) => continue,
            Err(error) => {
                return Err(io::Error::new(error.kind(), format!("cannot wait for connections: {error}")));
            }
        }
        let is_stopped = watched.last().is_some_and(|stop| !stop.revents().is_empty());
        // A client that has connected by now gets an answer: a socket that is closed with its listener is reset.
        let is_ready = |at: &usize| is_stopped || !watched[*at].revents().is_empty();
        let ready: Vec<usize> = (0..listeners.sockets.len()).filter(is_ready).collect();
        drop(watched);
        for at in ready {
            accept_waiting(&listeners.sockets[at], cores, connections_max, &mut accepting, stop);
        }
        if is_stopped {
            return Ok(());
        }
    }
}

/// Accepts what waits on one address.
fn accept_waiting(
    Bound { address, socket: listener, speech }: &Bound,
    cores: &[Door],
    connections_max: usize,
    accepting: &mut Accepting,
    stop: &OwnedFd,
) {
    loop {
        let socket = match rustix::net::accept_with(listener, SocketFlags::CLOEXEC) {
            Ok(socket) => socket,
            Err(rustix::io::Errno::AGAIN) => return,
            // The client left before it was accepted.
            Err(rustix::io::Errno::CONNABORTED | rustix::io::Errno::INTR) => continue,
            Err(error) => {
                // Out of descriptors or memory: the connection stays in the backlog, so looking again at once would
                // spin. Waiting on `stop` alone keeps the end prompt.
                if let Some(core) = cores.first() {
                    core.failures.fetch_add(1, Ordering::Relaxed);
                }
                if accepting.told.is_none_or(|told| told.elapsed() >= TELL_AGAIN) {
                    accepting.told = Some(Instant::now());
                    log::error!("cannot accept on {address}, tried again while connections wait: {error}");
                }
                let pause = Timespec::try_from(Duration::from_millis(100)).ok();
                let _ = rustix::event::poll(&mut [PollFd::new(stop, PollFlags::IN)], pause.as_ref());
                return;
            }
        };
        // Replies leave in one write each; waiting for more to send along would only delay them.
        let _ = rustix::net::sockopt::set_tcp_nodelay(&socket, true);
        let load = |core: usize| cores[core].load.load(Ordering::Relaxed);
        if (0..cores.len()).map(load).sum::<usize>() >= connections_max {
            refuse(&socket, *speech);
            continue;
        }
        // Ties go to the core after the one that was served last.
        let first = (accepting.last + 1) % cores.len();
        let order = (0..cores.len()).map(|step| (first + step) % cores.len());
        let Some(chosen) = order.min_by_key(|core| load(*core)) else { return };
        accepting.last = chosen;
        let core = &cores[chosen];
        core.load.fetch_add(1, Ordering::Relaxed);
        match core.sockets.push(Arrival { socket, speech: *speech }) {
            Ok(()) => core.bell.ring(),
            Err(arrival) => {
                core.load.fetch_sub(1, Ordering::Relaxed);
                refuse(&arrival.socket, *speech);
            }
        }
    }
}

/// Tells a client, without waiting, that there is no room. One that wants TLS reads no such words.
fn refuse(socket: impl AsFd, speech: Speech) {
    let words = match speech {
        Speech::Http => FULL,
        Speech::Lines => FULL_OF_LINES,
        Speech::Https => return,
    };
    // The socket is fresh, so its send buffer takes the few bytes; if not, the client sees a close.
    let flags = rustix::net::SendFlags::DONTWAIT | rustix::net::SendFlags::NOSIGNAL;
    let _ = rustix::net::send(&socket, words, flags);
    let _ = rustix::net::shutdown(&socket, rustix::net::Shutdown::Write);
}
