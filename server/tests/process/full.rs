//! A file system that is full: on tmpfs (through the page cache) and on ext4 of a loop device (past it).
//!
//! The file systems are mounted in a mount namespace of their own, in which the test runs again as a process; with it
//! they go away, however the test ends. Where nothing can be mounted (no root, a container that forbids it) the test
//! says so and why.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::common::{Response, Server, fresh_folder};

/// Where the inner test mounts what this variable names.
const KIND: &str = "TEST_FILE_SYSTEM";
const FOLDER: &str = "TEST_FOLDER";

/// Room for two shards with their reserves of 16 MiB and logs, the ballast, and some rows.
const SIZE_MIB: u64 = 72;
const BALLAST_BYTES: usize = 16 << 20;

/// Rows of a request, of text that does not compress.
const ROWS: u64 = 16;
const TEXT_BYTES: usize = 8 << 10;

/// Runs the test `inner` (`module::name`) in a mount namespace of its own; false, with the reason printed, where that
/// is not possible.
pub(crate) fn run_apart(inner: &str, kind: &str) -> bool {
    let folder = fresh_folder();
    std::fs::create_dir_all(&folder).expect("a folder can be made");
    let script = match kind {
        "tmpfs" => format!("mount -t tmpfs -o size={SIZE_MIB}m tidewire \"$0\""),
        "small" => "mount -t tmpfs -o size=4k tidewire \"$0\"".to_owned(),
        "read-only" => "mount -t tmpfs -o ro tidewire \"$0\"".to_owned(),
        _ => format!(
            "truncate -s {SIZE_MIB}M \"$0.image\" && mkfs.ext4 -q -m 0 \"$0.image\" && mount -o loop \"$0.image\" \"$0\""
        ),
    };
    let unshare = |command: &str| {
        let mut unshared = Command::new("unshare");
        unshared.args(["--mount", "--propagation", "private", "sh", "-c", command]).arg(&folder).stdin(Stdio::null());
        unshared
    };
    let possible = unshare(&script).output();
    let reason = match &possible {
        Err(error) => Some(error.to_string()),
        Ok(done) if !done.status.success() => Some(String::from_utf8_lossy(&done.stderr).into_owned()),
        Ok(_) => None,
    };
    let image = folder.with_extension("image");
    if let Some(reason) = reason {
        eprintln!("not tested on {kind}, which cannot be mounted here: {}", reason.trim());
        let _ = std::fs::remove_file(&image);
        let _ = std::fs::remove_dir_all(&folder);
        return false;
    }
    let this = std::env::current_exe().expect("a test has a path");
    let ran = unshare(&format!("{script} && exec \"$1\" --exact {inner} --ignored --nocapture"))
        .arg(&this)
        .env(KIND, kind)
        .env(FOLDER, &folder)
        .output()
        .expect("unshare ran before");
    let _ = std::fs::remove_file(&image);
    let _ = std::fs::remove_dir_all(&folder);
    let told = format!("{}{}", String::from_utf8_lossy(&ran.stdout), String::from_utf8_lossy(&ran.stderr));
    assert!(ran.status.success() && told.contains("1 passed"), "on {kind}: {told}");
    true
}

/// Where the inner test's file system is.
pub(crate) fn mounted() -> PathBuf {
    std::env::var_os(FOLDER).expect("the outer test says where").into()
}

#[test]
fn a_full_tmpfs_refuses_writes_and_nothing_else() {
    run_apart("full::writes_stop_reads_go_on_and_writes_resume", "tmpfs");
}

#[test]
fn a_full_ext4_refuses_writes_and_nothing_else() {
    run_apart("full::writes_stop_reads_go_on_and_writes_resume", "ext4");
}

#[test]
fn a_folder_without_any_space_or_that_is_read_only_is_told_at_the_start() {
    run_apart("full::a_start_that_cannot_write_ends_with_a_sentence", "small");
    run_apart("full::a_start_that_cannot_write_ends_with_a_sentence", "read-only");
}

fn start(folder: &Path) -> Server {
    let variables = [
        ("TIDEWIRE_SHARDS", "2"),
        ("TIDEWIRE_WAL_FILE_BYTES", "1MiB"),
        ("TIDEWIRE_MEMTABLE_FLUSH_BYTES", "1MiB"),
        ("TIDEWIRE_MEMTABLE_BYTES_MAX", "4MiB"),
        ("TIDEWIRE_MEMTABLE_FLUSH_IDLE_S", "1"),
    ];
    Server::start_in(folder, false, &variables)
}

/// Rows that were acknowledged, by number.
struct Load {
    random: fastrand::Rng,
    next: u64,
    acknowledged: Vec<u64>,
}

impl Load {
    fn write(&mut self, server: &Server, target: &str) -> Response {
        let mut body = String::new();
        let first = self.next;
        self.next += ROWS;
        for n in first..self.next {
            let text: String = std::iter::repeat_with(|| self.random.alphanumeric()).take(TEXT_BYTES).collect();
            body.push_str(&format!("m,host=h{} n={n}i,text=\"{text}\" {n}\n", n % 16));
        }
        let response = server.request("POST", target, &[], body.as_bytes());
        if matches!(response.status(), 200 | 204) {
            self.acknowledged.extend(first..self.next);
        }
        response
    }

