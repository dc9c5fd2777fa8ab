//! One connection, from accept to close.
//!
//! 1. A head is received into the small buffer and copied aside (it is short mostly), so that the body can use the
//!    buffer.
//! 2. The handler runs. Replies to pipelined requests collect and leave together, but never wait for a handler that
//!    waits: before it does, they are sent.
//! 3. What the handler left of the body is read over, or the connection closes.
//! 4. A handler that panics is answered with 500, or its reply breaks off, and the connection closes.
//! 5. A connection on which nothing comes for [`BUSY_TIME`] rests: what serving a request takes, tens of kilobytes, is
//!    given back until the next one comes.
//!
//! Closing after a refusal first tells the client that nothing more comes and reads over what it still sends, within
//! bounds: a socket closed with unread bytes would be reset, and the client would never see the refusal.

use std::borrow::Cow;
use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::rc::Rc;
use std::time::Duration;

use futures_lite::future::poll_once;
use memchr::memmem;
use tidewire_protocol::http::{HeadError, parse_head, path_of_refused};

use super::body::Body;
use super::core::NetCore;
use super::drain::{DrainKey, Stage};
use super::head::HeadCopy;
use super::peer::ConnectionState;
use super::reply::Reply;
use super::transport::Transport;
use super::{Refusal, Request, Service};
use crate::memory::Part;
use crate::ring::poll_caught;

/// Replies to pipelined requests are sent once they add up to this.
const BACKLOG_BYTES_MAX: usize = 64 << 10;

/// A larger buffer of theirs is not kept for the next ones: connections that idle are many.
const BACKLOG_BYTES_KEPT: usize = 8 << 10;

/// Bounds of reading over what a refused client still sends.
const LINGER_BYTES_MAX: usize = 1 << 20;
const LINGER_TIME: Duration = Duration::from_secs(1);

/// How long the last bytes of a reply that breaks off may take to arrive.
const BREAK_OFF_TIME_MAX: Duration = Duration::from_secs(1);

/// A connection on which nothing comes for so long rests. Longer than clients pause that write once a second, so that
/// they find it awake; much shorter than connections idle that are many.
const BUSY_TIME: Duration = Duration::from_secs(2);

/// A head that is not complete is checked for mistakes each time it has doubled, and grew by this much: checks begin at
/// its start, so that one that comes in small pieces would cost its length times their number.
const RECHECK_BYTES: usize = 1 << 10;

/// The reason given to a request that comes too late, or takes too long to end.
const STOPPING: &str = "the server is stopping";

/// What is said to a client whose head there is no memory for.
const SHORT_OF_MEMORY: &str = "the server is short of memory for heads of requests; try again later";

/// How a connection goes on.
enum Next {
    /// With another request.
    Request,
    /// With another request, some time.
    Rest,
    /// It is closed at once: the client has closed, or broke off.
    Close,
    /// The client has been sent the reason.
    Linger,
}

/// Serves one connection to its end.
pub(super) async fn serve<S: Service>(transport: Transport, core: Rc<NetCore>, service: Rc<S>) {
    let socket = Rc::new(transport);
    let state = Rc::new(ConnectionState::default());
    let drain_key = core.drain.register().await;
    let mut connection = Connection {
        peer: socket.peer(),
        body: Body::new(Rc::clone(&socket), Rc::clone(&core), Rc::clone(&state)),
        reply: Reply::new(Rc::clone(&socket), Rc::clone(&core), state),
        socket,
        core,
        service,
        backlog: Vec::new(),
        counted: 0,
        drain_key,
    };
    // Each in a box of its own, which is there no longer than it is needed: connections that idle are many.
    if !Box::pin(connection.open()).await {
        return;
    }
    loop {
        match Box::pin(connection.serve_some()).await {
            Next::Request => {}
            Next::Rest if connection.rest().await => {}
            Next::Rest | Next::Close => return,
            Next::Linger => return Box::pin(connection.linger()).await,
        }
    }
}

struct Connection<S> {
    peer: Option<SocketAddr>,
    socket: Rc<Transport>,
    core: Rc<NetCore>,
    service: Rc<S>,
    body: Body,
    reply: Reply,
    /// Replies to earlier pipelined requests, not sent yet.
    backlog: Vec<u8>,
    /// Bytes of that, as they were counted last.
    counted: u64,
    drain_key: DrainKey,
}

impl<S> Drop for Connection<S> {
    fn drop(&mut self) {
        self.core.memory.change(Part::Connections, self.counted, 0);
        self.core.drain.forget(self.drain_key);
        self.core.connection_closed();
    }
}

/// What came of waiting for a head.
enum Received {
    /// A whole head, copied aside.
    Head,
    /// The client closed, idled too long or broke off.
    Nothing,
    /// Nothing yet, and it may take its time.
    NotYet,
    /// It broke a rule or was too slow.
    Refused(u16, Cow<'static, str>),
}

impl<S: Service> Connection<S> {
    /// Makes the connection ready for the first request; whether it is.
    async fn open(&self) -> bool {
        let Some(session) = self.socket.session() else { return true };
        let handshake = session.handshake(self.core.options.head_timeout);
        let opened = self.core.drain.before(Stage::Closing, handshake).await;
        if let Some(Err(error)) = &opened {
            self.core.stats.handshakes_failed.increment();
            log::debug!("no TLS with {:?}: {error}", self.peer);
        }
        matches!(opened, Some(Ok(())))
    }

