//! A real server process on a port of its own, and a client that shows replies as they came.

use std::fs::OpenOptions;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

/// A running server; stopped, and its folder removed, when dropped.
pub(crate) struct Server {
    process: Child,
    pub(crate) address: String,
    /// Where it serves HTTPS.
    pub(crate) tls_address: Option<String>,
    /// Where it takes commands line by line.
    pub(crate) telnet_address: Option<String>,
    folder: PathBuf,
    owns_folder: bool,
}

/// A reply: status line, headers as sent, body without its framing.
#[derive(Debug, Clone)]
pub(crate) struct Response {
    pub(crate) status_line: String,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

impl Response {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    pub(crate) fn status(&self) -> u16 {
        self.status_line.split(' ').nth(1).and_then(|code| code.parse().ok()).expect("a status line")
    }
}

/// Asserts that each manifest and series file of a data folder has its copy; gives the number of series files.
pub(crate) fn with_copies(data: &Path) -> usize {
    let read = |path: &Path| std::fs::read(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let list = |folder: &Path| -> Vec<PathBuf> {
        let entries = std::fs::read_dir(folder).expect("a folder");
        entries.map(|entry| entry.expect("an entry").path()).collect()
    };
    let name = |path: &Path| path.file_name().expect("a name").to_str().expect("text").to_owned();
    let mut series_files = 0;
    for shard in list(data).iter().filter(|path| name(path).starts_with("shard-")) {
        assert_eq!(read(&shard.join("MANIFEST")), read(&shard.join("MANIFEST.copy")));
        for file in list(&shard.join("series")).iter().filter(|path| !name(path).contains(".copy.")) {
            assert_eq!(read(file), read(&file.with_extension("copy.keys")));
            series_files += 1;
        }
    }
    series_files
}

/// The address of loopback behind `scheme` in a line.
fn address_of(line: &str, scheme: &str) -> Option<String> {
    let at = line.find(&format!("{scheme}127.0.0.1:"))?;
    let rest = &line[at + scheme.len()..];
    let end = rest.find(|c: char| !(c.is_ascii_digit() || c == '.' || c == ':')).unwrap_or(rest.len());
    Some(rest[..end].to_owned())
}

/// A folder under the system's temporary one, empty.
pub(crate) fn fresh_folder() -> PathBuf {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let name = format!("tidewire-test-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
    let folder = std::env::temp_dir().join(name);
    let _ = std::fs::remove_dir_all(&folder);
    folder
}

/// Changes one bit of a file; the same again undoes it.
pub(crate) fn flip(path: &Path, offset: u64) {
    let file = OpenOptions::new().read(true).write(true).open(path).expect("the file is there");
    let mut byte = [0];
    file.read_exact_at(&mut byte, offset).expect("the offset lies in the file");
    file.write_all_at(&[byte[0] ^ 4], offset).expect("the file can be written");
    file.sync_all().expect("the file can be synced");
}

/// The files in a folder, by name.
pub(crate) fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).expect("the folder is there");
    let mut paths: Vec<_> = entries.map(|entry| entry.expect("an entry").path()).collect();
    paths.sort();
    paths
}

impl Server {
    /// Starts a server of two shards in a folder of its own.
    pub(crate) fn start() -> Self {
        Self::start_in(&fresh_folder(), true, &[])
    }

    /// Starts a server in `folder` with more variables of the environment.
    pub(crate) fn start_in(folder: &Path, owns_folder: bool, variables: &[(&str, &str)]) -> Self {
        Self::start_with_log(folder, owns_folder, variables, Stdio::inherit())
    }

    /// The same, with its log in the file `log`.
    pub(crate) fn start_logged(log: &Path, folder: &Path, owns_folder: bool, variables: &[(&str, &str)]) -> Self {
        let log = OpenOptions::new().create(true).append(true).open(log).expect("the log can be opened");
        Self::start_with_log(folder, owns_folder, variables, log)
    }

    /// The same with its log going to `log`.
    pub(crate) fn start_with_log(
        folder: &Path,
        owns_folder: bool,
        variables: &[(&str, &str)],
        log: impl Into<Stdio>,
    ) -> Self {
        let mut process = Command::new(env!("CARGO_BIN_EXE_tidewire"))
            .arg("--data-dir")
            .arg(folder)
            .args(["--listen", "127.0.0.1:0", "--cores", "2"])
            .envs(variables.iter().copied())
            .stdout(Stdio::piped())
            .stderr(log)
            .spawn()
            .expect("the server starts");
        let mut lines = BufReader::new(process.stdout.take().expect("stdout is piped")).lines();
        let (address, tls_address, telnet_address) = loop {
            let line = lines.next().expect("the server prints its address before it ends").expect("UTF-8");
            if let Some(address) = address_of(&line, "http://") {
                break (address, address_of(&line, "https://"), address_of(&line, "telnet://"));
            }
        };
        std::thread::spawn(move || lines.for_each(drop));
        Self { process, address, tls_address, telnet_address, folder: folder.to_owned(), owns_folder }
    }

    /// Ends the server as an operator does; panics unless it exits with 0.
    pub(crate) fn terminate(self) {
        self.signal(rustix::process::Signal::TERM);
        self.wait();
    }

    /// Sends a signal.
    pub(crate) fn signal(&self, signal: rustix::process::Signal) {
        rustix::process::kill_process(self.pid(), signal).expect("the server runs");
    }

    /// Waits until the server has ended; panics unless it exits with 0.
    pub(crate) fn wait(mut self) {
        let status = self.process.wait().expect("the server ends");
        assert!(status.success(), "{status}");
    }

