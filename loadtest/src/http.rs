//! A small HTTP/1.1 client on monoio: one keep-alive connection, one request at a time.
//!
//! Requests are byte vectors that were encoded before the clock started (head and body in one piece, so that a one-row
//! write costs one send). Replies are read with a hand-written parser of status line, the four headers that matter and
//! the two body framings; everything from the server is treated as untrusted and bounded.

use std::io;
use std::net::{SocketAddr, ToSocketAddrs};

use base64::prelude::{BASE64_STANDARD, Engine};
use monoio::io::{AsyncReadRent, AsyncWriteRentExt};
use monoio::net::TcpStream;

use crate::error::{Context, Error, Result};

/// Receive buffer of one connection: large enough that a wide query result takes few system calls.
const READ_BYTES: usize = 256 << 10;
/// A reply head longer than this is not one that any of the servers under test sends.
const HEAD_BYTES_MAX: usize = 64 << 10;

/// Where requests go, and as whom.
#[derive(Debug, Clone)]
pub(crate) struct Target {
    /// Resolved once, so that name lookups never enter a latency.
    pub(crate) address: SocketAddr,
    /// The Host header.
    pub(crate) host: String,
    /// What Basic authentication sends, in base64.
    credentials: String,
}

/// CnosDB refuses a request without credentials: its built-in user has an empty password.
const BUILT_IN: &str = "root:";

impl Target {
    /// Parses `http://[user:password@]host:port` (a trailing slash is accepted, a path is not).
    pub(crate) fn parse(url: &str) -> Result<Self> {
        let bad = |why: &str| Error::Usage(format!("--url {url}: {why}; expected http://host:port"));
        let rest = url.strip_prefix("http://").ok_or_else(|| bad("only http:// is spoken"))?;
        let rest = rest.strip_suffix('/').unwrap_or(rest);
        let (credentials, host) = rest.rsplit_once('@').unwrap_or((BUILT_IN, rest));
        if host.is_empty() || host.contains(['/', '?', '#', '@']) {
            return Err(bad("not a bare host and port"));
        }
        let with_port = if host.rsplit_once(':').is_some_and(|(_, port)| port.parse::<u16>().is_ok()) {
            host.to_owned()
        } else {
            format!("{host}:80")
        };
        let address = with_port
            .to_socket_addrs()
            .context(|| format!("resolve {host}"))?
            .next()
            .ok_or_else(|| bad("the name has no address"))?;
        Ok(Self { address, host: host.to_owned(), credentials: BASE64_STANDARD.encode(credentials) })
    }

    /// A target on this machine.
    pub(crate) fn local(port: u16) -> Self {
        let address = SocketAddr::from(([127, 0, 0, 1], port));
        Self { address, host: format!("127.0.0.1:{port}"), credentials: BASE64_STANDARD.encode(BUILT_IN) }
    }

    /// Appends the head of a POST of `body_bytes` bytes to `out`.
    pub(crate) fn post_head(&self, path: &str, accept: Option<&str>, body_bytes: usize, out: &mut Vec<u8>) {
        self.head("POST", path, accept, out);
        end_of_post(body_bytes, out);
    }

    /// The same with other headers, each with the end of its line.
    pub(crate) fn post_head_with(&self, path: &str, headers: &str, body_bytes: usize, out: &mut Vec<u8>) {
        self.head("POST", path, None, out);
        out.extend_from_slice(headers.as_bytes());
        end_of_post(body_bytes, out);
    }

    /// A POST with an Accept and an Accept-Encoding header. Replies are given to the caller as they were compressed.
    pub(crate) fn compressed(&self, path: &str, accept: &str, encoding: &str, body: &[u8]) -> Vec<u8> {
        let mut out = Vec::with_capacity(256 + body.len());
        self.head("POST", path, Some(accept), &mut out);
        out.extend_from_slice(format!("Accept-Encoding: {encoding}\r\n").as_bytes());
        end_of_post(body.len(), &mut out);
        out.extend_from_slice(body);
        out
    }

