//! A server that has no descriptors left: who is connected is served, who connects waits, rows that cannot be written
//! as segments stay where they are, and nothing is taken for damage.
//!
//! The limit is lowered under the running server, to what it has open and a few more.

use std::net::TcpStream;

use rustix::process::{Resource, Rlimit, prlimit};

use crate::common::{Client, Server, fresh_folder};

/// Open descriptors of the server.
fn open_files(server: &Server) -> u64 {
    let folder = format!("/proc/{}/fd", server.pid().as_raw_nonzero());
    std::fs::read_dir(folder).expect("the server runs").count() as u64
}

/// Lets the server have `more` descriptors than it has; `None`: as many as it likes.
fn limit(server: &Server, more: Option<u64>) {
    let current = more.map_or(4096, |more| open_files(server) + more);
    let rlimit = Rlimit { current: Some(current), maximum: Some(4096) };
    prlimit(Some(server.pid()), Resource::Nofile, rlimit).expect("the limit of a child can be set");
}

fn settled(client: &mut Client, method: &str, target: &str, body: &str) -> (u16, String) {
    client.send(method, target, &[], body.as_bytes());
    let response = client.read(false);
    (response.status(), response.text())
}

fn metric(client: &mut Client, name: &str) -> f64 {
    let (_, text) = settled(client, "GET", "/metrics", "");
    let samples = text.lines().filter(|line| line.starts_with(&format!("{name}{{")));
    samples.map(|line| line.rsplit(' ').next().and_then(|value| value.parse::<f64>().ok()).expect("a value")).sum()
}

#[test]
fn connections_beyond_the_limit_wait_and_the_others_are_served() {
    let server = Server::start();
    let mut old = Client::connect(&server.address);
    assert_eq!(settled(&mut old, "POST", "/api/v1/write", "m v=1 1").0, 200);
    limit(&server, Some(4));
    let waiting: Vec<TcpStream> =
        (0..12).map(|_| TcpStream::connect(&server.address).expect("the backlog takes it")).collect();
    server_says(&mut old, "accepting fails", |old| metric(old, "tidewire_accept_failures_total") >= 1.0);
    for time in 2..10 {
        assert_eq!(settled(&mut old, "POST", "/api/v1/write", &format!("m v=1 {time}")).0, 200);
    }
    assert_eq!(settled(&mut old, "POST", "/api/v1/sql", "SELECT count(v) AS n FROM m").1, "n\n9\n");
    // Those before them go, so the next ones come in.
    let mut new = Client::connect(&server.address);
    drop(waiting);
    assert_eq!(settled(&mut new, "POST", "/api/v1/sql", "SELECT count(v) AS n FROM m").1, "n\n9\n");
    server.terminate();
}

fn server_says(client: &mut Client, what: &str, mut is_met: impl FnMut(&mut Client) -> bool) {
    for _ in 0..600 {
        if is_met(client) {
            return;
        }
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
    panic!("never: {what}");
}

#[test]
fn a_flush_without_descriptors_is_tried_again_and_takes_nothing_for_damage() {
    let folder = fresh_folder();
    let variables = [("TIDEWIRE_MEMTABLE_FLUSH_IDLE_S", "1"), ("TIDEWIRE_WAL_FILE_BYTES", "1MiB")];
    let server = Server::start_in(&folder, false, &variables);
    let mut client = Client::connect(&server.address);
    let write = |client: &mut Client, from: u32| {
        let lines: String = (from..from + 100).map(|i| format!("m,host=h{} v={i}i {i}\n", i % 7)).collect();
        assert_eq!(settled(client, "POST", "/api/v1/write", &lines), (200, String::new()));
    };
    write(&mut client, 0);
    server_says(&mut client, "the first rows are in segments", |client| {
        metric(client, "tidewire_flushed_rows_total") >= 100.0
    });
    limit(&server, Some(0));
    write(&mut client, 100);
    server_says(&mut client, "a flush fails", |client| metric(client, "tidewire_flush_failures_total") >= 1.0);
    // Rows in segments and in memory are read, more are taken.
    write(&mut client, 200);
    let sum = "SELECT count(v) AS n, sum(v) AS s FROM m";
    assert_eq!(settled(&mut client, "POST", "/api/v1/sql", sum), (200, "n,s\n300,44850\n".to_owned()));
    assert_eq!(metric(&mut client, "tidewire_segments_quarantined"), 0.0);
    assert_eq!(metric(&mut client, "tidewire_wal_failed"), 0.0);
    limit(&server, None);
    server_says(&mut client, "all rows are in segments", |client| {
        metric(client, "tidewire_flushed_rows_total") >= 300.0
    });
    assert_eq!(settled(&mut client, "POST", "/api/v1/sql", sum), (200, "n,s\n300,44850\n".to_owned()));
    server.terminate();
    let server = Server::start_in(&folder, true, &variables);
    assert_eq!(server.sql("public", sum).text(), "n,s\n300,44850\n");
}