    /// Whether the server has ended.
    pub(crate) fn has_ended(&mut self) -> bool {
        self.process.try_wait().expect("the server is a child of this process").is_some()
    }

    /// Ends the server as a crash does.
    pub(crate) fn kill(mut self) {
        self.process.kill().expect("the server runs");
        self.process.wait().expect("the server ends");
    }

    /// The process.
    pub(crate) fn pid(&self) -> rustix::process::Pid {
        rustix::process::Pid::from_child(&self.process)
    }

    /// What `/metrics` says of a family, all its samples with `label` (a part of the sample's labels) added up.
    pub(crate) fn metric(&self, name: &str, label: &str) -> f64 {
        let text = self.request("GET", "/metrics", &[], b"").text();
        let samples = text.lines().filter(|line| line.starts_with(&format!("{name}{{")) && line.contains(label));
        samples.map(|line| line.rsplit(' ').next().and_then(|value| value.parse::<f64>().ok()).expect("a value")).sum()
    }

    /// Asks again and again, some seconds long, until `is_met`; panics with `what` when it never is.
    pub(crate) fn wait_until(&self, what: &str, mut is_met: impl FnMut(&Self) -> bool) {
        for _ in 0..600 {
            if is_met(self) {
                return;
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        panic!("never: {what}");
    }

    /// The most memory the process has had at one time.
    pub(crate) fn peak_memory_bytes(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.process.id())).expect("the server runs");
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).expect("the kernel tells the peak");
        let kib = line.trim().trim_end_matches(" kB").parse::<u64>().expect("a number of KiB");
        kib << 10
    }

    /// Sends a request and reads its reply.
    pub(crate) fn request(&self, method: &str, target: &str, headers: &[(&str, &str)], body: &[u8]) -> Response {
        let mut client = Client::connect(&self.address);
        client.send(method, target, headers, body);
        client.read(method == "HEAD")
    }

    /// Runs SQL in a database, wants CSV.
    pub(crate) fn sql(&self, database: &str, text: &str) -> Response {
        self.request("POST", &format!("/api/v1/sql?db={database}"), &[("Accept", "application/csv")], text.as_bytes())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
        if self.owns_folder {
            let _ = std::fs::remove_dir_all(&self.folder);
        }
    }
}

/// One connection.
pub(crate) struct Client {
    stream: BufReader<TcpStream>,
}

impl Client {
    pub(crate) fn connect(address: &str) -> Self {
        let stream = TcpStream::connect(address).expect("the server accepts");
        // Only so that a fault ends the test instead of hanging it.
        stream.set_read_timeout(Some(Duration::from_secs(60))).expect("a timeout can be set");
        Self { stream: BufReader::new(stream) }
    }

    pub(crate) fn send(&mut self, method: &str, target: &str, headers: &[(&str, &str)], body: &[u8]) {
        let mut head = format!("{method} {target} HTTP/1.1\r\nHost: localhost\r\n");
        for (name, value) in headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        if method == "POST" {
            head.push_str(&format!("Content-Length: {}\r\n", body.len()));
        }
        head.push_str("\r\n");
        let mut bytes = head.into_bytes();
        bytes.extend_from_slice(body);
        self.stream.get_mut().write_all(&bytes).expect("the request is sent");
    }

    /// Sends a POST whose body comes in chunks, each in a packet of its own.
    pub(crate) fn send_in_pieces(&mut self, target: &str, pieces: &[&[u8]]) {
        let stream = self.stream.get_mut();
        stream.set_nodelay(true).expect("a socket takes that");
        let head = format!("POST {target} HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n");
        stream.write_all(head.as_bytes()).expect("the head is sent");
        for piece in pieces {
            let chunk = [format!("{:x}\r\n", piece.len()).as_bytes(), piece, b"\r\n"].concat();
            stream.write_all(&chunk).expect("a piece is sent");
        }
        stream.write_all(b"0\r\n\r\n").expect("the end is sent");
    }

    /// Waits for the first bytes of the reply, and leaves them to be read.
    pub(crate) fn wait_for_reply(&mut self) {
        assert!(!self.stream.fill_buf().expect("a reply").is_empty(), "the connection ends without a reply");
    }

    pub(crate) fn read(&mut self, bodiless: bool) -> Response {
        let mut line = || {
            let mut line = String::new();
            self.stream.read_line(&mut line).expect("a line of the reply's head");
            assert!(line.ends_with("\r\n"), "the reply breaks off: {line:?}");
            line.truncate(line.len() - 2);
            line
        };
        let status_line = line();
        let mut headers = Vec::new();
        loop {
            let text = line();
            if text.is_empty() {
                break;
            }
            let (name, value) = text.split_once(": ").expect("name: value");
            headers.push((name.to_owned(), value.to_owned()));
        }
        let mut response = Response { status_line, headers, body: Vec::new() };
        if bodiless || response.status() == 204 {
            return response;
        }
        if response.header("transfer-encoding") == Some("chunked") {
            loop {
                let mut size = String::new();
                self.stream.read_line(&mut size).expect("a chunk's size");
                let size = usize::from_str_radix(size.trim(), 16).expect("a size in hex");
                let mut chunk = vec![0; size + 2];
                self.stream.read_exact(&mut chunk).expect("a chunk");
                if size == 0 {
                    return response;
                }
                response.body.extend_from_slice(&chunk[..size]);
            }
        }
        let length = response.header("content-length").expect("a length").parse().expect("a number");
        response.body = vec![0; length];
        self.stream.read_exact(&mut response.body).expect("the body");
        response
    }
}