    /// A POST of a body that was compressed.
    pub(crate) fn encoded(&self, path: &str, encoding: &str, body: &[u8]) -> Vec<u8> {
        let mut out = Vec::with_capacity(256 + body.len());
        self.head("POST", path, None, &mut out);
        out.extend_from_slice(format!("Content-Encoding: {encoding}\r\n").as_bytes());
        end_of_post(body.len(), &mut out);
        out.extend_from_slice(body);
        out
    }

    /// A POST of a form.
    pub(crate) fn form(&self, path: &str, body: &[u8]) -> Vec<u8> {
        let mut out = Vec::with_capacity(256 + body.len());
        self.head("POST", path, None, &mut out);
        out.extend_from_slice(b"Content-Type: application/x-www-form-urlencoded\r\n");
        end_of_post(body.len(), &mut out);
        out.extend_from_slice(body);
        out
    }

    /// A whole request: POST when there is a body, GET otherwise.
    pub(crate) fn request(&self, path: &str, accept: Option<&str>, body: Option<&[u8]>) -> Vec<u8> {
        let mut out = Vec::with_capacity(256 + body.map_or(0, <[u8]>::len));
        if let Some(body) = body {
            self.post_head(path, accept, body.len(), &mut out);
            out.extend_from_slice(body);
        } else {
            self.head("GET", path, accept, &mut out);
            out.extend_from_slice(b"\r\n");
        }
        out
    }

    fn head(&self, method: &str, path: &str, accept: Option<&str>, out: &mut Vec<u8>) {
        let Self { host, credentials, .. } = self;
        out.extend_from_slice(
            format!("{method} {path} HTTP/1.1\r\nHost: {host}\r\nAuthorization: Basic {credentials}\r\n").as_bytes(),
        );
        if let Some(accept) = accept {
            out.extend_from_slice(format!("Accept: {accept}\r\n").as_bytes());
        }
    }
}

/// The last header of a POST, and the end of its head.
fn end_of_post(body_bytes: usize, out: &mut Vec<u8>) {
    out.extend_from_slice(format!("Content-Length: {body_bytes}\r\n\r\n").as_bytes());
}

/// What the server answered.
#[derive(Debug, Default)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    /// Seconds the server asks to wait (429, 503).
    pub(crate) retry_after_s: Option<u64>,
    /// The server will close the connection.
    pub(crate) close: bool,
    pub(crate) body: Vec<u8>,
}

impl Reply {
    /// The body, shortened, for an error message.
    pub(crate) fn excerpt(&self) -> String {
        const EXCERPT_BYTES: usize = 400;
        let text = String::from_utf8_lossy(&self.body[..self.body.len().min(EXCERPT_BYTES)]);
        format!("{} {}", self.status, text.trim_end())
    }

    /// Whether the request was done (any 2xx).
    pub(crate) fn is_success(&self) -> bool {
        (200..300).contains(&self.status)
    }
}

/// One keep-alive connection.
pub(crate) struct Connection {
    stream: TcpStream,
    /// Handed to the kernel and back; a pool of one.
    spare: Vec<u8>,
    /// Received and not yet consumed.
    pending: Vec<u8>,
}

impl Connection {
    pub(crate) async fn open(address: SocketAddr) -> io::Result<Self> {
        let stream = TcpStream::connect_addr(address).await?;
        stream.set_nodelay(true)?;
        Ok(Self { stream, spare: Vec::with_capacity(READ_BYTES), pending: Vec::new() })
    }

    /// Sends a request and reads its reply; the request's buffer always comes back.
    ///
    /// A server that refuses a large body may answer and close before it has read all of it, so after a failed send
    /// the reply is still looked for.
    pub(crate) async fn exchange(&mut self, request: Vec<u8>) -> (io::Result<Reply>, Vec<u8>) {
        let (sent, request) = self.stream.write_all(request).await;
        let reply = self.reply().await;
        match (sent, reply) {
            (_, Ok(reply)) => (Ok(reply), request),
            (Err(error), Err(_)) | (Ok(_), Err(error)) => (Err(error), request),
        }
    }

    /// Sends a part of a request.
    pub(crate) async fn send(&mut self, bytes: Vec<u8>) -> io::Result<()> {
        self.stream.write_all(bytes).await.0.map(drop)
    }

