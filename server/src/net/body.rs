//! The receiving half of a connection: heads for the connection loop, the body for the handler.
//!
//! A body is handed out in pieces, as it arrives. One with a Content-Length and no coding is handed out where it was
//! received, without a copy; a chunked or compressed one is put together in a second buffer. A handler that cannot
//! use the end of a piece yet (half a line) says so with [`Body::keep`], and finds those bytes at the start of the
//! next piece.
//!
//! ```text
//!   buffer  [ . . . . k k d d d d d d n n n . . . . ]     k kept, d new, n the next request, pipelined
//!                     ^start                ^end
//! ```
//!
//! Heads and small bodies live in a small buffer of the connection; when more is to come, a large one is borrowed from
//! the core and given back when the connection idles, so that idle connections cost little.

use std::io;
use std::rc::Rc;

use tidewire_protocol::http::{self, BodyFramer, BodyLength, Encoding, Head, STEP_BYTES_MAX, UnknownEncoding};

use super::body_error::BodyError;
use super::core::{BUFFER_BYTES, NetCore};
use super::peer::{self, ConnectionState};
use super::staging::Staging;
use super::transport::Transport;
use crate::memory::Part;
use crate::ring::yield_if_needed;

/// Receives heads and small bodies.
const BUFFER_BYTES_SMALL: usize = 4 << 10;

/// What a connection may hold without asking whether there is memory, beside a large buffer: those are few, and so much
/// is had by all connections there may be.
const FREE_BYTES_MAX: u64 = 8 << 10;

/// A small buffer that grew beyond this is not kept while the connection idles.
const BUFFER_BYTES_KEPT: usize = 8 << 10;

/// Most bytes a handler may keep: a single line longer than this is refused.
const KEEP_BYTES_MAX: usize = 16 << 20;

/// An unread rest of a body up to this is read over to save the connection; beyond it closing is cheaper.
const DISCARD_BYTES_MAX: u64 = 256 << 10;

/// Bound of a body whose handler sets none.
const LIMIT_DEFAULT: u64 = 1 << 20;

/// A piece of a body.
#[derive(Debug)]
pub struct Chunk<'b> {
    /// The bytes: first those kept from the last piece, then new ones.
    pub bytes: &'b [u8],
    /// Nothing comes after this piece.
    pub is_last: bool,
}

/// How the body is taken out of the buffer.
#[derive(Debug)]
enum Mode {
    /// No bound was set yet, and nothing was read.
    Fresh { length: BodyLength, encoding: Result<Encoding, UnknownEncoding> },
    /// In place: this many bytes of the body are not consumed, in the buffer or still to come.
    InPlace { left: u64 },
    /// Through `staged`.
    Staged(Staging),
    /// An error was reported; the connection closes.
    Failed,
}

/// The body of a request, see [`super::Request`].
#[derive(Debug)]
pub struct Body {
    socket: Rc<Transport>,
    core: Rc<NetCore>,
    connection: Rc<ConnectionState>,
    buffer: Vec<u8>,
    start: usize,
    end: usize,
    is_borrowed: bool,
    mode: Mode,
    staged: Vec<u8>,
    /// Bytes of the last piece handed out, and how many of them are kept.
    lent: usize,
    kept: usize,
    expects_continue: bool,
    /// Bytes of pieces that the handler has got.
    given: u64,
    /// Bytes that [`Body::read_all`] has handed out.
    whole: usize,
    /// Bytes of all that, as they were counted last.
    counted: u64,
    /// The same of the decoder.
    counted_decoder: u64,
}

impl Body {
    pub(super) fn new(socket: Rc<Transport>, core: Rc<NetCore>, connection: Rc<ConnectionState>) -> Self {
        let mut body = Self {
            socket,
            core,
            connection,
            buffer: vec![0; BUFFER_BYTES_SMALL],
            start: 0,
            end: 0,
            is_borrowed: false,
            mode: Mode::InPlace { left: 0 },
            staged: Vec::new(),
            lent: 0,
            kept: 0,
            expects_continue: false,
            given: 0,
            whole: 0,
            counted: 0,
            counted_decoder: 0,
        };
        body.count();
        body
    }

