//! The sending half of a connection.
//!
//! A whole reply is put into the connection's send buffer and leaves in one write when the handler is done. A streamed
//! one leaves whenever enough has come together, and its handler waits when the client does not take it.

use std::io;
use std::rc::Rc;

use tidewire_protocol::http::{self, Framing, Head, Method, ResponseHead, Version};

use super::core::NetCore;
use super::peer::{ConnectionState, FIRST_BYTES};
use super::transport::Transport;
use crate::memory::Part;

/// A streamed reply is sent when this much has come together: a system call costs about as much as copying 16 KiB.
const SEND_BYTES: usize = 64 << 10;

/// A send buffer that grew beyond this is not kept for the next part of a stream: what a part of rows takes, and half
/// as much again.
const STREAM_BYTES_KEPT: usize = 6 * SEND_BYTES;

/// And beyond this not for the next reply: connections that idle are many.
const IDLE_BYTES_KEPT: usize = 8 << 10;

/// Hex digits of the size in front of a chunk that is written in place.
const SIZE_DIGITS: usize = 8;

/// What a chunk has around its bytes: its size, and two ends of lines.
const FRAME_BYTES: usize = SIZE_DIGITS + 4;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// Nothing was said yet.
    Unsent,
    /// The head is out, the body is on its way.
    Streaming(Framing),
    /// The reply is complete.
    Complete,
}

/// The reply to one request.
#[derive(Debug)]
pub struct Reply {
    socket: Rc<Transport>,
    core: Rc<NetCore>,
    connection: Rc<ConnectionState>,
    out: Vec<u8>,
    state: State,
    status: u16,
    is_head: bool,
    is_http10: bool,
    keeps_alive: bool,
    /// The client has gone, or has taken nothing for too long.
    is_broken: bool,
    /// Bytes of the send buffer, as they were counted last.
    counted: u64,
    /// Bytes of the reply's body.
    body_bytes: u64,
}

impl Reply {
    pub(super) fn new(socket: Rc<Transport>, core: Rc<NetCore>, connection: Rc<ConnectionState>) -> Self {
        Self {
            socket,
            core,
            connection,
            out: Vec::new(),
            state: State::Unsent,
            status: 0,
            is_head: false,
            is_http10: false,
            keeps_alive: false,
            is_broken: false,
            counted: 0,
            body_bytes: 0,
        }
    }

    /// Counts what the send buffer holds.
    fn count(&mut self) {
        let bytes = self.out.capacity() as u64;
        self.core.memory.change(Part::Connections, std::mem::replace(&mut self.counted, bytes), bytes);
    }

