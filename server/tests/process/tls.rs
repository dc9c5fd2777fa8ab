//! HTTPS: the same server behind TLS, with certificates that change while it serves.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::version::{TLS12, TLS13};
use rustls::{ClientConfig, ClientConnection, ProtocolVersion, RootCertStore, StreamOwned, SupportedProtocolVersion};

use crate::common::{Server, fresh_folder};

pub(crate) fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/process/tls").join(name)
}

fn certificate(name: &str) -> CertificateDer<'static> {
    CertificateDer::from_pem_file(fixture(name)).expect("a certificate")
}

/// A server with the certificates of a folder of its own, which begins with those of `one`.
pub(crate) struct Guarded {
    pub(crate) server: Server,
    folder: PathBuf,
}

impl Drop for Guarded {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

impl Guarded {
    pub(crate) fn start(variables: &[(&str, &str)]) -> Self {
        let folder = fresh_folder();
        std::fs::create_dir_all(&folder).expect("a folder");
        let (certificate, key) = (folder.join("server.pem"), folder.join("server.key"));
        std::fs::copy(fixture("one.pem"), &certificate).expect("a copy");
        std::fs::copy(fixture("one.key"), &key).expect("a copy");
        let text = |path: &Path| path.to_str().expect("text").to_owned();
        let (certificate, key) = (text(&certificate), text(&key));
        let mut all = vec![
            ("TIDEWIRE_TLS_LISTEN", "127.0.0.1:0"),
            ("TIDEWIRE_TLS_CERTIFICATE_FILE", &certificate),
            ("TIDEWIRE_TLS_KEY_FILE", &key),
        ];
        all.extend_from_slice(variables);
        Self { server: Server::start_in(&fresh_folder(), true, &all), folder }
    }

    /// Puts a file in the place of one of the server's, as those who renew certificates do.
    fn put(&self, name: &str, bytes: &[u8]) {
        let new = self.folder.join("new");
        std::fs::write(&new, bytes).expect("it can be written");
        std::fs::rename(&new, self.folder.join(name)).expect("it can be put in place");
    }

    fn use_certificate(&self, name: &str) {
        self.put("server.key", &std::fs::read(fixture(&format!("{name}.key"))).expect("a key"));
        self.put("server.pem", &std::fs::read(fixture(&format!("{name}.pem"))).expect("a certificate"));
    }

    pub(crate) fn address(&self) -> &str {
        self.server.tls_address.as_deref().expect("HTTPS is served")
    }

    fn connect(&self, client: &Arc<ClientConfig>) -> Connection {
        connect(self.address(), client)
    }
}

type Connection = StreamOwned<ClientConnection, TcpStream>;

fn connect(address: &str, client: &Arc<ClientConfig>) -> Connection {
    let name = ServerName::try_from("localhost").expect("a name");
    let session = ClientConnection::new(client.clone(), name).expect("a session");
    let socket = TcpStream::connect(address).expect("the server accepts");
    socket.set_read_timeout(Some(Duration::from_secs(60))).expect("a timeout can be set");
    StreamOwned::new(session, socket)
}

fn client_of(versions: &[&'static SupportedProtocolVersion], alpn: &[&[u8]], shows: bool) -> Arc<ClientConfig> {
    let mut roots = RootCertStore::empty();
    roots.add(certificate("ca.pem")).expect("a root");
    let builder = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()));
    let builder = builder.with_protocol_versions(versions).expect("versions").with_root_certificates(roots);
    let mut config = match shows {
        false => builder.with_no_client_auth(),
        true => {
            let key = PrivateKeyDer::from_pem_file(fixture("client.key")).expect("a key");
            builder.with_client_auth_cert(vec![certificate("client.pem")], key).expect("a client's certificate")
        }
    };
    config.alpn_protocols = alpn.iter().map(|protocol| protocol.to_vec()).collect();
    Arc::new(config)
}

fn client() -> Arc<ClientConfig> {
    client_of(&[&TLS13, &TLS12], &[b"http/1.1"], false)
}

fn post(target: &str, body: &str) -> String {
    format!("POST {target} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {}\r\n\r\n{body}", body.len())
}

