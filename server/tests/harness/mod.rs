//! A server with a trivial app on a free port, and a client that sees every byte.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tidewire_base::config::Config;
use tidewire_base::placement::{Cores, available};
use tidewire_server::memory::{CoreMemory, Part};
use tidewire_server::mesh::Inbox;
use tidewire_server::net::{Body, BodyError, Reply, Request, Service};
use tidewire_server::ring::{self, Queues};
use tidewire_server::runtime::start::{App, CoreContext, Server, start};

/// What the tests watch from outside.
#[derive(Debug, Default)]
pub(crate) struct Watch {
    /// Queries given up because the client left.
    pub(crate) cancelled: AtomicUsize,
    /// Apps closed.
    pub(crate) closed: AtomicUsize,
}

pub(crate) struct Echo {
    core: usize,
    watch: Arc<Watch>,
    memory: Rc<CoreMemory>,
    _queues: Queues,
}

impl App for Echo {
    type Message = ();
    type ServerState = Watch;

    async fn start(context: CoreContext<()>, _inbox: Inbox<()>, shared: Arc<Watch>) -> Result<Rc<Self>, String> {
        Ok(Rc::new(Self { core: context.core, watch: shared, memory: context.memory, _queues: context.queues }))
    }

    async fn close(self: Rc<Self>) -> Result<(), String> {
        self.watch.closed.fetch_add(1, Ordering::SeqCst);
        Ok(())
    }
}

fn text(reply: &mut Reply, status: u16, body: &str) {
    reply.send(status, |head| head.content_type("text/plain"), body.as_bytes());
}

fn refused(reply: &mut Reply, error: &BodyError) {
    text(reply, error.status(), &format!("{error}\n"));
}

impl Service for Echo {
    async fn call(&self, request: Request<'_>, reply: &mut Reply) {
        match request.head.path {
            "/core" => text(reply, 200, &self.core.to_string()),
            // Bytes that buffers of connections hold.
            "/memory" => text(reply, 200, &self.memory.get(Part::Connections).to_string()),
            "/ignore" => text(reply, 200, "ignored"),
            "/nothing" => {}
            "/panic" => panic!("asked for"),
            "/panic-later" => {
                let mut body = Vec::new();
                ring::sleep(Duration::from_millis(1)).await;
                body.resize(usize::from(request.head.path.is_empty()), 0);
                panic!("asked for, {} bytes later", body.len());
            }
            "/panic-in-a-task" => {
                let queues = Queues::new();
                let broken: ring::Task<()> = queues.spawn(ring::Queue::Query, "a test", async { panic!("in a task") });
                broken.await;
            }
            "/empty" => reply.send(204, |head| head, b""),
            "/slow" => {
                ring::sleep(Duration::from_millis(300)).await;
                text(reply, 200, "slow");
            }
            // Works for the milliseconds that are asked for, or until the client has gone.
            "/wait" => {
                let time = Duration::from_millis(request.head.query.parse().unwrap_or(20_000));
                let work = async {
                    ring::sleep(time).await;
                    true
                };
                let gone = async {
                    request.body.peer_gone().await;
                    false
                };
                if futures_lite::future::or(work, gone).await {
                    text(reply, 200, "waited");
                } else {
                    self.watch.cancelled.fetch_add(1, Ordering::SeqCst);
                }
            }
            "/stream" => {
                let count: usize = request.head.query.parse().unwrap_or(3);
                reply.stream(200, |head| head.content_type("text/plain"));
                for piece in 0..count {
                    if reply.write(format!("piece {piece}\n").as_bytes()).await.is_err() {
                        self.watch.cancelled.fetch_add(1, Ordering::SeqCst);
                        return;
                    }
                }
                reply.finish();
            }
            "/broken-stream" => {
                reply.stream(200, |head| head);
                let _ = reply.write(b"half").await;
            }
            "/lines" => match count_lines(request.body).await {
                Ok((pieces, lines, sum)) => text(reply, 200, &format!("{lines} lines, sum {sum}, {}", pieces > 0)),
                Err(error) => refused(reply, &error),
            },
            "/echo" => match request.body.read_all(1 << 20).await {
                Ok(body) => reply.send(200, |head| head.content_type("text/plain"), &body),
                Err(error) => refused(reply, &error),
            },
            "/small" => match request.body.read_all(10).await {
                Ok(body) => reply.send(200, |head| head, &body),
                Err(error) => refused(reply, &error),
            },
            _ => text(reply, 404, "no such path\n"),
        }
    }
}

/// Adds up lines of numbers as a streaming parser would: whole lines are used, a broken one is kept.
async fn count_lines(body: &mut Body) -> Result<(usize, usize, u64), BodyError> {
    body.limit(64 << 20)?;
    let (mut pieces, mut lines, mut sum) = (0, 0, 0);
    loop {
        let Some(chunk) = body.chunk().await? else { return Ok((pieces, lines, sum)) };
        let whole = match chunk.bytes.iter().rposition(|byte| *byte == b'\n') {
            _ if chunk.is_last => chunk.bytes.len(),
            Some(end) => end + 1,
            None => 0,
        };
        for line in chunk.bytes[..whole].split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
            lines += 1;
            sum += std::str::from_utf8(line).ok().and_then(|line| line.parse::<u64>().ok()).unwrap_or(u64::MAX / 4);
        }
        let rest = chunk.bytes.len() - whole;
        pieces += 1;
        body.keep(rest);
    }
}

