//! What the bytes of a connection travel on: the socket as it is, or TLS over it.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use super::tls::TlsStream;
use crate::ring::socket::Socket;

/// What the bytes of a connection travel on. The methods are those of [`Socket`].
#[derive(Debug)]
pub(super) enum Transport {
    /// The socket.
    Plain(Socket),
    /// TLS over it.
    Tls(Box<TlsStream>),
}

impl Transport {
    fn socket(&self) -> &Socket {
        match self {
            Self::Plain(socket) => socket,
            Self::Tls(stream) => stream.socket(),
        }
    }

    /// The session that must begin before there are bytes.
    pub(super) fn session(&self) -> Option<&TlsStream> {
        match self {
            Self::Plain(_) => None,
            Self::Tls(stream) => Some(stream),
        }
    }

    /// The address of the other end.
    pub(super) fn peer(&self) -> Option<SocketAddr> {
        self.socket().peer()
    }

    /// Reads and writes end with `TimedOut` once `after` has passed.
    pub(super) fn set_deadline(&self, after: Duration) {
        self.socket().set_deadline(after);
    }

    /// Takes the deadline away.
    pub(super) fn clear_deadline(&self) {
        self.socket().clear_deadline();
    }

    /// Reads some bytes; 0 when the peer sends no more.
    pub(super) async fn read(&self, into: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Plain(socket) => socket.read(into).await,
            Self::Tls(stream) => stream.read(into).await,
        }
    }

    /// Writes all of `bytes`.
    pub(super) async fn write_all(&self, bytes: &[u8], pause_max: Duration) -> io::Result<()> {
        match self {
            Self::Plain(socket) => socket.write_all(bytes, pause_max).await,
            Self::Tls(stream) => stream.write_all(bytes, pause_max).await,
        }
    }

    /// Writes `bytes`, which are few, if there is room for them now; whether there was.
    pub(super) fn try_write(&self, bytes: &[u8]) -> bool {
        match self {
            Self::Plain(socket) => socket.try_write(bytes),
            Self::Tls(stream) => stream.try_write(bytes),
        }
    }

    /// Whether the peer has reset the connection.
    pub(super) fn is_reset(&self) -> bool {
        self.socket().is_reset()
    }

    /// Closes the sending side.
    pub(super) fn shutdown_write(&self) {
        if let Self::Tls(stream) = self {
            stream.say_goodbye();
        }
        self.socket().shutdown_write();
    }

    /// Waits until the peer has taken in all that was written, or `time_max` has passed.
    pub(super) async fn arrived(&self, time_max: Duration) {
        self.socket().arrived(time_max).await;
    }

    /// The connection ends with a reset when it is closed.
    pub(super) fn reset_when_closed(&self) {
        self.socket().reset_when_closed();
    }
}