/// Sends a request and reads its reply: status and body.
fn ask(connection: &mut Connection, request: &str) -> std::io::Result<(u16, Vec<u8>)> {
    connection.write_all(request.as_bytes())?;
    answer(connection)
}

fn answer(connection: &mut Connection) -> std::io::Result<(u16, Vec<u8>)> {
    let mut byte = |line: &mut Vec<u8>| {
        let mut one = [0];
        connection.read_exact(&mut one)?;
        line.push(one[0]);
        std::io::Result::Ok(())
    };
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        byte(&mut head)?;
    }
    let head = String::from_utf8(head).expect("text").to_lowercase();
    let status = head.split(' ').nth(1).and_then(|code| code.parse().ok()).expect("a status");
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
    let mut body = Vec::new();
    if head.contains("transfer-encoding: chunked") {
        loop {
            let mut line = Vec::new();
            while !line.ends_with(b"\r\n") {
                byte(&mut line)?;
            }
            let size = usize::from_str_radix(String::from_utf8_lossy(&line).trim(), 16).expect("a size");
            let mut chunk = Vec::new();
            for _ in 0..size + 2 {
                byte(&mut chunk)?;
            }
            if size == 0 {
                return Ok((status, body));
            }
            body.extend_from_slice(&chunk[..size]);
        }
    }
    for _ in 0..length.map_or(0, |length| length.trim().parse::<usize>().expect("a number")) {
        byte(&mut body)?;
    }
    Ok((status, body))
}

#[test]
fn requests_are_served_over_tls_1_2_and_1_3() {
    let guarded = Guarded::start(&[]);
    let lines: String = (0..60_000).map(|n| format!("m,k=a v={n},s=\"some text that fills a record\" {n}\n")).collect();
    for (version, expected) in [(&TLS12, ProtocolVersion::TLSv1_2), (&TLS13, ProtocolVersion::TLSv1_3)] {
        let mut connection = guarded.connect(&client_of(&[version], &[b"h2", b"http/1.1"], false));
        let (status, _) = ask(&mut connection, &post("/api/v1/write?db=public", &lines)).expect("a reply");
        assert_eq!(status, 200);
        assert_eq!(connection.conn.protocol_version(), Some(expected));
        assert_eq!(connection.conn.alpn_protocol(), Some(&b"http/1.1"[..]));
        let count = post("/api/v1/sql?db=public", "SELECT count(v) AS n FROM m");
        assert_eq!(ask(&mut connection, &count).expect("a reply").1, b"n\n60000\n");
        // Megabytes, in many records; and requests that come together.
        let (status, rows) = ask(&mut connection, &post("/api/v1/sql?db=public", "SELECT * FROM m")).expect("a reply");
        assert_eq!((status, rows.iter().filter(|byte| **byte == b'\n').count()), (200, 60_001));
        connection.write_all(count.repeat(3).as_bytes()).expect("they are sent");
        for _ in 0..3 {
            assert_eq!(answer(&mut connection).expect("a reply").1, b"n\n60000\n");
        }
    }
    // Without the extension it is HTTP/1.1 as well.
    let mut connection = guarded.connect(&client_of(&[&TLS13], &[], false));
    let ping = "GET /ping HTTP/1.1\r\nHost: localhost\r\n\r\n";
    assert_eq!(ask(&mut connection, ping).expect("a reply").0, 204);
    // Plain HTTP is served beside it.
    assert_eq!(guarded.server.request("GET", "/ping", &[], b"").status(), 204);
}

