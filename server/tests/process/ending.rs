//! How a server ends, and what signals do to it: every request that has reached it gets a whole reply, no write is done
//! in part, and nothing but the signals that mean it ends the process.

use std::fs::{self, File};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::unix::net::UnixDatagram;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::Signal;

use crate::common::{Server, fresh_folder};

/// Hosts of each write: they belong to both shards.
const HOSTS: u64 = 40;

/// What came of a request.
enum Outcome {
    /// A whole reply, with its status.
    Answered(u16),
    /// Nobody listened, so the request was never sent.
    Unsent,
    /// It was sent, and the connection ended before a whole reply.
    Cut(String),
}

/// A client with one connection, which is made anew when the server closes it.
struct Caller {
    address: String,
    stream: Option<TcpStream>,
}

impl Caller {
    fn new(address: &str) -> Self {
        Self { address: address.to_owned(), stream: None }
    }

    fn call(&mut self, target: &str, body: &str) -> Outcome {
        let Some(mut stream) = self.stream.take().or_else(|| TcpStream::connect(&self.address).ok()) else {
            return Outcome::Unsent;
        };
        stream.set_read_timeout(Some(Duration::from_secs(60))).expect("a timeout can be set");
        let request = format!("POST {target} HTTP/1.1\r\nHost: x\r\nContent-Length: {}\r\n\r\n{body}", body.len());
        // After a failed send the reply may still be there.
        let sent = stream.write_all(request.as_bytes());
        let (status, closes) = match read_reply(&mut stream) {
            Ok(reply) => reply,
            Err(reason) => return Outcome::Cut(format!("{target}: {reason}; sent: {sent:?}")),
        };
        self.stream = (!closes).then_some(stream);
        Outcome::Answered(status)
    }
}

/// Reads a whole reply: its status, and whether the connection closes.
fn read_reply(stream: &mut TcpStream) -> Result<(u16, bool), String> {
    let mut bytes = Vec::new();
    let mut more = |bytes: &mut Vec<u8>| -> Result<(), String> {
        let mut piece = [0; 4096];
        match stream.read(&mut piece) {
            Ok(0) => Err(format!("ends after {:?}", String::from_utf8_lossy(bytes))),
            Ok(count) => {
                bytes.extend_from_slice(&piece[..count]);
                Ok(())
            }
            Err(error) => Err(format!("{error} after {:?}", String::from_utf8_lossy(bytes))),
        }
    };
    let end = loop {
        match bytes.windows(4).position(|window| window == b"\r\n\r\n") {
            Some(end) => break end + 4,
            None => more(&mut bytes)?,
        }
    };
    let head = String::from_utf8_lossy(&bytes[..end]).to_lowercase();
    let status: u16 = head.split(' ').nth(1).and_then(|status| status.parse().ok()).ok_or("no status")?;
    if head.contains("transfer-encoding: chunked") {
        while !bytes[end..].ends_with(b"0\r\n\r\n") {
            more(&mut bytes)?;
        }
    } else if status != 204 {
        let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
        let length: usize = length.and_then(|length| length.trim().parse().ok()).ok_or("no length")?;
        while bytes.len() < end + length {
            more(&mut bytes)?;
        }
    }
    Ok((status, head.contains("connection: close")))
}