    /// Counts what the buffers hold.
    fn count(&mut self) {
        let bytes = (self.buffer.len() + self.staged.capacity() + self.whole) as u64;
        self.core.memory.change(Part::Connections, std::mem::replace(&mut self.counted, bytes), bytes);
        let decoder = match &self.mode {
            Mode::Staged(staging) => staging.decoder_bytes(),
            _ => 0,
        };
        self.core.memory.change(Part::Decoders, std::mem::replace(&mut self.counted_decoder, decoder), decoder);
    }

    /// Bounds the body, as sent and as decompressed. Refuses at once what is known to be too large (413) or cannot be
    /// decompressed (415), before the client was asked to send it. To be called before the first piece; the default
    /// is 1 MiB.
    pub fn limit(&mut self, bytes_max: u64) -> Result<(), BodyError> {
        let Mode::Fresh { length, encoding } = &self.mode else { return Ok(()) };
        let framer = match (BodyFramer::new(*length, bytes_max), encoding) {
            (Ok(framer), Ok(_)) => framer,
            (Err(error), _) => return Err(self.fail(error.into())),
            (_, Err(error)) => {
                let error = BodyError::UnknownEncoding(error.clone());
                return Err(self.fail(error));
            }
        };
        let encoding = encoding.as_ref().map_or(Encoding::Identity, |encoding| *encoding);
        self.mode = match *length {
            BodyLength::None => Mode::InPlace { left: 0 },
            BodyLength::Length(left) if encoding == Encoding::Identity => Mode::InPlace { left },
            BodyLength::Length(_) | BodyLength::Chunked => Mode::Staged(Staging::new(framer, encoding, bytes_max)),
        };
        Ok(())
    }

    /// The body is to be handed out as it was sent: its coding is the handler's affair. To be called before
    /// [`Self::limit`].
    pub fn as_sent(&mut self) {
        if let Mode::Fresh { encoding, .. } = &mut self.mode {
            *encoding = Ok(Encoding::Identity);
        }
    }