#[test]
fn what_is_no_tls_ends_its_connection_alone() {
    let guarded = Guarded::start(&[("TIDEWIRE_HTTP_HEAD_TIMEOUT_MS", "300")]);
    let ping = "GET /ping HTTP/1.1\r\nHost: localhost\r\n\r\n";
    let mut held = guarded.connect(&client());
    assert_eq!(ask(&mut held, ping).expect("a reply").0, 204);
    let hostile: [&[u8]; 5] =
        [ping.as_bytes(), b"\x16\x03\x01\xff\xff", b"\x16\x03\x01\x00\x05\x01\x00\x00\x01\x00", b"\0", b""];
    for bytes in hostile {
        let mut socket = TcpStream::connect(guarded.address()).expect("the server accepts");
        socket.set_read_timeout(Some(Duration::from_secs(20))).expect("a timeout can be set");
        socket.write_all(bytes).expect("they are sent");
        let mut read = Vec::new();
        // An alert at most, and the end; what waits for more is cut when the time for it is over.
        let ended = socket.read_to_end(&mut read);
        assert!(
            !matches!(&ended, Err(error) if error.kind() == std::io::ErrorKind::WouldBlock),
            "{bytes:?}: {ended:?}"
        );
        assert!(read.len() < 100 && !read.starts_with(b"HTTP"), "{bytes:?}: {read:?}");
    }
    let h2 = client_of(&[&TLS13], &[b"h2"], false);
    assert!(ask(&mut guarded.connect(&h2), ping).is_err(), "HTTP/2 is not spoken");
    assert_eq!(ask(&mut held, ping).expect("a reply").0, 204);
    assert!(guarded.server.metric("tidewire_tls_handshakes_failed_total", "") >= 6.0);
}

#[test]
fn clients_show_a_certificate_where_one_is_wanted() {
    let root = fixture("ca.pem");
    let guarded = Guarded::start(&[("TIDEWIRE_TLS_CLIENT_CA_FILE", root.to_str().expect("text"))]);
    let ping = "GET /ping HTTP/1.1\r\nHost: localhost\r\n\r\n";
    for version in [&TLS12, &TLS13] {
        let mut without = guarded.connect(&client_of(&[version], &[b"http/1.1"], false));
        assert!(ask(&mut without, ping).is_err());
        let mut with = guarded.connect(&client_of(&[version], &[b"http/1.1"], true));
        assert_eq!(ask(&mut with, ping).expect("a reply").0, 204);
    }
}

#[test]
fn certificates_are_replaced_under_load_without_a_failed_request() {
    let guarded = Guarded::start(&[]);
    let (one, two) = (certificate("one.pem"), certificate("two.pem"));
    let shown = || {
        let mut connection = guarded.connect(&client());
        ask(&mut connection, &post("/api/v1/write?db=public", "m v=1")).expect("a reply");
        connection.conn.peer_certificates().expect("a certificate")[0].clone().into_owned()
    };
    let (stop, asked) = (AtomicBool::new(false), AtomicUsize::new(0));
    std::thread::scope(|scope| {
        for keeps in [false, false, true, true] {
            let (stop, asked, guarded) = (&stop, &asked, &guarded);
            scope.spawn(move || {
                let client = client();
                let mut connection = guarded.connect(&client);
                while !stop.load(Ordering::Relaxed) {
                    if !keeps {
                        connection = guarded.connect(&client);
                    }
                    let (status, _) = ask(&mut connection, &post("/api/v1/write?db=public", "m v=1")).expect("a reply");
                    assert_eq!(status, 200);
                    asked.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        let until = |what: &str, wanted: &CertificateDer<'_>| guarded.server.wait_until(what, |_| shown() == *wanted);
        until("it begins with one", &one);
        guarded.use_certificate("two");
        until("the files have changed", &two);
        // What cannot be used changes nothing, not even when it is asked for.
        guarded.put("server.pem", b"no certificate");
        guarded.server.signal(rustix::process::Signal::HUP);
        std::thread::sleep(Duration::from_millis(1_500));
        assert!(shown() == two);
        guarded.put("server.pem", &std::fs::read(fixture("one.pem")).expect("a certificate"));
        std::thread::sleep(Duration::from_millis(1_500));
        assert!(shown() == two, "a certificate without its key");
        guarded.put("server.key", &std::fs::read(fixture("one.key")).expect("a key"));
        guarded.server.signal(rustix::process::Signal::HUP);
        until("SIGHUP", &one);
        stop.store(true, Ordering::Relaxed);
    });
    assert!(asked.load(Ordering::Relaxed) > 50, "{asked:?}");
}