    /// Writes until both routes say that the disk is full.
    fn fill(&mut self, server: &Server) {
        let (mut influx, mut cnos) = (false, false);
        for _ in 0..20_000 {
            if influx && cnos {
                return;
            }
            let response = self.write(server, "/write?db=public");
            match response.status() {
                204 | 429 | 503 => {}
                507 => influx = true,
                other => panic!("status {other}: {}", response.text()),
            }
            let response = self.write(server, "/api/v1/write");
            match response.status() {
                200 | 429 | 503 => {}
                507 => {
                    assert!(response.text().contains("\"050033\""), "{}", response.text());
                    cnos = true;
                }
                other => panic!("status {other}: {}", response.text()),
            }
        }
        panic!("the disk never got full");
    }

    fn check(&self, server: &Server, when: &str) {
        let reply = server.sql("public", "SELECT n FROM m");
        assert_eq!(reply.status(), 200, "{when}: {}", reply.text());
        let there: std::collections::BTreeSet<u64> =
            reply.text().lines().skip(1).map(|line| line.parse().expect("a number")).collect();
        let lost = self.acknowledged.iter().filter(|n| !there.contains(n)).count();
        assert_eq!(lost, 0, "{when}: acknowledged rows are not there");
    }
}

#[test]
#[ignore = "runs in a mount namespace of its own, started by the tests above"]
fn writes_stop_reads_go_on_and_writes_resume() {
    let mounted = mounted();
    let folder = mounted.join("data");
    let ballast = mounted.join("ballast");
    std::fs::write(&ballast, vec![1; BALLAST_BYTES]).expect("there is room at first");
    let seed = std::env::var("TIDEWIRE_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(1);
    eprintln!("seed {seed}");
    let mut load = Load { random: fastrand::Rng::with_seed(seed), next: 0, acknowledged: Vec::new() };

    let server = start(&folder);
    let before = crate::alerts::scrape(&server);
    assert_eq!(server.request("GET", "/health", &[], b"").status(), 200);
    load.fill(&server);
    load.check(&server, "while the disk is full");
    assert_eq!(server.request("GET", "/ping", &[], b"").status(), 204);
    assert_eq!(server.metric("tidewire_wal_failed", ""), 0.0);
    let [free, size] = ["free", "size"].map(|what| server.metric(&format!("tidewire_filesystem_{what}_bytes"), ""));
    assert!(size <= (SIZE_MIB << 20) as f64 && free < size / 2.0, "{free} of {size}");
    // Flushes make space for a moment, so that all of it holds only as long as rows come.
    server.wait_until("health, metrics and the alert say that there is no space", |server| {
        load.write(server, "/write?db=public");
        let told = ["/health", "/ready"].map(|path| server.request("GET", path, &[], b""));
        let is_told =
            |told: &Response| told.status() == 503 && told.text().contains(" takes no writes for want of space");
        let now = crate::alerts::scrape(server);
        told.iter().all(is_told) && crate::alerts::firing(&before, &now).iter().any(|name| name == "TidewireDiskFull")
    });
    // Deletes are refused too, with CnosDB's code and in InfluxDB's shape.
    server.wait_until("a DELETE is refused in SQL", |server| {
        load.write(server, "/write?db=public");
        let told = server.sql("public", "DELETE FROM m WHERE time < 0");
        assert!(matches!(told.status(), 200 | 507), "{}: {}", told.status(), told.text());
        told.status() == 507 && told.text().contains("\"050033\"") && told.text().contains("for want of space")
    });
    server.wait_until("a DELETE is refused in InfluxQL", |server| {
        load.write(server, "/write?db=public");
        let target = "/query?db=public&q=DELETE%20FROM%20m%20WHERE%20time%20%3C%200";
        let told = server.request("POST", target, &[], b"").text();
        let shape = "{\"results\":[{\"statement_id\":0,\"error\":\"";
        told.starts_with(shape) && told.contains("for want of space")
    });
    // A table that would have to be made.
    let made = server.request("POST", "/write?db=public", &[], b"another v=1 1");
    assert!(matches!(made.status(), 204 | 507), "{}: {}", made.status(), made.text());
    // And databases: either there is space, or it is said that there is none.
    for n in 0..20 {
        let made = server.sql("public", &format!("CREATE DATABASE made{n}"));
        assert!(matches!(made.status(), 200 | 507), "{}: {}", made.status(), made.text());
    }
    // Still full after a start: what is there can be read.
    server.kill();
    let server = start(&folder);
    load.check(&server, "after a crash on a full disk");

    std::fs::remove_file(&ballast).expect("the ballast is there");
    server.wait_until("writes are taken again", |server| load.write(server, "/write?db=public").status() == 204);
    for _ in 0..10 {
        load.write(&server, "/api/v1/write");
    }
    server.wait_until("health", |server| server.request("GET", "/health", &[], b"").status() == 200);
    load.check(&server, "after space came back");
    server.kill();
    let server = start(&folder);
    load.check(&server, "after a crash");
    server.terminate();
    let server = start(&folder);
    load.check(&server, "after an orderly end");
    server.terminate();
}

#[test]
#[ignore = "runs in a mount namespace of its own, started by the tests above"]
fn a_start_that_cannot_write_ends_with_a_sentence() {
    let folder = mounted().join("data");
    let kind = std::env::var(KIND).expect("the outer test says what");
    let told = crate::starts::refused(&folder, &[]);
    let reason = if kind == "small" { "No space left" } else { "Read-only file system" };
    assert!(told.contains(reason) && told.contains(&folder.display().to_string()), "{told}");
}