    async fn fill(&mut self) -> io::Result<()> {
        let buffer = std::mem::take(&mut self.spare);
        let (count, buffer) = self.stream.read(buffer).await;
        let result = match count {
            Ok(0) => Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the server closed the connection")),
            Ok(count) => {
                self.pending.extend_from_slice(&buffer[..count]);
                Ok(())
            }
            Err(error) => Err(error),
        };
        self.spare = buffer;
        result
    }

    async fn reply(&mut self) -> io::Result<Reply> {
        loop {
            let head = loop {
                if let Some(head) = ReplyHead::parse(&self.pending)? {
                    break head;
                }
                self.fill().await?;
            };
            self.pending.drain(..head.bytes);
            let mut reply =
                Reply { status: head.status, retry_after_s: head.retry_after_s, close: head.close, body: Vec::new() };
            match head.body {
                Framing::None => {}
                Framing::Length(length) => {
                    std::mem::swap(&mut reply.body, &mut self.pending);
                    while reply.body.len() < length {
                        self.fill().await?;
                        reply.body.append(&mut self.pending);
                    }
                    self.pending.extend_from_slice(&reply.body[length..]);
                    reply.body.truncate(length);
                }
                Framing::Chunked => self.chunked(&mut reply.body).await?,
                Framing::UntilClose => loop {
                    reply.body.append(&mut self.pending);
                    match self.fill().await {
                        Ok(()) => {}
                        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => break,
                        Err(error) => return Err(error),
                    }
                },
            }
            if reply.status >= 200 {
                return Ok(reply);
            }
        }
    }

    async fn chunked(&mut self, body: &mut Vec<u8>) -> io::Result<()> {
        loop {
            let size = {
                let line = self.line().await?;
                let digits = line.split(';').next().unwrap_or_default().trim();
                usize::from_str_radix(digits, 16).map_err(|_| malformed(&format!("chunk size {digits:?}")))?
            };
            if size == 0 {
                while !self.line().await?.is_empty() {}
                return Ok(());
            }
            while self.pending.len() < size + 2 {
                self.fill().await?;
            }
            body.extend_from_slice(&self.pending[..size]);
            if &self.pending[size..size + 2] != b"\r\n" {
                return Err(malformed("chunk without its line end"));
            }
            self.pending.drain(..size + 2);
        }
    }

    async fn line(&mut self) -> io::Result<String> {
        loop {
            if let Some(end) = self.pending.iter().position(|&byte| byte == b'\n') {
                let line = String::from_utf8_lossy(&self.pending[..end]).trim_end_matches('\r').to_owned();
                self.pending.drain(..=end);
                return Ok(line);
            }
            if self.pending.len() > HEAD_BYTES_MAX {
                return Err(malformed("endless line"));
            }
            self.fill().await?;
        }
    }
}

/// How an answer ends.
#[derive(Debug, PartialEq, Eq, Clone, Copy)]
pub(crate) enum Framing {
    None,
    Length(usize),
    Chunked,
    UntilClose,
}

/// The head of an answer.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct ReplyHead {
    pub(crate) status: u16,
    /// Its length.
    pub(crate) bytes: usize,
    pub(crate) retry_after_s: Option<u64>,
    pub(crate) close: bool,
    pub(crate) body: Framing,
}

