//! Clients that send or read a byte a second: heads and bodies that do not come to their end, replies that nobody
//! takes, and with TLS a hello that is never whole. One that is cut off comes again.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use serde::Serialize;

use super::TABLE;
use crate::error::{Context, Result};

/// A byte of each client goes once in this time.
const ROUND: Duration = Duration::from_secs(1);
/// Before one that was sent away comes again.
const PAUSE: Duration = Duration::from_millis(20);
/// What a reader takes in that time, once its reply has begun.
const READ_BYTES: usize = 16;

/// What slow clients have done.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub(super) struct Counts {
    pub(super) sent: u64,
    pub(super) read: u64,
    /// Connections that the server ended.
    pub(super) cut: u64,
    /// Connections that could not be made.
    pub(super) refused: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Head,
    Body,
    Reader,
    Hello,
}

struct Client {
    kind: Kind,
    stream: TcpStream,
    /// Bytes that were sent.
    at: usize,
}

/// Runs `count` of them, says when all are there, and goes on until it is time to stop. With the hello of a session
/// they are clients of HTTPS.
pub(super) fn run(
    address: SocketAddr,
    count: u64,
    hello: Option<&[u8]>,
    (has_begun, stop): (&AtomicBool, &AtomicBool),
) -> Result<Counts> {
    let mut counts = Counts::default();
    let mut clients = Vec::new();
    for number in 0..count {
        let kind = match (hello, number % 3) {
            (Some(_), _) => Kind::Hello,
            (None, 0) => Kind::Head,
            (None, 1) => Kind::Body,
            (None, _) => Kind::Reader,
        };
        clients.push(let_in(address, kind).context(|| "connect as a slow client")?);
    }
    has_begun.store(true, Ordering::Relaxed);
    while !stop.load(Ordering::Relaxed) {
        let begun = Instant::now();
        for client in &mut clients {
            match client.step(hello.unwrap_or_default(), &mut counts) {
                Ok(()) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(_) => {
                    counts.cut += 1;
                    match Client::begin(address, client.kind) {
                        Ok(again) => *client = again,
                        Err(_) => counts.refused += 1,
                    }
                }
            }
        }
        thread::sleep(ROUND.saturating_sub(begun.elapsed()));
    }
    Ok(counts)
}

/// A client that is let in. A server to which thousands come at once may send some away, who come again.
fn let_in(address: SocketAddr, kind: Kind) -> io::Result<Client> {
    const TRIES_MAX: usize = 100;
    for _ in 1..TRIES_MAX {
        match Client::begin(address, kind) {
            Ok(client) => return Ok(client),
            Err(_) => thread::sleep(PAUSE),
        }
    }
    Client::begin(address, kind)
}

impl Client {
    fn begin(address: SocketAddr, kind: Kind) -> io::Result<Self> {
        let mut stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        // Sent at once; only what follows is slow.
        stream.write_all(match kind {
            Kind::Head => b"POST /write?db=public HTTP/1.1\r\nHost: localhost\r\nX-Slow: ".as_slice(),
            Kind::Body => b"POST /write?db=public HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000000\r\n\r\n",
            Kind::Reader => b"POST /api/v1/sql?db=public HTTP/1.1\r\nHost: localhost\r\nContent-Length: ",
            Kind::Hello => b"",
        })?;
        if kind == Kind::Reader {
            let statement = format!("SELECT * FROM {TABLE}");
            stream.write_all(format!("{}\r\n\r\n{statement}", statement.len()).as_bytes())?;
        }
        stream.set_nonblocking(true)?;
        Ok(Self { kind, stream, at: 0 })
    }

    /// Sends or reads a little.
    fn step(&mut self, hello: &[u8], counts: &mut Counts) -> io::Result<()> {
        let byte = match self.kind {
            Kind::Reader => {
                let read = self.stream.read(&mut [0; READ_BYTES])?;
                counts.read += read as u64;
                return if read > 0 { Ok(()) } else { Err(io::ErrorKind::UnexpectedEof.into()) };
            }
            Kind::Head => b'x',
            // A comment, so that it is no rows that are refused.
            Kind::Body => b'#',
            // The end never comes.
            Kind::Hello => *hello.get(self.at).filter(|_| self.at + 1 < hello.len()).unwrap_or(&0),
        };
        // An answer before the end is that it took too long, and the connection ends behind it.
        match self.stream.read(&mut [0; 4096]) {
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(count) => counts.read += count as u64,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => return Err(error),
        }
        counts.sent += self.stream.write(&[byte])? as u64;
        self.at += 1;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    #[test]
    fn a_client_that_is_cut_is_told_from_one_that_waits() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut client = Client::begin(listener.local_addr().unwrap(), Kind::Body).unwrap();
        let (mut server, _) = listener.accept().unwrap();
        let mut counts = Counts::default();
        client.step(b"", &mut counts).unwrap();
        assert_eq!((counts.sent, counts.read), (1, 0));
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n#") {
            let mut byte = [0];
            server.read_exact(&mut byte).unwrap();
            head.push(byte[0]);
        }
        drop(server);
        while client.step(b"", &mut counts).is_ok() {}
    }
}
