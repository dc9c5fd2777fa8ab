//! Connections: from an address to a handler and back.
//!
//! ```text
//!   listener.rs    one thread accepts on all addresses and hands each socket to the core with the fewest connections
//!   transport.rs   what a connection's bytes travel on: the socket, or TLS over it (tls.rs), with certificates that
//!                  are read again when they change (certificates.rs)
//!   core.rs        what the connections of one core share: limits, buffers, counters, deadlines
//!   connection.rs  one connection: head, handler, reply, next head
//!   head.rs        the head of a request, beside the buffer
//!   body.rs        the request body, given to the handler in pieces where it was received
//!   staging.rs     what a chunked or compressed body passes through
//!   reply.rs       the reply, sent whole in one write or streamed
//!   peer.rs        whether the client is still there
//!   lines.rs       one connection of lines: commands, and text that answers them
//!   drain.rs       the end of all connections of a core
//! ```
//!
//! What a handler may rely on is documented at [`Service`].

mod body;
mod body_error;
mod certificates;
mod connection;
mod core;
mod drain;
mod head;
mod lines;
mod listener;
mod peer;
mod reply;
mod staging;
mod tls;
mod transport;

pub use body::{Body, Chunk};
pub use body_error::BodyError;
pub use certificates::{Certificates, certificates};
pub use core::{NetCore, NetOptions, NetStats};
use listener::Arrival;
pub use listener::{Addresses, Arrivals, Door, Listeners, Speech, StopAccepting, doors, start_acceptor};
pub use reply::Reply;

use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;

use tidewire_protocol::http::Head;
use tidewire_storage::schema::User;

use crate::ring::{Queue, Queues};

/// A request being served: its head, and its body as it arrives.
#[derive(Debug)]
pub struct Request<'r> {
    /// The client's address, if the connection still has one.
    pub peer: Option<SocketAddr>,
    /// The head.
    pub head: &'r Head<'r>,
    /// The body.
    pub body: &'r mut Body,
}

/// Why a request never reached [`Service::call`]: a bad head, a timeout, a server that is stopping.
#[derive(Debug, Clone, Copy)]
pub struct Refusal<'r> {
    /// The client's address, if the connection still has one.
    pub peer: Option<SocketAddr>,
    /// What it asked for, where that is known: then the family of its API is.
    pub path: Option<&'r str>,
    /// Its head, where that could be read.
    pub head: Option<&'r Head<'r>>,
    /// The status that HTTP has for it.
    pub status: u16,
    /// What was wrong.
    pub reason: &'r str,
}

/// What is known of a connection of lines.
#[derive(Debug)]
pub struct LineSession {
    /// The client's address, if the connection still has one.
    pub peer: Option<SocketAddr>,
    /// Who has proved to be there.
    pub user: Option<Arc<User>>,
}

/// How a connection of lines goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Goes {
    /// With more lines.
    On,
    /// It is closed, once what was said to its lines is sent.
    Away,
}

/// The handler of a core's requests.
///
/// - It sends exactly one reply through `reply`; if it sends none, the client gets 500.
/// - It need not read the body: what is left is read over if it is small, else the connection closes after the reply.
/// - It is dropped where it waits if the connection breaks while its reply is being sent. While it works, it can
///   watch for the client's leaving with [`Body::peer_gone`].
pub trait Service: 'static {
    /// Answers one request.
    fn call(&self, request: Request<'_>, reply: &mut Reply) -> impl Future<Output = ()>;

    /// Carries out whole lines of a connection of lines; what it adds to `reply` is said to them. Nothing more is read
    /// meanwhile. A server without addresses for lines needs none of this.
    fn lines(&self, _session: &mut LineSession, _lines: &[u8], _reply: &mut Vec<u8>) -> impl Future<Output = Goes> {
        std::future::ready(Goes::Away)
    }

    /// Answers a request that never reached [`Self::call`].
    fn refuse(&self, refusal: Refusal<'_>, reply: &mut Reply) {
        let mut body = String::from(refusal.reason);
        body.push('\n');
        reply.send(refusal.status, |head| head.content_type("text/plain; charset=utf-8"), body.as_bytes());
    }
}

/// Serves the connections that arrive on this core, until it ends.
pub async fn serve_core<S: Service>(core: Rc<NetCore>, arrivals: Arrivals, queues: Queues, service: Rc<S>) {
    let serve = |arrival: Arrival| {
        if arrival.speech == Speech::Lines {
            core.stats().connections.add(1);
            let connection = lines::serve(core.adopt(arrival.socket), Rc::clone(&core), Rc::clone(&service));
            queues.spawn(Queue::Ingest, "a connection of lines", connection).detach();
            return;
        }
        let Some(transport) = core.transport(arrival) else { return };
        core.stats().connections.add(1);
        let connection = connection::serve(transport, Rc::clone(&core), Rc::clone(&service));
        queues.spawn(Queue::Ingest, "a connection", connection).detach();
    };
    arrivals.take_all(serve).await;
}
