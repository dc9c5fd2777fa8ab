//! The clock of a server, moved from outside: what is too old by a clock that has been consistent expires, and nothing
//! does by one that has only just jumped.

use std::fs;
use std::path::Path;
use std::thread::sleep;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use crate::common::{Server, fresh_folder};

const SETTLE_S: u64 = 6;
const HOUR_NS: i64 = 3_600_000_000_000;

fn set(file: &Path, offset_ns: i64) {
    let whole = file.with_extension("new");
    fs::write(&whole, offset_ns.to_string()).expect("a file");
    fs::rename(&whole, file).expect("a name");
}

fn metric(server: &Server, name: &str) -> u64 {
    let text = server.request("GET", "/metrics", &[], b"").text();
    let lines = text.lines().filter(|line| line.starts_with(name));
    lines.map(|line| line.rsplit(' ').next().unwrap_or_default().parse::<u64>().expect("a number")).sum()
}

fn wait_until(what: &str, holds: impl Fn() -> bool) {
    let begun = Instant::now();
    while !holds() {
        assert!(begun.elapsed() < Duration::from_secs(60), "not after a minute: {what}");
        sleep(Duration::from_millis(20));
    }
}

#[test]
fn rows_expire_by_a_clock_that_is_consistent_and_not_by_one_that_jumps() {
    let folder = fresh_folder();
    let file = folder.with_extension("clock");
    set(&file, 0);
    let variables = [
        ("TIDEWIRE_RETENTION_CLOCK_SETTLE_S", &*SETTLE_S.to_string()),
        ("TIDEWIRE_RETENTION_CLOCK_OFFSET_FILE", file.to_str().expect("UTF-8")),
    ];
    let server = Server::start_in(&folder, true, &variables);
    server.sql("public", "CREATE DATABASE short WITH TTL '1d' VNODE_DURATION '1h'");
    let now_ns = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_nanos() as i64;
    let lines: String = (0..40).map(|n| format!("m,h=h{n} v={n}i {}\n", now_ns - 2 * HOUR_NS)).collect();
    let write = |lines: &str| server.request("POST", "/api/v1/write?db=short", &[], lines.as_bytes()).status();
    assert_eq!(write(&lines), 200);
    let count = || server.sql("short", "SELECT count(v) AS n FROM m").text();

    for _ in 0..2 {
        set(&file, 100 * 24 * HOUR_NS);
        wait_until("rows are too old by the clock of now", || write(&lines) == 422);
        set(&file, -100 * 24 * HOUR_NS);
        wait_until("they are not", || write(&lines) == 200);
        set(&file, 0);
    }
    wait_until("the clock is settled", || metric(&server, "tidewire_clock_settled") > 0);
    // It looks four times while the clock settles.
    sleep(Duration::from_secs(SETTLE_S));
    assert_eq!(count(), "n\n40\n", "a clock that jumps deletes nothing");

    let jumps = metric(&server, "tidewire_clock_jumps_total");
    set(&file, 100 * 24 * HOUR_NS);
    wait_until("the jump is seen", || metric(&server, "tidewire_clock_jumps_total") > jumps);
    wait_until("the clock is settled again", || metric(&server, "tidewire_clock_settled") > 0);
    sleep(Duration::from_secs(SETTLE_S));
    set(&file, 0);
    assert_eq!(count(), "n\n0\n", "what is too old by a clock that is settled goes");
    drop(server);
    fs::remove_file(&file).expect("a file");
}