    /// Serves requests for as long as they come.
    async fn serve_some(&mut self) -> Next {
        let mut head = HeadCopy::new(Rc::clone(&self.core));
        loop {
            match self.serve_one(&mut head).await {
                Next::Request => {}
                next => return next,
            }
        }
    }

    /// Waits for the first bytes of a request; whether there are any.
    async fn rest(&mut self) -> bool {
        self.socket.set_deadline(self.core.options.idle_timeout.saturating_sub(BUSY_TIME));
        matches!(self.core.drain.before(Stage::Closing, self.body.receive_head()).await, Some(Ok(1..)))
    }

    async fn serve_one(&mut self, head_copy: &mut HeadCopy) -> Next {
        match self.receive_head(head_copy).await {
            Received::Head => {}
            Received::Nothing => return Next::Close,
            Received::NotYet => return Next::Rest,
            Received::Refused(status, reason) => {
                let path = path_of_refused(self.body.buffered()).map(str::to_owned);
                return self.refuse(path.as_deref(), status, &reason).await;
            }
        }
        let bytes = head_copy.bytes();
        let head = match parse_head(bytes, &self.core.options.limits) {
            Ok(Some(head)) => head,
            Ok(None) => return self.refuse(path_of_refused(bytes), 400, "bad request head").await,
            Err(HeadError { status, reason }) => return self.refuse(path_of_refused(bytes), status, reason).await,
        };
        self.core.stats.requests.increment();
        self.body.begin(&head);
        self.reply.begin(Some(&head));
        if self.core.shutdown.is_requested() {
            self.core.stats.refused.increment();
            let refusal =
                Refusal { peer: self.peer, path: Some(head.path), head: Some(&head), status: 503, reason: STOPPING };
            self.service.refuse(refusal, &mut self.reply);
            if !self.reply.keeps_alive() {
                return self.close_after_reply().await;
            }
            // Others wait behind it, for the same.
            self.backlog.append(self.reply.out());
            return match self.core.drain.before(Stage::Closing, self.body.finish()).await {
                Some(true) => Next::Request,
                Some(false) | None => self.close_after_reply().await,
            };
        }
        let guard = self.core.enter();
        if head.expect_continue && self.send_backlog().await.is_err() {
            return Next::Close;
        }
        let has_panicked;
        let (broken, is_cut) = {
            let request = Request { peer: self.peer, head: &head, body: &mut self.body };
            let mut call = pin!(self.service.call(request, &mut self.reply));
            // A panic ends this request alone; those who watch panics have said which it was.
            let mut call = poll_fn(|context| poll_caught(call.as_mut(), context));
            match poll_once(&mut call).await {
                Some(ended) => {
                    has_panicked = ended.is_err();
                    (false, false)
                }
                None => {
                    let sent = if self.backlog.is_empty() {
                        Ok(())
                    } else {
                        self.socket.write_all(&self.backlog, self.core.options.send_timeout).await
                    };
                    self.core.stats.bytes_out.add(self.backlog.len() as u64);
                    self.backlog.clear();
                    let called = self.core.drain.before(Stage::Cutting, call).await;
                    has_panicked = matches!(called, Some(Err(_)));
                    (sent.is_err(), called.is_none())
                }
            }
        };
        if broken {
            return Next::Close;
        }
        if has_panicked {
            log::error!("{} {} has panicked", head.method_text, head.path);
            // What is left of the body is in a state that nobody knows.
            self.reply.close();
        }
        if is_cut && !self.reply.is_begun() {
            self.reply.close();
            let refusal =
                Refusal { peer: self.peer, path: Some(head.path), head: Some(&head), status: 503, reason: STOPPING };
            self.service.refuse(refusal, &mut self.reply);
        }
        if !self.reply.is_begun() {
            if !has_panicked {
                log::error!("no reply to {} {}", head.method_text, head.path);
            }
            self.reply.close();
            let reason = "the server has no answer";
            let refusal = Refusal { peer: self.peer, path: Some(head.path), head: Some(&head), status: 500, reason };
            self.service.refuse(refusal, &mut self.reply);
        }
        if !self.reply.is_complete() {
            // Broken off in the middle: what is out is sent, the end is not, and the client sees that.
            if self.reply.flush().await.is_ok() && self.reply.ends_with_connection() {
                self.socket.arrived(BREAK_OFF_TIME_MAX).await;
            }
            return Next::Close;
        }
        let keeps_alive = self.reply.keeps_alive();
        if !keeps_alive {
            let next = self.close_after_reply().await;
            drop(guard);
            return next;
        }
        self.backlog.append(self.reply.out());
        self.count_backlog();
        let is_next_here = memmem::find(self.body.buffered(), b"\r\n\r\n").is_some();
        if (!is_next_here || self.backlog.len() >= BACKLOG_BYTES_MAX) && self.send_backlog().await.is_err() {
            return Next::Close;
        }
        drop(guard);
        match self.core.drain.before(Stage::Closing, self.body.finish()).await {
            Some(true) => Next::Request,
            Some(false) => Next::Close,
            None => Next::Linger,
        }
    }

