//! TLS over a socket: rustls keeps the session, the ring moves its bytes.
//!
//! ```text
//!   socket ──► inbox ──► session ──► what the connection reads
//!   socket ◄── outbox ◄── session ◄── what it writes
//! ```
//!
//! 1. The handshake is work of the queue of queries: a signature takes longer than many writes.
//! 2. What is received goes through a buffer of the core's, which a connection has only while there is something in it;
//!    so one that idles holds its session and little else.
//! 3. What the session has made for the wire must leave in that order. A sender takes it all and is the only one; what
//!    it has not sent when it is dropped is put back, and the next one begins with that. A reader sends too (alerts,
//!    new keys), but never while a writer does, which then sends that as well.
//! 4. A peer that closes without the alert that TLS has for it has closed all the same: HTTP knows by itself where a
//!    message ends.

use std::cell::{Cell, RefCell};
use std::io::{self, Read as _, Write as _};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use rustls::{ServerConfig, ServerConnection};

use crate::memory::{CoreMemory, Part};
use crate::ring::socket::Socket;
use crate::ring::{Queue, sleep, within};

/// Size of the buffers that ciphertext is received in: four records.
const CIPHER_BYTES: usize = 64 << 10;

/// Buffers kept for later.
const SPARE_MAX: usize = 16;

/// About what a session holds while it idles, for the account of memory.
const SESSION_BYTES: u64 = 24 << 10;

/// An outbox that grew beyond this is not kept.
const OUTBOX_BYTES_KEPT: usize = 4 << 10;

/// How often a writer looks whether a reader has sent what it had to.
const SENDER_LOOK: Duration = Duration::from_millis(1);

/// How long a peer may take to make room for what a reader has to send.
const READER_PAUSE_MAX: Duration = Duration::from_secs(10);

/// The buffers of a core that ciphertext is received in.
#[derive(Debug, Default)]
pub(super) struct CipherBuffers(RefCell<Vec<Vec<u8>>>);

impl CipherBuffers {
    fn take(&self) -> Vec<u8> {
        self.0.borrow_mut().pop().unwrap_or_else(|| vec![0; CIPHER_BYTES])
    }

    fn give(&self, buffer: Vec<u8>) {
        let mut spare = self.0.borrow_mut();
        if buffer.len() == CIPHER_BYTES && spare.len() < SPARE_MAX {
            spare.push(buffer);
        }
    }
}

/// Ciphertext that the session has not taken yet.
#[derive(Debug, Default)]
struct Inbox {
    buffer: Vec<u8>,
    start: usize,
    end: usize,
}

/// A connection with TLS.
pub(super) struct TlsStream {
    socket: Socket,
    session: RefCell<ServerConnection>,
    inbox: RefCell<Inbox>,
    outbox: RefCell<Vec<u8>>,
    is_sending: Cell<bool>,
    buffers: Rc<CipherBuffers>,
    memory: Rc<CoreMemory>,
}

impl std::fmt::Debug for TlsStream {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("TlsStream")
    }
}

impl Drop for TlsStream {
    fn drop(&mut self) {
        self.give_back(&mut self.inbox.borrow_mut());
        self.memory.change(Part::Connections, SESSION_BYTES, 0);
    }
}

/// What came of decrypting.
enum Decrypted {
    /// So much was decrypted.
    Bytes(usize),
    /// The peer sends no more.
    End,
    /// There is nothing to decrypt.
    Dry,
}

impl TlsStream {
    /// A session over `socket`, which has not begun.
    pub(super) fn new(
        socket: Socket,
        config: Arc<ServerConfig>,
        buffers: Rc<CipherBuffers>,
        memory: Rc<CoreMemory>,
    ) -> io::Result<Self> {
        let session = ServerConnection::new(config).map_err(io::Error::other)?;
        memory.change(Part::Connections, 0, SESSION_BYTES);
        Ok(Self {
            socket,
            session: RefCell::new(session),
            inbox: RefCell::default(),
            outbox: RefCell::default(),
            is_sending: Cell::new(false),
            buffers,
            memory,
        })
    }

    /// The socket below.
    pub(super) fn socket(&self) -> &Socket {
        &self.socket
    }

    /// Agrees with the peer on keys, within `time_max`.
    pub(super) async fn handshake(&self, time_max: Duration) -> io::Result<()> {
        within(Queue::Query, async {
            let agreed = loop {
                // Each wait to send takes the deadline away.
                if let Err(error) = self.flush(time_max).await {
                    break Err(error);
                }
                if !self.session.borrow().is_handshaking() {
                    break Ok(());
                }
                self.socket.set_deadline(time_max);
                if let Err(error) = self.agree().await {
                    // The peer learns why, if it still reads.
                    self.flush_now();
                    break Err(error);
                }
            };
            self.socket.clear_deadline();
            agreed
        })
        .await
    }

    /// Takes a step of the handshake.
    async fn agree(&self) -> io::Result<()> {
        if self.is_dry() && self.receive().await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.feed()
    }

    /// Reads some bytes; 0 when the peer sends no more.
    pub(super) async fn read(&self, into: &mut [u8]) -> io::Result<usize> {
        loop {
            match self.decrypt(into) {
                Ok(Decrypted::Bytes(count)) => return Ok(count),
                Ok(Decrypted::End) => return Ok(0),
                Ok(Decrypted::Dry) => {}
                Err(error) => {
                    self.flush_now();
                    return Err(error);
                }
            }
            if !self.is_sending.get() && self.session.borrow().wants_write() {
                self.flush(READER_PAUSE_MAX).await?;
            }
            if self.receive().await? == 0 {
                return Ok(0);
            }
        }
    }

