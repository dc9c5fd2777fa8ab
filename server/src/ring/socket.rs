//! A connected TCP socket on the ring.
//!
//! Reads and writes try the socket first and park on the ring only when it has nothing; a passed deadline ends a
//! parked call with `TimedOut`. All methods take `&self`, so that a handler can watch for the peer's leaving while it
//! writes; two reads (or two writes) at the same time make no sense and wake only the last.
#![expect(unsafe_code, reason = "glommio takes a socket from outside only as a raw descriptor")]

use std::cell::RefCell;
use std::future::poll_fn;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, IntoRawFd, OwnedFd};
use std::pin::Pin;
use std::rc::Rc;
use std::task::Poll;
use std::time::Duration;

use futures_lite::io::{AsyncRead, AsyncWrite};
use glommio::net::TcpStream;

use super::deadline::{Deadline, Deadlines};

/// A connection's socket with its deadline.
#[derive(Debug)]
pub struct Socket {
    stream: RefCell<TcpStream>,
    deadline: Deadline,
}

impl Socket {
    /// Takes over a connected stream socket for the executor of the calling thread.
    pub fn adopt(socket: OwnedFd, deadlines: &Rc<Deadlines>) -> Self {
        // SAFETY: the descriptor is owned, open, and given away here; it is closed once, by the stream.
        let stream = unsafe { TcpStream::from_raw_fd(socket.into_raw_fd()) };
        Self { stream: RefCell::new(stream), deadline: deadlines.slot() }
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
        poll_fn(|context| match Pin::new(&mut *self.stream.borrow_mut()).poll_read(context, into) {
            Poll::Pending if self.deadline.poll_due(context) => Poll::Ready(Err(io::ErrorKind::TimedOut.into())),
            polled => polled,
        })
        .await
    }

    /// Writes all of `bytes`, as long as the peer takes some of them every `pause_max`.
    pub async fn write_all(&self, mut bytes: &[u8], pause_max: Duration) -> io::Result<()> {
        while !bytes.is_empty() {
            self.set_deadline(pause_max);
            let written =
                poll_fn(|context| match Pin::new(&mut *self.stream.borrow_mut()).poll_write(context, bytes) {
                    Poll::Pending if self.deadline.poll_due(context) => {
                        Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
                    }
                    polled => polled,
                })
                .await?;
            if written == 0 {
                return Err(io::ErrorKind::WriteZero.into());
            }
            bytes = &bytes[written..];
        }
        self.clear_deadline();
        Ok(())
    }

    /// Tells the peer that nothing more comes.
    pub fn shutdown_write(&self) {
        let stream = self.stream.borrow();
        // SAFETY: the stream owns the descriptor and outlives the borrow.
        let descriptor = unsafe { BorrowedFd::borrow_raw(stream.as_raw_fd()) };
        // Fails only if the peer has gone already, which is what is wanted.
        let _ = rustix::net::shutdown(descriptor, rustix::net::Shutdown::Write);
    }
}