    /// Waits for a whole head and copies it to `head_copy`.
    async fn receive_head(&mut self, head_copy: &mut HeadCopy) -> Received {
        head_copy.clear();
        // Bytes in which mistakes, and the end of the head, have been looked for.
        let (mut checked, mut searched) = (0, 0);
        let mut is_timed = false;
        loop {
            let bytes = self.body.buffered();
            if let Some(length) = head_length(bytes, searched) {
                // Whatever is longer is refused by its length; it need not be copied.
                let copied = length.min(self.core.options.limits.head_bytes_max.saturating_add(1));
                head_copy.fill(&bytes[..copied]);
                self.body.skip(length);
                self.socket.clear_deadline();
                return Received::Head;
            }
            let arrived = bytes.len();
            searched = arrived;
            let is_due = checked == 0 || arrived >= (2 * checked).max(checked + RECHECK_BYTES);
            if arrived > 0 && (is_due || arrived >= self.core.options.limits.head_bytes_max) {
                checked = arrived;
                if let Err(HeadError { status, reason }) = parse_head(bytes, &self.core.options.limits) {
                    return Received::Refused(status, reason.into());
                }
            }
            if self.send_backlog().await.is_err() {
                return Received::Nothing;
            }
            if arrived == 0 {
                self.socket.set_deadline(self.core.options.idle_timeout.min(BUSY_TIME));
            } else if !is_timed {
                is_timed = true;
                self.socket.set_deadline(self.core.options.head_timeout);
            }
            let received = self.core.drain.before(Stage::Closing, self.body.receive_head()).await;
            let Some(received) = received else {
                let is_idle = self.body.buffered().is_empty();
                return if is_idle { Received::Nothing } else { Received::Refused(503, STOPPING.into()) };
            };
            match received {
                Ok(0) if self.body.buffered().is_empty() => return Received::Nothing,
                Ok(0) => return Received::Refused(400, "the request head broke off".into()),
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::OutOfMemory => {
                    return Received::Refused(429, SHORT_OF_MEMORY.into());
                }
                Err(error) if error.kind() == io::ErrorKind::TimedOut && !self.body.buffered().is_empty() => {
                    return Received::Refused(408, "the request head did not arrive in time".into());
                }
                Err(error) if error.kind() == io::ErrorKind::TimedOut => {
                    let may_rest = self.core.options.idle_timeout > BUSY_TIME;
                    return if may_rest { Received::NotYet } else { Received::Nothing };
                }
                Err(_) => return Received::Nothing,
            }
        }
    }

    /// Answers what never became a request. `path` is what it asked for, where that had arrived.
    async fn refuse(&mut self, path: Option<&str>, status: u16, reason: &str) -> Next {
        self.core.stats.refused.increment();
        self.reply.begin(None);
        self.service.refuse(Refusal { peer: self.peer, path, head: None, status, reason }, &mut self.reply);
        self.close_after_reply().await
    }

    async fn close_after_reply(&mut self) -> Next {
        self.backlog.append(self.reply.out());
        self.count_backlog();
        if self.send_backlog().await.is_err() { Next::Close } else { Next::Linger }
    }

    async fn send_backlog(&mut self) -> io::Result<()> {
        if self.backlog.is_empty() {
            return Ok(());
        }
        let sent = self.socket.write_all(&self.backlog, self.core.options.send_timeout).await;
        self.core.stats.bytes_out.add(self.backlog.len() as u64);
        self.backlog.clear();
        self.reply.rest();
        if self.backlog.capacity() > BACKLOG_BYTES_KEPT {
            self.backlog = Vec::new();
        }
        self.count_backlog();
        sent
    }

    /// Counts what the backlog holds.
    fn count_backlog(&mut self) {
        let bytes = self.backlog.capacity() as u64;
        self.core.memory.change(Part::Connections, std::mem::replace(&mut self.counted, bytes), bytes);
    }

    /// Lets the client read the last reply before the socket goes.
    async fn linger(&mut self) {
        self.socket.shutdown_write();
        self.socket.set_deadline(LINGER_TIME);
        let mut scratch = [0; 4096];
        let mut read = 0;
        while read < LINGER_BYTES_MAX {
            match self.socket.read(&mut scratch).await {
                Ok(0) | Err(_) => return,
                Ok(count) => read += count,
            }
        }
    }
}

/// Length of the head at the start of `bytes`, empty lines before it included, if it is complete. It did not end within
/// the first `searched` bytes.
fn head_length(bytes: &[u8], searched: usize) -> Option<usize> {
    const END: &[u8] = b"\r\n\r\n";
    let mut start = 0;
    while bytes[start..].starts_with(b"\r\n") {
        start += 2;
    }
    let from = start.max((searched + 1).saturating_sub(END.len()));
    memmem::find(bytes.get(from..)?, END).map(|at| from + at + END.len())
}