/// A server that ends, with its folder, when the test does.
pub(crate) struct Running {
    pub(crate) address: SocketAddr,
    pub(crate) watch: Arc<Watch>,
    pub(crate) folder: PathBuf,
    server: Option<Server>,
}

pub(crate) fn run(name: &str, change: impl FnOnce(&mut Config)) -> Running {
    let folder = std::env::temp_dir().join(format!("tidewire-test-{name}-{}", std::process::id()));
    let _ = std::fs::remove_dir_all(&folder);
    let mut config = Config {
        data_dir: folder.clone(),
        listen: vec!["127.0.0.1:0".parse().unwrap()],
        cores: Cores::Count(available().len().min(2)),
        ..Config::default()
    };
    change(&mut config);
    let watch = Arc::<Watch>::default();
    let server = start::<Echo>(config, &watch).unwrap();
    Running { address: server.addresses()[0], watch, folder, server: Some(server) }
}

impl Running {
    pub(crate) fn server(&self) -> &Server {
        self.server.as_ref().unwrap()
    }

    pub(crate) fn client(&self) -> Client {
        Client::connect(self.address)
    }

    /// Ends the server and waits for it.
    pub(crate) fn end(mut self) -> Result<(), String> {
        let server = self.server.take().unwrap();
        server.stopper().stop();
        server.wait()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Some(server) = self.server.take() {
            server.stopper().stop();
            let ended = server.wait();
            if !std::thread::panicking() {
                ended.unwrap();
            }
        }
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

pub(crate) struct Client {
    pub(crate) socket: TcpStream,
    buffer: Vec<u8>,
}

/// A reply as it came.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().skip(1).find_map(|line| {
            let (header, value) = line.split_once(": ")?;
            header.eq_ignore_ascii_case(name).then_some(value)
        })
    }

    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }
}

impl Client {
    pub(crate) fn connect(address: SocketAddr) -> Self {
        let socket = TcpStream::connect(address).unwrap();
        // A server that does not answer must fail the test, not hang it.
        socket.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        socket.set_nodelay(true).unwrap();
        Self { socket, buffer: Vec::new() }
    }

    pub(crate) fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.socket.write_all(bytes.as_ref()).unwrap();
    }

    pub(crate) fn get(&mut self, path: &str) -> Answer {
        self.send(format!("GET {path} HTTP/1.1\r\nHost: t\r\n\r\n"));
        self.answer()
    }

    fn fill(&mut self) -> usize {
        let mut bytes = [0; 16 << 10];
        let count = self.read(&mut bytes).unwrap_or_else(|error| panic!("{error}; so far: {:?}", self.so_far()));
        self.buffer.extend_from_slice(&bytes[..count]);
        count
    }

    /// A ring that was closed by the thread's earlier calls can interrupt a later read of it once.
    fn read(&mut self, bytes: &mut [u8]) -> std::io::Result<usize> {
        loop {
            match self.socket.read(bytes) {
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                read => return read,
            }
        }
    }

    fn so_far(&self) -> String {
        String::from_utf8_lossy(&self.buffer).into_owned()
    }

    fn take_until(&mut self, end: &[u8]) -> Vec<u8> {
        loop {
            if let Some(at) = self.buffer.windows(end.len()).position(|window| window == end) {
                let rest = self.buffer.split_off(at + end.len());
                let mut taken = std::mem::replace(&mut self.buffer, rest);
                taken.truncate(at);
                return taken;
            }
            assert!(self.fill() > 0, "closed before {:?}; so far: {:?}", end.escape_ascii().to_string(), self.so_far());
        }
    }

    fn take(&mut self, count: usize) -> Vec<u8> {
        while self.buffer.len() < count {
            assert!(self.fill() > 0, "closed early; so far: {:?}", self.so_far());
        }
        let rest = self.buffer.split_off(count);
        std::mem::replace(&mut self.buffer, rest)
    }

    /// Reads a head only, for interim replies and replies to HEAD.
    pub(crate) fn head(&mut self) -> Answer {
        let head = String::from_utf8(self.take_until(b"\r\n\r\n")).unwrap();
        let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap();
        Answer { status, head, body: Vec::new() }
    }

    /// Reads a whole reply.
    pub(crate) fn answer(&mut self) -> Answer {
        let mut answer = self.head();
        if let Some(length) = answer.header("content-length") {
            let length = length.parse().unwrap();
            answer.body = self.take(length);
        } else if answer.header("transfer-encoding") == Some("chunked") {
            loop {
                let size = usize::from_str_radix(std::str::from_utf8(&self.take_until(b"\r\n")).unwrap(), 16).unwrap();
                let chunk = self.take(size);
                assert_eq!(self.take(2), b"\r\n");
                if size == 0 {
                    break;
                }
                answer.body.extend_from_slice(&chunk);
            }
        } else if answer.status >= 200 && answer.status != 204 {
            while self.fill() > 0 {}
            answer.body = std::mem::take(&mut self.buffer);
        }
        answer
    }

    /// Whether the server has closed, with nothing left to read.
    pub(crate) fn is_closed(&mut self) -> bool {
        let mut byte = [0; 1];
        self.buffer.is_empty() && matches!(self.read(&mut byte), Ok(0))
    }
}