    /// Sends a whole reply. `headers` adds to the head: `|head| head.content_type("text/csv")`. Length, date and
    /// connection headers are added here.
    pub fn send(&mut self, status: u16, headers: impl FnOnce(ResponseHead<'_>) -> ResponseHead<'_>, body: &[u8]) {
        self.head(status, headers, Framing::Length(body.len() as u64));
        if !self.is_head && !is_bodiless(status) {
            self.out.extend_from_slice(body);
            self.body_bytes = body.len() as u64;
        }
        self.count();
        self.state = State::Complete;
    }

    /// Whether there is memory for a reply whose text takes so much. A large one is held until its client has read it,
    /// and clients may be many and slow; a handler that asks before it begins can still say why there is none.
    pub fn has_room(&self, bytes: usize) -> bool {
        bytes <= SEND_BYTES || self.core.refuses_growth(bytes as u64).is_none()
    }

    /// Bytes that buffers of all connections of the core hold, and what they may.
    pub fn memory(&self) -> (u64, u64) {
        let memory = &self.core.memory;
        (memory.get(Part::Connections), memory.shared().budget().connections_bytes_max)
    }

    /// Begins a reply whose length is not known. It is complete with [`Self::finish`]; if that is never called, the
    /// client sees that the reply broke off: the last chunk is missing, or where there are no chunks (HTTP/1.0), the
    /// connection ends with a reset.
    pub fn stream(&mut self, status: u16, headers: impl FnOnce(ResponseHead<'_>) -> ResponseHead<'_>) {
        let framing = if self.is_http10 { Framing::UntilClose } else { Framing::Chunked };
        self.keeps_alive &= !self.is_http10;
        self.head(status, headers, framing);
        self.state = State::Streaming(framing);
    }

    /// Adds to a streamed reply. An error means that the client has gone.
    pub async fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.out.reserve(bytes.len() + FRAME_BYTES);
        self.write_with(|out| out.extend_from_slice(bytes)).await
    }

    /// Adds to a streamed reply what `fill` appends to the send buffer, without a copy between.
    pub async fn write_with(&mut self, fill: impl FnOnce(&mut Vec<u8>)) -> io::Result<()> {
        let State::Streaming(framing) = self.state else {
            return Err(io::Error::other("the reply is not being streamed"));
        };
        if self.is_broken {
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        let start = self.out.len();
        if framing == Framing::Chunked {
            // Room for the size, which is known only afterwards. Leading zeros are part of the grammar.
            self.out.extend_from_slice(b"00000000\r\n");
        }
        let from = self.out.len();
        fill(&mut self.out);
        let length = self.out.len() - from;
        let is_shown = length > 0 && !self.is_head;
        self.body_bytes += if is_shown { length as u64 } else { 0 };
        if !is_shown {
            self.out.truncate(start);
        } else if framing == Framing::Chunked {
            let mut rest = length;
            for digit in self.out[start..start + SIZE_DIGITS].iter_mut().rev() {
                *digit = b"0123456789abcdef"[rest & 15];
                rest >>= 4;
            }
            if rest > 0 {
                return Err(io::Error::other("a chunk of 4 GiB or more"));
            }
            self.out.extend_from_slice(b"\r\n");
        }
        self.count();
        if self.out.len() >= SEND_BYTES { self.flush().await } else { Ok(()) }
    }

    /// Ends a streamed reply.
    pub fn finish(&mut self) {
        if let State::Streaming(framing) = self.state {
            if framing == Framing::Chunked && !self.is_head {
                http::write_last_chunk(&mut self.out);
            }
            self.state = State::Complete;
        }
    }

    /// Sends what has come together so far, so that a slow stream is seen by the client.
    pub async fn flush(&mut self) -> io::Result<()> {
        let sent = self.socket.write_all(&self.out, self.core.options.send_timeout).await;
        self.core.stats.bytes_out.add(self.out.len() as u64);
        self.out.clear();
        self.rest_above(STREAM_BYTES_KEPT);
        self.is_broken |= sent.is_err();
        sent
    }

    /// Gives the memory of a reply of more than some rows back, once it is sent.
    pub(super) fn rest(&mut self) {
        self.rest_above(IDLE_BYTES_KEPT);
    }

    fn rest_above(&mut self, bytes_kept: usize) {
        if self.out.is_empty() && self.out.capacity() > bytes_kept {
            self.out = Vec::new();
        }
        self.count();
    }

    /// Whether a head was sent, so that no other status can be sent any more.
    pub fn is_begun(&self) -> bool {
        self.state != State::Unsent
    }

    /// The status that was sent; 0 before.
    pub fn status(&self) -> u16 {
        self.status
    }

    /// Bytes of the reply's body so far.
    pub fn body_bytes(&self) -> u64 {
        self.body_bytes
    }

    /// The connection closes after this reply. To be called before the head is sent.
    pub fn close(&mut self) {
        self.keeps_alive = false;
    }

    fn head(&mut self, status: u16, headers: impl FnOnce(ResponseHead<'_>) -> ResponseHead<'_>, framing: Framing) {
        assert!(self.state == State::Unsent, "invariant: one reply for each request");
        self.status = status;
        // At the end of the server the last of the requests that are here closes the connection.
        let is_last = self.core.shutdown.is_requested() && !self.connection.has_next.get();
        if self.connection.is_body_open.get() || is_last {
            self.keeps_alive = false;
        }
        let start = self.out.len();
        let head = self.core.date(ResponseHead::new(&mut self.out, status));
        let head = headers(head);
        let head = match (self.keeps_alive, self.is_http10) {
            (false, _) => head.close(),
            (true, true) => head.header("Connection", "keep-alive"),
            (true, false) => head,
        };
        head.finish(framing);
        self.connection.is_reply_begun.set(true);
        let ahead = self.connection.sent_ahead.take();
        assert!(self.out[start..].starts_with(&FIRST_BYTES[..ahead]), "BUG: a reply that begins otherwise");
        self.out.drain(start..start + ahead);
    }

    // For the connection loop.

    /// Sets up for the reply to a request, or to something that is none.
    pub(super) fn begin(&mut self, head: Option<&Head<'_>>) {
        self.state = State::Unsent;
        self.connection.is_reply_begun.set(false);
        self.status = 0;
        self.body_bytes = 0;
        self.is_head = head.is_some_and(|head| head.method == Method::Head);
        self.is_http10 = head.is_some_and(|head| head.version == Version::Http10);
        self.keeps_alive = head.is_some_and(|head| head.keep_alive);
    }

    /// Whether only the end of the connection ends the reply.
    pub(super) fn ends_with_connection(&self) -> bool {
        self.state == State::Streaming(Framing::UntilClose)
    }

    /// Whether the reply is complete.
    pub(super) fn is_complete(&self) -> bool {
        self.state == State::Complete
    }

    /// Whether the reply says that the connection stays open.
    pub(super) fn keeps_alive(&self) -> bool {
        self.keeps_alive
    }

    /// The send buffer, to be sent together with others'.
    pub(super) fn out(&mut self) -> &mut Vec<u8> {
        &mut self.out
    }
}

impl Drop for Reply {
    fn drop(&mut self) {
        if self.ends_with_connection() {
            // Not finished, and an orderly end of the connection would say that it is.
            self.socket.reset_when_closed();
        }
        self.core.memory.change(Part::Connections, self.counted, 0);
    }
}

fn is_bodiless(status: u16) -> bool {
    matches!(status, 100..=199 | 204 | 304)
}