/// A write whose body is half sent; its rows belong to both shards.
fn half_sent(server: &Server, table: &str, value: u64) -> (TcpStream, String) {
    let body = lines(table, value);
    let mut stream = TcpStream::connect(&server.address).expect("the server listens");
    stream.set_read_timeout(Some(Duration::from_secs(60))).expect("a timeout can be set");
    // The server asks for the body when the handler waits for it.
    let head = format!(
        "POST /api/v1/write?db=public HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    stream.write_all(head.as_bytes()).expect("the server reads");
    let mut asked = [0; 25];
    stream.read_exact(&mut asked).expect("the server asks for the body");
    assert_eq!(&asked, b"HTTP/1.1 100 Continue\r\n\r\n");
    let (first, rest) = body.split_at(body.len() / 2);
    stream.write_all(first.as_bytes()).expect("the server reads");
    (stream, rest.to_owned())
}

fn lines(table: &str, value: u64) -> String {
    many_lines(table, value, 1)
}

/// As many rows of each host.
fn many_lines(table: &str, value: u64, rows: u64) -> String {
    let row = |row: u64| format!("{table},h=h{} v={value}i {}\n", row % HOSTS, value * 1_000_000 + row + 1);
    (0..HOSTS * rows).map(row).collect()
}

/// Values of `table` with the number of their rows.
fn rows_of_values(server: &Server, table: &str) -> Vec<(u64, u64)> {
    let text = server.sql("public", &format!("SELECT v, count(*) AS n FROM {table} GROUP BY v ORDER BY v")).text();
    let pair = |line: &str| line.split_once(',').and_then(|(v, n)| Some((v.parse().ok()?, n.parse().ok()?)));
    text.lines().skip(1).map(|line| pair(line).unwrap_or_else(|| panic!("{text}"))).collect()
}

#[test]
fn uploads_that_are_under_way_are_answered_whichever_core_has_them() {
    let folder = fresh_folder();
    for uploads in 1..=3 {
        let server = Server::start_in(&folder, false, &[]);
        let slow: Vec<_> = (0..uploads).map(|value| half_sent(&server, "slow", uploads * 10 + value)).collect();
        let mut idle = TcpStream::connect(&server.address).expect("the server listens");
        server.signal(Signal::TERM);
        // The idle connection ends first: by then the core that has no request has nothing left to do.
        assert_eq!(idle.read(&mut [0]).expect("an orderly end"), 0);
        for (mut stream, rest) in slow {
            stream.write_all(rest.as_bytes()).expect("the server reads");
            assert_eq!(read_reply(&mut stream), Ok((200, true)));
        }
        let address = server.address.clone();
        server.wait();
        assert!(TcpStream::connect(address).is_err());
    }
    let server = Server::start_in(&folder, true, &[]);
    let written: Vec<_> = (1..=3_u64).flat_map(|uploads| (0..uploads).map(move |value| uploads * 10 + value)).collect();
    let expected: Vec<_> = written.into_iter().map(|value| (value, HOSTS)).collect();
    assert_eq!(rows_of_values(&server, "slow"), expected);
}

#[test]
fn requests_under_load_get_whole_replies_and_writes_are_whole_or_absent() {
    let folder = fresh_folder();
    let (value, mut acknowledged) = (AtomicU64::new(0), Vec::new());
    for round in 0..4 {
        let server = Server::start_in(&folder, false, &[]);
        let is_over = AtomicBool::new(false);
        let written = AtomicU64::new(0);
        let (is_over, written, value) = (&is_over, &written, &value);
        let work = |worker: u64, address: &str| {
            let (mut caller, mut acknowledged, mut cut) = (Caller::new(address), Vec::new(), Vec::new());
            while !is_over.load(Ordering::Relaxed) {
                let next = value.fetch_add(1, Ordering::Relaxed);
                let outcome = match worker % 4 {
                    0 | 1 => caller.call("/api/v1/write?db=public", &lines("load", next)),
                    2 => caller.call("/api/v1/sql?db=public", "SELECT h, count(*) FROM load GROUP BY h"),
                    _ if next % 2 == 0 => {
                        caller.call("/api/v1/sql?db=public", &format!("CREATE TABLE x{worker} (v BIGINT, TAGS(h))"))
                    }
                    _ => caller.call("/api/v1/sql?db=public", &format!("DROP TABLE IF EXISTS x{worker}")),
                };
                match outcome {
                    Outcome::Answered(200) if worker % 4 < 2 => {
                        written.fetch_add(1, Ordering::Relaxed);
                        acknowledged.push(next);
                    }
                    Outcome::Answered(200 | 422 | 429 | 503) => {}
                    Outcome::Answered(status) => cut.push(format!("status {status}")),
                    Outcome::Unsent => break,
                    Outcome::Cut(reason) => cut.push(reason),
                }
            }
            (acknowledged, cut)
        };
        let address = server.address.clone();
        thread::scope(|scope| {
            let workers: Vec<_> = (0..12)
                .map(|worker| {
                    scope.spawn({
                        let address = &address;
                        move || work(worker, address)
                    })
                })
                .collect();
            while written.load(Ordering::Relaxed) < 20 {
                thread::sleep(Duration::from_millis(1));
            }
            server.signal(Signal::TERM);
            server.wait();
            is_over.store(true, Ordering::Relaxed);
            for worker in workers {
                let (written, cut) = worker.join().expect("a worker ends");
                assert!(cut.is_empty(), "round {round}: {cut:?}");
                acknowledged.extend(written);
            }
        });
    }
    let server = Server::start_in(&folder, true, &[]);
    let found = rows_of_values(&server, "load");
    assert!(found.iter().all(|(_, rows)| *rows == HOSTS), "a write was done in part: {found:?}");
    let found: std::collections::HashSet<u64> = found.into_iter().map(|(value, _)| value).collect();
    assert!(acknowledged.iter().all(|value| found.contains(value)), "an acknowledged write is lost");
}

#[test]
fn what_does_not_finish_in_time_is_refused_and_half_a_head_too() {
    let folder = fresh_folder();
    let server = Server::start_in(&folder, false, &[("TIDEWIRE_HTTP_DRAIN_TIMEOUT_S", "1")]);
    let (mut slow, _) = half_sent(&server, "cut", 1);
    let mut half_head = TcpStream::connect(&server.address).expect("the server listens");
    half_head.write_all(b"GET /api/v1/pi").expect("the server reads");
    server.signal(Signal::TERM);
    assert_eq!(read_reply(&mut half_head), Ok((503, true)));
    assert_eq!(read_reply(&mut slow), Ok((503, true)));
    server.wait();
    let server = Server::start_in(&folder, true, &[]);
    assert_eq!(server.sql("public", "SELECT * FROM cut").status(), 422, "nothing of it was written");
}

#[test]
fn a_second_signal_ends_at_once_and_safely() {
    let folder = fresh_folder();
    let server = Server::start_in(&folder, false, &[("TIDEWIRE_HTTP_DRAIN_TIMEOUT_S", "3600")]);
    let target = "/api/v1/write?db=public";
    assert_eq!(server.request("POST", target, &[], lines("kept", 1).as_bytes()).status(), 200);
    let (mut slow, _) = half_sent(&server, "cut", 1);
    server.signal(Signal::TERM);
    let mut idle = TcpStream::connect(&server.address);
    while idle.is_ok() {
        idle = TcpStream::connect(&server.address);
    }
    server.signal(Signal::INT);
    assert_eq!(read_reply(&mut slow), Ok((503, true)));
    server.wait();
    let server = Server::start_in(&folder, true, &[]);
    assert_eq!(rows_of_values(&server, "kept"), [(1, HOSTS)]);
}

#[test]
fn signals_that_do_not_mean_the_end_do_not_end_the_server() {
    let folder = fresh_folder();
    let mut server = Server::start_in(&folder, true, &[]);
    let signals = [
        Signal::HUP,
        Signal::PIPE,
        Signal::USR1,
        Signal::USR2,
        Signal::ALARM,
        Signal::VTALARM,
        Signal::PROF,
        Signal::IO,
        Signal::XFSZ,
        Signal::XCPU,
        Signal::WINCH,
        Signal::URG,
        Signal::CHILD,
    ];
    for signal in signals {
        server.signal(signal);
        assert_eq!(server.request("GET", "/api/v1/ping", &[], b"").status(), 200, "after {signal:?}");
    }
    assert!(!server.has_ended());
    server.signal(Signal::QUIT);
    server.wait();
}

/// Waits until a file has a text.
fn wait_for(path: &std::path::Path, text: &str) {
    let start = Instant::now();
    loop {
        let log = fs::read_to_string(path).expect("the log is text");
        if log.contains(text) {
            return;
        }
        assert!(start.elapsed() < Duration::from_secs(60), "{text:?} is not in {log}");
        thread::sleep(Duration::from_millis(10));
    }
}

#[test]
fn a_hangup_reloads_the_level_of_the_log_and_names_what_it_cannot_change() {
    let (folder, beside) = (fresh_folder(), fresh_folder());
    fs::create_dir_all(&beside).expect("a folder can be made");
    let (config, log) = (beside.join("tidewire.toml"), beside.join("log"));
    fs::write(&config, "log.level = 'warn'\n").expect("a file can be written");
    let variables = [("TIDEWIRE_CONFIG", config.to_str().expect("text"))];
    let server = Server::start_with_log(&folder, true, &variables, File::create(&log).expect("a log"));
    fs::write(&config, "log.level = 'info'\nwal.interval_ms = 7\n").expect("a file can be written");
    server.signal(Signal::HUP);
    wait_for(&log, "needs a restart: wal.interval_ms");
    assert!(fs::read_to_string(&log).expect("text").contains("SIGHUP: reloaded log.level; log.level is INFO"));
    fs::write(&config, "log.level = 'loud'\n").expect("a file can be written");
    server.signal(Signal::HUP);
    wait_for(&log, "nothing was reloaded");
    assert_eq!(server.request("GET", "/api/v1/ping", &[], b"").status(), 200);
    server.terminate();
    assert!(fs::read_to_string(&log).expect("text").contains("SIGTERM: finishing what is under way"), "info is logged");
    fs::remove_dir_all(&beside).expect("the folder is there");
}

#[test]
fn a_service_manager_is_told_of_each_step() {
    let (folder, beside) = (fresh_folder(), fresh_folder());
    fs::create_dir_all(&beside).expect("a folder can be made");
    let path = beside.join("notify");
    let socket = UnixDatagram::bind(&path).expect("a socket");
    socket.set_read_timeout(Some(Duration::from_secs(60))).expect("a timeout can be set");
    let heard = || {
        let mut bytes = [0; 256];
        let count = socket.recv(&mut bytes).expect("the server tells");
        String::from_utf8_lossy(&bytes[..count]).lines().next().expect("a line").to_owned()
    };
    let server = Server::start_in(&folder, true, &[("NOTIFY_SOCKET", path.to_str().expect("text"))]);
    assert_eq!(heard(), "READY=1");
    server.signal(Signal::HUP);
    assert_eq!([heard(), heard()], ["RELOADING=1", "READY=1"]);
    server.terminate();
    assert_eq!(heard(), "STOPPING=1");
    fs::remove_dir_all(&beside).expect("the folder is there");
}

#[test]
fn writes_that_wait_for_a_slow_disk_are_whole_or_absent_when_they_are_cut() {
    /// Of each host in a write.
    const ROWS: u64 = 100;
    let folder = fresh_folder();
    // A disk that takes some seconds for what the writes below bring, and one second to wait for it.
    let variables = [("TIDEWIRE_DISK_WRITE_BYTES_PER_S_MAX", "64KiB"), ("TIDEWIRE_HTTP_DRAIN_TIMEOUT_S", "1")];
    let server = Server::start_in(&folder, false, &[]);
    // The table is there, so that the writes wait for nothing but their shards.
    assert_eq!(server.request("POST", "/api/v1/write?db=public", &[], lines("slow", 0).as_bytes()).status(), 200);
    server.terminate();
    let server = Server::start_in(&folder, false, &variables);
    let address = server.address.clone();
    let outcomes: Vec<_> = thread::scope(|scope| {
        let workers: Vec<_> = (1..=32_u64)
            .map(|value| {
                let address = &address;
                scope.spawn(move || {
                    let body = many_lines("slow", value, ROWS);
                    (value, Caller::new(address).call("/api/v1/write?db=public", &body))
                })
            })
            .collect();
        server.wait_until("writes are under way", |server| server.metric("tidewire_http_requests_total", "") >= 32.0);
        server.signal(Signal::TERM);
        server.wait();
        workers.into_iter().map(|worker| worker.join().expect("a worker ends")).collect()
    });
    let server = Server::start_in(&folder, true, &[]);
    let mut found = rows_of_values(&server, "slow");
    assert_eq!(found.remove(0), (0, HOSTS));
    assert!(found.iter().all(|(_, rows)| *rows == HOSTS * ROWS), "a write was done in part: {found:?}");
    for (value, outcome) in outcomes {
        match outcome {
            Outcome::Answered(200) => {
                assert!(found.contains(&(value, HOSTS * ROWS)), "write {value} is lost: {found:?}");
            }
            Outcome::Answered(429 | 503) => {}
            Outcome::Answered(status) => panic!("write {value}: status {status}"),
            Outcome::Unsent => panic!("write {value} was not sent"),
            Outcome::Cut(reason) => panic!("write {value}: {reason}"),
        }
    }
}
