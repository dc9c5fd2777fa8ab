//! A connected TCP socket on the ring.
//!
//! Reads and writes try the socket first and wait for the ring to say that it is ready only when it is not, so bytes
//! go straight from the socket into the caller's memory; a passed deadline ends a wait with `TimedOut`. A poll stays
//! armed for reading, so a request costs one receive, one send, and a share of the core's turn. All methods take
//! `&self`, so that a handler can watch for the peer's leaving while it writes; two reads (or two writes) at the same
//! time make no sense and wake only the last.

use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::pin::pin;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::io::Errno;
use rustix::ioctl::Getter;
use rustix::net::{RecvFlags, SendFlags, recv, send};

use super::current::current;
use super::deadline::{Deadline, Deadlines};
use super::executor::{sleep, yield_if_needed};
use super::reactor::Source;

/// How often a connection looks whether its last bytes have arrived.
const ARRIVAL_LOOK: Duration = Duration::from_millis(5);

/// A connection's socket with its deadline.
pub struct Socket {
    source: Source,
    deadline: Deadline,
}

impl Socket {
    /// Takes over a connected stream socket for the core that the calling thread is.
    pub fn adopt(socket: OwnedFd, deadlines: &Rc<Deadlines>) -> Self {
        Self { source: current().reactor.watch(socket), deadline: deadlines.slot() }
    }

    /// The address of the other end; `None` once the connection is gone.
    pub fn peer(&self) -> Option<SocketAddr> {
        rustix::net::getpeername(&self.source).ok().flatten().and_then(|address| SocketAddr::try_from(address).ok())
    }

    /// From now on reads and writes end with `TimedOut` once `after` has passed.
    pub fn set_deadline(&self, after: Duration) {
        self.deadline.set(after);
    }

    /// Takes the deadline away.
    pub fn clear_deadline(&self) {
        self.deadline.clear();
    }

    /// Reads some bytes; 0 when the peer sends no more.
    pub async fn read(&self, into: &mut [u8]) -> io::Result<usize> {
        // A peer that always has more to send must not keep the core.
        yield_if_needed().await;
        poll_fn(|context| self.poll_read(context, into)).await
    }

    fn poll_read(&self, context: &Context<'_>, into: &mut [u8]) -> Poll<io::Result<usize>> {
        while self.source.poll_ready(context).is_ready() {
            match recv(&self.source, &mut *into, RecvFlags::DONTWAIT) {
                Ok((count, _)) => {
                    if count < into.len() {
                        self.source.set_drained();
                    }
                    return Poll::Ready(Ok(count));
                }
                Err(Errno::AGAIN) => self.source.set_empty(),
                Err(Errno::INTR) => {}
                Err(error) => return Poll::Ready(Err(error.into())),
            }
        }
        match self.deadline.poll_due(context) {
            true => Poll::Ready(Err(io::ErrorKind::TimedOut.into())),
            false => Poll::Pending,
        }
    }

    /// Waits until there may be something to read, without memory for it.
    pub async fn readable(&self) -> io::Result<()> {
        yield_if_needed().await;
        poll_fn(|context| match self.source.poll_ready(context) {
            Poll::Ready(()) => Poll::Ready(Ok(())),
            Poll::Pending if self.deadline.poll_due(context) => Poll::Ready(Err(io::ErrorKind::TimedOut.into())),
            Poll::Pending => Poll::Pending,
        })
        .await
    }