    /// The next piece, or `None` after the last. The bytes of the piece before are consumed, except those kept.
    pub async fn chunk(&mut self) -> Result<Option<Chunk<'_>>, BodyError> {
        if matches!(self.mode, Mode::Fresh { .. }) {
            self.limit(LIMIT_DEFAULT)?;
        }
        if self.kept > KEEP_BYTES_MAX {
            let reason = format!("a line is longer than {KEEP_BYTES_MAX} bytes");
            return Err(self.fail(BodyError::refused(413, reason)));
        }
        match self.mode {
            Mode::InPlace { .. } => self.chunk_in_place().await,
            Mode::Staged(_) => self.chunk_staged().await,
            Mode::Fresh { .. } | Mode::Failed => {
                Err(BodyError::refused(400, "the request body was refused before its end"))
            }
        }
    }

    /// The last `count` bytes of the last piece were not used and stand at the start of the next.
    pub fn keep(&mut self, count: usize) {
        self.kept = count.min(self.lent);
    }

    /// Bytes of the body that were handed out, decompressed. What was kept counts once.
    pub fn given(&self) -> u64 {
        self.given
    }

    /// The whole body, at most `bytes_max` long.
    pub async fn read_all(&mut self, bytes_max: u64) -> Result<Vec<u8>, BodyError> {
        self.limit(bytes_max)?;
        let mut all: Vec<u8> = Vec::new();
        loop {
            let left = self.left();
            let Some(chunk) = self.chunk().await? else { break };
            let more = match chunk.is_last && all.is_empty() {
                true => chunk.bytes.len(),
                false => growth(&all, chunk.bytes.len(), left),
            };
            let length = chunk.bytes.len();
            self.check_growth(more)?;
            all.reserve_exact(more);
            all.extend_from_slice(self.last_piece(length));
            self.whole = all.capacity();
            self.count();
        }
        Ok(all)
    }

    /// Waits until the client has gone. What it sends meanwhile (the next request) is kept, as far as there is room. A
    /// client that has closed its sending side alone is still there: see [`peer`].
    pub async fn peer_gone(&mut self) {
        while self.end < self.buffer.len() {
            match self.socket.read(&mut self.buffer[self.end..]).await {
                Ok(0) => break,
                Err(_) => return,
                Ok(count) => self.received(count),
            }
        }
        peer::reset(&self.socket, &self.connection).await;
    }

    /// The piece that was handed out last, of this length.
    fn last_piece(&self, length: usize) -> &[u8] {
        match self.mode {
            Mode::Staged(_) => &self.staged[..length],
            _ => &self.buffer[self.start..self.start + length],
        }
    }

    /// Bytes of the body that no piece has had, where its length was declared and it is not compressed.
    fn left(&self) -> Option<u64> {
        let Mode::InPlace { left } = self.mode else { return None };
        Some(left - (self.lent - self.kept) as u64)
    }

    async fn chunk_in_place(&mut self) -> Result<Option<Chunk<'_>>, BodyError> {
        let consumed = self.lent - self.kept;
        self.start += consumed;
        self.lent = 0;
        let kept = std::mem::take(&mut self.kept);
        let Mode::InPlace { left } = &mut self.mode else { return Ok(None) };
        *left -= consumed as u64;
        let left = *left;
        loop {
            let here = self.end - self.start;
            let available = usize::try_from(left).map_or(here, |left| left.min(here));
            let is_last = available as u64 == left;
            if available > kept || (is_last && available == kept) {
                if is_last {
                    self.connection.is_body_open.set(false);
                }
                if available == kept {
                    // Kept to the very end: the handler knew that this was the last piece.
                    self.start += kept;
                    self.mode = Mode::InPlace { left: 0 };
                    return Ok(None);
                }
                self.lent = available;
                self.given += (available - kept) as u64;
                let bytes = &self.buffer[self.start..self.start + available];
                return Ok(Some(Chunk { bytes, is_last }));
            }
            self.make_room(usize::try_from(left).unwrap_or(usize::MAX))?;
            self.receive_body().await?;
        }
    }

    async fn chunk_staged(&mut self) -> Result<Option<Chunk<'_>>, BodyError> {
        let kept = std::mem::take(&mut self.kept);
        let used = std::mem::take(&mut self.lent) - kept;
        self.staged.drain(..used);
        loop {
            let Mode::Staged(staging) = &mut self.mode else { return Ok(None) };
            if staging.is_complete && self.staged.len() == kept {
                if kept == 0 || std::mem::replace(&mut staging.is_last_given, true) {
                    self.staged.clear();
                    return Ok(None);
                }
                // The end came alone, after all bytes had been handed out: what was kept of them is the last piece.
                self.connection.is_body_open.set(false);
                self.lent = kept;
                return Ok(Some(Chunk { bytes: &self.staged, is_last: true }));
            }
            let input = &self.buffer[self.start..self.end];
            match staging.advance(input, &mut self.staged) {
                Ok(consumed) => self.start += consumed,
                Err(error) => return Err(self.fail(error)),
            }
            if let Some(bytes) = staging.needs.take()
                && let Err(refusal) = staging.allow(bytes, self.core.memory.shared().decoders())
            {
                return Err(self.fail(refusal.into()));
            }
            self.count();
            // A step adds a few hundred kilobytes at most.
            self.check_growth(0)?;
            // A few bytes can become megabytes, for which nothing is waited.
            yield_if_needed().await;
            let Mode::Staged(staging) = &mut self.mode else { return Ok(None) };
            let (is_complete, is_dry) = (staging.is_complete, staging.is_dry() && self.start == self.end);
            if is_complete {
                self.connection.is_body_open.set(false);
            }
            let fresh = self.staged.len() - kept;
            if fresh > 0 && (is_complete || is_dry || fresh >= STEP_BYTES_MAX) {
                staging.is_last_given = is_complete;
                self.lent = self.staged.len();
                self.given += fresh as u64;
                return Ok(Some(Chunk { bytes: &self.staged, is_last: is_complete }));
            }
            if is_dry && !is_complete {
                self.make_room(BUFFER_BYTES)?;
                self.shed();
                self.receive_body().await?;
            }
        }
    }

    /// Reads more of the body, after asking for it if the client waits to be asked.
    async fn receive_body(&mut self) -> Result<(), BodyError> {
        let options = &self.core.options;
        if std::mem::take(&mut self.expects_continue)
            && let Err(error) = self.socket.write_all(http::CONTINUE, options.send_timeout).await
        {
            return Err(self.fail(BodyError::Gone(error)));
        }
        self.socket.set_deadline(options.body_timeout);
        let received = self.socket.read(&mut self.buffer[self.end..]).await;
        self.socket.clear_deadline();
        match received {
            Ok(0) => Err(self.fail(BodyError::Gone(io::ErrorKind::UnexpectedEof.into()))),
            Ok(count) => {
                self.received(count);
                Ok(())
            }
            Err(error) if error.kind() == io::ErrorKind::TimedOut => {
                Err(self.fail(BodyError::refused(408, "the request body did not arrive in time")))
            }
            Err(error) => Err(self.fail(BodyError::Gone(error))),
        }
    }

    fn fail(&mut self, error: BodyError) -> BodyError {
        self.mode = Mode::Failed;
        (self.lent, self.kept) = (0, 0);
        self.connection.is_body_open.set(true);
        error
    }

    fn received(&mut self, count: usize) {
        self.end += count;
        self.core.stats.bytes_in.add(count as u64);
    }

    /// Makes room behind what is in the buffer; `wanted` bytes from `start` on are worth having room for.
    fn make_room(&mut self, wanted: usize) -> Result<(), BodyError> {
        let used = self.end - self.start;
        if wanted > self.buffer.len()
            && !self.is_borrowed
            && let Some(mut large) = self.core.take_buffer()
        {
            if large.len() <= used {
                large.resize(used * 2, 0);
            }
            large[..used].copy_from_slice(&self.buffer[self.start..self.end]);
            self.buffer = large;
            self.is_borrowed = true;
        } else {
            self.buffer.copy_within(self.start..self.end, 0);
        }
        (self.start, self.end) = (0, used);
        if self.end == self.buffer.len() {
            self.check_growth(self.buffer.len())?;
            self.buffer.resize(self.buffer.len() * 2, 0);
        }
        self.count();
        Ok(())
    }

    /// Gives memory back that is not used now, where there is little: a client that stops here may hold it for long.
    fn shed(&mut self) {
        if self.staged.is_empty() && self.staged.capacity() as u64 > FREE_BYTES_MAX && self.core.is_crowded() {
            self.staged = Vec::new();
            self.count();
        }
    }

    /// Refuses what there is no memory for. A buffer of the usual size is always had.
    fn check_growth(&mut self, more: usize) -> Result<(), BodyError> {
        let free = FREE_BYTES_MAX + if self.is_borrowed { BUFFER_BYTES as u64 } else { 0 };
        if self.counted + more as u64 <= free {
            return Ok(());
        }
        match self.core.refuses_growth(more as u64) {
            Some(reason) => Err(self.fail(BodyError::refused(429, reason))),
            None => Ok(()),
        }
    }

    // For the connection loop.

    /// Sets up for the body of a request whose head has been skipped.
    pub(super) fn begin(&mut self, head: &Head<'_>) {
        let is_empty = matches!(head.body, BodyLength::None | BodyLength::Length(0));
        (self.lent, self.kept) = (0, 0);
        (self.whole, self.given) = (0, 0);
        self.expects_continue = head.expect_continue && !is_empty;
        let is_short = matches!(head.body, BodyLength::Length(length) if length <= DISCARD_BYTES_MAX);
        self.connection.is_body_open.set(!is_empty && (!is_short || self.expects_continue));
        let here = (self.end - self.start) as u64;
        self.connection.has_next.set(match head.body {
            BodyLength::None => here > 0,
            BodyLength::Length(length) => here > length,
            BodyLength::Chunked => false,
        });
        self.mode = if is_empty {
            Mode::InPlace { left: 0 }
        } else {
            Mode::Fresh { length: head.body, encoding: head.content_encoding() }
        };
        self.staged.clear();
        self.count();
    }

    /// Reads over what the handler left. False if the connection cannot be used again.
    pub(super) async fn finish(&mut self) -> bool {
        // The handler has ended, and with it what it had of the body.
        self.whole = 0;
        self.count();
        if self.connection.is_body_open.get() {
            return false;
        }
        if let Mode::Fresh { encoding, .. } = &mut self.mode {
            // Nobody looks at it, so it need not be decompressed.
            *encoding = Ok(Encoding::Identity);
            if self.limit(DISCARD_BYTES_MAX).is_err() {
                return false;
            }
        }
        loop {
            match self.chunk().await {
                Ok(Some(_)) => {}
                Ok(None) => return true,
                Err(_) => return false,
            }
        }
    }

    /// What has been received and not consumed.
    pub(super) fn buffered(&self) -> &[u8] {
        &self.buffer[self.start..self.end]
    }

    /// Drops `count` bytes of what has been received.
    pub(super) fn skip(&mut self, count: usize) {
        self.start += count;
    }

    /// Receives more of a head. 0 if the client has closed; `OutOfMemory` if there is none for more of it.
    pub(super) async fn receive_head(&mut self) -> io::Result<usize> {
        if self.start == self.end {
            (self.start, self.end) = (0, 0);
            self.rest();
        } else if self.end == self.buffer.len() {
            self.make_room(0).map_err(|_| io::ErrorKind::OutOfMemory)?;
        }
        let count = self.socket.read(&mut self.buffer[self.end..]).await?;
        self.received(count);
        Ok(count)
    }

    /// Gives the large buffer back while nothing is in it.
    fn rest(&mut self) {
        if self.is_borrowed {
            let large = std::mem::replace(&mut self.buffer, vec![0; BUFFER_BYTES_SMALL]);
            self.core.give_buffer(large);
            self.is_borrowed = false;
        } else if self.buffer.len() > BUFFER_BYTES_KEPT {
            // A long head, or a body for which there was no large buffer.
            self.buffer = vec![0; BUFFER_BYTES_SMALL];
        }
        if self.staged.capacity() > BUFFER_BYTES_SMALL {
            self.staged = Vec::new();
        }
        self.count();
    }
}

/// Bytes that `all` grows by before it takes `more`, of a body of which `left` are still to come with them, if that is
/// known. A vector that doubles moves megabytes in one go, and a length that a client declares is no reason to take
/// memory: so it grows to the whole once a quarter has come.
fn growth(all: &Vec<u8>, more: usize, left: Option<u64>) -> usize {
    if all.capacity() - all.len() >= more {
        return 0;
    }
    match left.and_then(|left| usize::try_from(left).ok()) {
        Some(left) if all.len() >= left / 3 => left.max(more),
        _ => more.max(all.len()),
    }
}

impl Drop for Body {
    fn drop(&mut self) {
        (self.start, self.end) = (0, 0);
        if self.is_borrowed {
            self.core.give_buffer(std::mem::take(&mut self.buffer));
        }
        self.core.memory.change(Part::Connections, self.counted, 0);
        self.core.memory.change(Part::Decoders, self.counted_decoder, 0);
    }
}