impl ReplyHead {
    /// Reads the head at the start of `bytes`, if it is there whole.
    pub(crate) fn parse(bytes: &[u8]) -> io::Result<Option<Self>> {
        let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") else {
            return if bytes.len() > HEAD_BYTES_MAX { Err(malformed("endless head")) } else { Ok(None) };
        };
        let text = std::str::from_utf8(&bytes[..end]).map_err(|_| malformed("head is not text"))?;
        let mut lines = text.split("\r\n");
        let first = lines.next().unwrap_or_default();
        let status = first
            .strip_prefix("HTTP/1.")
            .and_then(|rest| rest.split(' ').nth(1))
            .and_then(|code| code.parse::<u16>().ok())
            .ok_or_else(|| malformed(&format!("status line {first:?}")))?;
        let old = first.starts_with("HTTP/1.0");
        let mut head = Self { status, bytes: end + 4, retry_after_s: None, close: old, body: Framing::UntilClose };
        for line in lines {
            let (name, value) = line.split_once(':').ok_or_else(|| malformed(&format!("header {line:?}")))?;
            let value = value.trim();
            if name.eq_ignore_ascii_case("content-length") {
                let length = value.parse().map_err(|_| malformed(&format!("content-length {value:?}")))?;
                head.body = Framing::Length(length);
            } else if name.eq_ignore_ascii_case("transfer-encoding") {
                head.body = Framing::Chunked;
            } else if name.eq_ignore_ascii_case("connection") {
                head.close = value.eq_ignore_ascii_case("close");
            } else if name.eq_ignore_ascii_case("retry-after") {
                head.retry_after_s = value.parse().ok();
            }
        }
        if status < 200 || status == 204 || status == 304 {
            head.body = Framing::None;
        }
        head.close |= head.body == Framing::UntilClose;
        Ok(Some(head))
    }
}

fn malformed(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("malformed reply: {what}"))
}

/// Runs one request on a connection of its own, on a runtime of its own: for what happens outside the measured phase.
pub(crate) fn call(target: &Target, path: &str, accept: Option<&str>, body: Option<&[u8]>) -> Result<Reply> {
    let request = target.request(path, accept, body);
    let address = target.address;
    let mut runtime = runtime().context(|| "start the io_uring runtime")?;
    runtime
        .block_on(async move {
            let mut connection = Connection::open(address).await?;
            connection.exchange(request).await.0
        })
        .context(|| format!("call {}{path}", target.host))
}

/// The runtime of one client thread.
///
/// Completions wait until the thread enters the kernel by itself. Without that, each reply interrupts the client's
/// processor, at the cost of the sender: the server that is being measured.
pub(crate) fn runtime() -> io::Result<monoio::Runtime<monoio::time::TimeDriver<monoio::IoUringDriver>>> {
    let mut ring = io_uring::IoUring::builder();
    ring.setup_coop_taskrun();
    monoio::RuntimeBuilder::<monoio::IoUringDriver>::new().uring_builder(ring).enable_timer().build()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn targets() {
        let target = Target::parse("http://127.0.0.1:8902/").unwrap();
        assert_eq!((target.address.port(), target.host.as_str()), (8902, "127.0.0.1:8902"));
        assert_eq!(Target::parse("http://127.0.0.1").unwrap().address.port(), 80);
        let target = Target::parse("http://Aladdin:open@sesame@127.0.0.1:1").unwrap();
        let request = target.request("/", None, None);
        let headers = "Host: 127.0.0.1:1\r\nAuthorization: Basic QWxhZGRpbjpvcGVuQHNlc2FtZQ==\r\n";
        assert!(String::from_utf8_lossy(&request).contains(headers));
        for bad in ["https://x", "127.0.0.1:1", "http://", "http://a/b"] {
            assert!(matches!(Target::parse(bad), Err(Error::Usage(_))), "{bad}");
        }
    }

    #[test]
    fn heads() {
        let head = |text: &str| ReplyHead::parse(text.as_bytes());
        assert_eq!(head("HTTP/1.1 200 OK\r\nContent-Le").unwrap(), None);
        let full = head("HTTP/1.1 429 Too Many Requests\r\nretry-after: 2\r\nContent-Length: 3\r\n\r\nabc").unwrap();
        let expected =
            ReplyHead { status: 429, bytes: 69, retry_after_s: Some(2), close: false, body: Framing::Length(3) };
        assert_eq!(full, Some(expected));
        assert_eq!(head("HTTP/1.1 204 No Content\r\n\r\n").unwrap().unwrap().body, Framing::None);
        assert!(head("HTTP/1.0 200 OK\r\n\r\n").unwrap().unwrap().close);
        for bad in ["SSH-2.0\r\n\r\n", "HTTP/1.1 abc\r\n\r\n", "HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n"] {
            assert!(head(bad).is_err(), "{bad:?}");
        }
    }
}
