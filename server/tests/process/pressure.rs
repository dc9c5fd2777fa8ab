//! Backpressure of the whole server: a load of many times what its disk takes.
//!
//! The disk is slowed by `disk.write_bytes_per_s_max`, so the figures do not depend on the machine. Clients send as
//! fast as they are answered and do not wait after a 429, as clients should not but do. Asserted are bounds and counts:
//! memory stays within what the configuration adds up to, a refused request wrote nothing, an acknowledged one
//! everything, also after a crash.

use std::collections::BTreeSet;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::common::{Client, Server, fresh_folder};

const MIB: u64 = 1 << 20;

const SHARDS: u64 = 2;
const CORES: u64 = 2;
const DISK_BYTES_PER_S: u64 = 2 * MIB;
const ADMISSION_BYTES: u64 = MIB;
const FLUSH_BYTES: u64 = MIB;
const MEMTABLE_BYTES: u64 = 2 * MIB;
const CACHE_BYTES: u64 = MIB;

/// Connections; each has one request under way, so together they want several times what admission lets in.
const CLIENTS: u64 = 16;
const ROWS: u64 = 32;
/// Rows are mostly text that does not compress: bytes for the disk at little cost to parse, so that the clients are
/// far ahead of the disk even in a debug build.
const TEXT_BYTES: usize = 8 << 10;

/// The load ends when both were seen: the disk took this many requests, and ten times as many were refused.
const TAKEN_MIN: u64 = 16;
const REFUSED_MIN: u64 = 10 * TAKEN_MIN;

/// The most memory that the load may add: what the shards, the requests being parsed and the sockets may hold by the
/// configuration, twice, because vectors grow by doubling and an allocator keeps what it got for a while.
const GROWTH_BYTES_MAX: u64 =
    2 * (SHARDS * (MEMTABLE_BYTES + ADMISSION_BYTES + CACHE_BYTES) + CORES * MEMTABLE_BYTES + CLIENTS * MIB);

fn variables() -> Vec<(&'static str, String)> {
    vec![
        ("TIDEWIRE_SHARDS", SHARDS.to_string()),
        ("TIDEWIRE_ADMISSION_BYTES_MAX", ADMISSION_BYTES.to_string()),
        ("TIDEWIRE_MEMTABLE_FLUSH_BYTES", FLUSH_BYTES.to_string()),
        ("TIDEWIRE_MEMTABLE_BYTES_MAX", MEMTABLE_BYTES.to_string()),
        ("TIDEWIRE_CACHE_BYTES_MAX", CACHE_BYTES.to_string()),
        ("TIDEWIRE_WAL_FILE_BYTES", MIB.to_string()),
        ("TIDEWIRE_ADMISSION_RETRY_AFTER_S", "7".to_owned()),
    ]
}

fn start(folder: &std::path::Path, owns_folder: bool, more: &[(&str, &str)]) -> Server {
    let variables = variables();
    let mut all: Vec<(&str, &str)> = variables.iter().map(|(name, value)| (*name, value.as_str())).collect();
    all.extend_from_slice(more);
    Server::start_in(folder, owns_folder, &all)
}

/// What became of the load.
#[derive(Default)]
struct Outcome {
    taken: AtomicU64,
    refused: AtomicU64,
    /// First row of each acknowledged request.
    acknowledged: Mutex<Vec<u64>>,
}

impl Outcome {
    fn is_done(&self) -> bool {
        self.taken.load(Ordering::Relaxed) >= TAKEN_MIN && self.refused.load(Ordering::Relaxed) >= REFUSED_MIN
    }
}

/// One client; `next` numbers the rows of all clients, so that no number is sent twice.
fn load(address: &str, seed: u64, next: &AtomicU64, outcome: &Outcome) {
    let mut random = fastrand::Rng::with_seed(seed);
    let texts: Vec<String> =
        (0..8).map(|_| std::iter::repeat_with(|| random.alphanumeric()).take(TEXT_BYTES).collect()).collect();
    let mut client = Client::connect(address);
    while !outcome.is_done() {
        let first = next.fetch_add(ROWS, Ordering::Relaxed);
        let mut body = String::with_capacity((TEXT_BYTES + 64) * ROWS as usize);
        for n in first..first + ROWS {
            let text = &texts[random.usize(..texts.len())];
            body.push_str(&format!("m,host=h{} n={n}i,text=\"{text}\" {n}\n", n % 16));
        }
        client.send("POST", "/api/v1/write", &[], body.as_bytes());
        let reply = client.read(false);
        match reply.status() {
            200 => {
                outcome.taken.fetch_add(1, Ordering::Relaxed);
                outcome.acknowledged.lock().expect("no client panicked").push(first);
            }
            429 => {
                assert_eq!(reply.header("retry-after"), Some("7"));
                assert!(reply.text().starts_with("{\"error_code\":\"050033\""), "{}", reply.text());
                outcome.refused.fetch_add(1, Ordering::Relaxed);
            }
            other => panic!("seed {seed}: status {other}: {}", reply.text()),
        }
        if reply.header("connection").is_some_and(|value| value.eq_ignore_ascii_case("close")) {
            client = Client::connect(address);
        }
    }
}

/// The numbers of all rows there are.
fn rows(server: &Server) -> BTreeSet<u64> {
    let reply = server.sql("public", "SELECT n FROM m");
    assert_eq!(reply.status(), 200, "{}", reply.text());
    let text = reply.text();
    let numbers: Vec<u64> = text.lines().skip(1).map(|line| line.parse().expect("a number")).collect();
    let distinct: BTreeSet<u64> = numbers.iter().copied().collect();
    assert_eq!(distinct.len(), numbers.len(), "a row is there twice");
    distinct
}

#[test]
fn a_load_beyond_the_disk_is_refused_in_part_and_loses_nothing() {
    let seed = std::env::var("TIDEWIRE_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(1);
    let folder = fresh_folder();
    let slow = DISK_BYTES_PER_S.to_string();
    let server = start(&folder, false, &[("TIDEWIRE_DISK_WRITE_BYTES_PER_S_MAX", &slow)]);
    // The table is made, connections and buffers are warm.
    assert_eq!(server.request("POST", "/api/v1/write", &[], b"m,host=h0 n=0i,text=\"\" 0").status(), 200);
    let before = server.peak_memory_bytes();

    let (next, outcome) = (AtomicU64::new(1), Outcome::default());
    std::thread::scope(|scope| {
        for client in 0..CLIENTS {
            let (next, outcome, address) = (&next, &outcome, server.address.as_str());
            scope.spawn(move || load(address, seed + client, next, outcome));
        }
    });
    let after = server.peak_memory_bytes();
    let growth = after.saturating_sub(before);
    assert!(
        growth <= GROWTH_BYTES_MAX,
        "memory grew from {before} to {after}; the configuration adds up to {GROWTH_BYTES_MAX} (seed {seed})"
    );

    // Exactly the acknowledged requests are there, each whole.
    let acknowledged = outcome.acknowledged.into_inner().expect("no client panicked");
    let mut expected: BTreeSet<u64> = acknowledged.iter().flat_map(|first| *first..first + ROWS).collect();
    expected.insert(0);
    assert!(rows(&server) == expected, "before the crash (seed {seed})");
    server.kill();
    let server = start(&folder, true, &[]);
    assert!(rows(&server) == expected, "after the crash (seed {seed})");
    drop(server);
}
