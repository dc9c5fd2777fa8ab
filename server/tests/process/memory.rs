//! The memory of the whole server, under writes of ever new series and queries that want more than there is, at once.
//!
//! Asserted are bounds and counts: the process lives, its memory keeps to what follows from `memory.bytes_max`, what is
//! refused is refused with 429 and the bound that is in the way (a query also with its own bound), rows of known series
//! are taken all the same, and everything acknowledged is there, also after a crash.

use std::collections::BTreeSet;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::common::{Client, Server, fresh_folder};

const MIB: u64 = 1 << 20;
const MEMORY_BYTES: u64 = 96 * MIB;

const WRITERS: u64 = 4;
const READERS: u64 = 3;
const ROWS: u64 = 400;
/// Series with long tags fill the index in few rows.
const TAG_BYTES: usize = 600;

/// The load ends when this many requests were refused for their series.
const REFUSED_MIN: u64 = 20;
/// And when this many queries were refused, of those that want everything at once.
const QUERIES_REFUSED_MIN: u64 = 5;

/// What the server lets itself have in RAM (`memory::pressure::resident_bytes_max`), and what comes between two looks
/// at it: queries that sort copy what they hold once, uncounted, and they hold a third of the bound at most.
const RESIDENT_BYTES_MAX: u64 = MEMORY_BYTES + MEMORY_BYTES / 4 + 64 * MIB + MEMORY_BYTES / 3;

#[derive(Default)]
struct Outcome {
    series_refused: AtomicU64,
    queries_refused: AtomicU64,
    queries_answered: AtomicU64,
    /// First row of each acknowledged request.
    acknowledged: Mutex<Vec<u64>>,
}

impl Outcome {
    fn is_done(&self) -> bool {
        self.series_refused.load(Ordering::Relaxed) >= REFUSED_MIN
            && self.queries_refused.load(Ordering::Relaxed) >= QUERIES_REFUSED_MIN
    }
}

fn lines(first: u64, pad: &str) -> String {
    (first..first + ROWS).map(|n| format!("m,host=h{n},pad={pad}{n} n={n}i {n}\n")).collect()
}

fn write_series(address: &str, seed: u64, next: &AtomicU64, outcome: &Outcome) {
    let mut random = fastrand::Rng::with_seed(seed);
    let pad: String = std::iter::repeat_with(|| random.alphanumeric()).take(TAG_BYTES).collect();
    let mut client = Client::connect(address);
    while !outcome.is_done() {
        let first = next.fetch_add(ROWS, Ordering::Relaxed);
        client.send("POST", "/api/v1/write", &[], lines(first, &pad).as_bytes());
        let reply = client.read(false);
        match reply.status() {
            200 => outcome.acknowledged.lock().expect("no client panicked").push(first),
            429 => {
                assert!(reply.header("retry-after").is_some());
                let told = reply.text();
                assert!(told.starts_with("{\"error_code\":\"050033\""), "{told}");
                if told.contains("series are new") {
                    assert!(told.contains("memory.bytes_max"), "{told}");
                    outcome.series_refused.fetch_add(1, Ordering::Relaxed);
                }
            }
            other => panic!("seed {seed}: status {other}: {}", reply.text()),
        }
        if reply.header("connection").is_some_and(|value| value.eq_ignore_ascii_case("close")) {
            client = Client::connect(address);
        }
    }
}

fn read_all(address: &str, outcome: &Outcome) {
    let mut client = Client::connect(address);
    while !outcome.is_done() {
        // Every row with its long tag, in an order that needs all of them at once.
        client.send("POST", "/api/v1/sql", &[], b"SELECT time, host, pad, n FROM m ORDER BY pad DESC, n");
        let reply = client.read(false);
        match reply.status() {
            200 => outcome.queries_answered.fetch_add(1, Ordering::Relaxed),
            422 | 429 => {
                let told = reply.text();
                let is_memory = told.contains("memory") && (told.contains("010001") || told.contains("010012"));
                assert!(is_memory, "{told}");
                outcome.queries_refused.fetch_add(1, Ordering::Relaxed)
            }
            other => panic!("status {other}: {}", reply.text()),
        };
    }
}

/// The numbers of all rows there are, when the server has room to tell.
fn rows(server: &Server) -> BTreeSet<u64> {
    let mut all = BTreeSet::new();
    server.wait_until("a query is answered", |server| {
        let reply = server.sql("public", "SELECT n FROM m");
        assert!(matches!(reply.status(), 200 | 422 | 429), "{}", reply.text());
        all = reply.text().lines().skip(1).filter_map(|line| line.parse().ok()).collect();
        reply.status() == 200
    });
    all
}