    fn is_dry(&self) -> bool {
        let inbox = self.inbox.borrow();
        inbox.start == inbox.end
    }

    /// Receives ciphertext; how much.
    async fn receive(&self) -> io::Result<usize> {
        loop {
            self.socket.readable().await?;
            let mut inbox = self.inbox.borrow_mut();
            if inbox.buffer.is_empty() {
                self.memory.change(Part::Connections, 0, CIPHER_BYTES as u64);
                inbox.buffer = self.buffers.take();
            }
            match self.socket.try_read(&mut inbox.buffer) {
                Ok(count) => {
                    (inbox.start, inbox.end) = (0, count);
                    return Ok(count);
                }
                Err(error) => {
                    self.give_back(&mut inbox);
                    if error.kind() != io::ErrorKind::WouldBlock {
                        return Err(error);
                    }
                }
            }
        }
    }

    /// Gives the core its buffer back.
    fn give_back(&self, inbox: &mut Inbox) {
        let Inbox { buffer, .. } = std::mem::take(inbox);
        if !buffer.is_empty() {
            self.memory.change(Part::Connections, CIPHER_BYTES as u64, 0);
            self.buffers.give(buffer);
        }
    }

    /// Gives the session some ciphertext.
    fn feed(&self) -> io::Result<()> {
        let (mut session, mut inbox) = (self.session.borrow_mut(), self.inbox.borrow_mut());
        let inbox = &mut *inbox;
        let taken = session.read_tls(&mut &inbox.buffer[inbox.start..inbox.end])?;
        inbox.start += taken;
        if inbox.start == inbox.end {
            self.give_back(inbox);
        }
        session.process_new_packets().map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
        Ok(())
    }

    /// Decrypts what is there, as far as there is room for it.
    fn decrypt(&self, into: &mut [u8]) -> io::Result<Decrypted> {
        let mut filled = 0;
        loop {
            let read = self.session.borrow_mut().reader().read(&mut into[filled..]);
            match read {
                Ok(0) => return Ok(if filled > 0 { Decrypted::Bytes(filled) } else { Decrypted::End }),
                Ok(count) => {
                    filled += count;
                    if filled == into.len() {
                        return Ok(Decrypted::Bytes(filled));
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Err(error),
            }
            if self.is_dry() {
                return Ok(if filled > 0 { Decrypted::Bytes(filled) } else { Decrypted::Dry });
            }
            self.feed()?;
        }
    }

    /// Writes all of `bytes`, as long as the peer takes some of them every `pause_max`.
    pub(super) async fn write_all(&self, mut bytes: &[u8], pause_max: Duration) -> io::Result<()> {
        while !bytes.is_empty() {
            // A reader sends: it is soon done, and its order is kept.
            while self.is_sending.get() {
                sleep(SENDER_LOOK).await;
            }
            // Sessions take a few records at a time.
            let taken = self.session.borrow_mut().writer().write(bytes)?;
            bytes = &bytes[taken..];
            self.flush(pause_max).await?;
        }
        Ok(())
    }

    /// Sends what the session has made. Where somebody sends already, he does it.
    async fn flush(&self, pause_max: Duration) -> io::Result<()> {
        if self.is_sending.replace(true) {
            return Ok(());
        }
        let mut sending = Sending { stream: self, bytes: std::mem::take(&mut *self.outbox.borrow_mut()), sent: 0 };
        loop {
            self.collect(&mut sending.bytes)?;
            if sending.sent == sending.bytes.len() {
                return Ok(());
            }
            while sending.sent < sending.bytes.len() {
                sending.sent += self.socket.write_some(&sending.bytes[sending.sent..], pause_max).await?;
            }
            sending.bytes.clear();
            sending.sent = 0;
        }
    }

    /// Sends what there is room for now.
    fn flush_now(&self) {
        if self.is_sending.replace(true) {
            return;
        }
        let mut sending = Sending { stream: self, bytes: std::mem::take(&mut *self.outbox.borrow_mut()), sent: 0 };
        // What does not go now is of no use later: the connection is at its end, or looks for that.
        if self.collect(&mut sending.bytes).is_ok()
            && let Ok(count) = self.socket.try_write_some(&sending.bytes)
        {
            sending.sent = count;
        }
    }

    /// What the session has for the wire, behind what is in `out`.
    fn collect(&self, out: &mut Vec<u8>) -> io::Result<()> {
        let mut session = self.session.borrow_mut();
        while session.wants_write() {
            session.write_tls(out)?;
        }
        Ok(())
    }

    /// Writes `bytes`, which are few, if nothing waits to be sent; whether they are on their way.
    pub(super) fn try_write(&self, bytes: &[u8]) -> bool {
        if self.is_sending.get() || !self.outbox.borrow().is_empty() {
            return false;
        }
        if self.session.borrow_mut().writer().write_all(bytes).is_err() {
            return false;
        }
        // What does not fit now is sent before what is written next.
        self.flush_now();
        true
    }

    /// Tells the peer that nothing more comes.
    pub(super) fn say_goodbye(&self) {
        self.session.borrow_mut().send_close_notify();
        self.flush_now();
    }
}

/// Somebody sends: the others do not, and what he leaves is put back.
struct Sending<'s> {
    stream: &'s TlsStream,
    bytes: Vec<u8>,
    sent: usize,
}

impl Drop for Sending<'_> {
    fn drop(&mut self) {
        self.stream.is_sending.set(false);
        self.bytes.drain(..self.sent);
        if !self.bytes.is_empty() || self.bytes.capacity() <= OUTBOX_BYTES_KEPT {
            *self.stream.outbox.borrow_mut() = std::mem::take(&mut self.bytes);
        }
    }
}
