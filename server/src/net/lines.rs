//! A connection of lines: commands one after the other, which are answered with text or not at all.
//!
//! 1. What has arrived is given to the service up to the end of its last line, in pieces of at most a buffer. While one
//!    is worked on nothing more is read, so that a client that is too fast waits in its own socket.
//! 2. A line that does not end within [`LINE_BYTES_MAX`] ends the connection, with a word of why.
//! 3. A connection that is idle holds the half line that it may have, and no buffer.
//! 4. A line without an end is none: nobody knows whether the client had more to say.
//! 5. At the end of the server the lines that have arrived are served, then the connection is closed.

use std::io;
use std::rc::Rc;

use memchr::memrchr;

use super::core::NetCore;
use super::drain::{DrainKey, Stage};
use super::{Goes, LineSession, Service};
use crate::memory::Part;
use crate::ring::socket::Socket;
use crate::ring::{poll_caught, yield_if_needed};

/// Longest line, its end included: a thousand tags are less.
const LINE_BYTES_MAX: usize = 16 << 10;

/// What lines are received in: much at a time from those who send much, less where memory is short.
const BUFFER_BYTES: usize = 256 << 10;
const BUFFER_BYTES_SMALL: usize = 2 * LINE_BYTES_MAX;

/// Pieces that are still served at the end of the server.
const LAST_PIECES: usize = 64;

/// What is said to one whose line does not end.
const TOO_LONG: &[u8] = b"error: the line is too long\n";

/// What is said to one whose lines have met a fault of ours.
const PANICKED: &[u8] = b"error: the server has failed at this, and closes the connection\n";

/// Serves one connection to its end.
pub(super) async fn serve<S: Service>(socket: Socket, core: Rc<NetCore>, service: Rc<S>) {
    let drain_key = core.drain.register().await;
    let session = LineSession { peer: socket.peer(), user: None };
    let mut connection = Connection { socket, core, service, session, rest: Vec::new(), counted: 0, drain_key };
    while connection.wait().await {
        if !connection.serve_arrived(usize::MAX).await {
            return;
        }
    }
    connection.serve_arrived(LAST_PIECES).await;
}

struct Connection<S> {
    socket: Socket,
    core: Rc<NetCore>,
    service: Rc<S>,
    session: LineSession,
    /// A line that has not ended.
    rest: Vec<u8>,
    /// Bytes that are held, as they were counted last.
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

impl<S: Service> Connection<S> {
    fn count(&mut self, bytes: usize) {
        let bytes = bytes as u64;
        self.core.memory.change(Part::Connections, std::mem::replace(&mut self.counted, bytes), bytes);
    }

    /// Waits for something to read; false where nothing more is waited for.
    async fn wait(&self) -> bool {
        let options = &self.core.options;
        self.socket.set_deadline(if self.rest.is_empty() { options.idle_timeout } else { options.body_timeout });
        let readable = self.core.drain.before(Stage::Closing, self.socket.readable()).await;
        matches!(readable, Some(Ok(())))
    }

    /// Serves what has arrived, at most this many pieces; false where the connection has ended.
    async fn serve_arrived(&mut self, pieces_max: usize) -> bool {
        if let Some(reason) = self.core.refuses_growth(BUFFER_BYTES_SMALL as u64) {
            self.say(format!("error: {reason}\n").as_bytes()).await;
            self.socket.shutdown_write();
            return false;
        }
        let size = if self.core.is_crowded() { BUFFER_BYTES_SMALL } else { BUFFER_BYTES };
        self.count(size);
        let mut buffer = vec![0; size];
        let mut held = self.rest.len();
        buffer[..held].copy_from_slice(&self.rest);
        self.rest = Vec::new();
        for _ in 0..pieces_max {
            yield_if_needed().await;
            match self.socket.try_read(&mut buffer[held..]) {
                Ok(0) => return false,
                Ok(count) => {
                    self.core.stats.bytes_in.add(count as u64);
                    held += count;
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(_) => return false,
            }
            let whole = memrchr(b'\n', &buffer[..held]).map_or(0, |end| end + 1);
            if whole > 0 && !self.serve_lines(&buffer[..whole]).await {
                return false;
            }
            buffer.copy_within(whole..held, 0);
            held -= whole;
            if held >= LINE_BYTES_MAX {
                self.say(TOO_LONG).await;
                self.socket.shutdown_write();
                return false;
            }
        }
        self.rest = buffer[..held].to_vec();
        self.count(held);
        true
    }

    /// Serves whole lines; false where the connection ends.
    async fn serve_lines(&mut self, lines: &[u8]) -> bool {
        let _guard = self.core.enter();
        let mut reply = Vec::new();
        let served = {
            let mut call = std::pin::pin!(self.service.lines(&mut self.session, lines, &mut reply));
            let call = std::future::poll_fn(|context| poll_caught(call.as_mut(), context));
            self.core.drain.before(Stage::Cutting, call).await
        };
        let goes = match served {
            Some(Ok(goes)) => goes,
            Some(Err(_)) => {
                log::error!("lines of {:?} have ended in a panic", self.session.peer);
                reply.extend_from_slice(PANICKED);
                Goes::Away
            }
            None => Goes::Away,
        };
        if !self.say(&reply).await {
            return false;
        }
        if goes == Goes::Away {
            self.socket.shutdown_write();
        }
        goes == Goes::On
    }

    /// Sends some text; whether the client takes it.
    async fn say(&self, text: &[u8]) -> bool {
        let sent = self.socket.write_all(text, self.core.options.send_timeout).await;
        self.core.stats.bytes_out.add(text.len() as u64);
        sent.is_ok()
    }
}