#[test]
fn more_series_and_queries_than_memory_are_refused_and_the_server_lives() {
    let seed = std::env::var("TIDEWIRE_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(1);
    let folder = fresh_folder();
    let bound = MEMORY_BYTES.to_string();
    let variables =
        [("TIDEWIRE_MEMORY_BYTES_MAX", bound.as_str()), ("TIDEWIRE_SHARDS", "2"), ("TIDEWIRE_WAL_FILE_BYTES", "4MiB")];
    let server = Server::start_in(&folder, false, &variables);
    assert_eq!(server.request("POST", "/api/v1/write", &[], b"m,host=h,pad=p n=0i 0").status(), 200);

    let (next, outcome) = (AtomicU64::new(1), Outcome::default());
    std::thread::scope(|scope| {
        let (next, outcome, address) = (&next, &outcome, server.address.as_str());
        for client in 0..WRITERS {
            scope.spawn(move || write_series(address, seed + client, next, outcome));
        }
        for _ in 0..READERS {
            scope.spawn(move || read_all(address, outcome));
        }
    });
    let peak = server.peak_memory_bytes();
    eprintln!("peak {peak} of {RESIDENT_BYTES_MAX}");
    assert!(peak <= RESIDENT_BYTES_MAX, "memory rose to {peak}, bound {RESIDENT_BYTES_MAX} (seed {seed})");

    // The series stay, so new ones are refused; rows of known ones are taken, by a connection whose core has met
    // them and by one that has not.
    server.wait_until("memory is short of series alone", |server| server.metric("tidewire_memory_level", "") < 2.0);
    // What else held memory while they were refused may have left room for a few more.
    let pad = "x".repeat(TAG_BYTES);
    let refused = loop {
        let first = next.fetch_add(ROWS, Ordering::Relaxed);
        let new = server.request("POST", "/write?db=public", &[], lines(first, &pad).as_bytes());
        if new.status() != 204 {
            break new;
        }
        outcome.acknowledged.lock().expect("no client panicked").push(first);
        assert!(first * TAG_BYTES as u64 <= 2 * MEMORY_BYTES, "series are taken without end (seed {seed})");
    };
    assert_eq!(refused.status(), 429, "{}", refused.text());
    assert!(refused.text().contains("400 of the request's series are new") && refused.text().contains("drop tables"));
    for time in 1..=4 {
        let known = server.request("POST", "/write?db=public", &[], format!("m,host=h,pad=p n=0i {time}").as_bytes());
        assert_eq!(known.status(), 204, "{}", known.text());
    }
    assert_eq!(server.metric("tidewire_memory_bytes_max", ""), MEMORY_BYTES as f64);
    assert!(server.metric("tidewire_memory_bytes", "part=\"series\"") > 0.0);
    assert!(server.metric("tidewire_memory_bytes", "") <= MEMORY_BYTES as f64);
    assert!(server.metric("tidewire_memory_refused_total", "work=\"series\"") >= REFUSED_MIN as f64);
    assert!(server.metric("process_resident_memory_bytes", "") > 0.0);

    let acknowledged = outcome.acknowledged.into_inner().expect("no client panicked");
    let mut expected: BTreeSet<u64> = acknowledged.iter().flat_map(|first| *first..first + ROWS).collect();
    expected.insert(0);
    assert!(rows(&server) == expected, "before the crash (seed {seed})");
    server.kill();
    let server = Server::start_in(&folder, true, &variables);
    assert!(rows(&server) == expected, "after the crash (seed {seed})");
    drop(server);
}

#[test]
fn a_configuration_that_cannot_fit_is_refused_at_the_start() {
    let folder = fresh_folder();
    let refused = std::process::Command::new(env!("CARGO_BIN_EXE_tidewire"))
        .args(["--listen", "127.0.0.1:0", "--cores", "1", "--data-dir"])
        .arg(&folder)
        .envs([("TIDEWIRE_MEMORY_BYTES_MAX", "100MiB"), ("TIDEWIRE_CACHE_BYTES_MAX", "90MiB")])
        .output()
        .expect("the binary runs");
    let _ = std::fs::remove_dir_all(&folder);
    let told = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(!refused.status.success(), "{told}");
    assert!(told.contains("`memory.bytes_max` is 100 MiB") && told.contains("`cache.bytes_max` 90 MiB"), "{told}");
}