    /// Reads what is there: 0 when the peer sends no more, `WouldBlock` when there is nothing.
    pub fn try_read(&self, into: &mut [u8]) -> io::Result<usize> {
        loop {
            match recv(&self.source, &mut *into, RecvFlags::DONTWAIT) {
                Ok((count, _)) => {
                    if count < into.len() {
                        self.source.set_drained();
                    }
                    return Ok(count);
                }
                Err(Errno::AGAIN) => {
                    self.source.set_empty();
                    return Err(io::ErrorKind::WouldBlock.into());
                }
                Err(Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// Writes some of `bytes`, for which the peer has `pause_max` to make room. Where this is dropped, nothing was
    /// written.
    pub async fn write_some(&self, bytes: &[u8], pause_max: Duration) -> io::Result<usize> {
        loop {
            match self.try_write_some(bytes) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => self.wait_writable(pause_max).await?,
                written => return written,
            }
        }
    }

    /// Writes those of `bytes` that there is room for; `WouldBlock` where there is none.
    pub fn try_write_some(&self, bytes: &[u8]) -> io::Result<usize> {
        loop {
            match send(&self.source, bytes, SendFlags::DONTWAIT | SendFlags::NOSIGNAL) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(count) => return Ok(count),
                Err(Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// Writes `bytes`, which are few, if there is room for them now; whether there was.
    pub fn try_write(&self, bytes: &[u8]) -> bool {
        send(&self.source, bytes, SendFlags::DONTWAIT | SendFlags::NOSIGNAL) == Ok(bytes.len())
    }

    /// Whether the connection has ended in both directions: the peer has reset it.
    pub fn is_reset(&self) -> bool {
        let mut watched = [PollFd::new(&self.source, PollFlags::empty())];
        let polled = rustix::event::poll(&mut watched, Some(&Timespec::default()));
        polled.is_ok() && watched[0].revents().intersects(PollFlags::HUP | PollFlags::ERR)
    }

    /// Writes all of `bytes`, as long as the peer takes some of them every `pause_max`.
    pub async fn write_all(&self, mut bytes: &[u8], pause_max: Duration) -> io::Result<()> {
        while !bytes.is_empty() {
            match send(&self.source, bytes, SendFlags::DONTWAIT | SendFlags::NOSIGNAL) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(count) => bytes = &bytes[count..],
                Err(Errno::AGAIN) => self.wait_writable(pause_max).await?,
                Err(Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    async fn wait_writable(&self, pause_max: Duration) -> io::Result<()> {
        self.set_deadline(pause_max);
        let mut writable = pin!(self.source.reactor().writable(self.source.descriptor()));
        let waited = poll_fn(|context| match writable.as_mut().poll(context) {
            Poll::Pending if self.deadline.poll_due(context) => Poll::Ready(Err(io::ErrorKind::TimedOut.into())),
            polled => polled,
        })
        .await;
        self.clear_deadline();
        waited
    }

    /// Closes the sending side: the peer sees that nothing more comes.
    pub fn shutdown_write(&self) {
        // Fails only if the peer has gone already, which is what is wanted.
        let _ = rustix::net::shutdown(&self.source, rustix::net::Shutdown::Write);
    }

    /// Waits until the peer has taken in all that was written, or `time_max` has passed.
    pub async fn arrived(&self, time_max: Duration) {
        let due = Instant::now() + time_max;
        while self.is_on_its_way() && Instant::now() < due {
            sleep(ARRIVAL_LOOK).await;
        }
    }

    /// When the socket is closed, the connection ends with a reset: the peer sees that what it got is not all. What it
    /// has not taken in by then is lost.
    pub fn reset_when_closed(&self) {
        // Fails only if the peer has gone already.
        let _ = rustix::net::sockopt::set_socket_linger(&self.source, Some(Duration::ZERO));
    }

    /// Whether the peer has not acknowledged all that was written.
    fn is_on_its_way(&self) -> bool {
        /// `SIOCOUTQ`: bytes in the send queue.
        const UNACKNOWLEDGED_BYTES: u32 = 0x5411;
        #[expect(unsafe_code, reason = "the kernel writes an int for this opcode, and it is read as one")]
        // SAFETY: the opcode takes a pointer to an int, which the getter is, and keeps nothing of it.
        let bytes = unsafe { rustix::ioctl::ioctl(&self.source, Getter::<UNACKNOWLEDGED_BYTES, i32>::new()) };
        bytes.is_ok_and(|bytes| bytes > 0)
    }
}

impl std::fmt::Debug for Socket {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Socket")
    }
}
