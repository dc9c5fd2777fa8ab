//! Opens connections, plain or with TLS, and asks for something on each.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, Stream};

use crate::child::spare_port;
use crate::error::{Context, Error, Result};
use crate::http::Target;

/// Longest time of an answer.
const ANSWER_MAX: Duration = Duration::from_secs(60);
const PING: &[u8] = b"GET /ping HTTP/1.1\r\nHost: localhost\r\n\r\n";

/// How connections are opened.
pub(super) struct Opener {
    /// The port of HTTPS, and what a session begins with.
    tls: Option<(u16, Arc<ClientConfig>)>,
}

impl Opener {
    pub(super) fn plain() -> Self {
        Self { tls: None }
    }

    /// To a port that is free now, trusting the root in `folder`.
    pub(super) fn tls(folder: &Path) -> Result<Self> {
        let path = folder.join("ca.pem");
        let broken = |error: &dyn std::fmt::Display| Error::Usage(format!("{}: {error}", path.display()));
        let mut roots = RootCertStore::empty();
        let root = CertificateDer::from_pem_file(&path).map_err(|error| broken(&error))?;
        roots.add(root).map_err(|error| broken(&error))?;
        let builder = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()));
        let builder = builder.with_safe_default_protocol_versions().map_err(|error| broken(&error))?;
        let config = builder.with_root_certificates(roots).with_no_client_auth();
        Ok(Self { tls: Some((spare_port()?, Arc::new(config))) })
    }

    /// The address of HTTPS, for the server's configuration.
    pub(super) fn listen(&self) -> String {
        self.tls.as_ref().map_or_else(String::new, |(port, _)| format!("127.0.0.1:{port}"))
    }

    /// Where connections go.
    pub(super) fn address(&self, plain: &Target) -> SocketAddr {
        self.tls.as_ref().map_or(plain.address, |(port, _)| SocketAddr::from(([127, 0, 0, 1], *port)))
    }

    /// A connection that has had an answer.
    pub(super) fn open(&self, address: SocketAddr) -> Result<TcpStream> {
        let mut stream = TcpStream::connect(address).context(|| "connect")?;
        stream.set_read_timeout(Some(ANSWER_MAX)).context(|| "set a timeout")?;
        stream.set_nodelay(true).context(|| "set an option")?;
        let asked = match self.session()? {
            None => ask(&mut stream),
            // What the session holds here is dropped: the server keeps its own.
            Some(mut session) => ask(&mut Stream::new(&mut session, &mut stream)),
        };
        asked.context(|| "ask on a new connection")?;
        Ok(stream)
    }

    /// The first bytes of a session, where there are sessions.
    pub(super) fn hello(&self) -> Result<Option<Vec<u8>>> {
        let Some(mut session) = self.session()? else { return Ok(None) };
        let mut bytes = Vec::new();
        session.write_tls(&mut bytes).context(|| "write a hello")?;
        Ok(Some(bytes))
    }

    fn session(&self) -> Result<Option<ClientConnection>> {
        let Some((_, config)) = &self.tls else { return Ok(None) };
        let name = ServerName::try_from("localhost").map_err(|error| Error::Failed(error.to_string()))?;
        let session = ClientConnection::new(Arc::clone(config), name);
        session.map(Some).map_err(|error| Error::Failed(format!("no session begins: {error}")))
    }
}

/// Asks, and reads the answer, which has no body.
fn ask(stream: &mut (impl Read + Write)) -> io::Result<()> {
    stream.write_all(PING)?;
    stream.flush()?;
    let mut answer = Vec::new();
    let mut some = [0; 1024];
    while !answer.ends_with(b"\r\n\r\n") {
        match stream.read(&mut some)? {
            0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            count => answer.extend_from_slice(&some[..count]),
        }
    }
    match answer.starts_with(b"HTTP/1.1 204 ") {
        true => Ok(()),
        false => Err(io::Error::new(io::ErrorKind::InvalidData, String::from_utf8_lossy(&answer).into_owned())),
    }
}

/// Whether the server has closed a connection on which nothing is due.
pub(super) fn is_closed(stream: &TcpStream) -> bool {
    if stream.set_nonblocking(true).is_err() {
        return true;
    }
    let mut some = [0; 16 << 10];
    loop {
        match (&mut &*stream).read(&mut some) {
            Ok(0) => return true,
            // Tickets of the session, which were sent behind its beginning.
            Ok(_) => {}
            Err(error) => return error.kind() != io::ErrorKind::WouldBlock,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    #[test]
    fn a_connection_is_open_until_the_other_side_closes_it() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let serve = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut some = [0; 1024];
            let asked = stream.read(&mut some).unwrap();
            assert_eq!(&some[..asked], PING);
            stream.write_all(b"HTTP/1.1 204 No Content\r\n\r\n").unwrap();
            stream
        });
        let stream = Opener::plain().open(address).unwrap();
        assert!(!is_closed(&stream));
        drop(serve.join().unwrap());
        while !is_closed(&stream) {
            std::thread::yield_now();
        }
    }

    #[test]
    fn an_answer_that_is_another_is_told() {
        let mut bytes = io::Cursor::new([PING, b"HTTP/1.1 503 Service Unavailable\r\n\r\n"].concat());
        assert_eq!(ask(&mut bytes).unwrap_err().kind(), io::ErrorKind::InvalidData);
    }
}
